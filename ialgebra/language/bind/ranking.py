"""HAVING, ORDER BY and LIMIT: which elements of a collection are the answer, and in which order.

In: the syntax trees of the clauses, and the plans that they rank. Out: the plans with the algebra's ranking, and the
elements that it keeps, as far as that is known before anything is explained. Predicates are read in the same way as
those of WHERE (`predicates`), but over the columns of elements instead of features. No map and no tensor is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from ...algebra.elements import collection_of, identity_of
from ...algebra.kinds import KINDS
from ...algebra.operators import Identity, Operator
from ...algebra.rankings import (
    KNOWN,
    Argmax,
    Distance,
    Elements,
    Entropy,
    Interval,
    Key,
    Mass,
    Ranking,
    Scalar,
    possible,
)
from ...algebra.sources import Source
from ...algebra.windows import EVERYTHING, Column, Term, Window, check_masks
from ...catalog.inputs import Entry
from ...errors import BindError, ShapeError, did_you_mean
from .. import tree
from .models import UnknownPredictions
from .options import whole
from .plans import OperandPlans, Ranked
from .predicates import PredicateBinder, bind_window
from .scope import Scope

_ARGUMENTS: Final = {"mass": "w", "entropy": "", "distance": "(query)", "argmax_row": "", "argmax_col": ""}
_HAS: Final = (
    "an element has label, prediction and index, and its map mass(w), entropy(), distance((query)), argmax_row() and "
    "argmax_col()"
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
    entry, classes = scope.entries(collection)[0], tuple(scope.model(collection.model).classes or ())
    references: dict[str, tuple[Operator, ...]] = {}

    def refer(subquery: tree.Subquery) -> str:
        span = subquery.query.span
        words = " ".join(scope.text[span.start : span.end].split())
        references[f"distance(({words}))"] = measured_from(subquery, collection)
        return words

    with scope.at(clauses[0]):
        ranking = _bind_ranking(query, entry, scope.catalog.windows, classes, refer)
    count = len(collection.inputs)
    elements = _known(collection.inputs, entry, classes, [None] * count)
    unknown = {name: Interval.unknown(count) for name in ranking.scalars}
    kept = possible(ranking, elements.joined(unknown))
    if "prediction" in ranking.columns and len(kept):
        predictions: list[int | None] = [None] * count
        asked = UnknownPredictions(identity_of(collection, kept.tolist()))
        for position, predicted in zip(kept.tolist(), scope.told(asked), strict=True):
            predictions[position] = predicted
        elements = _known(collection.inputs, entry, classes, predictions)
        kept = kept[np.isin(kept, possible(ranking, elements.joined(unknown)))]
    left = {
        name: plans if len(plans) == 1 else tuple(plans[position] for position in kept)
        for name, plans in references.items()
    }
    return replace(selected, ranked=Ranked(ranking, elements.taken(kept), left), kept=kept.tolist())


def _bind_ranking(
    query: tree.Query,
    entry: Entry,
    windows: Mapping[str, Window],
    classes: tuple[str, ...],
    refer: _Refer,
) -> Ranking:
    """The ranking in a query over the collection `entry`. `classes` are the names of the model's classes, if they have
    names. Raises BindError for an unknown word."""
    binder = _RankingBinder(windows, "element", None, None, entry, classes, refer)
    having = EVERYTHING if query.having is None else binder.window(query.having)
    order = tuple(Key(binder.number(key.of), key.descending) for key in query.order)
    limit = None if query.limit is None else whole(query.limit, "a limit", 1)
    return Ranking(having, order, limit, binder.scalars)


def _known(
    inputs: Sequence[Source], entry: Entry, classes: tuple[str, ...], predictions: Sequence[int | None]
) -> Elements:
    """The columns of a collection's elements that are known before anything is explained; None stands for a class that
    is not known yet."""
    positions = [source.index or 0 for source in inputs]
    known = np.array([np.nan if each is None else each for each in predictions], dtype=np.float64)
    unknown = np.isnan(known)
    guess = Interval(np.where(unknown, -np.inf, known), np.where(unknown, np.inf, known))
    numbers = {"index": Interval.exactly(positions), "prediction": guess}
    named = [None if each is None else classes[each] if classes else "" for each in predictions]
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
    refer: _Refer
    scalars: dict[str, Scalar] = field(default_factory=dict)

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
        if word not in KNOWN:
            raise BindError(f"unknown column '{name.value}'{_meant(word)}", name.span)
        if word == "label" and self.entry.labels is None:
            raise BindError(
                f"'{self.entry.name}' was registered without labels; "
                f'register_input("{self.entry.name}", …, labels=[…]) brings them',
                name.span,
            )
        return Column(word)

    def column_of_names(self, of: tree.Expression, text: tree.Text) -> Column:
        column = self._column(of) if isinstance(of, tree.Name) else None
        if column is None or column.name == "index":
            raise BindError(
                f"'{text.value}' is a text; only a label or a prediction is compared with a text", text.span
            )
        known = self._named_labels if column.name == "label" and self._named_labels else self.classes
        if not known:
            raise BindError(f"no {column.name} is called '{text.value}': they are numbers, without names", text.span)
        if text.value not in known:
            raise BindError(f"unknown {column.name} '{text.value}'{did_you_mean(text.value, known)}", text.span)
        return column

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
        if word not in _ARGUMENTS:
            raise BindError(f"unknown function '{call.name.value}'{_meant(word)}", call.name.span)
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
                scalar, said = Distance(), f"({self.refer(argument)})"
            case "entropy", _:
                scalar, said = Entropy(), ""
            case _:
                if KINDS[self.entry.kind].layout != "plane":
                    raise BindError(f"{word} is for images; '{self.entry.name}' is {self.entry.kind}", call.span)
                scalar, said = Argmax("row" if word == "argmax_row" else "col"), ""
        name = f"{word}({said})"
        while self.scalars.setdefault(name, scalar) != scalar:  # two large windows may be shown alike
            name += "'"
        return Column(name)

    def _window(self, argument: tree.Expression) -> Window:
        entry = self.entry
        window = bind_window(argument, self.windows, entry.kind, *entry.known_words)
        try:
            check_masks(window, entry.shape)
        except ShapeError as error:
            error.span = argument.span
            raise
        return window


def _meant(word: str) -> str:
    near = did_you_mean(word, [*KNOWN, *_ARGUMENTS])
    return near if "did you mean" in near else f"; {_HAS}"
