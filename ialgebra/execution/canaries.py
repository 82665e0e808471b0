"""Canaries: remembered rows of a model that cannot be read whole, evaluated anew before other rows of it are trusted.

In: the tables of a run, and the desk that runs batches. Out: rows that a changed model would answer otherwise are
forgotten. A check takes a few rows: some that the plan would find in the store, and two that the model's table keeps
for this. It is made once a query and model. It may know no estimator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..system.shortage import is_out_of_memory
from .batches import Desk
from .lanes import HybridRows, Rows, Work
from .memory import LayerNumber
from .tables import Tables

_ROWS = 4
"""Rows of the plan that are evaluated anew, at most."""

_ROUNDING = {torch.float32: 1e-5, torch.float64: 1e-9}
"""Differences that come from rounding in another batch, relative to the largest number."""


class _Canary(NamedTuple):
    """Rows, and the logits (rows, K) that are remembered of them at some layers."""

    rows: Rows
    logits: Mapping[LayerNumber, Tensor]


def check_canaries(tables: Tables, desk: Desk) -> None:
    """Check the rows that are remembered of each model that cannot be read whole; forget all of them where one differs.

    Raises what the model raises.
    """
    memory = tables.memory
    for name, network in tables.networks.items():
        if not tables.plan.strategy.reuse or network.known_whole or memory.checked(name):
            continue
        memory.mark_checked(name)
        if network.behaviour.random:
            memory.forget(name)  # its rows differ from those remembered, whether it was changed or not
            continue
        canaries = [*_kept(tables, name), *_planned(tables, name)]
        if not canaries:
            continue
        rows = sum(len(next(iter(each.logits.values()))) for each in canaries)
        differing = next((each for each in canaries if not _agrees(each, name, desk)), None)
        found = "answers as remembered"
        if differing is not None:
            memory.forget(name)
            found = "answers otherwise; all rows of it were forgotten"
            if not _steady(differing, name, desk):
                network.behaviour.random = True
                found = "answers one row in two ways; all rows of it were forgotten"
        tables.spend(checks={f"model '{name}' {found}": rows})


def _kept(tables: Tables, name: str) -> Iterator[_Canary]:
    """The rows that the model's table keeps."""
    for rows, logits in tables.memory.canaries(name):
        if logits:
            yield _Canary(rows, logits)


def _planned(tables: Tables, name: str) -> Iterator[_Canary]:
    """Rows of the plan that are remembered, of several games where there are several."""
    jobs = [number for number, job in enumerate(tables.plan.jobs) if name in job.models]
    chosen = [jobs[k] for k in sorted({int(k) for k in np.linspace(0, len(jobs) - 1, min(len(jobs), _ROWS))})]
    for number in chosen:
        job, design = tables.plan.jobs[number], tables.outcome.designs[number]
        for layer in job.layers(name)[:1]:
            places, logits = tables.memory.remembered(number, name, layer)
            if not len(places):
                continue
            count = min(len(places), _ROWS // len(chosen))
            spread = sorted({int(k) for k in np.linspace(0, len(places) - 1, count)})
            rows = HybridRows(job.hybrids, design.coalitions[places[spread]])
            yield _Canary(Rows(hybrids=(rows,)), {layer: logits[spread]})


def _answers(canary: _Canary, name: str, desk: Desk) -> Mapping[LayerNumber, Tensor]:
    """What the model answers now; nothing where memory does not suffice, which is taken for a difference."""
    try:
        return desk.alone(Work(name, canary.rows, tuple(canary.logits))).logits
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return {}


def _agrees(canary: _Canary, name: str, desk: Desk) -> bool:
    return _close(_answers(canary, name, desk), canary.logits)


def _steady(canary: _Canary, name: str, desk: Desk) -> bool:
    """Whether the model answers the same rows in the same way, one time and another."""
    return _close(_answers(canary, name, desk), _answers(canary, name, desk))


def _close(found: Mapping[LayerNumber, Tensor], expected: Mapping[LayerNumber, Tensor]) -> bool:
    for layer, remembered in expected.items():
        answered = found.get(layer)
        if answered is None or answered.shape != remembered.shape:
            return False
        allowed = _ROUNDING.get(remembered.dtype, 1e-5) * float(remembered.abs().max())
        if not bool((answered.double() - remembered.double()).abs().max() <= allowed):
            return False
    return found.keys() >= expected.keys()
