"""Binding a query when its models may be unknown yet: what binding stops at is found out here, and it starts again.

In: a parsed query, the catalog, and a function that predicts. Out: the bound query. A model's probe is the one thing
that is run here; it may not know how predictions are made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..algebra.operators import Identity
from ..catalog.catalog import Catalog
from ..errors import IalgebraError
from ..language import tree
from ..language.bind import query as language
from ..language.bind.models import NotKnownYet, Told, Unknown, UnknownPredictions, UnprobedModel
from ..language.bind.query import Bound

Predicting = Callable[[Identity], Sequence[int | None]]
"""Tells the classes that the model of an identity predicts for its inputs; None where that is not to be known yet."""


def unpredicted(identity: Identity) -> list[None]:
    """No class is predicted: what is filtered by prediction stays whole."""
    return [None] * len(identity.inputs)


def bind(
    query: tree.Query,
    text: str,
    catalog: Catalog,
    within: tuple[str, ...] = (),
    predicting: Predicting = unpredicted,
) -> Bound:
    """The plans of `query`, whose models are probed where they were not; errors are placed in `text`.

    `within` names the views that the query is to define, which it may not read. `predicting` is asked, once for each
    identity, where a HAVING or an ORDER BY reads predictions. Raises BindError or ShapeError for what means nothing,
    ModelError or ResourceError where a model fails.
    """
    told: dict[Unknown, Told] = {}
    while True:
        try:
            return language.bind(query, text, catalog, within, told)
        except NotKnownYet as stopped:
            unknown = stopped.unknown
        try:
            told[unknown] = _found_out(unknown, catalog, predicting)
        except IalgebraError as error:
            told[unknown] = error


def _found_out(unknown: Unknown, catalog: Catalog, predicting: Predicting) -> Sequence[int | None]:
    match unknown:
        case UnprobedModel(model, name):
            catalog.model(model).probe(catalog.input(name).elements[0].tensor)
            return ()
        case UnknownPredictions(identity):
            return predicting(identity)
