"""One run's tables of values: for every job, the values that are read from each row, as far as they are known.

In: a plan, its designs, the networks and the store. Out: which rows a model has still to evaluate, the values so far,
and what they cost. It may run no model and form no batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..errors import BindError, ModelError
from ..kernels.coalitions import Design
from ..models.behaviour import differ, precision, size_of
from ..models.network import Network
from ..models.noise import NoiseLevel, RepeatedRows, level
from ..models.outputs import OutputReading, saturated
from ..models.tabling import Made
from ..planner.games import Game, Predicted
from ..planner.physical import Job, PhysicalPlan
from ..planner.spending import Spending
from ..system.arrays import Floats
from .memory import Memory, ValueColumn
from .store import Store

THIS_QUERY = "another game of this query"


@dataclass
class Outcome:
    """The results of a plan's execution, and what it cost."""

    designs: list[Design]
    values: list[Floats]  # a job: (m, columns)
    targets: dict[Predicted, int]
    contents: dict[str, tuple[object, ...]]  # of each model that ran
    heads: dict[str, dict[int, tuple[int, int]]]  # of each model that ran, by layer
    maps: dict[tuple[int, int], Floats] = field(default_factory=dict)  # input-shaped, by job and column, where asked
    noise: dict[tuple[int, int], NoiseLevel] = field(default_factory=dict)  # by job and column, of random models
    spending: Spending = field(default_factory=Spending)
    saturated: set[str] = field(default_factory=set)  # models with log-odds that were read of a probability of 0 or 1
    keep_rows: bool | None = None  # whether rows of very many games were kept one by one (D7); None: there were few
    probed: set[str] = field(default_factory=set)  # models that were probed with a row that the plan needs


class Family(NamedTuple):
    """Jobs alike but for their ends and classes: one design, the same models, layers and outputs. `values` (jobs, m,
    columns) are those of the jobs, which share its memory."""

    jobs: tuple[int, ...]
    design: Design
    values: Floats


class ReadOtherwise(Exception):
    """A row of a model contradicted how its outputs were read, in the middle of a run: the run must begin again."""

    def __init__(self, model: str, before: OutputReading, after: OutputReading) -> None:
        super().__init__(model)
        self.model, self.before, self.after = model, before, after


