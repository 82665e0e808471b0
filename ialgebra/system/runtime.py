"""The process: two settings that make networks on a CPU two to four times faster; peak and free memory.

In: nothing. Out: which settings were made; numbers of bytes. It imports only the standard library, so that it can run
before torch is imported. Importing it changes nothing: the command line, the demo and the benchmarks call
`tune_process()` first, and any script may do the same.

1. glibc returns the memory of a big activation to the kernel as soon as it is freed, and the next activation is mapped
   again page by page. Keeping freed memory in the process avoids this; the process then occupies more memory.
2. OpenMP threads wait in busy loops. If another process uses a core, these loops take time from it and from ourselves.
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

    The settings of the allocator work at any time, but only with glibc. The setting of OpenMP works only before torch
    is imported; a value of OMP_WAIT_POLICY that the user chose is kept.
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
    """Whether the allocator keeps freed memory, because of `tune_process` or the variables of `environment`."""
    return _keeping


def environment() -> dict[str, str]:
    """The same settings as environment variables, for a child process or a Makefile."""
    return {variable: str(value) for _, _, value, variable in _MALLOC} | dict([_WAIT])


def peak_memory(device: str = "cpu", *, reset: bool = False) -> int | None:
    """The most bytes in use since the last reset, or since the start; None if that is unknown.

    On a CPU: the resident memory of the process (Linux only). On 'cuda': the memory that torch allocated there. With
    `reset`, the next call counts from now.
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
        with suppress(OSError):  # some containers forbid it; then the peak is that since the start of the process
            Path("/proc/self/clear_refs").write_text("5")
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(lines["VmHWM"].split()[0]) << 10 if "VmHWM" in lines else None


def free_memory(device: str = "cpu") -> int | None:
    """Bytes that can still be allocated; None if that is unknown."""
    if device.startswith("cuda"):
        torch = sys.modules.get("torch")
        return int(torch.cuda.mem_get_info(device)[0]) if torch is not None and torch.cuda.is_available() else None
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")), None)


def _mallopt() -> Callable[[int, int], int] | None:
    """glibc's `mallopt`; None if the process runs on another C library."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):  # musl has no such function, and its allocator has no settings
        return None
    function: Callable[[int, int], int] = library.mallopt
    return function
