"""Pattern tables: the values at a cut for every coalition, from 2^χ rows.

In: an anatomy, the players of a game and the number of rows. Out: the cut of least cost with the players' colours
(`plan`), and for one pair of ends the table itself, from which values are gathered. An element of an activation sees
at most one player of each colour; so it has in a row what it has in the row where the colours of the players that it
sees and that are present are whole. Nothing is approximated.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...kernels.forward import Tap
from ...system.arrays import Bools, Ints
from .anatomy import Anatomy, GraphCut
from .form import GraphStep
from .sights import Sights, coloured, distinct
from .supports import Support

MOST_COLOURS = 10
MOST_SEEN = 1 << 28  # players times numbers of an input; whom places see takes about as many bytes at most
TABLE_BYTES = 256 << 20  # of one table at most
_LEAST_SHARE = 0.02  # of a pass that must lie before a cut
TOGETHER = 16
"""Rows of a batch from which on no kernel of torch was seen to round otherwise in larger batches."""

CHECKED = 4
"""Rows of every new table that are compared with full passes."""


@dataclass(frozen=True, eq=False)
class Colouring:
    """The players' `colours` (players,) at a cut, and which players (players, places) each place of each gathered value
    sees."""

    colours: Ints
    sights: Mapping[int, Bools]

    @property
    def patterns(self) -> int:
        """Rows of a table: one for each set of colours."""
        return 1 << int(self.colours.max(initial=-1) + 1)

    @cached_property
    def coalitions(self) -> Bools:
        """The coalition (patterns, players) of each row of a table."""
        number = np.arange(self.patterns)
        return (number[:, None] >> self.colours[None] & 1).astype(bool)

    @cached_property
    def groups(self) -> dict[int, tuple[Ints, Ints]]:
        """For each gathered value its different sights, as the player of each colour (sights, colours), −1 for none;
        and the number of the sight of each place."""
        found: dict[int, tuple[Ints, Ints]] = {}
        count = int(self.colours.max(initial=-1) + 1)
        for number, sight in self.sights.items():
            seen, which = distinct(sight)
            player = np.full((seen.shape[1], count), -1, dtype=np.int64)
            for each in range(len(sight)):
                player[seen[each], self.colours[each]] = each
            found[number] = player, which
        return found


class Planned(NamedTuple):
    """A table to make: the cut, the colouring there, and what a row costs as a share of a full pass: `before` the cut,
    and to be `gathered`. Its rows begin from a smaller table at an earlier cut, if there is one `below`."""

    anatomy: Anatomy
    cut: GraphCut
    colouring: Colouring
    before: float
    gathering: float
    bytes: int
    below: Planned | None = None

    def cost(self, rows: int) -> float:
        """What so many rows cost with the table and its making, in full passes of one row."""
        return self.making + rows * self.suffix

    @property
    def making(self) -> float:
        """What making the table costs, and comparing it with full passes."""
        return self.rows_of_patterns + 2 * CHECKED

    @property
    def rows_of_patterns(self) -> float:
        """What making the table costs."""
        if self.below is None:
            return self.colouring.patterns * self.before
        return self.below.rows_of_patterns + self.colouring.patterns * (self.before - self.below.gained)

    @property
    def rows(self) -> int:
        """The rows that go through the network to make it."""
        return self.colouring.patterns + (0 if self.below is None else self.below.rows)

    @property
    def gained(self) -> float:
        """What a row costs less."""
        return self.before - self.gathering

    @property
    def suffix(self) -> float:
        """What a row costs once the table is made."""
        return 1 - self.gained

    @property
    def worth(self) -> float:
        """The rows from which on the table pays, as far as rows tell."""
        return self.making / self.gained if self.gained > 0 else float("inf")


def plan(
    anatomy: Anatomy,
    segments: NDArray[np.int64],
    players: int,
    rows: int,
    taps: Collection[Tap],
    copies: int = 1,
) -> Planned | None:
    """The table of least cost for `rows` coalitions of a game, or None if none has fewer rows than the game. One for
    each of `copies` backgrounds is made and held with it.

    Cuts whose values see the same of the input have the same colours. A later cut never has fewer, so that the last one
    with each number of colours is found by bisection.
    """
    shape = anatomy.supports[0].shape[1:]
    if players * math.prod(shape) > MOST_SEEN:
        return None
    sights = Sights(segments, players, shape)
    groups: dict[frozenset[int], list[GraphCut]] = {}
    for cut in anatomy.cuts(taps):
        if anatomy.share(cut.end) >= _LEAST_SHARE:
            groups.setdefault(frozenset(id(anatomy.supports[k].links) for k in cut.gathered), []).append(cut)
    kinds, seen = list(groups.values()), dict[int, Bools]()

    def sight(number: int) -> Bools:
        support = anatomy.supports[number]
        if id(support.links) not in seen:
            seen[id(support.links)] = sights.of(support)
        return seen[id(support.links)]

    @cache
    def colouring(place: int) -> Colouring:
        each = {number: sight(number) for number in kinds[place][0].gathered}
        return Colouring(coloured(list(each.values())), each)

    found: dict[int, list[Planned]] = {}  # by the rows of the table
    first, total = 0, sum(anatomy.work)
    while first < len(kinds):
        count = colouring(first).patterns
        if count > 1 << MOST_COLOURS or count >= rows:
            break
        end = bisect.bisect_right(range(len(kinds)), count, lo=first + 1, key=lambda place: colouring(place).patterns)
        colours = colouring(end - 1).colours
        for cut in (cut for place in range(first, end) for cut in kinds[place]):
            size = copies * count * sum(map(anatomy.bytes_of, cut.gathered))
            share, gathering = anatomy.share(cut.end), anatomy.gathering(cut) / total
            if size <= TABLE_BYTES:
                own = Colouring(colours, {number: sight(number) for number in cut.gathered})
                found.setdefault(count, []).append(Planned(anatomy, cut, own, share, gathering, size))
        first = end
    best: Planned | None = None
    smaller: list[Planned] = []
    for count, tables in found.items():
        below = min(smaller, key=lambda table: table.rows_of_patterns - count * table.gained, default=None)
        for table in tables:
            for each in (table, table._replace(below=below)) if below is not None else (table,):
                if best is None or each.cost(rows) < best.cost(rows):
                    best = each
        smaller += tables
    return best


class PatternTable:
    """The values at a cut of all coalitions of one pair of ends, or of several, which have the coalitions in common.
    `values` are those of the rows of the table, (patterns × pairs, …), by step, as the network's own steps made
    them."""

    def __init__(self, anatomy: Anatomy, planned: Planned, values: Mapping[int, Tensor]) -> None:
        self.cut = planned.cut
        self.anatomy = anatomy
        self.copies = len(next(iter(values.values()))) // planned.colouring.patterns
        self._parts = {
            number: _Part(value, anatomy.supports[number], *planned.colouring.groups[number], self.copies)
            for number, value in values.items()
        }

    @property
    def device(self) -> torch.device:
        """Where its values are."""
        return next(iter(self._parts.values())).device

    @property
    def nbytes(self) -> int:
        """The bytes that it takes."""
        return sum(part.nbytes for part in self._parts.values())

    def rows(self, masks: Tensor) -> dict[int, Tensor]:
        """The gathered values of these coalitions (b, players), by step; of each, its pairs of ends in order."""
        return {number: part.rows(masks) for number, part in self._parts.items()}


class _Part:
    """One value of a table, with the places along which its elements see different players on the first axes."""

    def __init__(self, value: Tensor, support: Support, players: Ints, which: Ints, copies: int) -> None:
        axes = list(support.axes)
        free = [axis for axis in range(1, value.dim()) if axis not in axes]
        order = [0, *axes, *free]
        self._back = [order.index(axis) for axis in range(value.dim())]
        self._sizes = [value.shape[axis] for axis in order[1:]]
        self._strides = _order(value)
        ready = value.permute(order).contiguous()
        self._table = ready.reshape(len(value) * len(which), -1)
        self.device = device = value.device
        self._players = torch.from_numpy(players).to(device)
        self._which = torch.from_numpy(which).to(device)
        self._places = torch.arange(copies * len(which), device=device).reshape(copies, -1)

    @property
    def nbytes(self) -> int:
        return self._table.nbytes + self._which.nbytes + self._places.nbytes

    def rows(self, masks: Tensor) -> Tensor:
        nobody = masks.new_zeros((len(masks), 1))
        bits = torch.cat([masks, nobody], dim=1)[:, self._players].long()  # −1 reads the last column: absent
        weights = 1 << torch.arange(bits.shape[-1], device=bits.device)
        pattern = (bits * weights).sum(dim=-1)  # (b, sights)
        index = pattern[:, None, self._which] * self._places.numel() + self._places  # (b, pairs, places)
        found = self._table.index_select(0, index.ravel()).reshape(-1, *self._sizes).permute(self._back)
        if _order(found) == self._strides:
            return found
        laid = torch.empty_permuted(tuple(found.shape), self._strides, dtype=found.dtype, device=found.device)
        return laid.copy_(found)


def _order(value: Tensor) -> list[int]:
    """The axes of a tensor in the order in which they lie in memory; those of one element keep their places."""
    strides = value.stride()
    return sorted(range(value.dim()), key=lambda axis: (-strides[axis], axis))


def made(
    anatomy: Anatomy, planned: Planned, rows: Callable[[Bools], Tensor], batch: int, copies: int = 1
) -> PatternTable:
    """A table, made by running the steps before its cut on the `rows` (b × copies, *shape) of its coalitions, about
    `batch` at a time, with copies where there are fewer, for which torch may have other kernels. Where there is a table
    below, they begin from that."""
    graph, cut, below = anatomy.graph, planned.cut, None
    if planned.below is not None:
        below = made(anatomy, planned.below, rows, batch, copies)
    found: dict[int, list[Tensor]] = {number: [] for number in cut.gathered}
    coalitions, least = planned.colouring.coalitions, min(batch, TOGETHER)
    batch = 1 << max(1, batch // copies).bit_length() - 1
    while batch * copies < least:
        batch *= 2
    own = len(coalitions) * copies
    coalitions = np.resize(coalitions, (max(batch, len(coalitions)), coalitions.shape[1]))
    for first in range(0, len(coalitions), batch):
        chunk = coalitions[first : first + batch]
        start, values = 1, dict[int, object]()
        if below is None:
            values[0] = rows(chunk)
        else:
            begun = below.rows(torch.from_numpy(chunk).to(below.device))
            start, values = below.cut.end, {**begun, **anatomy.stand_ins(below.cut, len(chunk) * copies)}
        at_step = {number: _own(values[number]) for number in found if number in values}

        def note(step: GraphStep, value: object, kept: dict[int, Tensor] = at_step) -> None:
            if step.number in found and graph.last_read[step.number] < cut.end:
                kept[step.number] = _own(value)

        values = graph.run(values, start, cut.end, after=note)
        for number, parts in found.items():
            value = values[number] if graph.last_read[number] >= cut.end else at_step[number]
            assert isinstance(value, Tensor)
            parts.append(value[:own])
    return PatternTable(anatomy, planned, {number: _joined(parts) for number, parts in found.items()})


def _own(value: object) -> Tensor:
    """A copy of a value that later steps may overwrite."""
    assert isinstance(value, Tensor)
    return value.clone()


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
