"""Which features a window selects. In: a window and the columns of an input. Out: a boolean array.

A predicate follows SQL's three-valued logic: where it divides by zero or reads NaN, it is neither true nor false, so
neither it nor its negation selects the feature. May not know: which columns a kind of input has, syntax, plans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ...errors import BindError, ShapeError
from ...system.arrays import Array, Bools, Floats
from ..interning import inner_first
from .nodes import (
    Absolute,
    And,
    Arithmetic,
    ArithmeticOperator,
    Box,
    Circle,
    Column,
    Compare,
    Comparison,
    Everything,
    In,
    Mask,
    Negate,
    Not,
    Nothing,
    Or,
    Term,
    Window,
    WindowConstant,
    fold,
)

Columns = Mapping[str, Array]
Comparing = Callable[[Comparison, Term, Term], "Truth"]


class Truth(NamedTuple):
    """Where a predicate is true, and where it is false; it may be neither."""

    holds: Bools
    fails: Bools


def check_masks(window: Window, shape: tuple[int, ...]) -> None:
    """Raise ShapeError if a mask in a window does not fit an input of this shape."""
    for part in inner_first(window):
        if isinstance(part, Mask):
            _fitted(part, shape)


def evaluate(window: Window, columns: Columns) -> Bools:
    """The features that a window selects: boolean, in the shape of `columns["value"]`; a read-only view, broadcast
    along axes that the predicate does not read.

    A mask has the input's shape or, for an image (C, H, W), also (H, W) or (1, H, W).
    ShapeError for a mask of any other shape; BindError for a column that the input lacks.
    """
    with np.errstate(all="ignore"):
        return np.broadcast_to(truth(window, columns).holds, columns["value"].shape)


def truth(window: Window, columns: Columns, compare: Comparing | None = None) -> Truth:
    """Where a window's predicate is true, and where it is false; `compare` evaluates comparisons if columns are not
    plain numbers."""

    def compared(op: Comparison, left: Term, right: Term) -> Truth:
        return compare(op, left, right) if compare else _compare(op, left, right, columns)

    return fold(window, lambda part, operands: _truth(part, operands, columns, compared))


def _truth(window: Window, operands: Sequence[Truth], columns: Columns, compared: Comparing) -> Truth:
    match window:
        case Everything():
            return _certain(np.array(True))
        case Nothing():
            return _certain(np.array(False))
        case Mask():
            return _certain(_fitted(window, columns["value"].shape))
        case And():
            return _all(operands)
        case Or():
            return _not(_all(map(_not, operands)))
        case Not():
            (of,) = operands
            return _not(of)
        case Compare(op, left, right):
            return compared(op, left, right)
        case In(of, values):
            return _not(_all(_not(compared("=", of, value)) for value in values))
        case Box(top, left, bottom, right):
            row, col = _read("row", columns), _read("col", columns)
            inside = (_number(top) <= row) & (row < _number(bottom)) & (_number(left) <= col) & (col < _number(right))
            return _certain(inside)
        case Circle(row, col, radius):
            high, wide = np.abs(_read("row", columns) - _number(row)), np.abs(_read("col", columns) - _number(col))
            reach = _number(radius)
            near = (high <= reach) & (wide <= reach)  # needed where the squares overflow
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
    if mask.shape != shape and not (len(shape) in (3, 4) and mask.shape in (shape[1:], (1, *shape[1:]))):
        raise ShapeError(f"window '{mask.name}' has shape {mask.shape}, which does not fit an input of shape {shape}")
    return mask.array


_COMPARISONS: dict[str, Callable[[Floats, Floats], Bools]] = {
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
                if name == "value":  # numbers only, of which none is a text
                    return Truth(np.array(op == "<>"), np.array(op == "="))
                raise BindError(f"'{word}' names no {name}: the input was registered without feature_names")
            same = np.asarray(columns[f"{name}_name"] == word)
            equal = _certain(same)
            if name == "value":  # a value that is missing is no text, nor another one
                known = ~np.isnan(_read(name, columns)) | (columns[f"{name}_name"] != "")
                equal = Truth(same & known, ~same & known)
            return equal if op == "=" else _not(equal)
    one, other = _numbers(left, columns), _numbers(right, columns)
    holds = _COMPARISONS[op](one, other)
    known = ~(np.isnan(one) | np.isnan(other))
    return Truth(holds & known, ~holds & known)


def _numbers(term: Term, columns: Columns) -> Floats:
    match term:
        case Column(name):
            return _read(name, columns)
        case WindowConstant():
            return np.array(_number(term))
        case Negate(of):
            return -_numbers(of, columns)
        case Absolute(of):
            return np.abs(_numbers(of, columns))
        case Arithmetic(op, left, right):
            return _calculate(op, _numbers(left, columns), _numbers(right, columns))
    raise AssertionError(f"not a term: {term!r}")


def _calculate(op: ArithmeticOperator, left: Floats, right: Floats) -> Floats:
    match op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
    divisor = np.where(right == 0, np.nan, right)
    return left / divisor if op == "/" else np.mod(left, divisor)


def _read(name: str, columns: Columns) -> Floats:
    if name not in columns:
        known = ", ".join(column for column in columns if not column.endswith("_name"))
        raise BindError(f"the window reads '{name}', which this input does not have; it has {known}")
    return columns[name].astype(np.float64)


def _number(constant: WindowConstant) -> float:
    return float(constant.value)
