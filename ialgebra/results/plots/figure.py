"""Panels of one answer, of one size and on one colour scale, symmetric about zero, laid out in inches by hand.

In: maps. Out: a `Picture`, or one map in given axes. May not know: plans or models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...algebra.kinds import kind_named
from ...errors import IalgebraError, ShapeError
from ..shown import ShownMap
from . import certainty
from .drawing import Body, Drawing
from .picture import Picture
from .registry import DRAWINGS
from .style import (
    PAGE,
    POINTS,
    STEPS,
    Look,
    Theme,
    common_unit,
    current_theme,
    fit,
    look,
    signed,
    theme_on,
    ticks,
    width,
)

# Inches. A panel is a title above a body; the body's size depends on what is drawn.
_TITLE, _GAP, _CLOSE, _MARGIN, _BAR_ROOM, _LEGEND, _NOTE = 0.46, 0.24, 0.05, 0.12, 0.80, 0.30, 0.26

_CELLS = 6
"""At most so many panels, photos among them, are in a row."""


@dataclass(frozen=True)
class _Cell:
    """A panel: a map, or the input alone beside it."""

    a: ShownMap
    photo: bool = False


def figure(
    maps: Sequence[ShownMap],
    cmap: str | Colormap | None = None,
    into: Figure | None = None,
    note: str = "",
    drawing: Drawing | None = None,
) -> Figure:
    """All maps on one scale: a row per select item for anti-joins, otherwise rows of a few panels each.

    Draws into a Picture of its own, or `into` a given figure, which it resizes. `note` stands below. `drawing` says how
    each map is drawn, if not as its kind of input is.
    """
    if not maps:
        raise IalgebraError("there is no map to plot")
    theme = current_theme()
    style = look_of(maps, cmap, theme)
    drawn = {id(a): drawing or drawing_of(a) for a in maps}
    rows = _rows(maps, drawn)
    photographic = any(each.beside is not None for each in drawn.values())
    coloured = any(each.colour_bar for each in drawn.values())
    bar_room = _bar_room(style) if coloured else 0.0
    columns = max(len(row) for row in rows)
    gaps = max(sum(_CLOSE if cell.photo else _GAP for cell in row[:-1]) for row in rows)
    room = (PAGE - 2 * _MARGIN - bar_room - gaps - _GAP) / columns
    bodies = {id(a): drawn[id(a)].measure(a, room) for a in maps}
    across = [
        max(bodies[id(row[k].a)].left + bodies[id(row[k].a)].width for row in rows if k < len(row))
        for k in range(columns)
    ]
    heights = [max(bodies[id(cell.a)].height + bodies[id(cell.a)].below for cell in row) + _TITLE for row in rows]
    explained = certainty.marks(maps)
    full_width = 2 * _MARGIN + sum(across) + gaps + (_GAP if coloured else 0.0) + bar_room
    lines = (_LEGEND if explained else 0.0) + (_NOTE if note else 0.0)
    panels_height = max(_MARGIN + sum(heights) + (len(rows) - 1) * _GAP, 1.6 if coloured else 0.0)
    full_height = panels_height + lines + _MARGIN
    picture = Picture() if into is None else into
    picture.set_size_inches(full_width, full_height)
    picture.set_facecolor(theme.paper)

    def axes(left: float, top: float, width: float, height: float) -> Axes:
        bottom = (full_height - top - height) / full_height
        made = picture.add_axes((left / full_width, bottom, width / full_width, height / full_height))
        made.set_facecolor("none")
        return made

    top = _MARGIN
    for row, height in zip(rows, heights, strict=True):
        names = headlines([cell.a for cell in row if not cell.photo])
        left, beside = _MARGIN, 0.0  # `beside`: of a photo before a map, over which the map's title reaches too
        for cell, wide in zip(row, across, strict=False):
            body = bodies[id(cell.a)]
            place = axes(left + body.left, top + _TITLE, body.width, body.height)
            if cell.photo:
                place.set_label("<photo>")
                show_input = drawn[id(cell.a)].beside
                assert show_input is not None
                show_input(cell.a, place)
                beside = wide + _CLOSE
            else:
                _draw(cell.a, place, style, body, names.pop(0), drawn[id(cell.a)], beside)
                beside = 0.0
            left += wide + (_CLOSE if cell.photo else _GAP)
        top += height + _GAP
    if coloured:
        top = _MARGIN + _TITLE
        height = max(bodies[id(rows[0][0].a)].height, min(panels_height - top, 1.6))
        _colour_bar(axes(full_width - bar_room + 0.02, top, 0.14, min(height, 2.9)), style, photographic)
    _foot(picture, explained, note, theme, full_width, full_height)
    if isinstance(picture, Picture):
        picture.alt = "; ".join([*map(repr, maps), *([note] if note else [])])
    return picture


def panel(a: ShownMap, ax: Axes, cmap: str | Colormap | None = None, drawing: Drawing | None = None) -> None:
    """One map into given axes, with its colour scale beside them."""
    drawing = drawing or drawing_of(a)
    theme = theme_on(ax.figure.get_facecolor())
    style = look_of([a], cmap, theme)
    body = body_of(ax)
    _draw(a, ax, style, body, headlines([a])[0], drawing)
    if drawing.colour_bar:
        _colour_bar(ax.inset_axes((1.03, 0.0, 0.05, 1.0)), style, drawing.beside is not None)


def body_of(ax: Axes) -> Body:
    """The size of given axes."""
    root = ax.figure.figure  # of a subfigure, the whole figure
    assert isinstance(root, Figure)
    box, dots = ax.get_window_extent(), float(root.dpi)
    return Body(box.width / dots, box.height / dots)


def panels(
    maps: Sequence[ShownMap],
    axes: Sequence[Axes],
    cmap: str | Colormap | None = None,
    drawing: Drawing | None = None,
) -> None:
    """Each map into axes of its own; ShapeError unless there are equally many."""
    if len(maps) != len(axes):
        raise ShapeError(f"{len(maps):,} maps do not go into {len(axes):,} axes; give one for each map")
    for a, ax in zip(maps, axes, strict=True):
        panel(a, ax, cmap, drawing)


def drawing_of(a: ShownMap) -> Drawing:
    """The drawing of a map's kind of input."""
    return DRAWINGS[kind_named(a.kind).drawing]


