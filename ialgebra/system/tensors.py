"""Tensors as arrays. In: tensors on the CPU; out: NumPy arrays of the same values, or of the same bits."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from .arrays import Array


def array_of(tensor: Tensor) -> Array:
    """The same values as an array, which may share memory; bfloat16, which NumPy has not, as float32."""
    return cast(Array, (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy())


def bits_of(tensor: Tensor) -> Array:
    """The bits of a tensor's values as an array of its shape, of some type as wide as the tensor's."""
    return cast(Array, (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy())
