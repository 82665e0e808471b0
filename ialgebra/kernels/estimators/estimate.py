"""The answer of an estimator for one column: values, and what each independent unit adds to their error.

In: arrays. Out: values, standard errors, and what a bound on the error needs to know of them. Knows no design, no game,
no plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from ...system.arrays import Floats

Part = Literal["shapley", "with", "without"]
"""Parts of Eq. 2. "shapley": A − B. "with": A_i, the mean over sizes 0 … d−1 of the mean of v(S ∪ i) over S ∌ i.
"without": B_i, the same mean of v(S)."""


class ErrorSums(NamedTuple):
    """What a bound on the error needs to know of influences: for each of some `sets` of units, in multiples of `unit`,
    `traces` (sets,) of its covariance, Σ influence² over units and players; and `products` (sets, sets), Σ over the
    entries of both sets' covariances multiplied."""

    unit: float
    traces: Floats
    products: Floats


class Weighted(NamedTuple):
    """Influences in few numbers: each set of them is one `reading` (units, players), whose rows are multiplied by the
    set's `weights` (sets, units). `stderr` (players,) and `sums` are what they amount to."""

    reading: Floats
    weights: Floats
    stderr: Floats
    sums: ErrorSums

    @property
    def influence(self) -> Floats:
        """(sets · units, players): the first set's, then the next one's."""
        found: Floats = (self.reading * self.weights[..., None]).reshape(-1, self.reading.shape[1])
        return found


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

    @classmethod
    def weighted(cls, values: Floats, rung: str, weighted: Weighted) -> Estimate:
        """An estimate of known error, whose influences are computed when they are asked for."""
        found = object.__new__(cls)
        found.__dict__.update(values=values, rung=rung, _weighted=weighted)
        return found

    @property
    def in_few(self) -> Weighted | None:
        """The influences in few numbers; None if the estimate was not made of these."""
        found: Weighted | None = self.__dict__.get("_weighted")
        return found

    @property
    def stderr(self) -> Floats:
        """(players,) standard errors: |φ̂ − φ| ≤ 1.96 stderr holds in 95 of 100 cases."""
        if self.in_few is not None:
            return self.in_few.stderr
        error: Floats = np.hypot.reduce(self.influence, axis=0)  # squares of small values would underflow
        return error

    @property
    def known(self) -> bool:
        """Whether the error is known."""
        return self.in_few is not None or bool(np.isfinite(self.influence).all())

    @property
    def sampled(self) -> bool:
        """Whether there are influences at all: exact values have none."""
        return self.in_few is not None or len(self.influence) > 0

    @property
    def nbytes(self) -> int:
        """The bytes of the estimate's arrays."""
        held = (self.influence,) if self.in_few is None else self.in_few[:3]
        return self.values.nbytes + sum(each.nbytes for each in held)

    def alone(self) -> Estimate:
        """The same estimate, in memory that it shares with no other."""
        values, few = self.values.copy(), self.in_few
        if few is None:
            return Estimate(values, self.influence.copy(), self.rung)
        sums = ErrorSums(few.sums.unit, few.sums.traces.copy(), few.sums.products.copy())
        return Estimate.weighted(
            values, self.rung, Weighted(few.reading.copy(), few.weights.copy(), few.stderr.copy(), sums)
        )


def _influence(estimate: Estimate) -> Floats:
    assert estimate.in_few is not None, "an estimate has influences, or what they are made of"
    return estimate.in_few.influence


# Where an estimate has no influences of its own, Python looks for them here, and keeps what it finds in the estimate.
_when_asked = cached_property(_influence)
_when_asked.__set_name__(Estimate, "influence")
type.__setattr__(Estimate, "influence", _when_asked)
