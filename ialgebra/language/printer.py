"""Printing: a plan becomes query text that binds to the same plan (a normal form: to a plan with the same normal form).

Every option is written out, so that the text does not depend on a session's defaults. A plan over some elements of a
collection prints with a HAVING that keeps these. If the elements are the first ones of the collection, they are taken
for the whole collection, unless `sizes` tells that it has more. A baseline that is one element of a collection prints
as xs[3]; people can read this, but it does not parse.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple, assert_never

from ..algebra.baselines import Baseline, Given
from ..algebra.operators import (
    AntiJoin,
    Estimation,
    Identity,
    Join,
    Operator,
    Projection,
    Selection,
    leaves,
)
from ..algebra.sweeps import Step
from ..algebra.windows import sql_name
from ..planner.graph import PlanGraph


class _Printed(NamedTuple):
    """A plan's text in parts: what follows SELECT, FROM and WHERE."""

    item: str = "*"
    source: str = ""
    where: str = ""

    @property
    def query(self) -> str:
        return f"select {self.item} from {self.source}" + (f" where {self.where}" if self.where else "")

    @property
    def operand(self) -> str:
        simple = self.item == "*" and not self.where and self.source.count(" join ") == 0
        return self.source if simple else f"({self.query})"


def to_sql(plan: Operator, sizes: Mapping[str, int] | None = None) -> str:
    """Query text for `plan`; `sizes` are the numbers of elements of the collections, by name."""
    graph = PlanGraph([plan])
    wishes = {leaf.estimation for leaf in leaves(plan)}
    together = len(wishes) == 1
    literal = any(isinstance(each, AntiJoin) and each.contrast == "literal" for each in graph.order())

    alone = _collection_alone(plan)

    def visit(each: Operator, operands: tuple[_Printed, ...]) -> _Printed:
        match each:
            case Identity():
                kept = _kept(each, sizes or {})
                call = _call(each) if not kept else f"(select * from {_call(each)}{kept})"
                if each is alone:
                    return _Printed(source=f"{call} join {call}")
                own = f"(select * from {_call(each)}{kept}{_clauses(each.estimation)})"
                return _Printed(source=call if together else own)
            case Projection(window, _):
                (inner,) = operands
                if inner.item == "*" and not inner.where:
                    return inner._replace(where=window.text)
                return _Printed(source=inner.operand, where=window.text)
            case Selection(layer, _):
                (inner,) = operands
                return inner._replace(item=str(layer)) if inner.item == "*" else _Printed(str(layer), inner.operand)
            case Join(_, weights):
                return _Printed(source=_join(operands, weights))
            case AntiJoin(_, order, _):
                return _Printed(source=" left join ".join(operands[k].operand for k in order))
            case _:
                assert_never(each)

    outer = next(iter(wishes)) if together else Estimation()
    (printed,) = graph.fold(visit)
    return printed.query + _clauses(outer, literal)


def _kept(identity: Identity, sizes: Mapping[str, int]) -> str:
    """The HAVING that keeps the elements of a collection or a sweep that an identity has; "" if it has all of them."""
    first = identity.inputs[0]
    if not first.is_element:
        return ""
    steps: dict[int | None, list[Step]] = {}  # of the sweep that each element of the collection has
    for source in identity.inputs:
        mine = steps.setdefault(source.index, [])
        if source.step is not None:
            mine.append(source.step)
    count = sizes.get(first.name, len(steps) if len(identity.inputs) > 1 else 0)
    every = first.index is None or list(steps) == list(range(count))
    if first.step is None:
        return "" if every else f" having index in ({', '.join(map(str, steps))})"
    whole = list(range(first.step.count))
    numbers = {index: [each.number for each in mine] for index, mine in steps.items()}
    if every and all(each == whole for each in numbers.values()):
        return ""
    parts = []
    for index, mine in steps.items():
        place = [] if index is None else [f"index = {index}"]
        kept = [] if numbers[index] == whole else [f"step in ({', '.join(each.words for each in mine)})"]
        parts.append(" and ".join(place + kept))
    return f" having {' or '.join(parts)}"


def _collection_alone(plan: Operator) -> Identity | None:
    """The collection of a plan that has no join around it, else None. Alone, a collection has a map for each element;
    printed as `f(xs) join f(xs)` it is the mean of its elements (L11)."""
    while isinstance(plan, Projection | Selection):
        plan = plan.of
    return plan if isinstance(plan, Identity) and len(plan.inputs) > 1 else None


def _join(operands: tuple[_Printed, ...], weights: tuple[Fraction, ...]) -> str:
    if len(set(weights)) == 1 and (len(weights) > 2 or weights[0] == Fraction(1, 2)):
        return " join ".join(operand.operand for operand in operands)
    text, total = operands[0].operand, weights[0]
    for operand, weight in zip(operands[1:], weights[1:], strict=True):
        total += weight
        share = float((total - weight) / total) if total else 1.0
        text += f" join {operand.operand} on weight = {share!r}"
    return text


def _clauses(estimation: Estimation, literal: bool = False) -> str:
    said = str(estimation)
    if literal:
        said = said.replace("()", "(contrast => 'literal')")
    using = "" if said == "shapley()" else f" using {said}"
    return using + (f" budget {estimation.budget}" if estimation.budget else "")


def _call(identity: Identity) -> str:
    options = {
        "baseline": baseline_text(identity.baselines),
        "players": str(identity.players),
        "output": f"'{identity.output}'",
    }
    if identity.target is not None:
        options["target"] = str(identity.target)
    source = identity.inputs[0].collection
    said = ", ".join(f"{key} => {value}" for key, value in options.items())
    return f"{sql_name(identity.model)}({source.text}, {said})"


def baseline_text(baselines: tuple[Baseline, ...]) -> str:
    """Baselines as a query would write them; several baselines are the elements of a collection."""
    first = baselines[0]
    return first.source.collection.text if isinstance(first, Given) else first.text
