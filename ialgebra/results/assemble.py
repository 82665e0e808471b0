"""From estimated maps to the arrays that relations hold, with their labels and warnings.

In: a plan's outputs and their estimated maps. Out: their columns. It plans nothing and runs nothing.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from types import FrameType
from typing import NamedTuple

import numpy as np

from ..algebra.kinds import KINDS
from ..algebra.kinds.naming import TextNames
from ..algebra.packings import packing_of
from ..algebra.sources import Source
from ..catalog.catalog import Catalog
from ..catalog.inputs import Entry
from ..catalog.scales import doubt
from ..catalog.texts import token_name
from ..errors import IalgebraWarning, visible
from ..estimation.maps import EstimatedMap
from ..execution.tables import Outcome
from ..models.adapters.hugging_face import speaks
from ..models.behaviour import BATCH_DEPENDENT, warning
from ..models.network import Network
from ..planner.codes import asks_concepts, coded, played_on
from ..planner.games import Answer, Leaf, Predicted
from ..planner.physical import PlanOutput
from ..system.arrays import Array, Floats
from .columns import CodedColumn, MapColumns, ReadContents, joined, named_features, partitions, starts_of, texts

CONFIDENCE_SHOWN = 0.95  # of the errors that answers and EXPLAIN ANALYZE show


class FoundMap(NamedTuple):
    """One map of an answer: its output and its answer in the plan, its estimate, and what a ranking read of it."""

    output: PlanOutput
    answer: Answer
    estimate: EstimatedMap
    scores: Mapping[str, tuple[float, float]]


def columns(maps: Sequence[FoundMap], outcome: Outcome, catalog: Catalog) -> MapColumns:
    """The maps of an answer, with their labels, as arrays."""
    estimates, reading = [each.estimate for each in maps], _Reading(outcome, catalog)
    words = [reading.words(each.answer, each.output.label) for each in maps]
    sources = [_drawn(each.answer.shown[0], catalog) for each in maps]
    entries = [catalog.input(source.name) for source in sources]
    errors = [_errors(each) for each in estimates]
    return MapColumns(
        values=joined([each.values for each in estimates]),
        stderr=joined([stderr for stderr, _ in errors]),
        starts=starts_of([len(each.values) for each in estimates]),
        base_value=np.array([each.base for each in estimates], dtype=np.float64),
        full_value=np.array([each.full for each in estimates], dtype=np.float64),
        error_bound=np.array([bound for _, bound in errors], dtype=np.float64),
        players=partitions([each.labels for each in estimates]),
        content=_contents(sources, catalog),
        label=texts([each.label for each in words]),
        model=texts([each.model for each in words]),
        layer=CodedColumn.of([each.layer for each in words]),
        input=texts([each.input for each in words]),
        baseline=texts([each.answer.baseline for each in maps]),
        target=CodedColumn.of([each.target for each in words]),
        target_name=texts([each.target_name for each in words]),
        kind=CodedColumn.of([entry.kind for entry in entries]),
        feature_names=named_features(
            [_names(source, entry, catalog) for source, entry in zip(sources, entries, strict=True)]
        ),
        method=texts([each.method for each in estimates]),
        component=CodedColumn.of([each.answer.component for each in maps]),
        item=CodedColumn.of([each.output.item for each in maps]),
        scores=CodedColumn.of_objects([each.scores or _NO_SCORES for each in maps]),
        unit=texts([each.unit for each in words]),
        prediction=CodedColumn.of([each.prediction for each in words]),
        unexplained=CodedColumn.of([_unexplained(each) for each in estimates]),
        own={row: each.asked for row, each in enumerate(estimates) if each.asked is not None},
    )


def _contents(sources: Sequence[Source], catalog: Catalog) -> CodedColumn[Array]:
    """The inputs as people read them: texts, if some values of a frame are no numbers; "" where one is missing. Inputs
    that are read when they are needed are left where they are."""
    if any(catalog.input(source.name).block is not None for source in sources):
        read = CodedColumn.of(sources)
        kept = catalog.inputs_again()
        return CodedColumn(read.codes, ReadContents(tuple(partial(_content, kept, each) for each in read.table)))
    column = CodedColumn.of_objects([catalog.element(source) for source in sources])
    alike: dict[tuple[object, ...], list[int]] = {}  # inputs of one packing are read together
    for number, each in enumerate(column.table):
        alike.setdefault((id(packing_of(each.tensor)), each.tensor.shape), []).append(number)
    shown: dict[int, Array] = {}
    for numbers in alike.values():
        packing = packing_of(column.table[numbers[0]].tensor)
        arrays: list[Array] = [column.table[number].array for number in numbers]
        shown.update(zip(numbers, arrays if packing is None else packing.shown(np.stack(arrays)), strict=True))
    return CodedColumn(column.codes, tuple(shown[number] for number in range(len(shown))))


def _content(catalog: Catalog, source: Source) -> Array:
    """An input as people read it."""
    element = catalog.element(source)
    packing = packing_of(element.tensor)
    return element.array if packing is None else packing.shown(element.array[None])[0]


def _drawn(leaf: Leaf, catalog: Catalog) -> Source:
    """The input that a map is drawn on: of a game over attributes the code."""
    return coded(leaf, catalog).source if asks_concepts(leaf) else leaf.source


def _unexplained(found: EstimatedMap) -> float | None:
    """What the map of a surrogate leaves of f(x) − f(x̄); None for a map of the model itself."""
    return None if found.total is None else found.total - float(found.values.sum())


_NO_SCORES: Mapping[str, tuple[float, float]] = {}


def _errors(found: EstimatedMap) -> tuple[Floats, float]:
    """The standard errors of a map and the bound that is shown; nothing is added up where no game was sampled."""
    if not found.draws and found.noise is None:
        return np.zeros(len(found.values)), 0.0
    return found.stderr, found.relative_bound(CONFIDENCE_SHOWN)


class _Words(NamedTuple):
    """What is said of a map."""

    label: str
    model: str
    layer: int | None
    input: str
    target: int | tuple[int, ...]
    target_name: str
    unit: str
    prediction: str | None


class _Reading:
    """The words of answers; what many of them have in common is looked up once."""

    def __init__(self, outcome: Outcome, catalog: Catalog) -> None:
        self.outcome, self.catalog = outcome, catalog
        self.class_name = cache(partial(class_name, catalog))
        self.unit = cache(partial(_unit, catalog))
        self.unit_of_one = cache(lambda model, output: _unit(catalog, frozenset([(model, output)])))

    def words(self, answer: Answer, label: str | None) -> _Words:
        """What is said of an answer's map, under this label if it has one."""
        leaves = answer.shown
        if len(leaves) == 1 and answer.component is None:
            return self.words_of_one(leaves[0], label)
        models, inputs = [each.model for each in leaves], [str(each.source) for each in leaves]
        layers = {each.layer for each in leaves}
        targets = tuple(dict.fromkeys(_targets(leaves, self.outcome)))
        first = leaves[0].source.name
        return _Words(
            label or _label(answer, models, inputs),
            ", ".join(dict.fromkeys(models)),
            leaves[0].layer if len(layers) == 1 else None,
            ", ".join(dict.fromkeys(inputs)),
            targets[0] if len(targets) == 1 else targets,
            ", ".join(self.class_name(leaves[0].model, first, target) for target in targets),
            self.unit(frozenset((self.played(each), each.output) for each in leaves)),
            self.prediction(leaves),
        )

    def words_of_one(self, leaf: Leaf, label: str | None) -> _Words:
        """What is said of the map of one input."""
        source, (target,) = str(leaf.source), _targets((leaf,), self.outcome)
        layer = "" if leaf.layer is None else f" layer {leaf.layer}"
        return _Words(
            label or f"{leaf.model}({source}){layer}",
            leaf.model,
            leaf.layer,
            source,
            target,
            self.class_name(leaf.model, leaf.source.name, target),
            self.unit_of_one(self.played(leaf), leaf.output),
            self.prediction((leaf,)),
        )

    def played(self, leaf: Leaf) -> str:
        """The model that a leaf's values are in the unit of: of a game over attributes the head that it is played
        on."""
        return played_on(leaf, self.catalog) if asks_concepts(leaf) else leaf.model

    def prediction(self, leaves: Sequence[Leaf]) -> str | None:
        """The classes that the models predict for the inputs, by name; None where one of them was not read."""
        known = self.outcome.targets
        if not known:
            return None
        names: dict[str, None] = {}
        for each in leaves:
            if (target := known.get(Predicted(each.model, each.source))) is None:
                return None
            names[visible(self.class_name(each.model, each.source.name, target))] = None
        return ", ".join(names)


