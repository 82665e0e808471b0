"""Threads: parts of one computation that are independent of each other, on the processor's cores.

In: a function and its arguments, one a part. Out: its results, in the order of the parts. Parts run on as many threads
as torch uses, so `OMP_NUM_THREADS` and `torch.set_num_threads` hold for them too. Meanwhile NumPy's BLAS has one thread
for each: its own threads wait in busy loops, which costs ten times the work where another process uses a core; and so
the last bits of a result depend on no number of threads. It knows nothing of what is computed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from . import forking

_In = TypeVar("_In")
_Out = TypeVar("_Out")

_within: ContextVar[bool] = ContextVar("_within", default=False)  # a part of a computation runs here


def threads() -> int:
    """On how many threads torch computes."""
    return torch.get_num_threads()


def in_parts(function: Callable[[_In], _Out], parts: Sequence[_In]) -> list[_Out]:
    """What `function` gives for each of the `parts`, in their order. A part that calls this again runs its own parts
    one after the other.

    If one fails or the caller is interrupted, parts that have not begun are left out, and the error is raised once
    those that run have ended. Threads are started for each call and ended with it, so a fork finds none of them.
    """
    count = 1 if _within.get() else min(len(parts), threads())
    with blas_on_one_thread():
        if count < 2:
            return [function(part) for part in parts]
        with ThreadPoolExecutor(count, thread_name_prefix="ialgebra") as pool:
            running = [pool.submit(copy_context().run, _part, function, part) for part in parts]
            try:
                return [each.result() for each in running]
            finally:
                for each in running:
                    each.cancel()


def _part(function: Callable[[_In], _Out], part: _In) -> _Out:
    _within.set(True)
    return function(part)


class _Blas:
    """The number of threads of NumPy's BLAS, which is one for the whole process: one thread as long as any caller needs
    that."""

    def __init__(self) -> None:
        self._callers = 0
        self._before = 1
        self._lock = forking.lock()

    @contextmanager
    def on_one_thread(self) -> Iterator[None]:
        library = _openblas()
        if library is None:
            yield
            return
        with self._lock:
            if self._callers == 0:
                self._before = library.threads()
                library.limit(1)
            self._callers += 1
        try:
            yield
        finally:
            with self._lock:
                self._callers -= 1
                if self._callers == 0:
                    library.limit(self._before)


_blas = _Blas()
blas_on_one_thread = _blas.on_one_thread
"""A context in which NumPy's BLAS has one thread, for the whole process."""


class _OpenBlas(NamedTuple):
    """The functions of OpenBLAS that get and set its number of threads."""

    threads: Callable[[], int]
    limit: Callable[[int], None]


@cache
def _openblas() -> _OpenBlas | None:
    """The OpenBLAS that came with NumPy; None if NumPy uses another BLAS."""
    package = Path(np.__file__).parent
    files = [*package.parent.glob("numpy.libs/*openblas*"), *package.glob(".dylibs/*openblas*")]
    for file in files:
        library = ctypes.CDLL(str(file))
        for before, after in product(("scipy_", ""), ("64_", "_64", "")):
            get, put = (f"{before}openblas_{verb}_num_threads{after}" for verb in ("get", "set"))
            if hasattr(library, get) and hasattr(library, put):
                return _OpenBlas(getattr(library, get), getattr(library, put))
    return None


def blas_threads() -> int | None:
    """How many threads NumPy's BLAS has; None if that is not known."""
    library = _openblas()
    return None if library is None else library.threads()
