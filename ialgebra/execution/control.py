"""How somebody steers a query from outside: cancel it, and say how urgent it is.

In: what a caller wants, from any thread. Out: an error in place of the next batch, estimate or wait; and a priority for
the turns that the query takes at models. It may know no plan and no rows.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..errors import IalgebraError
from ..models import turns


class Cancelled(IalgebraError):
    """Somebody cancelled the query; the rows so far stay in the store."""


class Cancellation:
    """Tells a query, from any thread, to end: before its next batch or estimate, or where it waits for a model.

    What is asked while a query of `outer` runs, by its model, ends with it.
    """

    def __init__(self, outer: Cancellation | None = None) -> None:
        self._said = threading.Event()
        self._outer = outer

    def cancel(self) -> None:
        """From now on no batch starts."""
        self._said.set()
        turns.look_again()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called, here or of what this belongs to."""
        return self._said.is_set() or (self._outer is not None and self._outer.cancelled)

    @property
    def error(self) -> Cancelled:
        """What a cancelled query raises."""
        return Cancelled("the query was cancelled; the rows that it had evaluated are kept")

    def check(self) -> None:
        """Raises Cancelled after `cancel`."""
        if self.cancelled:
            raise self.error


@dataclass(frozen=True, eq=False)
class Control:
    """How one query is steered. Of queries that want one model, that of the highest `priority` is next."""

    priority: int = 0
    cancellation: Cancellation = field(default_factory=Cancellation)

    @classmethod
    def within(cls, priority: int) -> Control:
        """For a query that is asked now. If a model asks it in a pass, it is at least as urgent as the query that runs
        the model, and ends with it."""
        outer = running()
        if outer is None:
            return cls(priority)
        return cls(max(priority, outer.priority), Cancellation(outer.cancellation))

    @contextmanager
    def entered(self) -> Iterator[None]:
        """A frame in which this thread computes for the query."""
        before = running()
        _thread.control = self
        try:
            with turns.manner(self.priority, self.cancellation.check):
                yield
        finally:
            _thread.control = before


def running() -> Control | None:
    """The control of the query that this thread computes for; None if it computes for none."""
    return _thread.control


def current() -> Cancellation:
    """The cancellation of the query that this thread computes for; one that nobody knows if it computes for none."""
    control = running()
    return Cancellation() if control is None else control.cancellation


class _Thread(threading.local):
    control: Control | None = None


_thread = _Thread()
