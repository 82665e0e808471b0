"""What the entries of a saved relation must be: the fields of its maps and its document in, the same checked, out.

`files` checks with it what it writes and what it reads, so that a file that was written can be read, and one that can
be read fails nowhere later. May not know: files, bytes, or the classes that hold the fields.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..algebra.kinds import kind_named
from ..errors import BindError, IalgebraError, ShapeError
from ..system.checks import Check, fields_of, flag, number, optional, sequence, shown, text, whole
from .shown import UNITS

PlainFields: TypeAlias = Mapping[str, Any]
"""Names of fields and their values: arrays, text, numbers, and containers of these."""

_MOST = 2**53 - 1  # of whole numbers: data frames and JSON hold larger ones with errors, or not at all


def check_map(number_of_map: int, fields: PlainFields) -> dict[str, Any]:
    """The fields of one map, checked one by one and against each other; IalgebraError or ShapeError that names the
    field."""
    where = f"of map {number_of_map}"
    checked = fields_of(where, {"scores": {}, "error_bound": None, "unit": "", **fields}, _MAP)
    kind, content = kind_named(checked["kind"]), checked["content"]
    count, players = len(checked["values"]), checked["players"]
    if content.ndim != kind.dimensions or not content.size:
        raise ShapeError(f"'content' {where} has shape {content.shape}; {kind.article} has shape {kind.axes}")
    if kind.layout == "plane" and content.dtype.kind == "U":
        raise IalgebraError(f"'content' {where} must be numbers; {kind.article} has no texts")
    if not checked["map"].shape == players.shape == content.shape:
        raise ShapeError(
            f"'map', 'players' and 'content' {where} have shapes {checked['map'].shape}, {players.shape} and "
            f"{content.shape}; all three have one"
        )
    if len(checked["stderr"]) != count:
        raise ShapeError(
            f"'values' and 'stderr' {where} have {count} and {len(checked['stderr'])} entries, not one count"
        )
    if int(players.min()) < -1 or int(players.max()) >= count:
        raise IalgebraError(
            f"'players' {where} lie between {players.min()} and {players.max()}; with {count} values they are -1 to "
            f"{count - 1}"
        )
    names = checked["feature_names"]
    if names is not None and (kind.named is None or len(names) != content.size):
        raise ShapeError(f"'feature_names' {where} are {len(names):,}, of {kind.article} of shape {content.shape}")
    return checked


def check_document(document: PlainFields) -> dict[str, Any]:
    """The fields of a relation other than its maps, checked; IalgebraError that names the field."""
    return fields_of("of the relation", document, _DOCUMENT)


def _array(dtype: str, dimensions: int | None, what: str, value: Any) -> NDArray[Any]:
    if not isinstance(value, np.ndarray) or value.dtype != np.dtype(dtype):
        given = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else shown(value)
        raise IalgebraError(f"{what} must be an array of {dtype}, not {given}")
    if dimensions is not None and value.ndim != dimensions:
        raise ShapeError(f"{what} has shape {value.shape}; it is one number per player, (d,)")
    return value


def _finite(dimensions: int | None, what: str, value: Any) -> NDArray[Any]:
    found = _array("float64", dimensions, what, value)
    if not np.isfinite(found).all():
        raise IalgebraError(f"{what} must be finite numbers; some are NaN or infinite")
    return found


def _errors(what: str, value: Any) -> NDArray[Any]:
    found = _array("float64", 1, what, value)
    if not (found >= 0).all():  # inf is an unknown error
        raise IalgebraError(f"{what} must be numbers of at least 0; some are negative or NaN")
    return found


def _kind(what: str, value: Any) -> str:
    """The name of a kind."""
    name = text(what, value)
    try:
        return kind_named(name).name
    except BindError as error:
        raise IalgebraError(f"{what}: {error.message}") from None


def _content(what: str, value: Any) -> NDArray[Any]:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biufU":
        given = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else shown(value)
        raise IalgebraError(f"{what} must be an array of numbers or texts, not {given}")
    return value


def _target(what: str, value: Any) -> object:
    if not isinstance(value, list | tuple):
        return _count(what, value)
    if not value:
        raise IalgebraError(f"{what} must be a class, or several, not an empty list")
    return sequence(_count, what, value)


def _bound(what: str, value: Any) -> float:
    """An error of at least 0; infinite, if it is unknown."""
    return math.inf if isinstance(value, float) and value == math.inf else number(what, value, 0)


def _scores(what: str, value: Any) -> dict[str, tuple[float, float]]:
    if not isinstance(value, Mapping):
        raise IalgebraError(f"{what} must be a mapping, not {shown(value)}")
    found = {}
    for name, pair in value.items():
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise IalgebraError(f"{what} must map names to a value and its standard error, not to {shown(pair)}")
        score, stderr = pair
        error = _bound(f"an error in {what}", stderr)
        found[text(f"a name in {what}", name)] = (number(f"a value in {what}", score), error)
    return found


def _plain(what: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise IalgebraError(f"{what} must be a mapping, not {shown(value)}")
    return value


def _stats(what: str, value: Any) -> dict[str, Any]:
    later = {"forecast_rows": None, "given_up": 0, "examined_rows": 0}  # files of older versions have no such fields
    return fields_of(f"in {what}", later | value if isinstance(value, dict) else value, _STATS)


_count = partial(whole, low=0, high=_MOST)
_seconds = partial(number, low=0)

_MAP: Mapping[str, Check] = {
    "map": partial(_finite, None),
    "values": partial(_finite, 1),
    "stderr": _errors,
    "players": partial(_array, "int64", None),
    "label": text,
    "model": text,
    "layer": partial(optional, partial(whole, low=1, high=_MOST)),
    "input": text,
    "baseline": text,
    "target": _target,
    "target_name": text,
    "base_value": number,
    "full_value": number,
    "kind": _kind,
    "content": _content,
    "feature_names": partial(optional, partial(sequence, text)),
    "method": text,
    "component": partial(optional, _count),
    "item": _count,
    "scores": _scores,
    "error_bound": partial(optional, _bound),
    "unit": partial(text, among=UNITS),
}

_STATS: Mapping[str, Check] = {
    "rows": _count,
    "seconds": _seconds,
    "bound_met": flag,
    "batches": _count,
    "forward_seconds": _seconds,
    "reused_rows": _count,
    "examined_rows": _count,
    "forecast_rows": partial(optional, _count),
    "given_up": _count,
}

_DOCUMENT: Mapping[str, Check] = {
    "stats": _stats,
    "plan": text,
    "details": _plain,
    "text": partial(optional, text),
    "query": text,
    "provenance": _plain,
}
