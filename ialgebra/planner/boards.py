"""Boards: the players of a leaf, and the hybrids that they are mixed from, as concrete tensors.

In: leaves and the catalog. Out: boards over hybrids; each is built once. It runs no model and knows no operators.

L14 needs no code of its own. A game is named by its two ends, x_N and x_∅, and by the players of the features in which
the ends differ. A feature outside the window does not differ, nor does one that equals the background, so the game of a
nullified input is the game of the projection. Null players are pruned here (L16), and duals change places (L13).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..algebra.attributes import CONCEPT
from ..algebra.baselines import Baseline, Given, check_baseline
from ..algebra.labelling import labels
from ..algebra.packings import agreed, packing_of, plain
from ..algebra.players import Blocks, Features, Grid, Labels, OnePlayer, Pixels, Spans, Tile
from ..algebra.sources import Source
from ..algebra.windows import evaluate
from ..catalog.catalog import Catalog
from ..catalog.inputs import Element
from ..system.arrays import Bools
from ..system.tensors import array_of
from .end_rows import EndRows
from .games import Board, HeldRow, Hybrids, Leaf, ReadAgain, RowForm, Several, inside

FEW = 8  # baselines; fewer are games of their own, whose rows other queries meet
# Sampled games of one mean draw coalitions of their own, so that errors cancel. More would be more exact, and take
# longer to estimate.
_DRAWN_APART = 4
_POSITIONS = frozenset(
    {"row", "col", "channel", "feature", "time", "depth", "frame", CONCEPT}
)  # columns that no value changes
_OF_POSITIONS = Features | OnePlayer | Pixels | Grid | Blocks | Tile | Spans | Labels  # players that no value changes
_MOST_STACKED = 1 << 22  # numbers of the backgrounds of one game; more make several games
_ROWS_A_GAME = 256  # rows of a small network that take as long as one more game


class PlayersName(NamedTuple):
    """What the name of hybrids holds of their players."""

    digest: hashlib.blake2b
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Stack:
    """An input `x` and its backgrounds (B, *shape); where they differ; and which players play against which of them,
    (B, players + 1), the last for features outside the window."""

    x: Element
    backgrounds: torch.Tensor
    digests: tuple[str, ...]
    numbers: NDArray[np.int64]
    differs: Bools
    touched: Bools


class Playing(NamedTuple):
    """The players of inputs of one shape: those in `active` play, are numbered anew in `segments` (the others −1), and
    have this `name` where the inputs differ from the background everywhere. `labels` numbers all so many `players`."""

    labels: NDArray[np.int64]
    segments: NDArray[np.int64]
    active: NDArray[np.int64]
    name: PlayersName
    players: int


class Boards:
    """Looks tensors up and builds each board, and each set of hybrids, once."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.ends = EndRows(catalog)
        self.boards: dict[tuple[object, ...], Board] = {}
        self.players: dict[tuple[object, ...], NDArray[np.int64]] = {}
        self.columns: dict[Source, dict[str, NDArray[np.generic]]] = {}
        self.hybrids: dict[str, Hybrids] = {}
        self.asked: dict[Leaf, Board] = {}  # each leaf with the first board that it was given
        self.asked_together: list[tuple[Sequence[Leaf], Sequence[Board]]] = []  # the same of leaves of collections
        self.known_players: dict[tuple[object, ...], Playing] = {}
        self.stacks: dict[tuple[object, ...], _Stack | None] = {}
        self.stacked: dict[tuple[object, ...], torch.Tensor | None] = {}

    def board(self, leaf: Leaf, *, prune: bool, dual: bool) -> Board:
        """The board of a leaf: `prune` leaves out null players (L16), `dual` lets the two inputs change places (L13).

        Raises ShapeError where input, baseline, window and mask do not fit together.
        """
        place, dual = self._place(leaf, prune, dual), may_swap(leaf, dual)
        if place not in self.boards:
            self.boards[place] = self.build(leaf, prune, dual)
        self.asked.setdefault(leaf, self.boards[place])
        return self.boards[place]

    def alike(self, leaf: Leaf, rows: Callable[[int], int]) -> tuple[Leaf, ...]:
        """The leaves that together are the mean over a leaf's baselines. Each has baselines of one form, against which
        the same players play; `rows` tells how many coalitions a number of players takes, so that players who equal
        only some of the baselines are left out where that saves rows.
        """
        assert isinstance(leaf.baseline, Several)
        baselines = leaf.baseline.baselines
        stack = self._stack(leaf) if len(baselines) >= FEW else None
        if stack is None:
            return tuple(replace(leaf, baseline=each) for each in baselines)
        plays = stack.touched[:, :-1]
        groups = [np.arange(len(baselines))]
        if not plays.all():
            _, first, kind = np.unique(plays, axis=0, return_index=True, return_inverse=True)
            kinds = [np.flatnonzero(kind.ravel() == k) for k in np.argsort(first)]
            together = len(baselines) * rows(int(plays.any(axis=0).sum()))
            single = sum(len(each) * rows(int(plays[each[0]].sum())) + _ROWS_A_GAME for each in kinds)
            groups = kinds if single < together else groups
        most, parts = max(1, _MOST_STACKED // max(1, stack.x.tensor.numel())), list[NDArray[np.intp]]()
        for group in groups:
            players = int(plays[group].any(axis=0).sum())
            apart = min(_DRAWN_APART, len(group) // 2) if rows(players) < 1 << players else 1
            parts += [group[k::count] for count in [max(1, apart, -(-len(group) // most))] for k in range(count)]
        chosen = [tuple(baselines[k] for k in part) for part in parts]
        return tuple(replace(leaf, baseline=each[0] if len(each) == 1 else Several(each)) for each in chosen)

    def _stack(self, leaf: Leaf) -> _Stack | None:
        """An input with all baselines of a leaf; None if they are not all inputs of its own form."""
        assert isinstance(leaf.baseline, Several)
        place = (leaf.source, leaf.baseline, leaf.window, leaf.partition, self.ends.readers[leaf.model])
        if place in self.stacks:
            return self.stacks[place]
        found = self._stacked(leaf, leaf.baseline.baselines)
        if not self.ends.is_read(leaf.source):
            self.stacks[place] = found
        return found

    def _stacked(self, leaf: Leaf, baselines: tuple[Baseline, ...]) -> _Stack | None:
        x = self.catalog.element_for(leaf.model, leaf.source)
        if (
            self.ends.masked(leaf)
            or self.ends.special(leaf) is not None
            or agreed(x.tensor, x.tensor)[0] is not x.tensor
        ):
            return None
        packing, kind = packing_of(x.tensor), self.catalog.input(leaf.source.name).kind
        form = (x.tensor.shape, x.tensor.dtype, kind, packing and packing.key)
        if (baselines, form) not in self.stacked:
            self.stacked[baselines, form] = self._backgrounds(baselines, x.tensor, kind)
        backgrounds = self.stacked[baselines, form]
        if backgrounds is None:
            return None
        numbers = self.players_of(leaf, None)
        mine, theirs = x.array, array_of(plain(backgrounds))
        differs = differing(mine, theirs)
        touched = FeaturesByPlayer(np.broadcast_to(numbers, mine.shape)).touched(differs)
        digests = tuple(self.catalog.element(each.source).digest for each in baselines if isinstance(each, Given))
        return _Stack(x, backgrounds, digests, numbers, differs, touched)

    def _backgrounds(self, baselines: tuple[Baseline, ...], x: torch.Tensor, kind: str) -> torch.Tensor | None:
        """The baselines on a first axis; None if they are not all inputs of the form of `x`."""
        found = []
        for each in baselines:
            if not isinstance(each, Given):
                return None
            check_baseline(each, kind, x, lambda source: self.catalog.element(source).tensor)
            tensor = self.catalog.element(each.source).tensor
            if tensor.dtype != x.dtype or packing_of(tensor) is not packing_of(x):
                return None
            if agreed(tensor, tensor)[0] is not tensor:
                return None
            found.append(tensor)
        return torch.stack(found)

    def _of_several(self, leaf: Leaf, prune: bool) -> Board:
        """The board of a leaf whose value of a coalition is the mean over several baselines."""
        whole = self._stack(leaf)
        assert whole is not None, "`alike` gives baselines of one form"
        copies, count = len(whole.touched), whole.touched.shape[1] - 1
        plays: Bools = np.asarray(whole.touched[:, :-1].any(axis=0)) if prune else np.ones(count, dtype=bool)
        numbers = whole.numbers
        segments = _numbered(numbers, plays)[None]
        x, background = whole.x.tensor.expand(whole.backgrounds.shape), whole.backgrounds
        held: HeldRow = x
        if self.ends.is_read(leaf.source):
            shape, again = background.shape, partial(self.catalog.element_for, leaf.model, leaf.source)
            held = ReadAgain(lambda: again().tensor.expand(shape), RowForm.of(x))
        empty = f"{copies}·{_digest(*whole.digests)}"
        full = f"{copies}·{whole.x.digest}"
        covering = not whole.touched[:, -1].any()
        if not covering:
            here = torch.from_numpy(segments) >= 0
            full = f"{copies}·{Element(torch.where(here, x, background).contiguous()).digest}"
        named = np.where(whole.differs, segments, -1) if prune else segments
        active = np.flatnonzero(plays)
        name = name_of_players(named, len(active))
        hybrids = self.interned((held, background), full, empty, segments, name, len(active), copies, covering)
        return Board(np.broadcast_to(numbers, whole.differs.shape[1:]), active, hybrids, False, count)

    def enter(self, leaf: Leaf, board: Board, *, prune: bool, dual: bool) -> None:
        """Take a board that was built elsewhere as that of a leaf."""
        self.boards.setdefault(self._place(leaf, prune, dual), board)

    def _place(self, leaf: Leaf, prune: bool, dual: bool) -> tuple[object, ...]:
        reader, swaps = self.ends.readers[leaf.model], may_swap(leaf, dual)
        return leaf.source, leaf.baseline, leaf.window, leaf.partition, prune, swaps, reader

    def build(self, leaf: Leaf, prune: bool, dual: bool) -> Board:
        """The board of a leaf as `board` gives it, but always built again, even if it is known."""
        if isinstance(leaf.baseline, Several):
            return self._of_several(leaf, prune)
        x, background, hidden = self.ends.of(leaf)
        numbers = self.players_of(leaf, hidden)
        differs = differing(x.array, background.array)
        seen = differs  # one channel is enough if labels are the same in all
        if len(numbers) < len(differs):
            seen = np.asarray(differs.any(axis=0, keepdims=True))
        # For each player, whether it differs from the background; the last entry is for features outside the window.
        touched = np.zeros(int(numbers.max(initial=-1)) + 2, dtype=bool)
        touched[numbers[seen]] = True
        plays = touched[:-1] if prune else np.ones(len(touched) - 1, dtype=bool)
        covers = not touched[-1]
        everywhere = not prune or bool(covers and differs.all())
        playing = self.playing(numbers, plays, differs.shape, prune)
        ends = self.ends.held(leaf, x, background)
        return self.laid(ends, x, background, playing, covers, None if everywhere else differs, dual)

    def laid(
        self,
        ends: tuple[HeldRow, HeldRow],
        x: Element,
        background: Element,
        playing: Playing,
        covers: bool,
        where: Bools | None,
        dual: bool,
    ) -> Board:
        """The board with these ends, `ends` as a game holds them, and with the players that play. Whether they cover
        every feature that differs from the background, and `where` it differs, if that is in the name of its
        players."""
        segments, count = playing.segments, len(playing.active)
        full, of_full = x, ends[0]
        if not covers:
            plays_here = torch.from_numpy(segments) >= 0
            full = Element(torch.where(plays_here, x.tensor, background.tensor).contiguous())
            of_full = inside(plays_here, ends, full.tensor)
        digests = full.digest, background.digest
        swapped = dual and digests[0] > digests[1]
        if swapped:
            ends, digests = (ends[1], of_full), digests[::-1]
        name = playing.name if where is None else name_of_players(np.where(where, segments, -1), count)
        hybrids = self.interned(ends, *digests, segments, name, count)
        return Board(playing.labels, playing.active, hybrids, swapped, playing.players)

    def playing(self, numbers: NDArray[np.int64], plays: Bools, shape: tuple[int, ...], prune: bool) -> Playing:
        """The players of `numbers` that play in inputs of this shape, which many of them share."""
        place = (id(numbers), plays.tobytes(), shape, prune)
        if place not in self.known_players:
            segments, labels = _numbered(numbers, plays), np.broadcast_to(numbers, shape)
            active = np.flatnonzero(plays)
            name = name_of_players(np.broadcast_to(segments, shape) if prune else segments, len(active))
            self.known_players[place] = Playing(labels, segments, active, name, len(plays))
        return self.known_players[place]

    def of_positions(self, leaf: Leaf) -> bool:
        """Whether the players of a leaf are those of all inputs of its collection that have its shape."""
        return isinstance(leaf.partition, _OF_POSITIONS) and leaf.window.columns <= _POSITIONS

    def players_of(self, leaf: Leaf, hidden: Bools | None) -> NDArray[np.int64]:
        """The players of a leaf, as integers that broadcast to its input; `hidden` features are none."""
        entry, content = self.catalog.input(leaf.source.name), self.catalog.element(leaf.source).array
        own = (entry.name, content.shape) if self.of_positions(leaf) else leaf.source
        place = (own, leaf.window, leaf.partition, None if hidden is None else hidden.tobytes())
        if place not in self.players:
            columns = self.columns.get(leaf.source)
            if columns is None:
                columns = self.catalog.columns(leaf.source)
                if not self.ends.is_read(leaf.source):
                    self.columns[leaf.source] = columns
            window = evaluate(leaf.window, columns)
            window = window if hidden is None or not hidden.any() else window & ~hidden
            names = self.catalog.names(leaf.source)
            found = labels(leaf.partition, entry.kind, content, window, self.catalog.mask, names)
            self.players[place] = found
        return self.players[place]

    def interned(
        self,
        ends: tuple[HeldRow, HeldRow],
        full: str,
        empty: str,
        segments: NDArray[np.int64],
        name: PlayersName,
        players: int,
        copies: int | None = None,
        covering: bool = True,
    ) -> Hybrids:
        """The one object for hybrids with these ends, and with players of this name where the ends differ."""
        digest = name.digest.copy()
        digest.update(f"{full}|{empty}|{name.shape}|{players}".encode())
        key = digest.hexdigest()
        if key not in self.hybrids:
            self.hybrids[key] = Hybrids(ends, segments, players, key, full, empty, copies, covering)
        return self.hybrids[key]


def differing(one: NDArray[np.generic], other: NDArray[np.generic]) -> Bools:
    """Where two arrays differ, which broadcast to one shape. A value that is missing in both is the same."""
    differs = np.asarray(one != other)
    if one.dtype.kind == "f":
        differs &= ~(np.isnan(one) & np.isnan(other))
    return differs


class FeaturesByPlayer:
    """The features of an input in the order of their players: `labels` (*shape), −1 for those of none."""

    def __init__(self, labels: NDArray[np.int64]) -> None:
        self._order = np.argsort(labels.ravel(), kind="stable")
        ordered = labels.ravel()[self._order]
        self._starts = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
        self._players = ordered[self._starts]
        self._count = int(labels.max(initial=-1)) + 1

    def touched(self, differs: Bools) -> Bools:
        """Which players have a feature where each of some inputs `differs` (n, *shape): (n, players + 1), the last for
        features of none."""
        found = np.zeros((len(differs), self._count + 1), dtype=bool)
        if len(self._starts):
            flat = differs.reshape(len(differs), -1)[:, self._order]
            found[:, self._players] = np.logical_or.reduceat(flat, self._starts, axis=1)
        return found


def _numbered(numbers: NDArray[np.int64], plays: Bools) -> NDArray[np.int64]:
    """Players by number, counted without those that do not play, which become −1."""
    return numbers if plays.all() else np.append(np.where(plays, np.cumsum(plays) - 1, -1), -1)[numbers]


def _digest(*digests: str) -> str:
    return hashlib.blake2b("|".join(digests).encode(), digest_size=16).hexdigest()


def may_swap(leaf: Leaf, dual: bool) -> bool:
    """Whether the ends of a leaf may change places, if `dual` allows it: both must be inputs."""
    return dual and isinstance(leaf.baseline, Given)


def name_of_players(named: NDArray[np.int64], players: int) -> PlayersName:
    """The name of so many players, given where they differ from the background (−1: nowhere)."""
    narrow = np.int16 if players < 1 << 15 else np.int32
    return PlayersName(hashlib.blake2b(named.astype(narrow).tobytes(), digest_size=12), named.shape)
