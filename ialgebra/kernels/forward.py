"""The tapped pass: a batch in; what the model computed in passing, and its raw output, out.

A tap names one call of one module. The taps' outputs are read inside one forward pass, which stops right after the
deepest tap unless the model's own output is asked for as well. `as_found` is the frame around passes: inside it the
model computes as it does when it predicts, and afterwards it is as it was. This file knows tensors and modules only: no
layer names, no heads, no classes.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..system import forking

_Model = TypeVar("_Model")


class Tap(NamedTuple):
    """The output of `module`'s `call`-th call (from 0) within one pass; a shared activation is called several times."""

    module: nn.Module
    call: int = 0


class TapError(ModelError):
    """A tapped call did not happen, or what it returned cannot be read."""


class _Reached(BaseException):
    """Ends a pass after its deepest tap; no `Exception`, so that a model's own `except Exception` lets it through."""


def first_tensor(value: object) -> Tensor | None:
    """A tensor itself, or the first tensor in a tuple, list or mapping (an LSTM's output, a Hugging Face block's)."""
    if isinstance(value, Tensor):
        return value
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple | list) else ()
    return next((part for part in parts if isinstance(part, Tensor)), None)


def tapped(
    model: Callable[[Tensor], object],
    batch: Tensor,
    taps: Sequence[Tap],
    output: bool,
    read: Sequence[Callable[[Tensor], Tensor]] | None = None,
) -> tuple[list[Tensor], object | None]:
    """One forward pass of `batch` (B, …): the taps' outputs in their order, and the model's raw output if `output`.

    Without `output` the pass stops right after the deepest tap. `read[i]` turns the i-th tap's output into what is
    kept; it runs at once, since a later in-place operation may overwrite the tensor. Without `read`, copies are kept.
    Raises TapError where a tapped call did not happen or returned no tensor; what the model raises passes
    unchanged.
    """
    readers = read if read is not None else [torch.clone] * len(taps)
    found: dict[int, Tensor] = {}
    calls: Counter[nn.Module] = Counter()
    reached = _Reached()

    def capture(module: nn.Module, _arguments: object, result: object) -> None:
        call = calls[module]
        calls[module] += 1
        for position, tap in enumerate(taps):
            if tap.module is module and tap.call == call:
                tensor = first_tensor(result)
                if tensor is None:
                    raise TapError(f"a tapped {type(module).__name__} returned {type(result).__name__}, not a tensor")
                found[position] = readers[position](tensor)
        if not output and len(found) == len(taps):
            raise reached

    if not taps:
        return [], model(batch) if output else None
    try:
        with hooked({tap.module for tap in taps}, capture), eagerly():
            raw = model(batch)
    except _Reached as stop:
        if stop is not reached:
            raise
        raw = None
    for position, tap in enumerate(taps):
        if position not in found:
            raise TapError(
                f"a tapped {type(tap.module).__name__} ran {calls[tap.module]} times in this pass, "
                f"so that its call {tap.call + 1} has no output"
            )
    return [found[position] for position in range(len(taps))], raw if output else None


@contextmanager
def stopwatch(taps: Sequence[Tap], device: torch.device) -> Iterator[dict[Tap, float]]:
    """A frame around one pass. It gives the time (`time.perf_counter`) at which each tapped call ended, by tap; a call
    that did not happen is missing.

    On CUDA it waits for the device at every tap, so that the times are those of the work.
    """
    calls: Counter[nn.Module] = Counter()
    ended: dict[Tap, float] = {}
    wanted = set(taps)

    def note(module: nn.Module, _arguments: object, _result: object) -> None:
        tap = Tap(module, calls[module])
        calls[module] += 1
        if tap in wanted:
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            ended[tap] = time.perf_counter()

    with hooked({tap.module for tap in taps}, note):
        yield ended


