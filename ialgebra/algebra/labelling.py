"""Labels: which feature belongs to which player. In: a partition, the input, a window. Out: one integer per feature.

Labels are 0 … d−1 for the players, −1 outside the window. May not know: the catalog (the caller passes in a function
that returns masks), plans, models.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from ..errors import BindError, ShapeError
from .kinds import columns_of, kind_named
from .players import Features, Grid, Labels, Partition, Pixels, Slic, Spans, Tile, Tokens
from .sources import Source


def check_partition(
    partition: Partition, kind: str, shape: tuple[int, ...], mask: Callable[[Source], NDArray[np.generic]]
) -> None:
    """Raise BindError if a partition has no meaning for this kind of input, ShapeError if a mask does not fit."""
    of_kind = kind_named(kind)
    if not isinstance(partition, of_kind.partitions):
        legal = ", ".join(each.__name__.lower() for each in of_kind.partitions if each is not Labels)
        raise BindError(f"players {partition} mean nothing for {of_kind.article}; it has {legal} or a feature mask")
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
) -> NDArray[np.int64]:
    """The players of `content`: integers that broadcast to its shape, consecutive from 0, −1 where `window` is False.

    `mask` fetches a registered feature mask, whose negative numbers are no players: their features get −1, as those
    outside the window. Raises BindError for a partition that has no meaning for this kind of
    input, ShapeError for a feature mask that does not broadcast to the input's shape.
    """
    check_partition(partition, kind, content.shape, mask)
    raw: NDArray[np.int64]
    match partition:
        case Features() | Tokens():
            raw = np.arange(content.size).reshape(content.shape)
        case Pixels():
            raw = np.arange(content.shape[1] * content.shape[2]).reshape(1, *content.shape[1:])
        case Tile(size):
            rows, cols = (np.arange(side) // min(size, side) for side in content.shape[1:])
            raw = (rows[:, None] * (cols[-1] + 1) + cols[None, :])[None]
        case Grid(rows, cols):
            down = _cells(np.asarray(window.any(axis=(0, 2))), rows)
            across = _cells(np.asarray(window.any(axis=(0, 1))), cols)
            raw = (down[:, None] * (across.max() + 1) + across[None, :])[None]
        case Slic(segments):
            raw = _slic(content, min(segments, content.size))[None]
        case Spans(count):
            time = columns_of(kind, content)["time"]
            occupied = np.zeros(time.size, dtype=bool)
            occupied[np.broadcast_to(time, content.shape)[window]] = True
            raw = np.broadcast_to(_cells(occupied, count)[time], content.shape)
        case Labels(source):
            given = mask(source)
            plays = given.astype(np.int64, copy=False) >= 0
            if not plays.all():
                window = window & plays
            raw = np.unique(given, return_inverse=True)[1].reshape(given.shape)
        case _:
            assert_never(partition)
    return _consecutive(raw, window)


def _consecutive(raw: NDArray[np.int64], window: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The non-negative labels `raw`, renumbered 0 … d−1 in their order; −1 outside. One plane if all channels are
    equal."""
    raw = raw.reshape((1,) * (window.ndim - raw.ndim) + raw.shape)
    inside = window
    if window.ndim == 3 and raw.shape[0] == 1:
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
