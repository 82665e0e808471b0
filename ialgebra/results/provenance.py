"""Provenance: what an answer was computed from, as plain values that are saved with it, so that it can be repeated.

In: a query, its plan and its outcome. Out: a dictionary of texts, numbers and digests. `docs/repeating.md` says what
each entry is for, and when equal entries mean equal answers. It reads no clock and holds no tensors.
"""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import cache
from importlib.metadata import version
from typing import cast

import numpy as np
import torch

from ..algebra.baselines import Baseline, Given, Redrawn
from ..algebra.edits import LATENT_EDITS, LatentEdit, registered
from ..algebra.operators import leaves
from ..algebra.players import Labels
from ..catalog.catalog import Catalog
from ..catalog.inputs import Entry
from ..errors import BindError
from ..execution.tables import Outcome
from ..language import reader, tree
from ..language.printer import baseline_text
from ..models.network import Network
from ..planner.codes import resumed_from
from ..planner.physical import PhysicalPlan, Run
from ..planner.strategy import Batches
from ..planner.wholes import WholePlan
from ..system.machine import machine
from ..version import __version__


def environment() -> dict[str, object]:
    """What every answer depends on: versions, and the machine as this process uses it."""
    processor, threads = machine(torch.device("cpu"))
    capability = torch.backends.cpu.get_cpu_capability()
    return {**_versions(), "processor": processor, "capability": capability, "threads": threads}


@cache
def _versions() -> dict[str, str]:
    return {
        "ialgebra": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "sqlglot": version("sqlglot"),
        "python": platform.python_version(),
    }


def provenance(
    query: tree.Query, catalog: Catalog, plan: PhysicalPlan, outcome: Outcome, batches: Batches
) -> dict[str, object]:
    """What the answer to `query` was made from: its environment, the texts in force, contents by digest, and how its
    passes were planned and its batches run."""
    read: dict[str, set[int | None]] = {}
    for game in (game for job in plan.jobs for game in job.games):
        read.setdefault(game.model, set()).add(game.layer)
    passes = [(each.models, each.run) for each in plan.passes]
    return _provenance(query, catalog, plan, outcome, batches, read, _inputs(plan), passes)


def provenance_of_scores(
    predict: tree.Predict, catalog: Catalog, plan: WholePlan, outcome: Outcome, batches: Batches
) -> dict[str, object]:
    """What the answer to a PREDICT was made from, in the same entries."""
    read = {each.model: set(each.layers) for each in plan.passes}
    passes = [((each.model,), each.run) for each in plan.passes]
    return _provenance(predict, catalog, plan, outcome, batches, read, set(plan.names), passes)


def _provenance(
    query: tree.Query | tree.Predict,
    catalog: Catalog,
    plan: PhysicalPlan | WholePlan,
    outcome: Outcome,
    batches: Batches,
    read: Mapping[str, Set[int | None]],
    inputs: set[str],
    passes: Sequence[tuple[tuple[str, ...], Run]],
) -> dict[str, object]:
    """The entries of an answer for which the layers in `read` of each model, and these `inputs`, were read."""
    decisions = {field.name: getattr(plan.strategy, field.name) for field in dataclasses.fields(plan.strategy)}
    del decisions["batches"]  # the batches that were run are another entry
    del decisions["verify"]  # it changes no answer
    if plan.strategy.block is None:  # nothing was read in blocks
        del decisions["block"]
    if plan.strategy.table is None or not plan.strategy.measured:  # batches say which of them began from tables
        del decisions["table"]
    if plan.strategy.tempo is None:
        del decisions["tempo"]
    else:
        decisions["tempo"] = plan.strategy.pace.told
    if outcome.keep_rows is not None:
        decisions["keep_rows"] = outcome.keep_rows
    decisions["rules"] = [getattr(rule, "__name__", type(rule).__name__) for rule in plan.strategy.rules]
    return environment() | {
        "query": plan.query,
        "seed": plan.seed,
        "strategy": decisions.pop("name"),
        "decisions": decisions,
        **texts_in_force(query, catalog),
        "models": {
            name: _model(catalog.model(name), outcome.contents[name], outcome.heads[name], read.get(name, set()))
            for name in sorted(outcome.contents)
        },
        "inputs": {_shown(name): _input(catalog.input(name)) for name in sorted(inputs)},
        "passes": [{"models": list(models), "batch_size": run.batch_size, "mode": run.mode} for models, run in passes],
        "batches": [list(each) for each in batches],
    }


def texts_in_force(query: tree.Query | tree.Predict, catalog: Catalog) -> dict[str, object]:
    """What the session says of a query's words: its settings, and the windows and views that the query names."""
    names = set(_names(query, catalog))
    return {
        "settings": _settings(catalog),
        "windows": {
            name: {"text": window.whole_text or str(window), "content": window.key}
            for name, window in sorted(catalog.windows.items())
            if name in names
        },
        "views": {name: text for name, text in sorted(catalog.views.items()) if name in names},
        **(_drawn(catalog) if _may_draw(names, catalog) else {}),
    }


