"""Statements being answered: an iterator of answers that any thread can cancel, and ask how far it is.

In: a function that answers one by one. Out: its answers, computed in the thread that asks for the next one. It may not
know statements, sessions or models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from ..answering.running import Standing, Watch
from ..errors import ResourceError
from ..execution.control import Control
from ..results.relation import Relation


class _Noted:
    """How a query stands. The answers refer to this alone, so that whoever drops them unfinished ends them at once."""

    standing: Standing | None = None

    def note(self, standing: Standing) -> None:
        self.standing = standing


class Answering(Iterator[Relation]):
    """The answers to one text, as they come. `priority` says who is next where queries want one model."""

    def __init__(self, answers: Callable[[Watch], Iterator[Relation]], priority: int = 0) -> None:
        self._control = Control.within(priority)
        self._noted = _Noted()
        self._answers = answers(self._noted.note)

    def __next__(self) -> Relation:
        try:
            with self._control.entered():
                return next(self._answers)
        except MemoryError as error:
            raise ResourceError("out of memory between two answers; ask again with less in memory") from error

    @property
    def priority(self) -> int:
        """The priority that it has; it is at least that of a query whose model asked for it."""
        return self._control.priority

    @property
    def progress(self) -> Standing | None:
        """How the query in progress stands after its last batch; None before that of the first query."""
        return self._noted.standing

    @property
    def cancelled(self) -> bool:
        """Whether somebody cancelled it."""
        return self._control.cancellation.cancelled

    def cancel(self) -> None:
        """End it before its next batch or estimate; `next`, in whatever thread, then raises an IalgebraError."""
        self._control.cancellation.cancel()

    def close(self) -> None:
        """End it: at once, or, if another thread waits for the next answer, before the next batch."""
        self.cancel()
        with suppress(ValueError):  # that thread is within it
            close = getattr(self._answers, "close", None)
            if close is not None:
                close()
