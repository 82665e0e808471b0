"""The columns of maps as a file holds them: arrays by name, and a JSON document that says what each is.

In: columns, or a document and the arrays that it names. Out: the same the other way. May not know: files, bytes,
digests, or the class of one map. Inputs and labels of one shape and type are one array, a block.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import IalgebraError, visible
from ..system.arrays import Array
from ..system.checks import fields_of, sequence, shown, whole
from .columns import CodedColumn, MapColumns, PlayerNumbers, starts_of
from .stored import check_columns, check_entries, check_texts, checked_entry

_T = TypeVar("_T")

Keep = Callable[[Array], str]
"""Keeps an array, and returns the name under which it is found again."""

Find = Callable[[str, object], Array]
"""The array of a name; IalgebraError, with the words for what it is, where there is none."""

_NUMBERS = ("values", "stderr", "base_value", "full_value", "error_bound")
_TABLES = tuple(
    field.name
    for field in dataclasses.fields(MapColumns)
    if field.name not in (*_NUMBERS, "starts", "players", "content", "own")
)
_LATER_TABLES: Mapping[str, object] = {"unexplained": None}
"""Columns that files of older versions do not have, each with the entry of all their maps."""
_FIELDS: Mapping[str, Callable[[str, object], object]] = dict.fromkeys(
    (*_NUMBERS, *_TABLES, "counts", "players", "content", "own"), lambda _, value: value
)


def document_of(maps: MapColumns, keep: Keep) -> dict[str, object]:
    """The columns as JSON, with the names under which their arrays were kept. IalgebraError for what no file holds."""
    maps = _with_texts(maps)
    check_entries(maps)
    maps = check_columns(maps).compact
    tables: dict[str, CodedColumn[Any]] = {name: getattr(maps, name) for name in _TABLES}
    players, content = _in_blocks(maps.players, _form_of_players), _in_blocks(maps.content, _form_of_content)
    return {
        **{name: keep(getattr(maps, name)) for name in _NUMBERS},
        "counts": keep(maps.counts),
        **{name: {"codes": keep(each.codes), "table": list(each.table)} for name, each in tables.items()},
        "players": {
            "codes": keep(players[0]),
            "blocks": [
                {"labels": keep(np.stack([each.labels for each in block])), "shape": list(block[0].shape)}
                for block in players[1]
            ],
        },
        "content": {"codes": keep(content[0]), "blocks": [_kept(np.stack(block), keep) for block in content[1]]},
        "own": {
            "rows": keep(np.array(list(maps.own), dtype=np.int64)),
            "maps": [keep(each.astype(np.float64)) for each in maps.own.values()],
        },
    }


def columns_from(document: object, find: Find) -> MapColumns:
    """The columns of a document, checked; IalgebraError or ValueError for what is no such document."""
    lacks = {name for name in _LATER_TABLES if isinstance(document, dict) and name not in document}
    fields = fields_of("of its maps", document, {name: each for name, each in _FIELDS.items() if name not in lacks})
    numbers: dict[str, Any] = {name: _vector(f"'{name}'", fields[name], "float64", find) for name in _NUMBERS}
    count, total = len(numbers["base_value"]), len(numbers["values"])
    if any(len(numbers[name]) != count for name in ("full_value", "error_bound")) or len(numbers["stderr"]) != total:
        raise IalgebraError("its maps have columns of different lengths")
    counts = _vector("'counts'", fields["counts"], "int64", find)
    within = not len(counts) or (int(counts.min()) >= 0 and int(counts.max()) <= total)
    if len(counts) != count or not within or sum(counts.tolist()) != total:
        raise IalgebraError(f"'counts' are not those of {count:,} maps of {total:,} players together")
    tables: dict[str, Any] = {name: _table(name, fields[name], count, find) for name in _TABLES if name not in lacks}
    tables |= {name: CodedColumn(np.zeros(count, dtype=np.int32), (_LATER_TABLES[name],)) for name in lacks}
    players, blocks = _parts("players", fields["players"], "blocks", count, find)
    partitions = [each for k, block in enumerate(blocks) for each in _partitions(k, block, find)]
    codes, blocks = _parts("content", fields["content"], "blocks", count, find)
    contents = [each for k, block in enumerate(blocks) for each in _contents(k, block, find)]
    return check_columns(
        MapColumns(
            **numbers,
            **tables,
            starts=starts_of(counts),
            players=_column("players", players, partitions),
            content=_column("content", codes, contents),
            own=_own(fields["own"], count, find),
        )
    )


def _with_texts(maps: MapColumns) -> MapColumns:
    """The columns; contents that are not numbers become texts."""
    table = tuple(each if each.dtype.kind in "biuf" else each.astype(str) for each in maps.content.table)
    return dataclasses.replace(maps, content=CodedColumn(maps.content.codes, table))


def _in_blocks(column: CodedColumn[_T], form: Callable[[_T], object]) -> tuple[NDArray[np.int32], list[list[_T]]]:
    """The entries of a column in blocks of one form, and the codes of the maps in the order of the blocks."""
    members: dict[object, list[int]] = {}
    for number, entry in enumerate(column.table):
        members.setdefault(form(entry), []).append(number)
    order = np.array([number for block in members.values() for number in block], dtype=np.int64)
    places = np.zeros(len(order), dtype=np.int32)
    places[order] = np.arange(len(order), dtype=np.int32)
    return places[column.codes], [[column.table[number] for number in block] for block in members.values()]


def _form_of_players(partition: PlayerNumbers) -> object:
    return partition.shape, partition.labels.shape, partition.labels.dtype


def _form_of_content(content: Array) -> object:
    return content.shape, content.dtype.kind == "U" or content.dtype


def _kept(block: Array, keep: Keep) -> object:
    """The name of an array, or the nested list of its texts."""
    return keep(block) if block.dtype.kind != "U" else block.tolist()


def _vector(what: str, name: object, dtype: str, find: Find) -> NDArray[Any]:
    found = find(what, name)
    if found.dtype != np.dtype(dtype) or found.ndim != 1:
        raise IalgebraError(f"{what} must be a vector of {dtype}, not an array of {found.dtype} of shape {found.shape}")
    return found


def _parts(name: str, value: object, entries: str, count: int, find: Find) -> tuple[NDArray[np.int32], list[object]]:
    """The codes and the list of entries of a column."""
    found = fields_of(f"of '{name}'", value, {"codes": lambda _, each: each, entries: lambda _, each: each})
    codes = _vector(f"the codes of '{name}'", found["codes"], "int32", find)
    if len(codes) != count:
        raise IalgebraError(f"'{name}' has {len(codes):,} codes for {count:,} maps")
    if not isinstance(found[entries], list):
        raise IalgebraError(f"the {entries} of '{name}' must be a list, not {shown(found[entries])}")
    return codes, found[entries]


def _column(name: str, codes: NDArray[np.int32], table: Sequence[_T]) -> CodedColumn[_T]:
    if len(codes) and (int(codes.min()) < 0 or int(codes.max()) >= len(table)):
        raise IalgebraError(f"'{name}' numbers an entry that is not among its {len(table):,}")
    return CodedColumn(codes, tuple(table))


def _table(name: str, value: object, count: int, find: Find) -> CodedColumn[Any]:
    codes, entries = _parts(name, value, "table", count, find)
    checked = (checked_entry(name, f"entry {k} of '{name}'", entry) for k, entry in enumerate(entries))
    return _column(name, codes, [_visible(entry) for entry in checked])


def _visible(entry: object) -> object:
    """Texts, and names of features, with escapes in place of control characters."""
    if isinstance(entry, str):
        return visible(entry)
    if isinstance(entry, tuple):
        return tuple(visible(each) if isinstance(each, str) else each for each in entry)
    return entry


def _partitions(k: int, block: object, find: Find) -> list[PlayerNumbers]:
    what = f"block {k} of 'players'"
    found = fields_of(f"of {what}", block, {"labels": lambda _, value: value, "shape": _shape})
    labels, shape = find(f"the labels of {what}", found["labels"]), found["shape"]
    if labels.dtype not in (np.int16, np.int32, np.int64) or labels.ndim != len(shape) + 1:
        raise IalgebraError(f"the labels of {what} are an array of {labels.dtype} of shape {labels.shape}")
    if any(thin not in (1, whole_length) for thin, whole_length in zip(labels.shape[1:], shape, strict=True)):
        raise IalgebraError(f"the labels of {what} of shape {labels.shape[1:]} do not cover inputs of shape {shape}")
    return [PlayerNumbers(each, shape) for each in labels]


def _shape(what: str, value: object) -> tuple[object, ...]:
    return sequence(lambda name, each: whole(name, each, low=1), what, value)


def _contents(k: int, block: object, find: Find) -> list[Array]:
    """The inputs of a block: an array's, or those of a nested list of texts."""
    what = f"block {k} of 'content'"
    if not isinstance(block, list):
        found = find(what, block)
        if found.dtype.kind not in "biuf" or not found.ndim or not found.size:
            raise IalgebraError(f"{what} must be an array of numbers, not of {found.dtype} of shape {found.shape}")
        return list(found)
    check_texts(what, block)
    return [np.array(each, dtype=np.str_) for each in block]


def _own(value: object, count: int, find: Find) -> dict[int, NDArray[Any]]:
    found = fields_of("of 'own'", value, {"rows": lambda _, each: each, "maps": lambda _, each: each})
    rows = _vector("the rows of 'own'", found["rows"], "int64", find).tolist()
    if not isinstance(found["maps"], list) or len(found["maps"]) != len(rows):
        raise IalgebraError(f"'own' must have one map for each of its {len(rows):,} rows")
    if len(set(rows)) != len(rows) or not all(0 <= row < count for row in rows):
        raise IalgebraError(f"the rows of 'own' must be different ones of {count:,} maps")
    maps = [find(f"'map' of map {row}", name) for row, name in zip(rows, found["maps"], strict=True)]
    for row, each in zip(rows, maps, strict=True):
        if each.dtype != np.float64:
            raise IalgebraError(f"'map' of map {row} must be an array of float64, not an array of {each.dtype}")
    return dict(zip(rows, maps, strict=True))
