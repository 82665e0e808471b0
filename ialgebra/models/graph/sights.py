"""Which players each place of an activation sees, and colours for players, so that no place sees two of one colour.

In: the players' segments of an input, and supports. Out: masks and colours. With χ colours, the 2^χ coalitions in which
each colour is whole or absent show every place all that it can see of any coalition. Knows arrays only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ...system.arrays import Bools, Ints
from .supports import Link, Support

_Number = TypeVar("_Number", bound=np.generic)

_KEPT = 1 << 24  # numbers of all players' sums up to which they are kept between supports
_SLICE = 1 << 22  # and of some players' sums that are held at a time, if they are not


class Sights:
    """What activations see of the players of an input of `shape`; `segments` are broadcastable to it, −1 is nobody."""

    def __init__(self, segments: NDArray[np.int64], players: int, shape: Sequence[int]) -> None:
        self.players = players
        self._labels = np.broadcast_to(segments, tuple(shape))
        self._whole = [1] * (len(shape) - segments.ndim) + list(segments.shape)
        self._sums: dict[tuple[int, ...], NDArray[np.int32]] = {}

    def of(self, support: Support) -> Bools:
        """Which players (players, places) each place may see; the places lie along `support.axes`, in order."""
        whole = [
            axis
            for axis, link in enumerate(support.links)
            if self._whole[axis] == 1 and bool((link.low < link.high).all())
        ]  # axes along which the segments do not change, and something is always seen
        labels = self._labels[tuple(0 if axis in whole else slice(None) for axis in range(self._labels.ndim))]
        links = [link for axis, link in enumerate(support.links) if axis not in whole]
        sizes = [support.shape[axis] for axis in support.axes]
        if self.players * labels.size <= _KEPT:
            place = tuple(whole)
            if place not in self._sums:
                self._sums[place] = _cumulative(labels, range(self.players))
            return _boxes(self._sums[place], links, support.axes, sizes).reshape(self.players, -1)
        step = max(1, _SLICE // labels.size)
        parts = [
            _boxes(_cumulative(labels, range(first, min(self.players, first + step))), links, support.axes, sizes)
            for first in range(0, self.players, step)
        ]
        return np.concatenate(parts).reshape(self.players, -1)


def _cumulative(labels: NDArray[np.int64], players: range) -> NDArray[np.int32]:
    """For each player the number of its elements before each place, along all axes."""
    sums = (labels[None] == np.array(players).reshape(-1, *[1] * labels.ndim)).astype(np.int32)
    for axis in range(1, sums.ndim):
        np.cumsum(sums, axis=axis, out=sums)
    return np.pad(sums, [(0, 0), *[(1, 0)] * labels.ndim])


def _boxes(sums: NDArray[np.int32], links: Sequence[Link], axes: Sequence[int], sizes: Sequence[int]) -> Bools:
    """For each player whether any of its elements lies in the box that each place sees: sums over boxes are differences
    of cumulative sums."""
    grid = [axes.index(link.axis) if link.axis is not None else 0 for link in links]
    empty = np.zeros([1] * len(axes), dtype=bool)
    total = np.zeros((len(sums), *sizes), dtype=np.int32)
    for link, along in zip(links, grid, strict=True):
        empty = empty | _laid(link.low >= link.high, along, len(axes))
    for corner in range(1 << len(links)):
        index: list[NDArray[np.int64]] = []
        for n, (link, along) in enumerate(zip(links, grid, strict=True)):
            ends = link.low if corner >> n & 1 else link.high
            index.append(_laid(np.minimum(ends, sums.shape[n + 1] - 1), along, len(axes)))
        part = sums[(slice(None), *index)]  # type: ignore[arg-type]
        total += -part if corner.bit_count() % 2 else part
    return (total > 0) & ~empty


def _laid(values: NDArray[_Number], along: int, dims: int) -> NDArray[_Number]:
    return values.reshape([-1 if n == along else 1 for n in range(dims)]) if dims else values.reshape(())


def distinct(sight: Bools) -> tuple[Bools, Ints]:
    """The different columns (players, n) of a sight (players, places), and for each place the number of its own."""
    packed = np.packbits(sight, axis=0)
    words = np.zeros((sight.shape[1], -(-len(packed) // 8) * 8), dtype=np.uint8)
    words[:, : len(packed)] = packed.T
    which: Ints = np.zeros(sight.shape[1], dtype=np.int64)
    for word in words.view(np.uint64).T:  # by one word after the other, which is faster than to sort all together
        _, numbers = np.unique(word, return_inverse=True)
        _, which = np.unique(which * (int(numbers.max(initial=0)) + 1) + numbers, return_inverse=True)
    _, first = np.unique(which, return_index=True)
    return sight[:, first], which


def coloured(sights: Sequence[Bools]) -> Ints:
    """A colour (players,) for each player, from 0, so that no place of any of the `sights` (players, places) sees two
    players of one colour: greedily, first those that meet most colours (DSATUR, Brélaz 1979), or in their own order,
    whichever takes fewer."""
    players = len(sights[0])
    meet = np.zeros((players, players), dtype=bool)
    for each in sights:
        places = distinct(each)[0].astype(np.float32)
        meet |= places @ places.T > 0
    np.fill_diagonal(meet, False)
    return min(_greedy(meet, range(players)), _saturated(meet), key=lambda colours: colours.max(initial=-1))


def _greedy(meet: Bools, order: Iterable[int]) -> Ints:
    colours: Ints = np.full(len(meet), -1, dtype=np.int64)
    for player in order:
        colours[player] = _least(colours[meet[player]])
    return colours


def _saturated(meet: Bools) -> Ints:
    colours: Ints = np.full(len(meet), -1, dtype=np.int64)
    near = [set[int]() for _ in range(len(meet))]
    degree = meet.sum(axis=1).tolist()
    left = set(range(len(meet)))
    while left:
        player = max(left, key=lambda each: (len(near[each]), degree[each], -each))
        left.remove(player)
        colours[player] = colour = _least(colours[meet[player]])
        for other in np.flatnonzero(meet[player]).tolist():
            near[other].add(colour)
    return colours


def _least(used: Ints) -> int:
    taken = set(used.tolist())
    return next(colour for colour in range(len(taken) + 1) if colour not in taken)
