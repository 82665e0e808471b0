"""What a model of a test may change while it runs, without becoming another model."""

from __future__ import annotations

import queue
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Unread(Generic[_T]):
    """A value that no fingerprint of a model reads, because it waits in a queue."""

    def __init__(self, value: _T) -> None:
        self._waiting: queue.SimpleQueue[_T] = queue.SimpleQueue()
        self._waiting.put(value)

    @property
    def value(self) -> _T:
        found = self._waiting.get()
        self._waiting.put(found)
        return found

    @value.setter
    def value(self, value: _T) -> None:
        self._waiting.get()
        self._waiting.put(value)
