"""How operations hand on supports: one rule for each kind of operation that sees a part of its input only.

In: a step of a graph, what is known of its arguments, and the shape of its value. Out: the value's `Support`, or None
where no rule is known, which ends the prefix. Classes and functions are known by identity: a subclass may compute
something else.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..folds.fused import FusedConvolution
from .form import Graph, GraphStep, mapped
from .supports import (
    Support,
    joined,
    padded,
    resampled,
    sections,
    shared_out,
    slid,
    slid_backwards,
    together,
)

RowShape = tuple[int, ...]
KnownValue = Any
"""What is known of an argument: a Support, a tuple of them, or the value, if it does not depend on the input."""

Rule = Callable[..., "Support | tuple[Support, ...] | None"]


class FixedTensor:
    """A tensor that does not depend on the input, by its shape."""

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)


class NotKnown:
    """A value that depends on the input in a way that no rule tells."""


UNKNOWN = NotKnown()


def supports(graph: Graph, shapes: Mapping[int, object]) -> dict[int, Support | tuple[Support, ...]]:
    """The supports of the values of a graph, as far as rules tell them. `shapes` are the shapes of the values in a pass
    of one row, where they are tensors or tuples of tensors."""
    known: dict[int, KnownValue] = {}
    found: dict[int, Support | tuple[Support, ...]] = {}
    for step in graph.steps:
        known[step.number] = told = _of(step, known, shapes.get(step.number))
        if isinstance(told, Support | tuple):
            found[step.number] = told
    return found


def _of(step: GraphStep, known: Mapping[int, KnownValue], shape: object) -> KnownValue:
    if step.kind == "input":
        return Support.of_input(shape) if isinstance(shape, tuple) else UNKNOWN
    if step.kind in ("attribute", "constant"):
        value = step.run({})
        return FixedTensor(value.shape) if isinstance(value, Tensor) else UNKNOWN
    arguments = mapped(step.arguments, known.__getitem__)
    keywords = mapped(dict(step.keywords), known.__getitem__)
    if not any(isinstance(known[number], Support | tuple) for number in step.reads):
        return UNKNOWN
    if any(known[number] is UNKNOWN for number in step.reads) or shape is None:
        return UNKNOWN
    rule = _rule(step)
    if rule is None:
        return UNKNOWN
    try:
        told = rule(shape, step.target, *arguments, **keywords)
    except (TypeError, ValueError, IndexError, AttributeError):  # arguments that the rule does not know
        return UNKNOWN
    if isinstance(told, Support) and told.shape != shape:
        told = told.shaped(shape) if isinstance(shape, tuple) else None
    return UNKNOWN if told is None else told


def _rule(step: GraphStep) -> Rule | None:
    if step.kind == "module":
        return MODULES.get(type(step.target)) if "forward" not in step.target.__dict__ and _plain(step.target) else None
    if isinstance(step.target, FusedConvolution):
        return fused
    return (METHODS if step.kind == "method" else FUNCTIONS).get(step.target)


def _plain(module: nn.Module) -> bool:
    return not (module._forward_hooks or module._forward_pre_hooks or module.training)


# One by one --------------------------------------------------------------------------------------------------------


def elementwise(shape: RowShape, _target: object, x: Support, *rest: object, **named: object) -> Support | None:
    """Every element of one activation is computed from itself."""
    if any(isinstance(each, Support | tuple | FixedTensor) for each in (*rest, *named.values())):
        return None
    return x.shaped(shape)


def combined(shape: RowShape, _target: object, x: KnownValue, y: KnownValue, **named: object) -> Support | None:
    """Elements at one place are computed together, as in a sum."""
    if named.keys() - {"alpha", "rounding_mode"}:
        return None
    supports = [each for each in (x, y) if isinstance(each, Support)]
    for each in (x, y):
        if isinstance(each, FixedTensor) and len(each.shape) >= len(shape) and each.shape[0] != 1:
            return None  # it has a row for each row of the batch
        if isinstance(each, tuple) or (isinstance(each, Support) and len(each.shape) > len(shape)):
            return None
    if any(len(each.shape) != len(shape) for each in supports):
        return None  # the batch would no longer be the first axis
    return together(supports, shape)


def normalised(shape: RowShape, module: Any, x: Support) -> Support | None:
    """A norm with the statistics that it has learned."""
    return x.shaped(shape) if module.running_mean is not None and module.running_var is not None else None


def layer_norm(shape: RowShape, module: Any, x: Support) -> Support | None:
    return x.mixed(range(len(shape) - len(module.normalized_shape), len(shape))).shaped(shape)


def layer_norm_function(
    shape: RowShape, _target: object, x: Support, sizes: Sequence[int], *_rest: object, **_named: object
) -> Support | None:
    return x.mixed(range(len(shape) - len(tuple(sizes)), len(shape))).shaped(shape)


def last_mixed(shape: RowShape, _target: object, x: Support, *rest: object, **_named: object) -> Support | None:
    """A linear map of the last axis."""
    if any(isinstance(each, Support) for each in rest) or len(x.shape) < 3:
        return None
    return x.mixed([len(shape) - 1]).shaped(shape)


def embedded(shape: RowShape, module: Any, x: Support) -> Support | None:
    return x.shaped(shape) if module.max_norm is None else None


def mean(
    shape: RowShape, _target: object, x: Support, dim: int | Sequence[int] | None = None, keepdim: bool = False
) -> Support | None:
    """A mean, or a sum, over some axes."""
    if dim is None:
        return None
    axes = _axes(dim, x)
    if 0 in axes:
        return None
    mixed = x.mixed(axes)
    return mixed.shaped(shape) if keepdim else mixed.moved([k for k in range(len(x.shape)) if k not in axes], shape)


def _axes(dim: int | Sequence[int], x: Support) -> list[int]:
    return [each % len(x.shape) for each in ((dim,) if isinstance(dim, int) else dim)]


# Windows -----------------------------------------------------------------------------------------------------------


def _each(value: Any, count: int) -> tuple[int, ...]:
    each = (value,) * count if isinstance(value, int) else tuple(value)
    return each * count if len(each) == 1 else each


def _windows(
    shape: RowShape,
    x: Support,
    sizes: Any,
    strides: Any,
    pads: Sequence[tuple[int, int]],
    dilations: Any,
    mode: str,
) -> Support | None:
    found: Support = x
    for n, (before, after) in enumerate(pads):
        axis = n + 2
        places = padded(x.shape[axis], before, after, mode)
        if places is None:
            return None
        seen = slid(places, shape[axis], sizes[n], strides[n], dilations[n])
        found = found.along(axis, lambda link, seen=seen: link.windows(seen))  # type: ignore[misc]
    return found.shaped(shape)


def _paddings(padding: Any, sizes: Sequence[int], dilations: Sequence[int]) -> list[tuple[int, int]]:
    if padding == "valid":
        return [(0, 0)] * len(sizes)
    if padding == "same":
        whole = [d * (k - 1) for k, d in zip(sizes, dilations, strict=True)]
        return [(each // 2, each - each // 2) for each in whole]
    return [(each, each) for each in _each(padding, len(sizes))]


def convolution(shape: RowShape, module: Any, x: Support) -> Support | None:
    pads = _paddings(module.padding, module.kernel_size, module.dilation)
    mode = module.padding_mode
    return _convolved(shape, x, module.kernel_size, module.stride, pads, module.dilation, mode)


def _convolved(
    shape: RowShape, x: Support, sizes: Any, strides: Any, pads: Any, dilations: Any, mode: str
) -> Support | None:
    if len(x.shape) != len(sizes) + 2:
        return None
    return _windows(shape, x.mixed([1]), sizes, strides, pads, dilations, mode)


def convolution_function(
    shape: RowShape,
    _target: object,
    x: Support,
    weight: FixedTensor,
    bias: object = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Support | None:
    if not isinstance(weight, FixedTensor) or isinstance(bias, Support):
        return None
    sizes = weight.shape[2:]
    dilations = _each(dilation, len(sizes))
    strides, pads = _each(stride, len(sizes)), _paddings(padding, sizes, dilations)
    return _convolved(shape, x, sizes, strides, pads, dilations, "zeros")


def fused(shape: RowShape, run: Any, x: Support, other: KnownValue = None) -> Support | None:
    """A folded convolution, with what is added to it."""
    moves = run.weights.moves
    pads = [(each, each) for each in moves.padding]
    found = _convolved(shape, x, run.shape[2:], moves.stride, pads, moves.dilation, "zeros")
    return found if other is None or found is None else combined(shape, run, found, other)


def transposed(shape: RowShape, module: Any, x: Support) -> Support | None:
    sizes = module.kernel_size
    if len(x.shape) != len(sizes) + 2 or module.padding_mode != "zeros":
        return None
    found = x.mixed([1])
    for n, size in enumerate(sizes):
        told = module.stride[n], module.padding[n], module.dilation[n]
        seen = slid_backwards(x.shape[n + 2], shape[n + 2], size, *told)
        found = found.along(n + 2, lambda link, seen=seen: link.windows(seen))  # type: ignore[misc]
    return found.shaped(shape)


def pool(shape: RowShape, module: Any, x: Support) -> Support | None:
    dilation = getattr(module, "dilation", 1)
    if getattr(module, "return_indices", False):
        return None
    return _pooled(shape, x, module.kernel_size, module.stride, module.padding, dilation)


def _pooled(shape: RowShape, x: Support, size: Any, stride: Any, padding: Any, dilation: Any = 1) -> Support | None:
    count = len(shape) - 2
    sizes = _each(size, count)
    strides = sizes if stride is None or stride == () else _each(stride, count)
    pads = [(each, each) for each in _each(padding, count)]
    return _windows(shape, x, sizes, strides, pads, _each(dilation, count), "constant")


def max_pool_function(
    shape: RowShape,
    _target: object,
    x: Support,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Support | None:
    return None if return_indices else _pooled(shape, x, kernel_size, stride, padding, dilation)


def mean_pool_function(
    shape: RowShape,
    _target: object,
    x: Support,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    *_rest: object,
    **_named: object,
) -> Support | None:
    return _pooled(shape, x, kernel_size, stride, padding)


def adaptive(shape: RowShape, _target: object, x: Support, *_rest: object, **named: object) -> Support | None:
    if named.get("return_indices") or len(shape) != len(x.shape):
        return None
    found = x
    for axis in range(2, len(shape)):
        seen = shared_out(x.shape[axis], shape[axis])
        found = found.along(axis, lambda link, seen=seen: link.windows(seen))  # type: ignore[misc]
    return found.shaped(shape)


def adaptive_max(shape: RowShape, module: Any, x: Support) -> Support | None:
    return None if module.return_indices else adaptive(shape, module, x)


def pad_function(
    shape: RowShape, _target: object, x: Support, pad: Sequence[int], mode: str = "constant", value: object = None
) -> Support | None:
    found = x
    for n, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True)):
        axis = len(x.shape) - 1 - n
        places = padded(x.shape[axis], before, after, mode)
        if places is None or axis == 0:
            return None
        found = found.along(axis, lambda link, places=places: link.at(places))  # type: ignore[misc]
    return found.shaped(shape)


def padding(mode: str) -> Rule:
    """The rule of modules that pad so."""
    return lambda shape, module, x: pad_function(shape, module, x, module.padding, mode)


def upsampled(shape: RowShape, module: Any, x: Support) -> Support | None:
    return interpolated(shape, module, x, module.size, module.scale_factor)


def interpolated(
    shape: RowShape,
    _target: object,
    x: Support,
    size: object = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Support | None:
    if antialias or len(shape) != len(x.shape):
        return None
    count = len(shape) - 2
    scales = [None] * count if scale_factor is None else [scale_factor] * count
    if isinstance(scale_factor, tuple | list):
        scales = list(scale_factor)
    found = x
    for axis, scale in enumerate(scales, start=2):
        seen = resampled(x.shape[axis], shape[axis], scale)
        found = found.along(axis, lambda link, seen=seen: link.windows(seen))  # type: ignore[misc]
    return found.shaped(shape)


# Axes and parts ----------------------------------------------------------------------------------------------------


def concatenated(
    shape: RowShape, _target: object, tensors: Sequence[KnownValue], dim: int = 0, **_: object
) -> Support | None:
    if not all(isinstance(each, Support) for each in tensors) or dim % len(shape) == 0:
        return None
    return joined(list(tensors), dim % len(shape), shape)


def permuted(shape: RowShape, _target: object, x: Support, *order: Any, **named: Any) -> Support | None:
    axes = order[0] if len(order) == 1 and not isinstance(order[0], int) else order or named["dims"]
    axes = [each % len(shape) for each in axes]
    return x.moved(axes, shape) if axes[0] == 0 else None


def swapped(shape: RowShape, _target: object, x: Support, dim0: int, dim1: int) -> Support | None:
    order = list(range(len(shape)))
    one, other = dim0 % len(shape), dim1 % len(shape)
    order[one], order[other] = other, one
    return x.moved(order, shape) if order[0] == 0 else None


def flattened(shape: RowShape, _target: object, x: Support, start_dim: int = 0, end_dim: int = -1) -> Support | None:
    first, last = start_dim % len(x.shape), end_dim % len(x.shape)
    return x.merged(first, last).shaped(shape) if 0 < first <= last else None


def flatten_module(shape: RowShape, module: Any, x: Support) -> Support | None:
    return flattened(shape, module, x, module.start_dim, module.end_dim)


def unsqueezed(shape: RowShape, _target: object, x: Support, dim: int) -> Support | None:
    axis = dim % len(shape)
    order = list(range(len(x.shape)))
    moved = [k + (k >= axis) for k in order]
    links = [link if link.axis is None else link._replace(axis=moved[link.axis]) for link in x.links]
    return Support(shape, tuple(links)).shaped(shape) if axis else None


def part(shape: Any, _target: object, x: KnownValue, index: Any) -> Any:
    """A part of a tensor, or one of several values."""
    if isinstance(x, tuple):
        return x[index] if isinstance(index, int) else None
    indices = index if isinstance(index, tuple) else (index,)
    if not isinstance(x, Support) or any(each is None or isinstance(each, Support) for each in indices):
        return None
    if Ellipsis in indices:
        place = indices.index(Ellipsis)
        free = len(x.shape) - len(indices) + 1
        indices = (*indices[:place], *[slice(None)] * free, *indices[place + 1 :])
    if indices[0] != slice(None) or not all(isinstance(each, slice | int) for each in indices):
        return None
    found, kept = x, list(range(len(x.shape)))
    for axis, each in enumerate(indices):
        places = np.arange(x.shape[axis])[each]
        if isinstance(each, int):
            kept.remove(axis)
            found = found.along(axis, lambda link, one=places: link.at(np.array([one])).widest)  # type: ignore[misc]
        else:
            found = found.along(axis, lambda link, some=places: link.at(some))  # type: ignore[misc]
    return found.moved(kept, shape)


def split(shape: Any, _target: object, x: Support, *_rest: object, dim: int = 0, **_: object) -> Any:
    """`split` and `chunk`; the shapes of the parts tell how."""
    axis = (_rest[1] if len(_rest) > 1 and isinstance(_rest[1], int) else dim) % len(x.shape)
    if axis == 0:
        return None
    found = []
    for where, each in zip(sections([one[axis] for one in shape]), shape, strict=True):
        places = np.arange(x.shape[axis])[where]
        found.append(x.along(axis, lambda link, some=places: link.at(some)).shaped(each))  # type: ignore[misc]
    return None if None in found else tuple(found)


MODULES: dict[type[nn.Module], Rule] = {
    **dict.fromkeys(
        (
            *(nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh),
            *(nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.Mish, nn.Softplus, nn.Softsign, nn.PReLU, nn.LogSigmoid),
            *(nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.Threshold),
        ),
        elementwise,
    ),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), normalised),
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), convolution),
    **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), transposed),
    **dict.fromkeys((nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), pool),
    **dict.fromkeys((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d), adaptive),
    **dict.fromkeys((nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d), adaptive_max),
    **dict.fromkeys(
        (nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d, nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d),
        padding("constant"),
    ),
    **dict.fromkeys((nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d), padding("reflect")),
    **dict.fromkeys((nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d), padding("replicate")),
    **dict.fromkeys((nn.CircularPad1d, nn.CircularPad2d, nn.CircularPad3d), padding("circular")),
    **dict.fromkeys((nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d), upsampled),
    nn.LayerNorm: layer_norm,
    nn.Linear: last_mixed,
    nn.Embedding: embedded,
    nn.Flatten: flatten_module,
}
"""The rules of torch's modules."""

