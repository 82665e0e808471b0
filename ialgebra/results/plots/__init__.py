"""Attribution maps as pictures: photos under a diverging map, signed bars, coloured text, lines over colours.

What lives here: one module per drawing, each with one `Drawing` value (`image`, `tabular`, `text`, `series`), their
registry, `figure`, which lays panels out on one colour scale, and `picture`, which notebooks show. In: maps, as the
protocol `ShownMap`. Out: matplotlib Figures. It may not know sessions, plans, models, or the classes that hold answers.
No global state of matplotlib is touched except by `show`; colours are dark where matplotlib's settings make figures
dark. Importing this room raises IalgebraError if matplotlib is not installed.

Red raises the target's output, blue lowers it (readable with the common colour blindnesses; zero is colourless).
"""

from ...errors import IalgebraError

try:
    import matplotlib  # noqa: F401
except ImportError as cause:
    raise IalgebraError('this needs matplotlib, which is not installed; run: pip install "ialgebra[plot]"') from cause

from .choice import figure_of, into_axes, of_kind, show
from .figure import figure
from .picture import Picture, png, save

__all__ = ["Picture", "figure", "figure_of", "into_axes", "of_kind", "png", "save", "show"]
