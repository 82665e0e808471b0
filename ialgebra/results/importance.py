"""What matters over many maps: for each player the mean of |φ| and of φ, with errors.

In: the columns of maps. Out: `PlayerMeans`, of all maps or of groups of them, or a data frame. May not know: how they
are drawn.

The maps of one query share their coalitions, so their errors may all point one way: the error of a mean is the mean of
the errors, which is the worst case. It is an error of these maps, not of inputs that are not among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import BindError, ShapeError, did_you_mean
from ..system.arrays import Array, Floats, Ints
from .columns import CodedColumn, MapColumns
from .exports import require

if TYPE_CHECKING:
    import pandas

GROUPS: Final = ("target", "model", "layer", "input", "baseline", "label", "component", "item", "prediction")
"""What maps may be grouped by."""


@dataclass(frozen=True, eq=False)
class PlayedNames:
    """The players of maps by name: entry k, of all arrays (k,), is that of `names[name[k]]` in the map `row[k]`. A name
    that a map has twice is one entry, the mean of both."""

    names: tuple[str, ...]
    row: Ints
    name: Ints
    values: Floats
    stderr: Floats

    def dense(self, shown: Sequence[int], maps: int) -> tuple[Floats, Floats]:
        """The values and errors of some names in every map, (maps, names) each, NaN where a map has no such player."""
        columns = np.full(len(self.names), -1)
        columns[shown] = np.arange(len(shown))
        inside = columns[self.name] >= 0
        values, stderr = np.full((2, maps, len(shown)), np.nan)
        place = (self.row[inside], columns[self.name][inside])
        values[place], stderr[place] = self.values[inside], self.stderr[inside]
        return values, stderr


def played(maps: MapColumns) -> PlayedNames:
    """The players of these maps by name, in the order in which names come first; ShapeError if no map has a player."""
    table = maps.names.table
    names = dict.fromkeys(name for row in _first_rows(maps.names) for name in table[maps.names.codes[row]])
    if not names:
        raise ShapeError("none of these maps has a player")
    numbers = {name: number for number, name in enumerate(names)}
    by_entry = [np.array([numbers[name] for name in each], dtype=np.int64) for each in table]
    row, name = maps.rows, np.concatenate([by_entry[code] for code in maps.names.codes.tolist()])
    if all(len(set(each)) == len(each) for each in table):
        return PlayedNames(tuple(names), row, name, maps.values, maps.stderr)
    pairs, place, counts = np.unique(row * len(names) + name, return_inverse=True, return_counts=True)
    values, stderr = (np.bincount(place, each, len(pairs)) / counts for each in (maps.values, maps.stderr))
    return PlayedNames(tuple(names), pairs // len(names), pairs % len(names), values, stderr)


def _first_rows(column: CodedColumn[tuple[str, ...]]) -> list[int]:
    """The first map of each entry, in the order of the maps."""
    _, first = np.unique(column.codes, return_index=True)
    return sorted(first.tolist())


@dataclass(frozen=True, eq=False)
class PlayerMeans:
    """Means over the maps of each group, one entry for each group and name that plays in it; all arrays are (k,).

    `size` is the mean of |φ|, `stderr` the error of both means, in units of the model's output; `maps` counts the maps
    of the group in which a player of this name plays. Entries are in the order of the groups, then of the names.
    """

    groups: tuple[str, ...]
    names: tuple[str, ...]
    group: Ints
    name: Ints
    size: Floats
    mean: Floats
    stderr: Floats
    maps: Ints

    @property
    def largest_first(self) -> PlayerMeans:
        """The same, with the largest size of each group first."""
        order = np.lexsort((np.arange(len(self.size)), -self.size, self.group))
        return replace(
            self,
            group=self.group[order],
            name=self.name[order],
            size=self.size[order],
            mean=self.mean[order],
            stderr=self.stderr[order],
            maps=self.maps[order],
        )

    def named(self, entries: Ints | slice = slice(None)) -> list[str]:
        """The names of the players of entries."""
        return [self.names[number] for number in self.name[entries].tolist()]


def means(maps: MapColumns, by: str | None = None) -> PlayerMeans:
    """The means of every player, over all maps or over groups of them; BindError for an unknown `by`."""
    groups, of_map = grouped(maps, by)
    return means_of(played(maps), groups, of_map)


def means_of(players: PlayedNames, groups: tuple[str, ...], of_map: Ints) -> PlayerMeans:
    """The means of these players over groups of maps; map k belongs to `groups[of_map[k]]`."""
    pairs, place, counts = np.unique(
        of_map[players.row] * len(players.names) + players.name, return_inverse=True, return_counts=True
    )
    shares = counts[place]

    def mean(values: Floats) -> Floats:  # a sum of huge values is no infinity
        sums: Floats = np.bincount(place, values / shares, len(pairs)).astype(np.float64, copy=False)
        return sums

    return PlayerMeans(
        groups=groups,
        names=players.names,
        group=pairs // len(players.names),
        name=pairs % len(players.names),
        size=mean(np.abs(players.values)),
        mean=mean(players.values),
        stderr=mean(players.stderr),
        maps=counts,
    )


def grouped(maps: MapColumns, by: str | None) -> tuple[tuple[str, ...], Ints]:
    """The names of groups, in the order of their first maps, and the group of each map."""
    if by is None:
        return ("",), np.zeros(len(maps), dtype=np.int64)
    if by not in GROUPS:
        raise BindError(f"maps are not grouped by '{by}'{did_you_mean(by, GROUPS)}; there are {', '.join(GROUPS)}")
    columns: dict[str, CodedColumn[str] | CodedColumn[int] | CodedColumn[int | None] | CodedColumn[str | None]] = {
        "target": maps.target_name,
        "model": maps.model,
        "layer": maps.layer,
        "input": maps.input,
        "baseline": maps.baseline,
        "label": maps.label,
        "component": maps.component,
        "item": maps.item,
        "prediction": maps.prediction,
    }
    if by == "prediction" and None in maps.prediction.compact.table:
        raise BindError(
            "these maps do not say what the model predicts for their inputs: the query names a target, so that the "
            "model was not asked; ask without one, which explains the prediction, or group by 'target'"
        )
    words = ["" if value is None else str(value) for value in columns[by].table]
    used = [words[code] for code in columns[by].codes.tolist()]
    numbers = {word: number for number, word in enumerate(dict.fromkeys(used))}
    return tuple(numbers), np.array([numbers[word] for word in used], dtype=np.int64)


def importance(maps: MapColumns, by: str | None) -> pandas.DataFrame:
    """One line for each group and player, the largest mean of |φ| first."""
    found = means(maps, by).largest_first
    return _frame(found, by, {"importance": found.size, "stderr": found.stderr, "mean": found.mean, "maps": found.maps})


def mean(maps: MapColumns, by: str | None) -> pandas.DataFrame:
    """One line for each group and player, in the order of the players."""
    found = means(maps, by)
    return _frame(found, by, {"mean": found.mean, "stderr": found.stderr, "maps": found.maps})


def _frame(found: PlayerMeans, by: str | None, figures: dict[str, Array]) -> pandas.DataFrame:
    columns: dict[str, object] = {} if by is None else {by: [found.groups[k] for k in found.group.tolist()]}
    return require("pandas", "pandas").DataFrame(columns | {"features": found.named()} | figures)
