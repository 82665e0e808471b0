"""Images: a grey copy of the photo, of even lightness, under the colours of its players' values; the photo beside it.

In: maps of images. Out: the drawing "photo", and the functions that volumes draw their slices with. May not know: other
drawings, or how panels are laid out.

The colour of a player shows its whole value, not its value per pixel, so that the colour bar is in units of the model's
output. Colours multiply the grey copy: zero is that copy, on dark and on bright photos, and details show through the
strongest colour. Players whose sign is unsure are striped, those of unknown error dotted; what lies outside the window
is faded and outlined.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ...system.arrays import Array, Floats
from ..shown import ShownMap
from . import certainty
from .drawing import Body, Drawing
from .style import LIGHT, Look, dots, stripes

LEAST_WIDTH, MOST_WIDTH = 1.2, 2.9
LEAST_HEIGHT, MOST_HEIGHT = 0.5, 6.0

_FINE, _COARSE = 440, 1100
"""Pixels: a small picture is enlarged to the first, so that stripes are fine; one larger than the second is thinned."""

_STRIPES, _DOTS = 30, 26
"""How many stripes, and how many dots, there are along the longer side."""

_T = TypeVar("_T", bound=np.generic)

_FLATTENED_FROM = 64
"""Pixels: the lightness of smaller pictures, such as digits, is not evened out; its usual value is the middle."""


def _measured(a: ShownMap, room: float) -> Body:
    high, wide = a.map.shape[-2:]
    width = float(np.clip(room, LEAST_WIDTH, MOST_WIDTH))
    return Body(width, float(np.clip(width * high / wide, LEAST_HEIGHT, MOST_HEIGHT)))


def _drawn(a: ShownMap, ax: Axes, look: Look, body: Body) -> None:
    step = max(1, -(-max(a.map.shape[-2:]) // _COARSE))
    players = a.players.reshape(-1, *a.players.shape[-2:])[:, ::step, ::step]
    content = a.content.reshape(-1, *a.content.shape[-2:])[:, ::step, ::step]
    high, wide = players.shape[1:]
    picture = coloured(flattened(content), players, a, look)
    ax.imshow(picture, extent=(-0.5, wide - 0.5, high - 0.5, -0.5), aspect="auto")
    outside = np.all(players < 0, axis=0)
    if outside.any() and not outside.all():
        ax.contour(outside, levels=[0.5], colors=[look.theme.ink], linewidths=0.8)
    bare(ax)


def bare(ax: Axes) -> None:
    """Axes without ticks and frame."""
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)


def coloured(details: Floats, players: NDArray[np.int64], a: ShownMap, look: Look) -> Floats:
    """One plane in colours, `(H, W, 3)` in [0, 1], enlarged: the `details` of a photo, `(H, W)` in [0, 1], under the
    values of `players`, `(C, H, W)`, of the map `a`."""
    enlarged = max(1, -(-_FINE // max(players.shape[1:])))

    def larger(array: NDArray[_T]) -> NDArray[_T]:
        return array.repeat(enlarged, axis=0).repeat(enlarged, axis=1)

    detail = larger(details)
    colour = larger(np.asarray(look.colours(np.asarray(look.scale(painted(a.values, players)))))[..., :3])
    neutral = np.asarray(look.colours(0.5))[:3]
    shape = (detail.shape[0], detail.shape[1])
    longer = max(shape)
    low, high = look.theme.grey
    factor = low + (high - low) * detail
    striped = larger(members(certainty.unsure(a), players))
    if striped.any():
        on = stripes(shape, longer / _STRIPES)
        between = (striped * (1.0 - on))[..., None]
        colour = colour + between * (neutral - colour)
        factor = factor * (1.0 + (-0.09 if look.theme is LIGHT else 0.30) * striped * on)
    picture: Floats = np.clip(factor[..., None] * colour, 0.0, 1.0)
    dotted = larger(members(certainty.unknown(a), players))
    if dotted.any():
        over = (0.6 * dotted * dots(shape, longer / _DOTS))[..., None]
        picture = picture + over * (np.asarray(_INK_DOT if look.theme is LIGHT else _PAPER_DOT) - picture)
    outside = larger(np.all(players < 0, axis=0))
    if outside.any():
        paper = 0.93 + 0.07 * detail if look.theme is LIGHT else 0.10 + 0.05 * detail
        picture = np.where(outside[..., None], paper[..., None], picture)
    return picture


_INK_DOT, _PAPER_DOT = (0.12, 0.12, 0.14), (0.95, 0.95, 0.93)


def members(which: NDArray[np.bool_], players: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The places that one of these players has; `players` has channels first, which are left out of the result."""
    return np.asarray(np.append(which, False)[players].any(axis=0), dtype=np.bool_)


