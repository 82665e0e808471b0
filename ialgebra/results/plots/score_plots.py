"""Scores as a picture: curves over the steps of a sweep with the inputs under them, or bars of the highest classes.

In: the scores of inputs. Out: a `Picture`. May not know: maps, models or plans.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from ...system.arrays import Floats
from ..model_scores import ModelScores
from ..shown_scores import ShownScores
from .image import bare
from .picture import Picture
from .style import Theme, current_theme

SCORE_PLOTS: Final = ("curves", "bars")
MOST_BARS: Final = 12
"""Inputs of which bars are drawn."""

_WIDTH, _HEIGHT, _ROW = 4.2, 2.6, 1.9  # inches of a panel of curves, its height, and that of bars
_LINES = ("-", "--", ":", "-.", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)))  # told apart without colours
_MOST_CURVES = 7
_MOST_PICTURES = 9  # steps whose inputs stand under the curves
_MOST_STRIPS = 3  # inputs of a collection of which such steps are shown
_PICTURE = 0.8  # inches of one of them
_SIDE = 224  # pixels of one of them


def score_picture(scores: ShownScores, kind: str) -> Picture:
    """The scores as `kind` says: a panel for each model, and for bars a row of panels for each input."""
    theme, columns = current_theme(), len(scores.models)
    strips = _strips(scores) if kind == "curves" else []
    rows = 1 if kind == "curves" else min(scores.size, MOST_BARS)
    heights = [rows * (_HEIGHT if kind == "curves" else _ROW), *[_PICTURE + 0.25] * len(strips)]
    figure = Picture(figsize=(_WIDTH * columns, sum(heights)), facecolor=theme.paper, layout="constrained")
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for row in range(rows):
        for column, each in enumerate(scores.models):
            axes = parts[0].add_subplot(rows, columns, row * columns + column + 1)
            _plain(axes, theme)
            if kind == "curves":
                _curves(axes, scores, each, theme)
            else:
                _bars(axes, scores, each, row, theme)
    for part, strip in zip(parts[1:], strips, strict=True):
        _strip(part, scores, strip, theme)
    if strips:
        figure.supxlabel("the inputs at some steps", color=theme.faint, fontsize=8)
    models = ", ".join(each.label for each in scores.models)
    left = scores.size - MOST_BARS
    more = f"; {left:,} inputs more are not drawn" if kind == "bars" and left > 0 else ""
    figure.alt = f"scores of {models} for {scores.size:,} inputs, as {kind}{more}"
    if more:
        figure.supxlabel(f"… and {left:,} inputs more", color=theme.faint, fontsize=8)
    return figure


def _strips(scores: ShownScores) -> list[list[int]]:
    """The rows whose inputs stand under the curves: of each of the first inputs some, from the first to the last step;
    none where the inputs are no pictures."""
    if scores.contents is None or not scores.contents.pictured:
        return []
    found = []
    for place in list(dict.fromkeys(scores.places.tolist()))[:_MOST_STRIPS]:
        mine = np.flatnonzero(scores.places == place)
        mine = mine[np.argsort(scores.steps[mine], kind="stable")]
        chosen = np.unique(np.linspace(0, len(mine) - 1, min(len(mine), _MOST_PICTURES)).round().astype(np.int64))
        found.append(mine[chosen].tolist())
    return found


def _strip(part: SubFigure, scores: ShownScores, rows: Sequence[int], theme: Theme) -> None:
    assert scores.contents is not None
    part.set_facecolor(theme.paper)
    places = part.subplots(1, len(rows), squeeze=False)[0]
    for axes, row, picture in zip(places, rows, scores.contents.pictures(rows, _SIDE), strict=True):
        axes.imshow(picture, interpolation="nearest" if max(picture.shape) < _SIDE // 4 else None)
        axes.set_title(f"{scores.steps[row]:g}", color=theme.faint, fontsize=7, pad=2)
        bare(axes)


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
