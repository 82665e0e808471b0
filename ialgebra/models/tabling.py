"""Pattern tables of one network: its graph, its tables in memory, and why it has none.

In: a network; the players of games; how their rows are composed. Out: planned tables, and passes that were begun from
tables (`Network.resume` ends them). Tables are kept for one content of the model, up to a number of bytes; what was
used longest ago is forgotten first. Each new table is compared with full passes before it is used. Knows no query and
no store.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Collection, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from ..errors import IalgebraError
from ..kernels.forward import Tap, uncompiled
from ..system.arrays import Bools
from ..system.kept import Kept
from ..system.shortage import is_out_of_memory
from .adapters.opened import Runs
from .adapters.reducing import Reduce
from .behaviour import Behaviour
from .calls import Preprocess
from .filling import NO_FILLING, Filling
from .graph import Graph, traced
from .graph.anatomy import Anatomy
from .graph.patterns import CHECKED, TOGETHER, PatternTable, Planned, made, plan
from .head import Head
from .layers import Layer
from .modes import agree, holds_compiled
from .passes import Begun
from .profile import Mode
from .tokens import TokenReader

TABLED: tuple[Mode, ...] = ("eager", "channels-last", "folded")
"""The modes whose passes may begin from tables."""

_NOT_FOLDED = "it was not folded yet"
_SECONDS_A_MODULE = 1e-4  # to trace a network, on one CPU core
_SECONDS_TO_LEARN, _ROWS_TO_LEARN = 2e-3, 1.5  # to learn the shapes of its values, and rows that take as long beside
KEPT_BYTES = 256 << 20
"""Bytes of the tables of one session at most."""


class TabledNetwork(Protocol):
    """What tables need of a network; see `Network`."""

    module: Runs
    preprocess: Preprocess | None
    reduce: Reduce | None
    tokens: TokenReader | None
    train_mode: bool
    filling: Filling
    example: Tensor | None
    behaviour: Behaviour
    heads: dict[int, Head]

    @property
    def known_whole(self) -> bool: ...
    @property
    def layers(self) -> tuple[Layer, ...]: ...
    @property
    def runs_on(self) -> torch.device: ...
    def running(self) -> AbstractContextManager[None]: ...
    def folded_graph(self, taps: Sequence[Tap]) -> Graph | None: ...
    def aside(self) -> AbstractContextManager[None]: ...
    def ready(self, batch: Tensor) -> Tensor: ...
    def forward(
        self, batch: Tensor, layers: Sequence[int | None], mode: Mode = "eager"
    ) -> dict[int | None, Tensor]: ...
    def resume(self, begun: Begun, layers: Sequence[int | None], mode: Mode = "eager") -> dict[int | None, Tensor]: ...


Composed = Callable[[Bools], Tensor]
"""Makes rows (b, *shape) on the network's device from coalitions (b, players)."""


class Made(NamedTuple):
    """What the tables of a network took so far: rows that went through it for them, and seconds."""

    rows: int = 0
    seconds: float = 0.0

    def since(self, before: Made) -> Made:
        """What they took since it was this."""
        return Made(self.rows - before.rows, self.seconds - before.seconds)


@dataclass(frozen=True)
class TableOfGame:
    """The table that is planned for one game of a model, as the model was then; of so many pairs of ends."""

    planned: Planned
    content: tuple[object, ...]
    copies: int = 1


KeptTables = Kept[PatternTable | str]
"""The tables of the networks of a session, and of those that have none why; what was used longest ago is forgotten
first."""


