"""Binds a predicate to a window. In: the syntax tree of a WHERE and the registered windows; out: the algebra's window.

The types decide what a name means: where a truth value is needed, a name is a registered window; where a number is
needed, it is a column. So a window may be called `row`. A name that is neither is a BindError at its own word, which
lists what the input has. Nothing is evaluated here and no tensor is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ...algebra import windows as algebra
from ...algebra.attributes import COLUMNS as CONCEPT_COLUMNS
from ...algebra.attributes import CONCEPT, parts_of
from ...algebra.kinds import all_columns, describe_columns, kind_named, named_columns
from ...algebra.windows import (
    EVERYTHING,
    NOTHING,
    Column,
    Term,
    Window,
    WindowConstant,
    both,
    complement,
    either,
    reads,
)
from ...errors import BindError, did_you_mean
from ..tree import (
    AbsoluteExpr,
    AndExpr,
    ArithmeticExpr,
    Between,
    CallExpr,
    CompareExpr,
    Expression,
    InExpr,
    Name,
    NegateExpr,
    NotExpr,
    Number,
    OrExpr,
    Text,
)

SHAPES: Final[Mapping[str, tuple[str, ...]]] = {
    "box": ("top", "left", "bottom", "right"),
    "circle": ("row", "col", "radius"),
}
"""The helpers of an image's windows and their arguments."""

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def bind_window(
    expression: Expression,
    windows: Mapping[str, Window],
    kind: str | None,
    vocabulary: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    concepts: Sequence[str] | None = None,
) -> Window:
    """The window, in normal form, that a predicate selects on inputs of a kind.

    `kind` is `"image"`, `"tabular"` or `"tokens"`, or None where the input is not known yet: then every column and
    every name is allowed. Otherwise a feature is compared with one of `feature_names`, and a token with a word of the
    `vocabulary`, or with any word where `feature_names` are the tokens themselves. With `concepts`, the names of the
    attributes whose game is played, it may read them too, apart from the input: see `attributes.parts_of`.
    Raises BindError for an unknown word, or for types that do not fit.
    """
    if concepts is None:
        return PredicateBinder(windows, kind, vocabulary, feature_names).window(expression)
    window = _ConceptBinder(windows, kind, vocabulary, feature_names, concepts).window(expression)
    parts_of(window)
    return window


