"""Panels of one answer, of one size and on one colour scale, symmetric about zero, laid out in inches by hand.

In: maps. Out: a matplotlib Figure, Axes, or the bytes of a PNG file. May not know: plans or models.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ...algebra.kinds import kind_named
from ...errors import IalgebraError
from ...system.arguments import checked
from ..shown import ShownMap
from ..table import error_text
from .drawing import Body, Drawing
from .registry import DRAWINGS
from .style import COLOURS, FAINT, INK, POINTS, WIDEST, fit

_NO_DISPLAY = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}

# Inches. A panel is a title above a body; the body's size depends on what is drawn.
_TITLE, _GAP, _MARGIN, _BAR_ROOM = 0.46, 0.20, 0.10, 0.95


def figure(maps: Sequence[ShownMap], into: Figure | None = None) -> Figure:
    """All maps of one answer on one scale: a row per select item for anti-joins, otherwise rows of up to four panels.

    Draws into a Figure of its own, or `into` a given one, which it resizes.
    """
    rows = _rows(maps)
    scale = _scale(maps)
    bodies = {id(a): _drawing(a).measure(a) for a in maps}
    columns = max(len(row) for row in rows)
    width = max(body.left + body.width for body in bodies.values())
    heights = [max(bodies[id(a)].height + bodies[id(a)].below for a in row) + _TITLE for row in rows]
    coloured = any(_drawing(a).colour_bar for a in maps)
    full_width = 2 * _MARGIN + columns * width + (columns - 1) * _GAP + (_BAR_ROOM if coloured else 0.0)
    full_height = max(2 * _MARGIN + sum(heights) + (len(rows) - 1) * _GAP, 1.7 if coloured else 0.0)
    picture = Figure() if into is None else into
    picture.set_size_inches(full_width, full_height)
    picture.set_facecolor("white")

    def axes(left: float, top: float, width: float, height: float) -> Axes:
        bottom = (full_height - top - height) / full_height
        return picture.add_axes((left / full_width, bottom, width / full_width, height / full_height))

    top = _MARGIN
    for row, height in zip(rows, heights, strict=True):
        for column, a in enumerate(row):
            body = bodies[id(a)]
            left = _MARGIN + column * (width + _GAP)
            _draw(a, axes(left + body.left, top + _TITLE, body.width, body.height), scale, body)
        top += height + _GAP
    if coloured:
        top = _MARGIN + _TITLE
        height = max(bodies[id(rows[0][0])].height, min(full_height - top - _MARGIN, 1.6))
        _colour_bar(axes(full_width - _BAR_ROOM + 0.02, top, 0.13, height), scale)
    return picture


@checked
def panel(a: ShownMap, ax: Axes | None = None) -> Axes:
    """One map, into `ax` or the first axes of a figure of its own."""
    if ax is None:
        return figure([a]).axes[0]
    body = _drawing(a).measure(a)
    _draw(a, ax, _scale([a]), body)
    return ax


def png(picture: Figure, dpi: int = 110) -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    picture.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def show(maps: Sequence[ShownMap]) -> bool:
    """Show the maps in a window or a notebook; False where matplotlib has no display."""
    from matplotlib import pyplot

    if pyplot.get_backend().lower() in _NO_DISPLAY:
        return False
    figure(maps, pyplot.figure())
    pyplot.show()
    return True


def _rows(maps: Sequence[ShownMap]) -> list[list[ShownMap]]:
    """Which panels are side by side: the parts of one anti-join, or up to four maps of a plain select list."""
    if not maps:
        raise IalgebraError("there is no map to plot")
    if any(a.component is not None for a in maps):
        items: dict[int, list[ShownMap]] = {}
        for a in maps:
            items.setdefault(a.item, []).append(a)
        return list(items.values())
    most = _drawing(maps[0]).side_by_side
    count = -(-len(maps) // most)
    each = -(-len(maps) // count)
    return [list(maps[i : i + each]) for i in range(0, len(maps), each)]


def _scale(maps: Iterable[ShownMap]) -> Normalize:
    """The shared colour scale, from −m to m, where m is the largest |value|."""
    largest = max((float(np.abs(a.values).max(initial=0.0)) for a in maps), default=0.0)
    largest = min(largest, WIDEST)
    return Normalize(-(largest or 1.0), largest or 1.0)


def _drawing(a: ShownMap) -> Drawing:
    return DRAWINGS[kind_named(a.kind).drawing]


def _draw(a: ShownMap, ax: Axes, scale: Normalize, body: Body) -> None:
    room = (body.left + body.width) * POINTS
    ax.set_title("")
    start = {"xy": (0.0, 1.0), "xycoords": "axes fraction", "textcoords": "offset points", "parse_math": False}
    left = -body.left * POINTS
    ax.annotate(fit(a.label, 10.0, room), xytext=(left, 20), fontsize=10, color=INK, **start)  # type: ignore[arg-type]
    second = fit(f"{a.target_name} · {error_text(a.bound, a.method, labelled=True)}", 8.5, room)
    ax.annotate(second, xytext=(left, 7), fontsize=8.5, color=FAINT, **start)  # type: ignore[arg-type]
    with np.errstate(over="ignore", invalid="ignore"):  # huge values have the colours of the ends of the scale
        _drawing(a).draw(a, ax, scale, body)


def _colour_bar(ax: Axes, scale: Normalize) -> None:
    bar = ax.figure.colorbar(ScalarMappable(scale, COLOURS), cax=ax)
    bar.outline.set_visible(False)
    ax.set_label("<colorbar>")
    limit = float(scale.vmax or 1.0)
    bar.set_ticks([-limit, 0.0, limit], labels=[f"−{limit:.2g}", "0", f"+{limit:.2g}"])
    ax.tick_params(labelsize=8, colors=INK, length=0)
    ax.annotate(
        "contribution\nto the target", xy=(0.0, 0.5), xycoords="axes fraction", xytext=((_BAR_ROOM - 0.1) * POINTS, 0),
        textcoords="offset points", rotation=90, ha="right", va="center", ma="center", fontsize=8, color=FAINT,
    )  # fmt: skip
