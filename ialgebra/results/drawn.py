"""`plot` of one map or several: which drawing is meant, where it goes, and the file that it is written to.

In: maps, the name of a kind of plot, perhaps axes, a colour map, a path. Out: a matplotlib figure, or the given axes.
May not know: how anything is drawn; matplotlib is an extra, imported when a picture is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import BindError, did_you_mean
from ..system.shortage import enough_memory
from . import notebook
from .shown import WholeMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

PLOTS: Final = ("maps", "bar", "beeswarm", "waterfall", "dependence")
"""The kinds of plots, by name."""


def plot(
    maps: Sequence[WholeMap],
    kind: str | None,
    ax: Axes | Sequence[Axes] | None,
    cmap: str | Colormap | None,
    path: str | Path | None,
    caption: str,
) -> Figure | Axes | Sequence[Axes]:
    """The maps as a figure, or in the given axes, which are returned; written to `path` where one is given. `caption`
    stands below an HTML page."""
    if kind is not None and kind not in PLOTS:
        raise BindError(f"unknown kind of plot '{kind}'{did_you_mean(kind, PLOTS)}; there are {', '.join(PLOTS)}")
    from . import plots

    file = None if path is None else Path(path)
    with enough_memory("while drawing", "draw fewer maps at once, such as answer[:20].plot()"):
        if file is not None and file.suffix.lower() in (".html", ".htm"):
            if ax is not None:
                raise BindError("an HTML page has no axes; leave ax out, or give another path")
            found = plots.of_kind(maps, kind, cmap)
            notebook.write(file, maps, caption, kind, cmap)
            return found
        if ax is None:
            drawn = plots.of_kind(maps, kind, cmap)
            if file is not None:
                plots.save(drawn, file)
            return drawn
        plots.into_axes(maps, kind, ax, cmap)
        if file is not None:
            plots.save(plots.figure_of(ax), file)
        return ax
