"""What the entries of a saved relation must be: its fields in, the same checked, out.

`files` checks with it what it writes and what it reads, so that a file that was written can be read, and one that can
be read fails nowhere later. May not know: files, bytes, or the class of one map.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..algebra.kinds import kind_named
from ..errors import BindError, IalgebraError, ShapeError
from ..system.arrays import Array, Bools, Ints
from ..system.checks import Check, fields_of, flag, number, optional, sequence, shown, text, whole
from .columns import CodedColumn, MapColumns
from .shown import UNITS

PlainFields: TypeAlias = Mapping[str, Any]
"""Names of fields and their values: arrays, text, numbers, and containers of these."""

_MOST = 2**53 - 1  # of whole numbers: data frames and JSON hold larger ones with errors, or not at all


def check_fields(number_of_map: int, fields: PlainFields) -> dict[str, Any]:
    """The fields of one map, checked one by one; IalgebraError or ShapeError that names the field."""
    where = f"of map {number_of_map}"
    checked = fields_of(where, {**_LATER_FIELDS, **fields}, _MAP)
    values, errors = len(checked["values"]), len(checked["stderr"])
    if values != errors:
        raise ShapeError(f"'values' and 'stderr' {where} have {values} and {errors} entries, not one count")
    return checked


_LATER_FIELDS: PlainFields = {"scores": {}, "error_bound": None, "unit": "", "prediction": None, "unexplained": None}
"""Fields that maps of older versions do not have."""


def check_columns(maps: MapColumns) -> MapColumns:
    """The columns, whose entries `checked_entry` took, checked against each other; IalgebraError or ShapeError that
    names the field and the map."""
    _check_numbers(maps)
    _check_shapes(maps)
    return maps


def check_entries(maps: MapColumns) -> None:
    """Check the entries of all columns; IalgebraError that names the field and the map."""
    for field in dataclasses.fields(maps):
        column = getattr(maps, field.name)
        if isinstance(column, CodedColumn) and field.name != "players":  # their labels are checked with the shapes
            for code, value in enumerate(column.table):
                try:
                    checked_entry(field.name, f"'{field.name}'", value)
                except IalgebraError:
                    row = int(np.flatnonzero(column.codes == code)[0])
                    checked_entry(field.name, f"'{field.name}' of map {row}", value)


def check_document(document: PlainFields) -> dict[str, Any]:
    """The fields of a relation other than its maps, checked; IalgebraError that names the field."""
    return fields_of("of the relation", document, _DOCUMENT)


def checked_entry(name: str, what: str, value: object) -> Any:
    """An entry of the column of a field, as the field is checked."""
    return _MAP[name](what, value)


def _check_numbers(maps: MapColumns) -> None:
    """Values and ends are finite, errors at least 0: inf is an unknown error."""
    for name in ("base_value", "full_value", "values"):
        _refuse(maps, name, ~np.isfinite(getattr(maps, name)), "must be finite numbers; some are NaN or infinite")
    words = "must be numbers of at least 0; some are negative or NaN"
    _refuse(maps, "stderr", ~(maps.stderr >= 0), words)
    _refuse(maps, "error_bound", maps.error_bound < 0, words)
    for row, own in maps.own.items():
        if not np.isfinite(own).all():
            raise IalgebraError(f"'map' of map {row} must be finite numbers; some are NaN or infinite")


def _refuse(maps: MapColumns, name: str, wrong: Bools, words: str) -> None:
    """Raise IalgebraError for the first entry of a column that is wrong."""
    if wrong.any():
        entry = int(np.flatnonzero(wrong)[0])
        row = entry if len(wrong) == len(maps) and name not in ("values", "stderr") else int(maps.rows[entry])
        raise IalgebraError(f"'{name}' of map {row} {words}")


def _check_shapes(maps: MapColumns) -> None:
    """Players, input and names of a map fit together, and each player has a value."""
    shapes, contents = _numbered([(each.shape, each.dtype.kind == "U") for each in maps.content.table])
    forms = maps.kind.codes, contents[maps.content.codes], maps.feature_names.codes
    for row, (kind_number, content, names_number) in _distinct(*forms):
        kind, names = kind_named(maps.kind.table[kind_number]), maps.feature_names.table[names_number]
        shape, is_text = shapes[content]
        size = math.prod(shape)
        if len(shape) != kind.dimensions or not size:
            raise ShapeError(f"'content' of map {row} has shape {shape}; {kind.article} has shape {kind.axes}")
        if kind.layout == "plane" and is_text:
            raise IalgebraError(f"'content' of map {row} must be numbers; {kind.article} has no texts")
        if names is not None and (kind.named is None or len(names) != size):
            raise ShapeError(f"'feature_names' of map {row} are {len(names):,}, of {kind.article} of shape {shape}")
    of_players, players = _numbered([each.shape for each in maps.players.table])
    for row, (player_shape, content) in _distinct(players[maps.players.codes], contents[maps.content.codes]):
        if of_players[player_shape] != shapes[content][0]:
            raise _differing(row, of_players[player_shape], of_players[player_shape], shapes[content][0])
    for row, own in maps.own.items():
        if own.shape != maps.content[row].shape:
            raise _differing(row, own.shape, maps.players[row].shape, maps.content[row].shape)
    lowest = np.array([each.labels.min(initial=-1) for each in maps.players.table], dtype=np.int64)
    highest = np.array([each.labels.max(initial=-1) for each in maps.players.table], dtype=np.int64)
    low, high, counts = lowest[maps.players.codes], highest[maps.players.codes], maps.counts
    if (wrong := (low < -1) | (high >= counts)).any():
        row = int(np.flatnonzero(wrong)[0])
        raise IalgebraError(
            f"'players' of map {row} lie between {low[row]} and {high[row]}; with {counts[row]} values they are -1 to "
            f"{counts[row] - 1}"
        )


def _differing(row: int, of_map: object, of_players: object, of_content: object) -> ShapeError:
    return ShapeError(
        f"'map', 'players' and 'content' of map {row} have shapes {of_map}, {of_players} and {of_content}; all three "
        "have one"
    )


def _numbered(values: list[Any]) -> tuple[list[Any], Ints]:
    """The different values, and the number of each."""
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
    return list(numbers), np.array([numbers[value] for value in values], dtype=np.int64)


def _distinct(*codes: Array) -> Iterator[tuple[int, list[int]]]:
    """The first map with each combination of codes, and the combination."""
    together = np.stack([each.astype(np.int64) for each in codes], axis=1)
    _, first = np.unique(together, axis=0, return_index=True)
    for row in sorted(first.tolist()):
        yield row, together[row].tolist()


def _array(dtype: str, dimensions: int | None, what: str, value: Any) -> NDArray[Any]:
    if not isinstance(value, np.ndarray) or value.dtype != np.dtype(dtype):
        given = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else shown(value)
        raise IalgebraError(f"{what} must be an array of {dtype}, not {given}")
    if dimensions is not None and value.ndim != dimensions:
        raise ShapeError(f"{what} has shape {value.shape}; it is one number per player, (d,)")
    return value


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
    "map": partial(_array, "float64", None),
    "values": partial(_array, "float64", 1),
    "stderr": partial(_array, "float64", 1),
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
    "prediction": partial(optional, text),
    "unit": partial(text, among=UNITS),
    "unexplained": partial(optional, number),
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


def check_texts(what: str, nested: Sequence[object]) -> None:
    """Raise IalgebraError unless what a file calls `what` is a list of texts, nested as deeply as it may be."""
    pending = list(nested)
    while pending:
        each = pending.pop()
        if isinstance(each, list):
            pending.extend(each)
        elif not isinstance(each, str):
            raise IalgebraError(f"{what} must hold texts or be the name of an array; it holds {shown(each)}")
