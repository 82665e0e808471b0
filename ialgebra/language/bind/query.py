"""Binding: a query's syntax tree and the catalog become logical plans, with the place of each operator in the text.

A name, class, layer, option or window that means nothing is a BindError under its own word. Scope is SQL's: the select
list and the WHERE of a query apply to its whole FROM. It rewrites nothing and runs nothing but a network's one-row
probe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import groupby, islice
from typing import TypeVar, cast

import numpy as np

from ...algebra.baselines import Baseline, check_baseline
from ...algebra.kinds import KINDS
from ...algebra.labelling import check_partition
from ...algebra.operators import (
    AntiJoin,
    Contrast,
    Estimation,
    Identity,
    Join,
    Operator,
    OutputKind,
    Projection,
    Selection,
    leaves,
)
from ...algebra.rankings import Elements, Interval, Ranking, possible
from ...algebra.windows import check_masks
from ...catalog.catalog import Catalog
from ...catalog.inputs import Entry
from ...errors import BindError, IalgebraError, ShapeError, Span
from ...interpreters.protocol import ModelInterpreter
from ...planner.compile import Wanted
from .. import reader, tree
from .inputs import MODIFIERS, bind_baselines, bind_input, default_baselines
from .options import (
    CONTRASTS,
    OUTPUTS,
    bind_budget,
    bind_players,
    choice,
    class_reference,
    whole,
    word,
)
from .predicates import bind_window
from .ranking import bind_ranking, known
from .using import bind_using, bound_to, check_asks

_T = TypeVar("_T")


Predicting = Callable[[Identity], Sequence[int | None]]
"""Tells the classes that the model of an identity predicts for its inputs; None where that is not to be known yet."""


@dataclass(frozen=True)
class Ranked:
    """A ranking of a collection, what is known of those of its elements that may be in the answer, and for each
    distance the plans that it is measured from: one, or one an element."""

    ranking: Ranking
    elements: Elements
    references: Mapping[str, tuple[Operator, ...]]


@dataclass(frozen=True)
class Bound:
    """A bound query: for each item of its select list and each input a plan as written, where operators stand, and how
    the inputs are ranked."""

    maps: tuple[Wanted, ...]
    places: dict[Operator, Span]
    ranked: Ranked | None = None


@dataclass(frozen=True)
class _Context:
    """What subqueries inherit: the estimation asked for, and the views being expanded."""

    estimation: Estimation
    contrast: Contrast
    views: tuple[str, ...] = ()
    using: tuple[str, Span] | None = None  # the text and the place of the USING that it comes from


@dataclass
class _Rows:
    """The plans of a query or an operand: one for each item of its select list."""

    plans: list[Operator]
    labels: list[str | None] = field(default_factory=list)
    contrast: Contrast | None = None
    ranked: Ranked | None = None
    kept: Sequence[int] | None = None  # the places of the elements that the ranking leaves


_MOST_VIEWS = 50  # that read one another, each in several frames of Python's 1000
_Expanded = dict[tuple[str, Estimation, Contrast], tuple[_Rows, tuple[Operator, ...]]]
"""Views and their plans: a view is expanded once a query, however often others read it."""


def unpredicted(identity: Identity) -> list[None]:
    """No model is run: what is filtered by prediction stays whole."""
    return [None] * len(identity.inputs)


def bind(
    query: tree.Query,
    text: str,
    catalog: Catalog,
    within: tuple[str, ...] = (),
    predicting: Predicting = unpredicted,
) -> Bound:
    """The plans of `query`; raises BindError or ShapeError placed in `text`.

    `within` names the views that the query is to define, which it may not read. `predicting` is asked where a HAVING
    or an ORDER BY reads predictions.
    """
    binder = _Binder(catalog, text, predicting)
    if within:
        binder.refuse_bounds(query)
    settings = catalog.settings
    contrast = cast("Contrast", settings.contrast or "difference")
    estimation = settings.method or Estimation()
    context = _Context(Estimation(estimation.interpreter, estimation.options, settings.budget), contrast, within)
    rows = binder.query(query, context)
    binder.refuse_bounds_without_errors(query, rows.plans)
    maps = [
        Wanted(plan, label, item)
        for item, (row, label) in enumerate(zip(rows.plans, rows.labels, strict=True))
        for plan in _elements(row, rows.kept)
    ]
    return Bound(tuple(maps), binder.places, rows.ranked)


def _elements(plan: Operator, kept: Sequence[int] | None = None) -> Iterator[Operator]:
    """One plan for each element of a collection that stands by itself, or of those that are `kept`; under a join it
    counts as the elements' mean."""
    collection = _collection(plan)
    if collection is None:
        yield plan
    else:
        places = range(len(collection.inputs)) if kept is None else kept
        yield from (_taken(plan, [place]) for place in places)


