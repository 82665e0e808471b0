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

from ..algebra.baselines import AbsentToken, Constant, Given, check_baseline, materialise
from ..algebra.dtypes import common_dtype
from ..algebra.kinds import KINDS
from ..algebra.kinds.naming import TextNames
from ..algebra.labelling import labels
from ..algebra.packings import agreed, packing_of
from ..algebra.sources import Source
from ..algebra.windows import evaluate
from ..catalog.catalog import Catalog
from ..catalog.inputs import Element, constant_element, is_hidden
from ..errors import BindError
from .games import Board, Hybrids, Leaf


class Boards:
    """Looks tensors up and builds each board, and each set of hybrids, once."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.boards: dict[tuple[object, ...], Board] = {}
        self.players: dict[tuple[object, ...], NDArray[np.int64]] = {}
        self.readers = {name: network.tokens for name, network in catalog.models.items()}
        self.columns: dict[Source, dict[str, NDArray[np.generic]]] = {}
        self.backgrounds: dict[tuple[object, ...], Element] = {}
        self.interned: dict[str, Hybrids] = {}
        self.asked: dict[Leaf, Board] = {}  # each leaf with the first board that it was given

    def board(self, leaf: Leaf, *, prune: bool, dual: bool) -> Board:
        """The board of a leaf: `prune` leaves out null players (L16), `dual` lets the two inputs change places (L13).

        Raises ShapeError where input, baseline, window and mask do not fit together.
        """
        dual = dual and isinstance(leaf.baseline, Given)
        reader = self.readers[leaf.model]
        place = (leaf.source, leaf.baseline, leaf.window, leaf.partition, prune, dual, reader)
        if place not in self.boards:
            self.boards[place] = self.build(leaf, prune, dual)
        self.asked.setdefault(leaf, self.boards[place])
        return self.boards[place]

    def build(self, leaf: Leaf, prune: bool, dual: bool) -> Board:
        """The board of a leaf as `board` gives it, but always built again, even if it is known."""
        x = self.catalog.element_for(leaf.model, leaf.source)
        background = self._background(leaf, x)
        hidden = None  # from the model's attention, present or absent: no player
        if self._masked(leaf):
            hidden = ((x.tensor < 0) & (background.tensor < 0)).numpy()
        if (special := self._special(leaf)) is not None:
            same = special & np.asarray(x.array == background.array)
            hidden = same if hidden is None else hidden | same
        numbers = self._players(leaf, hidden)
        if x.tensor.dtype != background.tensor.dtype:  # a hybrid holds numbers of both, unchanged
            common = common_dtype(x.tensor.dtype, background.tensor.dtype)
            x, background = (Element(each.tensor.to(common)) for each in (x, background))
        ends = agreed(x.tensor, background.tensor)
        if ends[0] is not x.tensor:  # the model is given both in one form
            x, background = map(Element, ends)
        differs = np.asarray(x.array != background.array)
        if x.tensor.is_floating_point():  # a value that is missing in both is the same
            differs &= ~(np.isnan(x.array) & np.isnan(background.array))
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

    def _masked(self, leaf: Leaf) -> bool:
        """Whether the leaf's model is given packed tokens (`models.tokens`)."""
        kind = KINDS[self.catalog.input(leaf.source.name).kind]
        return self.readers[leaf.model] is not None and kind.vocabulary

    def _players(self, leaf: Leaf, hidden: NDArray[np.bool_] | None) -> NDArray[np.int64]:
        place = (leaf.source, leaf.window, leaf.partition, None if hidden is None else hidden.tobytes())
        if place not in self.players:
            entry = self.catalog.input(leaf.source.name)
            content = self.catalog.element(leaf.source).array
            if leaf.source not in self.columns:
                self.columns[leaf.source] = self.catalog.columns(leaf.source)
            window = evaluate(leaf.window, self.columns[leaf.source])
            window = window if hidden is None or not hidden.any() else window & ~hidden
            names = self.catalog.names(leaf.source)
            found = labels(leaf.partition, entry.kind, content, window, self.catalog.mask, names)
            self.players[place] = found
        return self.players[place]

    def _background(self, leaf: Leaf, x: Element) -> Element:
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
            if reader is not None and self._masked(leaf) and not own_mask:
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

    def _special(self, leaf: Leaf) -> NDArray[np.bool_] | None:
        """The special tokens of a text, which stay as they are; None where no tokenizer told them."""
        names = self.catalog.names(leaf.source)
        return np.asarray(names.special, dtype=np.bool_) if isinstance(names, TextNames) else None

    def _has_own_mask(self, source: Source) -> bool:
        """Whether a baseline brings its own attention mask, as another input does. Tokens that were registered as the
        baseline of an input are read under that input's mask, unless they came with one."""
        return not is_hidden(source.name) or self.catalog.input(source.name).elements[0].attention is not None

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
