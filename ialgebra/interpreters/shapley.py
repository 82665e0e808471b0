"""Shapley values (Eq. 2), the interpreter of queries that name none; `USING exact()` and its like choose the
estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..kernels import coalitions
from ..kernels.coalitions import METHODS, Design
from ..kernels.estimators.estimate import Estimate, estimate
from .protocol import GameInterpreter, Option, Options


@dataclass(frozen=True)
class Shapley(GameInterpreter):
    """The value of the paper; `method => 'exact'` is what `USING exact()` says."""

    options: Mapping[str, Option] = field(default_factory=lambda: {"method": Option("word", legal=METHODS)})
    dual: bool = True

    def choose(self, players: int, budget: int | None, options: Options) -> tuple[str, int]:
        method = options.get("method")
        return coalitions.choose(players, budget, None if method is None else str(method))

    def design(self, method: str, players: int, rows: int, seed: int) -> Design:
        return coalitions.design(method, players, rows, seed)

    def estimate(self, design: Design, values: NDArray[np.float64]) -> Sequence[Estimate]:
        return estimate(design, values)
