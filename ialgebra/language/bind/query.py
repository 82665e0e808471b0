"""A whole query: its syntax tree and the catalog become logical plans, with the place of each operator in the text.

A name, class, layer, option or window that is not known is a BindError at its own word. The scope rules are those of
SQL: the select list and the WHERE of a query apply to its whole FROM. This module says what each clause means; model
calls, views and rankings are bound by modules of their own. It rewrites nothing and runs no model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby, islice
from typing import TypeVar, cast

from ...algebra.baselines import Given
from ...algebra.elements import collection_of, one_each, taken
from ...algebra.kinds import KINDS
from ...algebra.operators import (
    AntiJoin,
    Contrast,
    Estimation,
    Identity,
    Join,
    Operator,
    Projection,
    Selection,
    leaves,
)
from ...algebra.windows import check_masks
from ...catalog.catalog import Catalog
from ...errors import BindError, ShapeError, Span
from ...interpreters.protocol import ModelInterpreter
from ...planner.compile import Wanted
from .. import tree
from .models import NOTHING_TOLD, Told, Unknown
from .operands import bind_call
from .options import bind_budget, bind_contrast, whole
from .plans import OperandPlans, Ranked, contrasts, lengthened
from .predicates import bind_window
from .ranking import ranked
from .scope import Inherited, Scope, check_same_shape
from .using import bind_using
from .views import Views

_T = TypeVar("_T")


@dataclass(frozen=True)
class Bound:
    """A bound query: a plan as written for each item of its select list, the place of each operator in the text, and
    the ranking of the inputs."""

    wanted: tuple[Wanted, ...]
    places: dict[Operator, Span]
    ranked: Ranked | None = None

    @property
    def maps(self) -> tuple[Wanted, ...]:
        """Every map by itself."""
        return tuple(one for each in self.wanted for one in each.apart())


def bind(
    query: tree.Query,
    text: str,
    catalog: Catalog,
    within: tuple[str, ...] = (),
    answers: Mapping[Unknown, Told] = NOTHING_TOLD,
) -> Bound:
    """The plans of `query`. `within` names the views that this query defines; it may not read them.

    Raises BindError or ShapeError placed in `text`. Raises NotKnownYet if binding needs something that only a run of a
    model can tell and that is not in `answers`.
    """
    scope, settings = Scope(catalog, text, answers), catalog.settings
    if within:
        _refuse_bounds(query, scope)
    default = settings.method or Estimation()
    estimation = Estimation(default.interpreter, default.options, settings.budget)
    inherited = Inherited(estimation, cast("Contrast", settings.contrast or "difference"), within)
    found = _QueryBinder(scope, Views()).query(query, inherited)
    _refuse_bounds_without_errors(query, found.plans, scope)
    wanted = []
    for item, (plan, label) in enumerate(zip(found.plans, found.labels, strict=True)):
        each = collection_of(plan) is not None
        if found.kept is None or not each:
            wanted.append(Wanted(plan, label, item, each))
        elif found.kept:
            wanted.append(Wanted(scope.moved(plan, taken(plan, found.kept)), label, item, each))
    return Bound(tuple(wanted), scope.places, found.ranked)


@dataclass(frozen=True)
class _QueryBinder:
    """Binds one text: that of a query, or that of a view."""

    scope: Scope
    views: Views

    def query(self, query: tree.Query, inherited: Inherited) -> OperandPlans:
        inherited = self.estimation(query, inherited)
        operands = [self.operand(query.operand, inherited)]
        operands += [self.operand(joined.operand, inherited) for joined in query.joins]
        if operands[0].ranked and _says_nothing(query):
            return operands[0]
        spans = [query.operand.span, *(joined.operand.span for joined in query.joins)]
        operands = [self.settled(each, span) for each, span in zip(operands, spans, strict=True)]
        count = self.broadcast([len(each.plans) for each in operands], query.span, "the operands' select lists")
        contrast = next((each.contrast for each in operands if each.contrast), inherited.contrast)
        plans = [self.joined([_pick(each.plans, k) for each in operands], query.joins, contrast) for k in range(count)]
        if query.where is not None:
            plans = [self.projected(plan, query.where) for plan in plans]
        count = self.broadcast([count, len(query.items)], query.items[0].span, "the select list and its subqueries'")
        inner = operands[0].labels if len(operands) == 1 else []
        selected = [self.selected(_pick(plans, k), _pick(query.items, k)) for k in range(count)]
        labels = [_pick(query.items, k).label or (_pick(inner, k) if inner else None) for k in range(count)]

        def measured_from(subquery: tree.Subquery, collection: Identity) -> tuple[Operator, ...]:
            return self.measured_from(subquery, collection, inherited)

        return ranked(query, OperandPlans(selected, labels), self.scope, measured_from)

    def inner(self, query: tree.Query, inherited: Inherited) -> OperandPlans:
        """The plans of a query inside another query."""
        _refuse_bounds(query, self.scope)
        return self.query(query, inherited)

    # Operands.

    def operand(self, operand: tree.Operand, inherited: Inherited) -> OperandPlans:
        match operand:
            case tree.Subquery(query=query):
                return self.inner(query, inherited)
            case tree.Name(value=name, span=span):
                return self.views.read(name, span, self.scope, inherited, self.of_view)
            case tree.CallExpr():
                identities, contrast = bind_call(operand, self.scope, inherited)
                plans = [self.scope.placed(identity, operand.span) for identity in identities]
                return OperandPlans(plans, [None] * len(plans), contrast)

    def of_view(self, query: tree.Query, scope: Scope, inherited: Inherited) -> OperandPlans:
        """The plans of a view's query, which has its own text."""
        return _QueryBinder(scope, self.views).inner(query, inherited)

    def settled(self, found: OperandPlans, span: Span) -> OperandPlans:
        """An operand reduced to the elements that its ranking keeps; BindError where only a run can tell which."""
        if found.ranked is None or found.kept is None:
            return found
        if found.ranked.ranking.scalars:
            message = "what is ranked by its maps can be read as a whole only: select * from …, and no more"
            raise BindError(message, span).at(self.scope.text)
        if not found.kept:
            raise BindError(f"no element is left by: {found.ranked.ranking}", span).at(self.scope.text)
        plans = [self.scope.placed(taken(plan, found.kept), span) for plan in found.plans]
        return OperandPlans(plans, found.labels, found.contrast)

    def measured_from(
        self, subquery: tree.Subquery, collection: Identity, inherited: Inherited
    ) -> tuple[Operator, ...]:
        """The plans of the query inside `distance(…)`: one map, or one for each element of the collection."""
        entry, count = self.scope.entries(collection)[0], len(collection.inputs)
        with self.scope.at(subquery.span):
            found = self.settled(self.operand(subquery, inherited), subquery.span)
            if len(found.plans) != 1 or contrasts(found.plans[0]):
                raise BindError("a distance is measured from one map, or from one an element; this query has more")
            plans = tuple(one_each(found.plans[0]))
            self.check_concepts(collection, plans[0])
            check_same_shape(entry, self.scope.entries(plans[0])[0], "a distance needs maps of one shape")
            if len(plans) not in (1, count):
                raise BindError(
                    f"a distance is measured from one map, or from one an element; {len(plans)} maps do not go with "
                    f"{count} elements"
                )
            return plans

    # Clauses.

    def estimation(self, query: tree.Query, inherited: Inherited) -> Inherited:
        """The inherited values, replaced by what the query's own USING and BUDGET say."""
        scope, estimation, contrast, using = self.scope, inherited.estimation, inherited.contrast, inherited.using
        if query.using is not None:
            using = scope.text, query.using.span
            with scope.at(query.using.span):
                estimation, named = bind_using(query.using, scope.catalog, estimation.budget)
            if named is not None:
                with scope.at(named.span):
                    contrast = bind_contrast(named)
        if query.budget is not None:
            with scope.at(query.budget.span):
                if isinstance(scope.catalog.interpreter(estimation.interpreter), ModelInterpreter):
                    raise BindError(f"{estimation.interpreter} takes no budget: its options say what it takes")
                estimation = Estimation(estimation.interpreter, estimation.options, bind_budget(query.budget))
        return replace(inherited, estimation=estimation, contrast=contrast, using=using)

    def broadcast(self, counts: Sequence[int], span: Span, what: str) -> int:
        """The common number of items of lists with these lengths; a list of one item counts for all."""
        lengths = {count for count in counts if count != 1}
        if len(lengths) > 1:
            shown = " and ".join(map(str, counts))
            raise BindError(f"{what} have {shown} items; they must have equally many, or one", span).at(self.scope.text)
        return lengths.pop() if lengths else 1

    def joined(self, operands: list[Operator], joins: Sequence[tree.Joined], contrast: Contrast) -> Operator:
        """The operator of a chain of joins. Neighbours of the same kind form a run, and runs nest to the left; a run of
        joins without weights is one uniform mean."""
        plan = operands[0]
        remaining = iter(operands[1:])
        for kind, group in groupby(joins, key=lambda joined: joined.kind):
            run = list(group)
            right = list(islice(remaining, len(run)))
            plan, *right = self.at_one_length([plan, *right])
            self.check_shapes(operands[0], right, run)
            weighted = [joined.weight for joined in run if joined.weight is not None]
            together = (plan, *right)
            if kind == "anti":
                for weight in weighted:
                    message = "an anti-join takes no weight; JOIN … ON weight does"
                    raise BindError(message, weight.span).at(self.scope.text)
                plan = AntiJoin(together, tuple(range(len(together))), contrast)
            elif not weighted:
                plan = Join(together, (Fraction(1, len(together)),) * len(together))
            elif len(weighted) == len(run):
                for operand, weight in zip(right, weighted, strict=True):
                    share = self.weight(weight)
                    plan = self.scope.placed(Join((plan, operand), (share, 1 - share)), run[0].span)
            else:
                bare = next(joined for joined in run if joined.weight is None)
                raise BindError("give every join of a chain a weight, or none", bare.span).at(self.scope.text)
            self.scope.placed(plan, run[0].span)
        return plan

    def weight(self, weight: tree.Number) -> Fraction:
        value = float(weight.value)
        if not 0 <= value <= 1:
            message = f"a weight must lie in [0, 1], not {weight.text}"
            raise BindError(message, weight.span).at(self.scope.text)
        return Fraction(repr(value))

    def at_one_length(self, operands: list[Operator]) -> list[Operator]:
        """The operands; if they are texts of several lengths, all at the longest one."""
        entries = [entry for each in operands for entry in self.scope.entries(each)]
        baselines = [each for one in operands for leaf in leaves(one) for each in leaf.baselines]
        given = [each.source.name for each in baselines if isinstance(each, Given)]
        lengths = {entry.shape for entry in (*entries, *map(self.scope.catalog.input, given))}
        if len(lengths) == 1 or not all(KINDS[entry.kind].vocabulary for entry in entries):
            return operands
        return [lengthened(each, max(lengths)[0]) for each in operands]

    def check_shapes(self, first: Operator, right: Sequence[Operator], run: Sequence[tree.Joined]) -> None:
        """Raise ShapeError at the operand whose inputs are not of the first one's shape."""
        entry = self.scope.entries(first)[0]
        for operand, joined in zip(right, run, strict=True):
            with self.scope.at(joined.operand.span):
                self.check_concepts(first, operand)
                for other in self.scope.entries(operand):
                    check_same_shape(entry, other, "operands must have one shape")

    def check_concepts(self, first: Operator, other: Operator) -> None:
        """Raise ShapeError where two operands do not have the attributes of one dictionary, or neither has any."""
        games = self.scope.concepts(first), self.scope.concepts(other)
        if all(game is None for game in games) or (
            games[0] is not None and games[1] is not None and games[0].dictionary is games[1].dictionary
        ):
            return
        shown = ["features of the input" if game is None else f"concepts of '{game.codes}'" for game in games]
        raise ShapeError(
            f"the operands' players are {shown[0]} and {shown[1]}, which do not go together; explain both with one "
            "dictionary (two models can share one: con.fit_concepts(…, also=[…]))"
        )

    def projected(self, plan: Operator, where: tree.Expression) -> Operator:
        entry = self.scope.entries(plan)[0]
        with self.scope.at(where.span):
            windows, game = self.scope.catalog.windows, self.scope.concepts(plan)
            concepts = None if game is None else game.dictionary.names
            window = bind_window(where, windows, entry.kind, *entry.known_words, concepts)
            check_masks(window, entry.shape)
        return self.scope.placed(Projection(window, plan), where.span)

    def selected(self, plan: Operator, item: tree.Item) -> Operator:
        if not isinstance(item.what, tree.StarItem) and self.scope.concepts(plan) is not None:
            message = "the attributes of a dictionary are read at its own layers, so that maps over concepts have none "
            message += "to select; select * from f(x, players => concepts)"
            raise BindError(message, item.what.span).at(self.scope.text)
        match item.what:
            case tree.StarItem():
                return plan
            case tree.Number() as number:
                with self.scope.at(number.span):
                    reference: int | str = whole(number, "a layer", 1)
            case tree.Name(value=value) | tree.Text(value=value):
                reference = value
        with self.scope.at(item.what.span):
            layers = {leaf.model: self.layer(leaf, reference) for leaf in leaves(plan)}
            if len(set(layers.values())) > 1:
                shown = ", ".join(f"{layer} of '{model}'" for model, layer in layers.items())
                raise BindError(
                    f"layer '{reference}' is number {shown}; select by number, or in each operand's own subquery"
                )
        return self.scope.placed(Selection(next(iter(layers.values())), plan), item.what.span)

    def layer(self, leaf: Identity, reference: int | str) -> int:
        """The number of a layer of a leaf's model; BindError if the model has no such layer, or no head for it."""
        network = self.scope.model(leaf.model)
        layer = network.layer_index(reference)
        if network.needs_head(layer):
            network.require_head(layer)
        return layer


