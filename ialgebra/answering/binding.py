"""Binding a query. If binding needs a fact that only a model can give, this module gets the fact and binds again.

In: a parsed query, the catalog, and a function that predicts classes. Out: the bound query. It may run a model's probe
(one row, which shows its layers), and may not know how predictions are made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from ..algebra.operators import Identity
from ..algebra.rankings import ModelScore
from ..algebra.sources import Source
from ..catalog.catalog import Catalog
from ..errors import IalgebraError, ModelError
from ..language import tree
from ..language.bind import query as language
from ..language.bind.models import (
    NotKnownYet,
    Told,
    Unknown,
    UnknownPredictions,
    UnknownScores,
    UnprobedModel,
)
from ..language.bind.query import Bound

Predicting = Callable[[Identity], Sequence[int | None]]
"""The classes that an identity's model predicts for its inputs; None for an input whose class is not predicted now."""


Scoring = Callable[[Sequence[ModelScore], Sequence[Source]], Sequence[float | None]]
"""What models answer for inputs, the inputs of the first score first; None for what is not read now."""

_Bound = TypeVar("_Bound")


def unscored(scores: Sequence[ModelScore], inputs: Sequence[Source]) -> list[None]:
    """Reads no score: a filter by scores then keeps every element."""
    return [None] * (len(scores) * len(inputs))


def unpredicted(identity: Identity) -> list[None]:
    """Predicts no class: a filter by prediction then keeps every element."""
    return [None] * len(identity.inputs)


def bind(
    query: tree.Query,
    text: str,
    catalog: Catalog,
    within: tuple[str, ...] = (),
    predicting: Predicting = unpredicted,
    scoring: Scoring = unscored,
) -> Bound:
    """The plans of `query`; errors carry their position in `text`. Models that were not probed are probed.

    `within` names the views that the query defines; the query may not read them. `predicting` is called once for each
    identity whose predictions a HAVING or an ORDER BY reads, `scoring` for the scores that they read. Raises
    BindError or ShapeError if a part of the query has no meaning, ModelError or ResourceError if a model fails.
    """
    return told_by_models(
        lambda known: language.bind(query, text, catalog, within, known), catalog, predicting, scoring
    )


def told_by_models(
    binding: Callable[[Mapping[Unknown, Told]], _Bound],
    catalog: Catalog,
    predicting: Predicting = unpredicted,
    scoring: Scoring = unscored,
) -> _Bound:
    """What `binding` makes of a statement, which is given the answers of models so far, and is asked again with each
    answer that it lacks."""
    known: dict[Unknown, Told] = {}
    while True:
        try:
            return binding(known)
        except NotKnownYet as stopped:
            unknown = stopped.unknown
        try:
            known[unknown] = _resolve(unknown, catalog, predicting, scoring)
        except IalgebraError as error:
            known[unknown] = error


def _resolve(unknown: Unknown, catalog: Catalog, predicting: Predicting, scoring: Scoring) -> Sequence[float | None]:
    """Get what binding needs to know: probe a model, or read what models predict and score."""
    match unknown:
        case UnprobedModel(model, name):
            try:
                catalog.model(model).meet(catalog.element_for(model, catalog.input(name).sources[0]).tensor)
            except ModelError as error:
                if error.row is None:
                    error.message += catalog.how_read([name])
                raise
            return ()
        case UnknownPredictions(identity):
            return predicting(identity)
        case UnknownScores(scores, inputs):
            return scoring(scores, inputs)
