"""What `fit_concepts` returns: the figures of a dictionary, as text, as HTML in a notebook, and as a picture.

In: figures. Out: what a user looks at. May not know: networks, sessions, queries.
"""

from __future__ import annotations

import html
import math
from pathlib import Path
from typing import TYPE_CHECKING

from ..models.concepts.figures import ConceptFigures, ConceptFit
from ..system.markup import preformatted

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ConceptReport:
    """The figures of a dictionary of concepts on held-out inputs: `str`, `plot()`, a table in a notebook, `figures`."""

    def __init__(self, figures: ConceptFigures) -> None:
        self.figures = figures

    @property
    def fidelity(self) -> float:
        """Of the first model's surrogate: the share of inputs whose class is that of the model."""
        return self.figures.fits[0].fidelity

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of explanations by these attributes should know, a sentence each."""
        return self.figures.warnings

    def __str__(self) -> str:
        return str(self.figures)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        without_tables = [line for line in self.figures.lines() if not line.startswith("    ")]
        kept = [line for line in without_tables if line.strip() != "relevance to classes"]
        tables = "".join(_table(fit, self.figures.names) for fit in self.figures.fits)
        return preformatted("\n".join(kept)) + tables

    def plot(self, path: str | Path | None = None) -> Figure:
        """What each attribute means to each class, as a picture: classes down, attributes across, the figures above.

        `path`: a file to write, whose ending says the format. IalgebraError where matplotlib is not installed.
        """
        from . import plots
        from .plots import concept_plots

        found = concept_plots.report_picture(self.figures)
        if path is not None:
            plots.save(found, Path(path))
        return found


def _table(fit: ConceptFit, names: tuple[str, ...]) -> str:
    """The relevance of attributes to classes as a table of coloured cells."""
    cell = "padding:1px 5px;text-align:right;font-size:85%"
    head = "".join(f'<th style="{cell}">{html.escape(name)}</th>' for name in names)
    rows = []
    for index, label in enumerate(fit.classes):
        values = fit.relevance[index].tolist()
        cells = "".join(f'<td style="{cell};{_paint(value)}">{_shown(value)}</td>' for value in values)
        rows.append(f'<tr><th style="{cell}">{html.escape(label)}</th>{cells}</tr>')
    caption = f"relevance of attributes to the classes of {html.escape(fit.model)}, −1 to 1"
    return f'<table><caption>{caption}</caption><tr><th style="{cell}"></th>{head}</tr>{"".join(rows)}</table>'


def _paint(value: float) -> str:
    if math.isnan(value):
        return "color:gray"
    colour = "204,33,20" if value > 0 else "18,86,176"
    return f"background:rgba({colour},{min(abs(value), 1.0) * 0.6:.2f})"


def _shown(value: float) -> str:
    return "–" if math.isnan(value) else "" if abs(value) < 0.005 else f"{value:+.2f}".replace("-", "−")
