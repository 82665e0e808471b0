"""Waterfalls: the way from v(∅) to v(N), a step for each player, the largest first.

In: a map of any kind of input. Out: the drawing "waterfall". May not know: other drawings, or how panels are laid out.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from ..shown import ShownMap
from .drawing import Body, Drawing
from .style import POINTS, WIDEST, Look, plain, signed, width
from .tabular import NAME_SIZE, UNEXPLAINED, labels, largest_first, mark_bars, name_bars, plain_axis

STEPS = 14
"""A panel shows at most this many players; the others are one step together."""


def _measured(a: ShownMap, room: float) -> Body:
    shown = largest_first(a)[:STEPS]
    widest = max((width(text, NAME_SIZE) for text in [*labels(a, shown), "together 99 smaller"]), default=0.0)
    left = 0.12 + widest / POINTS
    return Body(float(np.clip(room - left, 2.4, 4.2)), 0.25 * (len(_steps(a)[0]) + 1) + 0.1, left, 0.5)


@np.errstate(over="ignore", invalid="ignore")
def _steps(a: ShownMap) -> tuple[list[str], list[float], int]:
    """Names and sizes of the steps, and how many of them are players of their own."""
    order = largest_first(a)
    shown, rest = order[:STEPS], order[STEPS:]
    names, sizes = labels(a, shown), [float(a.values[player]) for player in shown]
    if len(rest):
        names.append(f"together {len(rest)} smaller")
        sizes.append(float(a.values[rest].sum()))
    gap = a.full_value - a.base_value - float(a.values.sum())
    if abs(gap) > 1e-6 * max(abs(a.full_value), abs(a.base_value), float(np.abs(a.values).sum()), 1e-300):
        names.append("in no player's value")
        sizes.append(gap)
    if a.unexplained is not None:
        names.append(UNEXPLAINED)
        sizes.append(a.unexplained)
    return names, sizes, len(shown)


def _drawn(a: ShownMap, ax: Axes, look: Look, body: Body) -> None:
    """Each bar begins where the one above it ends; the first at v(∅), and the last ends at v(N); of a map over concepts
    the last one is what f makes of the input, less what its attributes explain."""
    names, sizes, own = _steps(a)
    ends = np.clip(a.base_value + np.cumsum([0.0, *sizes]), -WIDEST, WIDEST)
    starts, y = ends[:-1], np.arange(len(sizes))
    colours = [look.of_sign(size) for size in sizes]
    bars = ax.barh(y, np.diff(ends), left=starts, height=0.62, color=colours)
    shown = largest_first(a)[:own]
    mark_bars(bars.patches[:own], a, shown, look)
    reached = a.stderr[shown] * 1.96
    known = np.isfinite(reached) & (reached > 0)
    ax.hlines(
        y[:own][known], (ends[1 : own + 1] - reached)[known], (ends[1 : own + 1] + reached)[known],
        colors=look.theme.ink, linewidths=1.0,
    )  # fmt: skip
    low, high = float(ends.min()), float(ends.max())
    reach = (high - low) or max(abs(high), 1.0)
    for step, size in enumerate(sizes):
        ax.plot([ends[step + 1]] * 2, [step - 0.31, step + 1.31], color=look.theme.line, linewidth=0.8, zorder=0)
        right = max(starts[step], ends[step + 1])
        if step < own and known[step]:  # beside the interval, if it reaches further
            right = max(right, ends[step + 1] + reached[step])
        ax.annotate(
            signed(size), xy=(right, step), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8,
            color=look.theme.ink,
        )  # fmt: skip
    name_bars(ax, names, look)
    ax.set_xlim(low - 0.08 * reach, high + 0.18 * reach)
    ax.set_ylim(len(sizes) + 0.4, -0.9)
    last = "v(N)" if a.unexplained is None else "v(∅) + f(x) − f(x̄)"
    reached_value = a.full_value + (a.unexplained or 0.0)
    for value, text, top in ((a.base_value, "v(∅)", -0.62), (float(ends[-1]), last, len(sizes) + 0.1)):
        ax.axvline(value, color=look.theme.faint, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        ax.annotate(
            f"{text} = {plain(a.base_value if top < 0 else reached_value)}", xy=(value, top), xytext=(4, 0),
            textcoords="offset points", va="center", fontsize=8, color=look.theme.faint,
            bbox={"facecolor": look.theme.paper, "edgecolor": "none", "pad": 0.8},
        )  # fmt: skip
    plain_axis(ax, look)
    ax.locator_params(axis="x", nbins=5)
    ax.set_xlabel(f"score, in {look.unit}" if look.unit else "score", fontsize=8, color=look.theme.faint, labelpad=2)


WATERFALL = Drawing("waterfall", side_by_side=1, colour_bar=False, measure=_measured, draw=_drawn, most=4)
