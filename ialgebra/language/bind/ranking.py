"""HAVING, ORDER BY and LIMIT: which elements of a collection are the answer, and in which order.

In: the syntax trees of the clauses, and the plans that they rank. Out: the plans with the algebra's ranking, and the
elements that it keeps, as far as that is known before anything is explained. Predicates are read in the same way as
those of WHERE (`predicates`), but over the columns of elements instead of features. No map and no tensor is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from ...algebra.attributes import parts_of
from ...algebra.elements import collection_of, identity_of
from ...algebra.kinds import KINDS
from ...algebra.operators import Identity, Operator, OutputKind
from ...algebra.rankings import (
    DECISION,
    KNOWN,
    Argmax,
    Distance,
    Elements,
    Entropy,
    Interval,
    Key,
    Mass,
    ModelScore,
    Ranking,
    Relevance,
    Scalar,
    possible,
)
from ...algebra.sources import Source
from ...algebra.windows import EVERYTHING, Column, Term, Window, check_masks, sql_name, sql_text
from ...catalog.catalog import CONCEPTS, Catalog, ConceptGame
from ...catalog.inputs import Entry
from ...errors import BindError, ShapeError, Span, did_you_mean
from ...system.arrays import Floats
from .. import tree
from .classes import bind_class
from .models import KnownModel, UnknownPredictions, UnknownScores, UnprobedModel
from .options import whole
from .plans import OperandPlans, Ranked
from .predicates import PredicateBinder, bind_window
from .scope import Scope

_ARGUMENTS: Final = {"mass": "w", "entropy": "", "distance": "(query)", "argmax_row": "", "argmax_col": ""}
_OF_MODELS: Final = {"score": "score('cat') or score(f, 'cat')", "prediction": "prediction(f)"}
OF_CONCEPTS: Final = {"activation": "activation('a7')", "relevance": "relevance('a7')"}
"""The functions of an attribute and how they are written."""

_HAS: Final = (
    "an element has label, prediction, score('class') and index, and its map mass(w), entropy(), distance((query)), "
    "argmax_row() and argmax_col()"
)

MeasuredFrom = Callable[[tree.Subquery, Identity], tuple[Operator, ...]]
"""Gives the plans of the query inside `distance(…)`: one for all elements, or one for each element."""

_Refer = Callable[[tree.Subquery], str]
"""Called for each query inside `distance(…)`; returns the text of this query."""


def ranked(query: tree.Query, selected: OperandPlans, scope: Scope, measured_from: MeasuredFrom) -> OperandPlans:
    """The elements that HAVING, ORDER BY and LIMIT keep, as far as that is known before anything is explained.

    Raises BindError if there is no collection to choose elements from, and for an unknown word. Raises NotKnownYet if
    the clauses read predictions that are not known yet.
    """
    clauses = [each.span for each in (query.having, *query.order, query.limit) if each is not None]
    if not clauses:
        return selected
    collection = collection_of(selected.plans[0])
    if collection is None:
        message = "HAVING, ORDER BY and LIMIT choose among the elements of a collection; this query has one map"
        raise BindError(message, clauses[0]).at(scope.text)
    if any((each := collection_of(plan)) is None or each.inputs != collection.inputs for plan in selected.plans):
        message = "each(…) makes a query of each element, among which HAVING, ORDER BY and LIMIT do not choose"
        raise BindError(message, clauses[0]).at(scope.text)
    entry, classes = scope.entries(collection)[0], classes_of(scope.model(collection.model))
    own = ModelScore(collection.model, None, None, collection.output)
    references: dict[str, tuple[Operator, ...]] = {}

    def refer(subquery: tree.Subquery) -> str:
        span = subquery.query.span
        words = " ".join(scope.text[span.start : span.end].split())
        references[f"distance(({words}))"] = measured_from(subquery, collection)
        return words

    with scope.at(clauses[0]):
        ranking = bind_ranking(query, scope, collection.inputs, (own,), refer, scope.concepts(collection))
    count = len(collection.inputs)
    elements = known_elements(collection.inputs, entry, classes, [None] * count)
    unknown = {name: Interval.unknown(count) for name in ranking.scalars}
    answers = np.full((len(ranking.outputs), count), np.nan)  # of models, not known yet

    def possibly_kept() -> NDArray[np.intp]:
        known = with_outputs(elements, ranking.outputs, answers, scope.catalog)
        return possible(ranking, known.joined(unknown))

    kept = possibly_kept()
    if "prediction" in ranking.columns and len(kept):
        predictions: list[float | None] = [None] * count
        asked = UnknownPredictions(identity_of(collection, kept.tolist()))
        for position, predicted in zip(kept.tolist(), scope.told(asked), strict=True):
            predictions[position] = predicted
        elements = known_elements(collection.inputs, entry, classes, predictions)
        kept = kept[np.isin(kept, possibly_kept())]
    if ranking.outputs and len(kept):
        scores = UnknownScores(tuple(ranking.outputs.values()), tuple(collection.inputs[k] for k in kept.tolist()))
        told = np.array(scope.told(scores), dtype=np.float64)  # None becomes NaN
        answers[:, kept] = told.reshape(-1, len(kept))
        kept = kept[np.isin(kept, possibly_kept())]
    elements = with_outputs(elements, ranking.outputs, answers, scope.catalog)
    left = {
        name: plans if len(plans) == 1 else tuple(plans[position] for position in kept)
        for name, plans in references.items()
    }
    return replace(selected, ranked=Ranked(ranking, elements.taken(kept), left), kept=kept.tolist())


def bind_ranking(
    query: tree.Query | tree.Predict,
    scope: Scope,
    inputs: Sequence[Source],
    own: tuple[ModelScore, ...],
    refer: _Refer | None,
    game: ConceptGame | None = None,
) -> Ranking:
    """The ranking in a query over `inputs`, which come of one registered input. `own` are the models that the query
    asks: `score('cat')` is that of the only one. Without `refer` there are no maps to read; with `game` they are maps
    of its attributes. Raises BindError for an
    unknown word, and NotKnownYet for a model that was not probed."""
    entry = scope.catalog.input(inputs[0].name)
    classes = classes_of(scope.model(own[0].model))
    binder = _RankingBinder(
        *(scope.catalog.windows, "element", None, None, entry, classes, scope, own, refer, inputs[0].step is not None),
        game=game,
    )
    having = EVERYTHING if query.having is None else binder.window(query.having)
    order = tuple(Key(binder.number(key.of), key.descending) for key in query.order)
    limit = None if query.limit is None else whole(query.limit, "a limit", 1)
    return Ranking(having, order, limit, binder.scalars, binder.outputs)


def classes_of(network: KnownModel) -> tuple[str, ...]:
    """The names of a model's classes; none if they have no names."""
    return tuple(network.classes or ())


