"""How rows are divided among the games of an answer, and how many it will take to reach a bound (decision D8).

In: what each game has contributed to an answer's squared error, at how many rows. Out: rows. Numbers only.

An error falls as u^rate, where u = 1/rows − 1/population counts the rows yet unseen: the rate is 1/2 for means over
permutations; regressions measure about 1, because more rows also raise how much their surrogates explain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

_EXPONENT = 60  # players above which a population is endless


class Stratum(NamedTuple):
    """One game's part of an answer: `rows` so far, of `population`, at most `cap`; its `variance`, its share of the
    answer's squared error (negative where it cancels others'); the `cost` of a row."""

    rows: float
    cap: float
    population: float
    variance: float
    cost: float


def population(players: int) -> float:
    """How many coalitions there are."""
    return 2.0**players if players <= _EXPONENT else math.inf


def unseen(rows: float, population: float) -> float:
    """1/rows − 1/population, to whose power an error is proportional: 0 where all rows are in."""
    return max(0.0, 1 / rows - 1 / population)


def rows_to(strata: Sequence[Stratum], ratio: float, rate: float, *, allocate: bool) -> list[float]:
    """The rows of each game with which the answer's error falls to `ratio` ≤ 1 times what it is, at the least cost.

    With `allocate` rows are in the proportion that minimises Σ cost · rows, Neyman's (1934) for rate 1/2: rows^(2 rate
    + 1) ∝ variance / cost at equal rows. Otherwise all games grow alike. Rows already paid for are kept; where the
    caps do not allow the ratio, rows are the caps.
    """
    rows, _, whole, variance, cost = (np.array(each, dtype=np.float64) for each in zip(*strata, strict=True))
    gap = np.array([unseen(each.rows, each.population) for each in strata])
    capped = np.array([unseen(max(each.rows, each.cap), each.population) for each in strata])
    lowest = np.divide(capped, gap, out=np.ones_like(gap), where=gap > 0)
    share = np.maximum(variance, 1e-12 * max(variance.max(initial=0), 1e-200))
    weight = (cost * rows / share) ** (1 / (2 * rate + 1)) if allocate else np.ones_like(rows)
    weight /= weight.min()
    # Σ share · (gap shrunk)^(2 rate) = ratio² Σ share, by bisection on one factor for all games.
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        shrunk = np.clip(middle * weight, lowest, 1)
        reached = float(share @ shrunk ** (2 * rate)) <= ratio**2 * float(share.sum())
        low, high = (middle, high) if reached else (low, middle)
    left = np.clip(high * weight, lowest, 1) * gap + 1 / whole
    found: list[float] = np.maximum(rows, 1 / left).tolist()
    return found


@dataclass
class Decay:
    """How fast an answer's error has fallen so far: a regression through its first round, in logarithms.

    `prior` is what is believed before: it counts as much as one halving.
    """

    prior: float
    first: tuple[float, float] | None = None
    square: float = math.log(2) ** 2
    product: float = 0.0

    def __post_init__(self) -> None:
        self.product = self.prior * self.square

    def learn(self, gap: float, error: float) -> None:
        """One round's error at its share of unseen rows."""
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
        return min(2.0, max(0.5, self.product / self.square))
