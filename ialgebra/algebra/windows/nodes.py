"""Windows and terms: the nodes of a predicate over the columns of an input's features.

    Everything  Nothing  Mask  Box  Circle  And  Or  Not  Compare  In        what may be selected
    Column  Constant  Arithmetic  Negate  Absolute                           what may be compared

In: their parts. Out: interned nodes; `both`, `either` and `complement` build the normal form of a conjunction,
disjunction or negation, which does not depend on the order of its parts. `window.text` is query text that binds to the
same window; a registered mask prints as its name. May not know: syntax trees, plans, or the values of any input.

Windows that are named share their parts: forty windows, of which each names the one before it twice, are a graph of a
hundred nodes, and a text of 2⁴⁰ characters. `fold` meets each node once; texts that would be too long are refused, or
shortened for people, before they are made.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Final, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ...errors import BindError
from ...system.arrays import Bools
from ..interning import Node, node
from .text import Strength, Written, chained, shortened, sql_name, sql_text

Comparison = Literal["=", "<>", "<", "<=", ">", ">="]
ArithmeticOperator = Literal["+", "-", "*", "/", "%"]
MOST_SHOWN: Final = 2_000
"""About how many characters of a window people are shown."""
MOST_WRITTEN: Final = 200_000
"""The most characters of a window as query text; a longer query is refused anyway."""

_T = TypeVar("_T")


class Window(Node):
    """A set of features, given by a predicate. Every kind of window says how it is written."""

    @property
    def operands(self) -> tuple[Window, ...]:
        """The windows that this one consists of."""
        return ()

    def written(self, operands: Sequence[Written], most: int) -> Written:
        """Its text, made from the texts of its operands; "…" stands for what is left after about `most` characters."""
        raise NotImplementedError

    @property
    def whole_text(self) -> str | None:
        """Query text that binds to the same window; None if it would be too long."""

        def write(part: Window, operands: tuple[Written, ...]) -> Written:
            return part.written([shortened(operand, MOST_WRITTEN) for operand in operands], MOST_WRITTEN)

        written = fold(self, write)
        return written.text if written.whole and len(written.text) <= MOST_WRITTEN else None

    @property
    def text(self) -> str:
        """Query text that binds to the same window; BindError if it would be too long."""
        if (text := self.whole_text) is None:
            raise BindError(f"a window cannot be written in {MOST_WRITTEN:,} characters: {str(self)[:200]}…")
        return text

    def __str__(self) -> str:
        """Its text for people; "…" stands for what would be too long."""
        text = self._shown.text
        return text if len(text) <= 2 * MOST_SHOWN else text[:MOST_SHOWN] + "…"

    @cached_property
    def _shown(self) -> Written:
        for part in _operands_first(self, lacking="_shown"):
            if part is not self:
                _ = part._shown  # does not recurse: its operands' texts are cached already
        return self.written([shortened(operand._shown, MOST_SHOWN) for operand in self.operands], MOST_SHOWN)

    @cached_property
    def columns(self) -> frozenset[str]:
        """The names of the columns that it reads."""
        for part in _operands_first(self, lacking="columns"):
            if part is not self:
                _ = part.columns  # does not recurse: those of its operands are cached already
        return self._own_columns.union(*(operand.columns for operand in self.operands))

    @property
    def _own_columns(self) -> frozenset[str]:
        return frozenset()


def fold(window: Window, function: Callable[[Window, tuple[_T, ...]], _T]) -> _T:
    """The result of `function` for a window. It is called once for each window that this one consists of, operands
    first, with the window and its operands' results; results that nobody needs any more are dropped."""
    order = list(_operands_first(window))
    readers = Counter(operand for part in order for operand in part.operands)
    results: dict[Window, _T] = {}
    for part in order:
        results[part] = function(part, tuple([results[operand] for operand in part.operands]))
        for operand in part.operands:
            readers[operand] -= 1
            if not readers[operand]:
                del results[operand]
    return results[window]


def _operands_first(window: Window, lacking: str = "") -> Iterator[Window]:
    """A window and all windows that it consists of, each once, after its operands; only those without an attribute that
    is `lacking`."""
    seen: set[Window] = set()
    stack = [(window, False)]
    while stack:
        part, ready = stack.pop()
        if ready and part not in seen:
            seen.add(part)
            yield part
        elif part not in seen and lacking not in vars(part):
            stack.append((part, True))
            stack.extend((operand, False) for operand in part.operands if operand not in seen)


class Term(Node):
    """A number or a text per feature. Every kind of term says how it is written."""

    def written(self) -> Written:
        raise NotImplementedError

    def __str__(self) -> str:
        return self.written().text


@node
class Everything(Window):
    """All features."""

    def written(self, operands: Sequence[Written] = (), most: int = MOST_SHOWN) -> Written:
        return Written("true")


@node
class Nothing(Window):
    """No feature."""

    def written(self, operands: Sequence[Written] = (), most: int = MOST_SHOWN) -> Written:
        return Written("false")


