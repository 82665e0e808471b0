"""The array types that signatures name, defined once for every room; and tensors as arrays."""

from __future__ import annotations

from typing import TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array: TypeAlias = NDArray[np.generic]
Bools: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]


def array_of(tensor: Tensor) -> Array:
    """The same values as an array, which may share memory; bfloat16, which NumPy has not, as float32."""
    return cast(Array, (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy())


def bits_of(tensor: Tensor) -> Array:
    """The bits of a tensor's values as an array of its shape, of some type as wide as the tensor's."""
    return cast(Array, (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy())
