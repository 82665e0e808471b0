"""Text to syntax tree. In: text; out: the frozen nodes of `tree`.

`parse` reads a script, `parse_predicate` and `parse_value` read what Python arguments take as text. The tree is made
from sqlglot's by a closed whitelist: a node that is not named here is not in the language, and is a ParseError at its
own place. Nothing here knows which models, inputs, windows or columns exist.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NoReturn, cast

from sqlglot import exp

from ..errors import ParseError, Span
from .dialect import MAX_DEPTH, NO_QUERY, PER_SECOND, read
from .tree import (
    AbsoluteExpr,
    AndExpr,
    ArithmeticExpr,
    Between,
    CallExpr,
    CompareExpr,
    CreateAxis,
    CreateView,
    CreateWindow,
    Describe,
    Drop,
    Explain,
    Expression,
    InExpr,
    Item,
    Joined,
    Name,
    NegateExpr,
    NotExpr,
    Number,
    NumberTuple,
    Operand,
    OptionExpr,
    OrExpr,
    Predict,
    Query,
    Region,
    SetOption,
    Show,
    Shown,
    SortKey,
    StarItem,
    Statement,
    Subquery,
    Text,
    TextTuple,
    ValueExpr,
)


def parse(text: str) -> tuple[Statement, ...]:
    """The statements of a script, at least one. Raises ParseError, placed in the text, if it is not in the language."""
    if not isinstance(text, str):
        raise ParseError(f"a query is a text, not {type(text).__name__}")
    statements = tuple(map(_TreeReader(text).statement, read(text)))
    if not statements:
        raise ParseError("the text holds no statement", Span(0, 0), text)
    return statements


def parse_predicate(text: str) -> Expression:
    """A predicate such as `row < 10 and not w`, as WHERE takes it. Raises ParseError for any other text."""
    node, *others = read(text, "predicate")
    if others:
        raise ParseError("expected one predicate, not several", _span(others[0]), text)
    return _TreeReader(text).expression(node)


def parse_value(text: str) -> ValueExpr:
    """A value such as `grid(7, 7)`, as an option takes it. Raises ParseError for any other text."""
    value = parse_predicate(text)
    if not isinstance(value, Number | Text | Name | CallExpr):
        raise ParseError(_EXPECTED_A_VALUE, value.span, text)
    return value


# Arguments that are predicates or queries instead of values: (name of the call, position of the argument).
_PREDICATES_OR_QUERIES = {("mass", 0), ("distance", 0), ("nullify", 1), ("substitute", 1), ("assign", 1)}
_EXPECTED_A_VALUE = "expected a name, a number, a text or a call such as grid(4, 4)"
_COMPARISONS: dict[type[exp.Expr], Literal["=", "<>", "<", "<=", ">", ">="]] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_OPERATIONS: dict[type[exp.Expr], Literal["+", "-", "*", "/", "%"]] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
}


def _span(node: exp.Expr) -> Span:
    return Span(node.meta["start"], node.meta["end"] + 1)


@dataclass(frozen=True)
class _TreeReader:
    """Turns sqlglot's nodes into ours; a node that no method knows is a ParseError."""

    text: str

    def refuse(self, node: exp.Expr, message: str) -> NoReturn:
        raise ParseError(message, _span(node), self.text)

    def statement(self, node: exp.Expr) -> Statement:
        make = _STATEMENTS.get(type(node))
        if make is None:
            self.refuse(node, "this statement is not in the language")
        return make(self, node)

    def explain_or_describe(self, node: exp.Expr) -> Explain | Describe:
        if isinstance(node.this, exp.Select | exp.Predict):
            form = cast("Literal['text', 'json', 'dot']", (node.args["format"] or "text").lower())
            query = self.predict(node.this) if isinstance(node.this, exp.Predict) else self.query(node.this)
            return Explain(query, node.args["style"] is not None, _span(node), form)
        return Describe(self.name(node.this), _span(node))

    def create(self, node: exp.Expr) -> CreateView | CreateWindow | CreateAxis:
        body, replace, span = node.args["expression"], node.args["replace"], _span(node)
        if node.args["kind"] == "AXIS":
            of = self.expression(body)
            if not isinstance(of, CallExpr):
                raise ParseError("an axis follows a score, as score(f, 'smile')", of.span, self.text)
            held = tuple(map(self.name, node.args["holding"]))
            return CreateAxis(self.name(node.this), self.name(node.args["on"]), of, held, replace, span)
        if isinstance(body, exp.Select):
            query = self.query(body)
            text = self.text[query.span.start : query.span.end]
            return CreateView(self.name(node.this), query, text, replace, span)
        where = self.region(body) or self.expression(body)
        return CreateWindow(self.name(node.this), where, replace, span)

    def drop(self, node: exp.Expr) -> Drop:
        kind = cast("Literal['window', 'view', 'axis']", node.args["kind"].lower())
        return Drop(kind, self.name(node.this), _span(node))

    def show(self, node: exp.Expr) -> Show:
        return Show(cast("Shown", node.name.lower()), _span(node))

    def set_option(self, node: exp.Expr) -> SetOption:
        equation = node.this
        return SetOption(self.name(equation.this), self.value(equation.expression), _span(node))

    def query(self, node: exp.Expr) -> Query:
        args = node.args
        within = args.get("within")
        return Query(
            items=tuple(map(self.item, node.expressions)),
            operand=self.operand(args["from_"].this),
            joins=tuple(map(self.joined, args.get("joins", ()))),
            where=self.expression(args["where"].this) if "where" in args else None,
            having=self.expression(args["having"].this) if "having" in args else None,
            order=tuple(map(self.key, args["order"].expressions)) if "order" in args else (),
            limit=self.number(args["limit"].expression) if "limit" in args else None,
            using=self.call(args["using"], 0) if "using" in args else None,
            budget=self.number(args["budget"]) if "budget" in args else None,
            error=self.number(args["error"], 100) if "error" in args else None,
            confidence=self.number(args["confidence"], 100) if "confidence" in args else None,
            within=self.duration(within) if within else None,
            span=_span(node),
        )

    def predict(self, node: exp.Expr) -> Predict:
        args = node.args
        given = self.value(args["from_"].this)
        assert isinstance(given, Name | CallExpr)
        return Predict(
            models=tuple(map(self.model, node.expressions)),
            input=given,
            having=self.expression(args["having"].this) if "having" in args else None,
            order=tuple(map(self.key, args["order"].expressions)) if "order" in args else (),
            limit=self.number(args["limit"].expression) if "limit" in args else None,
            span=_span(node),
        )

    def model(self, node: exp.Expr) -> CallExpr:
        """A model of PREDICT: its name, and options in parentheses."""
        if not isinstance(node, exp.Anonymous):
            name = self.name(node)
            return CallExpr(name, (), (), name.span)
        call = self.call(node, 0)
        if call.arguments:
            self.refuse(node.expressions[0], f"the input goes after FROM: predict {call.name.value} from …")
        return call

    def region(self, node: exp.Expr) -> Region | None:
        match node:
            case exp.Anonymous(expressions=[amount, exp.Select() as select]):
                span, query = _span(node), self.query(select)
                kind: Literal["top", "above"] = "top" if node.name == "TOP" else "above"
                number, percent = self.number(amount), node.args["percent"]
                return Region(kind, number, percent, query, self.text[slice(*span)], span)
        return None

    def item(self, node: exp.Expr) -> Item:
        span, label = _span(node), None
        if isinstance(node, exp.Alias):
            node, label = node.this, node.alias
        match node:
            case exp.Star():
                return Item(StarItem(_span(node)), label, span)
            case exp.Literal(is_string=True):
                return Item(Text(node.this, _span(node)), label, span)
            case exp.Literal():
                return Item(self.number(node), label, span)
        return Item(self.name(node), label, span)

    def operand(self, node: exp.Expr) -> Operand:
        match node:
            case exp.Subquery():
                return Subquery(self.query(node.this), _span(node))
            case exp.Anonymous():
                if not node.expressions:
                    self.refuse(node, f"a model call names its input: {node.name}(x)")
                return self.call(node, 0)
        return self.name(node)

    def key(self, node: exp.Ordered) -> SortKey:
        return SortKey(self.expression(node.this), node.args["desc"], _span(node))

    def joined(self, node: exp.Join) -> Joined:
        weight = node.args.get("on")
        kind: Literal["join", "anti"] = "anti" if node.side else "join"
        return Joined(kind, self.operand(node.this), self.number(weight) if weight else None, _span(node))

    def duration(self, node: exp.Interval) -> Number:
        number = self.number(node.this, PER_SECOND[node.args["unit"].name])
        return Number(number.value, self.text[slice(*_span(node))], _span(node))

    def name(self, node: exp.Expr) -> Name:
        if not isinstance(node, exp.Column | exp.Identifier):
            self.refuse(node, "expected a name")
        if not node.name:
            self.refuse(node, "a name cannot be empty")
        return Name(node.name, _span(node))

    def number(self, node: exp.Expr, per: int = 1) -> Number:
        """A number; 10 is an int and 10.0 a float. It is divided by `per` (100 for a percentage)."""
        text = self.text[slice(*_span(node))]
        try:
            value = float(node.this)
        except ValueError:
            self.refuse(node, f"'{text}' is not a number")
        if not math.isfinite(value):
            self.refuse(node, "this number is too large")
        whole = node.this.lstrip("-").isdecimal()
        return Number(int(node.this) if whole and per == 1 else value / per, text, _span(node))

    def call(self, node: exp.Expr, depth: int) -> CallExpr:
        arguments: list[Expression] = []
        options: dict[str, OptionExpr] = {}
        for argument in node.expressions:
            if isinstance(argument, exp.Kwarg):
                name = self.name(argument.this)
                if name.value in options:
                    self.refuse(argument, f"option '{name.value}' is given twice")
                options[name.value] = OptionExpr(name, self.value(argument.expression, depth), _span(argument))
            elif options:
                self.refuse(argument, "arguments go before the options: f(x, option => value)")
            elif (node.name.lower(), len(arguments)) in _PREDICATES_OR_QUERIES:
                arguments.append(self.expression(argument, depth))
            else:
                arguments.append(self.value(argument, depth))
        return CallExpr(self.name(node.this), tuple(arguments), tuple(options.values()), _span(node))

    def value(self, node: exp.Expr, depth: int = 0) -> ValueExpr:
        if isinstance(node, exp.Subquery):
            self.refuse(node, NO_QUERY)
        if isinstance(node, exp.Tuple):
            values = tuple(map(self.expression, node.expressions))
            texts = tuple(each for each in values if isinstance(each, Text))
            if len(texts) == len(values):
                return TextTuple(texts, _span(node))
            return NumberTuple(tuple(map(self.one_of_several, node.expressions)), _span(node))
        value = self.expression(node, depth)
        if isinstance(value, CompareExpr) and value.op == "=" and isinstance(value.left, Name):
            self.refuse(node, f"an option is given by =>, not =: {value.left.value} => …")
        if not isinstance(value, Number | Text | Name | CallExpr):
            self.refuse(node, _EXPECTED_A_VALUE)
        return value

    def one_of_several(self, node: exp.Expr) -> Number:
        value = self.expression(node)
        if not isinstance(value, Number):
            self.refuse(node, "several values in parentheses are numbers, as in (3, 8, 8)")
        return value

    def expression(self, node: exp.Expr, depth: int = 0) -> Expression:
        if depth > MAX_DEPTH:
            self.refuse(node, f"nested too deeply: at most {MAX_DEPTH} levels")

        def inner(child: exp.Expr) -> Expression:
            return self.expression(child, depth + 1)

        span = _span(node)
        match node:
            case exp.Paren():
                return inner(node.this)
            case exp.And():
                return AndExpr(tuple(map(inner, _chain(node, exp.And))), span)
            case exp.Or():
                return OrExpr(tuple(map(inner, _chain(node, exp.Or))), span)
            case exp.Not():
                return NotExpr(inner(node.this), span)
            case exp.Between():
                return Between(inner(node.this), inner(node.args["low"]), inner(node.args["high"]), span)
            case exp.In():
                return InExpr(inner(node.this), tuple(map(inner, node.expressions)), span)
            case exp.Neg():
                return NegateExpr(inner(node.this), span)
            case exp.Literal(is_string=True):
                return Text(node.this, span)
            case exp.Literal():
                return self.number(node)
            case exp.Column():
                return self.name(node)
            case exp.Anonymous() if node.name.lower() == "abs":
                if len(node.expressions) != 1 or isinstance(node.expressions[0], exp.Kwarg):
                    self.refuse(node, "abs takes one argument: abs(row - 50)")
                return AbsoluteExpr(inner(node.expressions[0]), span)
            case exp.Anonymous():
                return self.call(node, depth + 1)
            case exp.Subquery():
                return Subquery(self.query(node.this), span)
            case exp.Binary() if op := _COMPARISONS.get(type(node)):
                return CompareExpr(op, inner(node.this), inner(node.expression), span)
            case exp.Binary() if sign := _OPERATIONS.get(type(node)):
                return ArithmeticExpr(sign, inner(node.this), inner(node.expression), span)
        self.refuse(node, f"'{self.text[slice(*span)]}' is not in the language")


_STATEMENTS: Final[Mapping[type[exp.Expr], Callable[[_TreeReader, exp.Expr], Statement]]] = {
    exp.Select: _TreeReader.query,
    exp.Predict: _TreeReader.predict,
    exp.Describe: _TreeReader.explain_or_describe,
    exp.Create: _TreeReader.create,
    exp.Drop: _TreeReader.drop,
    exp.Show: _TreeReader.show,
    exp.SetItem: _TreeReader.set_option,
}
"""For each of sqlglot's statement nodes, the method that turns it into ours."""


def _chain(node: exp.Expr, kind: type[exp.Expr]) -> list[exp.Expr]:
    """The parts of a chain of ANDs or of ORs. sqlglot nests a chain to the left; this reads it without recursion."""
    parts: list[exp.Expr] = []
    while isinstance(node, kind):
        parts.append(node.expression)
        node = node.this
    return [node, *reversed(parts)]
