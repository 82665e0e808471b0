"""Parts: an input of several named tensors or frames, held as one row of numbers.

In: parts with their shapes and number types, and a packing of their own where they have one. Out: rows of all numbers,
one part after another, and rows of numbers as a mapping from name to part, each in its own shape and type. Knows
tensors: not what the parts mean.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ...errors import ShapeError
from ...system.arrays import Array
from ..dtypes import fractional
from ..middles import Middle, median, most_frequent
from . import codes
from .packing import Packing

_IDS = (torch.bool, torch.int64, torch.uint64)  # of numbers that are rather names than amounts


@dataclass(frozen=True)
class InputPart:
    """One part: its name, the shape of one input, the type of its numbers, its own packing, and whether it rides along:
    then every hybrid has it as the input does, such as an attention mask."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    packing: Packing | None = None
    rides: bool = False

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class PartsPacking:
    """The parts, in order. With `bare`, a model is given the only part itself, without its name."""

    parts: tuple[InputPart, ...]
    bare: bool = False

    @cached_property
    def key(self) -> str:
        said = [
            (each.name, each.shape, str(each.dtype), None if each.packing is None else each.packing.key)
            for each in self.parts
        ]
        return hashlib.blake2b(repr((said, self.bare)).encode(errors="surrogatepass"), digest_size=12).hexdigest()

    @property
    def slices(self) -> Iterator[tuple[InputPart, slice]]:
        """Each part, and where its numbers are."""
        first = 0
        for part in self.parts:
            yield part, slice(first, first + part.size)
            first += part.size

    def unpack(self, batch: Tensor) -> Mapping[str, object] | object:
        """The rows (B, N) as parts (B, *shape) by name, or as the bare part."""
        found: dict[str, object] = {}
        for part, where in self.slices:
            numbers = batch[:, where].reshape(len(batch), *part.shape)
            found[part.name] = typed(numbers, part.dtype) if part.packing is None else part.packing.unpack(numbers)
        return found[self.parts[0].name] if self.bare else found

    def numbers(self, batch: Tensor) -> None:
        return None

    def cast(self, dtype: torch.dtype) -> PartsPacking | None:
        """The parts with fractions in this type."""
        found = tuple(
            dataclasses.replace(each, dtype=dtype) if each.packing is None and each.dtype.is_floating_point else each
            for each in self.parts
        )
        return None if found == self.parts else PartsPacking(found, self.bare)

    def joined(self, other: Packing, x: Tensor, background: Tensor) -> PartsPacking:
        """The parts for rows mixed of both; a part of whole numbers that have fractions, such as a mean, has them."""
        if not isinstance(other, PartsPacking):
            raise ShapeError("an input of named parts meets one without parts; register both as mappings")
        ours, its = ({each.name: each.shape for each in one.parts} for one in (self, other))
        if ours != its or list(ours) != list(its):
            raise ShapeError(
                f"two inputs differ in their parts: {_written(ours)} and {_written(its)}; give both the same names, "
                "shapes and order"
            )
        found = []
        for (part, where), second in zip(self.slices, other.parts, strict=True):
            one, two = x[where], background[where]
            packing = part.packing or second.packing
            if packing is not None:
                joined = packing.joined(second.packing or packing, one.reshape(part.shape), two.reshape(part.shape))
                found.append(dataclasses.replace(part, packing=joined))
            else:
                found.append(dataclasses.replace(part, dtype=_holding(part.dtype, second.dtype, one, two)))
        return self if tuple(found) == self.parts else PartsPacking(tuple(found), self.bare)

    @property
    def without_numbers(self) -> str:
        found = [
            f"{lacking} of part '{each.name}'"
            for each in self.parts
            if each.packing is not None and (lacking := each.packing.without_numbers)
        ]
        return ", ".join(found)

    def shown(self, rows: Array) -> list[Array]:
        by_part = [
            list(rows[:, where])
            if part.packing is None
            else part.packing.shown(rows[:, where].reshape(len(rows), *part.shape))
            for part, where in self.slices
        ]
        return [_in_one(row, pieces) for row, pieces in zip(rows, zip(*by_part, strict=True), strict=True)]

    def without_arithmetic(self, rows: Tensor) -> str:
        found = [
            lacking
            for part, where in self.slices
            if (lacking := self._without_arithmetic(part, rows[:, where].reshape(len(rows), *part.shape)))
        ]
        return ", ".join(found)

    def _without_arithmetic(self, part: InputPart, rows: Tensor) -> str:
        if part.packing is not None:
            lacking = part.packing.without_arithmetic(rows)
            return f"{lacking} of part '{part.name}'" if lacking else ""
        whole = not part.dtype.is_floating_point and not part.rides and bool((rows[0] != rows[1]).any())
        return f"the whole numbers of part '{part.name}'" if whole else ""

    def amounts(self, row: Tensor) -> Tensor:
        found = torch.ones(len(row), dtype=torch.bool, device=row.device)
        for part, where in self.slices:
            if part.packing is not None:
                found[where] = part.packing.amounts(row[where].reshape(part.shape)).reshape(-1)
            elif part.rides or part.dtype in _IDS:
                found[where] = False
        return found

    def middle(self, rows: Tensor, how: Middle) -> Tensor:
        found = rows[0].to(fractional(rows.dtype))
        for part, where in self.slices:
            cells = rows[:, where].reshape(len(rows), *part.shape)
            if part.packing is not None:
                one = part.packing.middle(cells, how)
            elif how == "mode" or part.dtype in _IDS:
                one = most_frequent(cells)
            else:
                one = cells.to(found.dtype).mean(0) if how == "mean" else median(cells.to(found.dtype))
            found[where] = one.to(found.dtype).reshape(-1)
        return found

    @property
    def rides(self) -> bool:
        return any(each.rides for each in self.parts)

    def settled(self, x: Tensor, background: Tensor) -> Tensor:
        found = background.clone()
        for part, where in self.slices:
            if part.rides:
                found[where] = x[where].to(found.dtype)
        return found

    def moved(self, row: Tensor) -> Tensor:
        near = row.clone()
        for part, where in self.slices:
            one = row[where].reshape(part.shape)
            if part.packing is not None:
                near[where] = part.packing.moved(one).reshape(-1)
            elif part.dtype.is_floating_point:
                tick = one.to(part.dtype)
                near[where] = torch.nextafter(tick, torch.full_like(tick, torch.inf)).to(row.dtype).reshape(-1)
        return near


