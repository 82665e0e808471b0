"""Number types, and which of them hold the numbers of others unchanged. In and out: dtypes. Knows no tensor."""

from __future__ import annotations

import torch

_FRACTIONS = {torch.bfloat16: 8, torch.float16: 11, torch.float32: 24, torch.float64: 53}


def bits(dtype: torch.dtype) -> int:
    """Whole numbers of fewer than so many binary digits are exact in `dtype`."""
    if dtype in _FRACTIONS:
        return _FRACTIONS[dtype]
    if dtype == torch.bool:
        return 1
    known = torch.iinfo(dtype)
    return known.bits - (known.min < 0)


def limits(dtype: torch.dtype) -> tuple[int, int]:
    """The least and the largest of whole numbers in a type that has no fractions."""
    return (0, 1) if dtype == torch.bool else (torch.iinfo(dtype).min, torch.iinfo(dtype).max)


def fractional(dtype: torch.dtype) -> torch.dtype:
    """A type with fractions that holds the numbers of `dtype`, as far as there is one: float64 holds 53 digits."""
    if dtype.is_floating_point:
        return dtype
    return torch.float32 if bits(dtype) <= bits(torch.float32) else torch.float64


def common_dtype(one: torch.dtype, other: torch.dtype) -> torch.dtype:
    """The least type that holds the numbers of both, as far as there is one."""
    if one == other:
        return one
    if one.is_floating_point or other.is_floating_point:
        return torch.promote_types(*((fractional(one), fractional(other)) if _lost(one, other) else (one, other)))
    low, high = min(limits(one)[0], limits(other)[0]), max(limits(one)[1], limits(other)[1])
    whole = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint64)
    return next((each for each in whole if limits(each)[0] <= low and high <= limits(each)[1]), torch.float64)


def _lost(one: torch.dtype, other: torch.dtype) -> bool:
    """Whether the whole numbers of one type need more digits than the fractions of the other have."""
    return any(
        not whole.is_floating_point and narrow.is_floating_point and bits(whole) > bits(narrow)
        for whole, narrow in ((one, other), (other, one))
    )
