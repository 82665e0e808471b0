"""What binding makes of an operand: plans, one for each item of its select list, and how their elements are ranked.

In: plans. Out: the same plans over one element of their collection, or over some. A collection that stands by itself,
under projections and selections at most, has a map for each of its elements; under a join it counts as the elements'
mean. This module knows the algebra only: no syntax, no catalog.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...algebra.operators import AntiJoin, Contrast, Identity, Operator, Projection, Selection
from ...algebra.rankings import Elements, Ranking


@dataclass(frozen=True)
class Ranked:
    """A ranking of a collection, what is known of those of its elements that may be in the answer, and for each
    distance the plans that it is measured from: one, or one an element."""

    ranking: Ranking
    elements: Elements
    references: Mapping[str, tuple[Operator, ...]]


@dataclass(frozen=True)
class OperandPlans:
    """What a query or an operand means: a plan and a label for each item of its select list."""

    plans: Sequence[Operator]
    labels: Sequence[str | None] = ()
    contrast: Contrast | None = None
    ranked: Ranked | None = None
    kept: Sequence[int] | None = None  # positions of the elements that the ranking leaves; None: there is no ranking


def under_clauses(plan: Operator) -> Operator:
    """What a plan projects and selects: its first operator, from outside in, that is neither."""
    while isinstance(plan, Projection | Selection):
        plan = plan.of
    return plan


def collection_of(plan: Operator) -> Identity | None:
    """The collection, or what is left of one, that a plan has a map for each element of."""
    found = under_clauses(plan)
    return found if isinstance(found, Identity) and found.inputs[0].index is not None else None


def contrasts(plan: Operator) -> bool:
    """Whether a plan's answer has a map for each operand of an anti-join."""
    return isinstance(under_clauses(plan), AntiJoin)


def one_each(plan: Operator, kept: Sequence[int] | None = None) -> Iterator[Operator]:
    """A plan for each element of its collection, or for the elements at the positions `kept`; the plan itself where it
    has no collection."""
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


def identity_of(whole: Identity, positions: Sequence[int]) -> Identity:
    """The identity of some of a collection's elements."""
    rest = (whole.baselines, whole.players, whole.target, whole.output, whole.depth, whole.estimation)
    return Identity(whole.model, tuple(whole.inputs[position] for position in positions), *rest)
