"""From estimated maps to the Attributions that users get, with their labels and warnings.

In: a plan's outputs and their estimated maps. Out: Attributions. It plans nothing and runs nothing.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..algebra.kinds import KINDS
from ..algebra.kinds.naming import TextNames
from ..algebra.sources import Source
from ..catalog.catalog import Catalog
from ..catalog.inputs import Entry
from ..catalog.texts import token_name
from ..errors import IalgebraWarning
from ..estimation.maps import EstimatedMap
from ..execution.tables import Outcome
from ..models.adapters.hugging_face import speaks
from ..models.behaviour import BATCH_DEPENDENT, warning
from ..models.network import Network
from ..planner.games import Answer, Leaf, Predicted
from ..planner.physical import PlanOutput
from .attribution import Attribution

CONFIDENCE_SHOWN = 0.95  # of the errors that answers and EXPLAIN ANALYZE show


def attribution(
    output: PlanOutput,
    answer: Answer,
    found: EstimatedMap,
    outcome: Outcome,
    catalog: Catalog,
    scores: Mapping[str, tuple[float, float]],
) -> Attribution:
    leaf = answer.shown[0]
    entry = catalog.input(leaf.source.name)
    network = catalog.model(leaf.model)
    targets = tuple(dict.fromkeys(_targets(answer.shown, outcome)))
    layers = {each.layer for each in answer.shown}
    return Attribution(
        map=found.map,
        values=found.values,
        stderr=found.stderr,
        players=np.array(found.labels),
        label=output.label or _label(answer),
        model=", ".join(dict.fromkeys(each.model for each in answer.shown)),
        layer=leaf.layer if len(layers) == 1 else None,
        input=", ".join(dict.fromkeys(str(each.source) for each in answer.shown)),
        baseline=answer.baseline,
        target=targets[0] if len(targets) == 1 else targets,
        target_name=", ".join(_class_name(network, entry, target) for target in targets),
        base_value=found.base,
        full_value=found.full,
        kind=entry.kind,
        content=np.array(catalog.element(leaf.source).shown),
        feature_names=_names(leaf.source, catalog),
        method=found.method,
        component=answer.component,
        item=output.item,
        scores=scores,
        error_bound=found.relative_bound(CONFIDENCE_SHOWN),
        unit=_unit(answer, catalog),
    )


def _unit(answer: Answer, catalog: Catalog) -> str:
    """What a map's values are in, in a word; nothing if its games do not agree."""
    found = {catalog.model(each.model).outputs.unit if each.output == "logit" else each.output for each in answer.shown}
    return _UNITS.get(found.pop(), "") if len(found) == 1 else ""


_UNITS = {
    "logits": "logits",
    "probabilities": "probability",
    "log-probabilities": "log-probability",
    "values": "units of the output",
    "probability": "probability",
    "log_odds": "log-odds",
}


def _class_name(network: Network, entry: Entry, target: int) -> str:
    """The name of a class; of a language model, the token that it stands for."""
    tokenizer = network.tokenizer or entry.tokenizer
    if network.classes is not None or tokenizer is None or not speaks(network.module):
        return network.class_name(target)
    return token_name(tokenizer, target)


def _names(source: Source, catalog: Catalog) -> tuple[str, ...] | None:
    """A name for each feature; for tokens with a vocabulary, the words that they stand for."""
    entry, names = catalog.input(source.name), catalog.names(source)
    if isinstance(names, TextNames):
        return names.tokens
    if entry.vocabulary is None:
        return entry.feature_names
    return tuple(entry.vocabulary[int(token)] for token in catalog.element(source).array)


def _targets(leaves: Sequence[Leaf], outcome: Outcome) -> list[int]:
    return [outcome.targets[each.target] if isinstance(each.target, Predicted) else each.target for each in leaves]


def _label(answer: Answer) -> str:
    """What a map is, in the words of a query: `f(x) layer 2 against x'`."""
    names = list(dict.fromkeys(f"{each.model}({each.source})" for each in answer.shown))
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
            _say_once(
                network,
                "is read as one of probabilities, because every number that it returned lies in [0, 1]; if they are "
                "something else, say so: register_model(…, outputs='logits'), for example",
            )
        if name in outcome.saturated:
            _say_once(
                network,
                "returned a probability of exactly 0 or 1, whose log-odds are infinite; they are read as "
                "those of the smallest number of its type (docs/language.md)",
            )
    for leaf in leaves:
        _warn_of_padding(leaf, catalog)
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
        _say_once(
            network,
            f"is given ids alone, while '{leaf.source}' is padded and a model inside it reads an attention mask; "
            "register the inner model itself, or pass it the mask (attention_mask=…) in your function",
            told="padding",
        )


def warn_of_models(names: Iterable[str], inputs: Iterable[str], catalog: Catalog) -> None:
    """Warn, once a session, about each model that is no function of the row, that does not get the numbers that were
    registered, or whose batches are filled up. Rows that depend on one another may be those of one input that was read
    as several, so it says how collections among the `inputs` were read."""
    collections = [name for name in inputs if catalog.input(name).collection]
    for network in map(catalog.model, names):
        for word in network.behaviour.words:
            read = catalog.how_read(collections) if word == BATCH_DEPENDENT else ""
            _say_once(network, warning(word) + read, told=word)
        for cast in network.lossy_casts:
            if cast.grave:
                _say_once(network, cast.words)
        if network.filling.least > 1:
            _say_once(network, network.filling.words)


def _warn_of_units(answer: Answer, catalog: Catalog) -> None:
    """Warn where a map adds or subtracts numbers of different meaning, such as logits and probabilities."""
    games = [term.game for term in answer.terms if term.game.output == "logit"]
    units = {game.model: catalog.model(game.model).outputs.unit for game in games}
    if len(set(units.values())) > 1:
        told = " and ".join(f"{unit} of model '{name}'" for name, unit in units.items())
        say(f"this map puts together {told}; output => 'log_odds' or 'probability' gives them one unit")


def _say_once(network: Network, words: str, told: str | None = None) -> None:
    """Warn about a model, once a session; `told` names the warning, if its words may differ."""
    if (told or words) not in network.told:
        network.told.add(told or words)
        say(f"model '{network.name}' {words}")


def say(warning: str | IalgebraWarning) -> None:
    """Warn at the line of the user's code that called ialgebra."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "ialgebra":
        level, frame = level + 1, frame.f_back
    warnings.warn(IalgebraWarning(warning) if isinstance(warning, str) else warning, stacklevel=level)
