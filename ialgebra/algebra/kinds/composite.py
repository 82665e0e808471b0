"""Composites: inputs of several named parts, each of a kind of its own, held as one row of numbers.

In: the parts. Out: the kind of inputs with these parts, whose name tells the parts, so that the name alone is enough
wherever a kind is read: in answers and in files. Its columns are `part` and those of its parts; its players are those
of its parts.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple

import numpy as np
import torch

from ...system.arrays import Array, Ints
from ..players import Labels, OfParts, Parts
from .kind import InputKind, PartKind

COMPOSITE = "composite"
PART = "part"
FORM = "a mapping of named parts, such as {'photo': …, 'row': …}"


def composite_name(parts: Sequence[PartKind]) -> str:
    """The name of the kind of inputs with these parts."""
    return f"{COMPOSITE}{tuple(map(astuple, parts))!r}"


def parts_of(name: str) -> tuple[PartKind, ...]:
    """The parts that the name of a kind tells; none for a name that is no composite's."""
    if not name.startswith(f"{COMPOSITE}("):
        return ()
    try:
        return tuple(PartKind(*each) for each in ast.literal_eval(name.removeprefix(COMPOSITE)))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return ()


def composite(name: str, parts: tuple[PartKind, ...], kind_named: Callable[[str], InputKind]) -> InputKind:
    """The kind of inputs with these parts. `kind_named` looks up the kinds of the parts."""
    kinds = [kind_named(part.kind) for part in parts]
    columns = tuple(dict.fromkeys([PART, *(column for kind in kinds for column in kind.columns)]))

    def index(value: Array) -> dict[str, Array]:
        words = np.array([part.name for part in parts], dtype=np.object_)
        number = np.repeat(np.arange(len(parts)), [part.size for part in parts])
        found: dict[str, Array] = {PART: number, f"{PART}_name": words[number]}
        for column in columns[1:]:
            found[column] = np.full(len(value), np.nan)
        for part, kind, where in zip(parts, kinds, places(parts), strict=True):
            block = value[where].reshape(part.shape)
            own = kind.index(block)
            if part.names is not None and kind.named is not None:
                own[f"{kind.named}_name"] = np.array(part.names, dtype=np.object_)
            for column, cells in own.items():
                if column.endswith("_name"):
                    found.setdefault(column, np.full(len(value), "", dtype=np.object_))
                found[column][where] = np.broadcast_to(cells, part.shape).reshape(-1)
        return found

    def player_names(players: Ints, count: int, content: Array, feature_names: Sequence[str] | None) -> list[str]:
        names = ["no features"] * count
        said: list[list[str]] = [[] for _ in range(count)]
        for part, kind, where in zip(parts, kinds, places(parts), strict=True):
            block = players[where].reshape(part.shape)
            present = np.unique(block[block >= 0])
            if not present.size:
                continue
            renumbered = np.where(block >= 0, np.searchsorted(present, block), -1)
            if len(present) == 1 and bool((block >= 0).all()):
                own = [""]
            else:
                numbers = content[where].reshape(part.shape)
                if not kind.quantities:
                    numbers = numbers.astype(np.float64).astype(np.int64)
                own = kind.player_names(renumbered, len(present), numbers, part.names)
            for player, name in zip(present.tolist(), own, strict=True):
                said[player].append(f"{part.name}: {name}" if name else part.name)
        return [", ".join(each) or name for each, name in zip(said, names, strict=True)]

    shown = ", ".join(f"'{part.name}' {kind.article} {part.shape}" for part, kind in zip(parts, kinds, strict=True))
    return InputKind(
        name=name,
        article=f"a composite of {shown}",
        form=FORM,
        axes=f"({sum(part.size for part in parts)},)",
        dimensions=1,
        accepts=_never,
        common_dtype=False,
        columns=columns,
        index=index,
        named=None,
        vocabulary=False,
        layout="none",
        quantities=True,
        partitions=(OfParts, Parts, Labels),
        default_partition=OfParts(),
        drawing="bars",
        player_names=player_names,
        by_name_only=True,
        parts=parts,
    )


def places(parts: Sequence[PartKind]) -> Iterator[slice]:
    """Where the numbers of each part are."""
    first = 0
    for part in parts:
        yield slice(first, first + part.size)
        first += part.size


def _never(shape: tuple[int, ...], dtype: torch.dtype) -> bool:
    return False
