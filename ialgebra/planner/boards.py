"""Boards: the players of a leaf, and the hybrids that they are mixed from, as concrete tensors.

In: leaves and the catalog. Out: boards over hybrids; each is built once. It runs no model and knows no operators.

L14 needs no code of its own. A game is named by its two ends, x_N and x_∅, and by the players of the features in which
the ends differ. A feature outside the window does not differ, nor does one that equals the background, so the game of a
nullified input is the game of the projection. Null players are pruned here (L16), and duals change places (L13).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..algebra.baselines import AbsentToken, Baseline, Constant, Given, check_baseline, materialise
from ..algebra.dtypes import common_dtype
from ..algebra.kinds import KINDS
from ..algebra.kinds.naming import TextNames
from ..algebra.labelling import labels
from ..algebra.packings import agreed, packing_of, plain
from ..algebra.players import Blocks, Features, Grid, Labels, Pixels, Spans, Tile
from ..algebra.sources import Source
from ..algebra.windows import evaluate
from ..catalog.catalog import Catalog
from ..catalog.inputs import Element, constant_element, is_hidden
from ..errors import BindError
from ..system.arrays import Bools
from ..system.tensors import array_of
from .games import Board, Hybrids, Leaf, Several

FEW = 8  # baselines; fewer are games of their own, whose rows other queries meet
# Sampled games of one mean draw coalitions of their own, so that errors cancel. More would be more exact, and take
# longer to estimate.
_DRAWN_APART = 4
_POSITIONS = frozenset({"row", "col", "channel", "feature", "time", "depth", "frame"})  # columns that no value changes
_OF_POSITIONS = Features | Pixels | Grid | Blocks | Tile | Spans | Labels  # players that no value changes
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


class Boards:
    """Looks tensors up and builds each board, and each set of hybrids, once."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.boards: dict[tuple[object, ...], Board] = {}
        self.players: dict[tuple[object, ...], NDArray[np.int64]] = {}
        self.readers = {name: network.tokens for name, network in catalog.models.items()}
        self.columns: dict[Source, dict[str, NDArray[np.generic]]] = {}
        self.backgrounds: dict[tuple[object, ...], Element] = {}
        self.hybrids: dict[str, Hybrids] = {}
        self.asked: dict[Leaf, Board] = {}  # each leaf with the first board that it was given
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
        place = (leaf.source, leaf.baseline, leaf.window, leaf.partition, self.readers[leaf.model])
        if place not in self.stacks:
            self.stacks[place] = self._stacked(leaf, leaf.baseline.baselines)
        return self.stacks[place]

    def _stacked(self, leaf: Leaf, baselines: tuple[Baseline, ...]) -> _Stack | None:
        x = self.catalog.element_for(leaf.model, leaf.source)
        if self.masked(leaf) or self._special(leaf) is not None or agreed(x.tensor, x.tensor)[0] is not x.tensor:
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
        empty = f"{copies}·{_digest(*whole.digests)}"
        full = f"{copies}·{whole.x.digest}"
        covering = not whole.touched[:, -1].any()
        if not covering:
            here = torch.from_numpy(segments) >= 0
            full = f"{copies}·{Element(torch.where(here, x, background).contiguous()).digest}"
        named = np.where(whole.differs, segments, -1) if prune else segments
        count = int(plays.sum())
        name = name_of_players(named, count)
        hybrids = self.interned(x, background, full, empty, segments, name, count, copies, covering)
        return Board(np.broadcast_to(numbers, whole.differs.shape[1:]), np.flatnonzero(plays), hybrids, False)

    def enter(self, leaf: Leaf, board: Board, *, prune: bool, dual: bool) -> None:
        """Take a board that was built elsewhere as that of a leaf."""
        self.boards.setdefault(self._place(leaf, prune, dual), board)

    def _place(self, leaf: Leaf, prune: bool, dual: bool) -> tuple[object, ...]:
        reader, swaps = self.readers[leaf.model], may_swap(leaf, dual)
        return leaf.source, leaf.baseline, leaf.window, leaf.partition, prune, swaps, reader

    def build(self, leaf: Leaf, prune: bool, dual: bool) -> Board:
        """The board of a leaf as `board` gives it, but always built again, even if it is known."""
        if isinstance(leaf.baseline, Several):
            return self._of_several(leaf, prune)
        x = self.catalog.element_for(leaf.model, leaf.source)
        background = self.background(leaf, x)
        hidden = None  # from the model's attention, present or absent: no player
        if self.masked(leaf):
            hidden = ((x.tensor < 0) & (background.tensor < 0)).numpy()
        if (special := self._special(leaf)) is not None:
            same = special & np.asarray(x.array == background.array)
            hidden = same if hidden is None else hidden | same
        numbers = self.players_of(leaf, hidden)
        if x.tensor.dtype != background.tensor.dtype:  # a hybrid holds numbers of both, unchanged
            common = common_dtype(x.tensor.dtype, background.tensor.dtype)
            x, background = (Element(each.tensor.to(common)) for each in (x, background))
        ends = agreed(x.tensor, background.tensor)
        if ends[0] is not x.tensor:  # the model is given both in one form
            x, background = map(Element, ends)
        differs = differing(x.array, background.array)
        seen = differs  # one channel is enough if labels are the same in all
        if len(numbers) < len(differs):
            seen = np.asarray(differs.any(axis=0, keepdims=True))
        count = int(numbers.max(initial=-1)) + 1
        # For each player, whether it differs from the background; the last entry is for features outside the window.
        touched = np.zeros(count + 1, dtype=bool)
        touched[numbers[seen]] = True
        plays, covers = touched[:-1] if prune else np.ones(count, dtype=bool), not touched[-1]
        segments = _numbered(numbers, plays)
        full = x
        if not covers:
            plays_here = torch.from_numpy(segments) >= 0
            full = Element(torch.where(plays_here, x.tensor, background.tensor).contiguous())
        swapped = dual and full.digest > background.digest
        if swapped:
            x, background, full = background, full, background
        players = np.where(differs, segments, -1) if prune else segments
        tensors, digests = (x.tensor, background.tensor), (full.digest, background.digest)
        count = int(plays.sum())
        hybrids = self.interned(*tensors, *digests, segments, name_of_players(players, count), count)
        return Board(np.broadcast_to(numbers, differs.shape), np.flatnonzero(plays), hybrids, swapped)

    def masked(self, leaf: Leaf) -> bool:
        """Whether the leaf's model is given packed tokens (`models.tokens`)."""
        kind = KINDS[self.catalog.input(leaf.source.name).kind]
        return self.readers[leaf.model] is not None and kind.vocabulary

    def of_positions(self, leaf: Leaf) -> bool:
        """Whether the players of a leaf are those of all inputs of its collection that have its shape."""
        return isinstance(leaf.partition, _OF_POSITIONS) and leaf.window.columns <= _POSITIONS

    def players_of(self, leaf: Leaf, hidden: Bools | None) -> NDArray[np.int64]:
        """The players of a leaf, as integers that broadcast to its input; `hidden` features are none."""
        entry, content = self.catalog.input(leaf.source.name), self.catalog.element(leaf.source).array
        own = (entry.name, content.shape) if self.of_positions(leaf) else leaf.source
        place = (own, leaf.window, leaf.partition, None if hidden is None else hidden.tobytes())
        if place not in self.players:
            if leaf.source not in self.columns:
                self.columns[leaf.source] = self.catalog.columns(leaf.source)
            window = evaluate(leaf.window, self.columns[leaf.source])
            window = window if hidden is None or not hidden.any() else window & ~hidden
            names = self.catalog.names(leaf.source)
            found = labels(leaf.partition, entry.kind, content, window, self.catalog.mask, names)
            self.players[place] = found
        return self.players[place]

    def background(self, leaf: Leaf, x: Element) -> Element:
        """The background of a leaf's input `x`."""
        assert not isinstance(leaf.baseline, Several)
        kind, reader = self.catalog.input(leaf.source.name).kind, self.readers[leaf.model]
        place = (leaf.source, leaf.baseline, reader)
        if place not in self.backgrounds:
            own_mask = False
            if isinstance(leaf.baseline, Given):
                check_baseline(leaf.baseline, kind, x.tensor, lambda source: self.catalog.element(source).tensor)
                own_mask = self._has_own_mask(leaf.baseline.source)
                element = self.catalog.element_for(leaf.model, leaf.baseline.source)
                self.backgrounds[place] = element if own_mask else self.catalog.element(leaf.baseline.source)
            elif isinstance(leaf.baseline, Constant):
                if packing_of(x.tensor) is not None:
                    check_baseline(leaf.baseline, kind, x.tensor, lambda source: self.catalog.element(source).tensor)
                self.backgrounds[place] = constant_element(leaf.baseline, kind, x.tensor.shape, x.tensor.dtype)
            else:
                self.backgrounds[place] = Element(
                    materialise(
                        leaf.baseline,
                        kind,
                        x.tensor,
                        lambda source: self.catalog.element(source).tensor,
                        lambda name: [each.tensor for each in self.catalog.input(name).elements],
                    )
                )
            if reader is not None and self.masked(leaf) and not own_mask:
                self.backgrounds[place] = Element(reader.riding(self.backgrounds[place].tensor, x.tensor))
            if isinstance(leaf.baseline, AbsentToken) and leaf.baseline.drops:
                self.backgrounds[place] = Element(self._dropped(leaf, x.tensor, leaf.baseline))
            if (special := self._special(leaf)) is not None and not own_mask:
                kept = torch.where(torch.from_numpy(special), x.tensor, self.backgrounds[place].tensor)
                self.backgrounds[place] = Element(kept)
        return self.backgrounds[place]

    def _dropped(self, leaf: Leaf, x: torch.Tensor, baseline: AbsentToken) -> torch.Tensor:
        """A text of nothing but padding, which attention does not see."""
        reader = self.readers[leaf.model]
        if reader is None:
            raise BindError(
                f"model '{leaf.model}' reads no attention mask, so that absent tokens cannot be dropped; say what "
                "stands for them: baseline => 'mask', 'pad', 'unk' or a token's number"
            )
        pad = reader.pad if reader.pad is not None else baseline.token
        return reader.packed(torch.full_like(x, pad), torch.ones_like(x, dtype=torch.bool), None)

    def _special(self, leaf: Leaf) -> Bools | None:
        """The special tokens of a text, which stay as they are; None where no tokenizer told them."""
        names = self.catalog.names(leaf.source)
        return np.asarray(names.special, dtype=np.bool_) if isinstance(names, TextNames) else None

    def _has_own_mask(self, source: Source) -> bool:
        """Whether a baseline brings its own attention mask, as another input does. Tokens that were registered as the
        baseline of an input are read under that input's mask, unless they came with one."""
        return not is_hidden(source.name) or self.catalog.input(source.name).elements[0].attention is not None

    def interned(
        self,
        x: torch.Tensor,
        background: torch.Tensor,
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
            self.hybrids[key] = Hybrids(x, background, segments, players, key, full, empty, copies, covering)
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
