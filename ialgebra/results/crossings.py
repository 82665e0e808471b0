"""Where a decision changes along an axis: for each input and model the first point, with pictures.

In: finished numbers. Out: text, a data frame, a drawing. May not know: sessions, models or torch. pandas and matplotlib
are imported where they are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import in_lines
from ..system.arrays import Floats
from ..system.markup import preformatted
from .exports import require

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

_SHOWN = 12  # inputs of the text


@dataclass(frozen=True, eq=False, repr=False)
class Crossings:
    """How far each of n inputs is moved along `axis`, up to `to` standard deviations, before a model decides otherwise.

    `at` (n, models) is the first point, in thousandths of a standard deviation, at which the prediction is not that at
    0, and NaN where there is none; `before` and `after` are the names of the classes ('' where there is none).
    `pictures` (k, 1 + models, *shape) are the first k inputs as they are drawn at 0 and at each model's point (at `to`
    where there is none). `rows` were run.
    """

    axis: str
    to: float
    inputs: tuple[str, ...]
    models: tuple[str, ...]
    at: Floats
    before: tuple[tuple[str, ...], ...]
    after: tuple[tuple[str, ...], ...]
    pictures: Floats
    rows: int

    def __str__(self) -> str:
        found = np.isfinite(self.at)
        lines = [f"first change of a decision along '{self.axis}', from 0 to {self.to:g} standard deviations"]
        for column, model in enumerate(self.models):
            count = int(found[:, column].sum())
            middle = f", at {np.nanmedian(self.at[:, column]):+.3f} on the median" if count else ""
            lines.append(f"{model}: {count} of {len(self.inputs)} inputs change{middle}")
        for row, name in enumerate(self.inputs[:_SHOWN]):
            cells = [self._cell(row, column) for column in range(len(self.models))]
            lines.append(f"  {name}: {'; '.join(cells)}")
        if len(self.inputs) > _SHOWN:
            lines.append(f"… and {len(self.inputs) - _SHOWN:,} more: to_pandas() has all")
        return in_lines([*lines, f"{self.rows:,} rows"])

    __repr__ = __str__

    def _cell(self, row: int, column: int) -> str:
        before = f"{self.models[column]} {self.before[row][column]}"
        if np.isnan(self.at[row, column]):
            return before
        return f"{before} → {self.after[row][column]} at {self.at[row, column]:+.3f}"

    def _repr_html_(self) -> str:
        return preformatted(str(self))

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each input and model: at, before, after. It needs pandas."""
        pandas = require("pandas", "to_pandas")
        rows = [
            {
                "input": name,
                "model": model,
                "at": self.at[i, j],
                "before": self.before[i][j],
                "after": self.after[i][j],
            }
            for i, name in enumerate(self.inputs)
            for j, model in enumerate(self.models)
        ]
        return pandas.DataFrame(rows, columns=["input", "model", "at", "before", "after"])

    def plot(self) -> Figure:
        """The first inputs as they are drawn at 0 and where each model decides otherwise, a row each. What is no
        picture is a curve of its numbers. It needs matplotlib."""
        figures = require("matplotlib.figure", "plot")
        count, columns = self.pictures.shape[:2]
        figure: Figure = figures.Figure(figsize=(1.6 * columns + 0.6, 1.7 * count), layout="constrained")
        for row in range(count):
            for column in range(columns):
                axes = figure.add_subplot(count, columns, row * columns + column + 1)
                _draw(axes, self.pictures[row, column])
                words = self._cell(row, column - 1) if column else "0"
                axes.set_title(words, fontsize=6)
        return figure


def _draw(axes: object, values: Floats) -> None:
    """One input: a picture (1 or 3, H, W), or its numbers as a curve."""
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    axes.set_xticks([])
    axes.set_yticks([])
    if values.ndim == 3 and values.shape[0] in (1, 3):
        low, high = float(values.min()), float(values.max())
        scaled = (values - low) / (high - low) if high > low else values * 0.0
        axes.imshow(scaled[0] if len(scaled) == 1 else scaled.transpose(1, 2, 0), cmap="gray", vmin=0, vmax=1)
    else:
        axes.plot(values.ravel(), linewidth=0.8)
