"""Which picture is drawn of some maps: the kind that was asked for, or the one that serves so many maps.

In: maps, and the name of a kind of plot. Out: a picture, or drawn axes. May not know: plans or models.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from ...errors import BindError, IalgebraError
from ..columns import columns_of
from ..shown import WholeMap
from . import summaries
from .drawing import Drawing
from .figure import drawing_of, figure, panels
from .parts import in_parts
from .style import theme_on
from .tabular import BAR_CHART
from .waterfall import WATERFALL


def of_kind(
    maps: Sequence[WholeMap], kind: str | None, cmap: str | Colormap | None, into: Figure | None = None
) -> Figure:
    """The maps as one picture, of its own or `into` a given figure. A relation of many maps of a table is summed up,
    unless a kind is named."""
    if not maps:
        raise IalgebraError("there is no map to plot")
    _check(cmap)
    kind = kind or usual(maps)
    if kind in ("beeswarm", "dependence") or (kind == "bar" and len(maps) > 1):
        if into is None:
            return summaries.picture(columns_of(maps), kind, cmap)
        summaries.draw_into(into, columns_of(maps), kind, cmap)
        return into
    drawing = drawing_for(kind)
    most = (drawing or drawing_of(maps[0])).most
    note = ""
    if len(maps) > most:
        note = f"the first {most} of {len(maps):,} maps; answer[{most}:{2 * most}].plot() draws the next"
    first = list(maps[:most])
    return figure(first if kind != "maps" else in_parts(first), cmap, into, note, drawing)


def show(maps: Sequence[WholeMap]) -> bool:
    """Show the picture of the maps in a window or a notebook; False where matplotlib has no display."""
    from matplotlib import pyplot

    if pyplot.get_backend().lower() in _NO_DISPLAY:
        return False
    of_kind(maps, None, None, into=pyplot.figure())
    pyplot.show()
    return True


_NO_DISPLAY = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}


def into_axes(
    maps: Sequence[WholeMap], kind: str | None, ax: Axes | Sequence[Axes], cmap: str | Colormap | None
) -> None:
    """Draw into given axes: one summary, one map, or a map in each."""
    axes = _axes(ax)
    if not maps:
        raise IalgebraError("there is no map to plot")
    _check(cmap)
    if kind is None and len(axes) == 1 and len(maps) > 1:
        kind = usual(maps) if usual(maps) != "maps" else None
    if kind == "dependence" or (kind in summaries.ON_ONE_AXIS and (kind != "bar" or len(maps) > 1)):
        columns = columns_of(maps)
        style = summaries.summary_look(columns, kind, cmap, theme_on(axes[0].figure.get_facecolor()))
        if kind == "dependence":
            summaries.dependence(columns, axes, style)
        else:
            summaries.ON_ONE_AXIS[kind](columns, axes[0], style)
    else:
        panels(maps, axes, cmap, drawing_for(kind or "maps"))


def figure_of(ax: Axes | Sequence[Axes]) -> Figure:
    """The figure that has these axes."""
    found = _axes(ax)[0].figure.figure  # of a subfigure, the whole figure
    assert isinstance(found, Figure)
    return found


def _axes(ax: Axes | Sequence[Axes]) -> list[Axes]:
    axes = [ax] if isinstance(ax, Axes) else list(np.ravel(np.asarray(ax, dtype=object)))
    if not axes or not all(isinstance(each, Axes) for each in axes):
        raise BindError("ax must be axes of matplotlib, or a list of them: one for each map")
    return axes


def usual(maps: Sequence[WholeMap]) -> str:
    """The kind of plot of maps for which none was asked."""
    drawing = drawing_of(maps[0])
    return "bar" if drawing is BAR_CHART and len(maps) > drawing.most else "maps"


def drawing_for(kind: str) -> Drawing | None:
    """The drawing of each map that a kind of plot names; None for that of the map's input."""
    return {"bar": BAR_CHART, "waterfall": WATERFALL}.get(kind)


def _check(cmap: object) -> None:
    if cmap is not None and not isinstance(cmap, str | Colormap):
        raise BindError(f"cmap must be the name of a colour map or a matplotlib Colormap, not {type(cmap).__name__}")