FUNCTIONS: dict[object, Rule] = {
    **dict.fromkeys(
        (
            *(
                F.relu,
                torch.relu,
                torch.relu_,
                F.relu_,
                F.relu6,
                F.silu,
                F.gelu,
                F.hardswish,
                F.hardsigmoid,
                F.hardtanh,
            ),
            *(F.leaky_relu, F.elu, F.celu, F.selu, F.mish, F.softplus, F.sigmoid, F.tanh, torch.sigmoid, torch.tanh),
            *(torch.clamp, torch.abs, torch.exp, torch.sqrt, torch.square, torch.neg, operator.neg, torch.pow),
            *(operator.pow,),
        ),
        elementwise,
    ),
    **dict.fromkeys(
        (
            *(operator.add, operator.sub, operator.mul, operator.truediv, operator.iadd, operator.isub, operator.imul),
            *(operator.itruediv, torch.add, torch.sub, torch.mul, torch.div, torch.maximum, torch.minimum),
        ),
        combined,
    ),
    **dict.fromkeys((F.conv1d, F.conv2d, F.conv3d), convolution_function),
    **dict.fromkeys((F.max_pool1d, F.max_pool2d, F.max_pool3d), max_pool_function),
    **dict.fromkeys((F.avg_pool1d, F.avg_pool2d, F.avg_pool3d), mean_pool_function),
    **dict.fromkeys((F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d), adaptive),
    **dict.fromkeys((torch.cat, torch.concat, torch.concatenate), concatenated),
    **dict.fromkeys((torch.split, torch.chunk), split),
    **dict.fromkeys((torch.mean, torch.sum), mean),
    torch.permute: permuted,
    torch.transpose: swapped,
    torch.flatten: flattened,
    torch.unsqueeze: unsqueezed,
    F.pad: pad_function,
    F.interpolate: interpolated,
    F.linear: last_mixed,
    F.layer_norm: layer_norm_function,
    operator.getitem: part,
}
"""The rules of functions."""

METHODS: dict[str, Rule] = {
    **dict.fromkeys(
        ("relu", "relu_", "sigmoid", "tanh", "clamp", "abs", "exp", "sqrt", "square", "pow", "neg", "contiguous"),
        elementwise,
    ),
    **dict.fromkeys(("add", "sub", "mul", "div", "add_", "sub_", "mul_", "div_"), combined),
    **dict.fromkeys(("split", "chunk"), split),
    **dict.fromkeys(("mean", "sum"), mean),
    "permute": permuted,
    "transpose": swapped,
    "flatten": flattened,
    "unsqueeze": unsqueezed,
}
"""The rules of methods of tensors."""
