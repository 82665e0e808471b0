"""Windows: predicates over the columns of an input's features. In: nodes and columns; out: a boolean array.

    Everything  Nothing  Mask  Box  Circle  And  Or  Not  Compare  In        what may be selected
    Column  Constant  Arithmetic  Negate  Absolute                           what may be compared

Nodes are interned; `both`, `either` and `complement` build the one normal form of a conjunction, disjunction or
negation, whatever the order of its parts. `str(window)` is query text that binds to the same window; a registered mask
prints as its name. A predicate follows SQL's logic of three values: where it divides by zero or meets NaN it is
neither true nor false, so neither it nor its negation selects anything there. This module knows no syntax and no plan.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BindError, ShapeError, did_you_mean
from ..system.arrays import Bools
from .interning import Node, node

TermValues = NDArray[np.float64]
Columns = Mapping[str, NDArray[np.generic]]
Comparison = Literal["=", "<>", "<", "<=", ">", ">="]
ArithmeticOperator = Literal["+", "-", "*", "/", "%"]
Comparing = Callable[[Comparison, "Term", "Term"], "Truth"]

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "image": ("row", "col", "channel", "value"),
    "tabular": ("feature", "value"),
    "tokens": ("position", "token"),
}
"""The columns that a predicate may read, by the kind of the input."""

RESERVED: Final = frozenset(
    ("and", "anti", "as", "between", "from", "in", "join", "left", "not", "on", "or", "select", "using", "where")
)
"""The words of the language that a name may be only in double quotes."""

_PLAIN_NAME = re.compile(r"[^\W\d]\w*(\.\w+)*'*", re.ASCII)
_ARTICLES = {"image": "an image", "tabular": "a tabular input", "tokens": "a token sequence"}


class Window(Node):
    """A set of features, given by a predicate."""

    def __str__(self) -> str:
        return _text(self)


class Term(Node):
    """A number or a text per feature."""

    def __str__(self) -> str:
        return _text(self)


@node
class Everything(Window):
    """All features."""


@node
class Nothing(Window):
    """No feature."""


EVERYTHING: Final = Everything()
NOTHING: Final = Nothing()


@node
class Mask(Window):
    """A registered boolean mask: its name, its shape, its bits, packed, and the words that it came from, if any."""

    name: str
    shape: tuple[int, ...]
    bits: bytes
    origin: str = ""

    @classmethod
    def of(cls, name: str, mask: ArrayLike, origin: str = "") -> Mask:
        """The mask `name` of a boolean (or 0/1) array; BindError for any other values."""
        array = np.asarray(mask)
        if array.dtype != np.bool_ and not np.isin(array, (0, 1)).all():
            raise BindError(f"mask '{name}' must be boolean, or hold only 0 and 1; it holds other {array.dtype} values")
        return cls(name, array.shape, np.packbits(array.astype(np.bool_)).tobytes(), origin)

    @property
    def array(self) -> Bools:
        """The mask as a boolean array of its own shape."""
        bits = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=math.prod(self.shape))
        return bits.astype(np.bool_).reshape(self.shape)

    def __repr__(self) -> str:
        return f"Mask({self.name!r}, {self.shape})"


@node
class And(Window):
    """The features in all parts; build it with `both`."""

    parts: tuple[Window, ...]


@node
class Or(Window):
    """The features in any part; build it with `either`."""

    parts: tuple[Window, ...]


@node
class Not(Window):
    """The features where `of` is false; build it with `complement`."""

    of: Window


@node
class Column(Term):
    """One of `COLUMNS`."""

    name: str


@node
class WindowConstant(Term):
    """A finite number or a text; whole numbers are kept as int, so that 1.0 and 1 are one constant."""

    digested_as = "Constant"

    value: int | float | str

    def __post_init__(self) -> None:
        if not isinstance(self.value, str):
            if not math.isfinite(number := float(self.value)):
                raise BindError(f"a constant of a predicate must be finite, not {number}")
            object.__setattr__(self, "value", int(number) if number == int(number) else number)


@node
class Arithmetic(Term):
    """`left op right`; `%` has the sign of its right side, as NumPy's; dividing by zero gives no value."""

    op: ArithmeticOperator
    left: Term
    right: Term


@node
class Negate(Term):
    """Minus `of`."""

    of: Term


