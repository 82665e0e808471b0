"""Answers as frames: the values and errors of maps as float32, and what maps share (players, pictures) once by a key.

In: a Relation, and the catalog that it was answered over. Out: `AnswerFrame`, a header with arrays and the parts that
it names. May not know: sockets, clients, or which parts a page has already.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...catalog.catalog import Catalog
from ...results.attribution import Attribution
from ...results.pixels import PixelScale, middle_slice, own_scale, pixels, reduced
from ...results.relation import Relation
from ...system.arrays import Array, Floats
from .contents import THUMBNAIL, Payload, payload, shown_kind, source_of
from .messages import Said

MOST_MAPS = 60  # maps of one frame; the others are asked for as small multiples
_MOST_NAMES = 1024  # players of a map whose names are sent
_CELLS = 8  # of a small multiple's heat along each axis


@dataclass(frozen=True, eq=False)
class AnswerFrame:
    """A message with arrays, and the parts, by key, that a page must have before it."""

    header: Said
    arrays: tuple[tuple[str, Array], ...]
    parts: tuple[Payload, ...] = ()


def stage_of(answer: Relation) -> str:
    """How far an answer is: 'coarse' (of fewer players), 'partial' (more rows come) or 'whole'."""
    stage = answer.provenance.get("stage", "whole")
    return stage if isinstance(stage, str) else "whole"


def map_frame(answer: Relation, question: int, catalog: Catalog, text: str) -> AnswerFrame:
    """The first maps of an answer, for the page's stage."""
    maps = list(answer[:MOST_MAPS])
    parts: dict[str, Payload] = {}
    described = [_described(each, catalog, parts) for each in maps]
    lengths = [len(each.values) for each in maps]
    header: Said = {
        "type": "map",
        "question": question,
        "stage": stage_of(answer),
        "text": text,
        "total": len(answer),
        "rows": answer.stats.rows,
        "reused": answer.stats.reused_rows,
        "seconds": answer.stats.seconds,
        "bound": max((each.bound for each in maps), default=None),
        "bound_met": answer.stats.bound_met,
        "maps": described,
    }
    arrays: tuple[tuple[str, Array], ...] = (
        ("values", _joined([each.values for each in maps])),
        ("stderr", _joined([each.stderr for each in maps])),
        ("offsets", np.cumsum([0, *lengths]).astype(np.int32)),
    )
    return AnswerFrame(header, arrays, tuple(parts.values()))


def _joined(arrays: Sequence[Floats]) -> Array:
    with np.errstate(over="ignore"):
        return np.concatenate([*arrays, np.zeros(0)]).astype(np.float32)


def _described(a: Attribution, catalog: Catalog, parts: dict[str, Payload]) -> Said:
    """What a map is, in texts and numbers; its labels and its picture become parts."""
    name, index = source_of(a.input)
    labels, picture = _labels(a), payload(a.kind, a.content, a.feature_names, _scale(catalog, name, a))
    parts.setdefault(labels.key, labels)
    parts.setdefault(
        picture.key, Payload(picture.key, {**picture.header, "input": name, "index": index}, picture.arrays)
    )
    return {
        "model": a.model,
        "input": name,
        "index": index,
        "edited": a.input,
        "layer": a.layer,
        "label": a.label,
        "target": a.target_name,
        "prediction": a.prediction,
        "component": a.component,
        "item": a.item,
        "baseline": a.baseline,
        "method": a.method,
        "unit": a.unit,
        "v_empty": a.base_value,
        "v_full": a.full_value,
        "bound": a.bound,
        "relative_error": a.relative_error,
        "players": len(a.values),
        "labels": labels.key,
        "picture": picture.key,
        "kind": shown_kind(a.kind),
        "probability": None,
        "rank_value": next((value for value, _ in a.scores.values()), None),
        "scores": {name: value for name, (value, _) in a.scores.items()},
    }


def _scale(catalog: Catalog, name: str, a: Attribution) -> PixelScale | None:
    """The scale in which the picture of a map was registered; None where that is not known any more."""
    entry = catalog.visible.get(name)
    return entry.scale if entry is not None and shown_kind(entry.kind) == "image" == shown_kind(a.kind) else None


def _labels(a: Attribution) -> Payload:
    """Which player each feature belongs to; channels that are labelled alike are sent once."""
    players: Array = a.players
    if shown_kind(a.kind) == "image":
        players = middle_slice(players)
        if players.ndim == 3 and (players == players[:1]).all():
            players = players[0]
    names = a.player_names() if len(a.values) <= _MOST_NAMES else None
    digest = hashlib.blake2b(digest_size=12)
    digest.update(f"{players.shape}{names}".encode(errors="surrogatepass"))
    digest.update(np.ascontiguousarray(players).tobytes())
    header: Said = {"type": "labels", "kind": shown_kind(a.kind), "shape": list(players.shape), "names": names}
    return Payload(digest.hexdigest(), header, (("labels", players.astype(np.int32)),))


def multiples(answer: Relation, question: int, catalog: Catalog, first: int, past: int) -> AnswerFrame:
    """The maps first … past − 1 of an answer as small multiples: a thumbnail, a few cells of heat, a line each."""
    maps = list(answer[first:past])
    kind = shown_kind(maps[0].kind) if maps else "image"
    heats = [_heat(each) for each in maps]
    rows, columns = max((each.shape for each in heats), default=(0, 0))
    small = list(_thumbnails(maps, catalog)) if kind == "image" else []
    same = bool(small) and len({each.shape for each in small}) == 1
    rgb = np.stack(small) if same else np.zeros((0, 0, 0, 3), dtype=np.uint8)
    header: Said = {
        "type": "multiples",
        "question": question,
        "from": first,
        "total": len(answer),
        "kind": kind,
        "width": rgb.shape[2],
        "height": rgb.shape[1],
        "rows": rows,
        "columns": columns,
        "items": [_item(each) for each in maps],
    }
    padded = np.zeros((len(maps), rows, columns), dtype=np.float32)
    for number, heat in enumerate(heats):
        padded[number, : heat.shape[0], : heat.shape[1]] = heat
    return AnswerFrame(header, (("rgb", rgb), ("heat", padded)))


def _item(a: Attribution) -> Said:
    name, index = source_of(a.input)
    return {
        "input": name,
        "index": index,
        "label": a.label,
        "model": a.model,
        "layer": a.layer,
        "component": a.component,
        "prediction": a.prediction,
        "target": a.target_name,
        "value": next((value for name, (value, _) in a.scores.items() if name.endswith(")")), None),
        "sum": float(a.values.sum()),
    }


def _thumbnails(maps: Sequence[Attribution], catalog: Catalog) -> Iterator[Array]:
    for a in maps:
        name, _ = source_of(a.input)
        scale = _scale(catalog, name, a) or own_scale(a.content)
        yield reduced(pixels(a.content, scale), THUMBNAIL)


def _heat(a: Attribution) -> Floats:
    """The map of an input in at most 8 × 8 cells, each the sum of its features; of features in a line, in one row."""
    if shown_kind(a.kind) == "image":
        plane: Floats = a.map.sum(axis=tuple(range(a.map.ndim - 2)))
    else:
        plane = a.values.reshape(1, -1)
    for axis in (0, 1):
        length = plane.shape[axis]
        cells = min(length, _CELLS)
        starts = [math.floor(k * length / cells) for k in range(cells)]
        plane = np.add.reduceat(plane, starts, axis=axis) if cells else plane
    return plane
