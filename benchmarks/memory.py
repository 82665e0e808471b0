"""The peak memory of a piece of work, beyond what the process held before it.

In: work to do, and the device it is done on. Out: bytes, or None where the system does not tell. On a CPU the process's
resident set is read (Linux only), after the C library gave back what it keeps for later: that makes the next
allocations slower, so work whose time counts is not measured here.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Callable
from pathlib import Path

import torch

_PROCESS = Path("/proc/self")


def peak(work: Callable[[], object], device: str = "cpu") -> int | None:
    """Do the work once and return the bytes that it took at its peak."""
    gc.collect()
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return torch.cuda.max_memory_allocated() - before
    with contextlib.suppress(OSError, AttributeError):  # another C library keeps what it keeps
        ctypes.CDLL(None).malloc_trim(0)
    try:
        before = _status("VmRSS")
        (_PROCESS / "clear_refs").write_text("5")  # proc(5): resets the peak to the present
    except OSError:
        work()
        return None
    work()
    return max(0, _status("VmHWM") - before)


def _status(field: str) -> int:
    (line,) = (line for line in (_PROCESS / "status").read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024