def painted(values: Floats, players: NDArray[np.int64]) -> Floats:
    """For every pixel the sum of its players' values, `(H, W)`. A player of several channels of a pixel counts once."""
    known = np.append(values, 0.0)  # index −1, outside the window, reads the last value, 0
    sums = np.zeros(players.shape[1:])
    for channel, labels in enumerate(players):
        sums += np.where((players[:channel] == labels).any(axis=0), 0.0, known[labels])
    return sums


def flattened(content: Array) -> Floats:
    """The details of a photo without its light and shade, `(H, W)` in [0, 1]: dark and bright parts get one
    lightness."""
    grey = luminous(content)
    if min(grey.shape) < _FLATTENED_FROM or not np.ptp(grey):
        return centred(grey)
    reach = max(grey.shape) // 12
    apart = grey - _blurred(grey, reach)
    spread = np.sqrt(_blurred(apart * apart, reach))
    usual = float(np.sqrt((apart * apart).mean()))
    details = 0.5 + apart / (3.4 * (0.75 * spread + 0.4 * usual + 1e-9))
    even: Floats = np.clip(0.75 * details + 0.25 * grey, 0.0, 1.0)
    return even


def centred(grey: Floats) -> Floats:
    """Luminances moved so that the usual one is the middle, as of the paper behind a digit; a single one is white."""
    if not np.ptp(grey):
        return grey
    moved: Floats = np.clip(0.5 + 0.7 * (grey - float(np.median(grey))), 0.0, 1.0)
    return moved


def _blurred(array: Floats, reach: int) -> Floats:
    """The array blurred by three passes of a moving mean along each axis, which is close to a Gaussian."""
    for axis in (0, 1):
        for _ in range(3):
            array = _moving_mean(array, reach // 2 + 1, axis)
    return array


def _moving_mean(array: Floats, reach: int, axis: int) -> Floats:
    reach = min(reach, array.shape[axis] - 1)
    pad = [(0, 0), (0, 0)]
    pad[axis] = (reach + 1, reach)
    sums = np.cumsum(np.pad(array, pad, mode="reflect" if reach + 1 < array.shape[axis] else "edge"), axis=axis)
    length = array.shape[axis]
    window = 2 * reach + 1
    later = np.take(sums, range(window, window + length), axis=axis)
    found: Floats = (later - np.take(sums, range(length), axis=axis)) / window
    return found


def luminous(content: Array) -> Floats:
    """A photo of any range and number of channels as luminance in [0, 1]; a photo of one value is white. NaN and
    infinities are drawn as 0."""
    channels = _finite(content)
    weights = np.array([0.299, 0.587, 0.114]) if len(channels) == 3 else np.full(len(channels), 1 / len(channels))
    grey: Floats = np.tensordot(weights, channels, axes=1)
    low, high = np.percentile(grey, [0.5, 99.5])
    if high <= low:  # a sparse drawing: nearly every pixel is background
        low, high = grey.min(), grey.max()
    return np.clip((grey - low) / (high - low), 0.0, 1.0) if high > low else np.ones_like(grey)


def natural(content: Array) -> Floats:
    """A photo `(C, H, W)` of any range as it looks, `(H, W, 3)` in [0, 1]; in grey unless it has three channels."""
    channels = _finite(content)
    if len(channels) != 3:
        return np.repeat(luminous(content)[..., None], 3, axis=2)
    low, high = channels.min(), channels.max()
    seen: Floats = np.moveaxis((channels - low) / ((high - low) or 1.0), 0, -1)
    return seen


def _finite(content: Array) -> Floats:
    channels = content.reshape(-1, *content.shape[-2:]).astype(np.float64)
    channels = np.where(np.isfinite(channels), channels, 0.0)
    return channels / max(1.0, float(np.abs(channels).max()))  # so that differences of huge values are no infinities


def _beside(a: ShownMap, ax: Axes | None) -> bool:
    """The photo as it is; nothing, if it has one value only."""
    if a.content.size == 0 or (a.content == a.content.flat[0]).all():
        return False
    if ax is not None:
        step = max(1, -(-max(a.map.shape[-2:]) // _COARSE))
        ax.imshow(natural(a.content)[::step, ::step], aspect="auto")
        bare(ax)
    return True


PHOTO = Drawing("photo", side_by_side=6, colour_bar=True, measure=_measured, draw=_drawn, beside=_beside)
