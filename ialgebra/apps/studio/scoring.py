"""Class bars: what the models of a query predict for its input, as it is edited.

In: the text of a query, or the answer to PREDICT. Out: the text of a PREDICT, and the message `scores`. It asks nothing
itself. May not know: sockets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ...algebra.windows import sql_name
from ...catalog.catalog import Catalog
from ...models.checksums import UnreadableNumbers, checksum
from ...models.network import Network
from ...results.model_scores import ModelScores
from ...results.scores import Scores
from .likely import ShownInput, shown_input

_SHOWN: Final = 12  # classes of a row, the most likely ones
_MOST_ROWS: Final = 60  # elements of a collection
_MOST_CLASSES: Final = 4096  # of a model all of whose classes are asked for


class WantedScores(NamedTuple):
    """The PREDICT for the class bars of a question, and its answer, if that is known already."""

    text: str
    answer: Scores | None


@dataclass(frozen=True, eq=False)
class KnownScores:
    """An answer to PREDICT, and what it depends on: its text, the models with their contents, the inputs."""

    text: str
    scores: Scores
    means: tuple[object, ...]

    @classmethod
    def of(cls, text: str, scores: Scores, catalog: Catalog) -> KnownScores:
        """What was answered over a catalog."""
        return cls(text, scores, _means(scores, catalog))

    def answer(self, text: str, catalog: Catalog) -> Scores | None:
        """The answer to a text over a catalog, if it is this one."""
        return self.scores if text == self.text and self.means == _means(self.scores, catalog) else None


def wanted(text: str, catalog: Catalog, last: KnownScores | None) -> WantedScores | None:
    """What the class bars of a query need; None where it shows no input."""
    found = prediction_text(text, catalog)
    return None if found is None else WantedScores(found, None if last is None else last.answer(found, catalog))


def _means(scores: Scores, catalog: Catalog) -> tuple[object, ...]:
    """The models that were read, with sums of their numbers, and what names of inputs mean. No model is waited for."""
    models = [catalog.models.get(each.model) for each in scores.models]
    return (*(each and (each, each.outputs, *_sums(each)) for each in models), tuple(catalog.inputs.items()))


def _sums(network: Network) -> Iterator[object]:
    yield from network.heads_fingerprint().items()
    for net in network.nets:
        for tensor in (*net.parameters(recurse=False), *net.buffers(recurse=False)):
            try:
                yield checksum(tensor)
            except UnreadableNumbers:  # whether it changed cannot be told
                yield object()


def prediction_text(text: str, catalog: Catalog) -> str | None:
    """The PREDICT of the models and the input that a query shows first; None where it shows none."""
    shown = shown_input(text, catalog)
    if shown is None or not all(model in catalog.models for model in shown.models):
        return None
    return prediction_of(shown, shown.models, catalog)


def prediction_of(shown: ShownInput, models: Sequence[str], catalog: Catalog) -> str:
    """The PREDICT of some models for an input."""
    asked = ", ".join(_model(model, catalog) for model in models)
    which = "" if shown.registered is None else _which(shown.index, catalog, shown.registered)
    return f"predict {asked} from {shown.text}{which}"


def _model(name: str, catalog: Catalog) -> str:
    network, options = catalog.models[name], []
    if not network.probed or network.outputs.meaning != "values":
        options.append("output => 'probability'")
    if network.probed and network.class_count <= _MOST_CLASSES:
        options.append("target => all")
    return f"{sql_name(name)}({', '.join(options)})" if options else sql_name(name)


def _which(index: int | None, catalog: Catalog, name: str) -> str:
    """Which elements of a collection."""
    entry = catalog.visible.get(name)
    if entry is None or not entry.collection:
        return ""
    if index is not None:
        return f" having index = {index}"
    return f" having index < {_MOST_ROWS}" if len(entry.elements) > _MOST_ROWS else ""


def scores_message(scores: Scores, wanted: Sequence[str]) -> dict[str, object]:
    """The message for an answer to PREDICT, with the most likely classes and the `wanted` ones of every row."""
    rows = [_row(scores, model, row, wanted) for row in range(min(scores.size, _MOST_ROWS)) for model in scores.models]
    models = list(dict.fromkeys(model.model for model in scores.models))
    return {"type": "scores", "models": models, "rows": rows, "total": scores.size}


def _row(scores: Scores, model: ModelScores, row: int, wanted: Sequence[str]) -> dict[str, object]:
    values = dict(zip(model.top[row].tolist(), model.top_scores[row].tolist(), strict=True))
    values |= dict(zip(model.targets, model.target_scores[row].tolist(), strict=True))
    order = sorted(values, key=lambda k: (-values[k], k)) if not model.is_regression else list(values)
    shown = [k for place, k in enumerate(order) if place < _SHOWN or model.names[k] in wanted]
    index, step = int(scores.places[row]), float(scores.steps[row])
    return {
        "input": scores.inputs[row],
        "index": None if index < 0 else index,
        "step": step if step == step else None,
        "model": model.model,
        "layer": model.layer,
        "prediction": model.predicted_names()[row] or None,
        "classes": [model.names[k] for k in shown],
        "probabilities": [values[k] for k in shown],
        "raw": model.unit != "probability",
        "unit": model.unit,
    }


def runner_up(scores: Scores | None) -> str | None:
    """The class that came second for the first input; None where there is none."""
    if scores is None or not scores.size or scores.models[0].is_regression:
        return None
    model = scores.models[0]
    second = [k for k in model.top[0].tolist() if k != int(model.predicted[0])]
    return model.names[second[0]] if second else None
