"""Hybrids: the rows of a pass that are still to be evaluated, in full batches.

In: a pass of the plan, the tables of the run. Out: every row of its jobs in the tables and in the store. Each hybrid is
composed once a batch and goes through every model of the pass that lacks it. It may know no estimator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..models.tabling import TableOfGame
from ..planner.physical import Pass, Run
from ..planner.strategy import Strategy
from ..planner.tabled import TablesOfPass
from .batches import ROWS_LISTED, Desk
from .lanes import Done, HybridRows, Rows, Work
from .pace import Pace
from .tables import Tables

_SHOWN_PLAYERS = 12  # players that the text of an error lists


class _Place(NamedTuple):
    """A row of the design of a job."""

    job: int
    row: int


def evaluate_pass(
    each: Pass,
    numbers: Sequence[int],
    tables: Tables,
    desk: Desk,
    after_batch: Callable[[], None],
    *,
    ends: bool = False,
) -> None:
    """Evaluate the missing rows of some jobs of a pass; `after_batch` is called after each batch. With `ends` only ∅
    and N of each job, whatever time it is."""
    if each.asked and tables.plan.jobs[each.jobs[0]].hybrids.copies is not None:
        return  # the interpreter that is asked is asked for the ends too
    begins = TablesOfPass(each, tables.plan.jobs, tables.networks, tables.outcome.contents.__getitem__)
    pace = Pace(
        each, [tables.networks[model] for model in each.models], begins if _open(tables.plan.strategy) else None
    )
    layers = {model: tables.layers(each.jobs, model) for model in each.models}
    copies = tables.plan.jobs[each.jobs[0]].hybrids.rows  # equal in all jobs of a pass

    def works(chunk: Sequence[_Place], run: Run) -> list[Work]:
        if tables.plan.strategy.reuse and desk.overtaken():
            for number in dict.fromkeys(numbers):
                tables.recall(number)
        rows = Rows(hybrids=tuple(_hybrid_rows(tables, number, rows) for number, rows in _by_job(chunk)))
        found = []
        for model in each.models:
            lacking = _lacking(tables, chunk, model)
            if not lacking.any():
                continue
            lacked = _those(chunk, lacking)
            read_at = layers[model]
            if not tables.plan.strategy.reuse:
                read_at = tables.layers((place.job for place in lacked), model)
            free = desk.free_layers(model, read_at, run.mode)
            compiles = run.mode == "compiled" and len(lacked) * copies == run.batch_size
            chosen = None if len(lacked) == len(chunk) else np.repeat(lacking, copies)
            least = desk.least(run, model)
            known = begins.of(run.mode) if run.table else {}
            begun = _tables_of(known, [number for number, _ in _by_job(chunk)], model, tables)
            found.append(Work(model, rows, read_at, free, run.mode, chosen, compiles, run.batch_size, least, begun))
        return found

    def read(chunk: Sequence[_Place], work: Work, done: Done) -> None:
        """Enter a batch in the tables."""
        lacked = chunk if work.chosen is None else _those(chunk, work.chosen[::copies])
        first = 0
        for number, rows in _by_job(lacked):
            block = slice(first * copies, (first + len(rows)) * copies)
            first += len(rows)
            logits = {layer: logits[block] for layer, logits in done.logits.items()}
            tables.fill(number, work.model, rows, logits, done.seconds / len(lacked))

    def named(chunk: Sequence[_Place], work: Work, row: int) -> str:
        lacked = chunk if work.chosen is None else _those(chunk, work.chosen[::copies])
        return _in_words(tables, lacked[row // copies])

    for jobs in _blocks(numbers, tables):
        listed: dict[object, _Place] = {}
        while pending := _pending(each, jobs, tables, 2 if ends else None, listed):
            run, first = pace.next, each.models[0]
            desk.in_batches(pending, run, first, works, read, named, each=copies, timed=not ends, after=after_batch)


def _open(strategy: Strategy) -> bool:
    """Whether passes begin from pattern tables where that is cheaper."""
    return strategy.table is None and strategy.measured and not strategy.pace.filled


def _tables_of(
    known: Mapping[tuple[str, int], TableOfGame], jobs: Sequence[int], model: str, tables: Tables
) -> tuple[TableOfGame, ...]:
    """The pattern tables of the jobs of a batch; none unless all jobs have one for the model as it is now."""
    planned = [known.get((model, number)) for number in jobs]
    found = [table for table in planned if table is not None and table.content == tables.outcome.contents[model]]
    return tuple(found) if len(found) == len(planned) else ()


def _blocks(numbers: Sequence[int], tables: Tables) -> Iterator[list[int]]:
    """Jobs of a pass in blocks, small enough that the list of a block's rows is short."""
    block: list[int] = []
    rows = 0
    for number in numbers:
        block.append(number)
        rows += len(tables.outcome.designs[number].coalitions)
        if rows >= ROWS_LISTED:
            yield block
            block, rows = [], 0
    if block:
        yield block


def _pending(
    each: Pass, jobs: Sequence[int], tables: Tables, most: int | None, listed: dict[object, _Place]
) -> list[_Place]:
    """The rows of some jobs of a pass that are still to be evaluated; with `most` only among the first rows of each.

    With reuse each hybrid is listed once: the other jobs find it in the store, or, if the store has forgotten it, in
    the table of the job for which it was `listed` before, if that has all of their columns.
    """
    reuse = tables.plan.strategy.reuse
    pending: dict[object, _Place] = {}
    for number in jobs if reuse else ():
        if tables.plan.jobs[number].hybrids.copies is None:
            for row, end in enumerate(tables.memory.ends(number)):
                listed.setdefault(end, _Place(number, row))
    for number in jobs:
        if reuse:
            tables.recall(number, within=True)
        lacking = np.stack([tables.lacking(number, model) for model in each.models])
        rows = np.flatnonzero(np.any(lacking[:, :most], axis=0)).tolist()
        places = [_Place(number, row) for row in rows]
        names: Sequence[object] = tables.memory.named(number, rows) if reuse else places
        for name, place in zip(names, places, strict=True):
            if name not in listed or not tables.copied(listed[name], place):
                pending.setdefault(name, place)
    listed.update(pending)
    return list(pending.values())


def _lacking(tables: Tables, chunk: Sequence[_Place], model: str) -> NDArray[np.bool_]:
    """Which rows of a batch a model has still to evaluate."""
    return np.concatenate([tables.lacking(number, model, rows) for number, rows in _by_job(chunk)])


def _hybrid_rows(tables: Tables, number: int, rows: list[int]) -> HybridRows:
    return HybridRows(tables.plan.jobs[number].hybrids, tables.outcome.designs[number].coalitions[rows])


def _those(chunk: Sequence[_Place], chosen: NDArray[np.bool_]) -> list[_Place]:
    return [place for place, take in zip(chunk, chosen.tolist(), strict=True) if take]


def _by_job(chunk: Sequence[_Place]) -> Iterator[tuple[int, list[int]]]:
    """Consecutive rows of one job, together."""
    for number, places in groupby(chunk, key=lambda place: place.job):
        yield number, [place.row for place in places]


def _in_words(tables: Tables, place: _Place) -> str:
    """A row as the text of an error names it."""
    present = np.flatnonzero(tables.outcome.designs[place.job].coalitions[place.row]).tolist()
    shown = ", ".join(map(str, present[:_SHOWN_PLAYERS])) + (", …" if len(present) > _SHOWN_PLAYERS else "")
    return f"row {place.row} of the plan's game {place.job}: players {{{shown}}} present"
