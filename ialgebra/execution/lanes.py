"""Lanes run batches: a batch of rows and what to read of its pass in; logits, rows and seconds, or an error, out.

An execution submits `Work` and waits for results. A lane may give results in any order, or twice, or report that work
was lost. The execution applies results in the order of submission, so that no answer depends on the order of arrival.
`Local` runs the batches one after the other, in the thread that submits them. A lane may know no plan and no store.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import IalgebraError, ModelError
from ..kernels.compose import compose
from ..models.filling import Filling
from ..models.network import Network
from ..models.profile import Mode
from ..models.tabling import Made, TableOfGame
from ..models.turns import turn, wanted
from ..planner.games import Hybrids

TURN_SECONDS = 0.1
"""Seconds that a query holds its models before it gives way between two batches to one of its own priority; to prepare
them again takes time. It gives way to a higher priority between any two batches."""

TURN_WORTH = 20.0
"""A query holds its models at least this many times longer than giving way took."""


class HybridRows(NamedTuple):
    """Rows that are composed where they run: the hybrids of one game, for each mask (m, players) one for each of its
    backgrounds."""

    hybrids: Hybrids
    masks: NDArray[np.bool_]


class FamilyRows(NamedTuple):
    """Rows of several games with the same players: `foregrounds` and `backgrounds` (games, *shape). Row n is the hybrid
    of `masks` (rows, players) in `game` (rows,); without `game` every game has all masks, one game after another."""

    foregrounds: Tensor
    backgrounds: Tensor
    segments: NDArray[np.int64]
    masks: NDArray[np.bool_]
    game: NDArray[np.int64] | None = None


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one batch, in order: hybrids, or whole inputs (*shape). `Work` that shares this object shares the
    batch that is composed from it."""

    hybrids: tuple[HybridRows | FamilyRows, ...] = ()
    whole: tuple[Tensor, ...] = ()


@dataclass(frozen=True, eq=False)
class Work:
    """One batch through one model.

    `chosen` (rows,) says which of the `rows` go through it; None: all; at most `most` of them at a time. `layers` are
    read (None: the model itself). The layers `free` cost nothing in addition; they are read too, unless reading them
    fails. If `compiles`, a model that is not compiled for batches of this form is compiled first. A batch of fewer than
    `least` rows is filled up with copies, which are not counted. With `tables`, one for each of the hybrids, passes may
    begin from pattern tables; a lane that has none runs them whole.
    """

    model: str
    rows: Rows
    layers: tuple[int | None, ...]
    free: tuple[int, ...] = ()
    mode: Mode = "eager"
    chosen: NDArray[np.bool_] | None = None
    compiles: bool = False
    most: int | None = None
    least: int = 1
    tables: tuple[TableOfGame, ...] = ()


class Done(NamedTuple):
    """The result of work: the logits (rows, K) of each layer on the host, or the error that was raised.

    `ran` rows went through the model in `seconds`; `free` says whether the free layers could be read. `tabled` of the
    rows began from pattern tables; `made` is what tables took that were made for them, which is in neither.
    """

    logits: Mapping[int | None, Tensor]
    ran: int
    seconds: float
    free: bool = True
    error: Exception | None = None
    tabled: int = 0
    made: Made = Made()


class Arrival(NamedTuple):
    """The result of the work that was submitted under `ticket`; None if the work was lost."""

    ticket: int
    done: Done | None


class Lane(Protocol):
    """Runs batches of one execution, `width` of them at a time."""

    @property
    def width(self) -> int:
        """How many batches may be submitted before the first of them is waited for; at least 1."""

    def give_way(self) -> bool:
        """Called between two batches: let others have the models who wait for them. Whether they had them."""

    def submit(self, work: Work) -> int:
        """Accept work; returns its ticket, which no other work of this lane has."""

    def wait(self) -> Arrival:
        """Wait for the next result of any submitted work. Called only while some work has no result yet."""

    def drop(self) -> None:
        """All work that was submitted and not heard of is wanted no more: it need not be run."""


OpenLane = Callable[[Mapping[str, Network]], AbstractContextManager[Lane]]
"""Opens a lane for one execution, which runs these models by name."""


