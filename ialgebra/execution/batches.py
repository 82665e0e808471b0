"""Puts rows into batches, submits these to a lane, and applies the results in the order of submission.

In: items that each stand for a row, how many to take at a time, and functions that make and read a batch. Out: each
item read once; the batches on the tape. Out of memory halves the batch and goes on. It may know no estimator and no
store; `tables` counts the rows that were run.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import torch
from torch import nn

from ..errors import ModelError, ResourceError
from ..kernels.forward import uncompiled
from ..models.network import Network
from ..planner.physical import Run
from ..system.shortage import is_out_of_memory
from .lanes import Done, Lane, Work
from .tables import Tables
from .tape import Tape

ROWS_LISTED = 1 << 16
"""Rows of a pass that are listed at a time; each takes some 200 bytes. No batch has more."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, eq=False)
class _Submitted(Generic[_Item]):
    """A submitted batch: its items, the number `first` of its first item, and its work by number."""

    first: int
    items: Sequence[_Item]
    planned: Run
    run: Run
    works: list[tuple[Work, int]]


class Desk:
    """Hands batches to a lane. `halt(timed)` is called before every batch, `timed` if a deadline counts. If it returns
    an error, the batches under way are applied first, then the error is raised."""

    def __init__(self, tables: Tables, lane: Lane, tape: Tape, halt: Callable[[bool], Exception | None]) -> None:
        self.tables = tables
        self._lane = lane
        self._tape = tape
        self._halt = halt
        self._not_free: set[str] = set()  # models with a free layer that has failed
        self._works: dict[int, Work] = {}  # submitted, without a result yet; numbered in order of submission
        self._numbers: dict[int, int] = {}  # of work, by ticket
        self._done: dict[int, Done] = {}
        self._count = 0
        self.seconds_a_row = math.nan  # of the last batch
        self._overtaken = False

    def in_batches(
        self,
        items: Sequence[_Item],
        next_run: Callable[[int], Run],
        model: str,
        works: Callable[[Sequence[_Item], Run], Sequence[Work]],
        read: Callable[[Sequence[_Item], Work, Done], None],
        named: Callable[[Sequence[_Item], Work, int], str],
        *,
        each: int = 1,
        timed: bool = True,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        """Evaluate `items` of `each` rows in batches as `next_run(rows left)` says. `works` makes the work of a batch,
        and `read` gets each work's result. `named` describes a row of a work, given by its number, in words. `after` is
        called after each batch.

        Raises what a model raises, ResourceError out of memory at one row (of `model`, it says), and what
        `halt(timed)` gives.
        """
        first, most = 0, ROWS_LISTED
        under_way: deque[_Submitted[_Item]] = deque()
        returned: deque[Run] = deque()  # ways to run batches that came back unused after out of memory
        halted: Exception | None = None
        while True:
            if halted is None and first < len(items) and len(under_way) < self._lane.width:
                self._overtaken |= self._lane.give_way()
                halted = self._halt(timed)
                if halted is None:
                    planned = returned.popleft() if returned else self._tape.next(next_run((len(items) - first) * each))
                    run = planned._replace(batch_size=min(planned.batch_size, most))
                    chunk = items[first : first + max(1, run.batch_size // each)]
                    submitted = [(work, self._submit(work)) for work in works(chunk, run)]
                    under_way.append(_Submitted(first, chunk, planned, run, submitted))
                    first += len(chunk)
                continue
            if not under_way:
                break
            batch = under_way.popleft()
            try:
                for work, number in batch.works:
                    read(batch.items, work, self._result(number, partial(named, batch.items, work)))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                rows = min(len(batch.items) * each, batch.run.batch_size)
                if rows == 1:
                    raise ResourceError(
                        f"out of memory at a batch of one row of model '{model}'; use a smaller model or input"
                    ) from error
                most = rows // 2
                first = batch.first
                returned.extend(each.planned for each in under_way)
                under_way.clear()
                self._give_up()
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
            else:
                self._tape.keep(batch.run)
                after()
        if halted is not None:
            raise halted

    def least(self, run: Run, model: str) -> int:
        """The rows that a batch of a model is filled up to; rows that depend on one another get no company."""
        alone = bool(self.tables.networks[model].behaviour.words)
        return run.batch_size if self.tables.plan.strategy.pace.filled and not alone else 1

    def overtaken(self) -> bool:
        """Whether others had the models since this was last asked; they may have evaluated rows that are pending."""
        before, self._overtaken = self._overtaken, False
        return before

    def alone(self, work: Work) -> Done:
        """The result of a batch that belongs to no list of items and is not recorded. Raises what the model raises."""
        return self._result(self._submit(work), lambda row: f"row {row} of those evaluated anew")

    def free_layers(self, model: str, layers: Sequence[int | None], mode: str) -> tuple[int, ...]:
        """The layers with heads that a pass for `layers` goes through anyway. To read them costs a tap and a linear
        map, and may answer a later query. In a compiled model taps force an eager pass, so they are read only if other
        layers are tapped too."""
        network = self.tables.networks[model]
        taps = [layer for layer in layers if layer is not None]
        without_taps = (mode == "compiled" or _holds_compiled(network)) and not taps
        if not self.tables.plan.strategy.reuse or model in self._not_free or without_taps:
            return ()
        deepest = math.inf if None in layers else max(taps)
        return tuple(layer for layer in network.heads if layer < deepest and layer not in taps)

    def _submit(self, work: Work) -> int:
        self._count += 1
        self._works[self._count] = work
        self._numbers[self._lane.submit(work)] = self._count
        return self._count

    def _result(self, number: int, named: Callable[[int], str]) -> Done:
        """The result of work, after counting it. Raises the work's error, which names the row at fault by `named`."""
        while number not in self._done:
            ticket, done = self._lane.wait()
            arrived = self._numbers.pop(ticket, 0)
            if arrived not in self._works:
                continue  # a second copy, or no longer wanted
            if done is None:
                self._numbers[self._lane.submit(self._works[arrived])] = arrived
            else:
                self._done[arrived] = done
        done, work = self._done.pop(number), self._works.pop(number)
        self.tables.spend(done.ran, int(done.error is None), done.seconds, tabled=done.tabled, made=done.made)
        self.seconds_a_row = done.seconds / max(1, done.ran)
        if not done.free:
            self._not_free.add(work.model)
        if done.error is None:
            return done
        if isinstance(done.error, ModelError) and done.error.row is not None:
            done.error.message += f" ({named(done.error.row)})"
        try:
            raise done.error
        finally:
            del done  # the error refers to this frame; without this, the frame would refer back to the error

    def _give_up(self) -> None:
        """Forget the work under way: its results are no longer needed."""
        self._works.clear()
        self._done.clear()
        self._lane.drop()


def _holds_compiled(network: Network) -> bool:
    modules = network.module.modules() if isinstance(network.module, nn.Module) else ()
    return any(uncompiled(module) is not module for module in modules)
