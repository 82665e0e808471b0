"""An `Attribution`: one attribution map with its standard errors, and texts that say where it came from.

In: finished numpy arrays and texts. Out: numbers about the map, pictures, data frames. May not know:
sessions, plans, models, files or torch. matplotlib, pandas and shap are extras, imported where they are used.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, overload

import numpy as np

from ..algebra.kinds import kind_named
from ..errors import IalgebraError, ShapeError, visible
from ..system.arguments import checked, checked_fields
from ..system.arrays import Array, Floats, Ints
from ..system.shortage import enough_memory
from . import drawn, exports, notebook
from .columns import MapColumns
from .table import error_text

if TYPE_CHECKING:
    import pandas
    import shap
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

HELD = "_held"  # where a view has its columns and its row


@checked_fields
@dataclass(frozen=True, eq=False, kw_only=True)
class Attribution:
    """One attribution map (Eq. 2, or a combination of such maps) and where it came from.

    `map`, `players` and `content` have the input's shape; `values` and `stderr` are `(d,)`, in units of the model's
    output. A player's value is spread evenly over its features, so `map.sum() == values.sum()`. A stderr of 0 means
    exact, inf means unknown; a player of −1 is a feature outside the window. Raises ShapeError if the arrays do not
    fit together. Texts are made visible: control characters in them are escapes, such as \\n.

    A relation holds arrays, of which `relation[k]` is a view: its fields are made when they are read. All its arrays
    are its own, so that writing to them changes no relation.
    """

    map: Floats
    values: Floats
    stderr: Floats
    players: Ints
    label: str
    model: str
    layer: int | None  # None: the whole model, `*`
    input: str
    baseline: str
    target: int | tuple[int, ...]
    target_name: str
    base_value: float  # v(∅) of the (combined) game
    full_value: float  # v(N)
    kind: str  # 'image', 'tabular' or 'tokens'
    content: Array
    feature_names: tuple[str, ...] | None
    method: str
    component: int | None  # the index within an anti-join, whose other maps have the same `item`; None: no anti-join
    item: int  # the index of the select item
    scores: Mapping[str, tuple[float, float]] = field(
        default_factory=dict
    )  # what a ranking read, by name: (value, stderr)
    error_bound: float | None = None  # see `bound`; None: not known beside the standard errors
    prediction: str | None = None  # the class that the model predicts for the input, by name; None: not known
    unexplained: float | None = None  # of a map over concepts: f(x) − f(x̄) less the sum of the values
    unit: str = ""  # of values and scores, one of UNITS, such as 'logits'; '' if not one, or unknown

    def __post_init__(self) -> None:
        for name in ("label", "model", "input", "baseline", "target_name", "method", "unit"):
            object.__setattr__(self, name, visible(getattr(self, name)))
        if self.prediction is not None:
            object.__setattr__(self, "prediction", visible(self.prediction))
        if self.feature_names is not None:
            object.__setattr__(self, "feature_names", tuple(visible(str(name)) for name in self.feature_names))
        if self.values.ndim != 1 or self.values.shape != self.stderr.shape:
            raise ShapeError(
                f"'{self.label}' has values of shape {self.values.shape} and standard errors of shape "
                f"{self.stderr.shape}; both are one per player, (d,)"
            )
        if not self.map.shape == self.players.shape == self.content.shape:
            raise ShapeError(
                f"'{self.label}' has a map of shape {self.map.shape}, players of shape {self.players.shape} and an "
                f"input of shape {self.content.shape}; all three have the input's shape"
            )
        if self.players.size and int(self.players.max()) >= len(self.values):
            raise ShapeError(
                f"'{self.label}' labels a feature with player {int(self.players.max())}; "
                f"it has {len(self.values)} players, counted from 0"
            )

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            held = vars(self).get(HELD)
            if held is None or name not in self.__dataclass_fields__:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            columns, row = held
            return vars(self).setdefault(name, columns.entry(name, row))

    def __getstate__(self) -> dict[str, object]:
        """The fields, also those that were not read yet: a copy is no view."""
        return {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}

    @property
    def relative_error(self) -> float:
        """The expected `‖φ̂ − φ‖₂ / ‖φ‖₂`, from the standard errors: 0 if exact, inf if unknown or all values are 0."""
        error = float(np.hypot.reduce(self.stderr))  # squares of huge or tiny values overflow or vanish
        size = float(np.hypot.reduce(self.values))
        if error == 0.0:
            return 0.0
        return error / size if size and math.isfinite(error) else math.inf

    @property
    def relevance(self) -> Floats:
        """`values / max |values|`, (d,): the local relevance of FLINT; zeros if all values are."""
        size = float(np.abs(self.values).max(initial=0.0))
        return self.values / size if size else np.zeros_like(self.values)

    @property
    def bound(self) -> float:
        """The 95 % bound of `‖φ̂ − φ‖₂ / ‖φ‖₂`, which ± shows: 0 if exact, inf if unknown. If it is not known how the
        errors of the players go together, they are taken to have one cause, which is the worst case."""
        if self.error_bound is not None:
            return self.error_bound
        return NormalDist().inv_cdf(0.975) * self.relative_error

    @checked
    def interval(self, confidence: float = 0.95) -> tuple[Floats, Floats]:
        """The normal interval `(low, high)` of each player's value, both `(d,)`; raises IalgebraError unless 0 < c <
        1."""
        if not 0.0 < confidence < 1.0:
            raise IalgebraError(
                f"a confidence of {confidence:g} is no probability; it lies between 0 and 1, such as 0.95"
            )
        with np.errstate(over="ignore"):  # of huge values an interval may end in infinity
            reach = NormalDist().inv_cdf(0.5 + confidence / 2) * self.stderr
            return self.values - reach, self.values + reach

    def heat(self) -> Floats:
        """The map of an image summed over its channels, `(H, W)`; raises ShapeError for any other kind of input."""
        if kind_named(self.kind).layout != "plane" or self.map.ndim < 2:
            shape = self.map.shape
            raise ShapeError(
                f"'{self.label}' is a map of {self.kind} of shape {shape}; heat() is for images, read .map"
            )
        heat: Floats = self.map.sum(axis=tuple(range(self.map.ndim - 2)))
        return heat

    def player_names(self) -> list[str]:
        """A readable name of each player: its features' names, or its rows and columns."""
        kind = kind_named(self.kind)
        return kind.player_names(self.players, len(self.values), self.content, self.feature_names)

    @overload
    def plot(
        self,
        kind: str | None = None,
        ax: None = None,
        cmap: str | Colormap | None = None,
        path: str | Path | None = None,
    ) -> Figure: ...
    @overload
    def plot(
        self, kind: str | None = None, *, ax: Axes, cmap: str | Colormap | None = None, path: str | Path | None = None
    ) -> Axes: ...
    @checked
    def plot(
        self,
        kind: str | None = None,
        ax: Axes | None = None,
        cmap: str | Colormap | None = None,
        path: str | Path | None = None,
    ) -> Figure | Axes:
        """Draw this map and return the figure, which a notebook shows; or draw it into `ax`, and return that.

        `kind`: None for the drawing of its kind of input, 'bar' for a bar for each player, 'waterfall' for the way from
        v(∅) to v(N). `cmap`: another colour map of matplotlib, or its name. `path`: a file to write, whose ending says
        the format (.png, .svg, .pdf, .html). Raises BindError for arguments that mean nothing, IalgebraError where
        matplotlib is not installed.
        """
        found = drawn.plot([self], kind, ax, cmap, path, repr(self))
        return found if ax is None else ax  # type: ignore[return-value]  # without axes it is a figure

    @checked
    def to_pandas(self, details: bool = False) -> pandas.DataFrame:
        """One line per player: what it is, its value, standard error and 95 % interval; with `details`, also the
        estimator."""
        with enough_memory("while copying a map", "its values are in .values"):
            return exports.frame(MapColumns.of([self]), details)

    def to_shap(self) -> shap.Explanation:
        """This map as a `shap.Explanation` of one instance; an image's channels come last, as shap expects."""
        with enough_memory("while copying a map", "its values are in .values"):
            return exports.explanation(MapColumns.of([self]))

    def __repr__(self) -> str:
        return (
            f"Attribution({self.label!r}, target {self.target_name!r}, {len(self.values)} players, "
            f"sum {self.values.sum():+.4g}{self._rest}, {error_text(self.bound, self.method, labelled=True)})"
        )

    @property
    def _rest(self) -> str:
        return "" if self.unexplained is None else f", unexplained {self.unexplained:+.4g}"

    def _repr_html_(self) -> str:
        return notebook.picture([self], repr(self))
