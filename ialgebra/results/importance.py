"""What matters over many maps: for each player the mean of |φ|, with errors.

In: maps. Out: `Importance` values, one for each group, or a data frame. May not know: how they are drawn.

The maps of one query share their coalitions, so their errors may all point one way: the error of a mean is the mean of
the errors, which is the worst case. It is an error of these maps, not of inputs that are not among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import BindError, ShapeError, did_you_mean
from ..system.arrays import Floats, Ints
from .exports import require
from .shown import ShownMap

if TYPE_CHECKING:
    import pandas

GROUPS: Final = ("target", "model", "layer", "input", "baseline", "label", "component", "item")
"""What maps may be grouped by."""


@dataclass(frozen=True)
class Importance:
    """The mean of |φ| over the maps of one group, the largest first; all arrays are `(d,)`.

    `size` and `stderr` are in units of the model's output, `mean` is that of φ with its sign, `maps` counts the maps in
    which a player of this name plays. `columns` are the players' columns in the aligned maps.
    """

    group: str
    names: tuple[str, ...]
    size: Floats
    stderr: Floats
    mean: Floats
    maps: Ints
    columns: Ints


@dataclass(frozen=True)
class Aligned:
    """The maps with their players in the same columns: `values` and `stderr` are `(n, d)`, NaN where a map has none."""

    names: tuple[str, ...]
    values: Floats
    stderr: Floats


def aligned(maps: Sequence[ShownMap]) -> Aligned:
    """Maps of the same players as they are, others by their players' names; a name that a map has twice counts as the
    mean of both. ShapeError if no map has a player."""
    first = maps[0]
    names = tuple(first.player_names())
    if len(set(names)) == len(names) and all(_same_players(first, a) for a in maps):
        return Aligned(names, np.stack([a.values for a in maps]), np.stack([a.stderr for a in maps]))
    by_map = [a.player_names() for a in maps]
    column = {name: k for k, name in enumerate(dict.fromkeys(name for names in by_map for name in names))}
    if not column:
        raise ShapeError("none of these maps has a player")
    sums, errors, counts = (np.zeros((len(maps), len(column))) for _ in range(3))
    for row, (a, of_map) in enumerate(zip(maps, by_map, strict=True)):
        places = [column[name] for name in of_map]
        np.add.at(sums[row], places, a.values)
        np.add.at(errors[row], places, a.stderr)
        np.add.at(counts[row], places, 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Aligned(
            tuple(column), sums / np.where(counts, counts, np.nan), errors / np.where(counts, counts, np.nan)
        )


def _same_players(a: ShownMap, b: ShownMap) -> bool:
    if a is b:
        return True
    alike = a.kind == b.kind and a.values.shape == b.values.shape and a.players.shape == b.players.shape
    named = a.feature_names == b.feature_names
    return alike and named and np.array_equal(a.players, b.players)


def importance(maps: Sequence[ShownMap], by: str | None = None) -> list[Importance]:
    """The importance of every player, one value for each group; BindError for an unknown `by`."""
    if by is not None and by not in GROUPS:
        raise BindError(f"maps are not grouped by '{by}'{did_you_mean(by, GROUPS)}; there are {', '.join(GROUPS)}")
    groups: dict[str, list[ShownMap]] = {}
    for a in maps:
        groups.setdefault(_group(a, by), []).append(a)
    return [of_group(name, aligned(members)) for name, members in groups.items()]


def _group(a: ShownMap, by: str | None) -> str:
    if by is None:
        return ""
    found = a.target_name if by == "target" else getattr(a, by)
    return "" if found is None else str(found)


def of_group(group: str, maps: Aligned) -> Importance:
    """The importance of each column, the largest first."""
    present = np.isfinite(maps.values)
    counts = np.maximum(present.sum(axis=0), 1)
    values = np.where(present, maps.values, 0.0)
    size = (np.abs(values) / counts).sum(axis=0)  # a sum of huge values is no infinity
    stderr = (np.where(present, maps.stderr, 0.0) / counts).sum(axis=0)
    order = np.argsort(-size, kind="stable")
    return Importance(
        group=group,
        names=tuple(maps.names[k] for k in order),
        size=size[order],
        stderr=stderr[order],
        mean=(values / counts).sum(axis=0)[order],
        maps=present.sum(axis=0)[order],
        columns=order,
    )


def frame(found: Sequence[Importance], by: str | None) -> pandas.DataFrame:
    """One line for each group and player."""
    pandas = require("pandas", "pandas")
    pieces = []
    for each in found:
        group = {} if by is None else {by: each.group}
        figures = {"features": each.names, "importance": each.size, "stderr": each.stderr, "mean": each.mean}
        pieces.append(pandas.DataFrame(group | figures | {"maps": each.maps}))
    return pandas.concat(pieces, ignore_index=True) if pieces else pandas.DataFrame()
