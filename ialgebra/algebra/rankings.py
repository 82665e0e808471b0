"""Rankings: what HAVING, ORDER BY and LIMIT mean for the elements of a collection. In: columns, with one value per
element. Out: which elements may be in the answer, and their order.

    label  prediction  index  step                             known before an element is explained
    score(f, 'cat')  prediction(f)  activation('a7')  decision
                                                               what models answer for an element, without a map
    mass(w)  entropy()  distance((query))  argmax_row()  argmax_col()  relevance('a7')
                                                               scalars, read from its map

A HAVING is a predicate like a window's, over these columns instead of a feature's columns. While maps are estimates, a
scalar is an interval: a predicate is then certainly true, possibly true, or false. This module may not know maps or
queries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..system.arrays import Bools, Floats
from .operators import OutputKind
from .windows import (
    EVERYTHING,
    Absolute,
    Arithmetic,
    ArithmeticOperator,
    Column,
    Comparison,
    Negate,
    Term,
    Truth,
    Window,
    WindowConstant,
    reads,
    reads_term,
    truth,
)

KNOWN: Final = ("label", "prediction", "index", "step")
"""The columns whose values are known before an element is explained."""

DECISION: Final = "decision"
"""The class that the surrogate of a model decides on, from its attributes alone."""


@dataclass(frozen=True)
class Mass:
    """The share of a map's absolute values that lies in a window: 0 to 1, and 0 for a map of zeros."""

    window: Window


@dataclass(frozen=True)
class Entropy:
    """−Σ p log₂ p of the players' shares p = |φ| / Σ|φ|, in bits: 0 where one player, or none, has it all."""


@dataclass(frozen=True)
class Distance:
    """‖map − map'‖₂ / ‖map'‖₂ from another query's map: infinite if map' is all zeros and map is not, 0 if both are."""


@dataclass(frozen=True)
class Argmax:
    """The row or the column at which a map is greatest: the middle of the features that share the greatest value."""

    axis: Literal["row", "col"]


@dataclass(frozen=True)
class Relevance:
    """The value of one attribute in a map over concepts, as a share of the greatest absolute value: −1 to 1."""

    index: int


Scalar = Relevance | Mass | Entropy | Distance | Argmax


@dataclass(frozen=True)
class ModelScore:
    """What a model answers for an element as a whole: the score of class `target`, as `output` says; or, without a
    target, the class that it predicts. `layer` is where the model is cut; None is the model itself."""

    model: str
    layer: int | None
    target: int | None
    output: OutputKind


@dataclass(frozen=True)
class Key:
    """A term to order by; elements without a value come last."""

    term: Term
    descending: bool = False


@dataclass(frozen=True)
class Ranking:
    """Keep the elements for which `having` holds, sort them by `order` (ties in the order of registration), and keep
    the first `limit`. `scalars` are the columns that are read from maps, and `outputs` those that models answer
    without a map, by name."""

    having: Window = EVERYTHING
    order: tuple[Key, ...] = ()
    limit: int | None = None
    scalars: Mapping[str, Scalar] = field(default_factory=dict)
    outputs: Mapping[str, ModelScore] = field(default_factory=dict)

    @property
    def columns(self) -> frozenset[str]:
        """The names of all columns that are read."""
        return reads(self.having).union(*(reads_term(key.term) for key in self.order))

    def __str__(self) -> str:
        """Its text in a query."""
        clauses = [] if self.having is EVERYTHING else [f"having {self.having}"]
        if self.order:
            clauses.append(
                "order by " + ", ".join(f"{key.term}{' desc' if key.descending else ''}" for key in self.order)
            )
        return " ".join([*clauses, *([] if self.limit is None else [f"limit {self.limit}"])])


