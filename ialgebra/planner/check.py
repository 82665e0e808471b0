"""Definedness, checked on the plan as written, before any rewrite: an inside-out rewrite would hide σ₁σ₂σ₁ (L2, L5).

In: the graph of a query's plans, and where operators stand in the text. Out: nothing, or a CompositionError placed in
the text; a BudgetError where plans stand for more maps than can be planned, which a short text can do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from ..algebra.operators import AntiJoin, Identity, Join, Operator, Selection
from ..errors import BudgetError, CompositionError, Span
from .graph import PlanGraph

MOST: Final = 100_000  # φ of one query; to plan so many takes half a minute


class _Below(NamedTuple):
    """What a plan contains: its lowest selected layer, and whether joins or anti-joins are in it."""

    lowest: int | None = None
    join: bool = False
    anti: bool = False


def check(graph: PlanGraph, places: Mapping[Operator, Span] | None = None) -> None:
    """Raise CompositionError where a plan is undefined: σ_l over σ_l' with l > l', or ⋈ and ⋄ within one another."""
    spans = places or {}

    def visit(each: Operator, below: tuple[_Below, ...]) -> _Below:
        lowest = min((part.lowest for part in below if part.lowest is not None), default=None)
        join = any(part.join for part in below)
        anti = any(part.anti for part in below)
        match each:
            case Selection(layer, _):
                if lowest is not None and layer > lowest:
                    raise CompositionError(
                        f"layer {layer} of a map that is already cut after layer {lowest} is undefined: "
                        f"an outer selection must name a layer ≤ {lowest}",
                        spans.get(each),
                    )
                lowest = layer
            case Join():
                if anti:
                    raise CompositionError(
                        "a join over an anti-join is undefined (an anti-join is a pair of maps); "
                        "join the inputs first, or ask two queries",
                        spans.get(each),
                    )
                join = True
            case AntiJoin():
                if join or anti:
                    inner = "a join" if join else "another anti-join"
                    raise CompositionError(
                        f"an anti-join over {inner} is undefined (its operands are single inputs); "
                        "write one chain of left joins, or ask two queries",
                        spans.get(each),
                    )
                anti = True
        return _Below(lowest, join, anti)

    graph.fold(visit)


def check_size(graph: PlanGraph) -> None:
    """Raise BudgetError where the plans stand for more than `MOST` φ.

    A short text can: each view that joins another view with itself doubles the number of φ, and an anti-join of n
    inputs explains each input n − 1 times.
    """
    count = sum(graph.fold(_size))
    if count > MOST:
        raise BudgetError(
            f"the query stands for {count:,} maps of one input against one baseline; the most is {MOST:,}"
        )


def _size(plan: Operator, below: tuple[int, ...]) -> int:
    match plan:
        case Identity(inputs=inputs, baselines=baselines):
            return len(inputs) * len(baselines)
        case AntiJoin():
            return sum(below) ** 2 - sum(each**2 for each in below)
    return sum(below)
