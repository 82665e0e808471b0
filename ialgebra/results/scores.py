"""What PREDICT answers: for each input, what each model predicts and the scores of its classes, as arrays.

In: finished scores and their cost. Out: text, data frames, drawings. May not know: sessions, models or torch. pandas
and matplotlib are extras, imported where they are used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BindError, IalgebraError, did_you_mean
from ..system.arguments import checked
from ..system.arrays import Array, Bools, Floats, Ints
from ..system.markup import preformatted
from .exports import require
from .model_scores import ModelScores
from .relation import Relation, Stats
from .scored_inputs import ScoredInputs
from .table import LINES, TARGET_WIDTH, aligned, shorten

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

_INPUT_WIDTH = 36  # characters of an input in a table


class Scores(Relation):
    """The answer to PREDICT: a row for each input (and step of a sweep), and for each model its scores of these rows.

    `models` has a `ModelScores` for each model as written. `inputs` are the rows' inputs in words, `places` (n,) are
    theirs in a collection (−1: a single input), `steps` (n,) the values of a sweep (NaN: there is none), `labels` the
    labels that the collection was registered with, or None. `ranked` has the columns that HAVING and ORDER BY read of
    models, (n,) each; of counterfactuals `agreeing` has the other models of these classes, and whether each predicts
    the class that a row was led to, (n,). `notes` are sentences about the answer. `contents` are the inputs themselves,
    which are made again when they are looked at. It is a `Relation` without maps, and can be asked for whatever a
    relation can.
    """

    @checked
    def __init__(
        self,
        *,
        models: tuple[ModelScores, ...],
        inputs: tuple[str, ...],
        places: Ints,
        steps: Floats,
        labels: tuple[str, ...] | None,
        ranked: Mapping[str, Floats],
        stats: Stats,
        plan: str,
        details: dict[str, object],
        query: str,
        provenance: dict[str, object],
        text: str | None = None,
        contents: ScoredInputs | None = None,
        notes: tuple[str, ...] = (),
        agreeing: Mapping[str, Bools] | None = None,
    ) -> None:
        super().__init__(
            attributions=(), stats=stats, plan=plan, details=details, text=text, query=query, provenance=provenance
        )
        self.models = models
        self.inputs = inputs
        self.places = places
        self.steps = steps
        self.labels = labels
        self.ranked = ranked
        self.contents = contents
        self.notes = notes
        self.agreeing = agreeing or {}

    @property
    def size(self) -> int:
        """The number of rows."""
        return len(self.inputs)

    def _changed(self, **changed: Any) -> Relation:
        changed.pop("attributions", None)
        rows = ("models", "inputs", "places", "steps", "labels", "ranked", "contents", "notes", "agreeing")
        same = {name: getattr(self, name) for name in (*rows, "stats", "plan", "details", "query", "provenance")}
        return Scores(**{"text": self._text, **same, **changed})

    @property
    def text(self) -> str:
        """What the shell prints: a line for each row; of one row, a line for each class."""
        return self._text if self._text is not None else _table(self)

    @property
    def is_text(self) -> bool:
        """True: there are no maps to draw."""
        return True

    @checked
    def model(self, name: str) -> ModelScores:
        """The scores of the first model that is called so; BindError for another name."""
        for each in self.models:
            if each.model == name:
                return each
        known = [each.model for each in self.models]
        raise BindError(f"no scores of a model '{name}'{did_you_mean(name, known)}")

    @property
    def digest(self) -> str:
        """A digest of all numbers of the answer, bit for bit."""
        found = hashlib.blake2b(digest_size=8)
        for array in self.arrays():
            found.update(array.tobytes())
        return found.hexdigest()

    def arrays(self) -> Iterator[Array]:
        """All numbers of the answer, in a fixed order."""
        yield from (self.places, self.steps)
        for each in self.models:
            yield from each.arrays()
        yield from self.ranked.values()
        yield from self.agreeing.values()

    @checked
    def to_pandas(self, details: bool = False) -> pandas.DataFrame:
        """A line for each row: `input`, `index`, `step` and `label` where there are any; for each model a column of its
        name with the class that it predicts, `<model> score` with that class's score, and `<model>: <class>` for each
        class that was asked for; of counterfactuals `<model> agrees` for each other model of these classes. With
        `details` a line for each row, model and class: `input`, `index`, `step`, `model`, `layer`, `rank` (1 is the
        highest), `class`, `score`. IalgebraError where pandas is not installed."""
        return _long_frame(self) if details else _wide_frame(self)

    @checked
    def plot(  # type: ignore[override]  # scores have kinds of their own, and no axes to share
        self, kind: str | None = None, path: str | Path | None = None
    ) -> Figure:
        """The scores as a picture: 'curves' over the steps of a sweep (of the classes asked for, or else of those that
        are the highest somewhere) with the inputs of some steps under them, or 'bars' of each input's classes of
        highest score, of the first dozen inputs. None: curves of a sweep, else bars. `path`: a file to write, whose
        ending says the format. Raises BindError for another kind, and for curves without steps; IalgebraError for no
        scores, where the inputs have changed since they were read, or where matplotlib is not installed.
        """
        from . import plots
        from .plots import score_plots

        swept = not np.isnan(self.steps).any() and self.size > 0
        kind = kind or ("curves" if swept else "bars")
        if kind not in score_plots.SCORE_PLOTS:
            raise BindError(f"unknown kind of plot '{kind}'{did_you_mean(kind, score_plots.SCORE_PLOTS)}")
        if not self.size:
            raise IalgebraError("there are no scores to plot")
        if kind == "curves" and not swept:
            raise BindError("curves are drawn over steps, and this answer has none; steps(low, high, n) makes them")
        found = score_plots.score_picture(self, kind)
        if path is not None:
            plots.save(found, Path(path))
        return found

    @checked
    def export(self, path: str | Path, *others: Scores) -> Path:
        """Write one page of HTML that needs nothing else and works when it is opened from disk: the inputs as small
        pictures, a slider over the steps of the sweep, and the scores of every model beside it. With `others`, answers
        about more inputs or along other axes, a second slider goes from one answer to the next. Returns the path.

        Raises BindError for no scores, and for more pictures than a page holds; IalgebraError where the inputs have
        changed since they were read, or the file cannot be written.
        """
        from . import exploration_page

        return exploration_page.write(Path(path), (self, *others))

    def save(self, path: str | Path) -> Path:
        """Raises IalgebraError: a relation's file holds maps."""
        raise IalgebraError("a relation's file holds maps, not scores; to_pandas().to_csv(path) writes these")

    def _repr_html_(self) -> str:
        return preformatted(self.text)


