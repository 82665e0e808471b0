"""Shapley values (Eq. 2), the default interpreter of queries. `USING exact()`, `USING permutations()` and so on choose
the estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..kernels.coalitions import Design
from ..kernels.estimators.estimate import Estimate
from ..kernels.estimators.registry import SHAPLEY_VALUES
from ..system.arrays import Floats
from .protocol import GameInterpreter, Option, Options


@dataclass(frozen=True)
class Shapley(GameInterpreter):
    """The Shapley value; `USING exact()` is short for the option `method => 'exact'`."""

    options: Mapping[str, Option] = field(
        default_factory=lambda: {"method": Option("word", legal=SHAPLEY_VALUES.methods)}
    )
    dual: bool = True
    linear: bool = True

    def choose(self, players: int, budget: int | None, options: Options) -> tuple[str, int]:
        method = options.get("method")
        return SHAPLEY_VALUES.choose(players, budget, None if method is None else str(method))

    def design(self, method: str, players: int, rows: int, seed: int) -> Design:
        return SHAPLEY_VALUES.design(method, players, rows, seed)

    def estimate(self, design: Design, values: Floats) -> Sequence[Estimate]:
        return SHAPLEY_VALUES.estimate(design, values)
