"""Tables: signed bars with 95 % intervals, the largest first.

In: maps of tabular inputs. Out: the drawing "bars". May not know: other drawings, or how panels are laid
out.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from ...system.arrays import Ints
from ..shown import ShownMap
from .drawing import Body, Drawing
from .style import COLOURS, FAINT, INK, POINTS, WIDEST, cut, drawable, width

BARS = 20
"""A panel shows at most this many players, those with the largest values."""

NAME_LENGTH, NAME_SIZE = 28, 8.5
"""The longest name of a player in characters, and its font size in points."""


def _measured(a: ShownMap) -> Body:
    names = a.player_names()
    shown = _largest_first(a)[:BARS]
    widest = max((width(cut(names[player], NAME_LENGTH), NAME_SIZE) for player in shown), default=0.0)
    return Body(2.8, 0.23 * max(1, len(shown)) + 0.1, 0.12 + widest / POINTS, 0.62 if len(names) > BARS else 0.45)


def _drawn(a: ShownMap, ax: Axes, scale: Normalize, body: Body) -> None:
    """Signed bars with 95 % intervals, largest first; one line below gives the sum of the players that do not fit."""
    order = _largest_first(a)
    shown, rest = order[:BARS], order[BARS:]
    low, high = a.interval()
    names = a.player_names()
    y = np.arange(len(shown))
    ax.barh(y, a.values[shown], height=0.68, color=[COLOURS(0.86 if value > 0 else 0.14) for value in a.values[shown]])
    known = np.isfinite(a.stderr[shown]) & (a.stderr[shown] > 0)
    ax.hlines(y[known], low[shown][known], high[shown][known], colors=INK, linewidths=1.0)
    ax.set_yticks(y, [drawable(cut(names[player], NAME_LENGTH)) for player in shown], fontsize=NAME_SIZE, color=INK)
    for label in ax.get_yticklabels():
        label.set_parse_math(False)
    reach = 1.06 * max(abs(float(scale.vmin or 0.0)), abs(float(scale.vmax or 0.0)))
    widest = max((abs(float(end)) for side in (low, high) for end in side[shown][known]), default=0.0)
    limit = min(max(reach, 1.03 * widest), WIDEST)
    ax.set_xlim(-limit, limit)
    ax.set_ylim(max(len(shown), 1) - 0.4, -0.6)
    ax.axvline(0.0, color=FAINT, linewidth=0.8)
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=7.5, colors=FAINT, length=2)
    ax.locator_params(axis="x", nbins=5)
    for side in ("left", "right", "top"):
        ax.spines[side].set_visible(False)
    ax.spines["bottom"].set_color("#cccccc")
    ax.set_xlabel("contribution to the target", fontsize=8, color=FAINT, labelpad=2)
    if len(rest):
        total = float(a.values[rest].sum())
        ax.annotate(
            f"and {len(rest)} smaller, together {total:+.2g}".replace("-", "−"),
            xy=(1.0, 0.0), xycoords="axes fraction", xytext=(0, -36), textcoords="offset points",
            ha="right", fontsize=8, color=FAINT,
        )  # fmt: skip


def _largest_first(a: ShownMap) -> Ints:
    return np.argsort(-np.abs(a.values), kind="stable")


BAR_CHART = Drawing("bars", side_by_side=2, colour_bar=False, measure=_measured, draw=_drawn)