def _columns_of_rows(scores: Scores) -> dict[str, list[str]]:
    """The columns that say which row a line is."""
    found = {"input": list(scores.inputs)}
    if not np.isnan(scores.steps).all():
        found["step"] = [f"{step:g}" for step in scores.steps.tolist()]
    if scores.labels is not None:
        found["label"] = list(scores.labels)
    return found


def _table(scores: Scores) -> str:
    cost = str(scores.stats)
    if not scores.size:
        return f"no input is left\n{cost}"
    notes = [f"{each.label} is {' and '.join(each.words)}" for each in scores.models if each.words]
    lines = _of_one(scores) if scores.size == 1 else _of_many(scores)
    return "\n".join([*lines, *dict.fromkeys([*notes, *scores.notes]), cost])


def _of_one(scores: Scores) -> list[str]:
    """One row: for each model a line for each class."""
    shown = []
    for each in scores.models:
        layer = "" if each.layer is None else f" layer {each.layer}"
        lines = [(f"{each.model}({shorten(scores.inputs[0], _INPUT_WIDTH)}){layer}", each.unit or "score")]
        known = dict(zip(each.top[0].tolist(), each.top_scores[0].tolist(), strict=True))
        known |= dict(zip(each.targets, each.target_scores[0].tolist(), strict=True))
        lines += [(shorten(each.names[k], TARGET_WIDTH), f"{score:.4g}") for k, score in known.items()]
        left = len(lines) - 1 - LINES
        shown += aligned(lines[: LINES + 1], texts=1) + ([f"… and {left:,} more classes"] if left > 0 else [])
    lines = [(name, f"{values[0]:.4g}") for name, values in scores.ranked.items()]
    lines += [("agree", _agree(scores, 0))] if scores.agreeing else []
    return shown + (aligned(lines, texts=1) if lines else [])


