"""A query's syntax tree as the oracle's plans: a second, slow binder that knows only what the language page says.

In: a parsed query, the oracle's world, the texts of views. Out: for each item of the select list and each input the
plan that the oracle can answer, and a world that knows the query's predicates. It imports nothing of ialgebra but the
syntax tree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
from torch import Tensor

from ialgebra.language import reader, tree
from tests import oracle
from tests.oracle import Anti, Call, Edit, Join, Layer, Plan, Where

_OPERATIONS: dict[str, Callable] = {
    **{"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "%": np.mod},
    **{"=": np.equal, "<>": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal},
}


@dataclass
class Reader:
    """What names mean, and what a model's layers are called."""

    world: oracle.World
    layers: Mapping[str, int]
    views: Mapping[str, str] = field(default_factory=dict)

    def plans(self, query: tree.Query) -> list[Plan]:
        """A plan for each item of the select list, and for each element of a collection that stands alone."""
        return [each for plan in self.query(query) for each in self.elements(plan)]

    def query(self, query: tree.Query) -> list[Plan]:
        operands = [self.operand(query.operand), *(self.operand(joined.operand) for joined in query.joins)]
        count = max(map(len, operands))
        plans = [self.joined([_pick(each, k) for each in operands], query.joins) for k in range(count)]
        if query.where is not None:
            plans = [Where(self.window(query.where), plan) for plan in plans]
        count = max(count, len(query.items))
        return [self.selected(_pick(plans, k), _pick(query.items, k)) for k in range(count)]

    def selected(self, plan: Plan, item: tree.Item) -> Plan:
        match item.what:
            case tree.StarItem():
                return plan
            case tree.Number(value=number):
                return Layer(int(number), plan)
            case tree.Name(value=name) | tree.Text(value=name):
                return Layer(self.layers[name], plan)

    def joined(self, operands: list[Plan], joins: tuple[tree.Joined, ...]) -> Plan:
        plan, rest = operands[0], operands[1:]
        for (kind, weighted), run in groupby(joins, key=lambda each: (each.kind, each.weight is not None)):
            chain = list(run)
            right, rest = rest[: len(chain)], rest[len(chain) :]
            if kind == "anti":
                plan = Anti((plan, *right))
            elif not weighted:
                plan = Join((plan, *right))
            else:
                for each, other in zip(chain, right, strict=True):
                    plan = Join((plan, other), each.weight.text)
        return plan

    def operand(self, operand: tree.Operand) -> list[Plan]:
        match operand:
            case tree.Subquery(query=query):
                return self.query(query)
            case tree.Name(value=name):
                (view,) = reader.parse(self.views[name])
                return self.query(view)
        said = {option.name.value: option.value for option in operand.options}
        target = said.get("target")
        name, edits = self.edited(operand.arguments[0])
        return [
            Call(
                operand.name.value,
                name,
                baseline=_text(said.get("baseline")),
                target=None if target is None else int(target.value),
                output=_text(said.get("output")) or "logit",
                players=_text(said.get("players")),
                edits=edits,
            )
        ]

    def edited(self, argument: tree.Expression) -> tuple[str, tuple[Edit, ...]]:
        """An input's name, and its modifiers from the inside."""
        if isinstance(argument, tree.Name):
            return argument.value, ()
        inner, *arguments = argument.arguments
        name, edits = self.edited(inner)
        if argument.name.value in ("nullify", "substitute"):
            window, *others = arguments
            said: tuple[str | float, ...] = (self.window(window), *(other.value for other in others))
        else:
            said = tuple(each.value for each in arguments)
        return name, (*edits, Edit(argument.name.value, said))

    def elements(self, plan: Plan) -> list[Plan]:
        match plan:
            case Where(window, of):
                return [Where(window, each) for each in self.elements(of)]
            case Layer(layer, of):
                return [Layer(layer, each) for each in self.elements(of)]
            case Call(input=name) if isinstance(self.world.inputs[name], list):
                found = self.world.elements(name)
                self.world.inputs.update({f"{name}[{k}]": x for k, x in enumerate(found)})
                return [replace(plan, input=f"{name}[{k}]") for k in range(len(found))]
        return [plan]

    # Predicates, feature by feature, as NumPy says them.

    def window(self, where: tree.Expression) -> str:
        name = f"predicate {len(self.world.windows)}"
        self.world.windows[name] = lambda x: np.broadcast_to(self.truth(where, x), x.shape)
        return name

    def truth(self, of: tree.Expression, x: Tensor) -> np.ndarray:
        match of:
            case tree.AndExpr(parts=parts):
                return np.logical_and.reduce([np.broadcast_to(self.truth(each, x), x.shape) for each in parts])
            case tree.OrExpr(parts=parts):
                return np.logical_or.reduce([np.broadcast_to(self.truth(each, x), x.shape) for each in parts])
            case tree.NotExpr(of=inner):
                return ~self.truth(inner, x)
            case tree.CompareExpr(op=op, left=left, right=right):
                return _OPERATIONS[op](self.number(left, x), self.number(right, x))
            case tree.Between(of=inner, low=low, high=high):
                value = self.number(inner, x)
                return (self.number(low, x) <= value) & (value <= self.number(high, x))
            case tree.InExpr(of=inner, values=values):
                return np.isin(self.number(inner, x), [each.value for each in values])
            case tree.Name(value=name) if name.lower() in ("true", "false"):
                return np.full(x.shape, name.lower() == "true")
            case tree.Name(value=name):
                return self.world.windows[name](x)
            case tree.CallExpr(arguments=arguments):
                one, two, *others = (each.value for each in arguments)
                row, col = self.column("row", x), self.column("col", x)
                if len(others) == 2:
                    return (one <= row) & (row < others[0]) & (two <= col) & (col < others[1])
                return (row - one) ** 2 + (col - two) ** 2 <= others[0] ** 2
        raise AssertionError(of)

    def number(self, of: tree.Expression, x: Tensor) -> np.ndarray:
        match of:
            case tree.Number(value=value):
                return np.asarray(float(value))
            case tree.Name(value=name):
                return self.column(name.lower(), x)
            case tree.ArithmeticExpr(op=op, left=left, right=right):
                return _OPERATIONS[op](self.number(left, x), self.number(right, x))
            case tree.NegateExpr(of=inner):
                return -self.number(inner, x)
            case tree.AbsoluteExpr(of=inner):
                return np.abs(self.number(inner, x))
        raise AssertionError(of)

    def column(self, name: str, x: Tensor) -> np.ndarray:
        if name in ("value", "token"):
            return x.numpy().astype(float)
        axis = {"channel": -3, "row": -2, "col": -1, "feature": -1, "position": -1}[name]
        return np.indices(tuple(x.shape))[axis].astype(float)


def _pick(values, k: int):
    return values[0] if len(values) == 1 else values[k]


def _text(value: tree.ValueExpr | None) -> str | None:  # type: ignore[return]
    """An option's value as the oracle writes it."""
    match value:
        case None:
            return None
        case tree.Number(text=text):
            return text
        case tree.Name(value=word) | tree.Text(value=word):
            return "0" if word == "zeros" else word
        case tree.CallExpr(name=name, arguments=arguments):
            return f"{name.value}({', '.join(str(each.value) for each in arguments)})"
