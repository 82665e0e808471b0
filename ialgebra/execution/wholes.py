"""Whole inputs through models, without games: what PREDICT reads, and `score(…)` of a query.

In: a plan of whole inputs, a function that gives inputs as a model is given them, and one that reads logits. Out:
every input read once; the rows in the store, under the names that x_N of a game has too. Inputs are made, named, looked
up and run in blocks, so that memory is bounded by a block. It may know no class and no score.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import is_
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..models.examining import without_half
from ..planner.games import RowForm
from ..planner.physical import Run
from ..planner.wholes import WholePass, WholePlan
from ..system.arrays import Ints
from .batches import Desk
from .canaries import check_canaries
from .execution import Execution, Executor
from .lanes import Done, Rows, Work
from .memory import WHOLE, LayerNumber, input_names
from .tables import Outcome, Tables

InputsFor = Callable[[str, range], Sequence[Tensor]]
"""The inputs (*shape) of some numbers as a model, given by its name, gets them."""

ReadLogits = Callable[[str, Ints, Mapping[LayerNumber, Tensor]], None]
"""Given a model, the numbers (rows,) of some inputs, and the logits (rows, K) of each layer on the host."""

_BLOCK = 1 << 24  # numbers of the inputs that are held at a time


class _Block(NamedTuple):
    """Some inputs, and their numbers by the names of their contents."""

    inputs: Sequence[Tensor]
    numbers: Mapping[bytes, Sequence[int]]

    @classmethod
    def of(cls, inputs: Sequence[Tensor], first: int) -> _Block:
        """Inputs whose numbers begin with `first`."""
        numbers: dict[bytes, list[int]] = {}
        for number, name in enumerate(input_names(inputs), start=first):
            numbers.setdefault(name, []).append(number)
        return cls(inputs, numbers)

    def has(self, inputs: Sequence[Tensor]) -> bool:
        """Whether these are the inputs, the objects themselves."""
        return len(inputs) == len(self.inputs) and all(map(is_, inputs, self.inputs))


class WholeInputs:
    """One run of a plan of whole inputs; `outcome` holds what it cost so far."""

    def __init__(self, executor: Executor, plan: WholePlan, inputs: InputsFor, read: ReadLogits) -> None:
        self.plan = plan
        self._executor = executor
        self._inputs = inputs
        self._read = read
        self._named = _Block((), {})
        self._execution = Execution(executor, plan.without_games)

    @property
    def outcome(self) -> Outcome:
        """What the run cost so far; it has no tables."""
        return self._execution.outcome

    def run(self) -> Outcome:
        """Read every input of the plan once by every model. Raises what `Execution.run` raises, and what `read`
        raises."""
        executor, passes = self._executor, self.plan.passes
        networks = {each.model: executor.catalog.model(each.model) for each in passes}
        with executor.lane(networks) as lane:
            tables = self._execution.tables(networks, {}, lane, alone=self.plan.alone)
            desk = Desk(tables, lane, executor.tape, executor.halt)
            check_canaries(tables, desk)
            for block in self._blocks():
                self._named = _Block((), {})  # its memory is given back first
                for each in passes:
                    self._evaluate(each, block, tables, desk)
        return self.outcome

    def _blocks(self) -> list[range]:
        """The numbers of the inputs in blocks, each of whole batches of every pass."""
        count = self.plan.inputs
        if not count:
            return []
        size = max(1, self._inputs(self.plan.passes[0].model, range(1))[0].numel())
        batch = math.lcm(*(each.run.batch_size for each in self.plan.passes))
        rows = max(batch, _BLOCK // size // batch * batch)
        return [range(first, min(first + rows, count)) for first in range(0, count, rows)]

    def _evaluate(self, planned: WholePass, block: range, tables: Tables, desk: Desk) -> None:
        """Read one block of inputs by one model: from the store, and the others from the model."""
        model, memory = planned.model, tables.memory
        inputs = self._inputs(model, block)
        if not self._named.has(inputs):  # most often all models are given the same inputs
            self._named = _Block.of(inputs, block.start)
        numbers_by_name = self._named.numbers
        network = tables.networks[model]
        if network.examination_due:
            network.examine(inputs[0], without_half(inputs[0]))
        names = list(numbers_by_name)
        if self.plan.strategy.reuse:
            tables.outcome.probed |= {model} & {
                each for each, name in tables.first_rows.items() if name in numbers_by_name
            }
            known, logits, news = memory.find_wholes(model, names, planned.layers)
            tables.spend(hits={WHOLE: news})
            if known.any():
                self._deliver(model, [names[k] for k in np.flatnonzero(known)], numbers_by_name, logits)
            names = [name for name, knows in zip(names, known.tolist(), strict=True) if not knows]
        groups: dict[RowForm, list[bytes]] = {}
        for name in names:
            form = RowForm.of(inputs[numbers_by_name[name][0] - block.start])
            groups.setdefault(form, []).append(name)

        def works(chunk: Sequence[bytes], run: Run) -> list[Work]:
            rows = Rows(whole=tuple(inputs[numbers_by_name[name][0] - block.start] for name in chunk))
            free = desk.free_layers(model, planned.layers, run.mode)
            return [Work(model, rows, planned.layers, free, run.mode, least=desk.least(run, model))]

        def read(chunk: Sequence[bytes], work: Work, done: Done) -> None:
            memory.keep_wholes(model, chunk, done.logits, done.seconds / len(chunk))
            memory.keep_whole_canary(model, work.rows.whole[-1], {k: each[-1] for k, each in done.logits.items()})
            self._deliver(model, chunk, numbers_by_name, done.logits)

        def named(chunk: Sequence[bytes], _work: Work, row: int) -> str:
            return f"input {numbers_by_name[chunk[row]][0]} of the statement"

        for group in groups.values():
            desk.in_batches(group, lambda _: planned.run, model, works, read, named, after=self._told(tables))

    def _told(self, tables: Tables) -> Callable[[], None]:
        total = self.plan.inputs * len(self.plan.passes)

        def told() -> None:
            if self._executor.progress is not None:
                rows = tables.outcome.spending.rows
                self._executor.progress(rows, max(rows, total))

        return told

    def _deliver(
        self,
        model: str,
        names: Sequence[bytes],
        numbers_by_name: Mapping[bytes, Sequence[int]],
        logits: Mapping[LayerNumber, Tensor],
    ) -> None:
        """Give the logits of inputs, by name, to each input of that name."""
        numbers = [numbers_by_name[name] for name in names]
        if all(len(each) == 1 for each in numbers):
            self._read(model, np.array([each[0] for each in numbers], dtype=np.int64), logits)
            return
        rows = torch.tensor([row for row, each in enumerate(numbers) for _ in each])
        every = np.array([number for each in numbers for number in each], dtype=np.int64)
        self._read(model, every, {layer: each[rows] for layer, each in logits.items()})
