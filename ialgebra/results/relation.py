"""What a query answers: a `Relation`, a sequence of `Attribution`s, each one map with its standard errors.

Comes in: finished numpy arrays and the words that describe them. Goes out: values, text tables, data frames, pictures
and files. May not know: sessions, plans, models or torch. matplotlib, pandas and shap are extras, imported where they
are used.
"""

from __future__ import annotations

import base64
import html
import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from types import ModuleType
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ..errors import IalgebraError, ShapeError
from ..planner.spending import Spending
from ..system.arrays import Array, Floats, Ints

if TYPE_CHECKING:
    import pandas
    import shap
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, kw_only=True)
class Attribution:
    """One attribution map (Eq. 2, or a combination of such maps) and where it came from.

    `map`, `players` and `content` have the input's shape; `values` and `stderr` are `(d,)`, in units of the model's
    output. A player's value is spread evenly over its features, so `map.sum() == values.sum()`. A stderr of 0 means
    exact, inf means unknown; a player of −1 is a feature outside the window. Raises ShapeError where the arrays do not
    fit together.
    """

    map: Floats
    values: Floats
    stderr: Floats
    players: Ints
    label: str
    model: str
    layer: int | None  # None is the model itself, `*`
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
    component: int | None  # the index within an anti-join; its siblings share `item`
    item: int  # the index of the select item
    scores: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # what a ranking read: value, stderr

    def __post_init__(self) -> None:
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

    @property
    def relative_error(self) -> float:
        """The expected `‖φ̂ − φ‖₂ / ‖φ‖₂`, from the standard errors: 0 if exact, inf if unknown or all values are 0."""
        error = float(np.hypot.reduce(self.stderr))  # squares of huge or tiny values would not be numbers
        size = float(np.hypot.reduce(self.values))
        if error == 0.0:
            return 0.0
        return error / size if size and math.isfinite(error) else math.inf

    def interval(self, confidence: float = 0.95) -> tuple[Floats, Floats]:
        """The normal interval `(low, high)` of each player's value, both `(d,)`; raises IalgebraError unless 0 < c <
        1."""
        if not 0.0 < confidence < 1.0:
            raise IalgebraError(
                f"a confidence of {confidence:g} is no probability; it lies between 0 and 1, such as 0.95"
            )
        reach = NormalDist().inv_cdf(0.5 + confidence / 2) * self.stderr
        return self.values - reach, self.values + reach

    def heat(self) -> Floats:
        """The map of an image summed over its channels, `(H, W)`; raises ShapeError for any other kind of input."""
        if self.kind != "image" or self.map.ndim < 2:
            shape = self.map.shape
            raise ShapeError(
                f"'{self.label}' is a map of {self.kind} of shape {shape}; heat() is for images, read .map"
            )
        heat: Floats = self.map.sum(axis=tuple(range(self.map.ndim - 2)))
        return heat

    def player_names(self) -> list[str]:
        """What a person would call each player: its features' names, or the rows and columns that it spans."""
        if self.kind == "image":
            return _boxes(self.players, len(self.values))
        if self.feature_names is not None:
            words = list(self.feature_names)
        else:
            words = [str(word) for word in self.content.ravel()] if self.kind == "tokens" else []
        members: list[list[str]] = [[] for _ in self.values]
        for feature, player in enumerate(self.players.ravel()):
            if player >= 0:
                members[player].append(words[feature] if feature < len(words) else f"feature {feature}")
        return [", ".join(names[:3]) + (f" +{len(names) - 3}" if len(names) > 3 else "") for names in members]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw this map over its input, into `ax` or a figure of its own, and return the axes."""
        from . import plots

        return plots.attribution(self, ax)

    def to_pandas(self) -> pandas.DataFrame:
        """One line per player: what it is, its value, standard error and 95 % interval."""
        return Relation._frame([self])

    def to_shap(self) -> shap.Explanation:
        """This map as a `shap.Explanation` of one instance; an image's channels come last, as shap expects."""
        return _require("shap", "peers").Explanation(
            values=_channels_last(self, self.map),
            base_values=self.base_value,
            data=_channels_last(self, self.content),
            feature_names=None if self.feature_names is None else list(self.feature_names),
        )

    def __repr__(self) -> str:
        return (
            f"Attribution({self.label!r}, target {self.target_name!r}, {len(self.values)} players, "
            f"sum {self.values.sum():+.4g}, {error_text(self.relative_error)})"
        )

    def _repr_html_(self) -> str:
        return _picture([self], repr(self))


