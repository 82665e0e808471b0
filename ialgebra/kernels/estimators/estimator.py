"""What an estimator is: one frozen value that says which rows it takes, draws them, reads them, and what that costs.

Knows designs and estimates: no model, no name that a query uses, no plan. `registry` lists the values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ...system.arrays import Floats
from ..coalitions import Design
from .estimate import Estimate, Part

TINY_GAME = 3  # players up to which a budget of all rows gives exact values by any method: sampling would repeat rows

# Before rounds have measured how the error falls, it is assumed to fall as (share of unseen rows)^rate.
RATE_OF_MEANS = 0.5  # the error of the mean of n draws falls as n^−½
RATE_OF_REGRESSIONS = 1.0  # a surrogate gets better with rows, too

LEAST_STEP = 2  # rows by which a design of pairs grows: one more pair of coalitions

_SECONDS_A_MEAN = 1e-8  # to take means, for each row, player and column, on one core: fitted by `benchmarks.costmodel`


Form = Literal["coalitions", "chains", "pairs"]
"""What a design holds beside its coalitions, if anything."""


def form_of(design: Design) -> Form:
    """The form of a design."""
    if design.chains is not None:
        return "chains"
    return "coalitions" if design.pairs is None else "pairs"


@dataclass(frozen=True)
class Estimator:
    """One way to estimate values of players from values of some coalitions.

    `suits(players, rows, halves)`: whether it may be taken for this number of rows if a query names no method; the
    first of the registry that suits is taken. `rows(players, most)`: how many of at most `most` rows its design takes;
    raises BudgetError if `most` is too small. `draw(players, rows, seed)`: the design; for one seed, a larger design
    contains a smaller one. `read(design, values, part)`: an Estimate for each column of `values` (m, k).
    `seconds(players, rows, columns)`: how long reading takes. `rate`: how fast its error falls, see `RATE_OF_MEANS`.
    `halves`: whether it can give the two parts of Eq. 2 separately. `complete`: whether it needs every coalition, and
    has no error. `form`: the form of the designs that it draws and reads. `least_step(players)`: the fewest rows that a
    design can grow by.
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
    form: Form = "coalitions"
    least_step: Callable[[int], int] = lambda players: LEAST_STEP


def seconds_of_means(players: int, rows: int, columns: int) -> float:
    """Seconds to take means over the rows of a design, for all columns."""
    return _SECONDS_A_MEAN * rows * players * columns
