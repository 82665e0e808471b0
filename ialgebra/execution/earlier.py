"""What the runs of one query have found so far, for its next run: a query pays once for a row, however small the store.

In: the tables of a run. Out: the same classes and values in the tables of a later run of the query, as far as its games
and coalitions are the same. It may run no model, and it counts nothing: the run that found a row has counted it.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np

from ..kernels.coalitions import Design
from ..planner.games import Predicted
from ..planner.physical import Job
from ..system.arrays import Floats, Ints
from .store import StoreKey
from .tables import Tables


class _Found(NamedTuple):
    """The values (m,) of a game by the coalitions of a design, NaN where they are not known."""

    design: Design
    values: Floats


class Earlier:
    """The classes and values that runs of one query have found, by the content of models and inputs."""

    def __init__(self) -> None:
        self._runs: list[Tables] = []  # not looked through yet: most queries have one run, which no other follows
        self._targets: dict[tuple[StoreKey, Predicted], int] = {}
        self._values: dict[Hashable, _Found] = {}

    def take(self, tables: Tables) -> None:
        """Note what a run found, also one that did not end."""
        if tables.plan.strategy.reuse:
            self._runs.append(tables)

    def give(self, tables: Tables) -> None:
        """Enter in the tables of a run what earlier runs found. A run that may not reuse rows gets nothing."""
        if not tables.plan.strategy.reuse:
            return
        while self._runs:
            self._look_through(self._runs.pop(0))
        known = [(each, tables.memory.models[each.model]) for job in tables.plan.jobs for each in job.predictions]
        for target, model in known:
            if (model, target) in self._targets:
                tables.outcome.targets[target] = self._targets[model, target]
        places: dict[tuple[int, int], tuple[Ints, Ints]] = {}
        for number, job in enumerate(tables.plan.jobs if self._values else ()):
            design = tables.outcome.designs[number]
            for k, name in _names(job, tables):
                if (found := self._values.get(name)) is None:
                    continue
                pair = id(found.design), id(design)
                if pair not in places:
                    places[pair] = _same_rows(found.design, design)
                before, now = places[pair]
                tables.outcome.values[number][now, k] = found.values[before]

    def _look_through(self, tables: Tables) -> None:
        for target, found in tables.outcome.targets.items():
            self._targets[tables.memory.models[target.model], target] = found
        for number, job in enumerate(tables.plan.jobs):
            values = tables.outcome.values[number]
            for k, name in _names(job, tables):
                self._values[name] = _Found(tables.outcome.designs[number], values[:, k])


def _names(job: Job, tables: Tables) -> list[tuple[int, Hashable]]:
    """The columns of a job whose classes are known, each with a name of what it reads."""
    known = tables.outcome.targets
    return [
        (k, (tables.memory.models[game.model], job.hybrids.key, tables.memory.scalar(game.model, tables.column(game))))
        for k, game in enumerate(job.games)
        if not isinstance(game.target, Predicted) or game.target in known
    ]


def _same_rows(before: Design, now: Design) -> tuple[Ints, Ints]:
    """The rows of two designs that are one coalition: their places in both."""
    rows = min(len(before.coalitions), len(now.coalitions))
    if np.array_equal(before.coalitions[:rows], now.coalitions[:rows]) and rows == len(before.coalitions):
        return np.arange(rows), np.arange(rows)
    place_of = {each.tobytes(): place for place, each in enumerate(np.packbits(before.coalitions, axis=1))}
    pairs = [
        (place_of[name], place)
        for place, each in enumerate(np.packbits(now.coalitions, axis=1))
        if (name := each.tobytes()) in place_of
    ]
    places = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return places[:, 0], places[:, 1]
