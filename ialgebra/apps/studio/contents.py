"""Inputs as a page shows them: pictures in bytes, the words of a text, the values of a table, the course of a series.

In: registered inputs, and the contents of maps. Out: payloads of headers and arrays, and thumbnails. A picture keeps
the scale in which it was registered, so that an edit that darkens it is seen. May not know: sessions or sockets.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...algebra.kinds import KINDS, kind_named
from ...algebra.kinds.naming import CONTINUES
from ...algebra.packings.codes import text_of
from ...catalog.catalog import Catalog
from ...catalog.inputs import Element, Entry
from ...results.pixels import PictureBytes, PixelScale, own_scale, pixels, reduced
from ...system.arrays import Array
from .messages import Said

THUMBNAIL = 64  # pixels of a thumbnail's longer side
_MOST_FEATURES = 2048  # tokens, columns or times of one payload
_LETTERS = 160  # of the line that stands for a text or a row of a table
_INNERMOST = re.compile(r'^(?:\w+\()*(?:"(?P<quoted>[^"]+)"|(?P<bare>[^,()\[]+))(?:\[(?P<index>\d+)\])?')


@dataclass(frozen=True, eq=False)
class Payload:
    """What is sent once under a key: a header, and arrays by name."""

    key: str
    header: Said
    arrays: tuple[tuple[str, Array], ...]


def source_of(said: str) -> tuple[str, int | None]:
    """The registered name, and the index in its collection, of an input as a map names it: `blur(xs[3], 9)` is
    ('xs', 3)."""
    found = _INNERMOST.match(said)
    if found is None:
        return said, None
    index = found["index"]
    return (found["quoted"] or found["bare"]).strip(), None if index is None else int(index)


def payload(kind: str, content: Array, names: Sequence[str] | None, scale: PixelScale | None) -> Payload:
    """One input as a page shows it; equal inputs have equal keys."""
    digest = hashlib.blake2b(digest_size=12)
    digest.update(f"{kind}{content.dtype}{content.shape}{names}{scale}".encode(errors="surrogatepass"))
    digest.update(np.ascontiguousarray(content).tobytes())
    key = digest.hexdigest()
    match kind_named(kind).drawing:
        case "photo" | "slices":
            rgb = pixels(content, scale or own_scale(content))
            more: Said = {"type": "picture", "kind": "image", "width": rgb.shape[1], "height": rgb.shape[0]}
            if content.ndim == 4:
                more = {**more, "slice": content.shape[1] // 2, "slices": content.shape[1]}
            return Payload(key, more, (("rgb", rgb),))
        case "passage":
            words = [*map(str, names)] if names is not None else [str(each) for each in content.ravel().tolist()]
            return Payload(key, {"type": "picture", "kind": "tokens", "tokens": words[:_MOST_FEATURES]}, ())
        case "course":
            series = content.T if kind == "signal" else content
            channels = [f"channel {number}" for number in range(series.shape[1])]
            return Payload(
                key, {"type": "picture", "kind": "series", "names": channels}, (("series", series[:_MOST_FEATURES]),)
            )
        case _:
            cells = content.ravel()[:_MOST_FEATURES].tolist()
            named = [*(names or ())][: len(cells)]
            named += [f"feature {number}" for number in range(len(named), len(cells))]
            columns = [{"name": name, "value": cell_value(cell)} for name, cell in zip(named, cells, strict=True)]
            return Payload(key, {"type": "picture", "kind": "table", "columns": columns}, ())


def cell_value(cell: object) -> object:
    """The value of a table's cell: a number where it is one, also written as a text, as maps of mixed tables have it;
    else a text, which a code may stand for."""
    if isinstance(cell, float) and (text := text_of(cell)) is not None:
        return text
    if isinstance(cell, str):
        try:
            return float(cell)
        except ValueError:
            return cell
    return cell


def feature_names(entry: Entry, element: Element) -> Sequence[str] | None:
    """What the features of an element are called; None where they have no names."""
    return element.names.tokens if element.names is not None else entry.feature_names


def thumbnails(catalog: Catalog, name: str, first: int, past: int) -> tuple[dict[str, object], PictureBytes]:
    """The elements first … past − 1 of an input as small pictures (n, h, w, 3), or none and a line of text each.

    BindError for an unknown name.
    """
    entry = catalog.input(name)
    elements = entry.elements[first:past]
    labels = None if entry.labels is None else [str(each) for each in entry.labels[first:past]]
    told: dict[str, object] = {
        "input": name,
        "from": first,
        "total": len(entry.elements),
        "kind": shown_kind(entry.kind),
        "labels": labels,
        "texts": None,
    }
    if shown_kind(entry.kind) != "image":
        told |= {"texts": [line(entry, each) for each in elements], "width": 0, "height": 0}
        return told, np.zeros((0, 0, 0, 3), dtype=np.uint8)
    small = [reduced(pixels(each.array, entry.scale), THUMBNAIL) for each in elements]
    shape = small[0].shape if small else (0, 0, 3)
    rgb = np.stack(small) if small else np.zeros((0, 0, 0, 3), dtype=np.uint8)
    return told | {"width": shape[1], "height": shape[0]}, rgb


def shown_kind(kind: str) -> str:
    """How a page shows inputs of a kind: 'image', 'tokens', 'series' or 'table'."""
    return _SHOWN.get(kind_named(kind).drawing, "table")


_SHOWN: Mapping[str, str] = {"photo": "image", "slices": "image", "passage": "tokens", "course": "series"}


def line(entry: Entry, element: Element) -> str:
    """One element as a line of text."""
    names, cells = feature_names(entry, element), element.array.ravel()[:_LETTERS].tolist()
    if shown_kind(entry.kind) == "tokens":
        words = _sentence(names) if names is not None and len(names) == element.array.size else str(cells)[1:-1]
    elif shown_kind(entry.kind) == "series":
        words = f"{KINDS[entry.kind].name} {entry.shape}"
    else:
        values = [f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in map(cell_value, cells)]
        named = [*(names or ())]
        pairs = [f"{named[k]} = {value}" if k < len(named) else value for k, value in enumerate(values)]
        words = ", ".join(pairs)
    return words if len(words) <= _LETTERS else words[: _LETTERS - 1] + "…"


def _sentence(tokens: Sequence[str]) -> str:
    """Tokens as the text that they came from, but for its white space."""
    parts = [each.removeprefix(CONTINUES) if each.startswith(CONTINUES) else f" {each}" for each in tokens[:_LETTERS]]
    return " ".join("".join(parts).split())
