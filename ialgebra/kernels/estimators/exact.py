"""Exact Shapley values: every coalition is evaluated, and weighted as in Eq. 2 of the paper.

In: a number of players, then values of all their coalitions. Out: a `Design` and an `Estimate` for each column, without
error. Knows nothing of models, names, budgets or plans.
"""

from __future__ import annotations

import math

import numpy as np

from ...errors import BudgetError
from ...system.arrays import Bools, Floats, Ints
from ..coalitions import MAX_EXACT_PLAYERS, Design
from .estimate import Estimate, Part
from .estimator import RATE_OF_MEANS, Estimator, seconds_of_means

_AT_ONCE = 1 << 18  # values that are summed at once


def _suits(players: int, rows: int, halves: bool) -> bool:
    """Whether the rows are enough for every coalition."""
    return rows == 1 << players and players <= MAX_EXACT_PLAYERS


def _rows(players: int, most: int) -> int:
    """2^players; raises BudgetError for too many players, or if 2^players is more than `most`."""
    everything = 1 << players
    if players > MAX_EXACT_PLAYERS:
        raise BudgetError(
            f"exact values of {players} players need 2^{players} rows; the most is {MAX_EXACT_PLAYERS} players"
        )
    if most < everything:
        raise BudgetError(f"exact values of {players} players need {everything} rows; the budget is {most}")
    return everything


def _draw(players: int, rows: int, seed: int) -> Design:
    """Every coalition. Raises BudgetError for too many players, or fewer rows than coalitions."""
    if players > MAX_EXACT_PLAYERS or rows < 1 << players:
        raise BudgetError(f"exact values of {players} players need 2^{players} rows, not {rows}")
    return Design("exact", players, seed, _every_coalition(players), ("exact", players, 1 << players, 0))


def _every_coalition(players: int) -> Bools:
    """∅, N, then the integers between them in ascending order, bit i for player i."""
    last = (1 << players) - 1
    codes = np.concatenate([np.unique([0, last]), np.arange(1, last)])
    masks: Bools = (codes[:, None] >> np.arange(players)) & 1 == 1
    return masks


def _read(design: Design, values: Floats, part: Part) -> list[Estimate]:
    """Eq. 2 in full: each coalition counts 1 / (d C(d−1, s)) in the mean over the coalitions that lack the player."""
    d, count = design.players, values.shape[1]
    without_error = np.zeros((0, d))
    if d == 0:
        return [Estimate(np.zeros(0), without_error, "exact") for _ in range(count)]
    size = design.coalitions.sum(axis=1)
    share = np.array([1 / (d * math.comb(d - 1, s)) for s in range(d)])
    present, absent = np.r_[0, share][size], np.r_[share, 0][size]
    # for each player the rows with it, then those without
    rows = [np.argsort(~member, kind="stable").reshape(2, -1) for member in design.coalitions.T]
    together = max(1, _AT_ONCE // len(size))
    found: list[Floats] = []
    for first in range(0, count, together):
        columns = np.ascontiguousarray(values[:, first : first + together].T)
        a = _sums(columns * present, [each[0] for each in rows])
        b = _sums(columns * absent, [each[1] for each in rows])
        found.extend({"shapley": a - b, "with": a, "without": b}[part])
    return [Estimate(each, without_error, "exact") for each in found]


def _sums(columns: Floats, rows: list[Ints]) -> Floats:
    """(columns, players) the sum of each column over the rows of each player; of a column what it would be alone."""
    return np.stack([np.take(columns, each, axis=1).sum(axis=1) for each in rows], axis=1)


EXACT = Estimator(
    name="exact",
    suits=_suits,
    rows=_rows,
    draw=_draw,
    read=_read,
    seconds=seconds_of_means,
    rate=RATE_OF_MEANS,  # never used: an exact answer needs no second round
    halves=True,
    complete=True,
)
