"""Banzhaf values: the mean marginal contribution over all coalitions alike, whatever their size.

They do not sum to v(N) − v(∅): a map of them has no such total.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..kernels import coalitions
from ..kernels.coalitions import Design
from ..kernels.estimators import banzhaf
from ..kernels.estimators.estimate import Estimate
from .protocol import GameInterpreter, Options


@dataclass(frozen=True)
class Banzhaf(GameInterpreter):
    """Exact where the budget pays for every coalition, as for Shapley values; else from uniform pairs."""

    dual: bool = True

    def choose(self, players: int, budget: int | None, options: Options) -> tuple[str, int]:
        method, rows = coalitions.choose(players, budget)
        if method == "exact":
            return method, rows
        _, rows = coalitions.choose(players, budget, "regression")
        return "uniform", rows

    def design(self, method: str, players: int, rows: int, seed: int) -> Design:
        return banzhaf.design(method, players, rows, seed)

    def estimate(self, design: Design, values: NDArray[np.float64]) -> Sequence[Estimate]:
        return banzhaf.estimate(design, values)
