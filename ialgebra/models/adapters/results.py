"""What models return, made one thing: raw outputs in, outputs (B, K) out.

Knows tensors, arrays and the shapes that outputs come in: no layers, no heads, no class names, nor what the numbers
mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ...errors import ModelError

_WANTED = (
    "a tensor or array (B, K) or (B,), something with 'logits', or a tuple or list that begins with a tensor is "
    "needed; register_model(…, reduce=a function from what the model returns to (B, K)) makes one of anything else"
)
_POSITIONS = (
    "numbers at {count} positions of each row, {shape} as (B, positions, K); say which of them is explained: "
    "register_model(…, reduce='last'), 'mean' or 'max' over positions, or a function such as "
    "reduce=lambda out: {place}"
)
_PLACES = (
    "numbers at {count} places of each row, {shape} as (B, K, *places); say which of them is explained: "
    "register_model(…, reduce='mean') or 'max' over places, or a function such as reduce=lambda out: {place}"
)


@dataclass(frozen=True, eq=False)
class Reduced:
    """The `raw` output of a model, and what `reduce=` made of it."""

    raw: object
    numbers: object


def logits(raw: object, rows: int) -> Tensor:
    """The tensor (B, K) in a model's raw output for `rows` = B inputs; (B,) becomes (B, 1).

    A mapping or an object gives its `logits`, a mapping of one tensor gives that, a tuple or list its first element;
    arrays, DataFrames and Series are made tensors. Halves are widened to float32, float64 stays. Raises
    ModelError that names what came back instead.
    """
    tensor = output_tensor(raw.numbers if isinstance(raw, Reduced) else raw)
    if tensor is None:
        raise ModelError(f"returned {_described(raw)}; {_WANTED}")
    if tensor.is_meta:
        raise ModelError("returned a tensor on the meta device, which holds no numbers; load the model's weights first")
    if tensor.is_complex():
        raise ModelError(f"returned complex numbers {tuple(tensor.shape)}; real ones are needed")
    if rows == 1 and (tensor.dim() == 0 or (tensor.dim() == 1 and len(tensor) != 1)):
        tensor = tensor.reshape(1, -1)  # a model that squeezes its output drops the batch dimension of a single row
    if tensor.dim() > 2 and len(tensor) == rows and not isinstance(raw, Reduced):
        raise ModelError(f"returned {_of_places(raw, tensor)}")
    if tensor.dim() not in (1, 2):
        raise ModelError(f"returned a tensor {tuple(tensor.shape)} for {rows} rows; (B, K) or (B,) is needed")
    if len(tensor) != rows:
        raise ModelError(f"returned {len(tensor)} rows {tuple(tensor.shape)} for a batch of {rows}")
    if tensor.dim() == 1:
        tensor = tensor.unsqueeze(1)
    if tensor.shape[1] == 0:
        raise ModelError(f"returned a tensor {tuple(tensor.shape)}, which has no class")
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.to(torch.float32)


def output_tensor(raw: object) -> Tensor | None:
    """The tensor in a model's raw output, unchanged; None where there is none or no telling which."""
    if isinstance(raw, Reduced):
        raw = raw.raw
    if isinstance(raw, Tensor):
        return raw
    held = raw.get("logits") if isinstance(raw, Mapping) else getattr(raw, "logits", None)
    if isinstance(held, Tensor):
        return held
    if isinstance(raw, Mapping):
        tensors = [value for value in raw.values() if isinstance(value, Tensor)]
        return tensors[0] if len(tensors) == 1 else None
    if isinstance(raw, tuple | list) and raw and isinstance(raw[0], Tensor):
        return raw[0]
    return _from_numbers(raw)


def _from_numbers(raw: object) -> Tensor | None:
    """A tensor of an array, a DataFrame or a Series of numbers; None for anything else."""
    if isinstance(raw, tuple | list) and raw and isinstance(raw[0], np.ndarray) and raw[0].ndim:
        raw = raw[0]
    elif callable(to_numpy := getattr(raw, "to_numpy", None)):
        raw = to_numpy()
    elif not isinstance(raw, np.ndarray | np.generic | float):
        return None
    try:
        array = np.asarray(cast("Any", raw))
        if array.dtype.kind == "O":
            array = array.astype(np.float64)
        if array.dtype.kind not in "biuf":
            return None
        return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))
    except (TypeError, ValueError):  # texts
        return None


def _of_places(raw: object, tensor: Tensor) -> str:
    """The words of an error: outputs at several positions or places of a row."""
    shape = tuple(tensor.shape)
    out = "out" if isinstance(raw, Tensor) else "out.logits" if hasattr(raw, "logits") else "out"
    if len(shape) == 3:
        return _POSITIONS.format(count=shape[1], shape=shape, place=f"{out}[:, {shape[1] // 2}]")
    places = ", ".join(str(length // 2) for length in shape[2:])
    count = " × ".join(str(length) for length in shape[2:])
    return _PLACES.format(count=count, shape=shape, place=f"{out}[:, :, {places}]")


def _described(raw: object) -> str:
    if isinstance(raw, Reduced):
        return f"what reduce= made {_described(raw.numbers)} of"
    if raw is None:
        return "None"
    name = type(raw).__name__
    article = "an" if name[:1].lower() in "aeiou" else "a"
    if isinstance(raw, Mapping):
        return f"{article} {name} of " + (", ".join(f"'{key}'" for key in raw) or "nothing")
    if isinstance(raw, tuple | list):
        return f"{article} {name} of " + (", ".join(type(part).__name__ for part in raw[:4]) or "nothing")
    if isinstance(raw, np.ndarray):
        return f"{article} {name} of {'texts' if raw.dtype.kind in 'OUS' else raw.dtype}"
    return f"{article} {name}"
