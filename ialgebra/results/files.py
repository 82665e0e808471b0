"""Relations on disk: one safetensors file each, written whole or not at all, read without running any code from it.

Comes in: a Relation, or a path. Goes out: a path, or a Relation equal to the one that was saved. May not know: how
either was computed. Arrays are stored bit for bit, and an array that several maps share (players, the input) is stored
once; all words and scalars are one JSON document in the file's header. Digests of both tell a file that rotted.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from ..errors import IalgebraError, ResourceError
from ..system import disk
from ..system.arrays import Array
from .relation import Attribution, Relation, Stats

FORMAT = "ialgebra.relation"
VERSION = 3  # raised whenever an older reader would misread a newer file; 1 had no digest of its document, 2 no scores

_ARRAYS = ("map", "values", "stderr", "players", "content")


def save(relation: Relation, path: str | Path) -> Path:
    """Write `relation` to `path` atomically and return the path; raises IalgebraError where that cannot be done.

    Entries of `details` and `provenance` that JSON does not know are stored as their text.
    """
    path = Path(path)
    if not path.name:
        raise IalgebraError(f"cannot save to '{path}': it names no file")
    try:
        disk.write(path, _content(relation, path))
    except MemoryError as cause:
        raise ResourceError(f"cannot save to '{path}': out of memory") from cause
    except (OSError, ValueError) as cause:
        raise IalgebraError(f"cannot save to '{path}': {getattr(cause, 'strerror', None) or cause}") from cause
    return path


def _content(relation: Relation, path: Path) -> bytes:
    tensors: dict[str, Array] = {}
    maps = []
    for a in relation:
        fields = {field.name: getattr(a, field.name) for field in dataclasses.fields(a)}
        maps.append(fields | {name: _store(fields[name], tensors) for name in _ARRAYS})
    document = {
        "maps": maps,
        "stats": dataclasses.asdict(relation.stats),
        "plan": relation.plan,
        "details": relation.details,
        "text": relation.text if relation.is_text else None,
        "query": relation.query,
        "provenance": relation.provenance,
    }
    try:
        text = json.dumps(document, default=_plain)  # in ASCII: half a surrogate pair has no UTF-8
        digest = _digest(text.encode())
    except (TypeError, ValueError) as cause:
        raise IalgebraError(f"cannot save to '{path}': its details or provenance are no JSON: {cause}") from cause
    return safetensors.numpy.save(
        tensors, {"format": FORMAT, "version": str(VERSION), "document": text, "digest": digest}
    )


def load(path: str | Path) -> Relation:
    """The relation that `save` wrote to `path`; raises IalgebraError for a missing, damaged, foreign or newer file."""
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
    rotten = [name for name, array in tensors.items() if name != _name(array)]
    if rotten or (version != "1" and header.get("digest") != _digest(document.encode())):
        raise IalgebraError(f"'{path}' is damaged: its content is not what was saved; save the relation again")
    try:
        told = json.loads(document)
        return Relation(
            attributions=[_attribution(fields, tensors) for fields in told.pop("maps")],
            stats=Stats(**told.pop("stats")),
            **told,
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, IalgebraError) as cause:
        raise IalgebraError(f"'{path}' is damaged: its description does not fit its arrays ({cause!r})") from cause


def _store(array: Array, tensors: dict[str, Array]) -> object:
    """Put an array into `tensors`, once, and return its name there; an array of words becomes a nested list."""
    if array.dtype.kind not in "biuf":
        return array.astype(str).tolist()
    array = np.ascontiguousarray(array)  # safetensors writes the buffer as it lies
    tensors.setdefault(name := _name(array), array)
    return name


def _name(array: Array) -> str:
    """An array is named by its content."""
    return _digest(f"{array.dtype} {array.shape}".encode() + array.tobytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _attribution(fields: dict[str, object], tensors: dict[str, Array]) -> Attribution:
    for name in _ARRAYS:
        stored = fields[name]
        fields[name] = tensors[stored] if isinstance(stored, str) else np.array(stored)
    for name in ("target", "feature_names"):
        stored = fields[name]
        fields[name] = tuple(stored) if isinstance(stored, list) else stored
    fields["scores"] = {name: tuple(each) for name, each in dict(fields.get("scores", {})).items()}  # type: ignore[call-overload]
    return Attribution(**fields)  # type: ignore[arg-type]  # a wrong type here is a damaged file, which `load` reports


def _plain(value: object) -> object:
    """JSON for numpy's scalars and arrays; anything else that JSON does not know is kept as its text."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
