"""Captum's methods by name: `USING captum.IntegratedGradients(n_steps => 50)`.

In: a `Question`. Out: Captum's own map. A fixed list of names maps to classes of `captum.attr`, and options are the
parameters of their signatures that have plain values, so that a query cannot name anything else in Captum. Captum is an
extra, imported when the first query names one of its methods.
"""

from __future__ import annotations

import importlib
import inspect
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import BindError
from .protocol import ModelInterpreter, Operation, Option, Options, Question

# Parameters that are not options: they have no plain value, or change the form of the answer.
_NOT_OPTIONS = {"return_convergence_delta", "return_input_shape", "attr_dim_summation", "show_progress", "verbose"}
_OPTIONS_WITHOUT_DEFAULT = {
    "sliding_window_shapes": Option("numbers", required=True, least=1),
    "strides": Option("numbers", least=1),
    "internal_batch_size": Option("whole", least=1),
    "layer": Option("layer", required=True),
}
_MODES = ("nearest", "bilinear", "bicubic", "area")


@dataclass(frozen=True)
class CaptumMethod(ModelInterpreter):
    """One attribution class of `captum.attr`. It uses the query's baseline if its `attribute` takes `baselines`, and
    the query's players if its `attribute` takes a `feature_mask`."""

    name: str
    of: str = ""  # the name of the class, if it is not `name`
    needs_gradients: bool = True
    needs_module: bool = False
    sampled: bool = False

    @cached_property
    def options(self) -> Mapping[str, Option]:  # type: ignore[override]
        found = {name: option for name, default in self._parameters.items() if (option := _option(name, default))}
        if self._class == "LayerGradCam":
            found["interpolate_mode"] = Option("word", legal=_MODES)
        return found

    @property
    def _class(self) -> str:
        return self.of or self.name

    @cached_property
    def cannot(self) -> Mapping[Operation, str]:  # type: ignore[override]
        if "baselines" in self._parameters:
            return {}
        return {
            "project": "it reads no baseline that the rest of the input could stay at",
            "antijoin": "it reads no baseline that another input could be",
        }

    def rows(self, players: int, shape: Sequence[int], options: Options) -> int:
        samples = int(cast(int, options.get("n_samples", 25)))
        match self.name:
            case "IntegratedGradients":
                return 2 * int(cast(int, options.get("n_steps", 50)))
            case "GradientShap":
                return 2 * int(cast(int, options.get("n_samples", 5)))
            case "DeepLift" | "GuidedGradCam":
                return 4
            case "FeatureAblation":
                return 1 + players
            case "Lime" | "KernelShap":
                return samples
            case "ShapleyValueSampling":
                return 1 + samples * players
            case "ShapleyValues":
                return 1 + math.factorial(min(players, 20)) * players
            case "Occlusion":
                windows = _sizes(options["sliding_window_shapes"], shape)
                steps = _sizes(options.get("strides", (1,) * len(shape)), shape)
                counts = [1 + math.ceil(max(0, n - w) / s) for n, w, s in zip(shape, windows, steps, strict=True)]
                return 1 + math.prod(counts)
        return 2

    def attribute(self, question: Question) -> Tensor | NDArray[np.floating]:
        attr = _captum()
        options = dict(question.options)
        made = {name: options.pop(name) for name in list(options) if name in self._made_with}
        x = question.foreground.detach().clone().unsqueeze(0)
        if self.needs_gradients:
            x.requires_grad_()
        asked: dict[str, object] = {}
        if "baselines" in self._parameters:
            asked["baselines"] = question.baseline.unsqueeze(0)
        if "feature_mask" in self._parameters:
            asked["feature_mask"] = _mask(question.players).unsqueeze(0).to(x.device)
        if "layer" in made:
            index = int(cast(int, made.pop("layer")))
            if index not in question.layers:
                raise BindError(f"captum.{self.name} reads layer {index}, which the layer that is explained cuts off")
            made["layer"] = cast(Any, question.layers[index])
        mode = str(options.pop("interpolate_mode", "nearest")) if self._class == "LayerGradCam" else ""
        for name in ("internal_batch_size", "perturbations_per_eval"):
            if name in self._parameters:
                options.setdefault(name, question.batch_size)
        for name in ("sliding_window_shapes", "strides"):
            if name in options:
                options[name] = _sizes(options[name], x.shape[1:])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about hooks that Captum sets and removes
            found = getattr(attr, self._class)(question.scalar, **made).attribute(x, **asked, **options)
            if mode:
                found = _upsampled(attr.LayerAttribution.interpolate, found, tuple(x.shape[1:]), mode)
        return _spread(found[0].detach(), question.players) if "feature_mask" in asked else found[0].detach()

    @cached_property
    def _made_with(self) -> Mapping[str, object]:
        return _defaults(getattr(_captum(), self._class).__init__)

    @cached_property
    def _parameters(self) -> Mapping[str, object]:
        """The parameters of the class and of its `attribute`, with their defaults."""
        return {**self._made_with, **_defaults(getattr(_captum(), self._class).attribute)}


