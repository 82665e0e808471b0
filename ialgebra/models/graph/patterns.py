"""Pattern tables: the values at a cut for every coalition, from 2^χ rows.

In: an anatomy, the players of a game and the number of rows. Out: the cut of least cost with the players' colours
(`plan`), and for one pair of ends the table itself, from which values are gathered. An element of an activation sees
at most one player of each colour; so it has in a row what it has in the row where the colours of the players that it
sees and that are present are whole. Nothing is approximated.
"""

from __future__ import annotations

import bisect
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
from .sights import Sights, coloured, distinct
from .supports import Support

MOST_COLOURS = 10
TABLE_BYTES = 256 << 20  # of one table at most
_LEAST_SHARE = 0.02  # of a pass that must lie before a cut
_FEWEST_TOGETHER = 8
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
    and to be `gathered`."""

    anatomy: Anatomy
    cut: GraphCut
    colouring: Colouring
    before: float
    gathering: float
    bytes: int

    def cost(self, rows: int) -> float:
        """What so many rows cost with the table and its making, in full passes of one row."""
        return self.making + rows * self.suffix

    @property
    def making(self) -> float:
        """What making the table costs, and comparing it with full passes."""
        return self.colouring.patterns * self.before + 2 * CHECKED

    @property
    def suffix(self) -> float:
        """What a row costs once the table is made."""
        return 1 - self.before + self.gathering

    @property
    def worth(self) -> float:
        """The rows from which on the table pays, as far as rows tell."""
        gain = self.before - self.gathering
        return self.making / gain if gain > 0 else float("inf")


def plan(
    anatomy: Anatomy,
    segments: NDArray[np.int64],
    players: int,
    rows: int,
    taps: Collection[Tap],
) -> Planned | None:
    """The table of least cost for `rows` rows of a game, or None if none has fewer rows than the game.

    Cuts whose values see the same of the input have the same colours. A later cut never has fewer, so that the last one
    with each number of colours is found by bisection.
    """
    sights = Sights(segments, players, anatomy.supports[0].shape[1:])
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

    best: tuple[int, Planned] | None = None
    first, total = 0, sum(anatomy.work)
    while first < len(kinds):
        count = colouring(first).patterns
        if count > 1 << MOST_COLOURS or count >= rows:
            break
        end = bisect.bisect_right(range(len(kinds)), count, lo=first + 1, key=lambda place: colouring(place).patterns)
        for place in range(first, end):
            for cut in kinds[place]:
                size = count * sum(map(anatomy.bytes_of, cut.gathered))
                gathering = anatomy.gathering(cut) / total
                told = Planned(anatomy, cut, colouring(end - 1), anatomy.share(cut.end), gathering, size)
                if size <= TABLE_BYTES and (best is None or told.cost(rows) < best[1].cost(rows)):
                    best = place, told
        first = end
    if best is None:
        return None
    place, found = best
    colours = colouring(place).colours
    return found._replace(colouring=Colouring(colours, {number: sight(number) for number in found.cut.gathered}))


class PatternTable:
    """The values at a cut of all coalitions of one pair of ends. `values` are those of the rows of the table,
    (patterns, …), by step, as the network's own steps made them."""

    def __init__(self, anatomy: Anatomy, planned: Planned, values: Mapping[int, Tensor]) -> None:
        self.cut = planned.cut
        self.anatomy = anatomy
        self._parts = {
            number: _Part(value, anatomy.supports[number], *planned.colouring.groups[number])
            for number, value in values.items()
        }

    @property
    def nbytes(self) -> int:
        """The bytes that it takes."""
        return sum(part.nbytes for part in self._parts.values())

    def rows(self, masks: Tensor) -> dict[int, Tensor]:
        """The gathered values of these coalitions (b, players), by step."""
        return {number: part.rows(masks) for number, part in self._parts.items()}


class _Part:
    """One value of a table, with the places along which its elements see different players on the first axes."""

    def __init__(self, value: Tensor, support: Support, players: Ints, which: Ints) -> None:
        axes = list(support.axes)
        free = [axis for axis in range(1, value.dim()) if axis not in axes]
        order = [0, *axes, *free]
        self._back = [order.index(axis) for axis in range(value.dim())]
        self._sizes = [value.shape[axis] for axis in order[1:]]
        self._strides = _order(value)
        ready = value.permute(order).contiguous()
        self._table = ready.reshape(len(value) * len(which), -1)
        device = value.device
        self._players = torch.from_numpy(players).to(device)
        self._which = torch.from_numpy(which).to(device)
        self._places = torch.arange(len(which), device=device)

    @property
    def nbytes(self) -> int:
        return self._table.nbytes + self._which.nbytes + self._places.nbytes

    def rows(self, masks: Tensor) -> Tensor:
        nobody = masks.new_zeros((len(masks), 1))
        bits = torch.cat([masks, nobody], dim=1)[:, self._players].long()  # −1 reads the last column: absent
        weights = 1 << torch.arange(bits.shape[-1], device=bits.device)
        pattern = (bits * weights).sum(dim=-1)  # (b, sights)
        index = pattern[:, self._which] * len(self._places) + self._places
        found = self._table.index_select(0, index.ravel()).reshape(len(masks), *self._sizes).permute(self._back)
        if _order(found) == self._strides:
            return found
        laid = torch.empty_permuted(tuple(found.shape), self._strides, dtype=found.dtype, device=found.device)
        return laid.copy_(found)


def _order(value: Tensor) -> list[int]:
    """The axes of a tensor in the order in which they lie in memory; those of one element keep their places."""
    strides = value.stride()
    return sorted(range(value.dim()), key=lambda axis: (-strides[axis], axis))


def made(anatomy: Anatomy, planned: Planned, rows: Callable[[Bools], Tensor], batch: int) -> PatternTable:
    """A table, made by running the steps before its cut on the rows (b, *shape) of its coalitions, about `batch` at a
    time: not one or two alone, for which torch has other kernels."""
    graph, cut = anatomy.graph, planned.cut
    batch = max(_FEWEST_TOGETHER, 1 << batch.bit_length() - 1)
    found: dict[int, list[Tensor]] = {number: [] for number in cut.gathered}
    coalitions = planned.colouring.coalitions
    for first in range(0, len(coalitions), batch):
        at_step: dict[int, Tensor] = {}

        def note(step: object, value: object, kept: dict[int, Tensor] = at_step) -> None:
            number = step.number  # type: ignore[attr-defined]
            if number in found and graph.last_read[number] < cut.end:
                assert isinstance(value, Tensor)
                kept[number] = value.clone()

        ready = rows(coalitions[first : first + batch])
        values = graph.run({0: ready}, 1, cut.end, after=note)
        for number, parts in found.items():
            value = at_step.get(number, values.get(number, ready if number == 0 else None))
            assert isinstance(value, Tensor)
            parts.append(value)
    joined = {number: _joined(parts) for number, parts in found.items()}
    return PatternTable(anatomy, planned, joined)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
