"""Sweeps: `steps(low, high, n)` where an edit takes a number makes n inputs, one a number, in order.

In: the ends and the count of a sweep. Out: its numbers, which know of which sweep they are. May not know: edits.
"""

from __future__ import annotations

import math


class Step(float):
    """Number `number` (from 0) of the sweep `steps(low, high, count)`: low + (high − low) · number / (count − 1), and
    the ends themselves at the ends; a sweep of one number has low alone. Numbers between are rounded to 15 digits of
    the larger end, so that they are what one would write: .1 and not .10000000000000003. It calculates as a float, but
    equals only the same step. With number None it stands for the whole sweep."""

    low: float
    high: float
    count: int
    number: int | None

    def __new__(cls, low: float, high: float, count: int, number: int | None) -> Step:
        last = number is not None and 0 < number == count - 1
        inner = low if not number else low + (high - low) * number / (count - 1)
        if not math.isfinite(inner):  # of ends that are far apart
            share = (number or 0) / (count - 1)
            inner = low * (1 - share) + high * share
        inner = _rounded(inner, low, high)
        step = super().__new__(cls, high if last else inner)
        step.low, step.high, step.count, step.number = low, high, count, number
        return step

    @property
    def whole(self) -> Step:
        """The whole sweep."""
        return Step(self.low, self.high, self.count, None)

    @property
    def words(self) -> str:
        """What a query writes: the number, or for the whole sweep its call."""
        if self.number is None:
            return f"steps({number_text(self.low)}, {number_text(self.high)}, {self.count})"
        return number_text(float(self))

    def _content(self) -> tuple[float, float, int, int | None]:
        return self.low, self.high, self.count, self.number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and self._content() == other._content()

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._content())

    def __repr__(self) -> str:
        return f"Step{self._content()}"

    def __reduce__(self) -> tuple[type[Step], tuple[float, float, int, int | None]]:
        return Step, self._content()


def _rounded(number: float, low: float, high: float) -> float:
    """A number between two ends without the last digits, which are calculation only."""
    scale = max(abs(low), abs(high))
    if scale == 0 or number in (low, high):
        return number
    return min(max(round(number, 14 - math.floor(math.log10(scale))), min(low, high)), max(low, high))


def sweep(low: float, high: float, count: int) -> tuple[Step, ...]:
    """The numbers of a sweep, in order."""
    return tuple(Step(low, high, count, number) for number in range(count))


def number_text(value: float) -> str:
    """A number as query text: short where that is exact."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))
