"""Whole inputs: every x_∅ and x_N, and the predictions that decide which class a game reads.

In: the tables of a run, and the store behind them. Out: the targets, and v(∅) and v(N) of every game, as far as they
are known. All classes of these rows are kept. It may compose no hybrid.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..algebra.packings import packing_of
from ..catalog.catalog import Catalog
from ..planner.games import Predicted
from ..planner.physical import Job, Run
from .batches import Desk
from .lanes import Done, Rows, Work
from .memory import WHOLE, input_name
from .tables import Tables

_Known = dict[tuple["_End", int | None], Tensor]  # the logits (K,) of a whole input at a layer; None: the model itself


class _End(NamedTuple):
    """A whole input that must be evaluated: an x_∅, an x_N or a prediction. If a job must not share it with other jobs,
    `apart` is the number of this job."""

    model: str
    row: bytes
    apart: int | None


class _Wanted(NamedTuple):
    """A whole input, and the layers (an ordered set) at which it is read."""

    tensor: Tensor
    layers: dict[int | None, None]


def whole(job: Job) -> Tensor:
    """x_N: the foreground in every feature that belongs to a player; of several backgrounds against the first."""
    hybrids = job.hybrids.first
    return torch.where(torch.from_numpy(hybrids.segments) >= 0, hybrids.foreground, hybrids.background)


def evaluate_ends(tables: Tables, desk: Desk, catalog: Catalog, numbers: Sequence[int], *, timed: bool) -> None:
    """Decide the targets of some jobs and read their ends, from the store or from the models. Unless `timed`, ends
    whose classes are known may be left to the batches of their coalitions."""
    wanted = _wanted(tables, catalog, numbers)
    if tables.plan.strategy.reuse:
        tables.outcome.probed |= {end.model for end in wanted if end.row == tables.first_rows.get(end.model)}
    predicting = _predicting(tables, catalog, wanted, numbers)
    known, missing = _recalled(tables, wanted)
    if missing and tables.plan.strategy.reuse and not timed:
        # A batch of a few rows is slow: if the targets are known, the ends go into the batches of their games.
        for end in predicting.values():
            if (end, None) not in known:  # if other layers are needed too, the store may know the logits alone
                stored, _ = tables.memory.find_whole(end.model, end.row, (None,))
                known |= {(end, layer): logits for layer, logits in stored.items()}
        if all((end, None) in known for end in predicting.values()):
            missing = {}
    for group in missing.values():
        _evaluate(group, wanted, tables, desk, known)
    for target, end in predicting.items():
        tables.outcome.targets[target] = tables.networks[target.model].outputs.predicted(known[end, None])
    for number in numbers:
        _read(number, tables, known)


def _wanted(tables: Tables, catalog: Catalog, numbers: Sequence[int]) -> dict[_End, _Wanted]:
    """The whole inputs that some jobs need."""
    wanted: dict[_End, _Wanted] = {}
    predictions: list[Predicted] = []

    def want(end: _End, tensor: Tensor, layers: Sequence[int | None]) -> None:
        wanted.setdefault(end, _Wanted(tensor, {})).layers.update(dict.fromkeys(layers))

    for number in numbers:
        job = tables.plan.jobs[number]
        predictions += [each for each in job.predictions if each not in tables.outcome.targets]
        models = [model for model in job.models if tables.lacking(number, model)[:2].any()]
        if not models:  # an earlier run of the query has read them
            continue
        names, apart = _names(tables, number), _apart(tables, number)
        tensors = {0: job.hybrids.background, 1: whole(job)}
        for model in models:
            for position in reversed(names):  # if both are one row, it is wanted as x_N
                want(_End(model, names[position], apart), tensors[position], job.layers(model))
    every = _by_row(wanted)
    for target in dict.fromkeys(predictions):
        tensor = catalog.element_for(target.model, target.source).tensor
        row = input_name(tensor)
        want(every.get((target.model, row), _End(target.model, row, None)), tensor, [None])
    return wanted


def _names(tables: Tables, number: int) -> dict[int, bytes]:
    """The names of a job's ends that are single rows, by their position in the design. Without players both are one."""
    hybrids = tables.plan.jobs[number].hybrids
    if hybrids.copies is None:
        return dict(enumerate(tables.memory.ends(number)))
    return {1: input_name(hybrids.row)} if hybrids.covering and hybrids.players else {}