def _refuse_bounds(query: tree.Query, scope: Scope) -> None:
    for bound in (query.error, query.confidence, query.within):
        if bound is not None:
            raise BindError("a bound on error or time belongs to the outermost query", bound.span).at(scope.text)


def _refuse_bounds_without_errors(query: tree.Query, plans: Sequence[Operator], scope: Scope) -> None:
    """Raise BindError for a bound on error or time if an interpreter runs the model itself: it answers in one go, and
    more rounds would not lower an error."""
    asked = {leaf.estimation.interpreter for plan in plans for leaf in leaves(plan)}
    for name in sorted(asked):
        if isinstance(scope.catalog.interpreter(name), ModelInterpreter):
            for bound, what in ((query.error, "an error"), (query.within, "a time")):
                if bound is not None:
                    raise BindError(
                        f"{name} answers in one go and cannot be held to {what}; leave the bound out", bound.span
                    ).at(scope.text)


def _says_nothing(query: tree.Query) -> bool:
    """Whether a query is only `select * from operand`, without any other clause."""
    (item, *items), more = query.items, (*query.joins, *query.order, query.where, query.having, query.limit)
    return isinstance(item.what, tree.StarItem) and item.label is None and not items and not any(more)


def _pick(values: Sequence[_T], k: int) -> _T:
    return values[0] if len(values) == 1 else values[k]
