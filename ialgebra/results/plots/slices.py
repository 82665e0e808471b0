"""Volumes and videos: slices side by side, each drawn as an image is; the slices themselves beside them.

In: maps of volumes and videos, (channels, depths or frames, rows, cols). Out: the drawing "slices". May not know: other
kinds, or how panels are laid out.
"""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from ...algebra.kinds import kind_named
from ...system.arrays import Floats
from ..shown import ShownMap
from .drawing import Body, Drawing
from .image import bare, centred, coloured, luminous, natural
from .style import Look

SLICES = 12
"""At most so many slices are drawn, at even distances, the first and the last among them."""

_APART = 0.04
"""The space between slices, of the width of one."""

_LEAST, _MOST, _HIGHEST = 1.8, 4.6, 6.0  # inches


def _chosen(a: ShownMap) -> list[int]:
    count = a.map.shape[1]
    return sorted(set(np.linspace(0, count - 1, min(count, SLICES)).round().astype(int).tolist()))


def _across(count: int) -> int:
    return count if count <= 3 else math.ceil(math.sqrt(count))


def _measured(a: ShownMap, room: float) -> Body:
    high, wide = a.map.shape[-2:]
    count = len(_chosen(a))
    across = _across(count)
    down = -(-count // across)
    shape = (down * (1 + _APART) - _APART) * high / wide / (across * (1 + _APART) - _APART)
    width = float(np.clip(room, _LEAST, _MOST))
    width = min(width, _HIGHEST / shape)
    return Body(width, float(max(width * shape, 0.5)))


def _placed(a: ShownMap, ax: Axes, pictures: list[Floats], numbers: list[int]) -> None:
    """Pictures of slices, (H, W, 3), in rows, each with its number."""
    high, wide = a.map.shape[-2:]
    across = _across(len(pictures))
    step_x, step_y = wide * (1 + _APART), high + wide * _APART
    named = kind_named(a.kind).columns[0]
    for place, (picture, number) in enumerate(zip(pictures, numbers, strict=True)):
        row, col = divmod(place, across)
        x, y = col * step_x, row * step_y
        ax.imshow(picture, extent=(x, x + wide, y + high, y), aspect="auto")
        text = ax.text(x + 0.04 * wide, y + 0.04 * high, f"{named} {number}" if not place else str(number))
        text.set(fontsize=7, va="top", color="#15161a", path_effects=[withStroke(linewidth=2, foreground="#ffffffcc")])
    down = -(-len(pictures) // across)
    ax.set_xlim(0, across * step_x - wide * _APART)
    ax.set_ylim(down * step_y - wide * _APART, 0)
    bare(ax)


def _drawn(a: ShownMap, ax: Axes, look: Look, body: Body) -> None:
    chosen = _chosen(a)
    details = centred(luminous(a.content[:, chosen].reshape(len(a.content), -1, a.content.shape[-1])))
    planes = details.reshape(len(chosen), *a.content.shape[-2:])
    pictures = [coloured(plane, a.players[:, k], a, look) for plane, k in zip(planes, chosen, strict=True)]
    _placed(a, ax, pictures, chosen)


def _beside(a: ShownMap, ax: Axes | None) -> bool:
    """The slices as they are; nothing, if they have one value only."""
    if a.content.size == 0 or (a.content == a.content.flat[0]).all():
        return False
    if ax is not None:
        chosen = _chosen(a)
        whole = natural(a.content[:, chosen].reshape(len(a.content), -1, a.content.shape[-1]))
        _placed(a, ax, list(whole.reshape(len(chosen), *a.content.shape[-2:], 3)), chosen)
    return True


MOSAIC = Drawing("slices", side_by_side=4, colour_bar=True, measure=_measured, draw=_drawn, beside=_beside, most=8)
