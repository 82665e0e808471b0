"""Runs a physical plan: the ends, then every pass in full batches, then interpreters that run the models themselves.

In: a plan, and how plans are run (an `Executor`). Out: for each job its values (m, columns), for each prediction its
class. Memory is bounded by the batches under way and the tables. Whatever happens, finished batches are in the store
and the models are as they were found. It may estimate nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..catalog.catalog import Catalog
from ..interpreters.checked import designed
from ..interpreters.protocol import GameInterpreter
from ..kernels.coalitions import Design
from ..models.network import Network
from ..models.noise import RepeatedRows
from ..planner.games import Predicted
from ..planner.physical import PhysicalPlan
from ..planner.sampling import DesignSpec
from .asking import ask
from .batches import Desk
from .canaries import check_canaries
from .coalitions import evaluate_pass
from .control import Cancellation, current
from .earlier import Earlier
from .ends import evaluate_ends
from .families import evaluate_family, families, pilot
from .lanes import Lane, OpenLane, local
from .memory import input_name
from .repeats import by_model, examine, repeat
from .store import Store
from .tables import Outcome, Tables
from .tape import Tape

Progress = Callable[[int, int], None]


class TimeUp(Exception):
    """The deadline passed before all rows of the plan were evaluated; the rows so far stay in the store."""


@dataclass(frozen=True, eq=False)
class Executor:
    """How plans are run. No batch of coalitions starts after `deadline`, a time of `time.perf_counter`, and no batch at
    all after `cancellation` (by default that of the query for which the thread computes). `progress(done, total)` is
    called with numbers of rows. `lane` opens the lane that runs the batches."""

    catalog: Catalog
    store: Store
    tape: Tape = field(default_factory=Tape)
    deadline: float = math.inf
    progress: Progress | None = None
    lane: OpenLane = local
    cancellation: Cancellation = field(default_factory=current)
    now: float | None = None  # the query's time, as the store counts it
    earlier: Earlier = field(default_factory=Earlier)  # what earlier runs of the query found

    def design(self, spec: DesignSpec) -> Design:
        """The coalitions of a job."""
        interpreter = self.catalog.interpreter(spec.interpreter)
        if isinstance(interpreter, GameInterpreter):
            return designed(spec.interpreter, interpreter, spec.method, spec.players, spec.rows, spec.seed)
        ends = np.repeat([[False], [True]], spec.players, axis=1)[: spec.rows]
        return Design(spec.method, spec.players, 0, ends, (spec.method, spec.players, spec.rows, 0))

    def halt(self, timed: bool) -> Exception | None:
        """The error to raise in place of the next batch, if any: cancelled, or, if `timed`, after the deadline."""
        if self.cancellation.cancelled:
            return self.cancellation.error
        return TimeUp() if timed and time.perf_counter() >= self.deadline else None


class Execution:
    """One run of one plan; `outcome` holds the results so far."""

    def __init__(self, executor: Executor, plan: PhysicalPlan) -> None:
        self.executor = executor
        self.plan = plan
        self.outcome = Outcome([], [], {}, {}, {})
        self.made: Tables | None = None  # the tables of this run

    def run(self) -> Outcome:
        """Evaluate every row that the plan needs.

        Raises ModelError where a model fails or returns what cannot be used, ResourceError out of memory at one row,
        Cancelled, and TimeUp after the deadline; what was counted until then is in `outcome`.
        """
        plan, executor = self.plan, self.executor
        predicted = {game.target.model for job in plan.jobs for game in job.games if isinstance(game.target, Predicted)}
        names = dict.fromkeys((*plan.models, *sorted(predicted)))
        networks = {name: executor.catalog.model(name) for name in names}
        designs = {spec: executor.design(spec) for spec in dict.fromkeys(each.spec for each in plan.families)}
        with executor.lane(networks) as lane:
            # Only now, when nobody can change the models: the store names their rows by what they are.
            tables = self.tables(networks, designs, lane)
            desk = Desk(tables, lane, executor.tape, executor.halt)
            check_canaries(tables, desk)
            executor.earlier.give(tables)
            timed = not math.isinf(executor.deadline)
            first = {each: list(each.jobs) if timed else pilot(each, tables) for each in plan.passes}
            begun = [number for jobs in first.values() for number in jobs]
            in_blocks = plan.strategy.block is not None and not timed
            if in_blocks:  # inputs are read when their block is begun
                total: float = plan.rows
            else:
                total = sum(self._begin(part, tables, desk, timed) for part in plan.blocks(begun))
                total += self.outcome.spending.rows + sum(each.rows for each in plan.passes if each.asked)
                total += sum(each.rows * (1 - len(first[each]) / len(each.jobs)) for each in plan.passes)

            def told() -> None:
                if executor.progress is not None:
                    executor.progress(self.outcome.spending.rows, math.ceil(total))

            for each in plan.passes if timed else ():
                if plan.jobs[each.jobs[0]].hybrids.copies is not None:  # whose ends are several rows
                    evaluate_pass(each, first[each], tables, desk, told, ends=True)
            known = set(begun)
            for each in plan.passes:
                for part in plan.blocks(first[each]):
                    if in_blocks:
                        self._begin(part, tables, desk, timed)
                    evaluate_pass(each, part, tables, desk, told)
            for each in plan.passes:
                rest = [number for number in each.jobs if number not in known]
                as_arrays = list(families(each, rest, tables, desk))
                for family, places in as_arrays:
                    for block in plan.blocks(places):
                        evaluate_family(each, family, block, tables, desk, executor.catalog, told)
                for part in plan.blocks(rest if not as_arrays else ()):
                    self._begin(part, tables, desk, timed)
                    evaluate_pass(each, part, tables, desk, told)
            found = any(networks[name].behaviour.random for name in networks.keys() - tables.repeated.keys())
            for name, numbers in by_model(plan).items() if found else ():
                if networks[name].behaviour.random and name not in tables.repeated:  # found while the plan ran
                    jobs = [(plan.jobs[number], tables.outcome.designs[number]) for number in numbers]
                    tables.repeated[name] = repeat(name, networks[name], tables.outcome.contents[name], jobs, lane)
        tables.measure_noise()
        executor.cancellation.check()

        def made() -> None:
            told()
            executor.cancellation.check()

        ask(tables, executor.catalog, executor.tape, made)  # the lane is closed, because inside it gradients are off
        return self.outcome

    def _begin(self, numbers: Sequence[int], tables: Tables, desk: Desk, timed: bool) -> float:
        """Read the ends of some jobs, and what the store knows of them. Returns how many of their rows are left."""
        evaluate_ends(tables, desk, self.executor.catalog, numbers, timed=timed)
        for number in numbers if self.plan.strategy.reuse else ():
            tables.recall(number)
        return tables.rows_to_do(numbers)

    def tables(
        self, networks: Mapping[str, Network], designs: Mapping[DesignSpec, Design], lane: Lane, *, alone: bool = False
    ) -> Tables:
        """The tables of this run. The rows with which the models were probed are entered already. `alone`: its rows
        are run one by one, and kept apart from those of filled batches."""
        plan, executor = self.plan, self.executor
        contents = {name: network.content() for name, network in networks.items()}  # before a pass writes to them
        first_passes = {name: network.take_first_pass() for name, network in networks.items()}
        drawn = [designs[job.spec] for job in plan.jobs]
        repeated: dict[str, list[RepeatedRows]] = {}
        for name, numbers in by_model(plan).items():
            examine(networks[name], plan.jobs[numbers[0]], drawn[numbers[0]])
            if networks[name].behaviour.random:
                jobs = [(plan.jobs[number], drawn[number]) for number in numbers]
                repeated[name] = repeat(name, networks[name], contents[name], jobs, lane)
        tables = Tables(plan, drawn, networks, contents, executor.store, executor.now, repeated, alone=alone)
        self.outcome, self.made = tables.outcome, tables
        for name, found in first_passes.items():
            if plan.strategy.pace.filled:
                continue  # the row was alone, and has other bits in a filled batch
            if found is None or (
                networks[name].behaviour.batch_dependent and networks[name].batch_size not in (None, 1)
            ):
                continue  # in the first pass the row was alone, and now it will be in a batch of copies
            tables.memory.keep_whole(name, input_name(found.example), {None: found.logits}, 0.0)
            tables.first_rows[name] = input_name(found.example)
        return tables
