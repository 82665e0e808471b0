"""Labels: which feature belongs to which player. In: a partition, the input, a window. Out: one integer per feature.

Labels are 0 … d−1 for the players, −1 outside the window. May not know: the catalog (the caller passes in a function
that returns masks), plans, models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from ..errors import BindError, ShapeError, did_you_mean
from .interning import Node
from .kinds import columns_of, kind_named
from .kinds.composite import places
from .kinds.naming import TextNames, members, text_names
from .kinds.tabular import stem_of
from .players import (
    Blocks,
    Features,
    Grid,
    Groups,
    Labels,
    OfConcepts,
    OfParts,
    OnePlayer,
    Partition,
    Parts,
    Pixels,
    Sentences,
    Slic,
    Spans,
    Tile,
    Tokens,
    Words,
)
from .sources import Source

_WRITTEN: dict[type[Node], str] = {Blocks: "grid(depth, rows, cols)", OfParts: "of_parts"}


def check_partition(
    partition: Partition,
    kind: str,
    shape: tuple[int, ...],
    mask: Callable[[Source], NDArray[np.generic]],
    feature_names: Sequence[str] | None = None,
) -> None:
    """Raise BindError if a partition has no meaning for this kind of input, or groups features that have no names or
    others; ShapeError if a mask does not fit."""
    of_kind = kind_named(kind)
    if isinstance(partition, OfConcepts):
        raise BindError(
            "players concepts belong to a model and its dictionary; give them in a query: f(x, players => concepts)"
        )
    if not isinstance(partition, (*of_kind.partitions, OnePlayer)):
        names = [_WRITTEN.get(each, each.__name__.lower()) for each in of_kind.partitions if each is not Labels]
        legal = f"{', '.join(names)} or a feature mask"
        raise BindError(f"players {partition} mean nothing for {of_kind.article}; it has {legal}")
    if isinstance(partition, Groups):
        grouped(partition, feature_names)
    if isinstance(partition, Labels):
        given = mask(partition.source)
        if given.dtype.kind not in "biu":
            raise BindError(f"the feature mask {partition} holds {given.dtype} values; a partition needs integers")
        try:
            fits = np.broadcast_shapes(given.shape, shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(
                f"the feature mask {partition} has shape {given.shape}, the input {shape}; it must broadcast to it"
            )


def labels(
    partition: Partition,
    kind: str,
    content: NDArray[np.generic],
    window: NDArray[np.bool_],
    mask: Callable[[Source], NDArray[np.generic]],
    feature_names: Sequence[str] | TextNames | None = None,
) -> NDArray[np.int64]:
    """The players of `content`: integers that broadcast to its shape, consecutive from 0, −1 where `window` is False.

    `feature_names` are needed for groups, words and sentences. `mask` fetches a registered feature mask, whose
    negative numbers are no players: their features get −1, as those outside the window. Raises BindError for a
    partition that has no meaning for this kind of input, ShapeError for a feature mask that does not broadcast to the
    input's shape.
    """
    listed = None if isinstance(feature_names, TextNames) else feature_names
    check_partition(partition, kind, content.shape, mask, listed)
    raw: NDArray[np.int64]
    match partition:
        case Features() | Tokens():
            raw = np.arange(content.size).reshape(content.shape)
        case OnePlayer():
            raw = np.zeros((1,) * content.ndim, dtype=np.int64)
        case OfConcepts():
            raise AssertionError("a game over attributes is played on codes, whose features are the players")
        case Words() | Sentences():
            raw = _of_text(partition, content, feature_names)
            window = window & (raw >= 0)
        case Pixels():
            raw = np.arange(content[0].size).reshape(1, *content.shape[1:])
        case Tile(size):
            raw = _crossed([np.arange(side) // min(size, side) for side in content.shape[1:]])
        case Grid(rows, cols):
            down = _cells(np.asarray(window.any(axis=(0, 2))), rows)
            raw = _crossed([down, _cells(np.asarray(window.any(axis=(0, 1))), cols)])
        case Blocks(depth, rows, cols):
            along = [(0, 2, 3), (0, 1, 3), (0, 1, 2)]
            counts = zip(along, (depth, rows, cols), strict=True)
            raw = _crossed([_cells(np.asarray(window.any(axis=others)), count) for others, count in counts])
        case Parts() | OfParts():
            raw = _of_parts(partition, kind, content, window, mask)
            window = window & (raw >= 0)
            raw = np.maximum(raw, 0)
        case Slic(segments):
            raw = _slic(content, min(segments, content.size))[None]
        case Spans(count):
            time = columns_of(kind, content)["time"]
            occupied = np.zeros(time.size, dtype=bool)
            occupied[np.broadcast_to(time, content.shape)[window]] = True
            raw = np.broadcast_to(_cells(occupied, count)[time], content.shape)
        case Groups():
            raw = grouped(partition, listed)
        case Labels(source):
            given = mask(source)
            plays = given.astype(np.int64, copy=False) >= 0
            if not plays.all():
                window = window & plays
            raw = np.unique(given, return_inverse=True)[1].reshape(given.shape)
        case _:
            assert_never(partition)
    return _consecutive(raw, window)


def _crossed(cells: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The cell of each place, (1, …), from the cells of its coordinates along each axis."""
    raw = np.zeros((1,) * len(cells), dtype=np.int64)
    for axis, along in enumerate(cells):
        raw = raw * (int(along.max(initial=0)) + 1) + along.reshape([-1 if k == axis else 1 for k in range(len(cells))])
    return raw[None]


