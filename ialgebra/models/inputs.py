"""What a model is given: any batch in; the same on its device and in the dtype that it computes in, out.

Knows modules and tensors: no layers, no classes.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import torch
from torch import Tensor, nn

_READS_NUMBERS = (nn.Linear, nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.RNNBase)


def home(module: Callable[[Tensor], object]) -> torch.device:
    """The device of a module's weights; the CPU if it has none."""
    held = chain(module.parameters(), module.buffers()) if isinstance(module, nn.Module) else ()
    return next((tensor.device for tensor in held), torch.device("cpu"))


def cast(batch: Tensor, module: Callable[[Tensor], object], device: torch.device | None) -> Tensor:
    """`batch` on `device` (None: where the module is), in the dtype of the parameters; tokens become int64.

    For a callable the dtype does not change, nor does the device if `device` is None.
    """
    if not isinstance(module, nn.Module):
        return batch if device is None else batch.to(device)
    dtype = next((each.dtype for each in module.parameters() if each.is_floating_point()), batch.dtype)
    if not batch.is_floating_point():
        if batch.is_complex():
            dtype = batch.dtype
        elif not _reads_numbers(module, batch):
            dtype = torch.int64
    return batch.to(home(module) if device is None else device, dtype)


def _reads_numbers(module: nn.Module, batch: Tensor) -> bool:
    """Whether integers are quantities (pixels, ages) to this module, and not tokens to look up."""
    modules = list(module.modules())
    if any(isinstance(each, nn.Embedding | nn.EmbeddingBag) for each in modules):
        return False
    first = next((each for each in modules if any(True for _ in each.parameters(recurse=False))), None)
    return batch.dtype in (torch.uint8, torch.bool) or batch.dim() > 2 or isinstance(first, _READS_NUMBERS)