EVERYTHING: Final = Everything()
NOTHING: Final = Nothing()


@node
class Mask(Window):
    """A registered boolean mask: its name, its shape, its packed bits, and the query text that it was made from, if
    any."""

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

    def written(self, operands: Sequence[Written] = (), most: int = MOST_SHOWN) -> Written:
        return Written(sql_name(self.name))


@node
class And(Window):
    """The features in all parts; build it with `both`."""

    parts: tuple[Window, ...]

    @property
    def operands(self) -> tuple[Window, ...]:
        return self.parts

    def written(self, operands: Sequence[Written], most: int) -> Written:
        return chained("and", operands, Strength.AND, most)


@node
class Or(Window):
    """The features in any part; build it with `either`."""

    parts: tuple[Window, ...]

    @property
    def operands(self) -> tuple[Window, ...]:
        return self.parts

    def written(self, operands: Sequence[Written], most: int) -> Written:
        return chained("or", operands, Strength.OR, most)


@node
class Not(Window):
    """The features where `of` is false; build it with `complement`."""

    of: Window

    @property
    def operands(self) -> tuple[Window, ...]:
        return (self.of,)

    def written(self, operands: Sequence[Written], most: int) -> Written:
        (of,) = operands
        return Written(f"not {of.inside(Strength.COMPARED)}", Strength.NOT, of.whole)


@node
class Column(Term):
    """One of the columns that the kinds of inputs have."""

    name: str

    def written(self) -> Written:
        return Written(self.name)


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

    def written(self) -> Written:
        if isinstance(self.value, str):
            return Written(sql_text(self.value))
        return Written(repr(self.value), Strength.ATOM if self.value >= 0 else Strength.SIGN)


@node
class Arithmetic(Term):
    """`left op right`; `%` has the sign of its right side, as NumPy's; dividing by zero gives no value."""

    op: ArithmeticOperator
    left: Term
    right: Term

    def written(self) -> Written:
        strength = Strength.SUM if self.op in "+-" else Strength.PRODUCT
        left, right = self.left.written().inside(strength), self.right.written().inside(Strength(strength + 1))
        return Written(f"{left} {self.op} {right}", strength)


@node
class Negate(Term):
    """Minus `of`."""

    of: Term

    def written(self) -> Written:
        return Written(f"-{self.of.written().inside(Strength.ATOM)}", Strength.SIGN)


@node
class Absolute(Term):
    """|`of`|."""

    of: Term

    def written(self) -> Written:
        return Written(f"abs({self.of})")


@node
class Compare(Window):
    """`left op right`; a text, on the right only, is compared with a column's names by `=` or `<>`."""

    op: Comparison
    left: Term
    right: Term

    @property
    def _own_columns(self) -> frozenset[str]:
        return reads_term(self.left) | reads_term(self.right)

    def written(self, operands: Sequence[Written] = (), most: int = MOST_SHOWN) -> Written:
        left, right = (side.written().inside(Strength.SUM) for side in (self.left, self.right))
        return Written(f"{left} {self.op} {right}", Strength.COMPARED)


@node
class In(Window):
    """The features where `of` equals one of `values`, which are kept sorted and distinct."""

    of: Term
    values: tuple[WindowConstant, ...]

    def __post_init__(self) -> None:
        distinct = sorted(set(self.values), key=lambda c: (isinstance(c.value, str), c.value))
        object.__setattr__(self, "values", tuple(distinct))

    @property
    def _own_columns(self) -> frozenset[str]:
        return reads_term(self.of)

    def written(self, operands: Sequence[Written] = (), most: int = MOST_SHOWN) -> Written:
        values = ", ".join(map(str, self.values))
        return Written(f"{self.of.written().inside(Strength.SUM)} in ({values})", Strength.COMPARED)


@node
class Box(Window):
    """top ≤ row < bottom and left ≤ col < right."""

    top: WindowConstant
    left: WindowConstant
    bottom: WindowConstant
    right: WindowConstant

    @property
    def _own_columns(self) -> frozenset[str]:
        return frozenset(("row", "col"))

    def written(self, operands: Sequence[Written] = (), most: int = MOST_SHOWN) -> Written:
        return Written(f"box({self.top}, {self.left}, {self.bottom}, {self.right})")


@node
class Circle(Window):
    """The pixels whose (row, col) is at most `radius` away from the centre."""

    row: WindowConstant
    col: WindowConstant
    radius: WindowConstant

    def __post_init__(self) -> None:
        if float(self.radius.value) < 0:
            raise BindError(f"the radius of a circle must be at least 0, not {self.radius}")

    @property
    def _own_columns(self) -> frozenset[str]:
        return frozenset(("row", "col"))

    def written(self, operands: Sequence[Written] = (), most: int = MOST_SHOWN) -> Written:
        return Written(f"circle({self.row}, {self.col}, {self.radius})")


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
    return window.columns


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