class Tables:
    """The tables of one run of `plan`. `contents` are the models' contents before the run. `outcome` holds the tables,
    and `memory` is the store as this plan sees it, for the query that began at `now`."""

    def __init__(
        self,
        plan: PhysicalPlan,
        designs: Sequence[Design],
        networks: Mapping[str, Network],
        contents: Mapping[str, tuple[object, ...]],
        store: Store,
        now: float | None = None,
        repeated: Mapping[str, Sequence[RepeatedRows]] | None = None,
        *,
        alone: bool = False,
    ) -> None:
        self.plan = plan
        self.repeated = dict(repeated or {})  # rows of random models, by model
        self.networks = networks
        self.first_rows: dict[str, bytes] = {}  # the rows with which models were probed, by model
        self._readings: dict[str, OutputReading] = {}  # of models whose probabilities or log-odds were read
        self.memory = Memory(store, networks, contents, plan.jobs, designs, plan.strategy.mode, now, alone=alone)
        alike: dict[tuple[object, ...], list[int]] = {}  # two specs may be one design
        for each in plan.families:
            alike.setdefault((id(designs[each.jobs[0]]), each.columns, each.copies), []).extend(each.jobs)
        values: list[Floats] = [np.zeros((0, 0))] * len(plan.jobs)
        self.families: list[Family] = []
        for numbers in map(sorted, alike.values()):
            first = numbers[0]
            block = np.full((len(numbers), len(designs[first].coalitions), len(plan.jobs[first].games)), np.nan)
            self.families.append(Family(tuple(numbers), designs[numbers[0]], block))
            for number, own in zip(numbers, block, strict=True):
                values[number] = own
        self.outcome = Outcome(list(designs), values, {}, self.memory.contents, self.memory.heads)

    def spend(
        self,
        rows: int = 0,
        batches: int = 0,
        forward_seconds: float = 0.0,
        hits: Mapping[str, int] | None = None,
        checks: Mapping[str, int] | None = None,
        tabled: int = 0,
        made: Made = Made(),  # noqa: B008
    ) -> None:
        """Count rows that were run, of which `tabled` began from pattern tables; what tables took that were `made`;
        rows that were found in the store, and what checks of these found."""
        self.outcome.spending += Spending(
            rows,
            batches,
            forward_seconds,
            hits or {},
            checks or {},
            tabled=tabled,
            table_rows=made.rows,
            table_seconds=made.seconds,
        )

    def target(self, game: Game) -> int:
        """The class that a game reads. Raises BindError where its model has no such class."""
        target = self.outcome.targets[game.target] if isinstance(game.target, Predicted) else game.target
        classes = self.networks[game.model].class_count
        if target >= classes:
            raise BindError(
                f"model '{game.model}' has {classes} classes; class {target} of the other model is not among them"
            )
        return target

    def column(self, game: Game) -> ValueColumn:
        """The column of values that a game reads from the passes of its rows. Raises ReadOtherwise where the outputs of
        its model were read otherwise before."""
        reading = self.networks[game.model].outputs
        if game.output != "logit" and self._readings.setdefault(game.model, reading) != reading:
            raise ReadOtherwise(game.model, self._readings[game.model], reading)
        return ValueColumn(game.layer, self.target(game), game.output, reading if game.layer is None else reading.head)

    def read(self, model: str, column: ValueColumn, logits: Tensor) -> Floats:
        """The values (rows,) of a column, from the logits (rows, K) of its layer on the host."""
        if column.output == "log_odds" and saturated(logits, column.target, column.reading):
            self.outcome.saturated.add(model)
        try:
            return column.read(logits)
        except ModelError as error:
            raise ModelError(f"model '{model}': {error.message}") from None

    def measure_noise(self) -> None:
        """Enter the noise of every column of a random model, from the rows of it that were repeated."""
        if not any(self.repeated.values()):
            return
        for number, job in enumerate(self.plan.jobs):
            ends = job.hybrids.first.empty, job.hybrids.first.full
            for k, game in enumerate(job.games):
                place = self.networks[game.model].head_place(game.layer)
                known = [each for each in self.repeated.get(game.model, ()) if each.layer == place]
                if known and job.hybrids.players:
                    found = level(known, ends, self.column(game).read)
                    self.outcome.noise[number, k] = found.of_mean(job.hybrids.rows, full=not job.hybrids.covering)

    def columns(self, job: Job, model: str) -> tuple[list[int], list[ValueColumn]]:
        """The job's columns that `model` fills: their numbers, and what they read."""
        own = [k for k, game in enumerate(job.games) if game.model == model]
        return own, [self.column(job.games[k]) for k in own]

    def layers(self, jobs: Iterable[int], model: str) -> tuple[int | None, ...]:
        """The layers of `model` that the jobs read."""
        return tuple(dict.fromkeys(layer for number in jobs for layer in self.plan.jobs[number].layers(model)))

    def lacking(self, number: int, model: str, rows: Sequence[int] | None = None) -> NDArray[np.bool_]:
        """Which of these rows of a job, or of all, `model` has still to evaluate."""
        values = self.outcome.values[number]
        own = [k for k, game in enumerate(self.plan.jobs[number].games) if game.model == model]
        read = values[:, own] if rows is None else values[np.ix_(rows, own)]
        lacking: NDArray[np.bool_] = np.any(np.isnan(read), axis=1)
        return lacking

    def rows_to_do(self, numbers: Iterable[int]) -> int:
        """How many rows of these jobs are still to be evaluated; a whole input that several games share counts once."""
        rows = 0
        ends: set[tuple[str, bytes]] = set()
        for number in numbers:
            job = self.plan.jobs[number]
            for model in job.models:
                lacking = self.lacking(number, model)
                rows += int(lacking.sum()) * job.hybrids.rows
                if self.plan.strategy.reuse and job.hybrids.copies is None:
                    names = [name for name, lacks in zip(self.memory.ends(number), lacking, strict=False) if lacks]
                    rows -= len(names)
                    ends.update((model, name) for name in names)
        return rows + len(ends)

    def recall(self, number: int, *, within: bool = False) -> None:
        """Fill in the values of a job's rows that the store knows, and count them. While the query runs (`within`), all
        count as rows that this query has evaluated."""
        job = self.plan.jobs[number]
        for model in job.models:
            rows = np.flatnonzero(self.lacking(number, model))
            if len(rows):
                own, columns = self.columns(job, model)
                found, kinds = self.memory.find(number, model, rows, columns)
                self.outcome.values[number][np.ix_(rows.tolist(), own)] = found
                copies, whole = (
                    job.hybrids.rows,
                    0 if job.hybrids.copies else 1,
                )  # ends that are one row count elsewhere
                mine = int((~np.isnan(found).any(axis=1) & (rows > whole)).sum())
                hits = {THIS_QUERY: mine} if within else kinds
                self.spend(hits={kind: count * copies for kind, count in hits.items()})

    def copied(self, before: tuple[int, int], now: tuple[int, int]) -> bool:
        """Whether a row, a job and a row of its design, is known now: it is the row `before`, of which the values that
        both jobs read are entered, and counted as a row that this query has evaluated."""
        (other, from_row), (number, row) = before, now
        jobs, values = self.plan.jobs, self.outcome.values
        columns = {(game.model, self.column(game)): k for k, game in enumerate(jobs[other].games)}
        for k, game in enumerate(jobs[number].games):
            found = columns.get((game.model, self.column(game)))
            if found is not None and np.isnan(values[number][row, k]):
                values[number][row, k] = values[other][from_row, found]
        known = not np.isnan(values[number][row]).any()
        job = jobs[number]
        if known and row > (0 if job.hybrids.copies else 1):
            self.spend(hits={THIS_QUERY: job.hybrids.rows * len(job.models)})
        return known

    def fill(
        self, number: int, model: str, rows: list[int], logits: Mapping[int | None, Tensor], seconds: float
    ) -> None:
        """Enter the results of a pass for rows of a job, logits (rows × backgrounds, K) on the host at each layer, and
        keep them in the store. Each row took `seconds`."""
        job = self.plan.jobs[number]
        own, columns = self.columns(job, model)
        read = np.stack([self.read(model, each, logits[each.layer]) for each in columns], axis=1)
        if job.hybrids.copies is None:
            self.outcome.values[number][np.ix_(rows, own)] = read
            self._compare(number, model, rows, logits)
            self.memory.keep(number, model, rows, columns, logits, seconds)
            return
        read = read.reshape(len(rows), job.hybrids.copies, -1).mean(axis=1)
        means = {
            layer: each.double().reshape(len(rows), -1, each.shape[-1]).mean(dim=1) for layer, each in logits.items()
        }
        self.outcome.values[number][np.ix_(rows, own)] = read
        self.memory.keep_means(number, model, rows, dict(zip(columns, read.T, strict=True)), means, seconds)

    def _compare(self, number: int, model: str, rows: list[int], logits: Mapping[int | None, Tensor]) -> None:
        """Note a model that answers rows otherwise which it answered before, in other batches: it is no function of the
        row. How, the rows tell that are repeated then."""
        network = self.networks[model]
        if network.behaviour.words:
            return
        for before, now in self.memory.met_again(number, model, rows, logits):
            precise = precision(network.nets, now)
            if before.shape == now.shape and differ(before, now, size_of(now), precise, same_form=False):
                network.behaviour.random = True