@contextmanager
def local(networks: Mapping[str, Network], priority: int | None = None) -> Iterator[Lane]:
    """A lane that runs each batch in the thread that waits for it. Until the lane is closed, it holds the models, ready
    to predict; between two batches, threads of at least the same `priority` (None: that of the query for which the
    thread computes) that wait for a model get a turn."""
    with ExitStack() as frames:
        lane = Local(networks, frames, priority)
        lane.open()
        yield lane


class Local:
    """See `local`."""

    width = 1

    def __init__(self, networks: Mapping[str, Network], frames: ExitStack, priority: int | None = None) -> None:
        self._networks = networks
        self._frames = frames
        self._priority = priority
        self._queue: deque[tuple[int, Work]] = deque()
        self._tickets = 0
        self._composer = Composer()
        self._turn_seconds = TURN_SECONDS
        self._began = 0.0

    def open(self) -> None:
        """Take a turn at all models, and make them ready."""
        self._take_turn()
        self._make_ready()

    def _take_turn(self) -> None:
        modules = [network.module for network in self._networks.values()]
        self._claim = self._frames.enter_context(turn(*modules, priority=self._priority))
        self._began = time.perf_counter()

    def _make_ready(self) -> None:
        self._ready = self._frames.enter_context(ExitStack())
        for network in dict.fromkeys(self._networks.values()):
            self._ready.enter_context(network.running())

    def give_way(self) -> bool:
        """Give way to threads that wait for one of the models. Raises ModelError if a model was changed meanwhile."""
        started = time.perf_counter()
        if not wanted(self._claim, more=started - self._began < self._turn_seconds):
            return False
        self._ready.close()
        before = self._states()
        left = time.perf_counter()
        self._frames.close()
        self._take_turn()
        for (name, state), after in zip(before.items(), self._states().values(), strict=True):
            if state != after:
                raise ModelError(f"model '{name}' was changed while a query ran it; ask again")
        self._make_ready()
        self._turn_seconds = max(TURN_SECONDS, TURN_WORTH * (left - started + time.perf_counter() - self._began))
        return True

    def _states(self) -> dict[str, object]:
        """For each model, a value that changes if the model would compute something else."""
        return {name: (network.seen_changes(), network.heads_fingerprint()) for name, network in self._networks.items()}

    def submit(self, work: Work) -> int:
        """Put work at the end of the queue."""
        self._tickets += 1
        self._queue.append((self._tickets, work))
        return self._tickets

    def wait(self) -> Arrival:
        """Run the first work of the queue."""
        ticket, work = self._queue.popleft()
        return Arrival(ticket, performed(work, self._networks[work.model], self._composer))

    def drop(self) -> None:
        """Empty the queue."""
        self._queue.clear()


class Composer:
    """Makes batches on the devices that need them. It keeps the last batch, which several models may read, and on each
    device the tensors of the last hybrids."""

    def __init__(self) -> None:
        self._parts: dict[torch.device, tuple[Hybrids, tuple[Tensor, ...]]] = {}
        self._rows: Rows | None = None
        self._batches: dict[torch.device, Tensor] = {}

    def batch(self, rows: Rows, device: torch.device) -> Tensor:
        """The rows (B, *shape) on a device."""
        if rows is not self._rows:
            self._rows, self._batches = None, {}  # the last batch is dropped before the next is made, to save memory
        if device not in self._batches:
            if rows.whole:
                batch = torch.stack(rows.whole).to(device)
            else:
                parts = [self.composed(each, device) for each in rows.hybrids]
                batch = parts[0] if len(parts) == 1 else torch.cat(parts)
            self._rows, self._batches = rows, {**self._batches, device: batch}
        return self._batches[device]

    def composed(self, rows: HybridRows | FamilyRows, device: torch.device) -> Tensor:
        """Some hybrids (b, *shape) on a device."""
        if isinstance(rows, FamilyRows):
            return _of_family(rows, device)
        hybrids = rows.hybrids
        if device not in self._parts or self._parts[device][0] is not hybrids:
            parts = (hybrids.foreground, hybrids.background, torch.from_numpy(hybrids.segments))
            self._parts = {device: (hybrids, tuple(part.to(device) for part in parts))}
        foreground, background, segments = self._parts[device][1]
        composed = compose(foreground, background, segments, torch.from_numpy(rows.masks).to(device))
        return composed if hybrids.copies is None else composed.flatten(0, 1)