def _captum() -> Any:
    try:
        return importlib.import_module("captum.attr")
    except ImportError as cause:
        raise BindError('Captum is not installed; run: pip install "ialgebra[captum]"') from cause


def _defaults(function: Callable[..., object]) -> dict[str, object]:
    return {name: each.default for name, each in inspect.signature(function).parameters.items()}


def _option(name: str, default: object) -> Option | None:
    """The option for a parameter; None if a query cannot set it."""
    if name in _NOT_OPTIONS:
        return None
    match default:
        case bool():
            return Option("flag")
        case int():
            return Option("whole", least=1)
        case float():
            return Option("number", least=0)
        case str():
            return Option("word")
    return _OPTIONS_WITHOUT_DEFAULT.get(name)


def _sizes(given: object, shape: Sequence[int]) -> tuple[int, ...]:
    """One number for each dimension. A single number is used for all dimensions, except an image's channels."""
    if isinstance(given, tuple) and len(given) > 1:
        if len(given) != len(shape):
            raise BindError(f"{given} has {len(given)} numbers; an input of shape {tuple(shape)} needs {len(shape)}")
        return tuple(min(int(size), most) for size, most in zip(given, shape, strict=True))
    one = int(given[0] if isinstance(given, tuple) else cast(int, given))
    inner = tuple(min(one, most) for most in shape)
    return (shape[0], *inner[1:]) if len(shape) == 3 else inner


def _mask(players: NDArray[np.int64]) -> Tensor:
    """The players as groups counted from 0; the features outside the window are one more group."""
    return torch.from_numpy(np.where(players < 0, players.max() + 1, players))


def _spread(found: Tensor, players: NDArray[np.int64]) -> Tensor:
    """Captum gives every feature of a group the value of the whole group; divide it by the group's size."""
    mask = _mask(players)
    return found / torch.bincount(mask.flatten())[mask].to(found.device, found.dtype)


def _upsampled(
    interpolate: Callable[[Tensor, tuple[int, ...], str], Tensor], found: Tensor, shape: tuple[int, ...], mode: str
) -> Tensor:
    """A layer's map (1, 1, h, w) in the input's size; the value at a position is divided equally among the channels."""
    if len(shape) != 3 or found.dim() != 4:
        raise BindError("captum.GradCam needs an image, and a layer whose output is (C, H, W)")
    return interpolate(found, shape[1:], mode).expand(1, *shape) / shape[0]


def methods() -> dict[str, CaptumMethod]:
    """Every Captum method, by its name in queries."""
    found = [CaptumMethod(name) for name in ("IntegratedGradients", "Saliency", "InputXGradient")]
    found += [CaptumMethod("GradientShap", sampled=True)]
    found += [CaptumMethod(name, needs_module=True) for name in ("DeepLift", "GuidedBackprop", "Deconvolution")]
    found += [CaptumMethod(name, needs_module=True) for name in ("LayerGradCam", "GuidedGradCam")]
    for name in ("Occlusion", "FeatureAblation", "ShapleyValues"):
        found.append(CaptumMethod(name, needs_gradients=False))
    for name in ("Lime", "KernelShap", "ShapleyValueSampling"):
        found.append(CaptumMethod(name, needs_gradients=False, sampled=True))
    found += [CaptumMethod("GradCam", of="LayerGradCam", needs_module=True)]
    return {f"captum.{each.name}": each for each in found}
