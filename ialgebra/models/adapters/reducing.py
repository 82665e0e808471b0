"""Outputs of other forms made (B, K): a model's raw output and a reduction in; what queries read of it out.

Knows tensors and mappings: no models, no classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import torch
from torch import Tensor

from ...errors import BindError, ModelError, did_you_mean
from .results import output_tensor

Reduce = str | Callable[[Any], object]

REDUCTIONS: Final = ("last", "mean", "max")


def known_reduction(name: str, reduce: object) -> Reduce | None:
    """`reduce`, if it is a reduction; BindError names model `name` otherwise."""
    if reduce is None or callable(reduce):
        return cast("Reduce | None", reduce)
    if isinstance(reduce, str) and reduce in REDUCTIONS:
        return reduce
    hint = did_you_mean(str(reduce), REDUCTIONS)
    raise BindError(f"reduce={reduce!r} of model '{name}' is neither a word nor a function of its output{hint}")


def reduced(raw: object, reduce: Reduce, seen: Tensor | None = None) -> object:
    """What a reduction makes of a model's raw output: (B, K), from (B, T, K) or (B, K, *places).

    'last', 'mean' and 'max' are over positions, of which only those that are `seen` (B, T) count, or over places. A
    function is given the raw output and, if that is no tensor and does not suit it, the tensor in it.
    """
    tensor = output_tensor(raw)
    if not isinstance(reduce, str):
        try:
            return reduce(raw)
        except (AttributeError, TypeError, KeyError, IndexError):
            if tensor is None or tensor is raw:
                raise
            return reduce(tensor)
    if tensor is None or tensor.dim() < 3:
        return raw if tensor is None else tensor
    if tensor.dim() == 3:
        return _over_positions(tensor, reduce, seen)
    if reduce == "last":
        raise ModelError(
            f"returned {tuple(tensor.shape)} as (B, K, *places), of which none is the last; say reduce='mean', 'max', "
            "or a function such as reduce=lambda out: out[:, :, 0, 0]"
        )
    flat = tensor.flatten(2)
    return flat.mean(2) if reduce == "mean" else flat.amax(2)


def _over_positions(tensor: Tensor, reduce: str, seen: Tensor | None) -> Tensor:
    if seen is None or tuple(seen.shape) != tuple(tensor.shape[:2]):
        return {"last": lambda: tensor[:, -1], "mean": lambda: tensor.mean(1), "max": lambda: tensor.amax(1)}[reduce]()
    here = (seen != 0).to(tensor.device)
    if reduce == "last":
        return tensor[torch.arange(len(tensor), device=tensor.device), last_seen(here)]
    if reduce == "max":
        return tensor.masked_fill(~here[..., None], torch.finfo(tensor.dtype).min).amax(1)
    weight = here[..., None].to(tensor.dtype)
    return (tensor * weight).sum(1) / weight.sum(1).clamp(min=1)


def last_seen(seen: Tensor) -> Tensor:
    """The last position (B,) that is seen of each row of `seen` (B, T) bool; 0 in a row that shows none."""
    positions = torch.arange(seen.shape[1], device=seen.device)
    return torch.where(seen, positions, 0).amax(1)