_Drawn: TypeAlias = Mapping[int, Drawing]
"""How each map is drawn, by the map's id."""


def _rows(maps: Sequence[ShownMap], drawn: _Drawn) -> list[list[_Cell]]:
    """Which panels are side by side: the parts of one anti-join, or a few maps of a plain select list.

    An input that can be shown stands before its first map of a row.
    """
    most = min(drawn[id(maps[0])].side_by_side, _CELLS)
    if any(a.component is not None for a in maps):
        items: dict[int, list[ShownMap]] = {}
        for a in maps:
            items.setdefault(a.item, []).append(a)
        return [row for of_item in items.values() for row in _flowed(of_item, drawn, most)]
    cells = _with_photos(maps, drawn)
    if all(not cell.photo for cell in cells[1:]) and len(cells) <= most:
        return [cells]
    count = -(-len(cells) // most)
    each = -(-len(cells) // count)
    return _flowed(maps, drawn, max(each, min(most, 2)))


def _with_photos(maps: Sequence[ShownMap], drawn: _Drawn) -> list[_Cell]:
    cells: list[_Cell] = []
    shown: ShownMap | None = None
    for a in maps:
        beside = drawn[id(a)].beside
        if beside is not None and not (shown is not None and same_input(shown, a)) and beside(a, None):
            cells.append(_Cell(a, photo=True))
        shown = a
        cells.append(_Cell(a))
    return cells


def _flowed(maps: Sequence[ShownMap], drawn: _Drawn, most: int) -> list[list[_Cell]]:
    """Rows of at most `most` panels; a photo stands in the row of its map."""
    rows: list[list[_Cell]] = []
    row: list[ShownMap] = []
    for a in maps:
        if row and len(_with_photos([*row, a], drawn)) > most:
            rows.append(_with_photos(row, drawn))
            row = []
        row.append(a)
    return [*rows, _with_photos(row, drawn)]


def same_input(a: ShownMap, b: ShownMap) -> bool:
    return a.content.shape == b.content.shape and np.array_equal(a.content, b.content)


def look_of(maps: Sequence[ShownMap], cmap: str | Colormap | None, theme: Theme) -> Look:
    """The shared scale, from −m to m, where m is the largest |value|."""
    largest = max((float(np.abs(a.values).max(initial=0.0)) for a in maps), default=0.0)
    return look(largest, cmap, theme, common_unit(a.unit for a in maps))


def headlines(maps: Sequence[ShownMap]) -> list[str]:
    """What each map of a row is; where labels are equal, each with its own model and input first."""
    labels = [a.label for a in maps]
    if len(set(labels)) == len(labels):
        return labels
    return [f"{a.model}({a.input}): {a.label}" for a in maps]


def _draw(a: ShownMap, ax: Axes, style: Look, body: Body, headline: str, drawing: Drawing, beside: float = 0.0) -> None:
    ax.set_title("")
    left = -(body.left + beside) * POINTS
    room = body.width * POINTS - left
    said = certainty.said(a)
    about = fit(a.target_name, 8.5, max(room - width(said, 8.5) - 10.0, 24.0))
    _line(ax, left, 20, fit(headline, 10.0, room), 10.0, style.theme.ink)
    _line(ax, left, 7, about, 8.5, style.theme.faint)
    tone = style.theme.warn if certainty.stamped(a) else style.theme.faint
    stamp = {"boxstyle": "round,pad=0.22", "facecolor": "none", "edgecolor": tone, "linewidth": 0.7}
    boxed = stamp if certainty.stamped(a) or said == "exact" else None
    _line(ax, body.width * POINTS - (2.0 if boxed else 0.0), 7, said, 8.5, tone, ha="right", box=boxed)
    with np.errstate(over="ignore", invalid="ignore"):  # huge values have the colours of the ends of the scale
        drawing.draw(a, ax, style, body)


def _line(
    ax: Axes,
    x: float,
    y: float,
    text: str,
    size: float,
    colour: str,
    ha: str = "left",
    box: dict[str, object] | None = None,
) -> None:
    ax.annotate(
        text, xy=(0.0, 1.0), xycoords="axes fraction", xytext=(x, y), textcoords="offset points", fontsize=size,
        color=colour, ha=ha, parse_math=False, bbox=box,
    )  # fmt: skip


def _bar_ticks(style: Look) -> tuple[list[float], list[str]]:
    """The places of a scale's ticks, and what stands at them."""
    steps = ticks(style.limit)
    return steps, [signed(step) for step in steps]


def _bar_room(style: Look) -> float:
    """The inches that the colour bar takes: itself, its numbers, and its title beside them."""
    return max(_BAR_ROOM, 0.54 + max(width(label, 8) for label in _bar_ticks(style)[1]) / POINTS)


def _colour_bar(ax: Axes, style: Look, photographic: bool) -> None:
    """The scale in the colours of a panel: those over a photo are as dark as its grey copy is on average."""
    colours = np.asarray(style.colours(np.linspace(0.0, 1.0, STEPS)))
    colours[:, :3] *= float(np.mean(style.theme.grey)) if photographic else 1.0
    shaded = ListedColormap(np.clip(colours, 0.0, 1.0))
    bar = ax.figure.colorbar(ScalarMappable(style.scale, shaded), cax=ax)
    bar.outline.set_visible(False)
    ax.set_label("<colorbar>")
    steps, labels = _bar_ticks(style)
    bar.set_ticks(steps, labels=labels)
    ax.tick_params(labelsize=8, colors=style.theme.ink, length=2, color=style.theme.line)
    room = body_of(ax).height * POINTS
    said = style.measure if width(style.measure, 8) < room else "contribution"
    ax.annotate(
        said, xy=(0.0, 0.5), xycoords="axes fraction",
        xytext=((_bar_room(style) - 0.12) * POINTS, 0), textcoords="offset points", rotation=90, ha="right",
        va="center", fontsize=8, color=style.theme.faint,
    )  # fmt: skip


def _foot(picture: Figure, explained: Sequence[str], note: str, theme: Theme, wide: float, high: float) -> None:
    """What the marks of uncertainty mean, and a note, at the bottom left."""
    y = _MARGIN
    if note:
        picture.text(
            _MARGIN / wide,
            y / high,
            fit(note, 8.5, (wide - 2 * _MARGIN) * POINTS),
            fontsize=8.5,
            color=theme.faint,
            parse_math=False,
        )
        y += _NOTE
    x = _MARGIN
    for word in explained:
        box = (x / wide, y / high)
        hatch = "//////" if word == certainty.UNSURE else "oo"
        picture.add_artist(
            Rectangle(box, 0.26 / wide, 0.15 / high, transform=picture.transFigure, facecolor="none",
                      edgecolor=theme.faint, hatch=hatch, linewidth=0.6)
        )  # fmt: skip
        picture.text((x + 0.34) / wide, (y + 0.02) / high, word, fontsize=8, color=theme.faint)
        x += 0.34 + 1.35