def with_outputs(elements: Elements, outputs: Mapping[str, ModelScore], answers: Floats, catalog: Catalog) -> Elements:
    """The elements with what models answer for them: `answers` (outputs, n), NaN where that is not known."""
    known = ~np.isnan(answers)
    numbers = {
        name: Interval(np.where(whether, each, -np.inf), np.where(whether, each, np.inf))
        for name, each, whether in zip(outputs, answers, known, strict=True)
    }
    names: dict[str, NDArray[np.object_]] = {}
    for (name, output), each, whether in zip(outputs.items(), answers, known, strict=True):
        classes = classes_of(catalog.model(output.model))
        if output.target is None and classes:
            named = [classes[int(k)] if told else None for k, told in zip(each, whether, strict=True)]
            names[name] = np.array(named, dtype=np.object_)
    return elements.joined(numbers, names)


def known_elements(
    inputs: Sequence[Source], entry: Entry, classes: tuple[str, ...], predictions: Sequence[float | None]
) -> Elements:
    """The columns of a collection's elements that are known before anything is explained; None stands for a class that
    is not known yet."""
    positions = [source.index or 0 for source in inputs]
    known = np.array([np.nan if each is None else each for each in predictions], dtype=np.float64)
    unknown = np.isnan(known)
    guess = Interval(np.where(unknown, -np.inf, known), np.where(unknown, np.inf, known))
    steps = [math.nan if source.step is None else float(source.step) for source in inputs]
    numbers = {"index": Interval.exactly(positions), "step": Interval.exactly(steps), "prediction": guess}
    named = [None if each is None else classes[int(each)] if classes else "" for each in predictions]
    names = {"prediction": np.array(named, dtype=np.object_)}
    if entry.labels is not None:
        labels = [entry.labels[position] for position in positions]
        number, name = {word: k for k, word in enumerate(classes)}, dict(enumerate(classes))
        numbers["label"] = Interval.exactly([number.get(x, np.nan) if isinstance(x, str) else x for x in labels])
        words = [x if isinstance(x, str) else name.get(x, "") for x in labels]
        names["label"] = np.array(words, dtype=np.object_)
    return Elements(len(positions), numbers, names)


