"""Threads take turns at models: whoever uses a model has it, and every part of it, for itself.

In: models, as modules or callables; how urgent it is. Out: frames in which no other thread has one of their parts.
Models that share no part do not wait for one another. A thread that holds a turn can ask whether somebody waits for it.
This file changes no model and runs none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from ..system import forking
from .identity import parts


class _Claim:
    """The parts of some models, which one thread wants or has. It holds them, so that their ids stay theirs."""

    def __init__(self, models: Iterable[object], priority: int) -> None:
        self.thread = threading.get_ident()
        self.priority = priority
        self.parts = {id(part): part for model in models for part in parts(model)}

    def meets(self, other: _Claim) -> bool:
        """Whether both are of different threads and have a part in common."""
        return self.thread != other.thread and not self.parts.keys().isdisjoint(other.parts)


_changed = threading.Condition(forking.lock())
_held: list[_Claim] = []
_waiting: list[_Claim] = []  # those of higher priority first, and of one priority in the order in which they came


class _Manner(threading.local):
    """How a thread takes its turns."""

    priority: int = 0
    check: Callable[[], object] = staticmethod(lambda: None)


_manner = _Manner()


@contextmanager
def manner(priority: int, check: Callable[[], object]) -> Iterator[None]:
    """A frame in which this thread takes its turns with a `priority`. While it waits for one, `check` is called now and
    whenever somebody says `look_again`; it may raise, which ends the wait."""
    before = _manner.priority, _manner.check
    _manner.priority, _manner.check = priority, check
    try:
        yield
    finally:
        _manner.priority, _manner.check = before


def look_again() -> None:
    """Threads that wait for their turn `check` whether they still want it."""
    with _changed:
        _changed.notify_all()


@contextmanager
def turn(*models: object, priority: int | None = None) -> Iterator[_Claim]:
    """A frame in which no other thread has a part of these models; a thread may enter it again.

    Several models are had all at once or not at all, so that two threads cannot each wait for what the other has. Of
    threads that wait, that of the highest `priority` (None: that of the thread's manner) is next, and of these the one
    that came first.
    """
    claim = _Claim(models, _manner.priority if priority is None else priority)
    with forking.ended_in_child(lambda: _leave(claim)):
        try:
            _take(claim, _manner.check)
            yield claim
        finally:
            try:
                _leave(claim)
            except BaseException:  # Interrupted while leaving: finish leaving, then re-raise.
                _leave(claim)
                raise


def wanted(claim: _Claim, *, more: bool = False) -> bool:
    """Whether another thread, of no less priority, waits for a part of a claim that is held; with `more`, one of higher
    priority."""
    if not _waiting:
        return False
    least = claim.priority + more
    with _changed:
        return any(each.meets(claim) and each.priority >= least for each in _waiting)


def _take(claim: _Claim, check: Callable[[], object]) -> None:
    def may_start() -> bool:
        check()
        return _may_start(claim, nested)

    with _changed:
        nested = any(each.thread == claim.thread for each in _held)
        place = next((k for k, each in enumerate(_waiting) if each.priority < claim.priority), len(_waiting))
        _waiting.insert(place, claim)
        _changed.wait_for(may_start)
        _held.append(claim)
        _waiting.remove(claim)


def _may_start(claim: _Claim, nested: bool) -> bool:
    if any(each.meets(claim) for each in _held):
        return False
    if nested:  # those before it may wait for what this thread has
        return True
    return not any(each.meets(claim) for each in _waiting[: _waiting.index(claim)])


def _leave(claim: _Claim) -> None:
    with _changed:
        for claims in (_held, _waiting):
            if claim in claims:
                claims.remove(claim)
        _changed.notify_all()
