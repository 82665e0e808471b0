"""The result of binding an operand: plans, one for each item of its select list, and the ranking of their elements.

In: plans. Out: the same plans over one element of their collection, or over some. A collection by itself, with only
projections and selections around it, has a map for each of its elements. Under a join it counts as the mean of its
elements. This module knows the algebra only: no syntax, no catalog.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...algebra.baselines import Given
from ...algebra.edits.lengths import Lengthened
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


def under_clauses(plan: Operator) -> Operator:
    """The plan without its outer projections and selections."""
    while isinstance(plan, Projection | Selection):
        plan = plan.of
    return plan


def collection_of(plan: Operator) -> Identity | None:
    """The collection, or part of one, if the plan has a map for each of its elements; else None."""
    found = under_clauses(plan)
    return found if isinstance(found, Identity) and found.inputs[0].index is not None else None


def contrasts(plan: Operator) -> bool:
    """Whether a plan's answer has a map for each operand of an anti-join."""
    return isinstance(under_clauses(plan), AntiJoin)


def one_each(plan: Operator, kept: Sequence[int] | None = None) -> Iterator[Operator]:
    """One plan for each element of the plan's collection, or for each element at the positions `kept`. A plan without a
    collection gives itself."""
    collection = collection_of(plan)
    if collection is None:
        yield plan
    else:
        positions = range(len(collection.inputs)) if kept is None else kept
        yield from (taken(plan, [position]) for position in positions)


def taken(plan: Operator, positions: Sequence[int]) -> Operator:
    """The plan over some of the elements of its collection."""
    match plan:
        case Projection(window, of):
            return Projection(window, taken(of, positions))
        case Selection(layer, of):
            return Selection(layer, taken(of, positions))
    assert isinstance(plan, Identity)
    return identity_of(plan, positions)


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


def identity_of(whole: Identity, positions: Sequence[int]) -> Identity:
    """The identity of some of a collection's elements."""
    rest = (whole.baselines, whole.players, whole.target, whole.output, whole.depth, whole.estimation)
    return Identity(whole.model, tuple(whole.inputs[position] for position in positions), *rest)
