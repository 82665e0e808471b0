"""Boards of many inputs at once: of leaves that differ in their inputs alone.

In: the boards of a query, and such leaves. Out: the boards of those whose players all play, entered among the boards;
the others are left to `Boards.board`, which builds one at a time, and gives the same. It may not know operators.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..algebra.baselines import AbsentToken, Blur
from ..algebra.kinds.naming import TextNames
from ..algebra.packings import packing_of
from .boards import Boards, FeaturesByPlayer, differing, may_swap, name_of_players
from .games import Board, Leaf, Several

_MOST_STACKED = 1 << 22  # numbers of the inputs that are compared with their background at once


def build_together(boards: Boards, leaves: Sequence[Leaf], *, prune: bool, dual: bool) -> None:
    """Build the boards of `leaves`, which differ in their inputs alone, as far as that can be done in one go. `prune`
    and `dual` are those of `Boards.board`."""
    first = leaves[0]
    own = isinstance(first.baseline, Several | AbsentToken | Blur)  # each input has backgrounds of its own
    if own or not boards.of_positions(first) or boards.ends.masked(first):
        return
    catalog = boards.catalog
    x = catalog.element(first.source)
    background = boards.ends.background(first, x)
    form = (x.tensor.shape, x.tensor.dtype, None)
    if form != (background.tensor.shape, background.tensor.dtype, packing_of(background.tensor)):
        return
    numbers = boards.players_of(first, None)
    labels = np.broadcast_to(numbers, x.tensor.shape)
    count = int(numbers.max(initial=-1)) + 1
    features = FeaturesByPlayer(labels)
    everywhere = name_of_players(labels if prune else numbers, count)
    active, swaps = np.arange(count), may_swap(first, dual)
    step = max(1, _MOST_STACKED // max(1, x.tensor.numel()))
    step = min(step, catalog.input(first.source.name).block or step)
    for begin in range(0, len(leaves) if count else 0, step):
        found = [(leaf, catalog.element(leaf.source)) for leaf in leaves[begin : begin + step]]
        block = [
            (leaf, each)
            for leaf, each in found
            if (each.tensor.shape, each.tensor.dtype, packing_of(each.tensor)) == form
            and not isinstance(each.names, TextNames)
        ]
        if not block:
            continue
        values = np.stack([each.array for _, each in block])
        differs = differing(values, background.array)
        touched = features.touched(differs)
        whole = touched[:, :-1].all(axis=1) & ~touched[:, -1]
        full = np.asarray(differs.reshape(len(block), -1).all(axis=1))
        for k in np.flatnonzero(whole).tolist():
            leaf, each = block[k]
            ends, digests = boards.ends.held(leaf, each, background), (each.digest, background.digest)
            swapped = swaps and digests[0] > digests[1]
            if swapped:
                ends, digests = ends[::-1], digests[::-1]
            alike = full[k] or not prune
            name = everywhere if alike else name_of_players(np.where(differs[k], labels, -1), count)
            hybrids = boards.interned(ends, *digests, numbers, name, count)
            boards.enter(leaf, Board(labels, active, hybrids, swapped), prune=prune, dual=dual)
