"""Runs a physical plan: full batches through tapped models until every table of values is complete.

In: a plan, the catalog's networks and the session's store. Out: for each job its values (m, columns), for each
prediction its class. Nothing else in the system runs a forward pass for a query. Memory is bounded by one batch and the
tables. Whatever happens, finished batches are in the store and the models are as they were found.
"""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..catalog import Catalog, content_digest
from ..errors import BindError, ModelError, ResourceError
from ..kernels.coalitions import Design
from ..kernels.coalitions import design as make_design
from ..kernels.compose import compose
from ..models.adapters import column
from ..models.network import Network, is_out_of_memory
from ..models.profile import Mode
from ..planner.games import Game, Predicted
from ..planner.physical import Job, Pass, PhysicalPlan, Run
from .pace import Pace
from .store import Store, Table, Values

Progress = Callable[[int, int], None]
_T = TypeVar("_T")


@dataclass
class Outcome:
    """What a plan's execution found, and what it took."""

    designs: list[Design]
    values: list[Values]  # a job: (m, columns)
    targets: dict[Predicted, int]
    fingerprints: dict[str, tuple[object, ...]]  # the content of each model that ran
    rows: int = 0  # inputs pushed through a model
    reused: int = 0  # rows that the store knew
    batches: int = 0
    forward_seconds: float = 0.0


class _End(NamedTuple):
    """A whole input that must be evaluated: an x_∅, an x_N or a prediction; `apart` is the job that does not share
    it."""

    model: str
    row: str
    apart: int | None


class TimeUp(Exception):
    """The deadline passed before the plan's rows were in; those that are stay in the store."""


