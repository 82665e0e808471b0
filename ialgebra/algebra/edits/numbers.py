"""Number types of edited tensors. In: tensors computed by edits. Out: tensors of the input's type, or a common type."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import BindError
from ..dtypes import common_dtype, limits
from ..packings import agreed
from ..sources import Edit


def mixed(selected: Tensor, inside: Tensor, outside: Tensor) -> Tensor:
    """`inside` where `selected`, else `outside`, in a type and with a packing that hold both."""
    inside, outside = agreed(inside, outside)
    common = common_dtype(inside.dtype, outside.dtype)
    return torch.where(selected, inside.to(common), outside.to(common))


def narrowed(result: Tensor, dtype: torch.dtype) -> Tensor:
    """`result` as `dtype`: whole numbers are rounded, and limited to the range of `dtype`."""
    if dtype.is_floating_point:
        return result.to(dtype)
    least, largest = limits(dtype)
    most = float(largest)  # for 64 bits, the float is max + 1, which would wrap around to the least number
    most = most if most <= largest else math.nextafter(most, 0)
    return result.round().clamp(least, most).to(dtype)


def narrowed_within_range(result: Tensor, x: Tensor, edit: Edit) -> Tensor:
    """`result` in the type of `x`; BindError where it is beyond that type's range although `x` is finite."""
    narrow = narrowed(result, x.dtype)
    if x.is_floating_point() and not torch.isfinite(narrow).all() and torch.isfinite(x).all():
        raise BindError(
            f"{edit.around('…')} leaves the range of {x.dtype}, which holds up to {torch.finfo(x.dtype).max:.2g}"
        )
    return narrow
