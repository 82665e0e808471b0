"""Shapley values by regression on pairs: the estimator of most games. The mathematics are in `ladder`.

In: a number of players, rows and a seed, then values of a design's coalitions. Out: a `Design` of pairs, and an
`Estimate` for each column. Knows nothing of models, names, budgets or plans.
"""

from __future__ import annotations

import numpy as np

from ...system.arrays import Floats
from .. import pairs
from ..coalitions import Design
from ..hindsight import stated
from ..ladder import MOST_THREES, centres
from .estimate import Estimate, Part
from .estimator import RATE_OF_REGRESSIONS, Estimator

# Seconds on one core, fitted by `benchmarks.costmodel`.
A_FIT, A_COLUMN = 3e-3, 3e-4  # to set up a regression, and to read a column by it
_SECONDS_A_COVARIANCE = 1e-7  # for each covariance of a pair and a centre, to take the spectrum of a process


def _suits(players: int, rows: int, halves: bool) -> bool:
    """It takes every game that no estimator before it in the registry takes, unless the two `halves` are needed."""
    return not halves


def _rows(players: int, most: int) -> int:
    return 2 + 2 * ((most - 2) // 2)


def _draw(players: int, rows: int, seed: int) -> Design:
    coalitions, found = pairs.draw(players, rows, seed, independent=False)
    return Design("regression", players, seed, coalitions, ("regression", players, len(coalitions), seed), pairs=found)


def _read(design: Design, values: Floats, part: Part) -> list[Estimate]:
    return stated(design, np.ascontiguousarray(values.T))


def _seconds(players: int, rows: int, columns: int) -> float:
    """Mostly the time of spectra: one for the design, and for each column two, or one if there are very many pairs.
    Half of the pairs are fitted too."""
    count = max(0, rows - 2) // 2
    many = count > MOST_THREES
    each, seconds = 1 if many else 2, 0.0
    for part in (count, count // 2):
        some = centres(part, many)
        spectrum = _SECONDS_A_COVARIANCE * some * (some + part) / 2
        seconds += A_FIT + A_COLUMN * columns + spectrum * (1 + each * columns)
    return seconds


REGRESSION = Estimator(
    name="regression",
    suits=_suits,
    rows=_rows,
    draw=_draw,
    read=_read,
    seconds=_seconds,
    rate=RATE_OF_REGRESSIONS,
    form="pairs",
)