@dataclass(frozen=True)
class PredicateBinder:
    """Reads the truth values and the numbers of a predicate; a subclass may have other columns or functions."""

    windows: Mapping[str, Window]
    kind: str | None
    vocabulary: Sequence[str] | None
    feature_names: Sequence[str] | None

    @property
    def columns(self) -> tuple[str, ...]:
        if self.kind is not None:
            return kind_named(self.kind).columns
        return (*all_columns(), *CONCEPT_COLUMNS)

    def window(self, expression: Expression) -> Window:
        """An expression that is true or false for each feature."""
        match expression:
            case AndExpr(parts, _):
                return both(*map(self.window, parts))
            case OrExpr(parts, _):
                return either(*map(self.window, parts))
            case NotExpr(of, _):
                return complement(self.window(of))
            case CompareExpr():
                return self.compare(expression)
            case Between(of, low, high, _):
                term = self.number(of)
                above = algebra.Compare(">=", term, self.number(low))
                return both(above, algebra.Compare("<=", term, self.number(high)))
            case InExpr(of, values, _):
                return self.member(of, values)
            case CallExpr():
                return self.shape(expression)
            case Name():
                return self.named(expression)
            case Number(_, text, span):
                raise BindError(f"{text} alone selects nothing; compare it with a column", span)
            case Text(value, span):
                raise BindError(f"the text '{value}' selects nothing; a window's name has no single quotes", span)
        raise BindError("a calculation alone selects nothing; compare it with a number", expression.span)

    def named(self, name: Name) -> Window:
        word = name.value.lower()
        if word in ("true", "false"):
            return EVERYTHING if word == "true" else NOTHING
        if name.value not in self.windows:
            if word in self.columns:
                raise BindError(f"{word} alone selects nothing; compare it, as in {word} < 10", name.span)
            if name.value in (self.feature_names or ()):
                raise BindError(f"'{name.value}' is a feature: feature = '{name.value}' selects it", name.span)
            known = [*self.windows, "true", "false"] if self.windows else ()
            raise BindError(f"unknown window '{name.value}'{did_you_mean(name.value, known)}", name.span)
        window = self.windows[name.value]
        for column in sorted(reads(window) - set(self.columns)):
            raise BindError(f"window '{name.value}' reads {column}, but {describe_columns(self.kind)}", name.span)
        return window

    def compare(self, comparison: CompareExpr) -> Window:
        left, right, op = comparison.left, comparison.right, comparison.op
        if isinstance(left, Text):
            left, right = right, left
        if not isinstance(right, Text):
            return algebra.Compare(op, self.number(left), self.number(right))
        column = self.column_of_names(left, right)
        if op in _FLIPPED:
            raise BindError(f"'{right.value}' has no order; compare it by = or <>", right.span)
        return algebra.Compare(op, column, WindowConstant(right.value))

    def member(self, of: Expression, values: Sequence[Expression]) -> Window:
        constants = []
        for value in values:
            match value:
                case Text(word, _):
                    self.column_of_names(of, value)
                    constants.append(WindowConstant(word))
                case Number(number, _, _):
                    constants.append(WindowConstant(number))
                case _:
                    raise BindError("a list holds numbers and texts only", value.span)
        return algebra.In(self.number(of), tuple(constants))

    def column_of_names(self, of: Expression, text: Text) -> Column:
        """The column whose values can be the name `text`."""
        column = self.number(of) if isinstance(of, Name) else None
        if isinstance(column, Column) and column.name == "value" and self.has_texts:
            return column
        if not isinstance(column, Column) or column.name not in (*named_columns(), CONCEPT):
            raise BindError(
                f"'{text.value}' is a text; only a feature, a token, a part or a table's value is compared with one",
                text.span,
            )
        own = {} if self.kind is None else kind_named(self.kind).words
        known = own.get(column.name) or (self.vocabulary if column.name in ("token", "word") else self.feature_names)
        if known is not None and text.value not in known:
            raise BindError(f"unknown {column.name} '{text.value}'{did_you_mean(text.value, known)}", text.span)
        if self.kind is not None and known is None and self.feature_names is None:
            message = f"no {column.name} is named '{text.value}': the input was registered without feature_names"
            message += " or tokenizer" if column.name in ("token", "word") else ""
            raise BindError(message, text.span)
        return column

    @property
    def has_texts(self) -> bool:
        """Whether values of the input may be texts."""
        return self.kind is None or "feature" in kind_named(self.kind).columns

    def number(self, expression: Expression) -> Term:
        """An expression that is a number for each feature."""
        match expression:
            case Number(value, _, _):
                return WindowConstant(value)
            case Name():
                return self.column(expression)
            case ArithmeticExpr(op, left, right, _):
                return algebra.Arithmetic(op, self.number(left), self.number(right))
            case AbsoluteExpr(of, _):
                return algebra.Absolute(self.number(of))
            case NegateExpr(of, _):
                term = self.number(of)
                match term:
                    case WindowConstant(int(value) | float(value)):
                        return WindowConstant(-value)
                return algebra.Negate(term)
            case Text(value, span):
                raise BindError(f"'{value}' is a text, where a number is needed", span)
            case CallExpr(name, _, _, _) if name.value.lower() in SHAPES:
                raise BindError(f"{name.value} is a window, where a number is needed", expression.span)
            case CallExpr():
                return self.function(expression)
        raise BindError("a predicate, where a number is needed; predicates are joined by AND and OR", expression.span)

    def function(self, call: CallExpr) -> Term:
        raise BindError(f"unknown function '{call.name.value}'; the one function is abs", call.name.span)

    def column(self, name: Name) -> Column:
        word = name.value.lower()
        if word in self.columns:
            return Column(word)
        if name.value in self.windows or word in ("true", "false"):
            raise BindError(f"'{name.value}' is a window, where a column is needed", name.span)
        if word in CONCEPT_COLUMNS:
            raise BindError(
                f"{word} is a column of attributes, which do not play here; ask f(x, players => concepts)",
                name.span,
            )
        near = did_you_mean(name.value, self.columns) if self.kind is None else f"; {describe_columns(self.kind)}"
        if name.value in (self.feature_names or self.vocabulary or ()):
            column = "feature" if self.kind is None else kind_named(self.kind).named
            near = f"; a {column} is named in quotes: {column} = '{name.value}'"
        raise BindError(f"unknown column '{name.value}'{near}", name.span)

    def shape(self, call: CallExpr) -> Window:
        word = call.name.value.lower()
        if word not in SHAPES:
            raise BindError(
                f"unknown function '{call.name.value}'{did_you_mean(word, [*SHAPES, 'not'])}", call.name.span
            )
        if self.kind is not None and "row" not in kind_named(self.kind).columns:
            raise BindError(f"{word} is for images; {describe_columns(self.kind)}", call.span)
        numbers = [argument.value for argument in call.arguments if isinstance(argument, Number)]
        wanted = SHAPES[word]
        if call.options or not len(numbers) == len(call.arguments) == len(wanted):
            raise BindError(f"{word} takes {len(wanted)} numbers: {word}({', '.join(wanted)})", call.span)
        try:
            kind = algebra.Box if word == "box" else algebra.Circle
            return kind(*map(WindowConstant, numbers))
        except BindError as error:
            error.span = call.span
            raise


@dataclass(frozen=True)
class _ConceptBinder(PredicateBinder):
    """Reads predicates over an input and its attributes."""

    concepts: Sequence[str]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*super().columns, *CONCEPT_COLUMNS)))

    def column_of_names(self, of: Expression, text: Text) -> Column:
        if not isinstance(of, Name) or of.value.lower() != CONCEPT:
            return super().column_of_names(of, text)
        if text.value not in self.concepts:
            raise BindError(f"unknown concept '{text.value}'{did_you_mean(text.value, self.concepts)}", text.span)
        return Column(CONCEPT)
