"""Checks of values from outside. In: an argument, or an entry of a file. Out: the same value, of the right type.

Each function takes `what`, the words that name the value in a sentence ("the seed", "the layer of map 3"), and raises
BindError that says what was given and what is needed. NumPy's scalars count as Python's. It knows nothing of what the
values are for.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Collection, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np

from ..errors import BindError, did_you_mean

_T = TypeVar("_T")
_SHOWN = 60  # characters of a wrong value that an error quotes


def whole(what: str, value: object, low: int | None = None, high: int | None = None) -> int:
    """A whole number, `low` ≤ value ≤ `high`; a boolean is none."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise BindError(f"{what} must be a whole number, not {shown(value)}")
    _check_range(what, value, low, high)
    return int(value)


def number(what: str, value: object, low: float | None = None, high: float | None = None) -> float:
    """A finite number, `low` ≤ value ≤ `high`; a boolean is none."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise BindError(f"{what} must be a number, not {shown(value)}")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise BindError(f"{what} must be a finite number, not {shown(value)}")
    _check_range(what, value, low, high)
    return found


def flag(what: str, value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool_):
        raise BindError(f"{what} must be True or False, not {shown(value)}")
    return bool(value)


def text(what: str, value: object, among: Collection[str] | None = None) -> str:
    """A text; with `among`, one of these."""
    if not isinstance(value, str):
        raise BindError(f"{what} must be a text, not {shown(value)}")
    if among is not None and value not in among:
        raise BindError(f"unknown {what} {shown(value)}{did_you_mean(value, among)}")
    return str(value)


def instance(what: str, value: object, kind: type[_T], needed: str) -> _T:
    """An object of the class `kind`, which `needed` describes."""
    if not isinstance(value, kind):
        raise BindError(f"{what} must be {needed}, not {shown(value)}")
    return value


def path(what: str, value: object) -> Path:
    """The path of a file: a text or a path-like object."""
    try:
        name = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    except Exception as cause:  # a path-like object may raise anything
        raise BindError(f"{what} must be the path of a file, not {shown(value)}") from cause
    if not isinstance(name, str):
        raise BindError(f"{what} must be the path of a file, not {shown(value)}")
    return Path(name)


Check: TypeAlias = Callable[[str, Any], object]
"""One of the functions above: the words for a value, and the value, in; the value, of the right type, out."""


def optional(check: Check, what: str, value: object) -> object:
    """None, or what `check` takes."""
    return None if value is None else check(what, value)


def sequence(check: Check, what: str, value: object) -> tuple[object, ...]:
    """A list or tuple, each entry of which `check` takes."""
    if not isinstance(value, list | tuple):
        raise BindError(f"{what} must be a list, not {shown(value)}")
    return tuple(check(f"entry {index} of {what}", each) for index, each in enumerate(value))


def fields_of(where: str, value: object, checks: Mapping[str, Check]) -> dict[str, Any]:
    """A mapping with just these fields, each checked; `where` follows a field's name in a sentence ('of map 3')."""
    if not isinstance(value, Mapping):
        raise BindError(f"the fields {where} must be a mapping, not {shown(value)}")
    missing, surplus = [name for name in checks if name not in value], [name for name in value if name not in checks]
    if missing:
        raise BindError(f"the field {shown(missing[0])} {where} is missing")
    if surplus:
        raise BindError(f"the field {shown(surplus[0])} {where} is not known")
    return {name: check(f"'{name}' {where}", value[name]) for name, check in checks.items()}


def parsed(what: str, document: str) -> object:
    """The value of a JSON document in which no field is given twice."""
    try:
        return json.loads(document, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as cause:
        raise BindError(f"{what} cannot be read as JSON ({cause})") from cause


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BindError(f"the field {shown(twice)} is given twice")
    return found


def shown(value: object) -> str:
    """A wrong value as an error quotes it: numbers and short texts themselves, of other values their type."""
    if value is None or isinstance(value, bool | int | float | np.bool_ | np.number):
        quoted = _number(value)
    elif isinstance(value, str):
        quoted = ascii(value) if not value.isprintable() else repr(str(value))
    else:
        name = type(value).__name__
        return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
    return quoted if len(quoted) <= _SHOWN else quoted[: _SHOWN - 1] + "…"


def _number(value: object) -> str:
    try:
        return str(value)
    except ValueError:  # Python prints no whole number of more than some thousand digits
        return "a whole number of very many digits"


def _check_range(what: str, value: object, low: float | None, high: float | None) -> None:
    least, most = low is not None and cast("float", value) < low, high is not None and cast("float", value) > high
    if low is not None and high is not None and (least or most):
        raise BindError(f"{what} must lie between {low} and {high}, not {shown(value)}")
    if least or most:
        bound = f"least {low}" if least else f"most {high}"
        raise BindError(f"{what} must be at {bound}, not {shown(value)}")
