"""What a query answers: a `Relation`, a sequence of `Attribution`s with their cost; it can be shown, saved and loaded.

In: finished maps, their cost and the plan's text, or the path of a file. Out: text, data frames, pictures and files.
May not know: sessions, plans, models or torch. matplotlib, pandas and shap are extras, imported where they are used.
"""

from __future__ import annotations

import dataclasses
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, overload

from ..errors import IalgebraError, IalgebraWarning, visible
from ..planner.spending import Spending
from ..system.arguments import checked, checked_fields
from ..system.markup import preformatted
from ..system.shortage import enough_memory
from . import drawn, exports, files, importance, notebook
from .attribution import Attribution
from .columns import MapColumns, columns_of
from .shown_text import ShownText
from .table import shorten, table
from .views import AttributionViews

if TYPE_CHECKING:
    import pandas
    import shap
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure


@checked_fields
@dataclass(frozen=True, kw_only=True)
class Stats:
    """The cost of a query: `rows` were run through a model for it, `reused_rows` had been run before.

    `forecast_rows` is the expected number of `rows` when the bound on the error holds; None if no bound was asked for.
    `given_up` counts the maps of a ranking that were not refined to the bound, because they could not be in the answer.
    `examined_rows` were run to learn whether the models are functions of their rows, and how large the noise of a
    random one is; they belong to no game, and are neither in `rows` nor in a budget (docs/models.md).
    """

    rows: int
    seconds: float
    bound_met: bool
    batches: int
    forward_seconds: float
    reused_rows: int
    forecast_rows: int | None = None
    given_up: int = 0
    examined_rows: int = 0

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
        """The cost of all executions of a query together; `seconds` is wall time."""
        return cls(
            rows=spending.rows,
            seconds=seconds,
            bound_met=bound_met,
            batches=spending.batches,
            forward_seconds=spending.forward_seconds,
            reused_rows=spending.reused,
            forecast_rows=forecast_rows,
            given_up=given_up,
            examined_rows=spending.examined,
        )

    def __str__(self) -> str:
        reused = f" + {self.reused_rows:,} reused" if self.reused_rows else ""
        bound = "" if self.bound_met else "; the error asked for was not reached"
        return f"{self.rows:,} rows{reused} in {self.seconds:.2f} s{bound}"


class Explorer(Protocol):
    """What an answer was asked of: a session, which can show it to be touched."""

    def explored(self, answer: Relation) -> object: ...