def _unit(catalog: Catalog, read: frozenset[tuple[str, str]]) -> str:
    """What a map's values are in, in a word; nothing if its games do not agree."""
    found = {_unit_key(catalog.model(model), output) for model, output in read}
    return _UNITS.get(found.pop(), "") if len(found) == 1 else ""


def unit_of(network: Network, output: str) -> str:
    """What a score of a model is in, in a word."""
    return _UNITS.get(_unit_key(network, output), "")


def _unit_key(network: Network, output: str) -> str:
    return network.outputs.unit if output == "logit" else output


_UNITS = {
    "logits": "logits",
    "probabilities": "probability",
    "log-probabilities": "log-probability",
    "values": "units of the output",
    "probability": "probability",
    "log_odds": "log-odds",
}


def class_name(catalog: Catalog, model: str, name: str, target: int) -> str:
    """The name of a class; of a language model, the token that it stands for in the texts of input `name`."""
    network = catalog.model(model)
    tokenizer = network.tokenizer or catalog.input(name).tokenizer
    if network.classes is not None or tokenizer is None or not speaks(network.module):
        return network.class_name(target)
    return token_name(tokenizer, target)


def _names(source: Source, entry: Entry, catalog: Catalog) -> tuple[str, ...] | None:
    """A name for each feature; for tokens with a vocabulary, the words that they stand for."""
    names = catalog.names(source)
    if isinstance(names, TextNames):
        return names.tokens
    if entry.vocabulary is None:
        return entry.feature_names
    return tuple(entry.vocabulary[int(token)] for token in catalog.element(source).array)


