"""Values that are no numbers, as numbers: texts, dates in text columns, None, whole numbers of too many digits.

In: a value. Out: its code, a float64 from 2^1000 to 2^1001 that follows from the value alone, so that equal values meet
in hybrids whoever registered them, in any order and in any process; and back. Numbers of that size that are data are
coded too, so a held number tells by itself what it is. The values that have been met are remembered by code, which only
grows. Knows values, arrays: no columns and no pandas.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable
from typing import Final

import numpy as np

from ...errors import BindError
from ...system import forking
from ...system.arrays import Bools, Floats

_LEAST: Final = 2.0**1000
_BEYOND: Final = 2.0**1001
_MANTISSA_BITS: Final = 52
MOST_EXACT: Final = 1 << 53
"""Whole numbers up to this size, either sign, are exact in float64."""

_lock = forking.lock()
_values: dict[float, Hashable] = {}  # by code


def is_code(held: Floats) -> Bools:
    """Where held numbers are codes."""
    found: Bools = (held >= _LEAST) & (held < _BEYOND)
    return found


def code(value: Hashable) -> float:
    """The code of a value; BindError for one that has no name of its own."""
    kind = type(value)
    said = repr(value)
    if " at 0x" in said:
        raise BindError(f"a {kind.__name__} has no value that can be compared ({said:.60}); make it a text")
    named = f"{kind.__module__}.{kind.__qualname__} {said}".encode(errors="surrogatepass")
    number = int.from_bytes(hashlib.blake2b(named, digest_size=8).digest()) >> (64 - _MANTISSA_BITS)
    found = math.ldexp(1.0 + number / (1 << _MANTISSA_BITS), 1000)
    with _lock:
        known = _values.setdefault(found, value)
    if known is not value and repr(known) != said:
        raise BindError(f"the values {known!r} and {value!r} have one code; change one of them")
    return found


def value_of(held: float) -> Hashable:
    """The value of a code; BindError for a number that no value has."""
    with _lock:
        if held not in _values:
            raise BindError("a code of a text was changed by arithmetic; edits with numbers are for number columns")
        return _values[held]


def text_of(held: float) -> str | None:
    """The value of a code as a text; None for a number."""
    with _lock:
        return str(_values[held]) if held in _values else None


def number(value: float) -> float:
    """A number as it is held: itself, or its code where float64 loses digits or where it looks like a code."""
    lost = isinstance(value, int) and abs(value) > MOST_EXACT and int(float(value)) != value
    return code(value) if lost or _LEAST <= value < _BEYOND else float(value)


def numbers(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Floats:
    """Numbers of an array of booleans, whole numbers or fractions, as `number` holds each."""
    held: Floats = values.astype(np.float64)
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
        size = np.abs(held) > MOST_EXACT - 1
        for place in np.argwhere(size):
            held[tuple(place)] = number(int(values[tuple(place)]))
    elif values.dtype.kind == "f":
        for place in np.argwhere(is_code(held)):
            held[tuple(place)] = code(float(values[tuple(place)]))
    return held


_LITERALS = (str, bytes, bool, int, float, type(None))


def written(value: Hashable) -> str:
    """A value as Python source, in which `pandas`, `datetime` and `decimal` may be named; BindError for a value of
    another type."""
    if type(value) is tuple:
        return f"({', '.join(map(written, value))}{',' * (len(value) == 1)})"
    if type(value) is float and not math.isfinite(value):
        return f"float('{value}')"
    if type(value) in _LITERALS:
        return repr(value)
    module, name = type(value).__module__, type(value).__name__
    if module in ("datetime", "decimal"):
        return repr(value) if module == "datetime" else f"decimal.{value!r}"
    if module.startswith("pandas."):
        match name:
            case "NaTType" | "NAType":
                return f"pandas.{name[:-4]}"
            case "Timestamp":
                return f"pandas.{value!r}"
            case "Timedelta":
                return f"pandas.{value!r}"
            case "Period":
                return f"pandas.{value!r}"
            case "Interval":
                ends = (getattr(value, end) for end in ("left", "right"))
                return f"pandas.Interval({', '.join(map(written, ends))}, closed={getattr(value, 'closed', 'right')!r})"
    if isinstance(value, np.generic):
        return written(value.item())
    raise BindError(f"a value of type {module}.{name} cannot be written as a script; make it a text")
