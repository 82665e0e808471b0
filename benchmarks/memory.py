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

from ialgebra.system.runtime import peak_memory


def peak(work: Callable[[], object], device: str = "cpu") -> int | None:
    """Do the work once and return the bytes that it took at its peak."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library keeps what it keeps
        ctypes.CDLL(None).malloc_trim(0)
    peak_memory(device, reset=True)
    before = peak_memory(device)
    work()
    after = peak_memory(device)
    return None if before is None or after is None else after - before
