"""Writing: a syntax tree becomes query text that parses to the same tree.

In: a node of `tree`, parsed or built by hand. Out: text on one line, with keywords in small letters, names in double
quotes only where the language needs them, and parentheses only where the tree needs them. A number keeps the digits
that it was written with, if they say its value. This module may not know which names exist; `printer` writes plans.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final, NamedTuple, assert_never

from ..algebra.windows import sql_name, sql_text
from . import tree
from .dialect import PER_SECOND

Writable = (
    tree.Statement
    | tree.Expression
    | tree.Item
    | tree.StarItem
    | tree.Operand
    | tree.OptionExpr
    | tree.Joined
    | tree.SortKey
    | tree.Region
)
"""Every node that has a text of its own."""

_NUMBER: Final = re.compile(r"-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_DURATION: Final = re.compile(r"(\S+)\s+((milli)?seconds?)", re.ASCII | re.IGNORECASE)
_REGION: Final = re.compile(r"(top|above)\(", re.ASCII | re.IGNORECASE)


class _Level(IntEnum):
    """How tightly a text binds; a part that binds less tightly than its position requires gets parentheses."""

    OR = 0
    AND = 1
    NOT = 2
    EQUAL = 3
    ORDERED = 4
    RANGE = 5
    SUM = 6
    PRODUCT = 7
    SIGN = 8
    ATOM = 9


class _Said(NamedTuple):
    text: str
    level: _Level = _Level.ATOM

    def at(self, level: _Level) -> str:
        return self.text if self.level >= level else f"({self.text})"


def write(node: Writable) -> str:
    """The text of a node. A statement's text parses to an equal statement."""
    match node:
        case tree.Query():
            return " ".join(_query(node))
        case tree.Predict():
            return " ".join(_predict(node))
        case tree.Explain(query, analyze, _, form):
            said = ["analyze"] * analyze + [f"format {form}"] * (form != "text")
            options = f"({', '.join(said)})" if form != "text" else "".join(said)
            return " ".join(["explain", *filter(None, [options]), write(query)])
        case tree.CreateWindow(name, where, replace, _):
            body = write(where)
            if not isinstance(where, tree.Region) and _REGION.match(body):
                body = f"({body})"  # a call in a predicate, not a window from an answer
            return f"create {'or replace ' * replace}window {write(name)} as {body}"
        case tree.CreateView(name, query, _, replace, _):
            return f"create {'or replace ' * replace}view {write(name)} as {write(query)}"
        case tree.CreateAxis(name, generator, of, holding, replace, _):
            fixed = f" holding {', '.join(map(write, holding))}" if holding else ""
            return f"create {'or replace ' * replace}axis {write(name)} on {write(generator)} as {write(of)}{fixed}"
        case tree.Drop(kind, name, _):
            return f"drop {kind} {write(name)}"
        case tree.Show(kind, _):
            return f"show {kind}"
        case tree.Describe(name, _):
            return f"describe {write(name)}"
        case tree.SetOption(name, value, _):
            return f"set {write(name)} = {write(value)}"
        case tree.Region(kind, amount, percent, query, _, _):
            return f"{kind}({number(amount)}{' percent' * percent}, {write(query)})"
        case tree.Item(what, label, _):
            return write(what) + ("" if label is None else f" as {_label(label)}")
        case tree.StarItem():
            return "*"
        case tree.Joined(kind, operand, weight, _):
            word = "anti join" if kind == "anti" else "join"
            return f"{word} {write(operand)}" + ("" if weight is None else f" on weight = {number(weight)}")
        case tree.SortKey(of, descending, _):
            return _said(of).at(_Level.SUM) + " desc" * descending
        case tree.OptionExpr(name, value, _):
            return f"{write(name)} => {write(value)}"
        case _:
            return _said(node).text


def number(node: tree.Number, per: int = 1) -> str:
    """The digits of a number, times `per`: those that it was written with, if they say its value."""
    digits = node.text.strip().removesuffix("%").rstrip()
    if _NUMBER.fullmatch(digits) and float(digits) / per == node.value:
        return digits
    if per == 1:
        return repr(node.value)
    tries = (f"{node.value * per:.{places}f}" for places in range(17))
    return next((each for each in tries if float(each) / per == node.value), repr(node.value * per))