@dataclass(frozen=True, kw_only=True)
class Stats:
    """What a query cost: `rows` inputs pushed through a model for it, and `reused_rows` that were paid for before.

    `forecast_rows` is what `rows` is expected to be when the bound on the error holds; None where none was asked for.
    `given_up` counts the maps of a ranking that were not refined to the bound, because they could not be in the answer.
    """

    rows: int
    seconds: float
    bound_met: bool
    batches: int
    forward_seconds: float
    reused_rows: int
    forecast_rows: int | None = None
    given_up: int = 0

    @classmethod
    def of(
        cls,
        spending: Spending,
        seconds: float,
        *,
        bound_met: bool,
        forecast_rows: int | None = None,
        given_up: int = 0,
    ) -> Stats:
        """What a query's executions took together, in `seconds` of wall time."""
        return cls(
            rows=spending.rows,
            seconds=seconds,
            bound_met=bound_met,
            batches=spending.batches,
            forward_seconds=spending.forward_seconds,
            reused_rows=spending.reused,
            forecast_rows=forecast_rows,
            given_up=given_up,
        )

    def __str__(self) -> str:
        reused = f" + {self.reused_rows:,} reused" if self.reused_rows else ""
        bound = "" if self.bound_met else "; the error asked for was not reached"
        return f"{self.rows:,} rows{reused} in {self.seconds:.2f} s{bound}"


class Relation(Sequence[Attribution]):
    """The answer to one statement: its maps, in the order of the select list, then of the operands, and their cost.

    EXPLAIN, SHOW, DESCRIBE and the like answer with a text and no maps. `provenance` is what the answer was made from,
    enough to have it again: the query and all texts in force, the seed, the strategy's decisions, contents by digest,
    versions, threads (docs/repeating.md lists its entries). It is plain values, which `save` keeps with the maps.
    """

    def __init__(
        self,
        *,
        attributions: Sequence[Attribution],
        stats: Stats,
        plan: str,
        details: dict[str, object],
        text: str | None,
        query: str,
        provenance: dict[str, object],
    ) -> None:
        self._attributions = tuple(attributions)
        self._text = text
        self.stats = stats
        self.plan = plan
        self.details = details
        self.query = query
        self.provenance = provenance

    def __len__(self) -> int:
        return len(self._attributions)

    @overload
    def __getitem__(self, index: int) -> Attribution: ...
    @overload
    def __getitem__(self, index: slice) -> Relation: ...
    def __getitem__(self, index: int | slice) -> Attribution | Relation:
        if not isinstance(index, slice):
            return self._attributions[index]
        return self._but(attributions=self._attributions[index], text=None)

    def told(self, text: str, query: str) -> Relation:
        """The same answer to a statement that is more than the query, and says `text`."""
        return self._but(text=text, query=query)

    def _but(self, **changed: Any) -> Relation:
        same = {name: getattr(self, name) for name in ("stats", "plan", "details", "query", "provenance")}
        return Relation(**{"attributions": self._attributions, "text": self._text, **same, **changed})

    @property
    def text(self) -> str:
        """What the shell prints: the output of EXPLAIN, SHOW or DESCRIBE; for a query a table with one line per map."""
        return self._text if self._text is not None else _table(self._attributions, self.stats)

    @property
    def is_text(self) -> bool:
        """Whether the statement answered in words (EXPLAIN, SHOW, …) rather than in maps."""
        return self._text is not None or not self._attributions

    def explain(self) -> str:
        """The plan that gave this answer; `details` holds the same as a dict."""
        return self.plan

    def plot(self) -> Figure:
        """One panel per map over its input, all on one symmetric colour scale, an anti-join's parts side by side."""
        if not self._attributions:
            raise IalgebraError(f"nothing to plot: `{_shorten(self.query, 60)}` answers with text and has no maps")
        from . import plots

        return plots.figure(self._attributions)

    def show(self) -> None:
        """Print a statement's text, or display its maps; where there is no display, say how to save them."""
        if self.is_text:
            print(self.text)
            return
        from . import plots

        if not plots.show(self._attributions):
            print(f"{self.text}\n\nno display here; save the picture with  relation.plot().savefig('maps.png')")

    def to_pandas(self) -> pandas.DataFrame:
        """All maps as one long data frame: one line per map and player."""
        return self._frame(self._attributions)

    def to_shap(self) -> shap.Explanation:
        """All maps as one batched `shap.Explanation`, `(n, *input_shape)` with an image's channels last."""
        if len({a.map.shape for a in self._attributions}) != 1:
            shapes = ", ".join(str(shape) for shape in sorted({a.map.shape for a in self._attributions})) or "no shape"
            raise ShapeError(f"shap stacks maps of one shape and these have {shapes}; convert them one by one")
        first = self._attributions[0]
        return _require("shap", "peers").Explanation(
            values=np.stack([_channels_last(a, a.map) for a in self._attributions]),
            base_values=np.array([a.base_value for a in self._attributions]),
            data=np.stack([_channels_last(a, a.content) for a in self._attributions]),
            feature_names=None if first.feature_names is None else list(first.feature_names),
        )

    def save(self, path: str | Path) -> Path:
        """Write this relation to one safetensors file, whole or not at all; `ialgebra.load(path)` reads it back."""
        from . import files

        return files.save(self, path)

    @staticmethod
    def _frame(attributions: Sequence[Attribution]) -> pandas.DataFrame:
        pandas = _require("pandas", "pandas")
        pieces = []
        for a in attributions:
            low, high = a.interval()
            about = {"item": a.item, "label": a.label, "component": a.component, "model": a.model, "layer": a.layer}
            about |= {"input": a.input, "baseline": a.baseline, "target": a.target_name, "method": a.method}
            figures = {"value": a.values, "stderr": a.stderr, "low": low, "high": high}
            names = {"player": np.arange(len(a.values)), "features": a.player_names()}
            pieces.append(pandas.DataFrame(about | names | figures).astype({"component": "Int64", "layer": "Int64"}))
        return pandas.concat(pieces, ignore_index=True) if pieces else pandas.DataFrame()

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return _pre(self.text) if self.is_text else _picture(self._attributions, str(self.stats))


