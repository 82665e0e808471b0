"""What an answer must reach, and which decisions its rounds may take on the way.

In: the syntax tree of a query, and a strategy. Out: frozen values. It may not know plans or maps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import BindError
from ..language import tree
from ..planner.strategy import Strategy
from ..planner.tempo import USUAL, Tempo

_MOST_ERROR = 1e6  # a larger bound is a typing mistake
_DEFAULT_CONFIDENCE = 0.95  # of a query that states none


@dataclass(frozen=True)
class Bounds:
    """What an answer must reach: a relative error that holds with a confidence (both are fractions), and the seconds
    that the whole query may take."""

    error: float | None
    confidence: float
    seconds: float

    @classmethod
    def of(cls, query: tree.Query) -> Bounds:
        """The bounds that a query states; raises BindError if a number is outside a bound's range."""
        error = _fraction(query.error, "an error bound", _MOST_ERROR)
        confidence = _fraction(query.confidence, "a confidence", 1.0)
        seconds = math.inf if query.within is None else float(query.within.value)
        return cls(error, _DEFAULT_CONFIDENCE if confidence is None else confidence, seconds)

    @property
    def any(self) -> bool:
        return self.error is not None or math.isfinite(self.seconds)


def _fraction(number: tree.Number | None, what: str, below: float) -> float | None:
    if number is None:
        return None
    if not 0 < number.value < below:
        raise BindError(f"{what} must lie above 0% and below {below:.0%}, not at {number.text}", number.span)
    return float(number.value)


class Policy(NamedTuple):
    """How many rows the first rounds have (`tempo`), and which decisions rounds may take: `retire` maps that are within
    their bound, so that they get no more rows (D4); `allocate` rows among the games of a join (D8); draw `common`
    coalitions for all games of a join, or own ones for each (D9; None: whichever costs less); change to the `exact`
    answer if that costs little more (D2)."""

    tempo: Tempo = USUAL
    retire: bool = True
    allocate: bool = True
    common: bool | None = None
    exact: bool = True

    @classmethod
    def of(cls, strategy: Strategy) -> Policy:
        """The decisions that a strategy allows; what it leaves open is allowed."""
        return cls(
            strategy.pace,
            strategy.retire is not False,
            strategy.allocate is not False,
            strategy.common,
            strategy.exact is not False,
        )
