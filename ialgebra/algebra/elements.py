"""Plans over a collection: a map for each of its elements, written as one plan.

In: plans. Out: the same plans over one element of their collection, or over some. A collection by itself, with only
projections and selections around it, has a map for each of its elements. Under a join it counts as the mean of its
elements. This module may not know: a query's text, the catalog.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .operators import Identity, Operator, Projection, Selection


def under_clauses(plan: Operator) -> Operator:
    """The plan without its outer projections and selections."""
    while isinstance(plan, Projection | Selection):
        plan = plan.of
    return plan


def collection_of(plan: Operator) -> Identity | None:
    """The collection, or part of one, if the plan has a map for each of its elements; else None."""
    found = under_clauses(plan)
    return found if isinstance(found, Identity) and found.inputs[0].is_element else None


def one_each(plan: Operator) -> Iterator[Operator]:
    """One plan for each element of the plan's collection. A plan without a collection gives itself."""
    collection = collection_of(plan)
    if collection is None:
        yield plan
    else:
        yield from (taken(plan, [position]) for position in range(len(collection.inputs)))


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