@node
class Absolute(Term):
    """|`of`|."""

    of: Term


@node
class Compare(Window):
    """`left op right`; a text, on the right only, is compared with a column's names by `=` or `<>`."""

    op: Comparison
    left: Term
    right: Term


@node
class In(Window):
    """The features where `of` equals one of `values`, which are kept sorted and distinct."""

    of: Term
    values: tuple[WindowConstant, ...]

    def __post_init__(self) -> None:
        distinct = sorted(set(self.values), key=lambda c: (isinstance(c.value, str), c.value))
        object.__setattr__(self, "values", tuple(distinct))


@node
class Box(Window):
    """top ≤ row < bottom and left ≤ col < right."""

    top: WindowConstant
    left: WindowConstant
    bottom: WindowConstant
    right: WindowConstant


@node
class Circle(Window):
    """The pixels whose (row, col) is at most `radius` away from the centre."""

    row: WindowConstant
    col: WindowConstant
    radius: WindowConstant

    def __post_init__(self) -> None:
        if _float(self.radius) < 0:
            raise BindError(f"the radius of a circle must be at least 0, not {self.radius}")


def both(*windows: Window) -> Window:
    """The conjunction in normal form: flat, without repetition, sorted by key (L3)."""
    return _gather(And, windows, neutral=EVERYTHING, absorbing=NOTHING)


def either(*windows: Window) -> Window:
    """The disjunction in normal form: flat, without repetition, sorted by key."""
    return _gather(Or, windows, neutral=NOTHING, absorbing=EVERYTHING)


def complement(window: Window) -> Window:
    """The features where `window` is false; the complement of a complement is the window itself."""
    match window:
        case Not(of):
            return of
        case Everything():
            return NOTHING
        case Nothing():
            return EVERYTHING
    return Not(window)


def _gather(kind: type[And] | type[Or], windows: Sequence[Window], neutral: Window, absorbing: Window) -> Window:
    parts: set[Window] = set()
    for window in windows:
        parts.update(window.parts if isinstance(window, kind) else (window,))
    parts.discard(neutral)
    if absorbing in parts:
        return absorbing
    if len(parts) < 2:
        return parts.pop() if parts else neutral
    return kind(tuple(sorted(parts, key=lambda part: part.key)))


def reads(window: Window) -> frozenset[str]:
    """The names of the columns that a window reads."""
    match window:
        case Box() | Circle():
            return frozenset(("row", "col"))
        case And(parts) | Or(parts):
            return frozenset().union(*map(reads, parts))
        case Not(of):
            return reads(of)
        case Compare(_, left, right):
            return reads_term(left) | reads_term(right)
        case In(term, _):
            return reads_term(term)
    return frozenset()


def reads_term(term: Term) -> frozenset[str]:
    """The names of the columns that a term reads."""
    match term:
        case Column(name):
            return frozenset((name,))
        case Arithmetic(_, left, right):
            return reads_term(left) | reads_term(right)
        case Negate(of) | Absolute(of):
            return reads_term(of)
    return frozenset()


def check_masks(window: Window, shape: tuple[int, ...]) -> None:
    """ShapeError where a mask in a window does not fit an input of this shape."""
    match window:
        case Mask():
            _fitted(window, shape)
        case And(parts) | Or(parts):
            for part in parts:
                check_masks(part, shape)
        case Not(of):
            check_masks(of, shape)


def describe_columns(kind: str | None) -> str:
    """`an image has row, col, channel and value`: the tail of a sentence about an unknown column."""
    if kind is None:
        return "; ".join(describe_columns(each) for each in COLUMNS)
    return f"{_ARTICLES[kind]} has {', '.join(COLUMNS[kind][:-1])} and {COLUMNS[kind][-1]}"