def _agree(scores: Scores, row: int) -> str:
    """Which other models predict the class that a row was led to."""
    names = [name for name, each in scores.agreeing.items() if each[row]]
    return f"{len(names)} of {len(scores.agreeing)}" + (f": {', '.join(names)}" if names else "")


def _of_many(scores: Scores) -> list[str]:
    """A line for each row: what each model predicts, and the scores that were asked for."""
    rows = min(scores.size, LINES)
    columns = [
        [name, *(shorten(word, _INPUT_WIDTH) for word in words[:rows])]
        for name, words in _columns_of_rows(scores).items()
    ]
    texts = set(range(len(columns)))
    for each in scores.models:
        if each.is_regression:
            for k in range(each.top.shape[1]):
                name = each.label if each.top.shape[1] == 1 else f"{each.label}: {each.names[k]}"
                columns.append([name, *(f"{score:.4g}" for score in each.top_scores[:rows, k])])
        else:
            texts.add(len(columns))
            columns.append(
                [each.label, *(shorten(word, TARGET_WIDTH) for word in each.taken(np.arange(rows)).predicted_names())]
            )
            columns.append([each.unit or "score", *(f"{score:.4g}" for score in each.predicted_scores[:rows])])
        for k, target in enumerate(each.targets):
            name = f"{each.label}: {shorten(each.names[target], TARGET_WIDTH)}"
            columns.append([name, *(f"{score:.4g}" for score in each.target_scores[:rows, k])])
    if scores.agreeing:
        texts.add(len(columns))
        columns.append(["agree", *(_agree(scores, row) for row in range(rows))])
    for name, values in scores.ranked.items():
        columns.append([name, *(f"{value:.4g}" for value in values[:rows])])
    lines = aligned(list(zip(*columns, strict=True)), texts)
    left = scores.size - rows
    return [*lines, *([f"… and {left:,} more: answer.to_pandas() has all"] if left else [])]


def _wide_frame(scores: Scores) -> pandas.DataFrame:
    pandas = require("pandas", "pandas")
    found: dict[str, object] = _identity_columns(scores)
    for each in scores.models:
        if not each.is_regression:
            found[each.label] = each.predicted_names()
            found[f"{each.label} score"] = each.predicted_scores
        else:
            for k in range(each.top.shape[1]):
                found[f"{each.label}: {each.names[k]}"] = each.top_scores[:, k]
        for k, target in enumerate(each.targets):
            found[f"{each.label}: {each.names[target]}"] = each.target_scores[:, k]
    found |= {f"{name} agrees": each for name, each in scores.agreeing.items()}
    return pandas.DataFrame(found | dict(scores.ranked))


def _identity_columns(scores: Scores) -> dict[str, Any]:
    found: dict[str, Any] = {"input": np.array(scores.inputs, dtype=object)}
    if (scores.places >= 0).any():
        found["index"] = scores.places
    if not np.isnan(scores.steps).all():
        found["step"] = scores.steps
    if scores.labels is not None:
        found["label"] = np.array(scores.labels, dtype=object)
    return found


def _long_frame(scores: Scores) -> pandas.DataFrame:
    pandas = require("pandas", "pandas")
    parts = []
    for each in scores.models:
        targets = np.broadcast_to(np.array(each.targets, dtype=np.int64), (scores.size, len(each.targets)))
        classes = np.concatenate([each.top, targets], axis=1)
        values = np.concatenate([each.top_scores, each.target_scores], axis=1)
        width = classes.shape[1]
        rank = np.broadcast_to(np.arange(1, width + 1), classes.shape).astype(np.float64).copy()
        rank[:, each.top.shape[1] :] = np.nan
        again = np.zeros(classes.shape, dtype=bool)
        for k in range(each.top.shape[1], width):
            again[:, k] = (classes[:, :k] == classes[:, [k]]).any(axis=1)
        rows = np.repeat(np.arange(scores.size), width)
        columns: dict[str, object] = {name: column[rows] for name, column in _identity_columns(scores).items()}
        columns |= {
            "model": each.model,
            "layer": each.layer,
            "rank": rank.ravel(),
            "class": [each.names[k] for k in classes.ravel().tolist()],
            "score": values.ravel(),
        }
        frame = pandas.DataFrame(columns)[~again.ravel()]
        parts.append(frame.astype({"layer": "Int64", "rank": "Int64"}))
    return pandas.concat(parts, ignore_index=True)
