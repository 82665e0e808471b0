"""A map of a composite input as several: one for each of its parts, which is drawn as its own kind is.

In: maps. Out: maps of parts; others as they are. May not know: how any of them is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ...algebra.kinds import kind_named
from ...algebra.kinds.composite import places
from ...system.arrays import Array, Floats, Ints
from ..shown import ShownMap


@dataclass(frozen=True, eq=False)
class PartOfMap:
    """What a composite's map says of one part; `values` and `stderr` are those of the players in it."""

    map: Floats
    values: Floats
    stderr: Floats
    players: Ints
    content: Array
    kind: str
    feature_names: tuple[str, ...] | None
    label: str
    model: str
    layer: int | None
    input: str
    baseline: str
    target_name: str
    base_value: float
    full_value: float
    method: str
    component: int | None
    item: int
    bound: float
    unit: str
    unexplained: float | None
    low: Floats
    high: Floats
    told: str

    def interval(self, confidence: float = 0.95) -> tuple[Floats, Floats]:
        """The 95 % intervals of the players, `(d,)` each."""
        return self.low, self.high

    def player_names(self) -> list[str]:
        """A name for each player."""
        return kind_named(self.kind).player_names(self.players, len(self.values), self.content, self.feature_names)

    def __repr__(self) -> str:
        return self.told


def in_parts(maps: Iterable[ShownMap]) -> list[ShownMap]:
    """The maps, with a map for each part that plays in place of a composite's."""
    return [part for a in maps for part in _parts(a)]


def _parts(a: ShownMap) -> list[ShownMap]:
    found: list[ShownMap] = []
    kinds = kind_named(a.kind).parts
    for part, where in zip(kinds, places(kinds), strict=True):
        players = a.players[where].reshape(part.shape)
        present = np.unique(players[players >= 0])
        if part.rides or not present.size:
            continue
        low, high = a.interval()
        content = a.content[where].reshape(part.shape)
        numbers = kind_named(part.kind).named != "feature"
        found.append(
            PartOfMap(
                map=a.map[where].reshape(part.shape),
                values=a.values[present],
                stderr=a.stderr[present],
                players=np.where(players >= 0, np.searchsorted(present, players), -1),
                content=content.astype(np.float64) if numbers and content.dtype.kind in "UO" else content,
                kind=part.kind,
                feature_names=part.names,
                label=f"{a.label}: {part.name}",
                model=a.model,
                layer=a.layer,
                input=f"{a.input}: {part.name}",
                baseline=a.baseline,
                target_name=a.target_name,
                base_value=a.base_value,
                full_value=a.full_value,
                method=a.method,
                component=a.component,
                item=a.item,
                bound=a.bound,
                unit=a.unit,
                unexplained=None,
                low=low[present],
                high=high[present],
                told=f"{a!r}, part {part.name}",
            )
        )
    return found or [a]