def columns_of(
    kind: str, tensor: NDArray[np.generic], feature_names: Sequence[str] | None = None
) -> dict[str, NDArray[np.generic]]:
    """The columns of one input, as arrays that broadcast to the shape of `value`.

    `"image"` (C, H, W): row, col, channel, value; `"tabular"` (D,): feature, value; `"tokens"` (T,): position, token,
    value. `feature_names` names the D features; for tokens, the T positions or else the words of the vocabulary. Names
    are added as `feature_name` or `token_name`.
    ShapeError for a tensor or names of another length; BindError for a kind that is none of the three.
    """
    value = np.asarray(tensor)
    if kind not in COLUMNS:
        raise BindError(f"unknown kind of input '{kind}'{did_you_mean(kind, COLUMNS)}")
    if value.ndim != (3 if kind == "image" else 1):
        wanted = {"image": "(channels, rows, cols)", "tabular": "(features,)", "tokens": "(tokens,)"}[kind]
        raise ShapeError(f"{_ARTICLES[kind]} has shape {wanted}, not {value.shape}")
    if kind == "image":
        channel, row, col = np.ogrid[tuple(slice(n) for n in value.shape)]
        return {"row": row, "col": col, "channel": channel, "value": value}
    index = np.arange(len(value))
    if kind == "tabular":
        columns: dict[str, NDArray[np.generic]] = {"feature": index, "value": value}
    else:
        columns = {"position": index, "token": value, "value": value}
    if feature_names is not None:
        words = np.array(feature_names, dtype=np.object_)
        if len(words) != len(value) and (kind == "tabular" or not _indexes(value, len(words))):
            raise ShapeError(f"{len(words)} feature names do not name the features of an input of shape {value.shape}")
        named = words if len(words) == len(value) else words[value.astype(np.intp)]
        columns["feature_name" if kind == "tabular" else "token_name"] = named
    return columns


def _indexes(value: NDArray[np.generic], count: int) -> bool:
    return bool(((value.astype(np.float64) >= 0) & (value.astype(np.float64) < count)).all())


class Truth(NamedTuple):
    """Where a predicate is true, and where it is false; it may be neither."""

    holds: Bools
    fails: Bools


def evaluate(window: Window, columns: Columns) -> Bools:
    """The features that a window selects: boolean, of the shape of `columns["value"]`; a read-only view, which repeats
    itself along the axes that the predicate does not read.

    A mask has the input's shape or, for an image (C, H, W), also (H, W) or (1, H, W).
    ShapeError for a mask of any other shape; BindError for a column that the input lacks.
    """
    with np.errstate(all="ignore"):
        return np.broadcast_to(truth(window, columns).holds, columns["value"].shape)


def truth(window: Window, columns: Columns, compare: Comparing | None = None) -> Truth:
    """Where a window's predicate is true, and where it is false; `compare` says what is compared with what, and how,
    where columns are not the numbers themselves."""

    def inner(part: Window) -> Truth:
        return truth(part, columns, compare)

    def compared(op: Comparison, left: Term, right: Term) -> Truth:
        return compare(op, left, right) if compare else _compare(op, left, right, columns)

    match window:
        case Everything():
            return _certain(np.array(True))
        case Nothing():
            return _certain(np.array(False))
        case Mask():
            return _certain(_fitted(window, columns["value"].shape))
        case And(parts):
            return _all(map(inner, parts))
        case Or(parts):
            return _not(_all(_not(inner(part)) for part in parts))
        case Not(of):
            return _not(inner(of))
        case Compare(op, left, right):
            return compared(op, left, right)
        case In(of, values):
            return _not(_all(_not(compared("=", of, value)) for value in values))
        case Box(top, left, bottom, right):
            row, col = _read("row", columns), _read("col", columns)
            inside = (_float(top) <= row) & (row < _float(bottom)) & (_float(left) <= col) & (col < _float(right))
            return _certain(inside)
        case Circle(row, col, radius):
            high, wide = np.abs(_read("row", columns) - _float(row)), np.abs(_read("col", columns) - _float(col))
            reach = _float(radius)
            near = (high <= reach) & (wide <= reach)  # also where squares overflow
            return _certain(near & (high * high + wide * wide <= reach * reach))
    raise AssertionError(f"not a window: {window!r}")


def _certain(holds: Bools) -> Truth:
    return Truth(holds, ~holds)


def _not(truth: Truth) -> Truth:
    return Truth(truth.fails, truth.holds)


def _all(truths: Iterable[Truth]) -> Truth:
    holds, fails = np.array(True), np.array(False)
    for truth in truths:
        holds, fails = holds & truth.holds, fails | truth.fails
    return Truth(holds, fails)


def _fitted(mask: Mask, shape: tuple[int, ...]) -> Bools:
    if mask.shape != shape and not (len(shape) == 3 and mask.shape in (shape[1:], (1, *shape[1:]))):
        raise ShapeError(f"window '{mask.name}' has shape {mask.shape}, which does not fit an input of shape {shape}")
    return mask.array


