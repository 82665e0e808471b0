"""Series and signals: each channel as a line, over spans in the colours of its players' values.

In: maps of series. Out: the drawing "course". May not know: other drawings, or how panels are laid out.

Time goes to the right, on the one scale of all channels. Times outside the window are left blank.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from ...algebra.kinds import columns_of
from ...system.arrays import Array, Floats
from ..shown import ShownMap
from . import certainty
from .drawing import Body, Drawing
from .image import members, painted
from .style import LIGHT, Look

CHANNELS = 6
"""A panel draws at most this many channels, those that vary most."""

WIDTH, HEIGHT = 5.6, 1.7


def _measured(a: ShownMap, room: float) -> Body:
    return Body(float(np.clip(room - 0.45, 2.6, WIDTH)), HEIGHT, 0.45, 0.45)


def _drawn(a: ShownMap, ax: Axes, look: Look, body: Body) -> None:
    """The lines of the channels over one span of colour for each run of equal players."""
    content, players = _by_time(a, a.content).astype(np.float64), _by_time(a, a.players).astype(np.int64)
    values = painted(a.values, players.T[:, None, :])[0]
    count = len(content)
    finite = content[np.isfinite(content)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    margin = 0.10 * (high - low) or 1.0
    unsure, unknown = members(certainty.unsure(a), players.T), members(certainty.unknown(a), players.T)
    outside = np.asarray((players < 0).all(axis=1), dtype=np.bool_)
    for first, last in _runs(np.column_stack([values, unsure, unknown, outside])):
        if outside[first]:
            continue
        span = ax.axvspan(first - 0.5, last + 0.5, facecolor=look.colour(values[first]), edgecolor="none", linewidth=0)
        if unsure[first] or unknown[first]:
            span.set_hatch("////" if unsure[first] else "..")
            span.set_edgecolor(
                look.theme.paper if look.theme is LIGHT and abs(values[first]) > 0.3 * look.limit else look.theme.line
            )
    halo = withStroke(linewidth=2.6, foreground=look.theme.paper)  # so that a line stays visible on any colour
    shown = np.argsort(-np.where(np.isfinite(content), content, 0.0).std(axis=0), kind="stable")[:CHANNELS]
    for place, channel in enumerate(sorted(shown.tolist())):
        style = ("-", "--", ":", "-.")[place % 4]
        ax.plot(
            np.arange(count), content[:, channel], linestyle=style, color=look.theme.ink, linewidth=1.1,
            path_effects=[halo], marker="." if count == 1 else "",
        )  # fmt: skip
    ax.set_xlim(-0.5, count - 0.5)
    ax.set_ylim(low - margin, high + margin)
    ax.tick_params(labelsize=7.5, colors=look.theme.faint, length=2)
    ax.locator_params(axis="x", nbins=8, integer=True)
    ax.locator_params(axis="y", nbins=4)
    ax.set_xlabel("time", fontsize=8, color=look.theme.faint, labelpad=1)
    for side in ("right", "top"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(look.theme.line)


def _runs(states: Floats) -> list[tuple[int, int]]:
    """The first and last row of each run of equal rows."""
    starts = np.flatnonzero(np.r_[True, (states[1:] != states[:-1]).any(axis=1)])
    ends = np.r_[starts[1:] - 1, len(states) - 1]
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def _by_time(a: ShownMap, array: Array) -> Array:
    """An array of the input's shape as (time, channels)."""
    columns = columns_of(a.kind, a.content)
    return array.T if columns["time"].shape[1] > 1 or columns["channel"].shape[0] > 1 else array


COURSE = Drawing("course", side_by_side=1, colour_bar=True, measure=_measured, draw=_drawn, most=8)
