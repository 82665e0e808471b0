"""Runs a physical plan: full batches through tapped models until every table of values is complete.

In: a plan, the catalog's networks and the session's store. Out: for each job its values (m, columns), for each
prediction its class. Nothing else in the system runs a forward pass for a query. Memory is bounded by one batch and the
tables. Whatever happens, finished batches are in the store and the models are as they were found.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..catalog.catalog import Catalog
from ..errors import BindError, IalgebraError, ModelError, ResourceError
from ..interpreters.checked import attributed, designed
from ..interpreters.protocol import GameInterpreter, ModelInterpreter, Question
from ..kernels.coalitions import Design
from ..kernels.compose import compose
from ..kernels.forward import uncompiled
from ..models.adapters import column
from ..models.inputs import cast
from ..models.network import Network, is_out_of_memory
from ..models.profile import Mode
from ..models.scalar import ExplainedScalar, asking
from ..planner.games import Game, Predicted
from ..planner.physical import Job, Pass, PhysicalPlan, Run
from ..planner.sampling import DesignSpec
from ..planner.spending import Spending
from ..system.arrays import Floats
from .memory import ASKED, WHOLE, Memory, ValueColumn, input_name
from .pace import Pace, Tape
from .store import Store

Progress = Callable[[int, int], None]
_T = TypeVar("_T")

THIS_QUERY = "another game of this query"

_LISTED = 1 << 16  # rows of a pass that are listed at a time; each takes some 200 bytes


@dataclass
class Outcome:
    """What a plan's execution found, and what it took."""

    designs: list[Design]
    values: list[Floats]  # a job: (m, columns)
    targets: dict[Predicted, int]
    contents: dict[str, tuple[object, ...]]  # of each model that ran
    heads: dict[str, dict[int, tuple[int, int]]]  # of each model that ran, by layer
    maps: dict[tuple[int, int], Floats] = field(default_factory=dict)  # input-shaped, by job and column, where asked
    spending: Spending = field(default_factory=Spending)


class _End(NamedTuple):
    """A whole input that must be evaluated: an x_∅, an x_N or a prediction; `apart` is the job that does not share
    it."""

    model: str
    row: bytes
    apart: int | None


class TimeUp(Exception):
    """The deadline passed before the plan's rows were in; those that are stay in the store."""


