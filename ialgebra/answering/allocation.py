"""How rows are divided among the games of an answer, and how many it will take to reach a bound (decision D8).

In: for each game its part of an answer's squared error, and its rows so far. Out: the rows that each game needs. It
works on numbers only.

An error falls as u^rate, where u = 1/rows − 1/population counts the rows not yet seen. The rate is 1/2 for means over
permutations; about 1 was measured for regressions, because with more rows their surrogates also explain more
(docs/architecture.md, "Answers to a bound").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

_MOST_COUNTED_PLAYERS = 60  # with more players, the number of coalitions is taken to be infinite
_HALVINGS = 50  # steps of a bisection on [0, 1], enough for the last bits of a float
_PRIOR_WEIGHT = math.log(2) ** 2  # the prior rate counts as much as one measured halving of u
_SLOWEST, _FASTEST = 0.5, 2.0  # limits of a rate: that of plain means, and twice that of regressions


class Stratum(NamedTuple):
    """One game's part of an answer: `rows` so far of the `population`, and the most rows that it may have, `cap`;
    `variance`, its share of the answer's squared error (negative if it cancels errors of other games); the `cost` of
    a row."""

    rows: float
    cap: float
    population: float
    variance: float
    cost: float


def population(players: int) -> float:
    """How many coalitions there are."""
    return 2.0**players if players <= _MOST_COUNTED_PLAYERS else math.inf


def unseen(rows: float, population: float) -> float:
    """u = 1/rows − 1/population: 0 when all rows are evaluated. An error is proportional to a power of u."""
    return max(0.0, 1 / rows - 1 / population)


def rows_to(strata: Sequence[Stratum], ratio: float, rate: float, *, allocate: bool) -> list[float]:
    """The rows that each game needs so that the answer's error becomes `ratio` ≤ 1 times the present one, at least
    cost.

    With `allocate`, rows are divided among the games so that Σ cost · rows is least (for rate 1/2 this is Neyman's
    allocation, 1934): rows^(2 rate + 1) ∝ variance / cost at equal rows. Without it, all games grow by one factor.
    A game never gets fewer rows than it has. If the caps do not allow the ratio, each game gets its cap.
    """
    rows, _, whole, variance, cost = (np.array(field, dtype=np.float64) for field in zip(*strata, strict=True))
    gap = np.array([unseen(each.rows, each.population) for each in strata])
    capped = np.array([unseen(max(each.rows, each.cap), each.population) for each in strata])
    lowest = np.divide(capped, gap, out=np.ones_like(gap), where=gap > 0)
    share = np.maximum(variance, 1e-12 * max(variance.max(initial=0), 1e-200))
    weight = (cost * rows / share) ** (1 / (2 * rate + 1)) if allocate else np.ones_like(rows)
    weight /= weight.min()
    # Σ share · (gap shrunk)^(2 rate) = ratio² Σ share, by bisection on one factor for all games.
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        shrunk = np.clip(middle * weight, lowest, 1)
        reached = float(share @ shrunk ** (2 * rate)) <= ratio**2 * float(share.sum())
        low, high = (middle, high) if reached else (low, middle)
    left = np.clip(high * weight, lowest, 1) * gap + 1 / whole
    needed: list[float] = np.maximum(rows, 1 / left).tolist()
    return needed


@dataclass
class Decay:
    """How fast an answer's error falls: the slope of log(error) over log(u), on a line through the first round.

    `prior` is the rate that is assumed before any is measured.
    """

    prior: float
    first: tuple[float, float] | None = None
    square: float = _PRIOR_WEIGHT
    product: float = 0.0

    def __post_init__(self) -> None:
        self.product = self.prior * self.square

    def learn(self, gap: float, error: float) -> None:
        """Add one round: its `gap` u, and the error reached."""
        if not (gap > 0 and 0 < error < math.inf):
            return
        if self.first is None:
            self.first = (gap, error)
            return
        fallen, gained = math.log(self.first[0] / gap), math.log(self.first[1] / error)
        self.square += fallen**2
        self.product += fallen * gained

    @property
    def rate(self) -> float:
        return min(_FASTEST, max(_SLOWEST, self.product / self.square))
