"""The plan of a PREDICT: whole inputs through models, without games.

In: which models are read at which layers, the number of inputs and their size. Out: a frozen plan with its cost. It
runs nothing, and does not know what the store has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..catalog.catalog import Catalog
from .cost import NOTHING, deepest
from .fuse import ways
from .graph import PlanGraph
from .physical import Cost, PhysicalPlan, Run
from .strategy import Strategy

_FEW = 4  # inputs that are run one by one, where batches are filled up with copies


@dataclass(frozen=True, eq=False)
class WholePass:
    """The pass of all inputs through one model. `layers` are read (None: the model itself)."""

    model: str
    layers: tuple[int | None, ...]
    run: Run
    cost: Cost


@dataclass(frozen=True, eq=False)
class WholePlan:
    """Which models are given which inputs: `inputs` of them, each once to every model. `names` are those of the
    registered inputs that are read."""

    query: str
    passes: tuple[WholePass, ...]
    inputs: int
    names: tuple[str, ...]
    strategy: Strategy
    seed: int
    collapsed: int = 0  # edits of codes that are one with another one (L19)

    @property
    def cost(self) -> Cost:
        """The cost of all passes, if the store has no row of them."""
        return sum((each.cost for each in self.passes), NOTHING)

    @property
    def alone(self) -> bool:
        """Whether every input is run alone: where batches are filled up, few inputs are not worth a batch of copies."""
        return self.strategy.pace.filled and self.inputs <= _FEW

    @property
    def without_games(self) -> PhysicalPlan:
        """The same query as a plan of no game, for what runs plans."""
        rest = ((), (), (), (), (), NOTHING, 0.0, (), ())
        return PhysicalPlan(self.query, PlanGraph(()), *rest, self.strategy, self.seed)


def plan_wholes(
    layers: Mapping[str, tuple[int | None, ...]],
    inputs: int,
    elements: int,
    names: tuple[str, ...],
    query: str,
    catalog: Catalog,
    strategy: Strategy,
    seed: int,
) -> WholePlan:
    """The plan that gives `inputs`, of `elements` numbers each, to the models of `layers`, read at these layers."""
    way = ways(replace(strategy, mode="eager"), catalog)  # as ends of games are run
    passes = []
    for model, read in layers.items():
        chosen, cost, _ = way((model,), (deepest(read),), inputs, elements)
        passes.append(WholePass(model, read, Run(chosen.batch_size, "eager"), cost))
    strategy = replace(strategy, reuse=strategy.reuse is not False)
    plan = WholePlan(query, tuple(passes), inputs, names, strategy, seed)
    if not plan.alone:
        return plan
    return replace(plan, passes=tuple(replace(each, run=each.run._replace(batch_size=1)) for each in passes))
