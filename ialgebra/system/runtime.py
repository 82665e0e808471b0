"""The process: two settings without which a CPU runs networks two to four times slower than it can; its peak memory.

Comes in: nothing. Goes out: which settings were made, and bytes. Knows only the standard library, so that it can run
before torch is imported. Nothing here happens by itself: the command line, the demo and the benchmarks call
`tune_process()` first, and so may any script that wants the same speed.

1. glibc gives a big activation back to the kernel as soon as it is freed, and the next one is faulted in page by page.
   Keeping freed memory in the process saves that, at the price of a larger resident set.
2. OpenMP threads spin while they wait for each other. When another process holds a core, they spin against it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# Symbol and number in glibc's <malloc.h>, the value that we set, and the variable that sets it in a child process.
_MALLOC = (
    ("M_MMAP_THRESHOLD", -3, 1 << 30, "MALLOC_MMAP_THRESHOLD_"),
    ("M_TRIM_THRESHOLD", -1, (1 << 31) - 1, "MALLOC_TRIM_THRESHOLD_"),
    ("M_TOP_PAD", -2, 64 << 20, "MALLOC_TOP_PAD_"),
)
_WAIT = ("OMP_WAIT_POLICY", "PASSIVE")

_keeping = all(variable in os.environ for _, _, _, variable in _MALLOC)  # glibc reads them when the process starts


def tune_process() -> dict[str, int | str]:
    """Set this process up for fast inference on a CPU and return what was set; call it before torch is imported.

    The allocator's part takes effect at any time, and only where the C library is glibc; the OpenMP part only before
    torch is imported, and a value of OMP_WAIT_POLICY that the user chose is kept.
    """
    global _keeping
    done: dict[str, int | str] = {}
    mallopt = _mallopt()
    if mallopt is not None:
        done |= {symbol: value for symbol, number, value, _ in _MALLOC if mallopt(number, value) == 1}
        _keeping = _keeping or len(done) == len(_MALLOC)
    variable, value = _WAIT
    if "torch" not in sys.modules and variable not in os.environ:
        os.environ[variable] = value
        done[variable] = value
    return done


def keeps_memory() -> bool:
    """Whether the allocator keeps what activations free, by `tune_process` or by the variables of `environment`."""
    return _keeping


def environment() -> dict[str, str]:
    """The same settings as variables, for the environment of a child process or the head of a Makefile."""
    return {variable: str(value) for _, _, value, variable in _MALLOC} | dict([_WAIT])


def peak_memory(device: str = "cpu", *, reset: bool = False) -> int | None:
    """The most bytes in use since the last reset, or since the start; None where that is not to be had.

    On a CPU, what of the process was resident (Linux only); on 'cuda', what torch had allocated there. With `reset` the
    next call counts from here.
    """
    if device.startswith("cuda"):
        torch = sys.modules.get("torch")
        if torch is None or not torch.cuda.is_available():
            return None
        peak = int(torch.cuda.max_memory_allocated(device))
        if reset:
            torch.cuda.reset_peak_memory_stats(device)
        return peak
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    if reset:
        with suppress(OSError):  # some containers forbid it: the peak is then that of the process
            Path("/proc/self/clear_refs").write_text("5")
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(lines["VmHWM"].split()[0]) << 10 if "VmHWM" in lines else None


def free_memory(device: str = "cpu") -> int | None:
    """Bytes that can still be had; None where that is not known."""
    if device.startswith("cuda"):
        torch = sys.modules.get("torch")
        return int(torch.cuda.mem_get_info(device)[0]) if torch is not None and torch.cuda.is_available() else None
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")), None)


def _mallopt() -> Callable[[int, int], int] | None:
    """glibc's `mallopt`, or None where the process runs on another C library."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):  # musl has neither this nor a tunable allocator
        return None
    function: Callable[[int, int], int] = library.mallopt
    return function