def _collection(plan: Operator) -> Identity | None:
    """The collection, or what is left of one, that a plan has a map for each element of."""
    while isinstance(plan, Projection | Selection):
        plan = plan.of
    return plan if isinstance(plan, Identity) and plan.inputs[0].index is not None else None


def _taken(plan: Operator, places: Sequence[int]) -> Operator:
    """The plan over some of the elements of its collection."""
    match plan:
        case Projection(window, of):
            return Projection(window, _taken(of, places))
        case Selection(layer, of):
            return Selection(layer, _taken(of, places))
    assert isinstance(plan, Identity)
    taken = tuple(plan.inputs[place] for place in places)
    rest = (plan.baselines, plan.players, plan.target, plan.output, plan.depth, plan.estimation)
    return Identity(plan.model, taken, *rest)


class _Binder:
    def __init__(self, catalog: Catalog, text: str, predicting: Predicting, expanded: _Expanded | None = None) -> None:
        self.catalog = catalog
        self.text = text
        self.predicting = predicting
        self.places: dict[Operator, Span] = {}
        self.expanded: _Expanded = {} if expanded is None else expanded

    @contextmanager
    def at(self, span: Span) -> Iterator[None]:
        """Errors raised within stand at `span`, unless they know their place better."""
        try:
            yield
        except IalgebraError as error:
            raise error.at(self.text, error.span or span) from error.__cause__

    def placed(self, plan: Operator, span: Span) -> Operator:
        self.places.setdefault(plan, span)
        return plan

    # Queries.

    def query(self, query: tree.Query, context: _Context) -> _Rows:
        context = self._estimation(query, context)
        operands = [self.operand(query.operand, context)]
        operands += [self.operand(joined.operand, context) for joined in query.joins]
        if operands[0].ranked and _says_nothing(query):
            return operands[0]
        spans = [query.operand.span, *(joined.operand.span for joined in query.joins)]
        operands = [self._settled(each, span) for each, span in zip(operands, spans, strict=True)]
        count = self._broadcast([len(each.plans) for each in operands], query.span, "the operands' select lists")
        contrast = next((each.contrast for each in operands if each.contrast), context.contrast)
        plans = [self._joined([_pick(each.plans, k) for each in operands], query.joins, contrast) for k in range(count)]
        if query.where is not None:
            plans = [self._projected(plan, query.where) for plan in plans]
        count = self._broadcast([count, len(query.items)], query.items[0].span, "the select list and its subqueries'")
        inner = operands[0].labels if len(operands) == 1 else []
        selected = [self._selected(_pick(plans, k), _pick(query.items, k)) for k in range(count)]
        labels = [_pick(query.items, k).label or (_pick(inner, k) if inner else None) for k in range(count)]
        return self._ranked(query, _Rows(selected, labels), context)

    # Rankings.

    def _ranked(self, query: tree.Query, rows: _Rows, context: _Context) -> _Rows:
        """What HAVING, ORDER BY and LIMIT leave of the elements, as far as that is known before anything is
        explained."""
        clauses = [each.span for each in (query.having, *query.order, query.limit) if each is not None]
        if not clauses:
            return rows
        collection = _collection(rows.plans[0])
        if collection is None:
            message = "HAVING, ORDER BY and LIMIT choose among the elements of a collection; this query has one map"
            raise BindError(message, clauses[0]).at(self.text)
        entry, classes = self._entries(collection)[0], tuple(self.catalog.model(collection.model).classes or ())
        references: dict[str, tuple[Operator, ...]] = {}

        def refer(subquery: tree.Subquery) -> str:
            span = subquery.query.span
            words = " ".join(self.text[span.start : span.end].split())
            references[f"distance(({words}))"] = self._reference(subquery, entry, len(collection.inputs), context)
            return words

        with self.at(clauses[0]):
            ranking = bind_ranking(query, entry, self.catalog.windows, classes, refer)
        count = len(collection.inputs)
        elements = known(collection.inputs, entry, classes, [None] * count)
        unknown = {name: Interval.unknown(count) for name in ranking.scalars}
        kept = possible(ranking, elements.joined(unknown))
        if "prediction" in ranking.columns and len(kept):
            taken = _taken(collection, kept.tolist())
            assert isinstance(taken, Identity)
            predictions: list[int | None] = [None] * count
            for place, predicted in zip(kept.tolist(), self.predicting(taken), strict=True):
                predictions[place] = predicted
            elements = known(collection.inputs, entry, classes, predictions)
            kept = kept[np.isin(kept, possible(ranking, elements.joined(unknown)))]
        references = {
            name: plans if len(plans) == 1 else tuple(plans[place] for place in kept)
            for name, plans in references.items()
        }
        return replace(rows, ranked=Ranked(ranking, elements.taken(kept), references), kept=kept.tolist())

    def _reference(self, subquery: tree.Subquery, entry: Entry, count: int, context: _Context) -> tuple[Operator, ...]:
        """The plans of the query that a distance is measured from: one map, or one for each of `count` elements."""
        with self.at(subquery.span):
            rows = self._settled(self.operand(subquery, context), subquery.span)
            if len(rows.plans) != 1 or _contrasts(rows.plans[0]):
                raise BindError("a distance is measured from one map, or from one an element; this query has more")
            plans = tuple(_elements(rows.plans[0]))
            other = self._entries(plans[0])[0]
            if other.shape != entry.shape or other.kind != entry.kind:
                raise ShapeError(
                    f"'{entry.name}' has shape {entry.shape} and '{other.name}' has shape {other.shape}: "
                    "a distance needs maps of one shape"
                )
            if len(plans) not in (1, count):
                raise BindError(
                    f"a distance is measured from one map, or from one an element; {len(plans)} maps do not go with "
                    f"{count} elements"
                )
            return plans

    def _settled(self, rows: _Rows, span: Span) -> _Rows:
        """An operand as the elements that its ranking leaves; one that hangs on maps can only be read as a whole."""
        if rows.ranked is None or rows.kept is None:
            return rows
        if rows.ranked.ranking.scalars:
            message = "what is ranked by its maps can be read as a whole only: select * from …, and no more"
            raise BindError(message, span).at(self.text)
        if not rows.kept:
            raise BindError(f"no element is left by: {rows.ranked.ranking}", span).at(self.text)
        plans = [self.placed(_taken(plan, rows.kept), span) for plan in rows.plans]
        return _Rows(plans, rows.labels, rows.contrast)

    def refuse_bounds(self, query: tree.Query) -> None:
        for bound in (query.error, query.confidence, query.within):
            if bound is not None:
                raise BindError("a bound on error or time belongs to the outermost query", bound.span).at(self.text)

    def refuse_bounds_without_errors(self, query: tree.Query, plans: Sequence[Operator]) -> None:
        """What asks the model itself answers at once, and states no error that rounds could lower."""
        asked = {leaf.estimation.interpreter for plan in plans for leaf in leaves(plan)}
        for name in sorted(asked):
            if isinstance(self.catalog.interpreter(name), ModelInterpreter):
                for bound, what in ((query.error, "an error"), (query.within, "a time")):
                    if bound is not None:
                        raise BindError(
                            f"{name} answers in one go and cannot be held to {what}; leave the bound out", bound.span
                        ).at(self.text)

    def _broadcast(self, counts: Sequence[int], span: Span, what: str) -> int:
        lengths = {count for count in counts if count != 1}
        if len(lengths) > 1:
            shown = " and ".join(map(str, counts))
            raise BindError(f"{what} have {shown} items; they must have equally many, or one", span).at(self.text)
        return lengths.pop() if lengths else 1

    def _estimation(self, query: tree.Query, context: _Context) -> _Context:
        estimation, contrast = context.estimation, context.contrast
        if query.using is not None:
            with self.at(query.using.span):
                estimation, named = bind_using(query.using, self.catalog, estimation.budget)
            if named is not None:
                with self.at(named.span):
                    contrast = self._contrast(named)
        if query.budget is not None:
            with self.at(query.budget.span):
                if isinstance(self.catalog.interpreter(estimation.interpreter), ModelInterpreter):
                    raise BindError(f"{estimation.interpreter} takes no budget: its options say what it takes")
                estimation = Estimation(estimation.interpreter, estimation.options, bind_budget(query.budget))
        using = (self.text, query.using.span) if query.using else context.using
        return replace(context, estimation=estimation, contrast=contrast, using=using)

    def _contrast(self, value: tree.ValueExpr) -> Contrast:
        return cast("Contrast", choice("contrast", word(value, "a contrast"), CONTRASTS))

    def _joined(self, operands: list[Operator], joins: Sequence[tree.Joined], contrast: Contrast) -> Operator:
        """A chain: left-deep in runs of one kind; a run of joins without weights is one uniform mean."""
        plan = operands[0]
        remaining = iter(operands[1:])
        for kind, group in groupby(joins, key=lambda joined: joined.kind):
            run = list(group)
            right = list(islice(remaining, len(run)))
            self._same_shape(operands[0], right, run)
            weighted = [joined.weight for joined in run if joined.weight is not None]
            together = (plan, *right)
            if kind == "anti":
                for weight in weighted:
                    raise BindError("an anti-join takes no weight; JOIN … ON weight does", weight.span).at(self.text)
                plan = AntiJoin(together, tuple(range(len(together))), contrast)
            elif not weighted:
                plan = Join(together, (Fraction(1, len(together)),) * len(together))
            elif len(weighted) == len(run):
                for operand, weight in zip(right, weighted, strict=True):
                    share = self._weight(weight)
                    plan = self.placed(Join((plan, operand), (share, 1 - share)), run[0].span)
            else:
                bare = next(joined for joined in run if joined.weight is None)
                raise BindError("give every join of a chain a weight, or none", bare.span).at(self.text)
            self.placed(plan, run[0].span)
        return plan

    def _weight(self, weight: tree.Number) -> Fraction:
        value = float(weight.value)
        if not 0 <= value <= 1:
            raise BindError(f"a weight must lie in [0, 1], not {weight.text}", weight.span).at(self.text)
        return Fraction(repr(value))

    def _same_shape(self, first: Operator, right: Sequence[Operator], run: Sequence[tree.Joined]) -> None:
        entry = self._entries(first)[0]
        for operand, joined in zip(right, run, strict=True):
            for other in self._entries(operand):
                if other.shape != entry.shape or other.kind != entry.kind:
                    raise ShapeError(
                        f"'{entry.name}' has shape {entry.shape} and '{other.name}' has shape {other.shape}: "
                        "operands must have one shape",
                        joined.operand.span,
                    ).at(self.text)

    def _entries(self, plan: Operator) -> list[Entry]:
        return [self.catalog.input(leaf.inputs[0].name) for leaf in leaves(plan)]

    def _projected(self, plan: Operator, where: tree.Expression) -> Operator:
        entry = self._entries(plan)[0]
        with self.at(where.span):
            window = bind_window(where, self.catalog.windows, entry.kind, entry.vocabulary, entry.feature_names)
            check_masks(window, entry.shape)
        return self.placed(Projection(window, plan), where.span)

    def _selected(self, plan: Operator, item: tree.Item) -> Operator:
        match item.what:
            case tree.StarItem():
                return plan
            case tree.Number() as number:
                with self.at(number.span):
                    reference: int | str = whole(number, "a layer", 1)
            case tree.Name(value=value) | tree.Text(value=value):
                reference = value
        with self.at(item.what.span):
            found = {leaf.model: self._layer(leaf, reference) for leaf in leaves(plan)}
            if len(set(found.values())) > 1:
                shown = ", ".join(f"{layer} of '{model}'" for model, layer in found.items())
                raise BindError(
                    f"layer '{reference}' is number {shown}; select by number, or in each operand's own subquery"
                )
        return self.placed(Selection(next(iter(found.values())), plan), item.what.span)

    def _layer(self, leaf: Identity, reference: int | str) -> int:
        network = self.catalog.model(leaf.model)
        layer = network.layer_index(reference)
        if network.needs_head(layer):
            network.require_head(layer)
        return layer

    # Operands.

    def operand(self, operand: tree.Operand, context: _Context) -> _Rows:
        match operand:
            case tree.Subquery(query=query):
                self.refuse_bounds(query)
                return self.query(query, context)
            case tree.Name(value=name, span=span):
                return self._view(name, span, context)
            case tree.CallExpr():
                with self.at(operand.span):
                    identity, contrast = self._identity(operand, context)
                return _Rows([self.placed(identity, operand.span)], [None], contrast)

    def _view(self, name: str, span: Span, context: _Context) -> _Rows:
        with self.at(span):
            if name not in self.catalog.views and (name in self.catalog.models or name in self.catalog.inputs):
                what = "model" if name in self.catalog.models else "input"
                raise BindError(f"'{name}' is a registered {what}; FROM needs model(input), a subquery or a view")
            if name in context.views:
                raise BindError(f"view '{name}' is defined by itself")
            wanted = (name, context.estimation, context.contrast)
            if wanted not in self.expanded:
                if len(context.views) == _MOST_VIEWS:
                    raise BindError(f"views are nested too deeply: at most {_MOST_VIEWS} read one another")
                self.expanded[wanted] = self._expansion(name, context)
            rows, plans = self.expanded[wanted]
            for plan in plans:
                self.places.setdefault(plan, span)
            return rows

    def _expansion(self, name: str, context: _Context) -> tuple[_Rows, tuple[Operator, ...]]:
        """The plans of a view, and all operators in them."""
        text = self.catalog.view(name)
        (statement,) = reader.parse(text)
        assert isinstance(statement, tree.Query)
        inner = _Binder(self.catalog, text, self.predicting, self.expanded)
        try:
            inner.refuse_bounds(statement)
            rows = inner.query(statement, replace(context, views=(*context.views, name)))
        except IalgebraError as error:
            said = error.message if error.message.startswith("in view '") else f"in view '{name}': {error.message}"
            raise type(error)(said) from error
        return rows, tuple(inner.places)

    def _identity(self, call: tree.CallExpr, context: _Context) -> tuple[Identity, Contrast | None]:
        name = call.name.value
        with self.at(call.name.span):
            if name not in self.catalog.models and name.lower() in MODIFIERS:
                raise BindError(f"{name} changes a model's input and stands inside its call, as in f({name}(x, …))")
            network = self.catalog.model(name)
        if len(call.arguments) != 1:
            raise BindError(
                f"model '{call.name.value}' takes one input, as in {call.name.value}(x); got {len(call.arguments)}"
            )
        argument, options = call.arguments[0], self._options(call)

        def in_force(entry: Entry) -> tuple[Baseline, ...]:
            if "baseline" not in options:
                return default_baselines(entry, self.catalog)
            with self.at(options["baseline"].span):
                return bind_baselines(options["baseline"], self.catalog)

        with self.at(argument.span):
            sources = bind_input(argument, self.catalog, in_force)
            entry = self.catalog.input(sources[0].name)
            network.probe(entry.elements[0].tensor)
            check_asks(context.estimation.interpreter, network, entry, self.catalog)
        try:
            estimation = bound_to(context.estimation, network, self.catalog)
        except IalgebraError as error:  # of an option, whose place is that of USING
            raise error.at(*context.using) if context.using else error from error.__cause__
        settings = self.catalog.settings
        baselines = in_force(entry)
        players = entry.players or settings.players or KINDS[entry.kind].default_partition
        target: int | None = None
        output = settings.output or network.output
        contrast: Contrast | None = None
        for name, value in options.items():
            with self.at(value.span):
                match name:
                    case "players":
                        players = bind_players(value, self.catalog)
                    case "target":
                        target = network.class_index(class_reference(value))
                    case "output":
                        output = choice("output", word(value, "an output"), OUTPUTS)
                    case "contrast":
                        contrast = self._contrast(value)
        with self._default("baseline", options, call):
            for baseline in baselines:
                check_baseline(baseline, entry.elements[0].tensor, lambda source: self.catalog.element(source).tensor)
        with self._default("players", options, call):
            check_partition(players, entry.kind, entry.shape, self.catalog.mask)
        identity = Identity(
            call.name.value,
            sources,
            baselines,
            players,
            target,
            cast("OutputKind", output),
            network.depth,
            estimation,
        )
        return identity, contrast

    @contextmanager
    def _default(self, option: str, options: dict[str, tree.ValueExpr], call: tree.CallExpr) -> Iterator[None]:
        """Errors of an option that the query leaves out say that a default is at fault."""
        try:
            with self.at(options[option].span if option in options else call.span):
                yield
        except IalgebraError as error:
            if option not in options:
                error.message += f" (the default {option} of this input or session)"
            raise

    def _options(self, call: tree.CallExpr) -> dict[str, tree.ValueExpr]:
        found: dict[str, tree.ValueExpr] = {}
        for option in call.options:
            with self.at(option.name.span):
                name = choice(
                    "option of a model call", option.name.value, ("target", "baseline", "players", "output", "contrast")
                )
                if name in found:
                    raise BindError(f"option '{name}' is given twice")
            found[name] = option.value
        return found


def _says_nothing(query: tree.Query) -> bool:
    """Whether a query is `select * from operand`, and no more than that."""
    (item, *items), more = query.items, (*query.joins, *query.order, query.where, query.having, query.limit)
    return isinstance(item.what, tree.StarItem) and item.label is None and not items and not any(more)


def _contrasts(plan: Operator) -> bool:
    while isinstance(plan, Projection | Selection):
        plan = plan.of
    return isinstance(plan, AntiJoin)


def _pick(values: Sequence[_T], k: int) -> _T:
    return values[0] if len(values) == 1 else values[k]