@contextmanager
def hooked(
    modules: Collection[nn.Module], leave: Callable[..., object], enter: Callable[..., None] | None = None
) -> Iterator[None]:
    """A frame in which `leave` is called after every call of `modules`, and `enter` before it. What `leave` returns, if
    it returns anything, takes the place of the module's output."""

    def unhook() -> None:  # looks for the hooks themselves: an interrupt may have lost the handle of one
        for module in modules:
            for hooks in (module._forward_pre_hooks, module._forward_hooks):
                for number in [number for number, hook in hooks.items() if hook is leave or hook is enter]:
                    del hooks[number]

    with forking.ended_in_child(unhook):
        try:
            for module in modules:
                module.register_forward_hook(leave)
                if enter is not None:
                    module.register_forward_pre_hook(enter)
            yield
        finally:
            try:
                unhook()
            except BaseException:  # Interrupted while removing hooks: finish removing, then re-raise.
                unhook()
                raise


def uncompiled(model: _Model) -> _Model:
    """The module from which `torch.compile` made `model`; a model that is not compiled itself."""
    frame = sys.modules.get("torch._dynamo.eval_frame")  # without it nothing is compiled, and it takes seconds to load
    original: _Model = model._orig_mod if frame and isinstance(model, frame.OptimizedModule) else model
    return original


def eagerly() -> AbstractContextManager[object]:
    """A frame in which modules from `torch.compile` run uncompiled: compiled, they would compile our hooks, or fail."""
    loaded = "torch._dynamo" in sys.modules
    return stance("force_eager") if loaded else nullcontext()


@dataclass(eq=False)
class _StanceFrame:
    """A frame with a stance of the compiler. Of the frames that share a stance, the one that must end it holds the
    `setter`."""

    name: str
    thread: int
    setter: AbstractContextManager[object] | None = None


_stance_left = threading.Condition(forking.lock())
_stances: list[_StanceFrame] = []


@contextmanager
def stance(name: str) -> Iterator[None]:
    """A frame in which torch's compiler has this stance. The process has only one: threads that want the same share
    it, and those that want another wait."""
    frame = _StanceFrame(name, threading.get_ident())
    with forking.ended_in_child(lambda: _end_stance(frame)):
        try:
            with _stance_left:
                _stance_left.wait_for(
                    lambda: all(frame.thread == each.thread or name == each.name for each in _stances)
                )
                if not _stances or _stances[-1].name != name:
                    setter: AbstractContextManager[object] = torch.compiler.set_stance(name)
                    frame.setter = setter
                _stances.append(frame)
            yield
        finally:
            try:
                _end_stance(frame)
            except BaseException:  # Interrupted while ending: finish ending, then re-raise.
                _end_stance(frame)
                raise


def _end_stance(frame: _StanceFrame) -> None:
    """End a frame; the last frame that shares a stance restores the stance before it."""
    with _stance_left:
        if frame.setter is not None:
            others = (each for each in _stances if each.name == frame.name and each is not frame)
            heir = next((each for each in others if each.setter is None), None)
            if heir is None:
                frame.setter.__exit__(None, None, None)
            else:
                heir.setter = frame.setter
            frame.setter = None
        if frame in _stances:
            _stances.remove(frame)
        _stance_left.notify_all()


_fused_changed = forking.lock()
_unfused: list[object] = []  # a token for each frame without the fused transformer path
_fused_before = True


def _leave_fused_path(token: object) -> None:
    """Switch the fused transformer path off for the process, until every token has been given back."""
    global _fused_before
    with _fused_changed:
        if not _unfused:
            _fused_before = torch.backends.mha.get_fastpath_enabled()
        _unfused.append(token)
        torch.backends.mha.set_fastpath_enabled(False)


def _return_to_fused_path(token: object) -> None:
    with _fused_changed:
        if token in _unfused:
            _unfused.remove(token)
            if not _unfused:
                torch.backends.mha.set_fastpath_enabled(_fused_before)