def _query(query: tree.Query) -> Iterator[str]:
    """The clauses of a query, in their order."""
    yield f"select {_list(query.items)}"
    yield f"from {write(query.operand)}"
    yield from map(write, query.joins)
    if query.where is not None:
        yield f"where {write(query.where)}"
    yield from _ranking(query)
    if query.using is not None:
        yield f"using {write(query.using if query.using.arguments or query.using.options else query.using.name)}"
    if query.budget is not None:
        yield f"budget {number(query.budget)}"
    if query.error is not None:
        yield f"error within {number(query.error, 100)}%"
    if query.confidence is not None:
        yield f"at confidence {number(query.confidence, 100)}%"
    if query.within is not None:
        yield f"within {_duration(query.within)}"


def _predict(predict: tree.Predict) -> Iterator[str]:
    """The clauses of a PREDICT, in their order. A model without options needs no parentheses."""
    yield f"predict {_list(each if each.options else each.name for each in predict.models)}"
    yield f"from {write(predict.input)}"
    yield from _ranking(predict)


def _ranking(node: tree.Query | tree.Predict) -> Iterator[str]:
    if node.having is not None:
        yield f"having {write(node.having)}"
    if node.order:
        yield f"order by {_list(node.order)}"
    if node.limit is not None:
        yield f"limit {number(node.limit)}"


def _duration(node: tree.Number) -> str:
    """A duration in the unit that it was written in, else in seconds."""
    if said := _DURATION.fullmatch(node.text.strip()):
        digits, unit = said[1], said[2].lower()
        if _NUMBER.fullmatch(digits) and float(digits) / PER_SECOND[unit.upper()] == node.value:
            return f"{digits} {unit}"
    return f"{number(node)} seconds"


def _list(nodes: Iterable[Writable]) -> str:
    return ", ".join(map(write, nodes))


def _label(label: str) -> str:
    name = sql_name(label)
    return name if name == label else sql_text(label)


def _said(node: tree.Expression) -> _Said:
    """An expression's text, and how tightly it binds. The tree nests a chain of operators to the left."""
    match node:
        case tree.Number():
            return _Said(number(node))
        case tree.Text(value, _):
            return _Said(sql_text(value))
        case tree.Name(value, _):
            return _Said(sql_name(value))
        case tree.CallExpr(name, arguments, options, _):
            return _Said(f"{write(name)}({_list((*arguments, *options))})")
        case tree.NumberTuple(values, _) | tree.TextTuple(values, _):
            return _Said(f"({_list(values)})")
        case tree.Subquery(query, _):
            return _Said(f"({write(query)})")
        case tree.AbsoluteExpr(of, _):
            return _Said(f"abs({write(of)})")
        case tree.NegateExpr(of, _):
            inner = _said(of)
            plain = inner.level == _Level.ATOM and not isinstance(of, tree.Number)  # -(1) is no number with a sign
            return _Said(f"-{inner.text}" if plain else f"-({inner.text})", _Level.SIGN)
        case tree.ArithmeticExpr(op, left, right, _):
            level = _Level.SUM if op in "+-" else _Level.PRODUCT
            return _Said(f"{_said(left).at(level)} {op} {_said(right).at(_Level(level + 1))}", level)
        case tree.Between(of, low, high, _):
            ends = f"{_said(low).at(_Level.SUM)} and {_said(high).at(_Level.SUM)}"
            return _Said(f"{_said(of).at(_Level.RANGE)} between {ends}", _Level.RANGE)
        case tree.InExpr(of, values, _):
            listed = ", ".join(_said(each).at(_Level.SUM) for each in values)
            return _Said(f"{_said(of).at(_Level.RANGE)} in ({listed})", _Level.RANGE)
        case tree.CompareExpr(op, left, right, _):
            level = _Level.EQUAL if op in ("=", "<>") else _Level.ORDERED
            return _Said(f"{_said(left).at(level)} {op} {_said(right).at(_Level(level + 1))}", level)
        case tree.NotExpr(of, _):
            return _Said(f"not {_said(of).at(_Level.NOT)}", _Level.NOT)
        case tree.AndExpr(parts, _):
            return _Said(" and ".join(_said(each).at(_Level.NOT) for each in parts), _Level.AND)
        case tree.OrExpr(parts, _):
            return _Said(" or ".join(_said(each).at(_Level.AND) for each in parts), _Level.OR)
        case _:
            assert_never(node)
