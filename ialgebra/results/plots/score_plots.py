"""Scores as a picture: curves over the steps of a sweep, or bars of the classes of highest score.

In: the scores of inputs. Out: a `Picture`. May not know: maps, models or plans.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from matplotlib.axes import Axes

from ...system.arrays import Floats, Ints
from ..model_scores import ModelScores
from .picture import Picture
from .style import Theme, current_theme

SCORE_PLOTS: Final = ("curves", "bars")
MOST_BARS: Final = 12
"""Inputs of which bars are drawn."""

_WIDTH, _HEIGHT, _ROW = 4.2, 2.6, 1.9  # inches of a panel of curves, its height, and that of bars
_LINES = ("-", "--", ":", "-.", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)))  # told apart without colours
_MOST_CURVES = 7


class ShownScores(Protocol):
    """The part of `Scores` that is drawn; it says what every entry means."""

    @property
    def size(self) -> int: ...
    @property
    def models(self) -> tuple[ModelScores, ...]: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...
    @property
    def places(self) -> Ints: ...
    @property
    def steps(self) -> Floats: ...


def score_picture(scores: ShownScores, kind: str) -> Picture:
    """The scores as `kind` says: a panel for each model, and for bars a row of panels for each input."""
    theme, columns = current_theme(), len(scores.models)
    rows = 1 if kind == "curves" else min(scores.size, MOST_BARS)
    height = _HEIGHT if kind == "curves" else _ROW
    figure = Picture(figsize=(_WIDTH * columns, height * rows), facecolor=theme.paper, layout="constrained")
    for row in range(rows):
        for column, each in enumerate(scores.models):
            axes = figure.add_subplot(rows, columns, row * columns + column + 1)
            _plain(axes, theme)
            if kind == "curves":
                _curves(axes, scores, each, theme)
            else:
                _bars(axes, scores, each, row, theme)
    models = ", ".join(each.label for each in scores.models)
    left = scores.size - MOST_BARS
    more = f"; {left:,} inputs more are not drawn" if kind == "bars" and left > 0 else ""
    figure.alt = f"scores of {models} for {scores.size:,} inputs, as {kind}{more}"
    if more:
        figure.supxlabel(f"… and {left:,} inputs more", color=theme.faint, fontsize=8)
    return figure


def curves_of(each: ModelScores) -> dict[int, Floats]:
    """The scores (n,) of the classes that curves are drawn of: those asked for, or else those that are the highest of
    some input; NaN where a class is not among the highest."""
    found = {target: each.target_scores[:, k] for k, target in enumerate(each.targets)}
    if not found:
        first = each.top[:, 0] if not each.is_regression else each.top[0]
        for target in dict.fromkeys(first.tolist()):
            where = each.top == target
            found[target] = np.where(where.any(axis=1), np.where(where, each.top_scores, 0.0).sum(axis=1), np.nan)
    return dict(list(found.items())[:_MOST_CURVES])


def _curves(axes: Axes, scores: ShownScores, each: ModelScores, theme: Theme) -> None:
    for number, (target, values) in enumerate(curves_of(each).items()):
        for place in dict.fromkeys(scores.places.tolist()):
            mine = scores.places == place
            name = each.names[target] if place == scores.places[0] else None
            axes.plot(
                scores.steps[mine], values[mine], color=theme.ink, linestyle=_LINES[number], label=name, marker="."
            )
    axes.set_title(each.label, color=theme.ink, fontsize=9, loc="left")
    axes.set_xlabel("step", color=theme.faint, fontsize=8)
    axes.set_ylabel(each.unit or "score", color=theme.faint, fontsize=8)
    axes.legend(fontsize=7, frameon=False, labelcolor=theme.ink)


def _bars(axes: Axes, scores: ShownScores, each: ModelScores, row: int, theme: Theme) -> None:
    known = dict(zip(each.top[row].tolist(), each.top_scores[row].tolist(), strict=True))
    known |= dict(zip(each.targets, each.target_scores[row].tolist(), strict=True))
    shown = list(known.items())[:MOST_BARS]
    places = np.arange(len(shown))
    values = [value for _, value in shown]
    axes.barh(places, values, color=theme.colours(0.15), height=0.7)
    for place, value in zip(places.tolist(), values, strict=True):
        axes.annotate(f" {value:.3g}", (max(value, 0.0), place), color=theme.ink, fontsize=7, va="center")
    axes.set_yticks(places, [each.names[target][:24] for target, _ in shown], fontsize=7, color=theme.ink)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_title(f"{each.label}({scores.inputs[row][:40]})", color=theme.ink, fontsize=8, loc="left")
    axes.set_xlabel(each.unit or "score", color=theme.faint, fontsize=7)


def _plain(axes: Axes, theme: Theme) -> None:
    axes.set_facecolor(theme.paper)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(theme.line)
    axes.tick_params(colors=theme.faint, labelsize=7)