@dataclass(frozen=True)
class _RankingBinder(PredicateBinder):
    entry: Entry
    classes: tuple[str, ...]
    scope: Scope
    own: tuple[ModelScore, ...]
    refer: _Refer | None
    swept: bool
    scalars: dict[str, Scalar] = field(default_factory=dict)
    outputs: dict[str, ModelScore] = field(default_factory=dict)
    game: ConceptGame | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return KNOWN

    @property
    def _named_labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(label for label in self.entry.labels or () if isinstance(label, str)))

    def column(self, name: tree.Name) -> Column:
        column = self._column(name)
        if column.name == "label" and self._named_labels and not set(self._named_labels) & set(self.classes):
            message = f"the labels of '{self.entry.name}' are names, none of a class; compare them with texts"
            raise BindError(message, name.span)
        return column

    def _column(self, name: tree.Name) -> Column:
        word = name.value.lower()
        if word in _ARGUMENTS:
            raise BindError(f"{word} is a function of a map: {word}({_ARGUMENTS[word]})", name.span)
        if word in OF_CONCEPTS:
            raise BindError(f"{word} is a function of an attribute: {OF_CONCEPTS[word]}", name.span)
        if word == DECISION:
            return self._read(DECISION, self._surrogate(name.span))
        if word == "score":
            raise BindError(f"score is a function of a class: {_OF_MODELS[word]}", name.span)
        if word == "prediction" and self.refer is None:
            return self._answered(self._of(None, name.span))
        if word not in KNOWN:
            raise BindError(f"unknown column '{name.value}'{_meant(word)}", name.span)
        if word == "step" and not self.swept:
            raise BindError(
                "there is no sweep; steps(low, high, n) in the place of an edit's number makes one", name.span
            )
        if word == "label" and self.entry.labels is None:
            raise BindError(
                f"'{self.entry.name}' was registered without labels; "
                f'register_input("{self.entry.name}", …, labels=[…]) brings them',
                name.span,
            )
        return Column(word)

    def column_of_names(self, of: tree.Expression, text: tree.Text) -> Column:
        column = self._column(of) if isinstance(of, tree.Name) else None
        if column is not None and column.name == DECISION and self.classes:
            return self._named(column, text, self.classes, DECISION)
        if isinstance(of, tree.CallExpr) and of.name.value.lower() == "prediction":
            column = self._of_model(of)
        if column is None or column.name in ("index", "step"):
            raise BindError(
                f"'{text.value}' is a text; only a label or a prediction is compared with a text", text.span
            )
        known, what = self.classes, column.name
        if column.name in self.outputs:
            known, what = classes_of(self.scope.model(self.outputs[column.name].model)), "prediction"
        elif column.name == "label" and self._named_labels:
            known = self._named_labels
        return self._named(column, text, known, what)

    def _named(self, column: Column, text: tree.Text, known: Sequence[str], what: str) -> Column:
        if not known:
            raise BindError(f"no {what} is called '{text.value}': they are numbers, without names", text.span)
        if text.value not in known:
            raise BindError(f"unknown {what} '{text.value}'{did_you_mean(text.value, known)}", text.span)
        return column

    def compare(self, comparison: tree.CompareExpr) -> Window:
        """Classes are compared by their numbers, so both sides must number the same classes."""
        named = set()
        for side in (comparison.left, comparison.right):
            if isinstance(side, tree.CallExpr) and side.name.value.lower() == "prediction":
                named.add(classes_of(self.scope.model(self.outputs[self._of_model(side).name].model)))
            elif isinstance(side, tree.Name) and side.value.lower() in ("label", "prediction", DECISION):
                named.add(self.classes)
        if len(named) > 1:
            raise BindError(
                "the two sides number different classes; compare each with the name of a class", comparison.span
            )
        return super().compare(comparison)

    def named(self, name: tree.Name) -> Window:
        if name.value.lower() in ("true", "false"):
            return super().named(name)
        if name.value in self.windows:
            raise BindError(
                f"'{name.value}' is a window of features; HAVING compares, as in mass({name.value}) > 0.5", name.span
            )
        column = self._column(name).name
        raise BindError(f"{column} alone selects nothing; compare it, as in {column} = 3", name.span)

    def shape(self, call: tree.CallExpr) -> Window:
        term = self.number(call)
        raise BindError(f"{term} alone selects nothing; compare it with a number", call.span)

    def function(self, call: tree.CallExpr) -> Term:
        word = call.name.value.lower()
        if word in _OF_MODELS:
            return self._of_model(call)
        if word in OF_CONCEPTS:
            return self._of_concept(call)
        if word not in _ARGUMENTS:
            raise BindError(f"unknown function '{call.name.value}'{_meant(word)}", call.name.span)
        if self.refer is None:
            message = f"{word} is read of a map, and PREDICT makes none; select * from f(…) having {word}(…) … has maps"
            raise BindError(message, call.name.span)
        if call.options or len(call.arguments) != bool(_ARGUMENTS[word]):
            raise BindError(f"{word} is written {word}({_ARGUMENTS[word]})", call.span)
        scalar: Scalar
        match word, call.arguments:
            case "mass", (argument,):
                if isinstance(argument, tree.Subquery):
                    raise BindError("mass takes a window: mass(row < 14)", argument.span)
                window = self._window(argument)
                scalar, said = Mass(window), str(window)
            case "distance", (argument,):
                if not isinstance(argument, tree.Subquery):
                    raise BindError("distance takes a query in parentheses: distance((select …))", argument.span)
                assert self.refer is not None
                scalar, said = Distance(), f"({self.refer(argument)})"
            case "entropy", _:
                scalar, said = Entropy(), ""
            case _:
                if self.game is not None:
                    raise BindError(f"{word} is for maps of images; a map over concepts has attributes", call.span)
                if KINDS[self.entry.kind].layout != "plane":
                    raise BindError(f"{word} is for images; '{self.entry.name}' is {self.entry.kind}", call.span)
                scalar, said = Argmax("row" if word == "argmax_row" else "col"), ""
        return self._scalar(f"{word}({said})", scalar)

    def _scalar(self, name: str, scalar: Scalar) -> Column:
        while self.scalars.setdefault(name, scalar) != scalar:  # two large windows may be shown alike
            name += "'"
        return Column(name)

    def _of_concept(self, call: tree.CallExpr) -> Column:
        """The column of activation('a7') or relevance('a7')."""
        word = call.name.value.lower()
        (value, *more) = call.arguments or (None,)
        if call.options or more or not isinstance(value, tree.Name | tree.Text | tree.Number):
            raise BindError(f"{word} is written {OF_CONCEPTS[word]}", call.span)
        if word == "relevance" and self.game is None:
            raise BindError(
                "relevance is read of a map over concepts; ask select * from f(…, players => concepts) …", call.span
            )
        with self.scope.at(call.span):
            game = self._game()
        with self.scope.at(value.span):
            index = whole(value, "an attribute", 0) if isinstance(value, tree.Number) else None
            index = game.dictionary.index(str(value.value)) if index is None else index
            if index >= game.dictionary.size:
                raise BindError(f"there is no attribute {index}; they count from 0 to {game.dictionary.size - 1}")
        name = f"{word}({sql_text(game.dictionary.names[index])})"
        if word == "relevance":
            return self._scalar(name, Relevance(index))
        return self._read(name, ModelScore(game.codes, None, index, "logit"))

    def _game(self) -> ConceptGame:
        """The attributes of the query's model: those of its maps, else those of its dictionary."""
        if self.game is not None:
            return self.game
        model = self.own[0].model
        key = self.scope.catalog.concepts.get(model)  # a model of attributes by itself
        if key is not None:
            model = model.removesuffix(f".{key.name}")
            return self.scope.catalog.concept_game(model, key.name)
        own = [each.name for each in self.scope.catalog.concepts.values() if model in each.models]
        return self.scope.catalog.concept_game(model, own[0] if len(own) == 1 else CONCEPTS)

    def _surrogate(self, span: Span) -> ModelScore:
        """What the surrogate decides."""
        with self.scope.at(span):
            return ModelScore(self._game().surrogate, None, None, "logit")

    def _read(self, name: str, asked: ModelScore) -> Column:
        """The column of what a derived model answers, by a name of its own."""
        if not self.scope.model(asked.model).probed:
            self.scope.told(UnprobedModel(asked.model, self.entry.name))
        self.outputs[name] = asked
        return Column(name)

    def _of_model(self, call: tree.CallExpr) -> Column:
        """The column of score('cat'), score(f, 'cat') or prediction(f)."""
        word = call.name.value.lower()
        least = 1 if word == "score" else 0
        named, *others = call.arguments if len(call.arguments) > least else (None, *call.arguments)
        if call.options or len(others) != least or not isinstance(named, tree.Name | None):
            raise BindError(f"{word} is written {_OF_MODELS[word]}", call.span)
        if word == "prediction" and named is None:
            raise BindError(
                f"prediction is written without parentheses, or with a model: {_OF_MODELS[word]}", call.span
            )
        asked = self._of(named, call.span)
        if not others:
            return self._answered(asked)
        (value,) = others
        if not isinstance(value, tree.Name | tree.Text | tree.Number):
            raise BindError(f"a class is given by its name or number: {_OF_MODELS[word]}", call.span)
        with self.scope.at(value.span):
            target = bind_class(value, self.scope.model(asked.model), self.entry)
        return self._answered(replace(asked, target=target))

    def _of(self, named: tree.Name | None, span: Span) -> ModelScore:
        """What is read of a model that a call names, or of the query's only model."""
        if named is None:
            if len(models := dict.fromkeys(each.model for each in self.own)) > 1:
                raise BindError(f"which model is meant? name one of {', '.join(models)}, as in score(f, 'cat')", span)
            return self.own[0]
        mine = next((each for each in self.own if each.model == named.value), None)
        if mine is not None:
            return mine
        with self.scope.at(named.span):
            network = self.scope.model(named.value)
            if not network.probed:
                self.scope.told(UnprobedModel(named.value, self.entry.name))
        values = network.outputs.meaning == "values"  # which have no probability, whatever the default is
        output = "logit" if values else self.scope.catalog.settings.output or network.output
        return ModelScore(named.value, None, None, cast("OutputKind", output))

    def _answered(self, asked: ModelScore) -> Column:
        network = self.scope.model(asked.model)
        if asked.target is None:
            name = f"prediction({sql_name(asked.model)})"
            self.outputs[name] = asked
            return Column(name)
        named = sql_text(network.class_name(asked.target)) if network.classes else str(asked.target)
        name = f"score({sql_name(asked.model)}, {named})"
        self.outputs[name] = asked
        return Column(name)

    def _window(self, argument: tree.Expression) -> Window:
        entry = self.entry
        concepts = None if self.game is None else self.game.dictionary.names
        window = bind_window(argument, self.windows, entry.kind, *entry.known_words, concepts)
        if concepts is not None and parts_of(window).of_input is not EVERYTHING:
            raise BindError(
                "the mass of a map over concepts is that of attributes: mass(concept = 'a7')", argument.span
            )
        try:
            check_masks(window, entry.shape)
        except ShapeError as error:
            error.span = argument.span
            raise
        return window


def _meant(word: str) -> str:
    near = did_you_mean(word, [*KNOWN, *_ARGUMENTS, *OF_CONCEPTS, DECISION])
    return near if "did you mean" in near else f"; {_HAS}"
