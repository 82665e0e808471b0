"""Boards of many inputs at once: of leaves that differ in their inputs alone.

In: the boards of a query, and such leaves. Out: their boards, entered among the boards. Those of inputs of another
form, and of players that depend on values, are built one at a time by `Boards.board`, which gives the same.
It may not know operators.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..algebra.baselines import AbsentToken, Blur, Redrawn
from ..algebra.kinds.naming import TextNames
from ..algebra.packings import packing_of
from ..catalog.inputs import digest_together
from ..system.tensors import array_of
from .boards import Boards, FeaturesByPlayer, differing, may_swap
from .games import Board, Leaf, Several

_MOST_STACKED = 1 << 22  # numbers of the inputs that are compared with their background at once


def build_together(boards: Boards, leaves: Sequence[Leaf], *, prune: bool, dual: bool) -> list[Board]:
    """The boards of `leaves`, which differ in their inputs alone, built in one go as far as that can be done. `prune`
    and `dual` are those of `Boards.board`."""
    found = built_in_one_go(boards, leaves, prune, dual)
    if not found:
        return [boards.board(leaf, prune=prune, dual=dual) for leaf in leaves]
    every = [found.get(k) or boards.board(leaf, prune=prune, dual=dual) for k, leaf in enumerate(leaves)]
    boards.asked_together.append((leaves, every))
    return every


def built_in_one_go(boards: Boards, leaves: Sequence[Leaf], prune: bool, dual: bool) -> dict[int, Board]:
    """The boards that can be built in one go, by the number of their leaf."""
    first = leaves[0]
    own = isinstance(first.baseline, Several | AbsentToken | Blur | Redrawn)  # each input has backgrounds of its own
    if own or not boards.of_positions(first) or boards.ends.masked(first):
        return {}
    catalog = boards.catalog
    x = catalog.element(first.source)
    background = boards.ends.background(first, x)
    form = (x.tensor.shape, x.tensor.dtype, None)
    if form != (background.tensor.shape, background.tensor.dtype, packing_of(background.tensor)):
        return {}
    numbers = boards.players_of(first, None)
    labels = np.broadcast_to(numbers, x.tensor.shape)
    count = int(numbers.max(initial=-1)) + 1
    features = FeaturesByPlayer(labels)
    swaps, held = may_swap(first, dual), boards.ends.are_held(first)
    made: dict[int, Board] = {}
    step = max(1, _MOST_STACKED // max(1, x.tensor.numel()))
    step = min(step, catalog.input(first.source.name).block or step)
    for begin in range(0, len(leaves) if count else 0, step):
        found = [catalog.element(leaf.source) for leaf in leaves[begin : begin + step]]
        block = [
            (begin + k, each)
            for k, each in enumerate(found)
            if (each.tensor.shape, each.tensor.dtype, packing_of(each.tensor)) == form
            and not isinstance(each.names, TextNames)
        ]
        if not block:
            continue
        stacked = torch.stack([each.tensor for _, each in block])
        digest_together([each for _, each in block], stacked)
        values = array_of(stacked)
        differs = differing(values, background.array)
        touched = features.touched(differs)
        plays = touched[:, :-1] if prune else np.ones((len(block), count), dtype=bool)
        whole, covering = np.asarray(plays.all(axis=1)).tolist(), np.asarray(~touched[:, -1]).tolist()
        everywhere = np.asarray(differs.reshape(len(block), -1).all(axis=1)).tolist()
        all_of_them = boards.playing(numbers, np.ones(count, dtype=bool), labels.shape, prune)
        for k, (number, each) in enumerate(block):
            playing = all_of_them if whole[k] else boards.playing(numbers, plays[k], labels.shape, prune)
            where = differs[k] if prune and not (everywhere[k] and covering[k]) else None
            ends = (each.tensor, background.tensor) if held else boards.ends.held(leaves[number], each, background)
            made[number] = boards.laid(ends, each, background, playing, covering[k], where, swaps)
            boards.enter(leaves[number], made[number], prune=prune, dual=dual)
    return made
