"""Partitions: the players that the coalition game is played on. In: a description, the input, a window; out: labels.

`labels` gives one integer a feature: 0 … d−1 for the players, −1 outside the window.
`str(partition)` is the text that a query would use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from ..errors import BindError, ShapeError
from .interning import Node, node
from .sources import Source

Kind = Literal["image", "tabular", "tokens"]


@node
class Pixels(Node):
    """Each pixel is a player, with all its channels."""

    def __str__(self) -> str:
        return "pixels"


@node
class Features(Node):
    """Each feature of a tabular input is a player."""

    def __str__(self) -> str:
        return "features"


@node
class Tokens(Node):
    """Each token is a player."""

    def __str__(self) -> str:
        return "tokens"


@node
class Grid(Node):
    """rows × cols cells over the bounding box of the window: drilling down zooms in."""

    rows: int
    cols: int

    def __str__(self) -> str:
        return f"grid({self.rows}, {self.cols})"


@node
class Tile(Node):
    """Squares of `size` pixels anchored at the origin; a window cuts them and the cut part plays."""

    size: int

    def __str__(self) -> str:
        return f"tile({self.size})"


@node
class Slic(Node):
    """About `segments` superpixels of the input (scikit-image's SLIC)."""

    segments: int

    def __str__(self) -> str:
        return f"slic({self.segments})"


@node
class Labels(Node):
    """An integer feature mask as in Captum, registered as an input: equal numbers are one player."""

    source: Source

    def __str__(self) -> str:
        return self.source.text


Partition = Pixels | Features | Tokens | Grid | Tile | Slic | Labels

_MEANS: dict[Kind, tuple[type[Node], ...]] = {
    "image": (Pixels, Grid, Tile, Slic, Labels),
    "tabular": (Features, Labels),
    "tokens": (Tokens, Labels),
}
_ARTICLES: dict[Kind, str] = {"image": "an image input", "tabular": "a tabular input", "tokens": "a token input"}
_DEFAULT: dict[Kind, Partition] = {"image": Grid(4, 4), "tabular": Features(), "tokens": Tokens()}


def default_partition(kind: Kind) -> Partition:
    """grid(4, 4) for images, features for tabular inputs, tokens for text."""
    return _DEFAULT[kind]


def check_partition(
    partition: Partition, kind: Kind, shape: tuple[int, ...], mask: Callable[[Source], NDArray[np.generic]]
) -> None:
    """Raise BindError where a partition means nothing for this kind of input, ShapeError where a mask does not fit."""
    if not isinstance(partition, _MEANS[kind]):
        legal = ", ".join(each.__name__.lower() for each in _MEANS[kind] if each is not Labels)
        raise BindError(f"players {partition} mean nothing for {_ARTICLES[kind]}; it has {legal} or a feature mask")
    if isinstance(partition, Labels):
        given = mask(partition.source)
        if given.dtype.kind not in "iu":
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
    kind: Kind,
    content: NDArray[np.generic],
    window: NDArray[np.bool_],
    mask: Callable[[Source], NDArray[np.generic]],
) -> NDArray[np.int64]:
    """The players of `content`: integers that broadcast to its shape, consecutive from 0, −1 where `window` is False.

    `mask` fetches a registered feature mask. Raises BindError for a partition that means nothing for this kind of
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
        case Labels(source):
            given = mask(source)
            raw = np.unique(given, return_inverse=True)[1].reshape(given.shape)
        case _:
            assert_never(partition)
    return _consecutive(raw, window)


def _consecutive(raw: NDArray[np.int64], window: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The non-negative labels `raw`, renumbered 0 … d−1 in their order; −1 outside. One plane if channels are alike."""
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
    """The cell of each row (or column) when `count` equal cells lie over the occupied stretch."""
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
        found = slic(scaled, n_segments=segments, start_label=0, channel_axis=-1)
    else:  # SLIC's colour space is for three channels
        found = slic(scaled, n_segments=segments, start_label=0, channel_axis=-1, convert2lab=False)
    return np.asarray(found, dtype=np.int64)
