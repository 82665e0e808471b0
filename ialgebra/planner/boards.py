"""Boards: the players of a leaf, and the hybrids that they are mixed from, as concrete tensors.

In: leaves and the catalog. Out: boards over hybrids; each is built once. It runs no model and knows no operators.

L14 needs no code of its own. A game is named by its two ends, x_N and x_∅, and by the players of the features in which
the ends differ. A feature outside the window does not differ, nor does one that equals the background, so the game of a
nullified input is the game of the projection. Null players are pruned here (L16), and duals change places (L13).
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray

from ..algebra.baselines import Baseline, Constant, Given, check_baseline, materialise
from ..algebra.dtypes import common_dtype
from ..algebra.kinds import columns_of
from ..algebra.labelling import labels
from ..algebra.sources import Source
from ..algebra.windows import evaluate
from ..catalog.catalog import Catalog
from ..catalog.inputs import Element, constant_element
from .games import Board, Hybrids, Leaf


class Boards:
    """Looks tensors up and builds each board, and each set of hybrids, once."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.boards: dict[tuple[object, ...], Board] = {}
        self.players: dict[tuple[object, ...], NDArray[np.int64]] = {}
        self.columns: dict[Source, dict[str, NDArray[np.generic]]] = {}
        self.backgrounds: dict[tuple[Source, Baseline], Element] = {}
        self.interned: dict[str, Hybrids] = {}

    def board(self, leaf: Leaf, *, prune: bool, dual: bool) -> Board:
        """The board of a leaf: `prune` leaves out null players (L16), `dual` lets the two inputs change places (L13).

        Raises ShapeError where input, baseline, window and mask do not fit together.
        """
        dual = dual and isinstance(leaf.baseline, Given)
        place = (leaf.source, leaf.baseline, leaf.window, leaf.partition, prune, dual)
        if place not in self.boards:
            self.boards[place] = self.build(leaf, prune, dual)
        return self.boards[place]

    def build(self, leaf: Leaf, prune: bool, dual: bool) -> Board:
        """The board of a leaf as `board` gives it, but always built again, even if it is known."""
        numbers = self._players(leaf)
        x = self.catalog.element(leaf.source)
        background = self._background(leaf, x)
        if x.tensor.dtype != background.tensor.dtype:  # a hybrid holds numbers of both, unchanged
            common = common_dtype(x.tensor.dtype, background.tensor.dtype)
            x, background = (Element(each.tensor.to(common)) for each in (x, background))
        differs = np.asarray(x.array != background.array)
        seen = differs  # one channel is enough if labels are the same in all
        if len(numbers) < len(differs):
            seen = np.asarray(differs.any(axis=0, keepdims=True))
        count = int(numbers.max(initial=-1)) + 1
        # For each player, whether it differs from the background; the last entry is for features outside the window.
        touched = np.zeros(count + 1, dtype=bool)
        touched[numbers[seen]] = True
        plays, covers = touched[:-1] if prune else np.ones(count, dtype=bool), not touched[-1]
        segments = numbers if plays.all() else np.append(np.where(plays, np.cumsum(plays) - 1, -1), -1)[numbers]
        full = x
        if not covers:
            plays_here = torch.from_numpy(segments) >= 0
            full = Element(torch.where(plays_here, x.tensor, background.tensor).contiguous())
        swapped = dual and full.digest > background.digest
        if swapped:
            x, background, full = background, full, background
        players = np.where(differs, segments, -1) if prune else segments
        hybrids = self._interned(x, background, full, segments, players, int(plays.sum()))
        return Board(np.broadcast_to(numbers, differs.shape), np.flatnonzero(plays), hybrids, swapped)

    def _players(self, leaf: Leaf) -> NDArray[np.int64]:
        place = (leaf.source, leaf.window, leaf.partition)
        if place not in self.players:
            entry = self.catalog.input(leaf.source.name)
            content = self.catalog.element(leaf.source).array
            if leaf.source not in self.columns:
                self.columns[leaf.source] = columns_of(entry.kind, content, entry.feature_names)
            window = evaluate(leaf.window, self.columns[leaf.source])
            found = labels(leaf.partition, entry.kind, content, window, self.catalog.mask)
            self.players[place] = found
        return self.players[place]

    def _background(self, leaf: Leaf, x: Element) -> Element:
        place = (leaf.source, leaf.baseline)
        kind = self.catalog.input(leaf.source.name).kind
        if place not in self.backgrounds:
            if isinstance(leaf.baseline, Given):
                check_baseline(leaf.baseline, kind, x.tensor, lambda source: self.catalog.element(source).tensor)
                self.backgrounds[place] = self.catalog.element(leaf.baseline.source)
            elif isinstance(leaf.baseline, Constant):
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
        return self.backgrounds[place]

    def _interned(
        self,
        x: Element,
        background: Element,
        full: Element,
        segments: NDArray[np.int64],
        named: NDArray[np.int64],
        players: int,
    ) -> Hybrids:
        """The one object for hybrids with these ends, and with these players (`named`) where the ends differ."""
        narrow = np.int16 if players < 1 << 15 else np.int32
        digest = hashlib.blake2b(named.astype(narrow).tobytes(), digest_size=12)
        digest.update(f"{full.digest}|{background.digest}|{named.shape}|{players}".encode())
        key = digest.hexdigest()
        if key not in self.interned:
            ends = (full.digest, background.digest)
            self.interned[key] = Hybrids(x.tensor, background.tensor, segments, players, key, *ends)
        return self.interned[key]