def _by_row(ends: Iterable[_End]) -> dict[tuple[str, bytes], _End]:
    """The first end of each model and row."""
    found: dict[tuple[str, bytes], _End] = {}
    for end in ends:
        found.setdefault((end.model, end.row), end)
    return found


def _recalled(tables: Tables, wanted: dict[_End, _Wanted]) -> tuple[_Known, dict[tuple[object, ...], list[_End]]]:
    """The ends that the store knows; and the other ends, in groups that may share a batch."""
    known: _Known = {}
    missing: dict[tuple[object, ...], list[_End]] = {}
    for end, (tensor, layers) in wanted.items():
        stored: dict[int | None, Tensor] = {}
        news = False
        if tables.plan.strategy.reuse:
            stored, news = tables.memory.find_whole(end.model, end.row, tuple(layers))
        if stored:
            tables.spend(hits={WHOLE: int(news)})
            known |= {(end, layer): logits for layer, logits in stored.items()}
        else:
            packing = packing_of(tensor)
            form = (tensor.shape, tensor.dtype, None if packing is None else packing.key)
            missing.setdefault((end.model, *form, None in layers), []).append(end)
    return known, missing


def _evaluate(group: list[_End], wanted: dict[_End, _Wanted], tables: Tables, desk: Desk, known: _Known) -> None:
    """Run whole inputs of one model and one form, and enter their logits in `known` and in the store."""
    model = group[0].model
    layers = tuple(dict.fromkeys(layer for end in group for layer in wanted[end].layers))

    def works(chunk: Sequence[_End], run: Run) -> list[Work]:
        rows = Rows(whole=tuple(wanted[end].tensor for end in chunk))
        free = desk.free_layers(model, layers, run.mode)
        return [Work(model, rows, layers, free, run.mode, least=desk.least(run, model))]

    def read(chunk: Sequence[_End], work: Work, done: Done) -> None:
        for row, end in enumerate(chunk):
            logits = {layer: each[row] for layer, each in done.logits.items()}
            known.update({(end, layer): each for layer, each in logits.items()})
            tables.memory.keep_whole(model, end.row, logits, done.seconds / len(chunk))

    def named(_chunk: Sequence[_End], _work: Work, _row: int) -> str:
        return "an input as a whole, or its baseline"

    run = Run(whole_batch_size(tables, model), "eager")
    desk.in_batches(group, lambda _: run, model, works, read, named, timed=False)


def _read(number: int, tables: Tables, known: _Known) -> None:
    """Read v(∅) and v(N) of a job's games where they are known."""
    job, apart = tables.plan.jobs[number], _apart(tables, number)
    for k, game in enumerate(job.games):
        for position, row in _names(tables, number).items():
            logits = known.get((_End(game.model, row, apart), game.layer))
            if logits is not None:
                tables.outcome.values[number][position, k] = tables.read(game.model, tables.column(game), logits[None])[
                    0
                ]


def _predicting(
    tables: Tables, catalog: Catalog, wanted: Iterable[_End], numbers: Sequence[int]
) -> dict[Predicted, _End]:
    """For each class that a model must predict, the whole input that tells it. Jobs that share no rows share these: the
    class is a part of the question, not of a job's work."""
    every = _by_row(wanted)
    predictions = (target for number in numbers for target in tables.plan.jobs[number].predictions)
    targets = [target for target in dict.fromkeys(predictions) if target not in tables.outcome.targets]
    rows = {target: input_name(catalog.element_for(target.model, target.source).tensor) for target in targets}
    return {target: every[target.model, row] for target, row in rows.items()}


def _apart(tables: Tables, number: int) -> int | None:
    """The job's number if its ends must not be shared with other jobs, else None."""
    return None if tables.plan.strategy.share else number


def whole_batch_size(tables: Tables, model: str) -> int:
    """Rows a batch of whole inputs of a model: as in the smallest of its passes."""
    passes = tables.plan.passes
    sizes = [each.run.batch_size for each in passes if model in each.models]
    return min(sizes, default=passes[0].run.batch_size)
