"""Shapley values without bias: the values of a surrogate, plus a weighted mean of its residuals (Witter et al., NeurIPS
2025).

In: a number of players, rows and a seed, then values of a design's coalitions. Out: a `Design` of pairs, drawn
independently of each other, and an `Estimate` for each column. Knows nothing of models, names, budgets or plans.

With g the odd part of the game and C(d, s) coalitions of size s, φ_i = Δ / d + Σ c_i(S) g(S) over pairs {S, N∖S},
c_i = 2 / (s C(d, s)) for members and −2 / ((d − s) C(d, s)) for others. The pairs of each size are split into two
halves. A surrogate f̂ is fitted to the first half. The sum of c (g − f̂) is then known for the pairs of the first half.
For all other pairs it is estimated from the second half, each pair weighted by the number of pairs of its size that it
stands for; this is unbiased, whatever f̂ is. The answer is the mean over both assignments of the halves.
Σφ = v(N) − v(∅) holds exactly, since Σ_i c_i = 0.
"""

from __future__ import annotations

import numpy as np

from ...errors import BudgetError
from ...system.arrays import Floats
from .. import pairs
from ..coalitions import Design
from ..ladder import PAIRS_A_FEATURE, Ladder, factorised, student
from .estimate import Estimate, Part
from .estimator import RATE_OF_REGRESSIONS, Estimator, seconds_of_means


def _suits(players: int, rows: int, halves: bool) -> bool:
    """False: it is used only when a query names it, since regression has smaller errors."""
    return False


def _rows(players: int, most: int) -> int:
    least = 2 + 2 * pairs.least(players)
    if most < least:
        raise BudgetError(f"unbiased values of {players} players need {least} rows at least; the budget is {most}")
    return 2 + 2 * ((most - 2) // 2)


def _draw(players: int, rows: int, seed: int) -> Design:
    coalitions, found = pairs.draw(players, rows, seed, independent=True)
    return Design("unbiased", players, seed, coalitions, ("unbiased", players, len(coalitions), seed), pairs=found)


def _read(design: Design, values: Floats, part: Part) -> list[Estimate]:
    return [_fit(design, factorised(design), np.ascontiguousarray(column)) for column in values.T]


def _fit(design: Design, ladder: Ladder, column: Floats) -> Estimate:
    """Values of one column (rows,), and what each pair adds to their errors, by the half to which it is not fitted.

    The surrogate has the free features of the ladder, as many as half of the pairs allow; their choice must not depend
    on the values. Influences are not centred within sizes, which makes the errors a little too large.
    """
    if design.pairs is None:
        raise TypeError(f"unbiased values need pairs; a design of '{design.method}' has none")
    d, size, rate = design.players, design.pairs.size, design.pairs.rate
    scale = np.abs(column).max() or 1.0
    column = column / scale
    gain = column[1] - column[0]
    odd = (column[2::2] - column[3::2]) / 2 - gain * ladder.tilt / 2
    most = int(len(size) // 2 / PAIRS_A_FEATURE)
    width = min(most, ladder.width) if most >= d - 1 else 0
    features, root = ladder.features[:, :width], ladder.root_weight
    drawn = np.bincount(size, minlength=d + 1)[size]
    share = np.where(2 * size == d, 1.0, 2.0)[:, None]  # c_i times the number of pairs of the size
    share = np.where(design.coalitions[2::2], share / size[:, None], -share / (d - size)[:, None])
    second = (np.arange(len(size)) - np.searchsorted(size, size)) % 2 == 1
    values, influence = np.full(d, gain / d), np.zeros((len(size), d))
    for told in (~second, second):
        told_of_size = np.bincount(size[told], minlength=d + 1)[size]
        unseen, checks = 1 - told_of_size * rate / drawn, drawn - told_of_size  # a share, a number
        coefficients = np.linalg.lstsq(features[told], (root * odd)[told], rcond=None)[0]
        rest = odd - features @ coefficients / root
        weight = np.where(told, rate / drawn, unseen / np.maximum(checks, 1))
        values += (ladder.effects[:, :width] @ coefficients + (weight * rest) @ share) / 2
        missed = np.where(told, 0, 1 - rate) / np.where(unseen > 0, unseen, 1)  # finite-population factor
        influence += (np.sqrt(missed) * weight * rest)[:, None] * share / 2
    widening = student(max(len(size) - d, 1))
    return Estimate(values * scale, influence * widening * scale, f"{width} features")


UNBIASED = Estimator(
    name="unbiased",
    suits=_suits,
    rows=_rows,
    draw=_draw,
    read=_read,
    seconds=seconds_of_means,
    rate=RATE_OF_REGRESSIONS,
    form="pairs",
)
