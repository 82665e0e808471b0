"""A `Drawing`: one way to show a map, as one value; the kinds of inputs name theirs.

Comes in: nothing. Goes out: the type that the drawings of this room are values of. May not know: any one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from ..shown import ShownMap


@dataclass(frozen=True)
class Body:
    """The room that a panel's content takes, in inches.

    `left` is kept free for what is written beside it, `below` for what is written below it.
    """

    width: float
    height: float
    left: float = 0.0
    below: float = 0.0


@dataclass(frozen=True)
class Drawing:
    """How maps of some kinds are drawn.

    `measure` says how large a map's panel is, `draw` fills its axes on the shared scale. At most `side_by_side` panels
    stand in a row; `colour_bar` says whether colours need a bar that explains them.
    """

    name: str
    side_by_side: int
    colour_bar: bool
    measure: Callable[[ShownMap], Body]
    draw: Callable[[ShownMap, Axes, Normalize, Body], None]
