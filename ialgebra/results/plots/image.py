"""Images: the photo in grey under the colours of its players' values.

In: maps of images. Out: the drawing "photo". May not know: other drawings, or how panels are laid out.

The colour of a player shows its whole value, not its value per pixel, so that the colour bar is in units of the model's
output. Pixels outside the window are faded and outlined.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from ...system.arrays import Array, Floats
from ..shown import ShownMap
from .drawing import Body, Drawing
from .style import COLOURS, INK

WIDTH = 2.6
"""Inches; the height follows from the image's shape."""

LEAST_HEIGHT, MOST_HEIGHT = 0.5, 6.0


def _measured(a: ShownMap) -> Body:
    high, wide = a.map.shape[-2:]
    return Body(WIDTH, float(np.clip(WIDTH * high / wide, LEAST_HEIGHT, MOST_HEIGHT)))


def _drawn(a: ShownMap, ax: Axes, scale: Normalize, body: Body) -> None:
    """The photo in grey, multiplied by the colour of its player's value; faded where no player is."""
    outside = np.all(a.players.reshape(-1, *a.players.shape[-2:]) < 0, axis=0)
    position = np.asarray(scale(_painted(a)))
    contrast = 0.65 - 0.40 * np.abs(2 * position - 1)  # so that a strong colour stays visible on a dark photo
    photo = 1.0 - np.where(outside, 0.25, contrast) * (1.0 - _grey(a.content))
    colour = np.asarray(COLOURS(position))[..., :3]
    ax.imshow(photo[..., None] * colour)
    if outside.any() and not outside.all():
        ax.contour(outside, levels=[0.5], colors=[INK], linewidths=0.7)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)


def _painted(a: ShownMap) -> Floats:
    """For every pixel the sum of its players' values, `(H, W)`. A player of several channels of a pixel counts once."""
    players = a.players.reshape(-1, *a.players.shape[-2:])
    values = np.append(a.values, 0.0)  # index −1, outside the window, reads the last value, 0
    painted = np.zeros(players.shape[1:])
    for channel, labels in enumerate(players):
        painted += np.where((players[:channel] == labels).any(axis=0), 0.0, values[labels])
    return painted


def _grey(content: Array) -> Floats:
    """A photo of any range and number of channels as luminance in [0, 1]; a photo of one value is white. NaN and
    infinities are drawn as 0."""
    channels = content.reshape(-1, *content.shape[-2:]).astype(np.float64)
    channels = np.where(np.isfinite(channels), channels, 0.0)
    channels /= max(1.0, float(np.abs(channels).max()))  # so that differences of huge values are no infinities
    weights = np.array([0.299, 0.587, 0.114]) if len(channels) == 3 else np.full(len(channels), 1 / len(channels))
    grey: Floats = np.tensordot(weights, channels, axes=1)
    low, high = np.percentile(grey, [0.5, 99.5])
    if high <= low:  # a sparse drawing: nearly every pixel is background
        low, high = grey.min(), grey.max()
    return np.clip((grey - low) / (high - low), 0.0, 1.0) if high > low else np.ones_like(grey)


PHOTO = Drawing("photo", side_by_side=4, colour_bar=True, measure=_measured, draw=_drawn)
