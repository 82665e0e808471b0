"""How a pass may be run: as it stands, channels-last, folded, with oneDNN's products, compiled, in bfloat16.

In: a batch or a module. Out: the same, readied.

A mode changes how numbers lie in memory or which kernels read them, never the model: what the user owns is not written
to. 'channels-last' lays out the batch only, and convolutions keep that layout to the end. 'folded' and 'onednn' read
copies of the weights, made of those that the model has now. Knows modules and tensors: no layers, no heads, no profile.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.modules import module as every_module
from torch.overrides import TorchFunctionMode

from ..kernels.forward import stance
from .folds.linears import Linears, has_linears
from .folds.passes import Folded
from .folds.steps import has_weights
from .profile import Mode

Backend = str | Callable[..., Callable[..., object]]

_ROUNDING = 1e-5  # the largest difference of answers between modes, relative to the spread of the outputs
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_HOOKS_OF_ALL = tuple(f"_global{name}" for name in _HOOKS)
_MOST_COPIED = 1 << 30  # bytes of weights of which a folded copy is made
_LEAST_SPREAD = 0.1  # the spread is taken to be at least this share of the outputs' size


class Compiled(NamedTuple):
    """A compiled module, and the batches that it was compiled for."""

    run: Callable[[Tensor], object]
    shape: tuple[int, ...]
    dtype: torch.dtype
    settings: str

    def serves(self, shape: tuple[int, ...], dtype: torch.dtype, settings: str) -> bool:
        """Whether it runs such batches of a model with these settings as it is."""
        return (self.shape, self.dtype, self.settings) == (tuple(shape), dtype, settings)


Copied = Folded | Linears
"""What copies weights: it has the `content` of which it is a copy."""

COPYING: dict[Mode, Callable[[nn.Module, object], Copied]] = {"folded": Folded, "onednn": Linears}
"""The modes that do, and how a copy is made of a module and its content. Raises ValueError where it cannot be made."""


def copyable(module: object, mode: Mode) -> bool:
    """Whether a mode could copy a module's weights: single precision only, and so few bytes that this is not too
    much."""
    if not isinstance(module, nn.Module) or holds_compiled(module):
        return False
    weights = [*module.parameters(), *module.buffers()]
    if not all(map(_plain, weights)):
        return False
    fits = sum(each.nbytes for each in weights) <= _MOST_COPIED
    return fits and (has_linears(module) if mode == "onednn" else has_weights(module))


def _plain(tensor: Tensor) -> bool:
    """Whether a tensor is an ordinary one, and its fractions are of single precision."""
    single = tensor.dtype == torch.float32 or not tensor.is_floating_point()
    return type(tensor) in (Tensor, nn.Parameter) and tensor.layout == torch.strided and single


def undisturbed(module: nn.Module, mode: Mode) -> bool:
    """Whether a mode that copies weights may run the passes of a module as things stand: without casts, and folded ones
    only in evaluation mode, where nothing else is called with what modules return."""
    if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
        return False
    if mode != "folded":
        return True
    everywhere = (getattr(every_module, name, None) for name in _HOOKS_OF_ALL)
    return not any(everywhere) and not any(_busy(vars(part)) for part in module.modules())


def _busy(held: Mapping[str, object]) -> bool:
    return bool(held.get("training")) or any(held.get(name) for name in _HOOKS)


def compiled(module: nn.Module, batch: Tensor, settings: str, backend: Backend) -> Compiled:
    """`module` compiled for batches of exactly this form; tens of seconds. Whatever torch.compile raises passes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's remarks on a module that is not the user's to change now
        run = cast("Callable[[Tensor], object]", torch.compile(module, dynamic=False, backend=backend))
        run(batch)
    return Compiled(run, tuple(batch.shape), batch.dtype, settings)


def holds_compiled(module: object) -> bool:
    """Whether the user had `torch.compile` make the module, or a part of it; or `torch.jit`, or it is a callable."""
    if not isinstance(module, nn.Module):
        return True
    parts = list(module.modules())
    return any(
        isinstance(part, torch.jit.ScriptModule)
        or getattr(part, "_compiled_call_impl", None) is not None
        or hasattr(part, "_orig_mod")
        for part in parts
    )


def convolves(module: object, dims: int) -> bool:
    """Whether batches of `dims` dimensions are images and the module has convolutions that could read them."""
    return dims == 4 and isinstance(module, nn.Module) and any(isinstance(each, nn.Conv2d) for each in module.modules())


def laid_out(batch: Tensor, mode: Mode) -> Tensor:
    """The batch as `mode` wants it in memory."""
    last = mode == "channels-last" or (mode == "folded" and batch.dim() == 4)
    return batch.contiguous(memory_format=torch.channels_last) if last else batch


def frame(mode: Mode, device: torch.device) -> AbstractContextManager[object]:
    """The frame in which a pass of this mode runs. What is compiled already runs, and compiles nothing anew."""
    if mode == "compiled":
        return stance("fail_on_recompile")
    return torch.autocast(device.type, torch.bfloat16) if mode == "autocast" else nullcontext()


_LAYOUT = {
    each
    for name in ("as_strided", "as_strided_", "stride", "storage_offset", "data_ptr", "storage", "untyped_storage")
    for each in (getattr(torch, name, None), getattr(Tensor, name, None))
    if each is not None
}


class LayoutWatch(TorchFunctionMode):
    """A frame that notices whether a model asks for the memory layout of a tensor, which differs between modes. All
    other operations read a tensor by its indices."""

    asked = False

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        self.asked |= func in _LAYOUT
        return func(*args, **(kwargs or {}))


def agree(found: Iterable[Tensor], expected: Iterable[Tensor]) -> bool:
    """Whether answers (B, K) differ by rounding only."""
    return all(_close(one, other) for one, other in zip(found, expected, strict=True))


def _close(found: Tensor, expected: Tensor) -> bool:
    if found.shape != expected.shape:
        return False
    largest, spread = expected.abs().max(), expected.max() - expected.min()
    return bool((found - expected).abs().max() <= _ROUNDING * torch.maximum(spread, _LEAST_SPREAD * largest))
