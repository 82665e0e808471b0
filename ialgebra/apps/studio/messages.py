"""Messages between the page and the server: JSON texts, and binary frames of a JSON header and raw arrays.

In: what came over the socket, or values and arrays. Out: checked requests, or texts and bytes to be sent. No pickle, no
code: numbers and texts only. May not know: sessions, sockets, or what a message means.

A frame is the length of its header (u32, little-endian), the header as JSON, padded with spaces to four bytes, and the
arrays that its `arrays` list, in order, little-endian.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ...errors import IalgebraError, visible
from ...system.arrays import Array

Said: TypeAlias = Mapping[str, object]
"""A message, or a part of one, as JSON's objects have it."""

MOST_BYTES = 256 << 10  # of a message from a page
MOST_LETTERS = 32 << 10  # of a query's text
_CLIENT_NAME = re.compile(r"[A-Za-z0-9_-]{8,64}")
_MOST_DEPTH = 32  # of objects and lists in one another
_DTYPES = {"float32": "<f4", "int32": "<i4", "uint8": "|u1"}


@dataclass(frozen=True)
class PageRequest:
    """One message of a page: its type, its id (None: it wants no answer of its own), and all that it said."""

    type: str
    id: int | None
    said: Said

    def text(self, name: str, default: str | None = None) -> str:
        """A text of the message; IalgebraError if it has none, and there is no default."""
        value = self.said.get(name, default)
        if not isinstance(value, str):
            raise IalgebraError(f"the message '{self.type}' needs a text '{name}'")
        if len(value) > MOST_LETTERS:
            raise IalgebraError(f"'{name}' has {len(value):,} letters; {MOST_LETTERS:,} are the most")
        return value

    def number(self, name: str, default: int, most: int = 2**31) -> int:
        """A whole number from 0 to `most`; IalgebraError for anything else."""
        value = self.said.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise IalgebraError(f"'{name}' of the message '{self.type}' is a whole number from 0 to {most:,}")
        return value

    def mapping(self, name: str) -> Said:
        """An object of the message; IalgebraError if it has none."""
        value = self.said.get(name)
        if not isinstance(value, Mapping):
            raise IalgebraError(f"the message '{self.type}' needs an object '{name}'")
        return value

    @property
    def re(self) -> dict[str, object]:
        """What says of an answer that it is to this message; nothing if the message wants no answer of its own."""
        return {} if self.id is None else {"re": self.id}


def request(raw: str | bytes) -> PageRequest:
    """What a page sent; IalgebraError for what is no message."""
    if isinstance(raw, bytes):
        raise IalgebraError("a page speaks JSON as text; binary messages go the other way only")
    if len(raw) > MOST_BYTES:
        raise IalgebraError(f"a message has at most {MOST_BYTES:,} bytes")
    try:
        said = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as cause:
        raise IalgebraError(f"this is no JSON: {cause}") from None
    if not isinstance(said, dict) or not isinstance(said.get("type"), str):
        raise IalgebraError('a message is an object with a "type"')
    if _depth(said) > _MOST_DEPTH:
        raise IalgebraError(f"a message has at most {_MOST_DEPTH} levels")
    number = said.get("id")
    if number is not None and (isinstance(number, bool) or not isinstance(number, int) or abs(number) > 2**53):
        raise IalgebraError("the id of a message is a whole number")
    return PageRequest(said["type"], number, said)


@dataclass(frozen=True)
class Hello:
    """How a page comes: the name that it gave itself, the state in its address, and the last serial that it saw (0: it
    is fresh)."""

    id: int | None
    client: str
    url: str
    since: int

    @property
    def re(self) -> dict[str, object]:
        """What says of an answer that it is to this message; nothing if the message wants no answer of its own."""
        return {} if self.id is None else {"re": self.id}


def hello(asked: PageRequest) -> Hello:
    """A page's first message; IalgebraError for one that does not say who it is."""
    client = asked.text("client")
    if not _CLIENT_NAME.fullmatch(client):
        raise IalgebraError("a client is named by 8 to 64 letters, digits or dashes")
    return Hello(asked.id, client, asked.text("url", ""), asked.number("since", 0, 2**53))


def _no_constant(word: str) -> object:
    raise ValueError(f"{word} is no number of JSON")


def _depth(value: object) -> int:
    """How many levels of objects and lists there are."""
    level, depth = [value], 0
    while level:
        depth += 1
        inner = (each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list))
        level = [each for several in inner for each in several]
    return depth


def problem(error: BaseException, re: int | None = None) -> dict[str, object]:
    """The message that a request failed: a sentence, and where in the text, counted in characters."""
    span = getattr(error, "span", None) if getattr(error, "text", None) is not None else None
    said = error.message if isinstance(error, IalgebraError) else f"{type(error).__name__}: {error}"
    found: dict[str, object] = {
        "type": "problem",
        "message": visible(said),
        "start": None if span is None else span.start,
        "end": None if span is None else span.end,
    }
    return found if re is None else found | {"re": re}


def json_text(said: Said) -> str:
    """A message as JSON; numbers that are not finite become null."""
    return json.dumps(plain(said), allow_nan=False, separators=(",", ":"))  # ASCII: half a surrogate is legal JSON


def plain(value: object) -> object:
    """A value of texts, numbers and None for JSON."""
    match value:
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case bool() | str() | None:
            return value
        case int() | np.integer():
            return int(value)
        case float() | np.floating():
            return float(value) if math.isfinite(value) else None
    return str(value)


def frame(said: Said, arrays: Sequence[tuple[str, Array]]) -> bytes:
    """A binary frame. Arrays of floats are sent as float32, of whole numbers as int32, of bytes as uint8."""
    packed = [(name, _packed(array)) for name, array in arrays]
    listed = [{"name": name, "dtype": array.dtype.name, "shape": list(array.shape)} for name, array in packed]
    header = json_text({**said, "arrays": listed}).encode()
    header += b" " * (-len(header) % 4)
    raw = (np.ascontiguousarray(array).astype(_DTYPES[array.dtype.name], copy=False).tobytes() for _, array in packed)
    return struct.pack("<I", len(header)) + header + b"".join(raw)


def _packed(array: Array) -> Array:
    kind = array.dtype.kind
    if array.dtype == np.uint8:
        return array
    if kind == "f":
        with np.errstate(over="ignore"):  # what is too large for float32 is infinite there
            return array.astype(np.float32)
    return array.astype(np.int32)


def unframed(raw: bytes) -> tuple[dict[str, object], dict[str, Array]]:
    """The header and the arrays of a frame; ValueError for bytes that are none."""
    (length,) = struct.unpack_from("<I", raw)
    header = json.loads(raw[4 : 4 + length])
    place, arrays = 4 + length, {}
    for each in header["arrays"]:
        count = math.prod(each["shape"])
        array = np.frombuffer(raw, _DTYPES[each["dtype"]], count, place).reshape(each["shape"])
        arrays[each["name"]] = array
        place += array.nbytes
    if place != len(raw):
        raise ValueError(f"a frame of {place} bytes has {len(raw)}")
    return header, arrays
