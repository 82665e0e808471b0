"""What the steps of a network are: convolutions, linear maps, norms, activations, sums, pads.

In: a step of a graph. Out: its weights and numbers, or None where it is something else, or something that is not known
to be that alone. Reads graphs and modules, and changes none.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..graph import Graph, GraphStep, Ref
from ..graph.form import refs
from .fused import Activation, Moves, Weights

_CONVOLUTIONS: dict[object, int] = {
    **{nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3, F.conv1d: 1, F.conv2d: 2, F.conv3d: 3},
    **{torch.conv1d: 1, torch.conv2d: 2, torch.conv3d: 3},
}
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_PADS = (nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d, nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d)
_IDENTITIES = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
_SUMS = (operator.add, operator.iadd, torch.add, "add", "add_")
_ACTIVATIONS: dict[object, Callable[..., Activation]] = {
    **dict.fromkeys((nn.ReLU, F.relu, torch.relu, torch.relu_, "relu", "relu_"), lambda: Activation("relu")),
    **dict.fromkeys((nn.ReLU6, F.relu6), lambda: Activation("hardtanh", (0.0, 6.0))),
    **dict.fromkeys((nn.SiLU, F.silu), lambda: Activation("swish")),
    **dict.fromkeys((nn.Hardswish, F.hardswish), lambda: Activation("hardswish")),
    **dict.fromkeys((nn.Sigmoid, F.sigmoid, torch.sigmoid, "sigmoid", "sigmoid_"), lambda: Activation("sigmoid")),
    **dict.fromkeys((nn.Tanh, F.tanh, torch.tanh, "tanh", "tanh_"), lambda: Activation("tanh")),
    **dict.fromkeys((nn.Hardtanh, F.hardtanh), lambda a=-1.0, b=1.0: Activation("hardtanh", (float(a), float(b)))),
    **dict.fromkeys((nn.LeakyReLU, F.leaky_relu), lambda slope=0.01: Activation("leaky_relu", (float(slope),))),
    **dict.fromkeys((nn.GELU, F.gelu), lambda kind="none": Activation("gelu", (), kind)),
}
_NUMBERS: dict[object, tuple[str, ...]] = {  # of an activation, as its module and its function name them
    **{nn.Hardtanh: ("min_val", "max_val"), F.hardtanh: ("min_val", "max_val")},
    **{nn.LeakyReLU: ("negative_slope",), F.leaky_relu: ("negative_slope",)},
    **{nn.GELU: ("approximate",), F.gelu: ("approximate",)},
}


def has_weights(module: nn.Module) -> bool:
    """Whether a module holds convolutions or linear maps, so that a fold may be worth its while."""
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
    return any(isinstance(part, kinds) for part in module.modules())


def _called(step: GraphStep) -> object:
    """What a step calls: the type of a module, a function, or the name of a method. A module whose calls do more than
    its type tells is of no kind."""
    if step.kind != "module":
        return step.target if step.kind in ("function", "method") else None
    part: nn.Module = step.target
    more = "forward" in vars(part) or part._forward_hooks or part._forward_pre_hooks
    return None if more or getattr(part, "_compiled_call_impl", None) is not None else type(part)


def _alone(step: GraphStep) -> bool:
    """Whether a step is given one value of another step, and nothing else."""
    return len(step.arguments) == 1 and isinstance(step.arguments[0], Ref) and not step.keywords


def _arguments(step: GraphStep, names: tuple[str, ...], usual: Mapping[str, object]) -> dict[str, Any] | None:
    """The arguments of a function by name; None where others were given, or the first is no value of another step."""
    found = {**usual, **dict(zip(names, step.arguments, strict=False)), **step.keywords}
    given = step.arguments and isinstance(step.arguments[0], Ref) and len(step.arguments) <= len(names)
    return found if given and found.keys() == {*names} else None


def _held(value: object, graph: Graph) -> Tensor | None:
    """The tensor that an argument is, if the module holds it."""
    step = graph.steps[value.step] if isinstance(value, Ref) else None
    if step is None or step.kind not in ("attribute", "constant"):
        return None
    found = step.run({})
    return found.detach() if isinstance(found, Tensor) else None


def is_identity(step: GraphStep) -> bool:
    """Whether a step returns what it is given, in evaluation."""
    return step.kind == "module" and _called(step) in _IDENTITIES and _alone(step) and not step.target.training


def is_sum(step: GraphStep) -> bool:
    """Whether a step is the sum of the values of two steps."""
    return (
        _called(step) in _SUMS
        and len(step.arguments) == 2
        and all(isinstance(each, Ref) for each in step.arguments)
        and not step.keywords
    )


def weights(step: GraphStep, graph: Graph) -> Weights | None:
    """The weights of a step that is a convolution or a linear map of the value of another."""
    called = _called(step)
    if step.kind == "module" and _alone(step):
        part: Any = step.target
        bias = None if getattr(part, "bias", None) is None else part.bias.detach()
        if called is nn.Linear:
            return Weights(part.weight.detach(), bias, None)
        if called not in _CONVOLUTIONS or part.padding_mode != "zeros":
            return None
        moves = _moves(_CONVOLUTIONS[called], part.stride, part.padding, part.dilation, part.groups)
        return None if moves is None else Weights(part.weight.detach(), bias, moves)
    if step.kind != "function" or not (called is F.linear or called in _CONVOLUTIONS):
        return None
    names: tuple[str, ...] = ("input", "weight", "bias")
    usual: dict[str, object] = {"bias": None}
    if called is not F.linear:
        names = (*names, "stride", "padding", "dilation", "groups")
        usual |= {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    told = _arguments(step, names, usual)
    weight, bias = (None, None) if told is None else (_held(told["weight"], graph), _held(told["bias"], graph))
    if told is None or weight is None or (bias is None) != (told["bias"] is None):
        return None
    if called is F.linear:
        return Weights(weight, bias, None) if weight.dim() == 2 else None
    moves = _moves(_CONVOLUTIONS[called], told["stride"], told["padding"], told["dilation"], told["groups"])
    fits = moves is not None and weight.dim() == len(moves.stride) + 2
    return Weights(weight, bias, moves) if fits else None


def _moves(dims: int, stride: object, padding: object, dilation: object, groups: object) -> Moves | None:
    pads = (0,) * dims if padding == "valid" else _each(padding, dims)  # 'same' stays as it is
    steps, gaps = _each(stride, dims), _each(dilation, dims)
    if pads is None or steps is None or gaps is None or not isinstance(groups, int):
        return None
    return Moves(steps, pads, gaps, groups)


def _each(value: object, dims: int) -> tuple[int, ...] | None:
    """A number, or numbers, for each dimension."""
    numbers = (value,) * dims if isinstance(value, int) else value
    if not isinstance(numbers, tuple | list) or not all(isinstance(number, int) for number in numbers):
        return None
    numbers = tuple(numbers) * (dims if len(numbers) == 1 else 1)
    return cast("tuple[int, ...]", numbers) if len(numbers) == dims else None


def norm(step: GraphStep, graph: Graph) -> tuple[Tensor, Tensor] | None:
    """The scale and the shift of a batch norm of the value of another step, (channels,) in double precision."""
    told: dict[str, Any] | None
    if step.kind == "module" and _called(step) in _NORMS and _alone(step):
        part: Any = step.target
        told = {"training": part.training or part.running_mean is None, "eps": part.eps}
        mean, var, weight, bias = part.running_mean, part.running_var, part.weight, part.bias
    elif step.kind == "function" and step.target is F.batch_norm:
        names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
        told = _arguments(step, names, {"weight": None, "bias": None, "training": False, "momentum": 0.1, "eps": 1e-5})
        mean, var, weight, bias = [None if told is None else _held(told[name], graph) for name in names[1:5]]
        if told is None or [told[name] is None for name in names[3:5]] != [weight is None, bias is None]:
            return None
    else:
        return None
    if mean is None or var is None or told["training"] is not False or not isinstance(told["eps"], float):
        return None
    scale = (var.detach().double() + told["eps"]).rsqrt()
    scale = scale if weight is None else scale * weight.detach().double()
    shift = -mean.detach().double() * scale
    return scale, shift if bias is None else shift + bias.detach().double()


def scaled(held: Weights, scale: Tensor, shift: Tensor) -> Weights:
    """The weights of what comes before a norm, with the norm in them."""
    weight = held.weight.double() * scale.view(-1, *[1] * (held.weight.dim() - 1))
    bias = shift if held.bias is None else shift + scale * held.bias.double()
    return Weights(weight.to(held.weight.dtype), bias.to(held.weight.dtype), held.moves, normed=True)


def activation(step: GraphStep) -> Activation | None:
    """The activation that a step is, of the value of another step."""
    called = _called(step)
    make = _ACTIVATIONS.get(called)
    if make is None or not step.arguments:
        return None
    names = _NUMBERS.get(called, ())
    if step.kind == "module":
        return make(*(getattr(step.target, name) for name in names)) if _alone(step) else None
    given = dict(zip(names, step.arguments[1:], strict=False))
    given |= {name: value for name, value in step.keywords.items() if name != "inplace"}
    further = len(step.arguments) - 1 - len(names)  # `inplace` comes last
    if not given.keys() <= {*names} or further > 1 or next(refs(step.arguments[1:]), None) is not None:
        return None
    told = [given[name] for name in names if name in given]
    return make(*told) if len(told) in (0, len(names)) else None


def padding(step: GraphStep, dims: int) -> list[tuple[int, int]] | None:
    """How many zeros a step puts before and after each of the last `dims` dimensions; None for any other step."""
    called, numbers = _called(step), None
    if step.kind == "module" and called in _PADS and _alone(step):
        numbers = None if step.target.value != 0 else step.target.padding
    elif step.kind == "function" and called is F.pad:
        told = _arguments(step, ("input", "pad", "mode", "value"), {"mode": "constant", "value": None})
        numbers = told["pad"] if told and told["mode"] == "constant" and not told["value"] else None
    if not isinstance(numbers, tuple | list) or not all(isinstance(each, int) for each in numbers):
        return None
    if len(numbers) > 2 * dims:
        return None
    every = [*numbers, *[0] * (2 * dims - len(numbers))]
    return [(every[2 * k], every[2 * k + 1]) for k in reversed(range(dims))]
