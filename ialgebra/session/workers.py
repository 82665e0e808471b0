"""Threads that compute what was submitted: the most urgent first, a few of one priority at a time.

In: what was submitted. Out: it is computed, each in a thread of its own. Of one priority, at most four are computed at
a time, in the order in which they were submitted; a more urgent one does not wait for less urgent ones. It may not know
what is computed.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Iterable
from concurrent.futures import wait

from ..errors import IalgebraError
from ..execution import control
from ..system import forking
from .submitted import Submitted

_AT_ONCE = 4  # of no lower priority, so that those that came first also end first
_PATIENCE = 10.0  # seconds that the end of the process waits for batches in progress


class Workers:
    """The threads of one session."""

    def __init__(self) -> None:
        self._lock = forking.lock()
        self._waiting: list[Submitted] = []  # the most urgent first
        self._running: dict[Submitted, int] = {}  # the thread of each
        _every.add(self)

    def submit(self, submitted: Submitted) -> Submitted:
        """Compute it as soon as it may begin. What a model asks for in a pass begins at once: the pass may wait."""
        with self._lock:
            if control.running() is not None:
                self._start(submitted)
            else:
                place = (k for k, each in enumerate(self._waiting) if each.priority < submitted.priority)
                self._waiting.insert(next(place, len(self._waiting)), submitted)
                submitted.add_done_callback(lambda _: self._gone(submitted))
                self._next()
        return submitted

    def close(self) -> None:
        """Cancel everything, and wait until it has ended; a thread does not wait for what it computes itself."""
        with self._lock:
            every = [*self._waiting, *self._running]
        for each in every:
            each.cancel()
        with self._lock:
            own = {each for each, thread in self._running.items() if thread == threading.get_ident()}
        wait(set(every) - own)

    def _next(self) -> None:
        for each in tuple(self._waiting):
            if sum(other.priority >= each.priority for other in self._running) < _AT_ONCE:
                self._waiting.remove(each)
                self._start(each)

    def _start(self, submitted: Submitted) -> None:
        if submitted.begin():
            thread = threading.Thread(target=self._compute, args=(submitted,), name="ialgebra query", daemon=True)
            self._running[submitted] = 0
            thread.start()

    def _compute(self, submitted: Submitted) -> None:
        self._running[submitted] = threading.get_ident()
        try:
            with forking.ended_in_child(lambda: self._lost(submitted)):
                submitted.answer()
        finally:
            with self._lock:
                self._running.pop(submitted, None)
                self._next()

    def _lost(self, submitted: Submitted) -> None:
        self._running.pop(submitted, None)
        submitted.end(IalgebraError("the thread that computes it is not in this process, which was forked meanwhile"))

    def _gone(self, submitted: Submitted) -> None:
        with self._lock:
            if submitted in self._waiting:
                self._waiting.remove(submitted)


_every: weakref.WeakSet[Workers] = weakref.WeakSet()


def _end_all(every: Iterable[Workers] = _every) -> None:
    """At the end of the process no thread may be within torch."""
    running = [each for workers in tuple(every) for each in (*workers._waiting, *workers._running)]
    for each in running:
        each.cancel()
    wait(running, timeout=_PATIENCE)


atexit.register(_end_all)