class Relation(Sequence[Attribution]):
    """The answer to one statement: its maps, in the order of the select list, then of the operands, and their cost.

    EXPLAIN, SHOW, DESCRIBE and the like answer with a text and no maps. `provenance` is what the answer was computed
    from, enough to repeat it: the query and all texts in force, the seed, the strategy's decisions, contents by digest,
    versions, threads (docs/repeating.md lists its entries). It is plain values, which `save` keeps with the maps.
    """

    @checked
    def __init__(
        self,
        *,
        attributions: AttributionViews | Sequence[Attribution],
        stats: Stats,
        plan: str,
        details: dict[str, object],
        text: str | None,
        query: str,
        provenance: dict[str, object],
    ) -> None:
        views = isinstance(attributions, AttributionViews)  # of arrays, which slices share
        self._attributions: Sequence[Attribution] = attributions if views else tuple(attributions)
        self._text = None if text is None else visible(text, keep="\n")
        self.stats = stats
        self.plan = visible(plan, keep="\n")
        self.details = details
        self.query = query
        self.provenance = provenance

    _asked: weakref.ref[Explorer] | None = None  # the session that answered

    def of(self, explorer: Explorer) -> Self:
        """This answer, which remembers the session that gave it, as long as that lives."""
        self._asked = weakref.ref(explorer)
        return self

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "_asked"}

    def __len__(self) -> int:
        return len(self._attributions)

    def __iter__(self) -> Iterator[Attribution]:
        return iter(self._attributions)

    @overload
    def __getitem__(self, index: int) -> Attribution: ...
    @overload
    def __getitem__(self, index: slice) -> Relation: ...
    @checked
    def __getitem__(self, index: int | slice) -> Attribution | Relation:
        if not isinstance(index, slice):
            return self._attributions[index]
        return self._changed(attributions=self._attributions[index], text=None)

    @checked
    def told(self, text: str, query: str) -> Relation:
        """The same answer with another text, for a statement that contains the query, such as EXPLAIN ANALYZE."""
        return self._changed(text=text, query=query)

    def _changed(self, **changed: Any) -> Relation:
        same = {name: getattr(self, name) for name in ("stats", "plan", "details", "query", "provenance")}
        return Relation(**{"attributions": self._attributions, "text": self._text, **same, **changed})

    @property
    def columns(self) -> MapColumns:
        """The maps as arrays, with what they share held once: for thousands of maps faster than one map at a time."""
        return columns_of(self._attributions)

    @property
    def digest(self) -> str:
        """A digest of the values and standard errors of all maps, bit for bit."""
        return self.columns.digest

    @property
    def text(self) -> str:
        """What the shell prints: the output of EXPLAIN, SHOW or DESCRIBE; for a query a table with one line per map."""
        return self._text if self._text is not None else table(self._attributions, str(self.stats))

    @property
    def is_text(self) -> bool:
        """Whether the statement answered with text (EXPLAIN, SHOW, …) and not with maps."""
        return self._text is not None or not self._attributions

    def explain(self) -> str:
        """The plan that gave this answer; `details` holds the same as a dict."""
        return ShownText(self.plan)

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
        self,
        kind: str | None = None,
        *,
        ax: Axes | Sequence[Axes],
        cmap: str | Colormap | None = None,
        path: str | Path | None = None,
    ) -> Axes | Sequence[Axes]: ...
    @checked
    def plot(
        self,
        kind: str | None = None,
        ax: Axes | Sequence[Axes] | None = None,
        cmap: str | Colormap | None = None,
        path: str | Path | None = None,
    ) -> Figure | Axes | Sequence[Axes]:
        """Draw the maps on one symmetric scale and return the figure, which a notebook shows; or draw them into `ax`.

        `kind`: 'maps' for each map over its input, an anti-join's parts side by side; of many maps together 'bar' (the
        mean of |φ|), 'beeswarm', 'dependence' (of a value on its feature); 'waterfall' for the way of each map from
        v(∅) to v(N). None: 'maps', and 'bar' for more maps of a table than can be read one by one. A picture says what
        it leaves out. `ax`: axes of matplotlib, one for each map, or one for a summary; they are returned. `cmap`:
        another colour map, or its name. `path`: a file to write, whose ending says the format (.png, .svg, .pdf,
        .html). Raises BindError for arguments that mean nothing, IalgebraError for an answer without maps, or where
        matplotlib is not installed.
        """
        if not self._attributions:
            raise IalgebraError(f"nothing to plot: `{shorten(self.query, 60)}` answers with text and has no maps")
        return drawn.plot(self._attributions, kind, ax, cmap, path, str(self.stats))

    @checked
    def importance(self, by: str | None = None) -> pandas.DataFrame:
        """What matters over all maps: for each player the mean of |φ|, the largest first, as a data frame.

        Its columns: `features` (the player's name), `importance` (the mean of |φ|), `stderr` (of that mean, over these
        maps, whose errors are taken to point one way), `mean` (of φ with its sign), `maps` (in how many it plays), all
        in units of the model's output. `by`: one importance for each target, model, layer, input, baseline, label,
        component, item or prediction (the class that the model predicts for the input), in a column of that name.
        Raises BindError for another `by`, and for 'prediction' where the query named a target; IalgebraError for an
        answer without maps, or where pandas is not installed.
        """
        return importance.importance(self._maps(), by)

    @checked
    def mean(self, by: str | None = None) -> pandas.DataFrame:
        """What the maps say on average: for each player the mean of φ with its sign, as a data frame.

        Its columns: `features` (the player's name), `mean`, `stderr` (of that mean, over these maps, whose errors are
        taken to point one way), both in units of the model's output, and `maps` (in how many it plays). `by`, and the
        errors that are raised: as of `importance`.
        """
        return importance.mean(self._maps(), by)

    def _maps(self) -> MapColumns:
        if not self._attributions:
            raise IalgebraError(f"`{shorten(self.query, 60)}` answers with text and has no maps")
        return self.columns

    def show(self) -> None:
        """Print a statement's text, or display its maps; without a display, say how to save them."""
        if self.is_text:
            print(self.text)
            return
        from . import plots

        with enough_memory("while drawing", "draw fewer maps at once, such as answer[:20].plot()"):
            shown = plots.show(self._attributions)
        if not shown:
            print(f"{self.text}\n\nno display here; save the picture with  relation.plot().savefig('maps.png')")

    def explore(self) -> object:
        """The studio below a notebook's cell: a page that begins with this answer's query, in the session that gave it.

        Where there is no widget to be had (the `notebook` extra is not installed, the session is gone, the answer was
        loaded from a file), this answer itself, which a notebook shows as a picture; a warning says why.
        """
        session = None if self._asked is None else self._asked()
        try:
            if session is None:
                raise IalgebraError("the session that gave this answer is gone, so nothing can be asked in it")
            return session.explored(self)
        except IalgebraError as missing:
            warnings.warn(IalgebraWarning(f"a picture in place of the studio: {missing.message}"), stacklevel=2)
            return self

    @checked
    def to_pandas(self, details: bool = False) -> pandas.DataFrame:
        """All maps as one long data frame: one line per map and player; with `details`, also the estimator of each."""
        with enough_memory("while copying maps", "take fewer at once, such as answer[:1000].to_pandas()"):
            return exports.frame(self.columns, details)

    def to_shap(self) -> shap.Explanation:
        """All maps as one batched `shap.Explanation`, `(n, *input_shape)` with an image's channels last."""
        with enough_memory("while copying maps", "take fewer at once, such as answer[:1000].to_shap()"):
            return exports.explanations(self.columns)

    @checked
    def save(self, path: str | Path) -> Path:
        """Write this relation to one safetensors file, atomically; `ialgebra.load(path)` reads it back."""
        document = {
            "stats": dataclasses.asdict(self.stats),
            "plan": self.plan,
            "details": self.details,
            "text": self.text if self.is_text else None,
            "query": self.query,
            "provenance": self.provenance,
        }
        return files.write(path, self.columns, document)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return preformatted(self.text) if self.is_text else notebook.picture(self._attributions, str(self.stats))


@checked
def load(path: str | Path) -> Relation:
    """The relation that `save` wrote to `path`; raises IalgebraError for a missing, damaged, foreign or newer file."""
    return files.read(path, _restored)


def _restored(maps: MapColumns, document: Mapping[str, Any]) -> Relation:
    rest = dict(document)
    return Relation(attributions=AttributionViews(maps), stats=Stats(**rest.pop("stats")), **rest)
