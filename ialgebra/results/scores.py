"""What PREDICT answers: for each input, what each model predicts and the scores of its classes, as arrays.

In: finished scores and their cost. Out: text, data frames, drawings. May not know: sessions, models or torch. pandas
and matplotlib are extras, imported where they are used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BindError, IalgebraError, did_you_mean
from ..system.arguments import checked
from ..system.arrays import Array, Floats, Ints
from .exports import require
from .relation import Relation, Stats
from .table import LINES, TARGET_WIDTH, aligned, shorten

if TYPE_CHECKING:
    import pandas

_INPUT_WIDTH = 36  # characters of an input in a table


@dataclass(frozen=True, eq=False)
class ModelScores:
    """What one model answers for n inputs.

    `predicted` (n,) are the classes that it predicts, −1 of a regression. `top` (n, k) are its classes of highest
    score, the highest first (of a regression its first outputs), and `top_scores` (n, k) their scores in `unit`.
    `targets` are the classes that were asked for, and `target_scores` (n, t) their scores. `names` has the name of
    every class that is met here. `layer` is where the model was cut; None is the model itself. `words` say that the
    model is no function of the row, if it is none.
    """

    model: str
    layer: int | None
    output: str
    unit: str
    predicted: Ints
    top: Ints
    top_scores: Floats
    targets: tuple[int, ...]
    target_scores: Floats
    names: Mapping[int, str]
    words: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The model, and the layer that it was cut after."""
        return self.model if self.layer is None else f"{self.model} layer {self.layer}"

    @property
    def is_regression(self) -> bool:
        """Whether its outputs are values, so that it predicts no class."""
        return bool((self.predicted < 0).any())

    @cached_property
    def predicted_scores(self) -> Floats:
        """The score (n,) of the class that the model predicts; of a regression that of its first output."""
        return self.top_scores[:, 0]

    def predicted_names(self) -> list[str]:
        """The name of the class that the model predicts for each input; '' of a regression."""
        return ["" if k < 0 else self.names[k] for k in self.predicted.tolist()]

    def taken(self, rows: Ints) -> ModelScores:
        """The scores of some inputs."""
        own = (self.predicted[rows], self.top[rows], self.top_scores[rows], self.targets, self.target_scores[rows])
        return ModelScores(self.model, self.layer, self.output, self.unit, *own, self.names, self.words)

    def arrays(self) -> Iterator[Array]:
        """All numbers of this model."""
        yield from (self.predicted, self.top, self.top_scores, self.target_scores)


class Scores(Relation):
    """The answer to PREDICT: a row for each input (and step of a sweep), and for each model its scores of these rows.

    `models` has a `ModelScores` for each model as written. `inputs` are the rows' inputs in words, `places` (n,) are
    theirs in a collection (−1: a single input), `steps` (n,) the values of a sweep (NaN: there is none), `labels` the
    labels that the collection was registered with, or None. `ranked` has the columns that HAVING and ORDER BY read of
    models, (n,) each. It is a `Relation` without maps, and can be asked for whatever a relation can.
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

    @property
    def size(self) -> int:
        """The number of rows."""
        return len(self.inputs)

    def _changed(self, **changed: Any) -> Relation:
        changed.pop("attributions", None)
        names = ("models", "inputs", "places", "steps", "labels", "ranked", "stats", "plan", "details", "query")
        same = {name: getattr(self, name) for name in (*names, "provenance")}
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

    @checked
    def to_pandas(self, details: bool = False) -> pandas.DataFrame:
        """A line for each row: `input`, `index`, `step` and `label` where there are any; for each model a column of its
        name with the class that it predicts, `<model> score` with that class's score, and `<model>: <class>` for each
        class that was asked for. With `details` a line for each row, model and class: `input`, `index`, `step`,
        `model`, `layer`, `rank` (1 is the highest), `class`, `score`. IalgebraError where pandas is not installed."""
        return _long_frame(self) if details else _wide_frame(self)

    def plot(self, *args: Any, **kwargs: Any) -> Any:
        raise IalgebraError("scores have no maps to plot; to_pandas() has them as a data frame")


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
    return "\n".join([*lines, *dict.fromkeys(notes), cost])


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
    return shown + (aligned(lines, texts=1) if lines else [])


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
        extra = [k for k, target in enumerate(each.targets)]
        classes = np.concatenate(
            [each.top, np.broadcast_to(np.array(each.targets, dtype=np.int64), (scores.size, len(extra)))], axis=1
        )
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