class Executor:
    """One query's execution; `progress(done, total)` hears of rows. No batch of coalitions starts after `deadline`, a
    time of `time.perf_counter`."""

    def __init__(
        self, catalog: Catalog, store: Store, progress: Progress | None = None, deadline: float = math.inf
    ) -> None:
        self.catalog = catalog
        self.store = store
        self.progress = progress
        self.deadline = deadline
        self.outcome = Outcome([], [], {}, {})

    def run(self, plan: PhysicalPlan) -> Outcome:
        """Evaluate every row that `plan` needs.

        Raises ModelError where a model fails or returns what cannot be used, ResourceError out of memory at one row,
        TimeUp after the deadline; what was counted until then is in `self.outcome`.
        """
        self.plan = plan
        names = [name for job in plan.jobs for name in (*job.models, *(target.model for target in job.predictions))]
        self.networks = {name: self.catalog.model(name) for name in dict.fromkeys(names)}
        fingerprints = {name: network.fingerprint() for name, network in self.networks.items()}
        self.identities: dict[str, Hashable] = {
            name: (weakref.ref(network), fingerprints[name]) for name, network in self.networks.items()
        }
        for name, network in self.networks.items():
            if (found := network.take_first_pass()) is not None:
                example, logits = found
                self.store.keep_output(self.identities[name], content_digest(example), None, logits)
        made = {spec: make_design(*spec) for spec in dict.fromkeys(job.spec for job in plan.jobs)}
        designs = [made[job.spec] for job in plan.jobs]
        values = [
            np.full((len(design.coalitions), len(job.games)), np.nan)
            for design, job in zip(designs, plan.jobs, strict=True)
        ]
        self.outcome = Outcome(designs, values, {}, fingerprints)
        self.resident: dict[tuple[int, torch.device], tuple[Tensor, ...]] = {}  # the last job composed, on its device
        try:
            with ExitStack() as stack:
                for network in dict.fromkeys(self.networks.values()):
                    stack.enter_context(network.running())
                self._ends()
                self._reuse()
                self.total = self.outcome.rows + sum(
                    len(self._missing(number)) * len(job.models) for number, job in enumerate(plan.jobs)
                )
                for each in plan.passes:
                    self._pass(each)
        finally:
            self.store.trim()
        return self.outcome

    # Ends: every x_∅ and x_N, and the predictions that decide the targets; all classes of these rows are kept.

    def _ends(self) -> None:
        wanted = self._wanted_ends()
        known: dict[tuple[_End, int | None], Tensor] = {}
        todo: dict[tuple[object, ...], list[_End]] = {}
        for end, (tensor, reads) in wanted.items():
            stored = {layer: self.store.output(self.identities[end.model], end.row, layer) for layer in reads}
            if self.plan.strategy.reuse and all(logits is not None for logits in stored.values()):
                known |= {(end, layer): logits for layer, logits in stored.items() if logits is not None}
                self.outcome.reused += 1
            else:
                todo.setdefault((end.model, tensor.shape, tensor.dtype, None in reads), []).append(end)
        for group in todo.values():
            model = group[0].model
            layers = tuple(dict.fromkeys(layer for end in group for layer in wanted[end][1]))

            def evaluate(
                chunk: list[_End], run: Run, model: str = model, layers: tuple[int | None, ...] = layers
            ) -> None:
                batch = torch.stack([wanted[end][0] for end in chunk]).to(self.networks[model].runs_on)
                outputs = self._forward(
                    model, batch, layers, run.mode, lambda row: "an input as a whole, or its baseline"
                )
                for layer, logits in outputs.items():
                    for end, each in zip(chunk, logits.cpu(), strict=True):
                        known[end, layer] = each
                        self.store.keep_output(self.identities[model], end.row, layer, each)

            usual = Run(self._batch_size(model), "eager")
            self._in_batches(group, lambda _, usual=usual: usual, model, evaluate)  # type: ignore[misc]
        for number in range(len(self.plan.jobs)):
            self._read_ends(number, known)

    def _wanted_ends(self) -> dict[_End, tuple[Tensor, dict[int | None, None]]]:
        """The whole inputs that the jobs need, and the layers (an ordered set) at which each is read."""
        wanted: dict[_End, tuple[Tensor, dict[int | None, None]]] = {}

        def want(end: _End, tensor: Tensor, layers: Sequence[int | None]) -> None:
            wanted.setdefault(end, (tensor, {}))[1].update(dict.fromkeys(layers))

        for number, job in enumerate(self.plan.jobs):
            hybrids, apart = job.hybrids, self._apart(number)
            for model in job.models:
                want(_End(model, hybrids.full, apart), _whole(job), job.layers(model))
                want(_End(model, hybrids.empty, apart), hybrids.background, job.layers(model))
            for target in job.predictions:
                element = self.catalog.element(target.source)
                want(_End(target.model, element.digest, apart), element.tensor, [None])
        return wanted

    def _read_ends(self, number: int, known: dict[tuple[_End, int | None], Tensor]) -> None:
        """Decide the job's targets, then read v(∅) and v(N) of its games."""
        job, apart = self.plan.jobs[number], self._apart(number)
        for target in job.predictions:
            row = self.catalog.element(target.source).digest
            self.outcome.targets[target] = int(known[_End(target.model, row, apart), None].argmax())
        rows = [job.hybrids.empty, job.hybrids.full][: len(self.outcome.designs[number].coalitions)]
        for k, game in enumerate(job.games):
            for position, row in enumerate(rows):
                logits = known[_End(game.model, row, apart), game.layer]
                self.outcome.values[number][position, k] = float(column(logits[None], self._target(game), game.output))

    def _apart(self, number: int) -> int | None:
        """What keeps the ends of a job from being shared with other jobs."""
        return None if self.plan.strategy.share else number

    def _batch_size(self, model: str) -> int:
        sizes = [each.run.batch_size for each in self.plan.passes if model in each.models]
        return min(sizes, default=self.plan.passes[0].run.batch_size)

    def _target(self, game: Game) -> int:
        target = self.outcome.targets[game.target] if isinstance(game.target, Predicted) else game.target
        classes = self.networks[game.model].class_count
        if target >= classes:
            raise BindError(
                f"model '{game.model}' has {classes} classes; class {target} of the other model is not among them"
            )
        return target

    # Coalitions.

    def _columns(self, job: Job, model: str) -> tuple[list[int], list[Hashable]]:
        """The job's columns that `model` fills, and their names in the store."""
        own = [k for k, game in enumerate(job.games) if game.model == model]
        return own, [(job.games[k].layer, self._target(job.games[k]), job.games[k].output) for k in own]

    def _table(self, job: Job, model: str) -> Table:
        return self.store.table(self.identities[model], job.hybrids.key)

    def _reuse(self) -> None:
        if not self.plan.strategy.reuse:
            return
        for number, job in enumerate(self.plan.jobs):
            masks, values = self.outcome.designs[number].coalitions[2:], self.outcome.values[number][2:]
            for model in job.models:
                own, names = self._columns(job, model)
                values[:, own] = self._table(job, model).known(masks, names)
            missing = np.isnan(values).any(axis=1)
            self.outcome.reused += int((~missing).sum()) * len(job.models)

    def _missing(self, number: int) -> NDArray[np.int64]:
        """The rows of a job's design that are still to be evaluated."""
        return np.flatnonzero(np.isnan(self.outcome.values[number]).any(axis=1))

    def _pass(self, each: Pass) -> None:
        pending = [(number, row) for number in each.jobs for row in self._missing(number).tolist()]

        pace = Pace(each, [self.networks[model] for model in each.models])

        def evaluate(chunk: list[tuple[int, int]], run: Run) -> None:
            if time.perf_counter() >= self.deadline:
                raise TimeUp
            self._batch(each, chunk, run)
            if self.progress is not None:
                self.progress(self.outcome.rows, self.total)

        self._in_batches(pending, pace.next, each.models[0], evaluate)

    def _in_batches(
        self,
        items: list[_T],
        next_run: Callable[[int], Run],
        model: str,
        evaluate: Callable[[list[_T], Run], None],
    ) -> None:
        """Evaluate `items` in batches as `next_run(rows left)` says; out of memory halves the batch and goes on."""
        start, most = 0, len(items)
        while start < len(items):
            run = next_run(len(items) - start)
            chunk = items[start : start + min(run.batch_size, most)]
            try:
                evaluate(chunk, run)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if len(chunk) == 1:
                    raise ResourceError(
                        f"out of memory at a batch of one row of model '{model}'; use a smaller model or input"
                    ) from error
                most = len(chunk) // 2
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
            else:
                start += len(chunk)

    def _batch(self, each: Pass, chunk: list[tuple[int, int]], run: Run) -> None:
        """Compose one batch of hybrids, once a device, and read every column of it."""
        runs = list(_runs(chunk))
        batches: dict[torch.device, Tensor] = {}
        for model in each.models:
            network = self.networks[model]
            if network.runs_on not in batches:
                batches[network.runs_on] = torch.cat([self._composed(number, rows, network) for number, rows in runs])
            layers = tuple(dict.fromkeys(layer for number, _ in runs for layer in self.plan.jobs[number].layers(model)))
            batch = batches[network.runs_on]
            if run.mode == "compiled" and len(chunk) == run.batch_size and not network.compiled_for(run.batch_size):
                network.compile(batch)
            outputs = self._forward(model, batch, layers, run.mode, lambda row: self._named(chunk[row]))
            first = 0
            for number, rows in runs:
                job, design = self.plan.jobs[number], self.outcome.designs[number]
                own, names = self._columns(job, model)
                block = slice(first, first + len(rows))
                first += len(rows)
                games = [job.games[k] for k in own]
                read = [column(outputs[game.layer][block], self._target(game), game.output) for game in games]
                values = torch.stack(read, dim=1).double().cpu().numpy()
                self.outcome.values[number][np.ix_(rows, own)] = values
                self._table(job, model).keep(design.coalitions[rows], names, values)

    def _composed(self, number: int, rows: list[int], network: Network) -> Tensor:
        place = (number, network.runs_on)
        if place not in self.resident:
            hybrids = self.plan.jobs[number].hybrids
            parts = (hybrids.foreground, hybrids.background, torch.from_numpy(hybrids.segments))
            self.resident = {place: tuple(part.to(network.runs_on) for part in parts)}
        foreground, background, segments = self.resident[place]
        masks = torch.from_numpy(self.outcome.designs[number].coalitions[rows]).to(network.runs_on)
        return compose(foreground, background, segments, masks)

    def _forward(
        self, model: str, batch: Tensor, layers: Sequence[int | None], mode: Mode, named: Callable[[int], str]
    ) -> dict[int | None, Tensor]:
        network = self.networks[model]
        started, before = time.perf_counter(), network.rows
        try:
            outputs = network.forward(batch, layers, mode)
        except ModelError as error:
            if error.row is not None:
                error.message += f" ({named(error.row)})"
            raise
        finally:
            self.outcome.forward_seconds += time.perf_counter() - started
            self.outcome.rows += network.rows - before
        self.outcome.batches += 1
        return outputs

    def _named(self, place: tuple[int, int]) -> str:
        number, row = place
        present = np.flatnonzero(self.outcome.designs[number].coalitions[row]).tolist()
        shown = ", ".join(map(str, present[:12])) + (", …" if len(present) > 12 else "")
        return f"row {row} of the plan's game {number}: players {{{shown}}} present"


def _whole(job: Job) -> Tensor:
    """x_N: the foreground wherever a player sits."""
    hybrids = job.hybrids
    return torch.where(torch.from_numpy(hybrids.segments) >= 0, hybrids.foreground, hybrids.background)


def _runs(chunk: list[tuple[int, int]]) -> Iterator[tuple[int, list[int]]]:
    """Consecutive rows of one job, together."""
    first = 0
    for last in range(1, len(chunk) + 1):
        if last == len(chunk) or chunk[last][0] != chunk[first][0]:
            yield chunk[first][0], [row for _, row in chunk[first:last]]
            first = last
