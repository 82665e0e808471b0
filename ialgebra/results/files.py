"""Relations on disk: one safetensors file each, written atomically; reading it runs no code from the file.

In: the plain fields of a relation and of its maps, or a path. Out: a path, or the same fields. May not know: how they
were computed, or the classes that hold them. Arrays are stored bit for bit, and an array that several maps share
(players, the input) is stored once; all texts and scalars are one JSON document in the file's header. Digests of both
show whether a file is damaged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import safetensors
import safetensors.numpy

from ..errors import IalgebraError, ResourceError
from ..system import disk
from ..system.arrays import Array

FORMAT = "ialgebra.relation"
VERSION = 3  # raised if an older reader would misread a newer file; 1 had no digest of the document, 2 no scores

PlainFields: TypeAlias = Mapping[str, Any]
"""Names of fields and their values: arrays, text, numbers, and containers of these."""

_T = TypeVar("_T")
_ARRAYS = ("map", "values", "stderr", "players", "content")


def write(path: str | Path, maps: Sequence[PlainFields], document: PlainFields) -> Path:
    """Write the fields of `maps` and of the rest of a relation to `path`, atomically, and return the path.

    Raises IalgebraError if the file cannot be written. Values that JSON does not have are stored as text.
    """
    path = Path(path)
    if not path.name:
        raise IalgebraError(f"cannot save to '{path}': it names no file")
    try:
        disk.write(path, _content(maps, document, path))
    except MemoryError as cause:
        raise ResourceError(f"cannot save to '{path}': out of memory") from cause
    except (OSError, ValueError) as cause:
        raise IalgebraError(f"cannot save to '{path}': {getattr(cause, 'strerror', None) or cause}") from cause
    return path


def _content(maps: Sequence[PlainFields], document: PlainFields, path: Path) -> bytes:
    tensors: dict[str, Array] = {}
    stored = [dict(fields) | {name: _store(fields[name], tensors) for name in _ARRAYS} for fields in maps]
    try:
        text = json.dumps(
            {"maps": stored, **document}, default=_plain
        )  # ASCII, because a lone surrogate cannot be UTF-8
        digest = _digest(text.encode())
    except (TypeError, ValueError) as cause:
        raise IalgebraError(f"cannot save to '{path}': its details or provenance are no JSON: {cause}") from cause
    return safetensors.numpy.save(
        tensors, {"format": FORMAT, "version": str(VERSION), "document": text, "digest": digest}
    )


def read(path: str | Path, build: Callable[[Sequence[PlainFields], PlainFields], _T]) -> _T:
    """The result of `build` for the fields (maps, document) that `write` wrote to `path`.

    Raises IalgebraError for a missing, damaged, foreign or newer file; a file whose fields `build` refuses is damaged.
    """
    path = Path(path)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            header: dict[str, str] = file.metadata() or {}
            tensors: dict[str, Array] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except MemoryError as cause:
        raise ResourceError(f"cannot load '{path}': out of memory") from cause
    except OSError as cause:
        raise IalgebraError(f"cannot load '{path}': {cause.strerror or cause}") from cause
    except (safetensors.SafetensorError, ValueError, TypeError) as cause:
        raise IalgebraError(f"'{path}' is not a saved relation, or is damaged: {cause}") from cause
    if header.get("format") != FORMAT:
        raise IalgebraError(
            f"'{path}' is a safetensors file, but not of a relation; load reads what relation.save wrote"
        )
    version = header.get("version", "")
    if not version.isdecimal() or not 1 <= int(version) <= VERSION:
        raise IalgebraError(
            f"'{path}' was saved by a newer ialgebra (format {version or 'unknown'}; this one reads up to {VERSION}); "
            "upgrade: pip install -U ialgebra"
        )
    document = header.get("document", "")
    damaged = [name for name, array in tensors.items() if name != _name(array)]
    if damaged or (version != "1" and header.get("digest") != _digest(document.encode())):
        raise IalgebraError(f"'{path}' is damaged: its content is not what was saved; save the relation again")
    try:
        fields_of_relation = json.loads(document)
        maps = [_restored_arrays(fields, tensors) for fields in fields_of_relation.pop("maps")]
        return build(maps, fields_of_relation)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, IalgebraError) as cause:
        raise IalgebraError(f"'{path}' is damaged: its description does not fit its arrays ({cause!r})") from cause


def _store(array: Any, tensors: dict[str, Array]) -> object:
    """Add an array to `tensors`, if it is not there yet, and return its name; an array of texts becomes a nested
    list."""
    if array.dtype.kind not in "biuf":
        return array.astype(str).tolist()
    array = np.ascontiguousarray(array)  # safetensors writes the buffer as it is in memory
    tensors.setdefault(name := _name(array), array)
    return name


def _name(array: Array) -> str:
    """The name of an array in a file: a digest of its content."""
    return _digest(f"{array.dtype} {array.shape}".encode() + array.tobytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _restored_arrays(fields: dict[str, Any], tensors: dict[str, Array]) -> dict[str, Any]:
    """The fields of one map, with arrays and tuples in place of names and lists."""
    for name in _ARRAYS:
        stored = fields[name]
        fields[name] = tensors[stored] if isinstance(stored, str) else np.array(stored)
    for name in ("target", "feature_names"):
        stored = fields[name]
        fields[name] = tuple(stored) if isinstance(stored, list) else stored
    fields["scores"] = {name: tuple(each) for name, each in dict(fields.get("scores", {})).items()}
    return fields


def _plain(value: object) -> object:
    """JSON for numpy's scalars and arrays; other values that JSON does not have become text."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
