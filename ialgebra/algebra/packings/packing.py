"""A packing, and the tensor that carries one.

In: rows of numbers (B, *shape), held as the engine mixes them. Out: what the model is called with instead. A
`PackedTensor` is an ordinary tensor with a packing, which stays with what is made of it: slices, hybrids, batches.
Tensors without a packing are not touched, and cost nothing. Knows no packing in particular.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Protocol, cast

import torch
from torch import Tensor

from ...errors import ShapeError
from ...system.arrays import Array
from ..middles import Middle


class Packing(Protocol):
    """How rows of numbers become what a model expects. Equal packings have equal keys, in every process."""

    @property
    def key(self) -> str:
        """A name for the packing: a part of the identity of an input, and of the store's rows."""

    def unpack(self, batch: Tensor) -> object:
        """What a model is called with for rows (B, *shape), which are plain numbers."""

    def numbers(self, batch: Tensor) -> Tensor | None:
        """The rows as a plain tensor, for a model that takes these; None where numbers alone do not tell the rows."""

    def cast(self, dtype: torch.dtype) -> Packing | None:
        """The packing that gives fractions in this type instead; None where it has none to choose."""

    @property
    def without_numbers(self) -> str:
        """What has no numbers, in words, so that a constant is no value of it; empty where there is no such thing."""

    def shown(self, row: Array) -> Array:
        """The values of a row (*shape) as people read them, (*shape): numbers, or texts where some are none."""

    def amounts(self, row: Tensor) -> Tensor:
        """Which numbers of a row (*shape) are amounts, with which one may calculate."""

    def middle(self, rows: Tensor, how: Middle) -> Tensor:
        """The mean, the median or the mode (*shape) of rows (N, *shape); the mode of what is no amount. Missing values
        are left out."""

    def joined(self, other: Packing, x: Tensor, background: Tensor) -> Packing:
        """The packing of rows that are mixed of an `x` with this packing and a `background` with the other, both
        (*shape). ShapeError or BindError where they do not fit together."""

    def settled(self, x: Tensor, background: Tensor) -> Tensor:
        """The background (*shape) with what stays as it is in `x` (*shape), whatever is absent."""

    def moved(self, row: Tensor) -> Tensor:
        """The row (*shape) with each number moved by its last bit, as far as it is an amount."""


class PackedTensor(Tensor):
    """A tensor of rows with the packing by which a model is given them."""

    packing: Packing

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        """Whatever is made of packed tensors carries their packing."""
        found = super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]
        made = [each for each in _flat([found]) if isinstance(each, PackedTensor)]
        if made:
            packing = _common(_flat([args, (kwargs or {}).values()]))
            for each in made:
                if packing is not None:
                    each.packing = packing
        return found

    def __deepcopy__(self, memo: dict[int, object]) -> Tensor:
        return carrying(copy.deepcopy(plain(self), memo), self.packing)


def packing_of(tensor: Tensor) -> Packing | None:
    """The packing that a tensor carries; None for plain numbers."""
    return getattr(tensor, "packing", None) if isinstance(tensor, PackedTensor) else None


def carrying(tensor: Tensor, packing: Packing | None) -> Tensor:
    """The same numbers with this packing; plain ones for None."""
    bare = plain(tensor)
    if packing is None:
        return bare
    packed = bare.as_subclass(PackedTensor)
    packed.packing = packing
    return packed


def plain(tensor: Tensor) -> Tensor:
    """The same numbers without a packing; gradients flow through it."""
    return tensor.as_subclass(Tensor) if isinstance(tensor, PackedTensor) else tensor


def agreed(x: Tensor, background: Tensor) -> tuple[Tensor, Tensor]:
    """Both ends of hybrids (*shape) with the one packing that serves both.

    An end without a packing takes that of the other. Raises what `Packing.joined` raises.
    """
    own, other = packing_of(x), packing_of(background)
    if own is None and other is None:
        return x, background
    first, second = cast(Packing, own or other), cast(Packing, other or own)
    settled = first.settled(plain(x), plain(background))
    joined = first.joined(second, plain(x), settled)
    return carrying(x, joined), carrying(settled, joined)


def _flat(values: Iterable[object]) -> Iterator[object]:
    for each in values:
        if isinstance(each, Iterable) and not isinstance(each, Tensor | str | bytes):
            yield from _flat(each)
        else:
            yield each


def _common(values: Iterable[object]) -> Packing | None:
    """The one packing among the arguments of an operation."""
    held = [each.packing for each in values if isinstance(each, PackedTensor) and hasattr(each, "packing")]
    if any(each is not held[0] and each.key != held[0].key for each in held[1:]):
        raise ShapeError("rows that a model is given in different forms cannot share a batch; ask for them apart")
    return held[0] if held else None