class Executor:
    """One query's execution; `progress(done, total)` hears of rows. No batch of coalitions starts after `deadline`, a
    time of `time.perf_counter`."""

    def __init__(
        self,
        catalog: Catalog,
        store: Store,
        progress: Progress | None = None,
        deadline: float = math.inf,
        tape: Tape | None = None,
    ) -> None:
        self.catalog = catalog
        self.store = store
        self.progress = progress
        self.deadline = deadline
        self.tape = tape or Tape()
        self.outcome = Outcome([], [], {}, {}, {})
        self.not_passing: set[str] = set()  # models whose layers on the way are left alone

    def run(self, plan: PhysicalPlan) -> Outcome:
        """Evaluate every row that `plan` needs.

        Raises ModelError where a model fails or returns what cannot be used, ResourceError out of memory at one row,
        TimeUp after the deadline; what was counted until then is in `self.outcome`.
        """
        self.plan = plan
        names = [name for job in plan.jobs for name in (*job.models, *(target.model for target in job.predictions))]
        self.networks = {name: self.catalog.model(name) for name in dict.fromkeys(names)}
        made = {spec: self._design(spec) for spec in dict.fromkeys(job.spec for job in plan.jobs)}
        designs = [made[job.spec] for job in plan.jobs]
        values = [
            np.full((len(design.coalitions), len(job.games)), np.nan)
            for design, job in zip(designs, plan.jobs, strict=True)
        ]
        self.memory = Memory(self.store, self.networks, plan.jobs, designs, plan.strategy.mode)
        self.outcome = Outcome(designs, values, {}, self.memory.contents, self.memory.heads)
        self.resident: dict[tuple[int, torch.device], tuple[Tensor, ...]] = {}  # the last job composed, on its device
        for name, network in self.networks.items():
            if (found := network.take_first_pass()) is not None:
                example, logits = found
                self.memory.keep_whole(name, input_name(example), {None: logits}, 0.0)
        with ExitStack() as stack:
            for network in dict.fromkeys(self.networks.values()):
                stack.enter_context(network.running())
            self._ends()
            if plan.strategy.reuse:
                for number in range(len(plan.jobs)):
                    self._recall(number)
            self.total = (
                self.outcome.spending.rows + self._to_do() + sum(each.rows for each in plan.passes if each.asked)
            )
            for each in plan.passes:
                self._pass(each)
        for each in plan.passes:  # outside that frame, in which no gradient flows
            for number in each.jobs if each.asked else ():
                self._ask(number, each.run)
        return self.outcome

    def _design(self, spec: DesignSpec) -> Design:
        interpreter = self.catalog.interpreter(spec.interpreter)
        if isinstance(interpreter, GameInterpreter):
            return designed(spec.interpreter, interpreter, spec.method, spec.players, spec.rows, spec.seed)
        ends = np.repeat([[False], [True]], spec.players, axis=1)[: spec.rows]
        return Design(spec.method, spec.players, 0, ends, (spec.method, spec.players, spec.rows, 0))

    # Ends: every x_∅ and x_N, and the predictions that decide the targets; all classes of these rows are kept.

    def _ends(self) -> None:
        wanted = self._wanted_ends()
        known: dict[tuple[_End, int | None], Tensor] = {}
        todo: dict[tuple[object, ...], list[_End]] = {}
        for end, (tensor, reads) in wanted.items():
            stored, news = (
                self.memory.find_whole(end.model, end.row, tuple(reads)) if self.plan.strategy.reuse else ({}, False)
            )
            if stored:
                self._spend(hits={WHOLE: int(news)})
                known |= {(end, layer): logits for layer, logits in stored.items()}
            else:
                todo.setdefault((end.model, tensor.shape, tensor.dtype, None in reads), []).append(end)
        if todo and self.plan.strategy.reuse and math.isinf(self.deadline):
            # A batch of a few rows is slow: where the targets are known, ends go with the rows of their games.
            predicted = list(self._predictions())
            for end in predicted:
                if (end, None) not in known:  # or its logits alone, where more layers are wanted
                    stored, _ = self.memory.find_whole(end.model, end.row, (None,))
                    known |= {(end, layer): logits for layer, logits in stored.items()}
            if all((end, None) in known for end in predicted):
                todo = {}
        for group in todo.values():
            model = group[0].model
            layers = tuple(dict.fromkeys(layer for end in group for layer in wanted[end][1]))

            def evaluate(
                chunk: list[_End], run: Run, model: str = model, layers: tuple[int | None, ...] = layers
            ) -> None:
                batch = torch.stack([wanted[end][0] for end in chunk]).to(self.networks[model].runs_on)
                outputs, seconds = self._forward(
                    model, batch, layers, run.mode, lambda row: "an input as a whole, or its baseline"
                )
                for row, end in enumerate(chunk):
                    logits = {layer: each[row] for layer, each in outputs.items()}
                    known.update({(end, layer): each for layer, each in logits.items()})
                    self.memory.keep_whole(model, end.row, logits, seconds)

            usual = Run(self._batch_size(model), "eager")
            self._in_batches(group, lambda _, usual=usual: usual, model, evaluate)  # type: ignore[misc]
        for number in range(len(self.plan.jobs)):
            self._read_ends(number, known)

    def _predictions(self) -> Iterator[_End]:
        """The whole inputs whose class is a target; naming one reads all of it."""
        for number, job in enumerate(self.plan.jobs):
            for target in job.predictions:
                row = input_name(self.catalog.element(target.source).tensor)
                yield _End(target.model, row, self._apart(number))

    def _wanted_ends(self) -> dict[_End, tuple[Tensor, dict[int | None, None]]]:
        """The whole inputs that the jobs need, and the layers (an ordered set) at which each is read."""
        wanted: dict[_End, tuple[Tensor, dict[int | None, None]]] = {}

        def want(end: _End, tensor: Tensor, layers: Sequence[int | None]) -> None:
            wanted.setdefault(end, (tensor, {}))[1].update(dict.fromkeys(layers))

        for number, job in enumerate(self.plan.jobs):
            (empty, *full), apart = self.memory.ends(number), self._apart(number)
            for model in job.models:
                want(_End(model, full[0] if full else empty, apart), _whole(job), job.layers(model))
                want(_End(model, empty, apart), job.hybrids.background, job.layers(model))
            for target in job.predictions:
                tensor = self.catalog.element(target.source).tensor
                want(_End(target.model, input_name(tensor), apart), tensor, [None])
        return wanted

    def _read_ends(self, number: int, known: dict[tuple[_End, int | None], Tensor]) -> None:
        """Decide the job's targets, then read v(∅) and v(N) of its games where they are known."""
        job, apart = self.plan.jobs[number], self._apart(number)
        for target in job.predictions:
            row = input_name(self.catalog.element(target.source).tensor)
            self.outcome.targets[target] = int(known[_End(target.model, row, apart), None].argmax())
        for k, game in enumerate(job.games):
            for position, row in enumerate(self.memory.ends(number)):
                logits = known.get((_End(game.model, row, apart), game.layer))
                if logits is not None:
                    value = float(column(logits[None], self._target(game), game.output))
                    self.outcome.values[number][position, k] = value

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

    def _to_do(self) -> int:
        """How many rows are still to be evaluated: of the whole inputs, which games have in common, each once."""
        rows = 0
        ends: set[tuple[str, bytes]] = set()
        for number, job in enumerate(self.plan.jobs):
            for model in job.models:
                lacking = self._lacking(number, model)
                rows += int(lacking.sum())
                if self.plan.strategy.reuse:
                    names = [name for name, lacks in zip(self.memory.ends(number), lacking, strict=False) if lacks]
                    rows -= len(names)
                    ends.update((model, name) for name in names)
        return rows + len(ends)

    def _columns(self, job: Job, model: str) -> tuple[list[int], list[ValueColumn]]:
        """The job's columns that `model` fills: their numbers, and what they read."""
        own = [k for k, game in enumerate(job.games) if game.model == model]
        return own, [ValueColumn(game.layer, self._target(game), game.output) for game in (job.games[k] for k in own)]

    def _lacking(self, number: int, model: str, rows: Sequence[int] | None = None) -> NDArray[np.bool_]:
        """Which of these rows of a job, or of all, `model` has still to evaluate."""
        values = self.outcome.values[number]
        own = [k for k, game in enumerate(self.plan.jobs[number].games) if game.model == model]
        read = values[:, own] if rows is None else values[np.ix_(rows, own)]
        lacking: NDArray[np.bool_] = np.any(np.isnan(read), axis=1)
        return lacking

    def _recall(self, number: int, *, within: bool = False) -> None:
        """Fill in what the store knows of a job's rows, and count it; all of it as this query's own while rows come in
        (`within`)."""
        job = self.plan.jobs[number]
        for model in job.models:
            rows = np.flatnonzero(self._lacking(number, model))
            if len(rows):
                own, columns = self._columns(job, model)
                found, kinds = self.memory.find(number, model, rows, columns)
                self.outcome.values[number][np.ix_(rows.tolist(), own)] = found
                mine = int((~np.isnan(found).any(axis=1) & (rows > 1)).sum())  # ends are counted once, not by game
                self._spend(hits={THIS_QUERY: mine} if within else kinds)

    def _spend(
        self, rows: int = 0, batches: int = 0, forward_seconds: float = 0.0, hits: Mapping[str, int] | None = None
    ) -> None:
        self.outcome.spending += Spending(rows, batches, forward_seconds, hits or {})

    def _pass(self, each: Pass) -> None:
        pace = Pace(each, [self.networks[model] for model in each.models])
        layers = {model: self._layers(each.jobs, model) for model in each.models}

        def evaluate(chunk: list[tuple[int, int]], run: Run) -> None:
            if time.perf_counter() >= self.deadline:
                raise TimeUp
            self._batch(each, chunk, run, layers)
            if self.progress is not None:
                self.progress(self.outcome.spending.rows, self.total)

        for jobs in self._blocks(each):
            while pending := self._pending(each, jobs):
                self._in_batches(pending, pace.next, each.models[0], evaluate)

    def _blocks(self, each: Pass) -> Iterator[list[int]]:
        """The jobs of a pass, so many at a time that a list of their rows is short."""
        block: list[int] = []
        rows = 0
        for number in each.jobs:
            block.append(number)
            rows += len(self.outcome.designs[number].coalitions)
            if rows >= _LISTED:
                yield block
                block, rows = [], 0
        if block:
            yield block

    def _layers(self, jobs: Iterable[int], model: str) -> tuple[int | None, ...]:
        """The layers of `model` that the jobs read."""
        return tuple(dict.fromkeys(layer for number in jobs for layer in self.plan.jobs[number].layers(model)))

    def _pending(self, each: Pass, jobs: Sequence[int]) -> list[tuple[int, int]]:
        """The rows of some jobs of a pass that are still to be evaluated, with reuse each hybrid once: its other jobs
        find it in the store, or if that has forgotten it, evaluate it afterwards."""
        pending: dict[object, tuple[int, int]] = {}
        for number in jobs:
            if self.plan.strategy.reuse:
                self._recall(number, within=True)
            lacking = np.stack([self._lacking(number, model) for model in each.models])
            rows = np.flatnonzero(lacking.any(axis=0)).tolist()
            places = [(number, row) for row in rows]
            names: Sequence[object] = self.memory.named(number, rows) if self.plan.strategy.reuse else places
            for name, place in zip(names, places, strict=True):
                pending.setdefault(name, place)
        return list(pending.values())

    def _in_batches(
        self,
        items: list[_T],
        next_run: Callable[[int], Run],
        model: str,
        evaluate: Callable[[list[_T], Run], None],
    ) -> None:
        """Evaluate `items` in batches as `next_run(rows left)` says; out of memory halves the batch and goes on."""
        start, most = 0, _LISTED
        while start < len(items):
            run = self.tape.next(next_run(len(items) - start))
            run = run._replace(batch_size=min(run.batch_size, most))
            chunk = items[start : start + run.batch_size]
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
                self.tape.keep(run)
                start += len(chunk)

    def _batch(
        self, each: Pass, chunk: list[tuple[int, int]], run: Run, layers: Mapping[str, tuple[int | None, ...]]
    ) -> None:
        """Compose one batch of hybrids, once a device, and read every column that its rows lack; with reuse, of all
        `layers` that the pass reads of a model."""
        batches: dict[torch.device, Tensor] = {}
        for model in each.models:
            network = self.networks[model]
            if network.runs_on not in batches:
                parts = [self._composed(number, rows, network) for number, rows in _runs(chunk)]
                batches[network.runs_on] = parts[0] if len(parts) == 1 else torch.cat(parts)
            batch = batches[network.runs_on]
            lacking = np.concatenate([self._lacking(number, model, rows) for number, rows in _runs(chunk)])
            lacked = [place for place, lacks in zip(chunk, lacking.tolist(), strict=True) if lacks]
            if not lacked:
                continue
            if len(lacked) < len(chunk):
                batch = batch[torch.from_numpy(lacking).to(batch.device)]
            if run.mode == "compiled" and len(batch) == run.batch_size and not network.compiled_for(run.batch_size):
                network.compile(batch)
            read_at = layers[model] if self.plan.strategy.reuse else self._layers((place[0] for place in lacked), model)
            outputs, seconds = self._forward(model, batch, read_at, run.mode, partial(self._named, lacked))
            first = 0
            for number, rows in _runs(lacked):
                block = slice(first, first + len(rows))
                first += len(rows)
                own, columns = self._columns(self.plan.jobs[number], model)
                logits = {layer: each[block] for layer, each in outputs.items()}
                read = np.stack([each.read(logits[each.layer]) for each in columns], axis=1)
                self.outcome.values[number][np.ix_(rows, own)] = read
                self.memory.keep(number, model, rows, columns, logits, seconds)

    # What asks the model itself.

    def _ask(self, number: int, planned: Run) -> None:
        """The maps of a job's columns, from the interpreter or from the store."""
        job = self.plan.jobs[number]
        for k, game in enumerate(job.games):
            interpreter = self.catalog.interpreter(game.estimation.interpreter)
            assert isinstance(interpreter, ModelInterpreter)
            column, identity = ValueColumn(game.layer, self._target(game), game.output), interpreter.identity
            known = (
                self.memory.find_map(number, k, column, self.plan.seed, identity) if self.plan.strategy.reuse else None
            )
            if known is not None:
                self.outcome.maps[number, k], rows = known
                self._spend(hits={ASKED: rows})
                continue
            before, started = self.outcome.spending.rows, time.perf_counter()
            run = self.tape.next(planned)
            found = self._asked(job, game, interpreter, run.batch_size)
            self.tape.keep(run)
            self.outcome.maps[number, k] = found
            rows, seconds = self.outcome.spending.rows - before, time.perf_counter() - started
            self.memory.keep_map(number, k, column, self.plan.seed, identity, found, rows, seconds)
            if self.progress is not None:
                self.progress(self.outcome.spending.rows, self.total)

    def _asked(self, job: Job, game: Game, interpreter: ModelInterpreter, batch_size: int) -> Floats:
        network, hybrids, name = self.networks[game.model], job.hybrids, game.estimation.interpreter
        players = np.broadcast_to(hybrids.segments, tuple(hybrids.foreground.shape))
        if hybrids.players == 0:  # an empty window
            return np.zeros(players.shape)
        scalar = ExplainedScalar(network, game.layer, self._target(game), game.output)
        ends = cast(torch.stack([_whole(job), hybrids.background]), network.module, network.runs_on)
        layers = {each.index: each.tap.module for each in network.layers if each.index <= (game.layer or each.index)}
        options, seed = dict(game.estimation.options), self.plan.seed
        question = Question(scalar, ends[0], ends[1], players, options, layers, batch_size, seed)
        started = time.perf_counter()
        try:
            with asking(network, seed):
                return attributed(name, interpreter, question)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if batch_size == 1:
                raise ResourceError(
                    f"out of memory while {name} asks model '{game.model}' one row at a time; use a smaller model or "
                    "input, or options that ask for less"
                ) from error
        finally:
            self._spend(scalar.rows, scalar.passes, time.perf_counter() - started)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return self._asked(job, game, interpreter, batch_size // 2)

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
    ) -> tuple[dict[int | None, Tensor], float]:
        """The logits (B, K) of `layers` and of others that cost nothing, on the host, and the seconds that a row
        took."""
        network, passed = self.networks[model], self._passed(model, layers, mode)
        started, before = time.perf_counter(), network.rows
        try:
            try:
                outputs = network.forward(batch, (*layers, *passed), mode)
            except IalgebraError as error:
                own_fault = not isinstance(error.__cause__, IalgebraError | None)
                if own_fault or not passed:
                    raise
                self.not_passing.add(model)  # nobody asked for these layers, so they may not fail a query
                outputs = network.forward(batch, layers, mode)
        except ModelError as error:
            if error.row is not None:
                error.message += f" ({named(error.row)})"
            raise
        finally:
            seconds = time.perf_counter() - started
            self._spend(network.rows - before, 0, seconds)
        self._spend(batches=1)
        return {layer: logits.cpu() for layer, logits in outputs.items()}, seconds / len(batch)

    def _passed(self, model: str, layers: Sequence[int | None], mode: Mode) -> tuple[int, ...]:
        """The layers with heads that a pass for `layers` comes by: a tap and a linear map more, and a later question
        is answered. Taps would make a compiled model run eagerly, so that there they come only with other taps."""
        network = self.networks[model]
        taps = [layer for layer in layers if layer is not None]
        modules = network.module.modules() if isinstance(network.module, nn.Module) else ()
        compiled = any(uncompiled(module) is not module for module in modules)
        compiled = compiled or mode == "compiled"
        if not self.plan.strategy.reuse or model in self.not_passing or (compiled and not taps):
            return ()
        deepest = math.inf if None in layers else max(taps)
        return tuple(layer for layer in network.heads if layer < deepest and layer not in taps)

    def _named(self, places: list[tuple[int, int]], place: int) -> str:
        number, row = places[place]
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
