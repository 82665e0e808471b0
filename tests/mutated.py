"""Files that were tampered with: a good file in, many bad ones out, each with a word for what was done to it.

Four kinds of file: relations, heads, concepts and generators. Digests are made right again where the mutation would
otherwise be found by its digest alone, so that what is tested is the reader's own care. No reader of the package
is used.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 7, 2**31, 2**63, 10**400, 0.5, -0.5, 1e308, float("nan"), float("inf"),
    float("-inf"), "", "x", "image", "tokens", "no such array", "\ud800", "\x1b[31m", "é" * 9, [], [1], [-1], [0.5],
    [None], ["a"], ["a", "b"], [["a"], ["b"]], [["a"], "b"], [[1.0]], [1, 2, 3], {}, {"a": 1}, {"a": [1, 2]},
    {"a": [1.0, -1.0]}, {"a": ["x", None]}, [{}], [[[[[[]]]]]],
)  # fmt: skip

TYPES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "C64": 8,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "U8": 1,
}
"""Types of safetensors, and their bytes."""


@dataclass
class StoredTensor:
    dtype: str
    shape: list[int]
    data: bytes


@dataclass
class Stored:
    """A safetensors file, taken apart."""

    metadata: dict[str, str]
    tensors: dict[str, StoredTensor] = field(default_factory=dict)

    @classmethod
    def of(cls, content: bytes) -> Stored:
        (length,) = struct.unpack("<Q", content[:8])
        header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
        metadata = header.pop("__metadata__", {})
        tensors = {
            name: StoredTensor(each["dtype"], each["shape"], data[slice(*each["data_offsets"])])
            for name, each in header.items()
        }
        return cls(metadata, tensors)

    def bytes(self, edit: Callable[[dict[str, Any]], object] = lambda header: None) -> bytes:
        header: dict[str, Any] = {"__metadata__": self.metadata}
        data = b""
        for name, each in sorted(self.tensors.items(), key=lambda item: (-TYPES.get(item[1].dtype, 1), item[0])):
            offsets = [len(data), len(data) + len(each.data)]
            header[name] = {"dtype": each.dtype, "shape": each.shape, "data_offsets": offsets}
            data += each.data
        edit(header)
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        return struct.pack("<Q", len(text)) + text + data


NUMPY = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "U8": "uint8",
}


def relation_digest(stored: Stored) -> None:
    """Make the names of a relation's arrays and the digest of its document right."""
    document = stored.metadata.get("document", "")
    for name, each in list(stored.tensors.items()):
        dtype = NUMPY.get(each.dtype, {"C64": "complex64"}.get(each.dtype, each.dtype))
        right = hashlib.sha256(f"{dtype} {tuple(each.shape)}".encode() + each.data).hexdigest()[:32]
        stored.tensors[right] = stored.tensors.pop(name)
        document = document.replace(f'"{name}"', f'"{right}"')
    stored.metadata["document"] = document
    stored.metadata["digest"] = hashlib.sha256(document.encode()).hexdigest()[:32]


def heads_digest(stored: Stored) -> None:
    """Make the digest of a file of heads right."""
    _weights_digest(stored, ("format", "heads", "weights"))


def _weights_digest(stored: Stored, keys: tuple[str, ...]) -> None:
    names = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "C64": "complex64"}
    names |= {
        "F8_E4M3": "float8_e4m3fn",
        "F8_E5M2": "float8_e5m2",
        "I64": "int64",
        "I32": "int32",
        "I16": "int16",
        "U8": "uint8",
    }
    told = [stored.metadata.get(key, "") for key in keys]
    digest = hashlib.sha256("\0".join(told).encode("utf-8", "surrogatepass"))
    for name, each in sorted(stored.tensors.items()):
        digest.update(f"\0{name} torch.{names[each.dtype]} {tuple(each.shape)}".encode("utf-8", "surrogatepass"))
        digest.update(each.data)
    stored.metadata["digest"] = digest.hexdigest()


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document, from its root down."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from paths(each, (*path, key))


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    document = copy.deepcopy(document)
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return document


