"""Convolutions and linear maps with what follows them in one kernel: an activation, or an addition and an activation.

In: weights as they were folded. Out: functions that compute the same as the operations one after the other, to
rounding. oneDNN's kernels run single precision on a CPU, with weights in the layout that they read fastest; plain torch
runs everything else. Knows tensors only: no graph, no model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional as F

_KERNELS: dict[str, Callable[..., Tensor]] = {
    "none": lambda x: x,
    "relu": F.relu,
    "hardtanh": F.hardtanh,
    "leaky_relu": F.leaky_relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "swish": F.silu,
    "hardswish": F.hardswish,
}
_CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_OPERATIONS = ("_convolution_pointwise", "_linear_pointwise", "_reorder_convolution_weight", "_reorder_linear_weight")


class Activation(NamedTuple):
    """An activation by oneDNN's name, its numbers and its algorithm."""

    name: str = "none"
    numbers: tuple[float, ...] = ()
    algorithm: str = ""

    def __call__(self, values: Tensor) -> Tensor:
        if self.name == "gelu":
            return F.gelu(values, approximate=self.algorithm)
        return _KERNELS[self.name](values, *self.numbers)


PLAIN = Activation()


class Moves(NamedTuple):
    """How a convolution moves: one number for each of its dimensions, and the groups of channels."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


@dataclass(eq=False)
class Weights:
    """The weights of a convolution, or of a linear map (`moves` is None). `normed`: a batch norm is part of them. Once
    `packed`, the weight lies in memory as oneDNN reads it."""

    weight: Tensor
    bias: Tensor | None
    moves: Moves | None
    normed: bool = False
    packed: bool = False


def has_onednn() -> bool:
    """Whether this build of torch has oneDNN's fused operations, and they are switched on."""
    backend: Any = torch.backends.mkldnn
    return bool(backend.is_available() and backend.enabled) and all(hasattr(torch.ops.mkldnn, n) for n in _OPERATIONS)


def fits_onednn(weight: Tensor) -> bool:
    """Whether oneDNN's kernels read this weight."""
    return has_onednn() and weight.device.type == "cpu" and weight.dtype == torch.float32


class FusedConvolution:
    """activation(convolution(x) + bias [+ other]) for x (B, C, *positions)."""

    __name__ = "folded convolution"

    def __init__(self, weights: Weights, activation: Activation) -> None:
        self.weights, self.activation = weights, activation
        self.shape = tuple(weights.weight.shape)
        self.onednn = weights.packed or (fits_onednn(weights.weight) and len(self.shape) == 4)

    def __call__(self, x: Tensor, other: object = None) -> Tensor:
        held, moves = self.weights, cast(Moves, self.weights.moves)
        stride, padding, dilation, groups = moves
        if x.dim() != len(stride) + 2:
            raise TypeError(f"a folded convolution was given {tuple(x.shape)}")
        if not self.onednn:
            convolve = _CONVOLUTIONS[len(stride)]
            return _after(convolve(x, held.weight, held.bias, *moves), self.activation, other)
        if x.dtype != torch.float32:
            raise TypeError(f"a folded convolution was given {x.dtype}")
        if not held.packed:
            order = torch.ops.mkldnn._reorder_convolution_weight.default
            held.weight, held.packed = order(held.weight, padding, stride, dilation, groups, list(x.shape)), True
        given = (held.weight, held.bias, padding, stride, dilation, groups)
        if other is None:
            name, numbers, algorithm = self.activation
            run = torch.ops.mkldnn._convolution_pointwise.default
            return cast(Tensor, run(x, *given, name, list(numbers), algorithm))
        if self.activation.name in ("none", "relu") and self._fits(x, other, moves):
            run = torch.ops.mkldnn._convolution_pointwise.binary
            after = None if self.activation.name == "none" else "relu"
            return cast(Tensor, run(x, other, *given, "add", 1.0, after, [], None))
        run = torch.ops.mkldnn._convolution_pointwise.default
        return _after(run(x, *given, "none", [], ""), self.activation, other)

    def _fits(self, x: Tensor, other: object, moves: Moves) -> bool:
        """Whether `other` has the form of the result."""
        size = [
            (length + 2 * pad - gap * (taps - 1) - 1) // step + 1
            for length, taps, step, pad, gap in zip(x.shape[2:], self.shape[2:], *moves[:3], strict=True)
        ]
        wanted = (x.shape[0], self.shape[0], *size)
        return isinstance(other, Tensor) and other.shape == wanted and other.dtype == torch.float32


class FusedLinear:
    """activation(x Wᵀ + bias [+ other]) for x (…, features). With a batch norm in its weights for x (B, features) only:
    the norm reads the second dimension."""

    __name__ = "folded linear map"

    def __init__(self, weights: Weights, activation: Activation) -> None:
        self.weights, self.activation = weights, activation
        self.shape = tuple(weights.weight.shape)
        self.onednn = weights.packed or fits_onednn(weights.weight)

    def __call__(self, x: Tensor, other: object = None) -> Tensor:
        held = self.weights
        if held.normed and x.dim() != 2:
            raise TypeError(f"a folded linear map was given {tuple(x.shape)}")
        if not self.onednn:
            return _after(F.linear(x, held.weight, held.bias), self.activation, other)
        if x.dtype != torch.float32:
            raise TypeError(f"a folded linear map was given {x.dtype}")
        if not held.packed:
            rows = max(1, x.numel() // self.shape[1])
            held.weight, held.packed = torch.ops.mkldnn._reorder_linear_weight.default(held.weight, rows), True
        if other is None:
            name, numbers, algorithm = self.activation
            run = torch.ops.mkldnn._linear_pointwise.default
            return cast(Tensor, run(x, held.weight, held.bias, name, list(numbers), algorithm))
        fits = isinstance(other, Tensor) and other.shape == (*x.shape[:-1], self.shape[0])
        if fits and cast(Tensor, other).dtype == torch.float32:
            run = torch.ops.mkldnn._linear_pointwise.binary
            return self.activation(cast(Tensor, run(x, other, held.weight, held.bias, "add")))
        run = torch.ops.mkldnn._linear_pointwise.default
        return _after(run(x, held.weight, held.bias, "none", [], ""), self.activation, other)


def _after(values: Tensor, activation: Activation, other: Any) -> Tensor:
    """The sum with `other`, if there is one, and the activation."""
    return activation(values if other is None else values + other)