def _in_one(row: Array, pieces: Sequence[Array]) -> Array:
    """The row, or the texts of all its parts, if one of them has some."""
    if all(each.dtype.kind != "U" for each in pieces):
        return row
    return np.concatenate([each.reshape(-1).astype(str) for each in pieces])


def packed_parts(parts: Mapping[str, Tensor]) -> Tensor:
    """The numbers (N,) of one input's parts (*shape), one part after another: in the parts' type if they share one, as
    float64 else, where whole numbers of too many digits are coded."""
    types = {each.dtype for each in parts.values()}
    if len(types) == 1:
        return torch.cat([each.reshape(-1) for each in parts.values()])
    return torch.cat([_doubles(each.reshape(-1)) for each in parts.values()])


def _doubles(numbers: Tensor) -> Tensor:
    if numbers.dtype in (torch.int64, torch.uint64):
        return torch.from_numpy(codes.numbers(numbers.numpy()))
    return numbers.to(torch.float64)


def typed(numbers: Tensor, dtype: torch.dtype) -> Tensor:
    """Held numbers in a part's type."""
    if numbers.dtype == dtype:
        return numbers
    if dtype in (torch.int64, torch.uint64) and numbers.is_floating_point():
        held = numbers.detach().cpu().numpy()
        coded = codes.is_code(held)
        if coded.any():
            found = np.where(coded, 0, held).astype(np.int64)
            for place in np.argwhere(coded):
                found[tuple(place)] = cast(int, codes.value_of(float(held[tuple(place)])))
            return torch.from_numpy(found).to(dtype).to(numbers.device)
    return numbers.to(dtype)


def _holding(one: torch.dtype, two: torch.dtype, *rows: Tensor) -> torch.dtype:
    """A type for the numbers of two parts."""
    found = one if one == two else torch.promote_types(one, two)
    if found.is_floating_point:
        return found
    whole = all(not each.is_floating_point() or bool((each == each.floor()).all()) for each in rows)
    return found if whole else torch.float32 if found.itemsize < 4 else torch.float64


def _written(parts: Mapping[str, tuple[int, ...]]) -> str:
    return "{" + ", ".join(f"'{name}': {shape}" for name, shape in parts.items()) + "}"
