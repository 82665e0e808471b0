"""Tensors in the numbers of an input. In: tensors of edits. Out: tensors of the input's own type, or a common one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import BindError
from ..sources import Edit


def mixed(selected: Tensor, inside: Tensor, outside: Tensor) -> Tensor:
    """`inside` where `selected`, else `outside`, in a type that holds both."""
    common = torch.promote_types(inside.dtype, outside.dtype)
    return torch.where(selected, inside.to(common), outside.to(common))


def narrowed(result: Tensor, dtype: torch.dtype) -> Tensor:
    """`result` as `dtype`: for whole numbers rounded, and kept in their range."""
    if dtype.is_floating_point:
        return result.to(dtype)
    known = torch.iinfo(dtype)
    most = float(known.max)  # of 64 bits this is one too many, which would become the least number
    most = most if most <= known.max else math.nextafter(most, 0)
    return result.round().clamp(known.min, most).to(dtype)


def narrowed_within_range(result: Tensor, x: Tensor, edit: Edit) -> Tensor:
    """`result` in the type of `x`; BindError where it is beyond that type's range although `x` is finite."""
    narrow = narrowed(result, x.dtype)
    if x.is_floating_point() and not torch.isfinite(narrow).all() and torch.isfinite(x).all():
        raise BindError(
            f"{edit.around('…')} leaves the range of {x.dtype}, which holds up to {torch.finfo(x.dtype).max:.2g}"
        )
    return narrow
