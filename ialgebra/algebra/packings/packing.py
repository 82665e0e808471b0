"""A packing, and the tensor that carries one.

In: rows of numbers (B, *shape), held as the engine mixes them. Out: what the model is called with instead. A
`PackedTensor` is an ordinary tensor with a packing, which stays with what is made of it: slices, hybrids, batches.
Tensors without a packing are not touched, and cost nothing. Knows no packing in particular.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Protocol, cast

import torch
from torch import Tensor

from ...errors import BindError, ShapeError
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

    def shown(self, rows: Array) -> list[Array]:
        """The values of each of the rows (N, *shape) as people read them, (*shape): numbers, or texts where some are
        none."""

    def without_arithmetic(self, rows: Tensor) -> str:
        """What in rows (N, *shape) has values with which no one can calculate, in words; empty if there is none."""

    def amounts(self, row: Tensor) -> Tensor:
        """Which numbers of a row (*shape) are amounts, with which one may calculate."""

    def middle(self, rows: Tensor, how: Middle) -> Tensor:
        """The mean, the median or the mode (*shape) of rows (N, *shape); the mode of what is no amount. Missing values
        are left out."""

    def joined(self, other: Packing, x: Tensor, background: Tensor) -> Packing:
        """The packing of rows that are mixed of an `x` with this packing and a `background` with the other, both
        (*shape). ShapeError or BindError where they do not fit together."""

    @property
    def rides(self) -> bool:
        """Whether some numbers stay as they are in the input, whatever is absent."""

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
        with torch._C.DisableTorchFunctionSubclass():
            found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor):
            return carrying(found, _common(args, kwargs))
        if type(found) in (tuple, list):
            packing = _common(args, kwargs)
            return type(found)(carrying(each, packing) if isinstance(each, Tensor) else each for each in found)
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
    with torch._C.DisableTorchFunctionSubclass():
        packed = bare.as_subclass(PackedTensor)
    packed.packing = packing
    return packed


def plain(tensor: Tensor) -> Tensor:
    """The same numbers without a packing; gradients flow through it."""
    if not isinstance(tensor, PackedTensor):
        return tensor
    with torch._C.DisableTorchFunctionSubclass():
        return tensor.as_subclass(Tensor)


def agreed(x: Tensor, background: Tensor) -> tuple[Tensor, Tensor]:
    """Both ends of hybrids (*shape) with the one packing that serves both.

    An end without a packing takes that of the other. Raises what `Packing.joined` raises.
    """
    own, other = packing_of(x), packing_of(background)
    if own is None and other is None:
        return x, background
    first, second = cast(Packing, own or other), cast(Packing, other or own)
    if own is not other and None in (own, other) and (lacking := first.without_numbers):
        raise BindError(f"a row of numbers has no values for {lacking}; register both inputs as frames")
    settled = first.settled(plain(x), plain(background))
    joined = first.joined(second, plain(x), settled)
    if joined is own is other and not first.rides:
        return x, background
    return carrying(x, joined), carrying(settled, joined)


def _common(args: tuple[object, ...], kwargs: dict[str, object] | None) -> Packing | None:
    """The one packing among the arguments of an operation, which may be lists of tensors."""
    found: Packing | None = None
    for each in (*args, *kwargs.values()) if kwargs else args:
        for one in cast("Iterable[object]", each) if type(each) in (list, tuple) else (each,):
            held = one.packing if isinstance(one, PackedTensor) else None
            if held is None or held is found:
                continue
            if found is not None and found.key != held.key:
                raise ShapeError("rows that a model is given in different forms cannot share a batch; ask them apart")
            found = found or held
    return found
