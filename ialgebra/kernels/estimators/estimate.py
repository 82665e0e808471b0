"""Values of a design's coalitions → Shapley values with standard errors.

In: a `Design` and its values, one column per scalar read from the same rows. Out: one `Estimate` per column, each a
function of its own column alone. Knows nothing of models, names, budgets or plans.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from ialgebra.errors import BudgetError, ShapeError
from ialgebra.kernels.coalitions import Chains, Design
from ialgebra.kernels.estimators import unbiased
from ialgebra.kernels.ladder import Ladder, student

from ...system.arrays import Floats

Part = Literal["shapley", "with", "without"]

_PRIOR = 4  # degrees of freedom that the players' mean variance brings to each of theirs


@dataclass(frozen=True, eq=False)
class Estimate:
    """Shapley values of one column: `values` (players,), and row by row what each independent unit adds to their error.

    `influence` (units, players) is scaled so that `stderr` is the root of its summed squares: the error of Σ c_k φ̂_k
    over one design is that of Σ c_k influence_k. Exact values have no rows, an unknown error is one row of +inf. Units
    are antithetic pairs of permutations, or pairs of coalitions. `rung` names what was fitted.
    """

    values: Floats
    influence: Floats
    rung: str

    @property
    def stderr(self) -> Floats:
        """(players,) standard errors, such that |φ̂ − φ| ≤ 1.96 stderr holds 95 times in 100."""
        error: Floats = np.hypot.reduce(self.influence, axis=0)  # squares of small values would underflow
        return error

    @property
    def known(self) -> bool:
        """Whether the design can tell its own error."""
        return bool(np.isfinite(self.influence).all())


def estimate(design: Design, values: Floats, part: Part = "shapley") -> list[Estimate]:
    """One Estimate per column of `values` (m, k), in the unit of the values; `part` as in Eq. 2 of the paper.

    'shapley' is A − B; 'with' is A_i, the mean over sizes 0 … d−1 of the mean of v(S ∪ i) over S ∌ i; 'without' is B_i,
    likewise of v(S). Raises ShapeError for a wrong number of rows, BudgetError for a part that regression cannot give.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or len(table) != len(design.coalitions):
        rows = len(design.coalitions)
        raise ShapeError(f"values of shape {table.shape} do not fit a design of {rows} rows; give ({rows}, columns)")
    columns = [np.ascontiguousarray(column) for column in table.T]
    if design.chains is not None:
        return [_permutations(design.chains, column, part) for column in columns]
    if design.pairs is not None:
        if part != "shapley":
            raise BudgetError(f"{design.method} cannot give the part '{part}' alone; use exact or permutations")
        ladder = _ladder(design)
        if design.method == "unbiased":
            return [Estimate(*unbiased.fit(design, ladder, column)) for column in columns]
        return [Estimate(*fit) for fit in ladder.fit(np.ascontiguousarray(table.T))]
    return [_exact(design, column, part) for column in columns]


@lru_cache(maxsize=2)
def _ladder(design: Design) -> Ladder:
    """The factorised regression of a design, kept while the games of one query that share the design are read."""
    return Ladder(design)


def _exact(design: Design, column: Floats, part: Part) -> Estimate:
    """Eq. 2 in full: each coalition counts 1 / (d C(d−1, s)) in the mean over the coalitions that lack the player."""
    d = design.players
    if d == 0:
        return Estimate(np.zeros(0), np.zeros((0, 0)), "exact")
    size = design.coalitions.sum(axis=1)
    share = np.array([1 / (d * math.comb(d - 1, s)) for s in range(d)])
    present = column * np.r_[0, share][size]
    absent = column * np.r_[share, 0][size]
    a = np.array([present[member].sum() for member in design.coalitions.T])
    b = np.array([absent[~member].sum() for member in design.coalitions.T])
    return Estimate({"shapley": a - b, "with": a, "without": b}[part], np.zeros((0, d)), "exact")


def _permutations(chains: Chains, column: Floats, part: Part) -> Estimate:
    """Means over antithetic pairs of chains (Mitchell et al., JMLR 2022); a block's gain is spread evenly over it."""
    scale = np.abs(column).max() or 1.0  # squares of huge or tiny values would not be numbers
    column = column / scale
    low, high = column[chains.rows[:, :-1]], column[chains.rows[:, 1:]]
    # Inside a block a player's place is uniform, and the path taken for a straight line from low to high.
    step = (high - low) / chains.size
    middle, half = (low + high) / 2, step / 2
    level = {"shapley": step, "with": middle + half, "without": middle - half}[part]
    gains = np.take_along_axis(level, chains.block, axis=1)
    pairs = (gains[::2] + gains[1::2]) / 2
    n, d = pairs.shape
    mean = pairs.mean(axis=0) * scale
    if n < 2 or low.shape[1] < d:
        return Estimate(mean, np.full((1, d), np.inf), "permutations")
    # A player who happened to be pivotal in no chain would show no variance at all, hence moderated variances: a
    # player's own counts n − 1 times, the players' mean _PRIOR times (Smyth, 2004).
    error = (pairs - pairs.mean(axis=0)) / math.sqrt(n * (n - 1))
    pooled = np.square(error).mean(axis=1, keepdims=True)
    freedom = n - 1 + _PRIOR
    moderated = np.sqrt(((n - 1) * np.square(error) + _PRIOR * pooled) / freedom)
    return Estimate(mean, np.copysign(moderated, error) * (student(freedom) * scale), "permutations")
