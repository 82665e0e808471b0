"""Many maps in one picture: importance, beeswarm and dependence; each says what it leaves out.

In: the columns of maps whose players have the same names, at least in part. Out: drawn axes and pictures. May not know:
plans, models.

However many maps there are, a picture has a few axes, at most `FEATURES` players and `POINTS_DRAWN` maps' points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ...system.arrays import Floats
from .. import importance as sums
from ..columns import MapColumns
from .figure import body_of
from .picture import Picture
from .style import (
    DARK,
    POINTS,
    WIDEST,
    Look,
    Theme,
    common_unit,
    current_theme,
    drawable,
    fit,
    look,
    plain,
    shortened,
    width,
)
from .tabular import NAME_LENGTH, NAME_SIZE, name_bars, plain_axis

FEATURES = 20
"""The most players of a picture."""

POINTS_DRAWN = 2000
"""The most maps whose points are drawn."""

DEPENDENCES = 6
"""The most features whose dependence is drawn."""

NAMED_VALUES = 12
"""The most values of a feature that an axis names, of those that are texts."""

_MARGIN, _TITLE, _BELOW, _ROW = 0.12, 0.5, 0.62, 0.25  # inches


def bar(maps: MapColumns, ax: Axes, style: Look) -> str:
    """Mean |φ| of each player with its 95 % interval; returns what is left out."""
    found = _means(_within_axes(sums.played(maps)), len(maps))
    shown = min(FEATURES, len(found.size))
    y = np.arange(shown)
    ax.barh(y, found.size[:shown], height=0.68, color=_bar_colour(style))
    reach = 1.96 * found.stderr[:shown]
    known = np.isfinite(reach) & (reach > 0)
    low = np.maximum(found.size[:shown] - reach, 0.0)
    ax.hlines(y[known], low[known], (found.size[:shown] + reach)[known], colors=style.theme.ink, linewidths=1.0)
    for row in np.flatnonzero(~np.isfinite(reach)):
        ax.annotate("error unknown", xy=(found.size[row], row), xytext=(4, 0), textcoords="offset points", va="center",
                    fontsize=7.5, color=style.theme.warn)  # fmt: skip
    _rows(ax, found.named(slice(shown)), style)
    ax.set_xlim(0.0, 1.06 * max([*(found.size[:shown] + np.where(known, reach, 0.0)), 1e-300]))
    ax.set_xlabel(
        f"mean |contribution|, in {style.unit}" if style.unit else "mean |contribution|",
        fontsize=8,
        color=style.theme.faint,
        labelpad=2,
    )
    left = found.size[shown:]
    return f"{len(left)} smaller players, together {plain(float(left.sum()))}" if len(left) else ""


def beeswarm(maps: MapColumns, ax: Axes, style: Look) -> str:
    """A point for each map and player, at its value, in the colour of the feature's own value; pale where the sign is
    unsure. Returns what is left out."""
    chosen = _thinned(maps)
    table = _within_axes(sums.played(chosen))
    order = _means(table, len(chosen)).name
    shown = order[:FEATURES].tolist()
    every, errors = table.dense(shown, len(chosen))
    contents = _contents(chosen, table, shown)
    for row in range(len(shown)):
        values = every[:, row]
        present = np.isfinite(values)
        sure = np.abs(values) > 1.96 * errors[:, row]
        height = _swarm(values[present])
        ax.scatter(
            values[present], row + height, s=9, linewidths=0,
            c=_ranked_colours(contents[:, row][present], style, sure[present]),
        )  # fmt: skip
    _rows(ax, [table.names[number] for number in shown], style)
    ax.axvline(0.0, color=style.theme.faint, linewidth=0.8, zorder=0)
    ax.set_xlabel(style.measure, fontsize=8, color=style.theme.faint, labelpad=2)
    _bar_of_values(ax, style)
    said = [f"points of {len(chosen):,} of {len(maps):,} maps"] if len(chosen) < len(maps) else []
    said += [f"{len(order) - len(shown)} smaller players are left out"] if len(order) > len(shown) else []
    said += ["pale points: sign unsure at 95 %"] if _any_unsure(table) else []
    return "; ".join(said)


def _bar_of_values(ax: Axes, style: Look) -> None:
    """A bar beside the points that says which colour is a low value of a feature, and which a high one."""
    place = ax.inset_axes((1.03, 0.0, 0.02, 1.0))
    made = ax.figure.colorbar(ScalarMappable(Normalize(0, 1), style.colours), cax=place)
    made.outline.set_visible(False)
    made.set_ticks([0.02, 0.98], labels=["low", "high"])
    place.tick_params(labelsize=8, colors=style.theme.ink, length=0)
    place.set_label("<colorbar>")
    place.annotate(
        "value of the feature", xy=(1.0, 0.5), xycoords="axes fraction", xytext=(8, 0), textcoords="offset points",
        rotation=90, va="center", fontsize=8, color=style.theme.faint,
    )  # fmt: skip


def dependence(maps: MapColumns, axes: Sequence[Axes], style: Look) -> str:
    """For each of the players that matter most, its contribution over the value of its feature, with 95 % intervals; a
    missing value stands left of all others."""
    chosen = _thinned(maps)
    table = _within_axes(sums.played(chosen))
    order = _means(table, len(chosen)).name
    drawn = order[: len(axes)].tolist()
    every, errors = table.dense(drawn, len(chosen))
    contents = _contents(chosen, table, drawn)
    for k, (ax, number) in enumerate(zip(axes, drawn, strict=False)):
        values, stderr = every[:, k], errors[:, k]
        present = np.isfinite(values)
        x, names = _positions(contents[:, k][present])
        reach = np.where(np.isfinite(stderr[present]), 1.96 * stderr[present], 0.0)
        ax.vlines(x, values[present] - reach, values[present] + reach, colors=style.theme.line, linewidths=0.8)
        ax.scatter(x, values[present], s=10, linewidths=0, color=_bar_colour(style))
        ax.axhline(0.0, color=style.theme.faint, linewidth=0.7, zorder=0)
        low, high = min(float(values[present].min()), 0.0), max(float(values[present].max()), 0.0)
        ax.set_ylim(low - 0.25 * (high - low or 1.0), high + 0.25 * (high - low or 1.0))  # long intervals are cut
        plain_axis(ax, style)
        ax.tick_params(labelsize=7.5, colors=style.theme.faint, length=2)
        if names is None:
            ax.locator_params(axis="x", nbins=4)
        else:
            step = -(-len(names) // NAMED_VALUES)
            ax.set_xticks(range(0, len(names), step), [drawable(each) for each in shortened(names[::step], 10)])
        ax.locator_params(axis="y", nbins=4)
        room = body_of(ax).width * POINTS
        ax.set_title(
            fit(table.names[number], 9.0, room), fontsize=9.0, color=style.theme.ink, loc="left", parse_math=False
        )
    left = len(order) - len(axes)
    said = [f"{left} smaller players are left out"] if left > 0 else []
    said += [f"points of {len(chosen):,} of {len(maps):,} maps"] if len(chosen) < len(maps) else []
    return "; ".join(said)


ON_ONE_AXIS: Final[dict[str, Callable[[MapColumns, Axes, Look], str]]] = {"bar": bar, "beeswarm": beeswarm}


def picture(maps: MapColumns, kind: str, cmap: str | Colormap | None, theme: Theme | None = None) -> Picture:
    """One picture of all maps; `kind` is bar, beeswarm or dependence. `theme`: by default that of matplotlib."""
    made = Picture()
    made.alt = draw_into(made, maps, kind, cmap, theme)
    return made


def draw_into(
    made: Figure, maps: MapColumns, kind: str, cmap: str | Colormap | None, theme: Theme | None = None
) -> str:
    """Draw all maps into a figure, which is resized; returns what it shows in words."""
    theme = theme or current_theme()
    style = summary_look(maps, kind, cmap, theme)
    made.set_facecolor(theme.paper)
    of = maps if kind == "bar" else _thinned(maps)
    names = _means(sums.played(of), len(of)).named(slice(FEATURES))  # the largest, which are drawn
    if kind == "dependence":
        count = min(DEPENDENCES, len(names))
        across = min(3, count)
        wide, high = 0.25 + 3.0 * across, _TITLE + 2.3 * -(-count // across) + 0.4
        made.set_size_inches(wide, high)
        axes = [
            made.add_axes(
                (
                    (0.55 + 3.0 * (k % across)) / wide,
                    (high - _TITLE - 2.3 * (k // across) - 1.95) / high,
                    2.3 / wide,
                    1.6 / high,
                ),
                facecolor="none",
            )
            for k in range(count)
        ]
        left = dependence(maps, axes, style)
    else:
        widest = max((width(drawable(name), NAME_SIZE) for name in shortened(names, NAME_LENGTH)), default=0.0)
        side = _MARGIN + 0.12 + widest / POINTS
        after = 0.95 if kind == "beeswarm" else 0.35
        wide, high = side + 4.6 + after, _TITLE + _ROW * len(names) + 0.1 + _BELOW
        made.set_size_inches(wide, high)
        height = _ROW * len(names) + 0.1
        ax = made.add_axes((side / wide, _BELOW / high, 4.6 / wide, height / high), facecolor="none")
        left = ON_ONE_AXIS[kind](maps, ax, style)
    headline = title(maps, kind)
    room = (wide - 2 * _MARGIN) * POINTS
    made.text(
        _MARGIN / wide,
        1 - 0.2 / high,
        fit(headline, 10.0, room),
        fontsize=10,
        color=theme.ink,
        va="center",
        parse_math=False,
    )
    if left:
        made.text(_MARGIN / wide, 0.1 / high, fit(left, 8.0, room), fontsize=8, color=theme.faint, parse_math=False)
    return "; ".join([headline, *([left] if left else []), *_leaders(maps)])


def summary_look(maps: MapColumns, kind: str, cmap: str | Colormap | None, theme: Theme) -> Look:
    """The look of a summary: its colours are those of the features' values."""
    values = cmap if cmap is not None or kind != "beeswarm" else (_LOW_TO_HIGH_DARK if theme is DARK else _LOW_TO_HIGH)
    return look(1.0, values, theme, common_unit(maps.unit.compact.table))