def _doubled(document: Any, path: tuple[Any, ...], value: Any) -> str:
    """The document as text, with a second entry for the field at `path`."""
    text = json.dumps(replaced(document, path, "@here"))
    (name,) = {json.dumps(path[-1])}
    old = json.dumps(_at(document, path))
    return text.replace(f'{name}: "@here"', f"{name}: {old}, {name}: {json.dumps(value)}")


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


@dataclass(frozen=True)
class Form:
    """What the mutations must know of a kind of file: where its JSON stands, and how its digests are made right."""

    document: str
    digest: Callable[[Stored], None]
    versions: tuple[dict[str, str], ...]


def concepts_digest(stored: Stored) -> None:
    """Make the digest of a file of concepts right."""
    _weights_digest(stored, ("format", "concepts"))


RELATION = Form("document", relation_digest, tuple({"version": each} for each in ("0", "99", "-1", "٣", "1.5", "")))
CONCEPTS = Form(
    "concepts", concepts_digest, tuple({"format": f"ialgebra concepts {each}"} for each in ("0", "99", "x", "٣", ""))
)
HEADS = Form("heads", heads_digest, tuple({"format": f"ialgebra heads {each}"} for each in ("0", "99", "x", "٣", "")))


GENERATORS = Form(
    "generator",
    lambda stored: _weights_digest(stored, ("format", "generator")),
    tuple({"format": f"ialgebra generators {each}"} for each in ("0", "99", "x", "٣", "")),
)


