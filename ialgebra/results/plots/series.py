"""Series and signals: each channel as a line, over the colours of its players' values.

In: maps of series. Out: the drawing "course". May not know: other drawings, or how panels are laid out.

Time goes to the right, on the one scale of all channels. Times outside the window are left white.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patheffects import withStroke

from ...algebra.kinds import columns_of
from ...system.arrays import Array, Floats
from ..shown import ShownMap
from .drawing import Body, Drawing
from .style import COLOURS, FAINT, INK

CHANNELS = 6
"""A panel draws at most this many channels, those that vary most."""

WIDTH, HEIGHT = 5.2, 1.5

_HALO = withStroke(linewidth=2.4, foreground="white")  # so that a line stays visible on a dark colour


def _measured(a: ShownMap) -> Body:
    return Body(WIDTH, HEIGHT, 0.4, 0.3)


def _drawn(a: ShownMap, ax: Axes, scale: Normalize, body: Body) -> None:
    """The lines of the channels over one strip of colour per time."""
    content, painted = _by_time(a, a.content).astype(np.float64), _painted(a)
    count = len(content)
    finite = content[np.isfinite(content)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    margin = 0.08 * (high - low) or 1.0
    ax.imshow(
        np.asarray(COLOURS(np.asarray(scale(painted))))[None, :, :3],
        extent=(-0.5, count - 0.5, low - margin, high + margin),
        aspect="auto",
        interpolation="nearest",
    )
    shown = np.argsort(-np.nanstd(content, axis=0), kind="stable")[:CHANNELS]
    for place, channel in enumerate(sorted(shown.tolist())):
        style = ("-", "--", ":", "-.")[place % 4]
        ax.plot(np.arange(count), content[:, channel], linestyle=style, color=INK, linewidth=1.0, path_effects=[_HALO])
    ax.set_xlim(-0.5, count - 0.5)
    ax.set_ylim(low - margin, high + margin)
    ax.tick_params(labelsize=7.5, colors=FAINT, length=2)
    ax.locator_params(axis="x", nbins=8, integer=True)
    ax.locator_params(axis="y", nbins=4)
    for side in ("right", "top"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color("#cccccc")


def _by_time(a: ShownMap, array: Array) -> Array:
    """An array of the input's shape as (time, channels)."""
    columns = columns_of(a.kind, a.content)
    return array.T if columns["time"].shape[1] > 1 or columns["channel"].shape[0] > 1 else array


def _painted(a: ShownMap) -> Floats:
    """For every time the sum of its players' values, `(T,)`. A player of several channels of a time counts once."""
    players = _by_time(a, a.players)
    values = np.append(a.values, 0.0)  # index −1, outside the window, reads the last value, 0
    painted = np.zeros(len(players))
    for channel in range(players.shape[1]):
        labels = players[:, channel]
        known = (players[:, :channel] == labels[:, None]).any(axis=1)
        painted += np.where(known, 0.0, values[labels])
    return painted


COURSE = Drawing("course", side_by_side=2, colour_bar=True, measure=_measured, draw=_drawn)