def title(maps: MapColumns, kind: str) -> str:
    """What a summary is of."""
    targets, _ = sums.grouped(maps, "target")
    of = ", ".join(targets[:3]) + (f" and {len(targets) - 3} more" if len(targets) > 3 else "")
    what = {"bar": "importance", "beeswarm": "contributions", "dependence": "contribution over value"}[kind]
    return f"{what} in {len(maps):,} map{'s' if len(maps) > 1 else ''} of {of}"


def _leaders(maps: MapColumns) -> list[str]:
    """The most important players, for the text that stands for the picture."""
    found = sums.means(maps).largest_first
    return [f"{name} {plain(float(size))}" for name, size in zip(found.named(slice(5)), found.size, strict=False)]


_REACH = WIDEST / 100
"""The largest value on an axis of a summary, which has room beside it."""


def _within_axes(table: sums.PlayedNames) -> sums.PlayedNames:
    """The same with huge values, whose axes would be infinite, at the end of what can be drawn."""
    stderr = np.where(np.isinf(table.stderr), np.inf, np.minimum(table.stderr, _REACH))
    return replace(table, values=np.clip(table.values, -_REACH, _REACH), stderr=stderr)


def _means(table: sums.PlayedNames, maps: int) -> sums.PlayerMeans:
    """The means of all maps together, the largest first."""
    return sums.means_of(table, ("",), np.zeros(maps, dtype=np.int64)).largest_first


