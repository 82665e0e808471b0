"""Tables: signed bars with 95 % intervals, the largest first, beside the values of the features.

In: maps of tabular inputs; for `bars`, maps of any kind. Out: the drawing "bars". May not know: other drawings, or how
panels are laid out.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from ...system.arrays import Ints
from ..shown import ShownMap
from . import certainty
from .drawing import Body, Drawing
from .style import POINTS, WIDEST, Look, drawable, plain, shortened, signed, ticks, width

BARS = 20
"""A panel shows at most this many players, those with the largest values."""

NAME_LENGTH, NAME_SIZE = 26, 8.5
"""The longest name of a player in characters, and its font size in points."""


UNEXPLAINED = "unexplained"
"""What a map over concepts leaves of f(x) − f(x̄) has a bar of its own."""


def labels(a: ShownMap, shown: Ints) -> list[str]:
    """What stands beside the bars of these players: names, with the value of a feature that plays alone."""
    names = a.player_names()
    cut = shortened([names[player] for player in shown], NAME_LENGTH)
    return [drawable(name + value) for name, value in zip(cut, _values(a, shown), strict=True)]


def _values(a: ShownMap, shown: Ints) -> list[str]:
    """` = 20.3` for each player that is one feature of a table; else nothing."""
    if a.players.ndim != 1 or a.kind != "tabular":
        return [""] * len(shown)
    sizes = np.bincount(a.players[a.players >= 0], minlength=len(a.values))
    first = np.zeros(len(a.values), dtype=np.intp)
    first[a.players[a.players >= 0]] = np.flatnonzero(a.players >= 0)
    return [f" = {_value(a.content[first[p]])}" if sizes[p] == 1 else "" for p in shown]


def _value(value: object) -> str:
    """A value of a feature; a number also where it stands among texts."""
    text = str(value)
    if text in ("", "nan"):
        return "missing"
    try:
        return plain(float(text))
    except ValueError:
        return shortened([text], 18)[0]


def _measured(a: ShownMap, room: float) -> Body:
    shown = largest_first(a)[:BARS]
    widest = max((width(text, NAME_SIZE) for text in labels(a, shown)), default=0.0)
    left = 0.12 + widest / POINTS
    bars = max(1, len(shown)) + (a.unexplained is not None)
    return Body(float(np.clip(room - left, 1.9, 3.0)), 0.23 * bars + 0.1, left, 0.78)


def _drawn(a: ShownMap, ax: Axes, look: Look, body: Body) -> None:
    """Signed bars with 95 % intervals, largest first, and what a map over concepts leaves unexplained; below, from
    where to where they lead, and what is left out."""
    order = largest_first(a)
    shown, rest = order[:BARS], order[BARS:]
    low, high = a.interval()
    y = np.arange(len(shown))
    signs = [look.of_sign(value) for value in a.values[shown]]
    drawn = ax.barh(y, a.values[shown], height=0.68, color=signs)
    mark_bars(drawn.patches, a, shown, look)
    known = np.isfinite(a.stderr[shown]) & (a.stderr[shown] > 0)
    ax.hlines(y[known], low[shown][known], high[shown][known], colors=look.theme.ink, linewidths=1.0)
    names = labels(a, shown)
    if a.unexplained is not None:
        ax.barh(len(shown), a.unexplained, height=0.68, color=look.theme.faint)
        names.append(UNEXPLAINED)
    name_bars(ax, names, look)
    widest = max((abs(float(end)) for side in (low, high) for end in side[shown][known]), default=0.0)
    limit = min(max(1.06 * look.limit, 1.03 * widest, 1.03 * abs(a.unexplained or 0.0)), WIDEST)
    ax.set_xlim(-limit, limit)
    ax.set_ylim(max(len(names), 1) - 0.4, -0.6)
    ax.axvline(0.0, color=look.theme.faint, linewidth=0.8)
    plain_axis(ax, look, limit)
    ax.set_xlabel(look.measure, fontsize=8, color=look.theme.faint, labelpad=2)
    below(ax, f"v(∅) = {plain(a.base_value)}  →  v(N) = {plain(a.full_value)}", -36, look)
    if len(rest):
        total = float(a.values[rest].sum())
        below(ax, f"and {len(rest)} smaller, together {signed(total)}", -48, look)


def largest_first(a: ShownMap) -> Ints:
    """The players in the order of |value|."""
    return np.argsort(-np.abs(a.values), kind="stable")


def mark_bars(patches: object, a: ShownMap, shown: Ints, look: Look) -> None:
    """Stripe the bars of players whose sign is unsure, dot those of unknown error."""
    unsure, unknown = certainty.unsure(a), certainty.unknown(a)
    for patch, player in zip(patches, shown, strict=True):  # type: ignore[call-overload]
        if unsure[player] or unknown[player]:
            patch.set_hatch("//////" if unsure[player] else "...")
            patch.set_edgecolor(look.theme.paper)
            patch.set_linewidth(0.0)


def name_bars(ax: Axes, names: list[str], look: Look) -> None:
    """Names to the left of the bars."""
    ax.set_yticks(np.arange(len(names)), names, fontsize=NAME_SIZE, color=look.theme.ink)
    for label in ax.get_yticklabels():
        label.set_parse_math(False)
    ax.tick_params(axis="y", length=0)


def plain_axis(ax: Axes, look: Look, limit: float | None = None) -> None:
    """A quiet axis below, and no frame."""
    ax.tick_params(axis="x", labelsize=7.5, colors=look.theme.faint, length=2)
    if limit is not None:
        steps = ticks(limit)
        ax.set_xticks(steps, [signed(step) for step in steps])
    for side in ("left", "right", "top"):
        ax.spines[side].set_visible(False)
    ax.spines["bottom"].set_color(look.theme.line)


def below(ax: Axes, text: str, y: float, look: Look) -> None:
    """A line of text below an axis, `y` points from it, at its right end."""
    ax.annotate(
        text, xy=(1.0, 0.0), xycoords="axes fraction", xytext=(0, y), textcoords="offset points", ha="right",
        fontsize=8, color=look.theme.faint,
    )  # fmt: skip


BAR_CHART = Drawing("bars", side_by_side=2, colour_bar=False, measure=_measured, draw=_drawn, most=6)
