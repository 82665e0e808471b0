"""Forks: a child process of `os.fork` has only the thread that forked, and all memory of the others as they left it.

In: locks and frames of this package. Out: in the child, locks that are free, and the frames of threads that are no more
ended; torch on one thread. Without this a child that is forked while another thread is in a query would wait for ever:
for a lock, for a turn at a model, or for torch's own threads. It imports only the standard library; it may not know
models or sessions.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _thread import RLock

_PATIENCE = 0.2  # seconds that a fork waits for all locks together, so that what they guard is whole in the child


@dataclass(eq=False)
class _OpenFrame:
    """A frame that a thread is in, and what ends it."""

    thread: int
    end: Callable[[], None]


_locks: list[weakref.ref[RLock]] = []
_taken: dict[int, list[RLock]] = {}  # by thread, while it forks: the locks that it could get
_frames: list[_OpenFrame] = []
_unsettled = False


def lock() -> RLock:
    """A re-entrant lock that is free in a forked child, unless the thread that forks holds it."""
    made = threading.RLock()
    _locks.append(weakref.ref(made, _locks.remove))
    return made


@contextmanager
def ended_in_child(end: Callable[[], None]) -> Iterator[None]:
    """A frame that must be ended in a forked child too. If another thread forks inside it, `end` is called in the
    child, where this thread is no more; later frames are ended first, and errors of `end` are ignored."""
    frame = _OpenFrame(threading.get_ident(), end)
    try:
        _frames.append(frame)
        yield
    finally:
        if frame in _frames:
            _frames.remove(frame)


def settle() -> None:
    """To be called before anything is computed. In a forked child, the first call has torch run on one thread, because
    it would wait for threads that are no more, and frees the locks of cached properties. Other calls do nothing."""
    global _unsettled
    if not _unsettled:
        return
    _unsettled = False
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
    for each in gc.get_objects():
        if type(each) is cached_property and hasattr(each, "lock"):  # Python 3.11 has one for each property
            each.lock = threading.RLock()


def _before() -> None:
    taken = _taken[threading.get_ident()] = []
    latest = time.monotonic() + _PATIENCE
    for reference in tuple(_locks):
        each = reference()
        if each is not None and each.acquire(timeout=max(0.0, latest - time.monotonic())):
            taken.append(each)


def _in_parent() -> None:
    for each in _taken.pop(threading.get_ident(), ()):
        each.release()


def _in_child() -> None:
    global _unsettled
    taken = set(map(id, _taken.get(threading.get_ident(), ())))
    for reference in _locks:
        each = reference()
        if each is not None and id(each) not in taken:
            each._at_fork_reinit()  # type: ignore[attr-defined]  # as the standard library does for its own locks
    _in_parent()
    _taken.clear()
    lost = [frame for frame in _frames if frame.thread != threading.get_ident()]
    for frame in reversed(lost):
        _frames.remove(frame)
        with suppress(Exception):
            frame.end()
    _unsettled = True


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