class Interval(NamedTuple):
    """Bounds of one value per element, both (n,). NaN for both means that there is no value; from −∞ to ∞ means that
    the value, if there is one, is unknown."""

    low: Floats
    high: Floats

    @classmethod
    def exactly(cls, values: object) -> Interval:
        """Known values; NaN means that there is no value."""
        known = np.asarray(values, dtype=np.float64)
        return cls(known, known)

    @classmethod
    def unknown(cls, count: int) -> Interval:
        """Values about which nothing is known."""
        return cls(np.full(count, -np.inf), np.full(count, np.inf))

    @property
    def vague(self) -> Bools:
        """Where it is unknown whether there is a value."""
        vague: Bools = (self.low == -np.inf) & (self.high == np.inf)
        return vague


@dataclass(frozen=True)
class Elements:
    """The columns of `count` elements: numbers by column, and for some columns also names (None: not known)."""

    count: int
    numbers: Mapping[str, Interval]
    names: Mapping[str, NDArray[np.object_]]

    def taken(self, positions: Sequence[int] | NDArray[np.intp]) -> Elements:
        """The elements at these positions, in the order of `positions`."""
        numbers = {name: Interval(each.low[positions], each.high[positions]) for name, each in self.numbers.items()}
        return Elements(len(positions), numbers, {name: each[positions] for name, each in self.names.items()})

    def joined(
        self, numbers: Mapping[str, Interval], names: Mapping[str, NDArray[np.object_]] | None = None
    ) -> Elements:
        """The same elements with more columns."""
        return Elements(self.count, {**self.numbers, **numbers}, {**self.names, **(names or {})})


def possible(ranking: Ranking, elements: Elements) -> NDArray[np.intp]:
    """The positions of the elements that may be in the answer: HAVING may be true for them, and fewer than `limit`
    other elements are certain both to satisfy HAVING and to come before them."""
    may, must = _holds(ranking.having, elements, sure=False), _holds(ranking.having, elements, sure=True)
    if ranking.limit is not None:
        may &= _certainly_before(ranking, elements, must) < ranking.limit
    return np.flatnonzero(may)


def ranked(ranking: Ranking, elements: Elements) -> NDArray[np.intp]:
    """The positions of the answer's elements, in the answer's order; every interval must be a point."""
    kept = _holds(ranking.having, elements, sure=True)
    keys = [first for first, _ in _keys(ranking, elements)]
    order = np.lexsort([np.arange(elements.count), *reversed(keys)])
    return order[kept[order]][: ranking.limit]


def _keys(ranking: Ranking, elements: Elements) -> list[tuple[Floats, Floats]]:
    """The least and the greatest value that each key can have, with signs such that the first element has the least."""
    ends = []
    for key in ranking.order:
        within = bounds(key.term, elements)
        best, worst = (-within.high, -within.low) if key.descending else within
        ends.append((best, np.where(within.vague, np.nan, worst)))
    return ends


def _certainly_before(ranking: Ranking, elements: Elements, sure: Bools) -> NDArray[np.intp]:
    """How many of the `sure` elements come before each element, for any values within the intervals.

    The worst possible keys of the sure elements are sorted together with the best possible keys of all elements.
    """
    keys, positions, count = _keys(ranking, elements), np.arange(elements.count), elements.count
    columns = [np.concatenate([best, worst[sure]]) for best, worst in keys]
    columns += [np.concatenate([positions, positions[sure]]), np.repeat([0, 1], [count, int(sure.sum())])]
    order = np.lexsort(columns[::-1])
    worst = order >= count
    before = np.zeros(count, dtype=np.intp)
    before[order[~worst]] = np.cumsum(worst)[~worst]
    return before


def _holds(having: Window, elements: Elements, *, sure: bool) -> Bools:
    """The elements for which a predicate is certainly true (`sure`), or possibly true (not `sure`)."""
    compare = partial(_compare, elements=elements, sure=sure)
    with np.errstate(all="ignore"):
        return np.broadcast_to(truth(having, {}, compare).holds, (elements.count,)).copy()