def _may_draw(names: Set[str], catalog: Catalog) -> bool:
    """Whether a query with these names may read what a generator draws: by an edit, or by a baseline in force."""
    if {each.lower() for each in names} & LATENT_EDITS.keys():
        return True
    baselines = [
        *(catalog.settings.baselines or ()),
        *(one for x in catalog.inputs.values() for one in x.baselines or ()),
    ]
    edits = [edit for each in baselines if isinstance(each, Given) for edit in each.source.edits]
    return any(isinstance(each, Redrawn) for each in baselines) or any(isinstance(each, LatentEdit) for each in edits)


def _drawn(catalog: Catalog) -> dict[str, object]:
    """What draws inputs: every generator with its axes, by content."""
    return {
        "generators": {name: catalog.readings.generator(name) for name in sorted(catalog.generators)},
        "axes": {name: {"of": each.of, "content": each.key} for name, each in sorted(catalog.axes.items())},
    }


def model_contents(told: Mapping[str, object], catalog: Catalog) -> dict[str, object]:
    """The entry "models" as an answer with this provenance would have it of the models as they are now."""
    found: dict[str, object] = {}
    models = cast("Mapping[str, Mapping[str, object]]", told["models"])
    for name, entry in models.items():
        if name not in catalog.models and name not in catalog.heads:
            # Made for one input of the query, of a model and its attributes: what it is, these are.
            found[name] = entry if resumed_from(name) in models else None
            continue
        network = catalog.model(name)
        numbers = {layer.name: layer.index for layer in network.layers}
        read = {numbers.get(layer) for layer in cast("Mapping[str, str]", entry["heads"])}
        found[name] = _model(network, network.content(), network.heads_fingerprint(), read)
    return found


def _names(query: tree.Query | tree.Predict, catalog: Catalog) -> Iterator[str]:
    """The names in a query and in its views. It uses a stack, because queries may be nested deeply."""
    pending: list[object] = [query]
    views: set[str] = set()
    while pending:
        part = pending.pop()
        if isinstance(part, tree.Name):
            yield part.value
            if part.value in catalog.views and part.value not in views:
                views.add(part.value)
                pending.extend(reader.parse(catalog.views[part.value]))
        elif isinstance(part, tuple):
            pending.extend(part)
        elif dataclasses.is_dataclass(part):
            pending.extend(getattr(part, field.name) for field in dataclasses.fields(part))


def _settings(catalog: Catalog) -> dict[str, object]:
    """What `SET option = value` has changed, as the text or number of that value."""
    settings = dict(vars(catalog.settings))
    baselines, players = settings.pop("baselines"), settings.pop("players")
    settings |= {"baseline": baselines and _baseline(baselines), "players": players and str(players)}
    return {option: value for option, value in settings.items() if value is not None}


def _model(network: Network, content: object, heads: Mapping[int, object], read: Set[int | None]) -> dict[str, object]:
    """A model as it was registered, its content, and the heads of the layers that were read."""
    return {
        "content": _digest(content),
        "heads": {network.layers[layer - 1].name: _digest(head) for layer, head in heads.items() if layer in read},
        "layers": [layer.name for layer in network.layers],
        "output": network.output,
        "outputs": f"{network.outputs.meaning}, {network.outputs.classes}",
        "device": str(network.runs_on),
        "batch_size": network.batch_size,
        **({"train_mode": True} if network.train_mode else {}),
        **({"version": network.version} if network.version is not None else {}),
        **({"unread": list(network.unread)} if network.unread else {}),
    }


def _inputs(plan: PhysicalPlan) -> set[str]:
    """The names of all tensors that a plan reads: operands, baselines and feature masks."""
    calls = {leaf for output in plan.outputs for leaf in leaves(output.written)}
    read = {each for call in calls for each in call.inputs} | {each for call in calls for each in call.baselines}
    masks = {call.players.source.name for call in calls if isinstance(call.players, Labels)}
    return {*registered(read), *masks}


def _input(entry: Entry) -> dict[str, object]:
    """An input's content, a collection's under one digest, and the defaults that it was registered with."""
    digests = [entry.digest(index) for index in range(len(entry.elements))]
    return {
        "content": _digest(digests) if entry.collection else digests[0],
        "count": len(digests) if entry.collection else None,
        "baseline": _shown(_baseline(entry.baselines)) if entry.baselines else None,
        "players": _shown(str(entry.players)) if entry.players else None,
    }


def _baseline(baselines: tuple[Baseline, ...]) -> str:
    """The text of baselines, shortened if a query could not hold it."""
    try:
        return baseline_text(baselines)
    except BindError:
        return str(baselines[0])


def _shown(text: str) -> str:
    """The name of an input. A hidden name, of a tensor that was registered as the baseline of x, becomes 'x
    baseline'."""
    return text.strip('"').replace("\0", " ") if "\0" in text else text


def _digest(content: object) -> str:
    return hashlib.blake2b(repr(content).encode(), digest_size=12).hexdigest()
