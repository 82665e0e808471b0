"""Families: the rows of many games of one design as arrays, where to name and keep them costs more than to run them.

In: a family of jobs, the tables of a run. Out: the values of all its rows in the tables, and in the store whole games
in place of rows. No row is named, looked up or met twice here: games alike but for their ends and classes are composed,
read and kept together. It may know no estimator.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ..catalog.catalog import Catalog
from ..planner.games import Predicted
from ..planner.physical import Pass, Run
from ..system.arrays import Bools, Floats, Ints
from .batches import ROWS_LISTED, Desk
from .ends import whole_batch_size
from .lanes import Done, FamilyRows, HybridRows, Rows, Work
from .memory import SAME, ValueColumn
from .pace import Pace
from .tables import Family, Tables

_MANY_ROWS = 1 << 15  # rows of a pass; fewer are always named and kept
_TOO_MANY_ROWS = 1 << 19  # rows that fill the store, so that most would be forgotten before they are met again
_WORTH_KEEPING = 3e-5  # seconds that a coalition takes to run: about three times what it takes to name and keep it
_PILOT_ROWS = 1024  # rows that tell how long a row takes
_SMALL = 64  # numbers of a row, up to which few rows go through a model at a time
_FEW = 2048  # so many: what a small network makes of more does not fit into the caches, and a row takes twice as long


def pilot(each: Pass, tables: Tables) -> list[int]:
    """The jobs of a pass that are evaluated first, row by row, to learn what a row costs: all jobs, if they are few."""
    jobs, strategy = tables.plan.jobs, tables.plan.strategy
    alone = each.asked is not None or not strategy.reuse or not strategy.share or strategy.keep_rows
    networks = [tables.networks[model] for model in each.models]
    if alone or each.rows < _MANY_ROWS or any(not n.known_whole or n.behaviour.words for n in networks):
        return list(each.jobs)
    found, rows = [], 0
    for number in each.jobs:
        found.append(number)
        rows += jobs[number].spec.rows * jobs[number].hybrids.rows
        if rows >= _PILOT_ROWS:
            break
    return found


def families(each: Pass, rest: Sequence[int], tables: Tables, desk: Desk) -> Iterator[tuple[Family, list[int]]]:
    """The families of jobs of a pass whose rows are not worth keeping, each with the places of these jobs among
    `rest`, the jobs that are left."""
    if not rest:
        return
    tables.outcome.keep_rows = _worth_keeping(each, rest[0], tables, desk.seconds_a_row)
    left = set() if tables.outcome.keep_rows else set(rest)
    for family in tables.families:
        places = [place for place, number in enumerate(family.jobs) if number in left]
        if places:
            yield family, places


def _worth_keeping(each: Pass, number: int, tables: Tables, seconds: float) -> bool:
    """Whether the rows of a pass are kept one by one (D7): a row of the batch before took so many `seconds`. What an
    earlier query has kept of job `number` decides first."""
    if tables.plan.strategy.keep_rows is not None:
        return tables.plan.strategy.keep_rows
    known = [tables.memory.kept_as(number, model) for model in each.models]
    if "rows" in known or "game" in known:
        return "rows" in known
    if math.isnan(seconds):  # the store knew the first rows
        profiles = [tables.networks[model].profile for model in each.models]
        seconds = sum(profile.per_row(each.run.batch_size, each.run.mode) for profile in profiles)
    copies = tables.plan.jobs[number].hybrids.rows
    return each.rows // copies < _TOO_MANY_ROWS and not seconds * copies < _WORTH_KEEPING


def evaluate_family(
    each: Pass,
    family: Family,
    places: Sequence[int],
    tables: Tables,
    desk: Desk,
    catalog: Catalog,
    after_batch: Callable[[], None],
) -> None:
    """Evaluate all rows of the games at these places of a family, but those that the store knows as a whole."""
    _predict(family, places, tables, desk, catalog)
    columns = [_columns(family, places, k, tables) for k in range(family.values.shape[2])]
    _recall(family, places, columns, tables)
    hybrids = [tables.plan.jobs[family.jobs[place]].hybrids for place in places]
    coalitions, copies = family.design.coalitions, hybrids[0].rows
    length = len(coalitions)
    players = hybrids[0].segments
    one = copies == 1 and all(h.segments is players or np.array_equal(h.segments, players) for h in hybrids)
    flat, where = family.values.reshape(-1, len(columns)), np.asarray(places) * length
    together = places[-1] - places[0] == len(places) - 1  # then rows that follow one another do so in the tables too
    layers = {model: tables.layers(family.jobs[:1], model) for model in each.models}
    own = {model: [k for k, column in enumerate(columns) if column.model == model] for model in each.models}
    pace = Pace(each, [tables.networks[model] for model in each.models])

    def lacking(model: str) -> Bools:
        """Which rows of all games a model has still to evaluate."""
        values = _some(family.values, places)
        lacks: Bools = np.isnan(values[:, :, own[model][0]])
        for k in own[model][1:]:
            lacks |= np.isnan(values[:, :, k])
        return lacks.ravel()

    few = _FEW if hybrids[0].foreground.numel() <= _SMALL else ROWS_LISTED
    lacks = {model: lacking(model) for model in each.models}
    pending = np.flatnonzero(functools.reduce(np.logical_or, lacks.values()))

    def works(chunk: Sequence[int], run: Run) -> list[Work]:
        numbers = pending[chunk[0] : chunk[-1] + 1]
        game, coalition = np.divmod(numbers, length)
        met = game[np.flatnonzero(np.diff(game, prepend=-1))]
        if one:
            foregrounds = torch.stack([hybrids[k].foreground for k in met.tolist()])
            backgrounds = _stacked([hybrids[k].background for k in met.tolist()])
            whole = len(numbers) == len(met) * length
            masks, which = (coalitions, None) if whole else (coalitions[coalition], np.searchsorted(met, game))
            rows = Rows((FamilyRows(foregrounds, backgrounds, players, masks, which),))
        else:
            rows = Rows(tuple(HybridRows(hybrids[k], coalitions[coalition[game == k]]) for k in met.tolist()))
        found = []
        for model in each.models:
            mine = lacks[model][numbers]
            if mine.any():
                chosen = None if mine.all() else np.repeat(mine, copies)
                found.append(Work(model, rows, layers[model], (), run.mode, chosen, most=min(few, run.batch_size)))
        return found

    def lacked(chunk: Sequence[int], work: Work) -> Ints:
        numbers = pending[chunk[0] : chunk[-1] + 1]
        return numbers if work.chosen is None else numbers[work.chosen[::copies]]

    def read(chunk: Sequence[int], work: Work, done: Done) -> None:
        numbers = lacked(chunk, work)
        game = numbers // length
        found = where[game] + numbers % length
        one_after_another = together and numbers[-1] - numbers[0] == len(numbers) - 1
        rows = slice(int(found[0]), int(found[0]) + len(found)) if one_after_another else found
        for k in own[work.model]:
            flat[rows, k] = columns[k].read(tables, game, done.logits[columns[k].layer], copies)

    def named(chunk: Sequence[int], work: Work, row: int) -> str:
        game, coalition = divmod(int(lacked(chunk, work)[row // copies]), length)
        return f"row {coalition} of the plan's game {family.jobs[places[game]]}"

    try:
        desk.in_batches(
            range(len(pending)), pace.next, each.models[0], works, read, named, each=copies, after=after_batch
        )
    finally:
        _keep(family, places, columns, tables)


def _stacked(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """Rows on a first axis, in no memory of their own if all are one."""
    if all(row is rows[0] for row in rows):
        return rows[0].expand(len(rows), *rows[0].shape)
    return torch.stack(list(rows))


class _FamilyColumn:
    """One column of a family: what it reads of the passes of each game, by class."""

    def __init__(self, model: str, kinds: Sequence[ValueColumn], kind: NDArray[np.int64]) -> None:
        self.model = model
        self.layer = kinds[0].layer
        self.kinds = kinds
        self.kind = kind  # of each game

    def read(self, tables: Tables, game: NDArray[np.int64], logits: torch.Tensor, copies: int) -> Floats:
        """The values (rows,) from logits (rows × copies, K); `game` (rows,) says to which game each row belongs."""
        if len(self.kinds) == 1:
            values = tables.read(self.model, self.kinds[0], logits)
            return values if copies == 1 else values.reshape(-1, copies).mean(axis=1)
        found, kinds = np.empty(len(game)), self.kind[game]
        for kind in np.unique(kinds):
            mine = kinds == kind
            own = logits[torch.from_numpy(np.repeat(mine, copies))]
            found[mine] = tables.read(self.model, self.kinds[kind], own).reshape(-1, copies).mean(axis=1)
        return found

    def of(self, places: Sequence[int]) -> list[ValueColumn]:
        """The column of each of some games."""
        return [self.kinds[self.kind[place]] for place in places]


def _columns(family: Family, places: Sequence[int], k: int, tables: Tables) -> _FamilyColumn:
    known: dict[int, int] = {}
    kinds: list[ValueColumn] = []
    kind = np.zeros(len(places), dtype=np.int64)
    model = tables.plan.jobs[family.jobs[0]].games[k].model
    for number, place in enumerate(places):
        game = tables.plan.jobs[family.jobs[place]].games[k]
        target = tables.target(game)
        if target not in known:
            known[target] = len(kinds)
            kinds.append(tables.column(game))
        kind[number] = known[target]
    return _FamilyColumn(model, kinds, kind)


def _recall(family: Family, places: Sequence[int], columns: Sequence[_FamilyColumn], tables: Tables) -> None:
    """Enter in the tables what the store knows of games; of one whose run was interrupted, some rows."""
    numbers, every = [family.jobs[place] for place in places], range(len(places))
    some = False
    for k, own in enumerate(columns):
        known = tables.memory.find_games(numbers, own.model, own.of(every))
        for place, values in zip(places, known, strict=True):
            if values is not None:
                family.values[place, :, k], some = values, True
    if not some:
        return
    copies = tables.plan.jobs[family.jobs[0]].hybrids.rows
    for model in dict.fromkeys(own.model for own in columns):
        mine = [k for k, own in enumerate(columns) if own.model == model]
        found = ~np.isnan(family.values[list(places)][:, :, mine]).any(axis=2)
        tables.spend(hits={SAME: int(found.sum()) * copies})


def _keep(family: Family, places: Sequence[int], columns: Sequence[_FamilyColumn], tables: Tables) -> None:
    """Keep the values of the games that were begun, also where the run was interrupted."""
    values = _some(family.values, places)
    for k, own in enumerate(columns):
        begun = np.flatnonzero(~np.isnan(values[:, :, k]).all(axis=1))
        if len(begun):
            numbers = [family.jobs[places[n]] for n in begun.tolist()]
            kept = np.array(_some(values[:, :, k], begun.tolist()), order="C")  # the tables' values may be filled later
            tables.memory.keep_games(numbers, own.model, own.of(begun.tolist()), kept)


def _some(values: Floats, places: Sequence[int]) -> Floats:
    """The values at these places of the first axis; a view if they follow one another."""
    first, end = (places[0], places[-1] + 1) if len(places) else (0, 0)
    return values[first:end] if end - first == len(places) else values[list(places)]


def _predict(family: Family, places: Sequence[int], tables: Tables, desk: Desk, catalog: Catalog) -> None:
    """Decide the classes that games explain where the model must predict them."""
    wanted = dict.fromkeys(target for place in places for target in tables.plan.jobs[family.jobs[place]].predictions)
    by_model: dict[str, list[Predicted]] = {}
    for target in wanted:
        if target not in tables.outcome.targets:
            by_model.setdefault(target.model, []).append(target)
    for model, targets in by_model.items():
        elements = [catalog.element_for(model, target.source) for target in targets]
        names: list[tuple[Hashable, ...]] = [
            ("class", tables.networks[model].outputs, element.digest) for element in elements
        ]
        known = tables.memory.find_classes(model, names)
        for target, found in zip(targets, known, strict=True):
            if found is not None:
                tables.outcome.targets[target] = found
        missing = [n for n, found in enumerate(known) if found is None]
        if missing:
            _ask(model, [targets[n] for n in missing], [elements[n].tensor for n in missing], tables, desk)
            tables.memory.keep_classes(
                model, [names[n] for n in missing], [tables.outcome.targets[targets[n]] for n in missing]
            )


def _ask(model: str, targets: Sequence[Predicted], inputs: Sequence[torch.Tensor], tables: Tables, desk: Desk) -> None:
    size = whole_batch_size(tables, model)

    def works(chunk: Sequence[int], run: Run) -> list[Work]:
        rows = Rows(whole=tuple(inputs[n] for n in chunk))
        return [Work(model, rows, (None,), (), run.mode)]

    def read(chunk: Sequence[int], work: Work, done: Done) -> None:
        reading = tables.networks[model].outputs
        for n, row in zip(chunk, done.logits[None], strict=True):
            tables.outcome.targets[targets[n]] = reading.predicted(row)

    def named(chunk: Sequence[int], _work: Work, row: int) -> str:
        return f"the input {targets[chunk[row]].source}"

    desk.in_batches(range(len(inputs)), lambda _: Run(size, "eager"), model, works, read, named)