class Tabling:
    """The pattern tables of a network."""

    def __init__(self, network: TabledNetwork) -> None:
        self._network: TabledNetwork = weakref.proxy(network)
        self._own = object()  # the first part of the names of its tables
        self._content: tuple[object, ...] | None = None
        self._anatomies: dict[frozenset[Tap] | None, Anatomy | str] = {}  # plain (None), and folded, by the taps
        self._plans: dict[Hashable, Planned | None] = {}
        self.refused: dict[Mode, str] = {}
        self.made = Made()
        self.keep_in(Kept(KEPT_BYTES))

    def keep_in(self, kept: KeptTables) -> None:
        """Keep its tables there, with those of others, from now on."""
        self.kept = kept
        weakref.finalize(self, _forget, kept, self._own)

    def _anatomy(self, content: tuple[object, ...], taps: Collection[Tap], mode: Mode) -> Anatomy | str:
        """The graph that passes in a mode run while the network has this content, or why it has none; a folded one has
        values at the taps."""
        if content != self._content:
            self._content, self._plans, self._anatomies, self.refused = content, {}, {}, {}
            _forget(self.kept, self._own)
        place = frozenset(taps) if mode == "folded" else None
        known = self._anatomies.get(place)
        if known is None:
            known = self._found(None if place is None else taps)
            if known != _NOT_FOLDED:  # it may be later
                self._anatomies[place] = known
        return known

    def _barred(self) -> str:
        """Why the network has no table whatever its graph, or nothing."""
        network = self._network
        if not isinstance(uncompiled(network.module), nn.Module) or holds_compiled(network.module):
            return "it is compiled, or no torch.nn.Module"
        if network.preprocess is not None or network.reduce is not None or network.tokens is not None:
            return "it is called with more than a tensor"
        if not network.known_whole:
            return "what it computes may change unseen"
        if network.train_mode or network.filling is not NO_FILLING or network.example is None:
            return "its rows depend on one another, or on chance"
        return ""

    def _found(self, taps: Collection[Tap] | None) -> Anatomy | str:
        if barred := self._barred():
            return barred
        network, module = self._network, cast(nn.Module, uncompiled(self._network.module))
        assert network.example is not None
        try:
            with network.aside(), torch.no_grad():
                graph: Graph | str | None = traced(module) if taps is None else network.folded_graph(list(taps))
                if graph is None:  # one row in that mode folds it, and checks it
                    network.forward(network.example.unsqueeze(0), [None], "folded")
                    graph = network.folded_graph(list(taps or ())) or _NOT_FOLDED
                if isinstance(graph, str):
                    return graph
                return Anatomy.of(graph, network.ready(network.example.unsqueeze(0)).clone())
        except Exception as error:  # the query does without
            return _cause(error)

    def knows(self, mode: Mode) -> bool:
        """Whether the graph that passes in a mode run was looked at, while the network was last asked for it."""
        return any((taps is not None) == (mode == "folded") for taps in self._anatomies)

    @property
    def convolves(self) -> bool:
        """Whether the network has convolutions, and no more other linear maps, as far as its modules tell."""
        module = uncompiled(self._network.module)
        parts = list(module.modules()) if isinstance(module, nn.Module) else []
        convolutions = sum(isinstance(each, _ConvNd) for each in parts)
        return 0 < convolutions >= sum(isinstance(each, nn.Linear) for each in parts)

    def seconds_to_learn(self, mode: Mode, a_row: float) -> float:
        """About what it takes to learn the graph that passes in a mode run, where a row of a full one takes `a_row`.
        Folded passes have traced it."""
        if self.knows(mode) or self._barred():
            return 0.0
        learned = _SECONDS_TO_LEARN + _ROWS_TO_LEARN * a_row
        if mode == "folded":
            return learned
        modules = sum(1 for _ in cast(nn.Module, uncompiled(self._network.module)).modules())
        return learned + _SECONDS_A_MODULE * modules

    def holds(self, game: TableOfGame, name: Hashable, mode: Mode, batch: int) -> bool:
        """Whether the table of a game of this name is made for passes in a mode, of so many rows a batch."""
        return game.content == self._content and self.kept.find(self._place(game, name, mode, batch)) is not None

    def _place(self, game: TableOfGame, name: Hashable, mode: Mode, batch: int) -> Hashable:
        return self._own, name, game.planned.cut, mode, min(batch, TOGETHER)

    def why(self, mode: Mode) -> str:
        """Why passes in this mode begin from no table, as far as that is known."""
        if words := self._network.behaviour.words:
            return f"the model is {' and '.join(words)}"
        if self.refused.get(mode):
            return self.refused[mode]
        return next((each for each in self._anatomies.values() if isinstance(each, str)), "")

    def plan(
        self,
        content: tuple[object, ...],
        segments: NDArray[np.int64],
        players: int,
        rows: int,
        layers: Collection[int | None],
        mode: Mode,
        copies: int = 1,
    ) -> Planned | None:
        """The table of least cost for `rows` coalitions of a game that reads these layers, each over `copies` pairs of
        ends; None if none has fewer rows."""
        taps = self._taps(layers)
        anatomy = self._anatomy(content, taps, mode)
        if isinstance(anatomy, str) or self._network.behaviour.words:
            return None
        rows = 1 << max(0, rows.bit_length() - 1)  # numbers of rows that differ by less have one plan
        place = (segments.tobytes(), segments.shape, players, rows, frozenset(taps), mode == "folded", copies)
        found = self._plans.get(place)
        if found is None and place not in self._plans:
            found = self._plans[place] = plan(anatomy, segments, players, rows, taps, copies)
        return found

    def _taps(self, layers: Collection[int | None]) -> list[Tap]:
        read = {layer for layer in layers if layer is not None and layer in self._network.heads}
        return [self._network.layers[layer - 1].tap for layer in sorted(read | set(self._network.heads))]

    def begun(
        self,
        games: Sequence[tuple[TableOfGame, Hashable, Composed, Tensor]],
        layers: Sequence[int | None],
        mode: Mode,
        batch: int,
    ) -> Begun | None:
        """The begun passes of rows of several games, each with its name, how its rows are composed, and its coalitions
        (b, players) on the network's device. None if a table is missing, and cannot be made or trusted."""
        rows = sum(len(masks) * game.copies for game, *_, masks in games)
        if rows < max(CHECKED, min(batch, TOGETHER)):
            return None  # torch may have other kernels for few rows, which round otherwise
        tables: list[PatternTable] = []
        for game, name, composed, _ in games:
            table = self._table(game, name, composed, layers, mode, batch)
            if table is None or (tables and table.cut != tables[0].cut):
                return None
            tables.append(table)
        parts = [table.rows(masks) for table, (_, _, _, masks) in zip(tables, games, strict=True)]
        values = parts[0] if len(parts) == 1 else {k: torch.cat([part[k] for part in parts]) for k in parts[0]}
        return Begun(tables[0].anatomy, tables[0].cut, values, rows)

    def _table(
        self,
        game: TableOfGame,
        name: Hashable,
        composed: Composed,
        layers: Sequence[int | None],
        mode: Mode,
        batch: int,
    ) -> PatternTable | None:
        anatomy = self._anatomy(game.content, self._taps(layers), mode)
        if isinstance(anatomy, str) or mode in self.refused or mode not in TABLED:
            return None
        if anatomy is not game.planned.anatomy:
            return None  # it was planned for passes in another mode
        place = self._place(game, name, mode, batch)
        if (known := self.kept.find(place)) is not None:
            return None if isinstance(known, str) else known
        started = time.perf_counter()
        found: PatternTable | str
        try:
            with self._network.aside():
                found = self._checked(anatomy, game, composed, layers, mode, batch)
        except Exception as error:
            found = _cause(error)  # whole passes say what is wrong with a row; out of memory, they take less at once
            if not isinstance(error, IalgebraError) and not is_out_of_memory(error):
                self.refused[mode] = found
        finally:
            spent = (game.planned.rows + CHECKED) * game.copies
            self.made = Made(self.made.rows + spent, self.made.seconds + time.perf_counter() - started)
        self.kept.keep(place, found, 0 if isinstance(found, str) else found.nbytes)
        return None if isinstance(found, str) else found

    def _checked(
        self,
        anatomy: Anatomy,
        game: TableOfGame,
        composed: Composed,
        layers: Sequence[int | None],
        mode: Mode,
        batch: int,
    ) -> PatternTable | str:
        """A new table, or why it is not used: it is compared with full passes of some random rows."""
        network, planned = self._network, game.planned
        last = mode in ("channels-last", "folded")

        def rows(coalitions: Bools) -> Tensor:
            ready: Tensor = network.ready(composed(coalitions))
            return ready.contiguous(memory_format=torch.channels_last) if last and ready.dim() == 4 else ready

        table = made(anatomy, planned, rows, batch, game.copies)
        players = len(planned.colouring.colours)
        coalitions = np.random.default_rng(players).random((CHECKED, players)) < 0.5
        masks = torch.from_numpy(coalitions).to(network.runs_on)
        full = network.forward(composed(coalitions), layers, mode)
        found = network.resume(Begun(anatomy, planned.cut, table.rows(masks), CHECKED * game.copies), layers, mode)
        if not agree([found[layer] for layer in full], list(full.values())):
            self.refused[mode] = "rows of its tables differ from full passes by more than rounding"
        return self.refused.get(mode, table)


def _forget(kept: KeptTables, own: object) -> None:
    kept.forget(lambda key: isinstance(key, tuple) and key[0] is own)


def _cause(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0][:200]
