"""How rows are divided among the games of an answer, and how many it will take to reach a bound (decision D8).

In: what each game has contributed to an answer's squared error, at how many rows. Out: rows. Numbers only.

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

_MOST_COUNTED_PLAYERS = 60  # of more players the coalitions count as infinitely many
_HALVINGS = 50  # of a bisection on [0, 1]: down to the last bits of a float
_PRIOR_WEIGHT = math.log(2) ** 2  # of what is believed about a decay before: as much as one halving of the gap
_SLOWEST, _FASTEST = 0.5, 2.0  # rates that are believed: that of plain means, and twice that of regressions


class Stratum(NamedTuple):
    """One game's part of an answer: `rows` so far, of `population`, at most `cap`; its `variance`, which is its share
    of the answer's squared error (negative where it cancels that of others); the `cost` of a row."""

    rows: float
    cap: float
    population: float
    variance: float
    cost: float


def population(players: int) -> float:
    """How many coalitions there are."""
    return 2.0**players if players <= _MOST_COUNTED_PLAYERS else math.inf


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
    for _ in range(_HALVINGS):
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

    `prior` is the rate that is believed before any is measured.
    """

    prior: float
    first: tuple[float, float] | None = None
    square: float = _PRIOR_WEIGHT
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
        return min(_FASTEST, max(_SLOWEST, self.product / self.square))
