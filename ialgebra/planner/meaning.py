"""Which compositions an interpreter can mean, checked on the plan as written.

In: a plan, where its operators stand in the text, the catalog's interpreters. Out: nothing, or a CompositionError
placed in the text. What the algebra itself leaves undefined is `check`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..algebra.operators import AntiJoin, Identity, Join, Operator, Projection, Selection, fold
from ..algebra.windows import EVERYTHING
from ..errors import CompositionError, Span
from ..interpreters.protocol import Interpreter, Operation
from ..interpreters.shipped import SHAPLEY
from .lower import explained_against_inputs

_REFUSED: dict[Operation, str] = {
    "project": "{} cannot be projected on a window: {}",
    "select": "{} cannot explain a layer: {}",
    "join": "{} cannot be joined: {}",
    "antijoin": "{} cannot explain one input against another: {}",
}


def check_meaning(
    plan: Operator, interpreter: Callable[[str], Interpreter], places: Mapping[Operator, Span] | None = None
) -> None:
    """Raise CompositionError where an operator of `plan` stands over an interpreter that cannot mean it, and where an
    anti-join would compare maps of two interpreters."""
    spans = places or {}

    def refuse(each: Operator, operation: Operation, below: frozenset[str]) -> None:
        for name in sorted(below):
            reason = interpreter(name).cannot.get(operation)
            if reason is not None:
                raise CompositionError(_REFUSED[operation].format(name, reason), spans.get(each))

    def visit(each: Operator, operands: tuple[frozenset[str], ...]) -> frozenset[str]:
        below = frozenset[str]().union(*operands)
        match each:
            case Identity():
                return frozenset({each.estimation.interpreter})
            case Projection(window, _) if window is not EVERYTHING:
                refuse(each, "project", below)
            case Selection():
                refuse(each, "select", below)
            case Join():
                refuse(each, "join", below)
            case AntiJoin(_, _, contrast):
                if len(below) > 1:
                    raise CompositionError(
                        f"an anti-join compares maps of one interpreter, not of {' and '.join(sorted(below))}",
                        spans.get(each),
                    )
                if contrast == "literal" and below != {SHAPLEY}:
                    raise CompositionError(
                        f"the literal contrast is one of Shapley values; {min(below)} has no two halves",
                        spans.get(each),
                    )
                anti.append(each)
        return below

    anti: list[Operator] = []
    below = fold(plan, visit)
    if anti and explained_against_inputs(plan):
        refuse(anti[0], "antijoin", below)