def _of_parts(
    partition: Parts | OfParts,
    kind: str,
    content: NDArray[np.generic],
    window: NDArray[np.bool_],
    mask: Callable[[Source], NDArray[np.generic]],
) -> NDArray[np.int64]:
    """The players of a composite (N,), −1 for what rides along."""
    found = np.full(content.size, -1, dtype=np.int64)
    parts, first = kind_named(kind).parts, 0
    for part, where in zip(parts, places(parts), strict=True):
        if part.rides:
            continue
        if isinstance(partition, Parts):
            found[where] = first
        else:
            block, inside = content[where].reshape(part.shape), window[where].reshape(part.shape)
            own = labels(kind_named(part.kind).default_partition, part.kind, block, inside, mask, part.names)
            own = np.broadcast_to(own, part.shape).reshape(-1)
            found[where] = np.where(own >= 0, own + first, -1)
        first = max(first, int(found[where].max(initial=-1)) + 1)
    return found


def grouped(partition: Groups, feature_names: Sequence[str] | None) -> NDArray[np.int64]:
    """The group of each feature (D,), in the order of the features. BindError for a name that is no feature's, nor the
    beginning of some, and for a feature in two groups."""
    if feature_names is None:
        raise BindError(f"{partition} groups features by name; register the input with feature_names, or as a frame")
    number: dict[int, int] = {}
    for group, names in enumerate(partition.groups):
        for name in names:
            own = [place for place, each in enumerate(feature_names) if each == name]
            covered = own or [place for place, each in enumerate(feature_names) if stem_of(each, name)]
            if not covered:
                raise BindError(
                    f"no feature is called '{name}', or begins with '{name}_'{did_you_mean(name, feature_names)}"
                )
            for place in covered:
                if number.setdefault(place, group) != group:
                    raise BindError(f"feature '{feature_names[place]}' is in two groups of {partition}")
    first: dict[object, int] = {}
    raw = [first.setdefault(("group", number[k]) if k in number else k, k) for k in range(len(feature_names))]
    return np.array(raw, dtype=np.int64)


def _of_text(
    partition: Words | Sentences, content: NDArray[np.generic], names: Sequence[str] | TextNames | None
) -> NDArray[np.int64]:
    """The number of each token's word or sentence, −1 for special tokens."""
    if names is None:
        raise BindError(
            f"players {partition} need the names of a text's tokens; register it with tokenizer=, or with feature_names"
        )
    known = names
    if not isinstance(known, TextNames):
        known = text_names(columns_of("tokens", content, names)["token_name"].tolist())
    return members(known, str(partition))


def _consecutive(raw: NDArray[np.int64], window: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The non-negative labels `raw`, renumbered 0 … d−1 in their order; −1 outside. One plane if all channels are
    equal."""
    raw = raw.reshape((1,) * (window.ndim - raw.ndim) + raw.shape)
    inside = window
    if window.ndim >= 3 and raw.shape[0] == 1:
        inside = np.asarray(window.any(axis=0, keepdims=True))
        if window.strides[0] == 0:
            window = inside
    raw = np.broadcast_to(raw, inside.shape)
    present = np.zeros(int(raw.max(initial=0)) + 1, dtype=bool)
    present[raw[inside]] = True
    numbered: NDArray[np.int64] = np.where(window, (np.cumsum(present) - 1)[raw], -1)
    return numbered


def _cells(occupied: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """The cell of each row (or column), if the range from the first to the last occupied one has `count` equal
    cells."""
    where = np.flatnonzero(occupied)
    if where.size == 0:
        return np.zeros(occupied.size, dtype=np.int64)
    first, length = where[0], where[-1] - where[0] + 1
    cells: NDArray[np.int64] = np.clip((np.arange(occupied.size) - first) * min(count, length) // length, 0, count - 1)
    return cells


def _slic(content: NDArray[np.generic], segments: int) -> NDArray[np.int64]:
    try:
        from skimage.segmentation import slic
    except ImportError:
        raise BindError("slic players need scikit-image: pip install 'ialgebra[images]'") from None
    image = np.moveaxis(np.asarray(content, dtype=np.float64), 0, -1)
    low, high = image.min(), image.max()
    scaled = (image - low) / (high - low) if high > low else np.zeros_like(image)
    if scaled.shape[-1] == 3:
        segment = slic(scaled, n_segments=segments, start_label=0, channel_axis=-1)
    else:  # SLIC's colour space needs three channels
        segment = slic(scaled, n_segments=segments, start_label=0, channel_axis=-1, convert2lab=False)
    return np.asarray(segment, dtype=np.int64)
