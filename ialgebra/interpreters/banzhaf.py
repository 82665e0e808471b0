"""Banzhaf values: the mean marginal contribution over all coalitions, each with equal weight.

In: a design and its values. Out: estimates. Banzhaf values do not sum to v(N) − v(∅).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..kernels.coalitions import Design
from ..kernels.estimators.estimate import Estimate
from ..kernels.estimators.registry import BANZHAF_VALUES
from ..system.arrays import Floats
from .protocol import GameInterpreter, Options


@dataclass(frozen=True)
class Banzhaf(GameInterpreter):
    """Exact if the budget is enough for every coalition, as for Shapley values; otherwise from uniform pairs."""

    dual: bool = True
    linear: bool = True

    def choose(self, players: int, budget: int | None, options: Options) -> tuple[str, int]:
        return BANZHAF_VALUES.choose(players, budget)

    def design(self, method: str, players: int, rows: int, seed: int) -> Design:
        return BANZHAF_VALUES.design(method, players, rows, seed)

    def estimate(self, design: Design, values: Floats) -> Sequence[Estimate]:
        return BANZHAF_VALUES.estimate(design, values)