def _compare(op: Comparison, left: Term, right: Term, *, elements: Elements, sure: bool) -> Truth:
    """Where a comparison is certainly (`sure`) or possibly true, and where it is certainly or possibly false. It is
    neither where a side has no value."""
    match left, right:
        case Column(name), WindowConstant(str(word)):
            names = elements.names[name]
            unknown = np.array([each is None for each in names], dtype=np.bool_)
            same = np.where(unknown, not sure, names == word)
            other = np.where(unknown, not sure, names != word)
            return Truth(same, other) if op == "=" else Truth(other, same)
    one, two = bounds(left, elements), bounds(right, elements)
    if op in ("<", ">="):
        truth_ = _less(one, two, sure)
    elif op in (">", "<="):
        truth_ = _less(two, one, sure)
    else:
        truth_ = _equal(one, two, sure)
    return truth_ if op in ("<", ">", "=") else Truth(truth_.fails, truth_.holds)


def _less(one: Interval, two: Interval, sure: bool) -> Truth:
    if sure:
        valued = ~(one.vague | two.vague)
        return Truth(valued & (one.high < two.low), valued & (one.low >= two.high))
    return Truth(one.low < two.high, one.high >= two.low)


def _equal(one: Interval, two: Interval, sure: bool) -> Truth:
    valued = ~(np.isnan(one.low) | np.isnan(two.low))
    meet = (one.low <= two.high) & (two.low <= one.high)
    point = (one.low == one.high) & (two.low == two.high) & (one.low == two.low)
    return Truth(point, valued & ~meet) if sure else Truth(meet, valued & ~point)


def bounds(term: Term, elements: Elements) -> Interval:
    """The interval of a term's value for each element, by interval arithmetic."""
    with np.errstate(all="ignore"):
        return _bounds(term, elements)


def _bounds(term: Term, elements: Elements) -> Interval:
    match term:
        case Column(name):
            return elements.numbers[name]
        case WindowConstant(value):
            return Interval.exactly(np.full(elements.count, float(value)))
        case Negate(of):
            low, high = _bounds(of, elements)
            return Interval(-high, -low)
        case Absolute(of):
            low, high = inner = _bounds(of, elements)
            crosses = (low < 0) & (high > 0)
            sides = np.abs(low), np.abs(high)
            least = np.where(crosses, 0.0, np.minimum(*sides))
            return Interval(np.where(inner.vague, -np.inf, least), np.maximum(*sides))
        case Arithmetic(op, left, right):
            return _calculated(op, _bounds(left, elements), _bounds(right, elements))
    raise AssertionError(f"not a term: {term!r}")


def _calculated(op: ArithmeticOperator, one: Interval, two: Interval) -> Interval:
    match op:
        case "+":
            found = Interval(one.low + two.low, one.high + two.high)
        case "-":
            found = Interval(one.low - two.high, one.high - two.low)
        case "*":
            found = _hull(one.low * two.low, one.low * two.high, one.high * two.low, one.high * two.high)
        case "/":
            ratios = [a / b for a in one for b in two]
            through = (two.low <= 0) & (two.high >= 0)
            found = Interval(*(np.where(through, np.nan, side) for side in _hull(*ratios)))
        case "%":
            points = (one.low == one.high) & (two.low == two.high) & (two.low != 0)
            found = Interval.exactly(np.where(points, np.mod(one.low, two.low), np.nan))
    # There is no value if a side has none, if the divisor is zero, or if an operation on two known values gives NaN (as
    # ∞ − ∞). If only a bound is NaN, it is unknown whether there is a value.
    none = np.isnan(one.low) | np.isnan(two.low)
    none |= (one.low == one.high) & (two.low == two.high) & np.isnan(found.low)
    if op in ("/", "%"):
        none |= (two.low == 0) & (two.high == 0)
    low = np.where(np.isnan(found.low), -np.inf, found.low)
    high = np.where(np.isnan(found.high), np.inf, found.high)
    return Interval(np.where(none, np.nan, low), np.where(none, np.nan, high))


def _hull(*sides: Floats) -> Interval:
    unclear = np.isnan(sides).any(axis=0)
    return Interval(np.where(unclear, np.nan, np.min(sides, axis=0)), np.where(unclear, np.nan, np.max(sides, axis=0)))
