"""Checks, on the plan as written, that each interpreter supports the operators that are applied to its maps.

In: the graph of a query's plans, where operators stand in the text, the catalog's interpreters. Out: nothing, or a
CompositionError placed in the text. What the algebra itself leaves undefined is checked in `check`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..algebra.operators import AntiJoin, Identity, Join, Operator, Projection, Selection
from ..algebra.windows import EVERYTHING
from ..errors import CompositionError, Span
from ..interpreters.protocol import Interpreter, Operation
from ..interpreters.shipped import SHAPLEY
from .graph import PlanGraph
from .lower import explained_against_inputs

_REFUSED: dict[Operation, str] = {
    "project": "{} cannot be projected on a window: {}",
    "select": "{} cannot explain a layer: {}",
    "join": "{} cannot be joined: {}",
    "antijoin": "{} cannot explain one input against another: {}",
}


class _Asked(NamedTuple):
    """What a plan contains: the names of its interpreters, and its first anti-join."""

    names: frozenset[str]
    anti: AntiJoin | None = None


def check_meaning(
    graph: PlanGraph, interpreter: Callable[[str], Interpreter], places: Mapping[Operator, Span] | None = None
) -> None:
    """Raise CompositionError where an operator is applied to a map of an interpreter that does not support it, and
    where an anti-join would compare maps of two interpreters."""
    spans = places or {}

    def refuse(each: Operator, operation: Operation, names: frozenset[str]) -> None:
        for name in sorted(names):
            reason = interpreter(name).cannot.get(operation)
            if reason is not None:
                raise CompositionError(_REFUSED[operation].format(name, reason), spans.get(each))

    def visit(each: Operator, below: tuple[_Asked, ...]) -> _Asked:
        names = below[0].names if len(below) == 1 else frozenset[str]().union(*(part.names for part in below))
        anti = next((part.anti for part in below if part.anti is not None), None)
        match each:
            case Identity():
                names = frozenset({each.estimation.interpreter})
            case Projection(window, _) if window is not EVERYTHING:
                refuse(each, "project", names)
            case Selection():
                refuse(each, "select", names)
            case Join():
                refuse(each, "join", names)
            case AntiJoin(_, _, contrast):
                if len(names) > 1:
                    raise CompositionError(
                        f"an anti-join compares maps of one interpreter, not of {' and '.join(sorted(names))}",
                        spans.get(each),
                    )
                if contrast == "literal" and names != {SHAPLEY}:
                    raise CompositionError(
                        f"the literal contrast is one of Shapley values; {min(names)} has no two halves",
                        spans.get(each),
                    )
                anti = anti or each
        return _Asked(names, anti)

    for plan, asked in zip(graph.plans, graph.fold(visit), strict=True):
        if asked.anti is None or all(interpreter(name).cannot.get("antijoin") is None for name in asked.names):
            continue
        if explained_against_inputs(graph, plan):
            refuse(asked.anti, "antijoin", asked.names)