_COMPARISONS: dict[str, Callable[[TermValues, TermValues], Bools]] = {
    "=": np.equal,
    "<>": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


def _compare(op: str, left: Term, right: Term, columns: Columns) -> Truth:
    match left, right:
        case Column(name), WindowConstant(str(word)):
            if f"{name}_name" not in columns:
                _read(name, columns)
                raise BindError(f"'{word}' names no {name}: the input was registered without feature_names")
            same = np.asarray(columns[f"{name}_name"] == word)
            return _certain(same if op == "=" else ~same)
    one, other = _numbers(left, columns), _numbers(right, columns)
    holds = _COMPARISONS[op](one, other)
    known = ~(np.isnan(one) | np.isnan(other))
    return Truth(holds & known, ~holds & known)


def _numbers(term: Term, columns: Columns) -> TermValues:
    match term:
        case Column(name):
            return _read(name, columns)
        case WindowConstant():
            return np.array(_float(term))
        case Negate(of):
            return -_numbers(of, columns)
        case Absolute(of):
            return np.abs(_numbers(of, columns))
        case Arithmetic(op, left, right):
            return _calculate(op, _numbers(left, columns), _numbers(right, columns))
    raise AssertionError(f"not a term: {term!r}")


def _calculate(op: ArithmeticOperator, left: TermValues, right: TermValues) -> TermValues:
    match op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
    divisor = np.where(right == 0, np.nan, right)
    return left / divisor if op == "/" else np.mod(left, divisor)


def _read(name: str, columns: Columns) -> TermValues:
    if name not in columns:
        known = ", ".join(column for column in columns if not column.endswith("_name"))
        raise BindError(f"the window reads '{name}', which this input does not have; it has {known}")
    return columns[name].astype(np.float64)


def _float(constant: WindowConstant) -> float:
    return float(constant.value)


def sql_name(name: str) -> str:
    """A name as query text: in double quotes where the language could not read it bare."""
    if _PLAIN_NAME.fullmatch(name) and name.lower() not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def sql_text(text: str) -> str:
    """A text as query text: in single quotes, which are doubled inside."""
    return "'" + text.replace("'", "''") + "'"


# How tightly a node's text binds: a part that binds less tightly than its place asks for goes into parentheses.
_OR, _AND, _NOT, _COMPARED, _SUM, _PRODUCT, _SIGN, _ATOM = range(8)


def _text(part: Node) -> str:
    return _printed(part)[0]


def _inside(part: Node, place: int) -> str:
    text, strength = _printed(part)
    return text if strength >= place else f"({text})"


def _printed(part: Node) -> tuple[str, int]:
    match part:
        case Everything():
            return "true", _ATOM
        case Nothing():
            return "false", _ATOM
        case Mask(name):
            return sql_name(name), _ATOM
        case Or(parts):
            return " or ".join(_inside(each, _AND) for each in parts), _OR
        case And(parts):
            return " and ".join(_inside(each, _NOT) for each in parts), _AND
        case Not(of):
            return f"not {_inside(of, _COMPARED)}", _NOT
        case Compare(op, left, right):
            return f"{_inside(left, _SUM)} {op} {_inside(right, _SUM)}", _COMPARED
        case In(of, values):
            return f"{_inside(of, _SUM)} in ({', '.join(map(_text, values))})", _COMPARED
        case Box(top, left, bottom, right):
            return f"box({top}, {left}, {bottom}, {right})", _ATOM
        case Circle(row, col, radius):
            return f"circle({row}, {col}, {radius})", _ATOM
        case Column(name):
            return name, _ATOM
        case WindowConstant(str(word)):
            return sql_text(word), _ATOM
        case WindowConstant(value):
            return repr(value), _ATOM if cast(float, value) >= 0 else _SIGN
        case Negate(of):
            return f"-{_inside(of, _ATOM)}", _SIGN
        case Absolute(of):
            return f"abs({_text(of)})", _ATOM
        case Arithmetic(op, left, right):
            strength = _SUM if op in "+-" else _PRODUCT
            return f"{_inside(left, strength)} {op} {_inside(right, strength + 1)}", strength
    raise AssertionError(f"neither a window nor a term: {part!r}")
