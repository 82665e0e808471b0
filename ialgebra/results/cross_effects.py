"""What one step along each axis does to each score: a matrix with standard errors. In: finished numbers. Out: text, a
data frame, a drawing. May not know: sessions, models or torch. pandas and matplotlib are imported where they are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import in_lines
from ..system.arrays import Floats
from ..system.markup import preformatted
from .exports import require

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

_SHOWN = 10  # columns of the text
_WIDTH = 18  # characters of an axis


@dataclass(frozen=True, eq=False, repr=False)
class CrossEffects:
    """Row `axes[i]`, column `scores[j]`: how much score j grows by one standard deviation along axis i, as a mean over
    `count` inputs, (axes, scores); `errors` are the standard errors of these means. An axis that moves one score alone
    has one large number in its row."""

    axes: tuple[str, ...]
    scores: tuple[str, ...]
    effects: Floats
    errors: Floats
    count: int

    def __str__(self) -> str:
        shown = self.scores[:_SHOWN]
        lines = [f"change of a score by one step along an axis, mean of {self.count} inputs ± standard error"]
        lines.append(" " * _WIDTH + "".join(f"{each[:16]:>18}" for each in shown))
        for name, row, errors in zip(self.axes, self.effects, self.errors, strict=True):
            cells = [f"{value:+.3g} ± {error:.2g}" for value, error in zip(row, errors, strict=True)]
            lines.append(f"{name[: _WIDTH - 1]:<{_WIDTH}}" + "".join(f"{each:>18}" for each in cells[:_SHOWN]))
        if len(self.scores) > _SHOWN:
            lines.append(f"… and {len(self.scores) - _SHOWN} more scores: to_pandas() has all")
        return in_lines(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return preformatted(str(self))

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each axis and score: effect, stderr. It needs pandas."""
        pandas = require("pandas", "to_pandas")
        rows = [
            {"axis": axis, "score": score, "effect": self.effects[i, j], "stderr": self.errors[i, j]}
            for i, axis in enumerate(self.axes)
            for j, score in enumerate(self.scores)
        ]
        return pandas.DataFrame(rows, columns=["axis", "score", "effect", "stderr"])

    def plot(self) -> Figure:
        """The matrix as a picture: red where a score grows, blue where it falls; a dot where the effect is less than
        two standard errors. It needs matplotlib."""
        figures = require("matplotlib.figure", "plot")
        figure: Figure = figures.Figure(
            figsize=(2 + 0.6 * len(self.scores), 1.5 + 0.45 * len(self.axes)), layout="constrained"
        )
        axes = figure.add_subplot()
        most = float(abs(self.effects).max()) or 1.0
        image = axes.imshow(self.effects, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto")
        axes.set_xticks(range(len(self.scores)), self.scores, rotation=60, ha="right")
        axes.set_yticks(range(len(self.axes)), self.axes)
        for i, j in zip(*(abs(self.effects) < 2 * self.errors).nonzero(), strict=True):
            axes.plot(j, i, ".", color="0.4", markersize=4)
        figure.colorbar(image, label="change by one standard deviation")
        return figure
