"""Linear maps through oneDNN, inside a model that runs as it stands.

In: a module. Out: a frame in which products with its weights, as `nn.Linear` and `nn.MultiheadAttention` make them, are
oneDNN's, which reads the weights from copies in its own layout. Everything else of a pass runs as ever: hooks, taps,
gradients. Knows tensors only: no graph, no profile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ...kernels.forward import Tap
from .fused import fits_onednn

_FEWEST = 1 << 14  # numbers of a weight; smaller products take no time


class Linears(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The frame, for a module as it is now; `content` names what it is now. A weight is copied when it is first met."""

    def __init__(self, module: nn.Module, content: object) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.content = content
        self._weights = {each.data_ptr(): each for each in _large(module)}
        self._packed: dict[tuple[object, ...], Tensor] = {}

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        if not kwargs and func is torch.ops.aten.addmm.default and args[0].dim() == 1:
            packed = self._found(args[2], args[1])
            if packed is not None:
                return torch.ops.mkldnn._linear_pointwise.default(args[1], packed, args[0], "none", [], "")
        elif not kwargs and func is torch.ops.aten.mm.default:
            packed = self._found(args[1], args[0])
            if packed is not None:
                return torch.ops.mkldnn._linear_pointwise.default(args[0], packed, None, "none", [], "")
        return func(*args, **(kwargs or {}))

    def serves(self, taps: Sequence[Tap]) -> bool:
        """Whether these taps can be read: the modules run as ever."""
        return True

    def _found(self, matrix: Tensor, rows: Tensor) -> Tensor | None:
        """The copy of a matrix (features, outputs) that is a whole weight, or its transpose; None for any other."""
        weight = self._weights.get(matrix.data_ptr())
        if weight is None or matrix.numel() != weight.numel() or rows.dtype != torch.float32:
            return None
        if sorted(matrix.stride()) != sorted(weight.stride()) or matrix.dtype != torch.float32:
            return None
        place = (matrix.data_ptr(), matrix.shape, matrix.stride())
        if place not in self._packed:
            order = torch.ops.mkldnn._reorder_linear_weight.default
            self._packed[place] = order(matrix.t().contiguous(), max(1, len(rows)))
        return self._packed[place]


def has_linears(module: nn.Module) -> bool:
    """Whether a module has weights that a frame would copy."""
    return next(iter(_large(module)), None) is not None


def _large(module: nn.Module) -> list[nn.Parameter]:
    return [
        each
        for each in module.parameters()
        if each.dim() == 2 and each.numel() >= _FEWEST and fits_onednn(each) and each.is_contiguous()
    ]
