"""The answer of an estimator for one column: values, and what each independent unit adds to their error.

Knows arrays only: no design, no game, no plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...system.arrays import Floats

Part = Literal["shapley", "with", "without"]
"""Parts of Eq. 2. "shapley": A − B. "with": A_i, the mean over sizes 0 … d−1 of the mean of v(S ∪ i) over S ∌ i.
"without": B_i, the same mean of v(S)."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """Shapley values of one column: `values` (players,), and in each row of `influence`, what one independent unit adds
    to their error.

    `influence` (units, players) is scaled so that `stderr` is the root of its summed squares. The influence of a sum
    Σ c_k φ̂_k of estimates from one design is Σ c_k influence_k. Exact values have no rows; an unknown error is one row
    of +inf. Units are antithetic pairs of permutations, or pairs of coalitions. `rung` names what was fitted.
    """

    values: Floats
    influence: Floats
    rung: str

    @property
    def stderr(self) -> Floats:
        """(players,) standard errors: |φ̂ − φ| ≤ 1.96 stderr holds in 95 of 100 cases."""
        error: Floats = np.hypot.reduce(self.influence, axis=0)  # squares of small values would underflow
        return error

    @property
    def known(self) -> bool:
        """Whether the error is known."""
        return bool(np.isfinite(self.influence).all())