_LOW_TO_HIGH = LinearSegmentedColormap.from_list("low to high", ["#f0a92e", "#b0567f", "#452a86"])
_LOW_TO_HIGH_DARK = LinearSegmentedColormap.from_list("low to high dark", ["#7d6ff0", "#d77aa8", "#ffd166"])


def _bar_colour(style: Look) -> str:
    return "#8fa3c8" if style.theme is DARK else "#51658f"


def _rows(ax: Axes, names: Sequence[str], style: Look) -> None:
    name_bars(ax, [drawable(name) for name in shortened(list(names), NAME_LENGTH)], style)
    ax.set_ylim(max(len(names), 1) - 0.4, -0.6)
    plain_axis(ax, style)
    ax.locator_params(axis="x", nbins=5)


def _thinned(maps: MapColumns) -> MapColumns:
    """At most POINTS_DRAWN of the maps, evenly."""
    if len(maps) <= POINTS_DRAWN:
        return maps
    return maps.taken(np.linspace(0, len(maps) - 1, POINTS_DRAWN).round().astype(np.int64))


def _contents(maps: MapColumns, table: sums.PlayedNames, shown: Sequence[int]) -> NDArray[np.object_]:
    """The value of the feature of each of some players in every map that has all players, `(n, shown)`; None for a
    player of several features."""
    found = np.full((len(maps), len(shown)), None, dtype=object)
    for entry, names in enumerate(maps.names.table):
        rows = np.flatnonzero(maps.names.codes == entry)
        players = maps.players[int(rows[0])].whole
        if len(names) != len(table.names) or players.ndim != 1:
            continue
        features = [np.flatnonzero(players == names.index(table.names[number])) for number in shown]
        alone = np.array([k for k, each in enumerate(features) if len(each) == 1], dtype=np.int64)
        contents = np.stack([maps.content[row].astype(object) for row in rows.tolist()])
        found[np.ix_(rows, alone)] = contents[:, [int(features[k][0]) for k in alone.tolist()]]
    return found