def _of_family(rows: FamilyRows, device: torch.device) -> Tensor:
    ends = rows.foregrounds.to(device), rows.backgrounds.to(device)
    segments, masks = torch.from_numpy(rows.segments).to(device), torch.from_numpy(rows.masks).to(device)
    if rows.game is not None:
        game = torch.from_numpy(rows.game).to(device)
        return compose(ends[0][game], ends[1][game], segments, masks)
    return compose(ends[0][:, None], ends[1][:, None], segments, masks).flatten(0, 1)


def performed(work: Work, network: Network, composer: Composer) -> Done:
    """Run one batch through its model. Errors are handed back; KeyboardInterrupt passes."""
    made = network.tabling.made
    done = (_from_tables(work, network, composer) if work.tables else None) or _whole(work, network, composer)
    taken = network.tabling.made.since(made)
    return done._replace(made=taken) if taken.rows else done


def _whole(work: Work, network: Network, composer: Composer) -> Done:
    """The result of work whose passes run whole."""
    started = ended = time.perf_counter()
    before, free = network.rows, True
    try:
        batch = composer.batch(work.rows, network.runs_on)
        if work.chosen is not None:
            batch = batch[torch.from_numpy(work.chosen).to(batch.device)]
        if work.compiles and not network.compiled_for(len(batch)):
            network.compile(batch)
        own = len(batch)
        batch = Filling(work.least).filled(batch)
        started, before = time.perf_counter(), network.rows + len(batch) - own
        try:
            try:
                outputs = _forward(work, network, batch, (*work.layers, *work.free))
            except IalgebraError as error:
                own_fault = not isinstance(error.__cause__, IalgebraError | None)
                if own_fault or not work.free:
                    raise
                free = False  # no query asked for these layers, so their errors must not reach it
                outputs = _forward(work, network, batch, work.layers)
        finally:
            ended = time.perf_counter()
        logits = {layer: each[:own].cpu() for layer, each in outputs.items()}
        return Done(logits, network.rows - before, ended - started, free)
    except Exception as error:
        return Done({}, max(0, network.rows - before), max(0.0, ended - started), free, error)


def _from_tables(work: Work, network: Network, composer: Composer) -> Done | None:
    """The result of work whose passes begin from pattern tables; None where they must run whole."""
    device, before = network.runs_on, network.rows
    games = []
    first = 0
    for rows, table in zip(work.rows.hybrids, work.tables, strict=True):
        assert isinstance(rows, HybridRows)
        masks, copies, last = rows.masks, rows.hybrids.rows, first + len(rows.masks) * rows.hybrids.rows
        if work.chosen is not None:
            masks = masks[work.chosen[first:last:copies]]
        first = last
        if len(masks):
            composed = partial(_of_masks, composer, rows.hybrids, device)
            games.append((table, rows.hybrids.key, composed, torch.from_numpy(masks).to(device)))
    layers = (*work.layers, *work.free)
    try:
        begun = network.tabling.begun(games, layers, work.mode, work.most or first)
        if begun is None:
            return None
        started = time.perf_counter()
        outputs = network.resume(begun, layers, work.mode)
    except (IalgebraError, torch.OutOfMemoryError):
        return None  # whole passes say what is wrong, and with which row
    logits = {layer: each.cpu() for layer, each in outputs.items()}
    ran = network.rows - before
    return Done(logits, ran, time.perf_counter() - started, tabled=ran)


def _of_masks(composer: Composer, hybrids: Hybrids, device: torch.device, masks: NDArray[np.bool_]) -> Tensor:
    return composer.composed(HybridRows(hybrids, masks), device)


def _forward(
    work: Work, network: Network, batch: Tensor, layers: tuple[int | None, ...]
) -> Mapping[int | None, Tensor]:
    if work.most is None or len(batch) <= work.most:
        return network.forward(batch, layers, work.mode)
    parts = []
    for first in range(0, len(batch), work.most):
        try:
            parts.append(network.forward(batch[first : first + work.most], layers, work.mode))
        except ModelError as error:
            error.row = None if error.row is None else first + error.row
            raise
    return {layer: torch.cat([each[layer] for each in parts]) for layer in parts[0]}
