"""D11: which passes begin from pattern tables. In: passes with their jobs, and the other ways to run them. Out: the
same, each with the cheapest way.

A table holds the values of a prefix of the network for all coalitions of a game (`models.graph.patterns`). To learn
whether one pays, a network is traced, and one row goes through it; so a pass is looked at only if its rows take many
times longer. Mode and table are one choice, by seconds that were measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from ..algebra.packings import packing_of
from ..catalog.catalog import Catalog
from ..models.network import Network
from ..models.profile import Mode
from ..models.tabling import TABLED, TableOfGame
from .cost import cheapest, seconds_to_compose
from .games import ReadAgain
from .physical import Cost, Job, Pass, Run
from .strategy import Strategy

_FEWEST = 32  # rows of a game below which a table is not considered
_MOST_SPENT = 0.03  # of the seconds of a pass, to learn whether a table pays, where that is likely
_MOST_RISKED = 0.005  # of them where it is not: without convolutions, or with few players for the rows of the game
_FEW = 2  # players beyond those that have as many coalitions as a game has rows
_SECONDS_A_PLACE = 1.5e-8  # to learn who is seen where: for each player, and each place of an input
_WORTH_LOOKING = 1.5  # a mode is looked at if its whole passes take at most so many times the least seconds
_NONE_PAYS = "no table saves more than it takes, or its players are not of plain rows"


class TablesOfPass:
    """The tables with which the rows of a pass could begin, planned when they are asked for.

    `contents` tells the content of a model, by name. Modes that run one graph have the same tables.
    """

    def __init__(
        self,
        each: Pass,
        jobs: Sequence[Job],
        networks: Mapping[str, Network],
        contents: Callable[[str], tuple[object, ...]],
    ) -> None:
        self._each = each
        self._jobs = {number: jobs[number] for number in each.jobs}
        self._networks = {model: networks[model] for model in each.models}
        self._contents = contents
        self._planned: dict[bool, Mapping[tuple[str, int], TableOfGame]] = {}
        if each.run.table:
            self._planned[each.run.mode == "folded"] = each.tables

    def of(self, mode: Mode) -> Mapping[tuple[str, int], TableOfGame]:
        """The tables for passes in a mode, by model and job."""
        if self._each.asked or mode not in TABLED:
            return {}
        place = mode == "folded"
        if place not in self._planned:
            self._planned[place] = dict(self._tables(mode))
        return self._planned[place]

    def why(self, mode: Mode) -> str:
        """Why no row of the pass begins from a table in this mode."""
        if mode not in TABLED:
            return f"passes in mode {mode} begin from no table"
        whys = [network.tabling.why(mode) for network in self._networks.values()]
        return next(filter(None, whys), _NONE_PAYS)

    def _tables(self, mode: Mode) -> Iterator[tuple[tuple[str, int], TableOfGame]]:
        for model, network in self._networks.items():
            content = None
            for number, job in self._jobs.items():
                if not _considered(job, network):
                    continue
                content = content or self._contents(model)
                segments, copies = job.hybrids.segments, job.hybrids.rows
                if job.hybrids.copies is not None:
                    segments = segments[0]
                planned = network.tabling.plan(
                    content, segments, job.spec.players, job.spec.rows, job.layers(model), mode, copies
                )
                if planned is not None:
                    yield (model, number), TableOfGame(planned, content, copies)

    def looked_at(self, whole: Mapping[Run, Cost]) -> tuple[Mode, ...]:
        """Of the modes of some ways to run the pass whole, with what these cost, those in which tables may pay: none
        where it takes too long to learn it. A second graph of the networks is looked at only if it is known."""
        least = min((cost.seconds for cost in whole.values() if cost.seconds is not None), default=math.inf)
        seconds: dict[Mode, float] = {}
        for run, cost in whole.items():
            if run.mode in TABLED and cost.seconds is not None and cost.seconds <= _WORTH_LOOKING * least:
                seconds[run.mode] = min(cost.seconds, seconds.get(run.mode, math.inf))
        if not seconds:
            return ()
        best = min(seconds, key=lambda mode: seconds[mode])
        copied = seconds[best] > least  # copies of weights are made for the look alone
        if self._seconds_to_look(best, whole, copied) > (_MOST_SPENT if self._likely else _MOST_RISKED) * seconds[best]:
            return ()
        known = all(network.tabling.knows(mode) for mode in seconds for network in self._networks.values())
        return tuple(mode for mode in seconds if known or (mode == "folded") == (best == "folded"))

    @cached_property
    def _likely(self) -> bool:
        """Whether tables are likely to pay: rows go through convolutions, and many players are far from one another."""
        many = any(job.spec.players > _FEW + math.log2(max(1, job.spec.rows)) for job in self._jobs.values())
        return many and all(network.tabling.convolves for network in self._networks.values())

    def _seconds_to_look(self, mode: Mode, whole: Mapping[Run, Cost], copied: bool) -> float:
        if (mode == "folded") in self._planned:
            return 0.0
        total = 0.0
        for network in self._networks.values():
            jobs = [job for job in self._jobs.values() if _considered(job, network)]
            if not jobs:
                return math.inf
            batch = next(run.batch_size for run in whole if run.mode == mode)
            total += network.tabling.seconds_to_learn(mode, network.profile.per_row(batch, mode))
            if copied and not network.copied(mode):
                total += network.profile.making.get(mode, 0.0)
            players = {id(job.hybrids.segments): job.spec.players for job in jobs}
            total += _SECONDS_A_PLACE * math.prod(network.row_shape[1:]) * sum(players.values())
        return total

    def costs(self, whole: Mapping[Run, Cost], left: float = 1.0) -> dict[Run, Cost]:
        """What the pass costs from tables in each way for which it may pay, given what the ways cost `whole`: with the
        making of tables that are not made. `left` is the share of its rows that are left."""
        found: dict[Run, Cost] = {}
        for mode in self.looked_at(whole):
            tables = {place: table for place, table in self.of(mode).items() if table.planned.gained > 0}
            for run, cost in whole.items():
                if run.mode == mode and cost.seconds is not None and tables:
                    seconds = cost.seconds - sum(self._saved(run, *each, left) for each in tables.items())
                    size = sum(table.planned.bytes for table in tables.values())
                    found[run._replace(table=True)] = cost._replace(seconds=max(0.0, seconds), peak=cost.peak + size)
        return found

    def _saved(self, run: Run, place: tuple[str, int], table: TableOfGame, left: float) -> float:
        """Seconds that the table of one game saves; below zero if its making takes more."""
        (model, number), planned = place, table.planned
        network, job = self._networks[model], self._jobs[number]
        rows = max(1, round(self._each.rows * left))
        a_row = network.profile.seconds(rows, run.batch_size, mode=run.mode) / rows
        depth = network.profile.share(self._each.layers[self._each.models.index(model)])
        gain = min(planned.before, depth) - planned.gathering
        made = (
            0.0
            if network.tabling.holds(table, job.hybrids.key, run.mode, run.batch_size)
            else planned.making * table.copies
        )
        composing = seconds_to_compose(network) / len(self._networks)
        return job.rows * left * (a_row * gain + composing) - a_row * made


def with_tables(passes: Sequence[Pass], jobs: Sequence[Job], strategy: Strategy, catalog: Catalog) -> tuple[Pass, ...]:
    """The passes, each whole or from tables: as the strategy says, or as is cheaper."""
    if strategy.table is False or strategy.pace.filled or not (strategy.table or strategy.measured):
        return tuple(passes)
    networks = {model: catalog.model(model) for each in passes for model in each.models}
    return tuple(each if each.asked else _decided(each, jobs, strategy, networks) for each in passes)


def _decided(each: Pass, jobs: Sequence[Job], strategy: Strategy, networks: Mapping[str, Network]) -> Pass:
    if not all(networks[model].probed for model in each.models):
        return each
    tables = TablesOfPass(each, jobs, networks, lambda model: networks[model].content())
    whole = {each.run._replace(explore=False): each.cost, **dict(each.rejected)}
    if strategy.table:
        return _forced(each, tables)
    begun = tables.costs(whole)
    if not begun:
        looked = tables.looked_at(whole)
        return replace(each, untabled=tables.why(looked[0])) if looked else each
    options = whole | begun
    run = cheapest(options)
    rejected = tuple((other, cost) for other, cost in options.items() if other != run)
    found = tables.of(run.mode if run.table else next(iter(begun)).mode)
    return replace(each, run=run._replace(explore=each.run.explore), cost=options[run], rejected=rejected, tables=found)


def _forced(each: Pass, tables: TablesOfPass) -> Pass:
    found = tables.of(each.run.mode)
    if not found:
        return replace(each, untabled=tables.why(each.run.mode))
    return replace(each, run=each.run._replace(table=True), tables=found)


def less_saved(cost: Cost, before: Sequence[Pass], after: Sequence[Pass]) -> Cost:
    """What a plan costs, after its passes cost something else than before."""
    if cost.seconds is None:
        return cost
    changed = ((old.cost, new.cost) for old, new in zip(before, after, strict=True) if old is not new)
    saved = sum((old.seconds or 0.0) - (new.seconds or 0.0) for old, new in changed)
    return cost._replace(seconds=cost.seconds - saved)


def _considered(job: Job, network: Network) -> bool:
    """Whether a job has many rows, which are single tensors like the one with which the network was probed, and of
    several pairs of ends all have the same players."""
    hybrids = job.hybrids
    held = not any(isinstance(end, ReadAgain) or packing_of(end) is not None for end in hybrids.ends)
    if not held or hybrids.row_shape != network.row_shape or job.spec.rows < _FEWEST:
        return False
    return hybrids.copies is None or bool(np.all(hybrids.segments == hybrids.segments[:1]))
