"""What is kept of what was computed: values by key, within a bound on their bytes.

In: a key, a value and its bytes. Out: the value again, as long as it is kept; those that were used least recently are
forgotten first. Several threads may use it, and a forked child. It knows nothing of what it keeps.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from . import forking

_Value = TypeVar("_Value")


class Kept(Generic[_Value]):
    """Values by key. What is kept takes at most `limit` bytes in all; a larger value is not kept."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.nbytes = 0
        self._values: OrderedDict[Hashable, tuple[_Value, int]] = OrderedDict()
        self._lock = forking.lock()

    def __len__(self) -> int:
        return len(self._values)

    def find(self, key: Hashable) -> _Value | None:
        """The value of this key; None if there is none."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def find_all(self, keys: Iterable[Hashable]) -> list[_Value | None]:
        """The value of each key, None where there is none."""
        with self._lock:
            return [self.find(key) for key in keys]

    def keep(self, key: Hashable, value: _Value, nbytes: int) -> None:
        """Keep a value of so many bytes; it takes the place of one that has its key."""
        with self._lock:
            self._forget(key)
            if nbytes > self.limit:
                return
            self._values[key] = value, nbytes
            self.nbytes += nbytes
            while self.nbytes > self.limit:
                self._forget(next(iter(self._values)))

    def forget(self, which: Callable[[Hashable], bool]) -> None:
        """Forget the values of some keys."""
        with self._lock:
            for key in filter(which, list(self._values)):
                self._forget(key)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()
            self.nbytes = 0

    def _forget(self, key: Hashable) -> None:
        found = self._values.pop(key, None)
        self.nbytes -= 0 if found is None else found[1]
