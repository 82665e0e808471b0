"""Relations on disk: one safetensors file each, written atomically; reading it runs no code from the file.

In: the columns of a relation's maps and its other fields, or a path. Out: a path, or the same. May not know: how they
were computed, or the classes that hold them. Arrays are stored bit for bit, each once, under a digest of its content;
all texts and scalars are one JSON document in the file's header. Digests of both show whether a file is damaged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
import safetensors
import safetensors.numpy

from ..errors import IalgebraError
from ..system import checks, disk
from ..system.arrays import Array
from ..system.checks import parsed, shown
from ..system.shortage import enough_memory
from .columns import MapColumns
from .stored import PlainFields, check_columns, check_document, check_fields, check_texts
from .stored_columns import columns_from, document_of

FORMAT = "ialgebra.relation"
VERSION = 6
"""Raised if an older reader would misread a newer file. 1 had no digest of the document, 2 no scores, 3 no bounds; up
to 4 every map had fields and arrays of its own; 5 had no unexplained rest of concepts."""

_T = TypeVar("_T")
_ARRAYS = ("map", "values", "stderr", "players", "content")  # of a map, up to version 4
_LONGEST_HEADER = 100_000_000  # bytes; safetensors reads no longer ones


def write(path: str | Path, maps: MapColumns, document: PlainFields) -> Path:
    """Write the columns of `maps` and the other fields of a relation to `path`, atomically, and return the path.

    Raises IalgebraError if the file cannot be written, or if a field is not what `read` would take. Values that JSON
    does not have are stored as text.
    """
    path = checks.path("the path of a saved relation", path)
    if not path.name:
        raise IalgebraError(f"cannot save to '{path}': it names no file")
    try:
        with enough_memory(f"while saving to '{path}'", "save slices, such as answer[:1000]"):
            disk.write(path, _content(maps, document, path))
    except IalgebraError:
        raise
    except (OSError, ValueError) as cause:
        raise IalgebraError(f"cannot save to '{path}': {getattr(cause, 'strerror', None) or cause}") from cause
    return path


def _content(maps: MapColumns, document: PlainFields, path: Path) -> bytes:
    tensors: dict[str, Array] = {}
    try:
        check_document(document)
        stored = document_of(maps, partial(_keep, tensors))
        # ASCII, because a lone surrogate cannot be UTF-8
        text = json.dumps({"maps": stored, **document}, default=_plain)
    except IalgebraError as cause:
        raise IalgebraError(f"cannot save to '{path}': {cause.message}") from cause
    except (TypeError, ValueError, RecursionError) as cause:
        raise IalgebraError(f"cannot save to '{path}': its details or provenance are no JSON: {cause}") from cause
    header = {"format": FORMAT, "version": str(VERSION), "document": text, "digest": _digest(text.encode())}
    content = safetensors.numpy.save(tensors, header)
    if int.from_bytes(content[:8], "little") > _LONGEST_HEADER:
        raise IalgebraError(
            f"cannot save to '{path}': its texts take more than {_LONGEST_HEADER // 10**6} MB; save it in slices, such "
            "as answer[:1000]"
        )
    return content


def read(path: str | Path, build: Callable[[MapColumns, PlainFields], _T]) -> _T:
    """The result of `build` for the fields (maps, document) that `write` wrote to `path`.

    Raises IalgebraError for a missing, damaged, foreign or newer file; a file whose fields `build` refuses is damaged.
    """
    path = checks.path("the path of a saved relation", path)
    try:
        with (
            enough_memory(f"while loading '{path}'", "its maps are needed in memory at once"),
            safetensors.safe_open(path, framework="numpy") as file,
        ):
            header: dict[str, str] = file.metadata() or {}
            tensors: dict[str, Array] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except IalgebraError:
        raise
    except OSError as cause:
        raise IalgebraError(f"cannot load '{path}': {cause.strerror or cause}") from cause
    except (safetensors.SafetensorError, ValueError, TypeError, AttributeError) as cause:  # NumPy has not every dtype
        raise IalgebraError(f"'{path}' is not a saved relation, or is damaged: {cause}") from cause
    if header.get("format") != FORMAT:
        raise IalgebraError(
            f"'{path}' is a safetensors file, but not of a relation; load reads what relation.save wrote"
        )
    version = header.get("version", "")
    if not version.isascii() or not version.isdecimal() or not 1 <= int(version[:9]) <= VERSION:
        raise IalgebraError(
            f"'{path}' was saved by a newer ialgebra (format {version[:9] or 'unknown'}; this one reads up to "
            f"{VERSION}); upgrade: pip install -U ialgebra"
        )
    document = header.get("document", "")
    damaged = [name for name, array in tensors.items() if name != _name(array)]
    if damaged or (version != "1" and header.get("digest") != _digest(document.encode())):
        raise IalgebraError(f"'{path}' is damaged: its content is not what was saved; save the relation again")
    try:
        return build(*_restored(document, tensors))
    except IalgebraError as cause:
        raise IalgebraError(f"'{path}' is damaged: {cause.message}") from cause
    except ValueError as cause:  # lists of texts that are no array
        raise IalgebraError(f"'{path}' is damaged: its description cannot be read ({cause})") from cause


def _restored(document: str, tensors: Mapping[str, Array]) -> tuple[MapColumns, dict[str, Any]]:
    """The maps and the other fields of a relation, checked; IalgebraError or ValueError for others."""
    fields = parsed("its description", document)
    if not isinstance(fields, dict) or not isinstance(stored := fields.pop("maps", None), dict | list):
        raise IalgebraError("its description is no relation: it has no maps")
    named = set[str]()

    def find(what: str, name: object) -> Array:
        named.update((name,) if isinstance(name, str) else ())
        return _array(what, name, tensors)

    maps = _one_by_one(stored, find) if isinstance(stored, list) else columns_from(stored, find)
    if surplus := tensors.keys() - named:
        raise IalgebraError(f"it has {len(surplus)} arrays that no map names")
    return maps, check_document(fields)


def _one_by_one(stored: Sequence[object], find: Callable[[str, object], Array]) -> MapColumns:
    """The maps of a file of version 4 or less, in which every map has fields and arrays of its own."""
    maps = []
    for number, fields in enumerate(stored):
        if not isinstance(fields, dict):
            raise IalgebraError(f"map {number} must be a mapping of fields, not {shown(fields)}")
        found = {name: find(f"'{name}' of map {number}", fields[name]) for name in _ARRAYS if name in fields}
        maps.append(SimpleNamespace(**check_fields(number, fields | found)))
    return check_columns(MapColumns.of(maps)).compact


def _array(what: str, stored: object, tensors: Mapping[str, Array]) -> Array:
    """An array by its name, or an array of the texts of a nested list."""
    if isinstance(stored, str):
        if stored not in tensors:
            raise IalgebraError(f"{what} names an array that is not in the file")
        return tensors[stored]
    if not isinstance(stored, list):
        raise IalgebraError(f"{what} must be the name of an array, not {shown(stored)}")
    check_texts(what, stored)
    return np.array(stored, dtype=np.str_)


def _keep(tensors: dict[str, Array], array: Array) -> str:
    """Add an array to `tensors`, if it is not there yet, and return its name."""
    array = np.ascontiguousarray(array)  # safetensors writes the buffer as it is in memory
    tensors.setdefault(name := _name(array), array)
    return name


def _name(array: Array) -> str:
    """The name of an array in a file: a digest of its content."""
    return _digest(f"{array.dtype} {array.shape}".encode() + array.tobytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _plain(value: object) -> object:
    """JSON for numpy's scalars and arrays; other values that JSON does not have become text."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
