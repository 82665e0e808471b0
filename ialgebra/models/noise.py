"""How large the noise of a random model is: outputs of rows that were run several times in; levels of noise out.

Three rows of a game are run several times: x_∅, x_N, and a hybrid of about half of the players, which stands for all
others. If their variances differ no more than chance allows, the noise is the same everywhere, and they are pooled.
Otherwise each end has its own, and the rows between get the largest. Knows arrays: no model, no plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..system.arrays import Floats

_SAME = (
    18.0  # variances of 7 degrees of freedom differ by a larger factor in 1 of 100 samples of three, if all are equal
)
_SHARED = 0.01  # variance within passes / variance between them, below which one draw serves all rows of a pass
_SHIFTED = 12.0  # a difference of so many standard errors, from few values, is none of chance


@dataclass(frozen=True)
class NoiseLevel:
    """Standard deviations of v(∅), v(N) and of the rows between, each known with so many degrees of freedom."""

    empty: float
    full: float
    between: float
    freedom: float

    def of_mean(self, rows: int, *, full: bool) -> NoiseLevel:
        """That of means over so many rows; with `full` also of v(N), which else is one row."""
        root = math.sqrt(rows)
        return NoiseLevel(self.empty / root, self.full / (root if full else 1.0), self.between / root, self.freedom)


@dataclass(frozen=True, eq=False)
class RepeatedRows:
    """Logits of one layer for rows of one game, each run several times: `empty` (n, K), `full` (n, K), `between`
    (m, K). `content` is what the model was; `ends` name x_∅ and x_N."""

    content: object
    layer: object
    ends: tuple[str, str]
    empty: Tensor
    full: Tensor
    between: Tensor

    @property
    def noisy(self) -> bool:
        """Whether any row got different outputs."""
        return any(bool((rows != rows[0]).any()) for rows in (self.empty, self.full, self.between))


def level(samples: Sequence[RepeatedRows], ends: tuple[str, str], read: Callable[[Tensor], Floats]) -> NoiseLevel:
    """The noise of what `read` makes of logits (rows, K), at the rows of the game with these `ends`.

    Of a game whose rows were not repeated, it is the largest noise of the other games.
    """
    own = [each for each in samples if each.ends == ends] or samples
    found = [[read(rows) for rows in (each.empty, each.full, each.between)] for each in own]
    variances = np.array([[float(np.var(values, ddof=1)) for values in each] for each in found])
    freedom = np.array([[len(values) - 1 for values in each] for each in found])
    if variances.max() <= _SAME * variances.min():
        deviation = float(np.sqrt((variances * freedom).sum() / freedom.sum()))
        return NoiseLevel(deviation, deviation, deviation, float(freedom.sum()))
    empty, full, between = np.sqrt(variances.max(axis=0)).tolist()
    return NoiseLevel(empty, full, max(empty, full, between), float(freedom.min()))


def is_alike(samples: Sequence[RepeatedRows]) -> bool:
    """Whether the noise is the same at all rows, as far as chance allows."""
    repeated = (rows for each in samples for rows in (each.empty, each.full, each.between))
    variances = [float(rows.double().var(dim=0).sum()) for rows in repeated]
    return max(variances) <= _SAME * min(variances)


def is_shared(twins: Tensor) -> bool:
    """Whether one draw serves all rows of a pass: `twins` (passes, 2, K) are equal rows that shared a pass."""
    within = (twins[:, 0] - twins[:, 1]).double().square().mean(dim=0) / 2
    between = twins.double().reshape(-1, twins.shape[2]).var(dim=0)
    return bool((within <= _SHARED * between).all())


def is_shifted(alone: Tensor, together: Tensor) -> bool:
    """Whether outputs (n, K) of a row alone lie elsewhere than outputs (m, K) of the same row beside others, by more
    than their noise explains."""
    one, other = alone.double(), together.double()
    error = (one.var(dim=0) / len(one) + other.var(dim=0) / len(other)).sqrt()
    return bool(((one.mean(dim=0) - other.mean(dim=0)).abs() > _SHIFTED * error + 1e-12).any())
