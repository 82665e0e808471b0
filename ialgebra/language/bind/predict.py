"""PREDICT: which models are asked what about which inputs. In: its syntax tree and the catalog. Out: a `BoundPredict`.

An unknown model, class, layer, option or input is a BindError at its own word. It runs no model, and rewrites nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np

from ...algebra.operators import OutputKind
from ...algebra.rankings import Elements, ModelScore, Ranking, possible
from ...algebra.sources import Source
from ...catalog.catalog import Catalog
from ...catalog.inputs import Entry
from ...errors import BindError
from ...models.outputs import no_probability
from .. import tree
from .classes import bind_class, is_every_class
from .inputs import bind_input
from .models import NOTHING_TOLD, KnownModel, Told, Unknown, UnprobedModel
from .options import OUTPUTS, choice, whole, word
from .ranking import bind_ranking, classes_of, known_elements, with_outputs
from .scope import Scope

PREDICT_OPTIONS: Final = ("target", "output", "layer")


@dataclass(frozen=True)
class AskedModel:
    """A model of PREDICT: where it is cut (None: not at all), what is read of its classes, and the classes whose scores
    are asked for beside those of the likeliest."""

    model: str
    layer: int | None
    output: OutputKind
    targets: tuple[int, ...]

    def score(self, target: int | None) -> ModelScore:
        """The score of a class; without a target the prediction."""
        return ModelScore(self.model, self.layer, target, self.output)


@dataclass(frozen=True)
class BoundPredict:
    """What PREDICT asks: the models, the inputs that may be in the answer, in the order of the collection, and the
    ranking of these, with what is known of them before any model runs. `of_collection` says whether the input stands
    for several."""

    asked: tuple[AskedModel, ...]
    sources: tuple[Source, ...]
    ranking: Ranking
    elements: Elements


def bind_predict(
    predict: tree.Predict, text: str, catalog: Catalog, answers: Mapping[Unknown, Told] = NOTHING_TOLD
) -> BoundPredict:
    """The meaning of a PREDICT. Raises BindError or ShapeError placed in `text`, and NotKnownYet if it needs something
    that only a run of a model can tell and that is not in `answers`."""
    scope = Scope(catalog, text, answers)
    with scope.at(predict.input.span):
        sources = bind_input(predict.input, catalog)
    entry = catalog.input(sources[0].name)
    asked = tuple(_asked(call, scope, entry) for call in predict.models)
    clauses = [each.span for each in (predict.having, *predict.order, predict.limit) if each is not None]
    with scope.at(clauses[0] if clauses else predict.span):
        ranking = bind_ranking(predict, scope, sources, tuple(each.score(None) for each in asked), None)
    elements = known_elements(sources, entry, classes_of(scope.model(asked[0].model)), [None] * len(sources))
    unread = np.full((len(ranking.outputs), elements.count), np.nan)
    open_ = with_outputs(elements, ranking.outputs, unread, catalog)
    kept = possible(ranking, open_) if clauses else np.arange(elements.count)
    return BoundPredict(asked, tuple(sources[k] for k in kept.tolist()), ranking, elements.taken(kept))


def _asked(call: tree.CallExpr, scope: Scope, entry: Entry) -> AskedModel:
    name = call.name.value
    with scope.at(call.name.span):
        network = scope.model(name)
        if not network.probed:
            scope.told(UnprobedModel(name, entry.name))
    layer, targets = None, tuple[int, ...]()
    output, place = scope.catalog.settings.output or network.output, call.span
    seen = set[str]()
    for option in call.options:
        with scope.at(option.name.span):
            named = choice("option of a model of PREDICT", option.name.value, PREDICT_OPTIONS)
            if named in seen:
                raise BindError(f"option '{named}' is given twice")
            seen.add(named)
        with scope.at(option.value.span):
            match named:
                case "layer":
                    layer = _layer(option.value, network)
                case "target":
                    targets = _targets(option.value, network, entry)
                case _:
                    output, place = choice("output", word(option.value, "an output"), OUTPUTS), option.value.span
    with scope.at(place):
        if output != "logit" and network.outputs.meaning == "values":
            raise BindError(f"model '{name}' has no {output}: {no_probability(output)}")
    return AskedModel(name, layer, cast("OutputKind", output), targets)


def _layer(value: tree.ValueExpr, network: KnownModel) -> int | None:
    """The number of a layer, which has a head; None for the model's own output."""
    reference = whole(value, "a layer", 1) if isinstance(value, tree.Number) else word(value, "a layer")
    layer = network.layer_index(reference)
    if network.needs_head(layer):
        network.require_head(layer)
    return None if layer == network.depth else layer


def _targets(value: tree.ValueExpr, network: KnownModel, entry: Entry) -> tuple[int, ...]:
    """The classes of `target`: one, several in parentheses, or all."""
    if is_every_class(value, network):
        return tuple(range(network.class_count))
    several: Sequence[tree.ValueExpr] = (
        value.values if isinstance(value, tree.TextTuple | tree.NumberTuple) else (value,)
    )
    return tuple(dict.fromkeys(bind_class(each, network, entry) for each in several))
