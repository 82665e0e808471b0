"""Figures of several seeds, written down: Markdown tables of means with 95 % intervals, and the same as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from examples.cases.statistics import over_seeds, table

PER_CENT = ("accuracy", "fidelity", "shuffled", "majority", "f errs", "LIME", "our g")


class Figures:
    """By table and row: the figures of each seed."""

    def __init__(self) -> None:
        self.of: dict[str, dict[str, list[dict[str, float]]]] = {}

    def note(self, name: str, row: str, figures: Mapping[str, float]) -> None:
        """Adds the figures of one seed to a row of a table."""
        self.of.setdefault(name, {}).setdefault(row, []).append(dict(figures))
        shown = ", ".join(f"{key} {value:.2f}" for key, value in figures.items())
        print(f"{name}; {row}: {shown}", flush=True)

    def values(self, name: str, row: str, column: str) -> list[float]:
        """One figure of each seed that has it."""
        return [each[column] for each in self.of[name][row] if column in each and not math.isnan(each[column])]

    def table(self, name: str, columns: Sequence[str] = ()) -> str:
        """A table: of the columns named, or of all."""
        rows = self.of.get(name, {})
        heads = columns or list(dict.fromkeys(key for seeds in rows.values() for each in seeds for key in each))
        lines = [[row, *(written(self.values(name, row, head), head) for head in heads)] for row in rows]
        return table([name, *(f"{head}, %" if head.startswith(PER_CENT) else head for head in heads)], lines)

    def save(self, folder: Path) -> None:
        """Writes the figures of every seed."""
        (folder / "flint.json").write_text(json.dumps(self.of, indent=1) + "\n")


def written(values: Sequence[float], head: str) -> str:
    """A mean and half the width of its 95 % interval (Student's over seeds); '' of none."""
    if not values:
        return ""
    places = 1 if head in ("used", "shared", "CPU minutes") or head.startswith(PER_CENT) else 2
    mean, _, high = over_seeds(values)
    return f"{mean:.{places}f}" + ("" if math.isnan(high) else f" ± {high - mean:.{places}f}")