def _targets(leaves: Sequence[Leaf], outcome: Outcome) -> list[int]:
    return [outcome.targets[each.target] if isinstance(each.target, Predicted) else each.target for each in leaves]


def _label(answer: Answer, models: Sequence[str], inputs: Sequence[str]) -> str:
    """What a map is, in the words of a query: `f(x) layer 2 against x'`."""
    names = list(dict.fromkeys(f"{model}({name})" for model, name in zip(models, inputs, strict=True)))
    shown = " join ".join(names[:3]) + (f" join … {len(names) - 3} more" if len(names) > 3 else "")
    layers = {each.layer for each in answer.shown} - {None}
    layer = f" layer {layers.pop()}" if len(layers) == 1 else ""
    against = f" against {answer.against}" if answer.component is not None else ""
    return f"{shown}{layer}{against}"


def warn(output: PlanOutput, outcome: Outcome, catalog: Catalog) -> None:
    """Warn about a join of different classes and an anti-join of equal classes: legal, but rarely what was meant."""
    leaves = [leaf for answer in output.answers for leaf in answer.shown]
    for answer in output.answers:
        _warn_of_units(answer, catalog)
    for name in dict.fromkeys(leaf.model for leaf in leaves if leaf.output != "logit"):
        network = catalog.model(name)
        if network.doubtful:
            say_once(
                network,
                "is read as one of probabilities, because every number that it returned lies in [0, 1]; if they are "
                "something else, say so: register_model(…, outputs='logits'), for example",
            )
        if name in outcome.saturated:
            say_once(
                network,
                "returned a probability of exactly 0 or 1, whose log-odds are infinite; they are read as "
                "those of the smallest number of its type (docs/language.md)",
            )
    for leaf in leaves:
        _warn_of_padding(leaf, catalog)
    if len(leaves) == 1:
        return
    if any(catalog.model(leaf.model).class_count == 1 for leaf in leaves):
        return
    classes = [set(_targets(answer.shown, outcome)) for answer in output.answers]
    together = set[int]().union(*classes)
    if any(len(each) > 1 for each in classes):
        say(f"this join adds maps of different classes: {sorted(together)}")
    itself = len({(leaf.source.name, leaf.source.index) for leaf in leaves}) == 1  # one input, before and after an edit
    if len(classes) > 1 and len(together) == 1 and len({leaf.model for leaf in leaves}) == 1 and not itself:
        say(f"this anti-join compares inputs of one class ({together.pop()}); the option target names others")