def _numbers(contents: NDArray[np.object_]) -> Floats | None:
    """The values as numbers, also where they are written as texts, NaN where they are missing; None if one of them is
    no number, or if all are missing."""
    try:
        found = np.array([float(str(value) or "nan") for value in contents], dtype=np.float64)
    except ValueError:
        return None
    return None if np.isnan(found).all() else found


def _ranked_colours(contents: NDArray[np.object_], style: Look, sure: NDArray[np.bool_]) -> Floats:
    """A colour for each value by its rank, `(n, 4)`; grey for what is no number, or missing."""
    numbers = _numbers(contents)
    colours = np.tile([0.55, 0.57, 0.62, 1.0], (len(contents), 1))
    if numbers is not None:
        present = np.isfinite(numbers)
        _, place = np.unique(numbers[present], return_inverse=True)
        colours[present] = np.asarray(style.colours(place / max(int(place.max(initial=0)), 1)))
    colours[:, 3] = np.where(sure, 0.9, 0.3)
    return colours


def _positions(contents: NDArray[np.object_]) -> tuple[Floats, list[str] | None]:
    """Where values stand on an axis: numbers as they are, missing ones left of all, others in the order of their
    texts."""
    numbers = _numbers(contents)
    if numbers is not None:
        low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
        return np.where(np.isnan(numbers), low - 0.15 * ((high - low) or 1.0), numbers), None
    names, places = np.unique([str(value) for value in contents], return_inverse=True)
    return places.astype(np.float64), [str(name) for name in names]


def _swarm(values: Floats) -> Floats:
    """How far each point is moved up or down so that points of like value do not hide each other."""
    if not len(values):
        return values
    low, high = float(values.min()), float(values.max())
    places = ((values - low) / ((high - low) or 1.0) * 70).astype(int)
    order = np.argsort(places, kind="stable")
    counts = np.bincount(places)
    rank = np.empty(len(values))
    rank[order] = np.arange(len(values)) - np.repeat(np.cumsum(counts) - counts, counts)
    crowd = counts[places]
    offset = (rank + 1) // 2 * np.where(rank % 2, 1.0, -1.0)
    moved: Floats = offset * np.minimum(0.09, 0.76 / np.maximum(crowd, 1))
    return moved


def _any_unsure(table: sums.PlayedNames) -> bool:
    with np.errstate(invalid="ignore"):
        return bool((np.abs(table.values) <= 1.96 * table.stderr)[table.stderr > 0].any())
