"""What an estimator answers for one column: values, and what each independent unit adds to their error.

Knows arrays only: no design, no game, no plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...system.arrays import Floats

Part = Literal["shapley", "with", "without"]
"""Of Eq. 2: A − B; A_i, the mean over sizes 0 … d−1 of the mean of v(S ∪ i) over S ∌ i; B_i, likewise of v(S)."""


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
        """(players,) standard errors: |φ̂ − φ| ≤ 1.96 stderr holds 95 times in 100."""
        error: Floats = np.hypot.reduce(self.influence, axis=0)  # squares of small values would underflow
        return error

    @property
    def known(self) -> bool:
        """Whether the design can tell its own error."""
        return bool(np.isfinite(self.influence).all())
