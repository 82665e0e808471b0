"""What tensors and arrays hold: one in; its line in a walk out. Numbers are read in full, as a checksum."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from . import guards
from .checksums import UnreadableNumbers, array_checksum, checksum
from .objects import attributes
from .walk import Walk

ORDINARY: tuple[type, ...] = (Tensor, nn.Parameter, nn.Buffer)
"""Types of tensors whose numbers are all of them."""


def read_tensor(walk: Walk, tensor: Tensor) -> str:
    """The line of a tensor: its form and a checksum of its numbers; of a weight of the model, its name."""
    if (name := walk.weight_names.get(id(tensor))) is not None:
        return f"weight {name}{_further(walk, tensor)}"
    flatten = getattr(tensor, "__tensor_flatten__", None)
    if type(tensor) not in ORDINARY and flatten is not None:
        walk.guarded = False
        inner, told = flatten()
        held = [getattr(tensor, each) for each in inner]
        walk.kept.append(held)
        return f"{type(tensor).__name__} {told!r} {walk.refs(held)}"
    try:
        walk.guards.append(guards.tensor(tensor))
        form = () if tensor.is_nested else tuple(tensor.shape)
        return f"tensor {form} {tensor.dtype} {checksum(tensor)}{_further(walk, tensor)}"
    except UnreadableNumbers:
        return walk.unreadable(tensor)


def _further(walk: Walk, tensor: Tensor) -> str:
    """The attributes that somebody gave to a tensor."""
    held = attributes(tensor)
    if held == {}:
        walk.empty.append(held)
    return walk.items(held) if held else ""


def read_array(walk: Walk, array: NDArray[Any]) -> str:
    """The line of an array: its form and a checksum of its bytes, or the objects in it."""
    plain = np.asarray(array)
    held = attributes(array)
    further = walk.items(held) if held else ""
    if plain.dtype.hasobject:
        walk.guarded = False
        parts = plain.reshape(-1).tolist()
        walk.kept.append(parts)
        return f"array {plain.dtype} {plain.shape} {walk.refs(parts)}{further}"
    walk.guards.append(guards.array(plain))
    return f"array {plain.dtype} {plain.shape} {array_checksum(plain)}{further}"