@contextmanager
def as_found(
    model: object, device: torch.device | None, beside: Iterable[nn.Module] = (), *, train_mode: bool = False
) -> Iterator[None]:
    """A frame in which `model` is in eval mode, on `device` (None: where it is), and records no gradients unless it
    asks for them itself, as under `torch.no_grad()`.

    `beside` are all modules that a callable computes with: they are put in eval mode too, and stay where they are. With
    `train_mode` every module keeps the mode that it is in, and buffers get their numbers back. Afterwards every
    submodule's train flag, every parameter's and buffer's device and storage, gradients, requires_grad and the autograd
    mode are as they were, also after errors and KeyboardInterrupt. The flags are set one by one, since a model's own
    `train()` may do more than set them (merge adapters, freeze norms). Tensors that the model makes and keeps are
    ordinary ones, whatever mode the caller is in. Threads must take turns in such frames of one model: they would put
    back each other's changes.
    """
    own = list(model.modules()) if isinstance(model, nn.Module) else []
    modules = list(dict.fromkeys([*own, *beside]))
    training = [module for module in modules if getattr(module, "training", False)]  # a frozen script has no flag
    kept_mode = [(buffer, buffer.clone()) for buffer in _buffers(training)] if train_mode else []
    parameters = list(dict.fromkeys(each for module in modules for each in module.parameters(recurse=False)))
    trainable = [(parameter, parameter.requires_grad) for parameter in parameters]
    gradients = [(parameter, parameter.grad) for parameter in parameters]
    moved = list(model.parameters()) if device is not None and isinstance(model, nn.Module) else []
    stored = [(parameter, parameter.data) for parameter in moved]
    buffers = [(module, name, buffer) for module in own for name, buffer in module._buffers.items()]
    # The fused transformer path is skipped in hooked modules and zeroes padded positions: with it, a tapped pass and a
    # plain one would differ.
    token = object()

    def restore() -> None:
        _return_to_fused_path(token)
        for module in training:
            module.training = True
        for parameter, data in stored:
            if parameter.data_ptr() != data.data_ptr() or parameter.device != data.device:
                parameter.data = data
        for parameter, flag in trainable:
            if parameter.requires_grad != flag:
                parameter.requires_grad_(flag)
        for parameter, gradient in gradients:
            if parameter.grad is not gradient:
                parameter.grad = gradient
        if device is not None:
            for module, name, buffer in buffers:
                module._buffers[name] = buffer
        with torch.no_grad():
            for written, numbers in kept_mode:
                written.copy_(numbers)

    with forking.ended_in_child(restore):
        try:
            _leave_fused_path(token)
            with torch.inference_mode(False), torch.no_grad():
                if device is not None:
                    _move(stored, buffers, own, device)
                for module in training:
                    module.training = train_mode
                for parameter, _ in gradients:
                    parameter.grad = None  # what a pass adds to a gradient is added to a new one
                yield
        finally:
            try:
                restore()
            except BaseException:  # Interrupted while restoring: finish restoring, then re-raise.
                restore()
                raise


def _buffers(modules: Iterable[nn.Module]) -> Iterator[Tensor]:
    return (buffer for module in modules for buffer in module.buffers(recurse=False))


def _move(
    stored: list[tuple[nn.Parameter, Tensor]],
    buffers: list[tuple[nn.Module, str, Tensor | None]],
    modules: list[nn.Module],
    device: torch.device,
) -> None:
    """Puts copies on `device` in the places of parameters and buffers, whose own storages stay untouched."""
    copies: dict[int, Tensor] = {}
    for parameter, data in stored:
        parameter.data = data.to(device)
    for module, name, buffer in buffers:
        if buffer is not None:
            module._buffers[name] = copies.setdefault(id(buffer), buffer.to(device))
    if device.type == "cuda":
        for module in modules:
            if isinstance(module, nn.RNNBase):
                module.flatten_parameters()  # cuDNN wants the copies in one piece
