"""What a model of a test may change while it runs, without becoming another model."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Unread(Generic[_T]):
    """A value that no fingerprint of a model reads, because it waits in a queue."""

    def __init__(self, value: _T) -> None:
        self._waiting: queue.SimpleQueue[_T] = queue.SimpleQueue()
        self._waiting.put(value)

    @property
    def value(self) -> _T:
        return self.change(lambda found: found)

    @value.setter
    def value(self, value: _T) -> None:
        self.change(lambda _: value)

    def change(self, to: Callable[[_T], _T]) -> _T:
        """Put in its place what `to` makes of it, at once for all threads, and return that."""
        changed = to(self._waiting.get())
        self._waiting.put(changed)
        return changed
