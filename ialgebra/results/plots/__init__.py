"""Attribution maps as pictures: photos under a diverging map, signed bars, coloured text, lines over colours.

What lives here: one module per drawing, each with one `Drawing` value (`image`, `tabular`, `text`, `series`), their
registry, and `figure`, which lays panels out on one colour scale. In: maps, as the protocol `ShownMap`. Out: matplotlib
Figures and Axes. It may not know sessions, plans, models, or the classes that hold answers. No global state of
matplotlib is touched except by `show`. Importing this room raises IalgebraError if matplotlib is not installed.

Red raises the target's output, blue lowers it (readable with the common colour blindnesses; zero is colourless).
"""

from ...errors import IalgebraError

try:
    import matplotlib  # noqa: F401
except ImportError as cause:
    raise IalgebraError('this needs matplotlib, which is not installed; run: pip install "ialgebra[plot]"') from cause

from .figure import figure, panel, png, show

__all__ = ["figure", "panel", "png", "show"]
