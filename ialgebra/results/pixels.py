"""Arrays as bytes of pictures, smaller pictures, and files of them.

In: the content of an input, and which numbers are black and white. Out: bytes (h, w, 3), and PNG files, which are made
here, so that no library of pictures is needed. May not know: kinds of inputs, maps.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..system.arrays import Array

PictureBytes: TypeAlias = NDArray[np.uint8]
PixelScale: TypeAlias = tuple[float, float]
"""Which numbers are black and white in a picture."""

MOST_SIDE: Final = 1024
"""Pixels of a picture's longer side; larger ones are thinned."""


def pixels(content: Array, scale: PixelScale) -> PictureBytes:
    """A picture (C, H, W), or the middle slice of a volume (C, D, H, W), as bytes (H, W, 3)."""
    planes = middle_slice(content)
    planes = planes if planes.ndim == 3 else planes.reshape(1, *planes.shape[-2:])
    step = max(1, -(-max(planes.shape[1:]) // MOST_SIDE))
    numbers = planes[:, ::step, ::step].astype(np.float64)
    low, high = scale
    numbers = (np.nan_to_num(numbers, nan=low) - low) / ((high - low) or 1.0)
    shown = np.clip(np.rint(np.clip(numbers, 0.0, 1.0) * 255.0), 0, 255).astype(np.uint8)
    if len(shown) == 4:  # transparency
        shown = shown[:3]
    if len(shown) != 3:
        grey = shown.mean(axis=0).astype(np.uint8)
        shown = np.stack([grey, grey, grey])
    return np.ascontiguousarray(np.moveaxis(shown, 0, -1))


def middle_slice(array: Array) -> Array:
    """Of a volume or a video (C, D, H, W) the slice in the middle (C, H, W); anything else as it is."""
    return array[:, array.shape[1] // 2] if array.ndim == 4 else array


def own_scale(content: Array) -> PixelScale:
    """The scale of a picture that stands alone: from its least number to its greatest."""
    finite = content[np.isfinite(content)] if content.dtype.kind == "f" else content
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def reduced(rgb: PictureBytes, side: int) -> PictureBytes:
    """A picture (H, W, 3) whose longer side has at most `side` pixels, each the mean of those that it stands for."""
    longer = max(rgb.shape[:2])
    if longer <= side:
        return rgb
    high, wide = (max(1, round(size * side / longer)) for size in rgb.shape[:2])
    means = _means(_means(rgb.astype(np.float64), high, 0), wide, 1)
    return np.rint(means).astype(np.uint8)


def _means(values: NDArray[np.float64], count: int, axis: int) -> NDArray[np.float64]:
    """Means over `count` ranges of an axis, which touch or overlap by one and hold all of it."""
    size = values.shape[axis]
    firsts, pasts = np.arange(count) * size // count, -(-(np.arange(count) + 1) * size // count)
    sums = np.concatenate([np.zeros_like(values.take([0], axis)), values.cumsum(axis)], axis)
    shape = [1, 1, 1]
    shape[axis] = count
    means: NDArray[np.float64] = (sums.take(pasts, axis) - sums.take(firsts, axis)) / (pasts - firsts).reshape(shape)
    return means


def png(rgb: PictureBytes) -> bytes:
    """A picture (H, W, 3) as the bytes of a PNG file."""
    high, wide = rgb.shape[:2]
    rows = np.concatenate([np.zeros((high, 1), dtype=np.uint8), rgb.reshape(high, 3 * wide)], axis=1)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", wide, high, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
