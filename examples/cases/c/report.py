"""What Case C measures, written down: tables of means and intervals over the seeds, and one picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..statistics import over_seeds, share_over_seeds, table
from .ask import Answer, limit
from .poison import Bools, Sorted


class Figures:
    """By table, row and column: one figure a seed."""

    def __init__(self) -> None:
        self.of: dict[str, dict[str, dict[str, list[float]]]] = {}

    def note(self, name: str, row: str, **columns: float) -> None:
        for column, value in columns.items():
            self.of.setdefault(name, {}).setdefault(row, {}).setdefault(column, []).append(float(value))

    def __str__(self) -> str:
        return "\n".join(self.table(name) for name in self.of)

    def table(self, name: str) -> str:
        rows = self.of[name]
        heads = list(dict.fromkeys(column for columns in rows.values() for column in columns))
        lines = [[row, *(_written(columns.get(head), head) for head in heads)] for row, columns in rows.items()]
        return table([name, *(head.replace("_", " ") for head in heads)], lines)


def _written(figures: list[float] | None, head: str) -> str:
    """Rates with their interval; rows and seconds by their mean."""
    if figures is None:
        return ""
    if head == "rows":
        return f"{np.mean(figures):,.0f}"
    if head == "seconds":
        return f"{np.mean(figures):.1f}"
    interval = over_seeds if head == "gain in F1" else share_over_seeds  # a difference, or a share
    return str(interval(figures)) if len(figures) > 1 else f"{figures[0]:.3f}"


def draw(path: Path, order: Sorted, answer: Answer, bad: Bools) -> None:
    """Above: six poisoned and six clean pictures of the band, those that signatures suspect most, under their maps.
    Below: both scores of every picture of the band."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    grid = figure.add_gridspec(3, 6, height_ratios=(1, 1, 2.2))
    truth = bad[order.band]
    maps = {int(each.scores["index"][0]): each for each in answer.rel}
    for line, (name, places) in enumerate({"poisoned": np.flatnonzero(truth), "clean": np.flatnonzero(~truth)}.items()):
        for column, place in enumerate(places[:6]):
            axes = figure.add_subplot(grid[line, column])
            content, heat = maps[place].content[0], maps[place].heat()
            most = np.abs(heat).max()
            axes.imshow(content, cmap="gray_r", vmin=0, vmax=1)
            axes.imshow(heat, cmap="RdBu_r", vmin=-most, vmax=most, alpha=0.6)
            axes.set_title(f"{name}: {answer.suspects[place]:.2f}", fontsize=9)
            axes.set_axis_off()
    axes = figure.add_subplot(grid[2, :])
    rank = len(order.certain) + 1 + np.arange(len(order.band))
    for mask, colour, name in ((~truth, "#4a90d9", "clean"), (truth, "#b0120a", "poisoned")):
        axes.scatter(rank[mask], answer.suspects[mask], s=9, color=colour, label=f"{name}, {mask.sum()}")
    axes.axhline(
        limit(answer.trusted),
        color="#222222",
        linewidth=0.8,
        label="unusual: beyond three deviations of trusted pictures",
    )
    axes.axvline(
        int(order.chosen.sum()) + 0.5, color="#777777", linewidth=0.8, linestyle="--", label="signatures' threshold"
    )
    axes.set_xlabel("rank by spectral signature")
    axes.set_ylabel("distance of the map to the usual one")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=90)
