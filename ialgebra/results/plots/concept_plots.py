"""Dictionaries of concepts as pictures: what attributes mean to classes, and a gallery with a row for each attribute.

In: figures of a dictionary, and the parts of a gallery. Out: a `Picture`. May not know: networks, models or plans.
"""

from __future__ import annotations

import math

import numpy as np
from matplotlib.colors import Normalize

from ...models.concepts.figures import ConceptFigures, ConceptFit
from .picture import Picture
from .style import PAGE, Theme, current_theme

_CELL, _LEFT, _TOP = 0.3, 1.5, 1.3  # inches: of a cell, of the names of classes, of the lines above
_MOST_CLASSES = 40
_STRONG = 0.65  # relevance from which colours are dark
_MOST_NUMBERS = 30  # attributes up to which each cell has its number


def report_picture(figures: ConceptFigures) -> Picture:
    """A panel for each model: its classes down, the attributes across, relevance as colours."""
    theme, size = current_theme(), len(figures.names)
    shown = [(fit, min(len(fit.classes), _MOST_CLASSES)) for fit in figures.fits]
    high = sum(rows * _CELL + _TOP for _, rows in shown)
    width = min(PAGE, max(5.0, _LEFT + size * _CELL + 0.3))
    picture = Picture(figsize=(width, high + 0.2), facecolor=theme.paper)
    top = high + 0.2
    for fit, rows in shown:
        top -= rows * _CELL + _TOP
        box = (_LEFT / width, (top + 0.45) / (high + 0.2), 1 - (_LEFT + 0.2) / width, rows * _CELL / (high + 0.2))
        _heat(picture, box, figures, fit, rows, theme)
    said = "; ".join(f"fidelity {each.fidelity:.1%} for {each.model}" for each in figures.fits)
    picture.alt = f"relevance of {size} attributes of '{figures.name}' to classes; {said}"
    return picture


def _heat(
    picture: Picture,
    box: tuple[float, float, float, float],
    figures: ConceptFigures,
    fit: ConceptFit,
    rows: int,
    theme: Theme,
) -> None:
    axes = picture.add_axes(box, facecolor=theme.paper)
    values = fit.relevance[:rows]
    axes.imshow(values, cmap=theme.colours, norm=Normalize(-1, 1), aspect="auto")
    axes.set_yticks(range(rows), list(fit.classes[:rows]), fontsize=8, color=theme.ink)
    axes.set_xticks(range(len(figures.names)), list(figures.names), fontsize=7, color=theme.ink, rotation=90)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if len(figures.names) <= _MOST_NUMBERS:
        for row, column in zip(*np.where(np.abs(np.nan_to_num(values)) >= 0.1), strict=True):
            number = f"{values[row, column]:+.1f}".replace("-", "−").replace("0.", ".")
            ink = "#ffffff" if abs(values[row, column]) > _STRONG else theme.ink
            axes.text(column, row, number, ha="center", va="center", fontsize=6, color=ink)
    axes.set_title("\n".join(_headline(figures, fit)), fontsize=8, color=theme.ink, loc="left")


def _headline(figures: ConceptFigures, fit: ConceptFit) -> list[str]:
    """The figures above a panel."""
    measure = f"R² {fit.fidelity:.2f}" if fit.regression else f"{fit.fidelity:.1%}"
    floor = "" if fit.regression else f" (most frequent class {fit.majority:.1%}, shuffled {fit.shuffled:.1%})"
    accuracy = "" if fit.accuracy is None else f" · accuracy f {fit.own_accuracy:.1%}, g {fit.accuracy:.1%}"
    told = "" if figures.reconstruction is None else f" · reconstruction R² {figures.reconstruction:.2f}"
    stable = "" if figures.stability is None else f" · stability {figures.stability:.2f}"
    concise = "" if math.isnan(fit.conciseness[1]) else f" · {fit.conciseness[1]:.2f} an input (τ 2)"
    return [
        f"{figures.name} of {fit.model}: fidelity {measure}{floor}{accuracy}",
        f"logits R² {fit.logits:.2f}{told}{stable} · {fit.live} live, {fit.used} used, {fit.shared} shared{concise}",
    ]