def wrong_types(content: bytes, form: Form, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Each field in turn with a value of another type or size, without end."""
    document = json.loads(Stored.of(content).metadata[form.document])
    known = [path for path in paths(document) if not {"details", "provenance"} & set(path[:-1])]
    while True:
        for path in rng.sample(known, len(known)):
            value = rng.choice(HOSTILE)
            yield f"{path} = {value!r:.40}", _with_document(content, form, json.dumps(replaced(document, path, value)))


def other_fields(content: bytes, form: Form, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Fields that are missing, unknown, given twice or moved, without end."""
    document = json.loads(Stored.of(content).metadata[form.document])
    fields = [path for path in paths(document) if path and isinstance(path[-1], str)]
    fields = [path for path in fields if not {"details", "provenance"} & set(path[:-1])]
    while True:
        for path in rng.sample(fields, len(fields)):
            what = rng.choice(["missing", "unknown", "twice", "renamed"])
            parent = copy.deepcopy(_at(document, path[:-1]))
            text = None
            if what == "missing":
                del parent[path[-1]]
            elif what == "unknown":
                parent[rng.choice(["surprise", "é", "", "__class__", "self"])] = rng.choice(HOSTILE)
            elif what == "renamed":
                parent[path[-1].upper()] = parent.pop(path[-1])
            else:
                text = _doubled(document, path, rng.choice(HOSTILE))
            text = text or json.dumps(replaced(document, path[:-1], parent))
            yield f"{path} {what}", _with_document(content, form, text)


def other_tensors(content: bytes, form: Form, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Tensors of another type, shape or content, missing, or too many, without end."""
    while True:
        stored = Stored.of(content)
        name = rng.choice(sorted(stored.tensors))
        tensor = stored.tensors[name]
        count = int(np.prod(tensor.shape))
        what = rng.choice(["type", "bits", "shape", "values", "missing", "more", "empty", "wide"])
        if what == "type":
            tensor.dtype = rng.choice(sorted(TYPES))
            tensor.data = bytes(count * TYPES[tensor.dtype])
        elif what == "bits":
            tensor.data = rng.randbytes(len(tensor.data))
        elif what == "shape":
            tensor.shape = rng.choice([[*tensor.shape, 1], [1, *tensor.shape], [count], tensor.shape[::-1]])
        elif what == "values" and count and tensor.dtype in NUMPY:
            bad = rng.choice(
                [
                    -1,
                    -2,
                    7,
                    10**18,
                    *([np.nan, np.inf, -np.inf, 1e300, 1.7e308, -1.7e308, 5e-324] if tensor.dtype[0] == "F" else []),
                ]
            )
            with np.errstate(all="ignore"):
                values = np.frombuffer(tensor.data, NUMPY[tensor.dtype]).copy()
                values[rng.randrange(count)] = np.array(bad).astype(NUMPY[tensor.dtype])
            tensor.data = values.tobytes()
        elif what == "missing":
            del stored.tensors[name]
        elif what == "more":
            stored.tensors["ünknown"] = StoredTensor("F32", [1], bytes(4))
        elif what == "empty":
            tensor.shape, tensor.data = [10**9, 0], b""
        else:
            tensor.shape, tensor.data = [count + 1], tensor.data + bytes(TYPES[tensor.dtype])
        form.digest(stored)
        yield f"tensor {name[:8]} {tensor.dtype} {what} {tensor.shape}", stored.bytes()


def other_headers(content: bytes, form: Form, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Other versions and formats, entries of the header that are missing, and announcements that the bytes do not
    keep, without end."""
    while True:
        stored = Stored.of(content)
        what = rng.choice(["version", "entry", "format", "announced", "length", "offsets", "name"])
        if what == "version":
            stored.metadata |= rng.choice(form.versions)
        elif what == "entry":
            key = rng.choice(sorted(stored.metadata))
            if rng.random() < 0.5:
                del stored.metadata[key]
            else:
                stored.metadata[key] = rng.choice(
                    ["", "{", "[]", "{}", "null", "1", "[" * 99_999, '[{"a": 1, "a": 2}]']
                )
        elif what == "format":
            stored.metadata["format"] = rng.choice(["pt", "ialgebra", "ialgebra heads", "\x1b[2J", "é"])
        if what in ("version", "entry", "format"):
            if rng.random() < 0.5 and form is not RELATION:
                form.digest(stored)
            yield f"header {what} {str(stored.metadata)[:60]}", stored.bytes()
            continue
        if what == "length":
            yield "announced header", struct.pack("<Q", rng.choice([0, 1, 10**9, 2**63])) + content[8:]
            continue
        name = rng.choice(sorted(stored.tensors))
        huge = rng.choice([[10**9], [10**9, 10**9], [2**62, 4], [-1], [1.5], ["a"], "a", None])
        changes = {"announced": {"shape": huge}, "offsets": {"data_offsets": [0, 10**15]}, "name": {}}[what]
        yield f"{name[:8]} {what} {huge}", stored.bytes(partial(_renamed, name, changes))


def _renamed(name: str, changes: dict[str, Any], header: dict[str, Any]) -> None:
    """Change the entry of a tensor; without changes, rename it."""
    if changes:
        header[name].update(changes)
    else:
        header["é\u202e"] = header.pop(name)


def other_bytes(content: bytes, form: Form, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Files that were cut, or in which bytes were changed, without end."""
    while True:
        if rng.random() < 0.4:
            length = rng.choice([0, 1, 7, 8, 9, rng.randrange(len(content)), len(content) - 1])
            yield f"cut to {length}", content[:length]
        elif rng.random() < 0.3:
            yield "longer", content + rng.randbytes(rng.randrange(1, 99))
        else:
            places = rng.sample(range(len(content)), rng.choice([1, 1, 2, 9]))
            changed = bytearray(content)
            for place in places:
                changed[place] ^= 1 << rng.randrange(8)
            yield f"bits at {places}", bytes(changed)


def files(content: bytes, form: Form, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """`count` mutations of a file: about half of them of single fields, the others of all kinds in turn."""
    rng = random.Random(seed)
    kinds = [each(content, form, rng) for each in (other_fields, other_tensors, other_headers, other_bytes)]
    fields = wrong_types(content, form, rng)
    for index in range(count):
        yield next(fields if index % 2 else kinds[index // 2 % len(kinds)])


def _with_document(content: bytes, form: Form, text: str) -> bytes:
    stored = Stored.of(content)
    stored.metadata[form.document] = text
    form.digest(stored)
    return stored.bytes()