def error_text(relative_error: float) -> str:
    """A map's error for people: `exact`, `± 3.1 %` or `error unknown`."""
    if relative_error == 0.0:
        return "exact"
    return f"± {100 * relative_error:.2g} %" if math.isfinite(relative_error) else "error unknown"


def _table(attributions: Sequence[Attribution], stats: Stats) -> str:
    """One line per map in aligned columns, and what the query cost below them."""
    if not attributions:
        return "done"
    head = ("map", "target", "v(∅)", "v(N)", "players", "error", "method")
    lines = [
        (
            _shorten(a.label, 44),
            _shorten(a.target_name, 24),
            f"{a.base_value:.4g}",
            f"{a.full_value:.4g}",
            f"{len(a.values):,}",
            error_text(a.relative_error),
            a.method,
        )
        for a in attributions
    ]
    widths = [max(len(line[column]) for line in (head, *lines)) for column in range(len(head))]
    sides = (str.ljust, str.ljust, str.rjust, str.rjust, str.rjust, str.rjust, str.ljust)
    aligned = (
        "  ".join(side(word, width) for side, word, width in zip(sides, line, widths, strict=True)).rstrip()
        for line in (head, *lines)
    )
    return "\n".join([*aligned, str(stats)])


def _shorten(text: str, width: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def _boxes(players: Ints, count: int) -> list[str]:
    """The rows and columns that every player of an image spans; `players` is `(…, H, W)`."""
    rows, cols = np.broadcast_arrays(*np.ogrid[tuple(slice(n) for n in players.shape)])[-2:]
    spans = []
    for index in (rows, cols):
        low, high = np.full(count, players.size), np.full(count, -1)
        inside = players >= 0
        np.minimum.at(low, players[inside], index[inside])
        np.maximum.at(high, players[inside], index[inside])
        spans.append((low.tolist(), high.tolist()))
    (top, bottom), (left, right) = spans
    return [
        f"rows {first}-{last}, cols {near}-{far}" if last >= 0 else "no features"
        for first, last, near, far in zip(top, bottom, left, right, strict=True)
    ]


def _channels_last(attribution: Attribution, array: Array) -> Array:
    return np.moveaxis(array, 0, -1) if attribution.kind == "image" and array.ndim == 3 else array


def _pre(text: str) -> str:
    return f"<pre>{html.escape(text)}</pre>"


_DRAWN = 24  # maps that a notebook draws unasked


def _picture(attributions: Sequence[Attribution], caption: str) -> str:
    """An HTML figure with the maps as an inline PNG, or their table where matplotlib is absent."""
    try:
        from . import plots
    except IalgebraError:
        return _pre("\n".join(repr(a) for a in attributions))
    if len(attributions) > _DRAWN:
        caption += f" (the first {_DRAWN} of {len(attributions)} maps; plot() draws all)"
        attributions = attributions[:_DRAWN]
    picture = base64.b64encode(plots.png(plots.figure(attributions))).decode("ascii")
    alt = html.escape("; ".join(repr(a) for a in attributions), quote=True)
    return (
        f'<figure style="margin:0"><img style="max-width:100%" alt="{alt}" src="data:image/png;base64,{picture}">'
        f'<figcaption style="color:#666;font-size:85%">{html.escape(caption)}</figcaption></figure>'
    )


def _require(module: str, extra: str) -> ModuleType:
    """An optional module, or an IalgebraError that says which extra brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as cause:
        remedy = f'pip install "ialgebra[{extra}]"'
        raise IalgebraError(f"this needs {module}, which is not installed; run: {remedy}") from cause
