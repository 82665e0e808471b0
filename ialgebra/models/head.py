"""A head: the linear map that makes a model f_l of a layer. A layer's output in, logits out.

f_l is f cut after layer l with a re-trained linear head on top (Eq. 4, Fig. 4). Knows tensors only: no networks, and
nothing of how heads are trained (`fitting`) or kept in files (`head_files`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ShapeError


def pooled(value: Tensor, pool: Sequence[int]) -> Tensor:
    """Features (B, F) of a layer's output (B, …): the mean over `pool`, the rest flattened; halves are widened."""
    dtype = value.dtype if value.dtype == torch.float64 else torch.float32
    mean = value.mean(dim=tuple(pool), dtype=dtype) if pool else value.to(dtype)
    return mean.reshape(len(value), -1)


@dataclass(frozen=True, eq=False)
class Head:
    """A linear map on a layer's pooled output: `weight` (K, F), `bias` (K,), `pool` the dimensions to average over.

    `agreement` is the share of held-out inputs on which argmax f_l = argmax f; where K = 1, the share on the same
    side of 0 for a head fitted to 0/1 labels, else R² against f. `accuracy` is the same against the labels. NaN:
    nothing held out.
    """

    weight: Tensor
    bias: Tensor
    pool: tuple[int, ...]
    agreement: float = float("nan")
    accuracy: float | None = None
    ridge: float = 0.0

    def __call__(self, value: Tensor) -> Tensor:
        """Logits (B, K) from a layer's output (B, …); raises ShapeError where it has other features."""
        features = pooled(value, self.pool)
        if features.shape[1] != self.weight.shape[1]:
            raise ShapeError(
                f"a head for {self.weight.shape[1]} features met {features.shape[1]} (an input of another size?); "
                "train it on inputs of this shape"
            )
        return F.linear(features.to(self.weight.dtype), self.weight, self.bias)

    def to(self, device: torch.device) -> Head:
        """The same head on `device`."""
        return replace(self, weight=self.weight.to(device), bias=self.bias.to(device))
