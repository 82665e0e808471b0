"""What an estimator is: one frozen value that says which rows it takes, draws them, reads them, and what that costs.

Knows designs and estimates: no model, no name that a query uses, no plan. `registry` lists the values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...system.arrays import Floats
from ..coalitions import Design
from .estimate import Estimate, Part

TINY_GAME = 3  # players up to which a budget for every row is exact whatever the method: sampling would repeat rows

# What is believed of an error before rounds have shown it: it falls as (share of unseen rows)^rate.
RATE_OF_MEANS = 0.5  # the mean of n draws errs as n^−½
RATE_OF_REGRESSIONS = 1.0  # a surrogate gets better with rows, too

LEAST_STEP = 2  # rows by which a design of pairs grows: one more pair of coalitions

_A_READING = 1e-8  # seconds a row, player and column to take means, on one core: fitted by `benchmarks.costmodel`


@dataclass(frozen=True)
class Estimator:
    """One way to estimate values of players from values of some coalitions.

    `suits(players, rows, halves)`: whether it is taken for so many rows where no method is named; the first in the
    registry's order that suits is. `rows(players, most)`: how many of at most `most` rows its design takes; raises
    BudgetError where they are too few. `draw(players, rows, seed)`: the design; of one seed, more rows contain
    fewer. `read(design, values, part)`: an Estimate for each column of `values` (m, k). `seconds(players, rows,
    columns)`: what reading takes. `rate`: how fast its error falls, see `RATE_OF_MEANS`. `halves`: whether it can give
    the two parts of Eq. 2 apart. `complete`: whether it needs every coalition, and has no error. `least_step(players)`:
    the fewest rows by which a larger design says more.
    """

    name: str
    suits: Callable[[int, int, bool], bool]
    rows: Callable[[int, int], int]
    draw: Callable[[int, int, int], Design]
    read: Callable[[Design, Floats, Part], list[Estimate]]
    seconds: Callable[[int, int, int], float]
    rate: float
    halves: bool = False
    complete: bool = False
    least_step: Callable[[int], int] = lambda players: LEAST_STEP


def seconds_of_means(players: int, rows: int, columns: int) -> float:
    """What it takes to take means over the rows of a design, for each column."""
    return _A_READING * rows * players * columns