def _warn_of_padding(leaf: Leaf, catalog: Catalog) -> None:
    """Warn about a model that is given a padded text without its mask."""
    network, entry = catalog.model(leaf.model), catalog.input(leaf.source.name)
    if not KINDS[entry.kind].vocabulary or (reader := network.inner_reader) is None:
        return
    text = entry.elements[leaf.source.index or 0]
    if bool(reader.hidden(text.tensor, text.attention).any()):
        say_once(
            network,
            f"is given ids alone, while '{leaf.source}' is padded and a model inside it reads an attention mask; "
            "register the inner model itself, or pass it the mask (attention_mask=…) in your function",
            told="padding",
        )


def warn_of_models(names: Iterable[str], inputs: Iterable[str], catalog: Catalog) -> None:
    """Warn, once a session, about each model that is no function of the row, that does not get the numbers that were
    registered, that may want another scale, or whose batches are filled up. Rows that depend on one another may be
    those of one input that was read as several, so it says how collections among the `inputs` were read."""
    collections = [name for name in inputs if catalog.input(name).collection]
    others = catalog.visible.values()
    for network in map(catalog.model, names):
        for word in network.behaviour.words:
            read = catalog.how_read(collections) if word == BATCH_DEPENDENT else ""
            say_once(network, warning(word) + read, told=word)
        for cast in network.lossy_casts:
            if cast.grave:
                say_once(network, cast.words)
        if network.filling.least > 1:
            say_once(network, network.filling.words)
        for entry in map(catalog.input, inputs):
            if words := doubt(network, entry, others):
                say_once(network, words, told="scale")


def _warn_of_units(answer: Answer, catalog: Catalog) -> None:
    """Warn where a map adds or subtracts numbers of different meaning, such as logits and probabilities."""
    if len(answer.terms) < 2:
        return
    games = [term.game for term in answer.terms if term.game.output == "logit"]
    units = {game.model: catalog.model(game.model).outputs.unit for game in games}
    if len(set(units.values())) > 1:
        told = " and ".join(f"{unit} of model '{name}'" for name, unit in units.items())
        say(f"this map puts together {told}; output => 'log_odds' or 'probability' gives them one unit")


def say_once(network: Network, words: str, told: str | None = None) -> None:
    """Warn about a model, once a session; `told` names the warning, if its words may differ."""
    if (told or words) not in network.told:
        network.told.add(told or words)
        say(f"model '{network.name}' {words}")


_hearing: ContextVar[tuple[list[str], ...]] = ContextVar("hearing", default=())


class CallPlace(NamedTuple):
    """A line of the user's code that called ialgebra."""

    file: str
    line: int

    @classmethod
    def of_this_call(cls) -> CallPlace:
        """The line of the user's code that is calling now."""
        frame = inspect.currentframe()
        while frame is not None and frame.f_back is not None and _is_ours(frame):
            frame = frame.f_back
        return cls("<unknown>", 0) if frame is None else cls(frame.f_code.co_filename, frame.f_lineno)


_asked_at: ContextVar[CallPlace | None] = ContextVar("asked_at", default=None)


def answers_for(place: CallPlace) -> None:
    """From now on what this thread has to say is said at a line of the user's code that another thread is at."""
    _asked_at.set(place)


@contextmanager
def heard() -> Iterator[list[str]]:
    """Within this, a list of what is said to the user, which is said all the same."""
    said: list[str] = []
    token = _hearing.set((*_hearing.get(), said))
    try:
        yield said
    finally:
        _hearing.reset(token)


def say(warning: str | IalgebraWarning) -> None:
    """Warn at the line of the user's code that called ialgebra."""
    for said in _hearing.get():
        said.append(str(warning))
    warning = IalgebraWarning(warning) if isinstance(warning, str) else warning
    if (place := _asked_at.get()) is not None:
        warnings.warn_explicit(warning, type(warning), place.file, place.line)
        return
    level, frame = 1, inspect.currentframe()
    while frame is not None and _is_ours(frame):
        level, frame = level + 1, frame.f_back
    warnings.warn(warning, stacklevel=level)


def _is_ours(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__", "").partition(".")[0] in ("ialgebra", "contextlib")
