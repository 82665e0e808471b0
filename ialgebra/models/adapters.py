"""What models return, made one thing: raw outputs in, outputs (B, K) out.

Knows tensors and the shapes that outputs come in: no layers, no heads, no class names, nor what the numbers mean.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import ModelError

_WANTED = "a tensor (B, K) or (B,), something with 'logits', or a tuple or list that begins with a tensor is needed"


def logits(raw: object, rows: int) -> Tensor:
    """The tensor (B, K) in a model's raw output for `rows` = B inputs; (B,) becomes (B, 1).

    A mapping or an object gives its `logits`, a mapping of one tensor gives that, a tuple or list its first element.
    Halves are widened to float32, float64 stays. Raises ModelError that names what came back instead.
    """
    tensor = output_tensor(raw)
    if tensor is None:
        raise ModelError(f"returned {_described(raw)}; {_WANTED}")
    if tensor.is_meta:
        raise ModelError("returned a tensor on the meta device, which holds no numbers; load the model's weights first")
    if tensor.is_complex():
        raise ModelError(f"returned complex numbers {tuple(tensor.shape)}; real ones are needed")
    if rows == 1 and (tensor.dim() == 0 or (tensor.dim() == 1 and len(tensor) != 1)):
        tensor = tensor.reshape(1, -1)  # a model that squeezes its output drops the batch dimension of a single row
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
    return None


def _described(raw: object) -> str:
    if raw is None:
        return "None"
    name = type(raw).__name__
    article = "an" if name[:1].lower() in "aeiou" else "a"
    if isinstance(raw, Mapping):
        return f"{article} {name} of " + (", ".join(f"'{key}'" for key in raw) or "nothing")
    if isinstance(raw, tuple | list):
        return f"{article} {name} of " + (", ".join(type(part).__name__ for part in raw[:4]) or "nothing")
    return f"{article} {name}"
