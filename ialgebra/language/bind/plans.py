"""The result of binding an operand: plans, one for each item of its select list, and the ranking of their elements.

In: plans. Out: the same plans over texts of another length. This module knows the algebra only: no syntax, no catalog.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ...algebra.baselines import Given
from ...algebra.edits.lengths import Lengthened
from ...algebra.elements import under_clauses
from ...algebra.operators import AntiJoin, Contrast, Identity, Join, Operator, Projection, Selection
from ...algebra.rankings import Elements, Ranking
from ...algebra.sources import Source


@dataclass(frozen=True)
class Ranked:
    """A ranking of a collection; the known columns of the elements that may be in the answer; and for each distance the
    plans of its query, which are one for all elements or one for each."""

    ranking: Ranking
    elements: Elements
    references: Mapping[str, tuple[Operator, ...]]


@dataclass(frozen=True)
class OperandPlans:
    """The meaning of a query or an operand: a plan and a label for each item of its select list."""

    plans: Sequence[Operator]
    labels: Sequence[str | None] = ()
    contrast: Contrast | None = None
    ranked: Ranked | None = None
    kept: Sequence[int] | None = None  # positions of the elements that the ranking keeps; None: no ranking


def contrasts(plan: Operator) -> bool:
    """Whether a plan's answer has a map for each operand of an anti-join."""
    return isinstance(under_clauses(plan), AntiJoin)


def lengthened(plan: Operator, tokens: int) -> Operator:
    """The plan over texts of so many tokens: shorter ones are filled up at their ends."""
    match plan:
        case Projection(window, of):
            return Projection(window, lengthened(of, tokens))
        case Selection(layer, of):
            return Selection(layer, lengthened(of, tokens))
        case Join(parts, weights):
            return Join(tuple(lengthened(each, tokens) for each in parts), weights)
        case AntiJoin(parts, order, contrast):
            return AntiJoin(tuple(lengthened(each, tokens) for each in parts), order, contrast)
        case Identity():
            baselines = tuple(
                Given(longer(each.source, tokens)) if isinstance(each, Given) else each for each in plan.baselines
            )
            inputs = tuple(longer(each, tokens) for each in plan.inputs)
            rest = (plan.players, plan.target, plan.output, plan.depth, plan.estimation)
            return Identity(plan.model, inputs, baselines, *rest)
    return plan


def longer(source: Source, tokens: int) -> Source:
    """A text of so many tokens."""
    edits = tuple(each for each in source.edits if not isinstance(each, Lengthened))
    return replace(source, edits=(*edits, Lengthened(tokens)))
