"""An `InputKind`: everything that the engine needs to know of one kind of input, as one value.

In: nothing. Out: the type, and helpers for naming players. May not know: any kind in particular, edits,
tensors of the catalog, or how a drawing is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from ...system.arrays import Array, Ints
from ..interning import Node
from ..players import Partition

Layout = Literal["plane", "line", "none"]
"""How features lie: as pixels with rows and columns, one after another, or in no order that means anything."""

NAMES_SHOWN = 3
"""The name of a player lists at most this many features, and counts the others."""


@dataclass(frozen=True, kw_only=True)
class InputKind:
    """One kind of input. Modules that depend on the kind read its entry here and never compare its name.

    What it is called:
        `name` in answers and files; `article`, the name in a sentence; `form`, what may be registered; `axes`, the
        shape of one input.
    What belongs to it:
        `dimensions`, the number of axes of one input; `accepts(shape, dtype)`, whether a tensor is of this kind (of
        several elements, `dtype` is one that holds fractions if any does); `common_dtype`, whether elements of whole
        numbers become fractions where another element has some; `layouts`, the orders of axes in which an input may be
        registered, a letter an axis, the one that is held first (an axis that a layout leaves out has length 1);
        `by_name_only`, whether an input is of this kind only where its registration names the kind; `parts`, those of a
        composite.
    What predicates read:
        `columns`, the names that a predicate may use; `index(value)`, their arrays and `"value"`, each broadcasting to
        the input's shape; `named`, the column whose entries `feature_names` name (None: features have no names);
        `vocabulary`, whether names may instead be words that the input's values count from 0.
    What may be done with it:
        `layout` and `quantities` (whether values are amounts, which have means, fractions and gradients) tell which
        edits and baselines mean something; `partitions` are the legal players, `default_partition` those of a query
        that names none.
    How it is shown:
        `drawing`, the name of its drawing; `player_names(players, count, content, feature_names)`, one name a player.
    """

    name: str
    article: str
    form: str
    axes: str
    dimensions: int
    accepts: Callable[[tuple[int, ...], torch.dtype], bool]
    common_dtype: bool
    columns: tuple[str, ...]
    index: Callable[[Array], dict[str, Array]]
    named: str | None
    vocabulary: bool
    layout: Layout
    quantities: bool
    partitions: tuple[type[Node], ...]
    default_partition: Partition
    drawing: str
    player_names: Callable[[Ints, int, Array, Sequence[str] | None], list[str]]
    layouts: tuple[str, ...] = ()
    by_name_only: bool = False
    parts: tuple[PartKind, ...] = ()

    @property
    def words(self) -> dict[str, tuple[str, ...]]:
        """The names that entries of its columns have by themselves, by column: of a composite, those of its parts."""
        if not self.parts:
            return {}
        names = (each for part in self.parts for each in part.names or ())
        return {"part": tuple(part.name for part in self.parts), "feature": tuple(dict.fromkeys(names))}


@dataclass(frozen=True)
class PartKind:
    """One part of a composite: its name, its kind's name, the shape of one input, and its features' names. What
    `rides` along, such as an attention mask, never plays: every hybrid has it as the input does."""

    name: str
    kind: str
    shape: tuple[int, ...]
    names: tuple[str, ...] | None = None
    rides: bool = False

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


def names_of_members(players: Ints, count: int, words: Sequence[str]) -> list[str]:
    """A name for each of `count` players: the words of its features, or the numbers of those that have none."""
    members: list[list[str]] = [[] for _ in range(count)]
    for feature, player in enumerate(players.ravel()):
        if player >= 0:
            members[player].append(words[feature] if feature < len(words) else f"feature {feature}")
    return [
        ", ".join(names[:NAMES_SHOWN]) + (f" +{len(names) - NAMES_SHOWN}" if len(names) > NAMES_SHOWN else "")
        for names in members
    ]


def names_of_ranges(players: Ints, count: int, axes: Sequence[str]) -> list[str]:
    """The range of each of the last axes of `players` that a player spans, such as `rows 0-3, cols 4-7`."""
    indices = np.broadcast_arrays(*np.ogrid[tuple(slice(n) for n in players.shape)])[-len(axes) :]
    inside = players >= 0
    spans = []
    for index in indices:
        low, high = np.full(count, players.size), np.full(count, -1)
        np.minimum.at(low, players[inside], index[inside])
        np.maximum.at(high, players[inside], index[inside])
        spans.append(list(zip(low.tolist(), high.tolist(), strict=True)))
    return [
        ", ".join(f"{axis} {first}-{last}" for axis, (first, last) in zip(axes, ends, strict=True))
        if ends[0][1] >= 0
        else "no features"
        for ends in zip(*spans, strict=True)
    ]
