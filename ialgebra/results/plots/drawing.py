"""A `Drawing`: one way to show a map, as one value. Each kind of input names its drawing.

In: nothing. Out: the type of all drawings in this room. May not know: any drawing in particular.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.axes import Axes

from ..shown import ShownMap
from .style import Look


@dataclass(frozen=True)
class Body:
    """The size of a panel's content, in inches.

    `left` is space for text to the left of the content, `below` for text below it.
    """

    width: float
    height: float
    left: float = 0.0
    below: float = 0.0


@dataclass(frozen=True)
class Drawing:
    """How maps of some kinds are drawn.

    `measure(a, room)` returns the size of a map's panel in `room` inches, `draw` draws it with the look that all panels
    share. At most `side_by_side` panels are in a row; `colour_bar` says whether colours need a bar that explains them.
    `beside`, if there is one, draws the input alone, into a panel of the same size before the map's; it returns whether
    there was something to draw. More than `most` maps are not drawn one by one.
    """

    name: str
    side_by_side: int
    colour_bar: bool
    measure: Callable[[ShownMap, float], Body]
    draw: Callable[[ShownMap, Axes, Look, Body], None]
    beside: Callable[[ShownMap, Axes | None], bool] | None = None
    most: int = 24
