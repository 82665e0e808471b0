"""The syntax tree: what a query says, word for word, as frozen nodes, each with its span in the text.

A span leaves out the parentheses around its node. Nodes are equal if they say the same, wherever they stand. Nothing
here knows sqlglot, or which models, inputs, windows or columns exist; `reader` makes these nodes from text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..errors import Span


@dataclass(frozen=True)
class Number:
    """A finite number as written, sign included."""

    value: int | float
    text: str = field(compare=False)
    span: Span = field(compare=False)


@dataclass(frozen=True)
class Text:
    """'…', with doubled quotes undone."""

    value: str
    span: Span = field(compare=False)


@dataclass(frozen=True)
class Name:
    """A word, bare or in double quotes; ′ is written '."""

    value: str
    span: Span = field(compare=False)


@dataclass(frozen=True)
class StarItem:
    """* of the select list: the model itself."""

    span: Span = field(compare=False)


@dataclass(frozen=True)
class OptionExpr:
    """name => value"""

    name: Name
    value: ValueExpr
    span: Span = field(compare=False)


@dataclass(frozen=True)
class CallExpr:
    """name(argument, …, option => value, …): a model, a modifier, a method, a partition, a shape of a window."""

    name: Name
    arguments: tuple[Expression, ...]
    options: tuple[OptionExpr, ...]
    span: Span = field(compare=False)


@dataclass(frozen=True)
class NumberTuple:
    """(number, number, …), as an option's value"""

    values: tuple[Number, ...]
    span: Span = field(compare=False)


@dataclass(frozen=True)
class TextTuple:
    """('city', 'zip')"""

    values: tuple[Text, ...]
    span: Span = field(compare=False)


ValueExpr: TypeAlias = Number | Text | Name | CallExpr | NumberTuple | TextTuple


@dataclass(frozen=True)
class AndExpr:
    """part and part …"""

    parts: tuple[Expression, ...]
    span: Span = field(compare=False)


@dataclass(frozen=True)
class OrExpr:
    """part or part …"""

    parts: tuple[Expression, ...]
    span: Span = field(compare=False)


@dataclass(frozen=True)
class NotExpr:
    """not of"""

    of: Expression
    span: Span = field(compare=False)


@dataclass(frozen=True)
class CompareExpr:
    """left op right"""

    op: Literal["=", "<>", "<", "<=", ">", ">="]
    left: Expression
    right: Expression
    span: Span = field(compare=False)


@dataclass(frozen=True)
class Between:
    """of between low and high, both included"""

    of: Expression
    low: Expression
    high: Expression
    span: Span = field(compare=False)


@dataclass(frozen=True)
class InExpr:
    """of in (value, …)"""

    of: Expression
    values: tuple[Expression, ...]
    span: Span = field(compare=False)


@dataclass(frozen=True)
class ArithmeticExpr:
    """left op right"""

    op: Literal["+", "-", "*", "/", "%"]
    left: Expression
    right: Expression
    span: Span = field(compare=False)


@dataclass(frozen=True)
class NegateExpr:
    """-of, where `of` is more than a number"""

    of: Expression
    span: Span = field(compare=False)


@dataclass(frozen=True)
class AbsoluteExpr:
    """abs(of)"""

    of: Expression
    span: Span = field(compare=False)


@dataclass(frozen=True)
class Subquery:
    """(query)"""

    query: Query
    span: Span = field(compare=False)


Expression: TypeAlias = (
    AndExpr
    | OrExpr
    | NotExpr
    | CompareExpr
    | Between
    | InExpr
    | ArithmeticExpr
    | NegateExpr
    | AbsoluteExpr
    | ValueExpr
    | Subquery
)


@dataclass(frozen=True)
class Item:
    """what [as label]"""

    what: StarItem | Number | Name | Text
    label: str | None
    span: Span = field(compare=False)


Operand: TypeAlias = CallExpr | Subquery | Name


@dataclass(frozen=True)
class Joined:
    """[left | anti] join operand [on weight = weight]; the paper's left join is an anti-join"""

    kind: Literal["join", "anti"]
    operand: Operand
    weight: Number | None
    span: Span = field(compare=False)


@dataclass(frozen=True)
class SortKey:
    """of [asc | desc], in ORDER BY"""

    of: Expression
    descending: bool
    span: Span = field(compare=False)


@dataclass(frozen=True)
class Query:
    """select … from …; `error` and `confidence` are fractions (5% is 0.05), `within` is in seconds."""

    items: tuple[Item, ...]
    operand: Operand
    joins: tuple[Joined, ...]
    where: Expression | None
    having: Expression | None
    order: tuple[SortKey, ...]
    limit: Number | None
    using: CallExpr | None
    budget: Number | None
    error: Number | None
    confidence: Number | None
    within: Number | None
    span: Span = field(compare=False)


@dataclass(frozen=True)
class Predict:
    """predict model [(option => value, …)], … from input; the models' calls have no arguments, only options."""

    models: tuple[CallExpr, ...]
    input: Name | CallExpr
    having: Expression | None
    order: tuple[SortKey, ...]
    limit: Number | None
    span: Span = field(compare=False)


@dataclass(frozen=True)
class Explain:
    """explain [analyze] query | explain (analyze, format json | dot | text) query, or predict … in the query's place"""

    query: Query | Predict
    analyze: bool
    span: Span = field(compare=False)
    format: Literal["text", "json", "dot"] = "text"


@dataclass(frozen=True)
class Region:
    """top(amount [percent], query) | above(amount, query); `text` is its own."""

    kind: Literal["top", "above"]
    amount: Number
    percent: bool
    query: Query
    text: str = field(compare=False)
    span: Span = field(compare=False)


@dataclass(frozen=True)
class CreateWindow:
    """create [or replace] window name as where, a predicate or what an answer selects"""

    name: Name
    where: Expression | Region
    replace: bool
    span: Span = field(compare=False)


@dataclass(frozen=True)
class CreateView:
    """create [or replace] view name as query; `text` is the query's own"""

    name: Name
    query: Query
    text: str = field(compare=False)
    replace: bool
    span: Span = field(compare=False)


@dataclass(frozen=True)
class CreateAxis:
    """create [or replace] axis name on generator as score(model, class) [holding axis, …]"""

    name: Name
    generator: Name
    of: CallExpr
    holding: tuple[Name, ...]
    replace: bool
    span: Span = field(compare=False)


@dataclass(frozen=True)
class Drop:
    """drop window | view | axis name"""

    kind: Literal["window", "view", "axis"]
    name: Name
    span: Span = field(compare=False)


Shown = Literal["models", "inputs", "windows", "views", "concepts", "generators", "axes", "history"]


@dataclass(frozen=True)
class Show:
    """show models | inputs | windows | views | concepts | history"""

    kind: Shown
    span: Span = field(compare=False)


@dataclass(frozen=True)
class Describe:
    """describe name"""

    name: Name
    span: Span = field(compare=False)


@dataclass(frozen=True)
class SetOption:
    """set name = value"""

    name: Name
    value: ValueExpr
    span: Span = field(compare=False)


Statement: TypeAlias = (
    Query | Predict | Explain | CreateWindow | CreateView | CreateAxis | Drop | Show | Describe | SetOption
)
