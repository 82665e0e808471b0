"""Files of generators: a generator that was fitted here in, a safetensors file out, and back again.

A file says which kind of generator it holds, and the sizes of its parts; the tensors of the file have to fit these. No
code is in it. Knows nothing of how generators are fitted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from ..errors import BindError, IalgebraError, ShapeError
from ..models import weight_files
from ..system import checks
from .linear import LinearGenerator
from .style import DrawingFigures, StyleGenerator
from .style_nets import StyleNets

_FORM = weight_files.FileForm("generators", 1, ("generator",))
_MOST = 1 << 24  # of a size, and of the numbers of an input
_MOST_SIZES = 1 << 12  # of latents, widths and groups


def save_generator(generator: LinearGenerator | StyleGenerator, path: str | Path) -> Path:
    """Write a generator to a safetensors file, completely or not at all, and return its path.

    Raises BindError where the file cannot be written, and for a generator of another class: its own code saves that.
    """
    path = checks.path("the path of a file of a generator", path)
    if type(generator) not in (LinearGenerator, StyleGenerator):
        raise BindError(
            f"a {type(generator).__name__} cannot be saved here; only LinearGenerator and StyleGenerator can"
        )
    document: dict[str, object] = {"shape": list(generator.shape), "levels": generator.levels}
    if isinstance(generator, LinearGenerator):
        document |= {"kind": "linear"}
    else:
        figures = None if generator.figures is None else asdict(generator.figures)
        document |= {"kind": "style", "latents": generator.latents, "width": generator.width, "figures": figures}
        document |= {"groups": len(generator.shares)}
    held = {name: each.detach().cpu().contiguous().clone() for name, each in generator.state_dict().items()}
    weight_files.write(_FORM, path, weight_files.content_of(_FORM, {"generator": json.dumps(document)}, held))
    return path


def load_generator(path: str | Path) -> LinearGenerator | StyleGenerator:
    """The generator that `save_generator` wrote, with the same bits. Raises BindError or ShapeError for a missing,
    damaged or foreign file."""
    path = checks.path("the path of a file of a generator", path)
    header, tensors = weight_files.read(_FORM, path)
    try:
        told = checks.parsed("its description", weight_files.entry(header, "generator"))
        kind = checks.text("its kind", told.get("kind") if isinstance(told, dict) else None, among=tuple(_KINDS))
        form, made = _KINDS[kind]
        found: LinearGenerator | StyleGenerator = made(checks.fields_of("of its description", told, form), tensors)
        return found
    except IalgebraError as error:
        raise type(error)(f"'{path}' is no file of a generator, or is damaged: {error.message}") from error


def _shape(what: str, value: object) -> tuple[int, ...]:
    sizes: Any = checks.sequence(partial(checks.whole, low=1, high=_MOST), what, value)
    if not sizes or math.prod(sizes) > _MOST:
        raise BindError(f"{what} must have 1 to {_MOST:,} numbers")
    return tuple(sizes)


def _linear(form: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> LinearGenerator:
    mean, components = (weight_files.finite(_FORM, name, tensors) for name in ("mean", "components"))
    if len(tensors) > 2 or mean.dtype != components.dtype:
        raise BindError("it holds a mean and components of one type, and nothing else")
    if mean.dim() != 1 or not components.numel():
        raise ShapeError(f"its mean is {tuple(mean.shape)} and its components are {tuple(components.shape)}")
    return LinearGenerator(mean, components, form["shape"], form["levels"])


def _style(form: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> StyleGenerator:
    shape = form["shape"]
    if len(shape) != 3:
        raise ShapeError(f"its pictures are (channels, height, width), not {shape}")
    with torch.device("meta"):  # it takes no memory before its form is known to be that of the numbers
        made = StyleGenerator(StyleNets(shape, form["latents"], form["width"]), shape, form["groups"])
    if made.levels != form["levels"]:
        raise BindError(f"pictures {shape} have {made.levels} levels, not {form['levels']}")
    own = made.state_dict()
    if set(own) != set(tensors):
        name = min(set(own) ^ set(tensors))
        raise BindError(f"it {'lacks' if name in own else 'has'} the tensor {checks.shown(name)}")
    for name, each in own.items():
        held = weight_files.finite(_FORM, name, tensors)
        if held.shape != each.shape or held.dtype != torch.float32:
            raise ShapeError(
                f"the tensor {checks.shown(name)} is {held.dtype} {tuple(held.shape)}; float32 {tuple(each.shape)} is "
                "needed"
            )
    shares = tensors["shares"]
    if not (bool((tensors["spread"] > 0).all()) and bool(tensors["low"] < tensors["high"])):
        raise BindError("its scales must be above 0")
    if bool((shares < 0).any()) or not 0.99 < float(shares.sum()) < 1.01:
        raise BindError("the shares of its mixture must be 0 or more, and 1 in all")
    made.load_state_dict(dict(tensors), assign=True)
    if form["figures"] is not None:
        made.figures = DrawingFigures(**form["figures"])
    return made.eval().requires_grad_(False)


def _figures(what: str, value: object) -> dict[str, Any]:
    return checks.fields_of(f"of {what}", value, _FIGURES)


_COUNT: Final[checks.Check] = partial(checks.whole, low=0)
_SIZE: Final[checks.Check] = partial(checks.whole, low=1, high=_MOST_SIZES)
_FIGURES: Final[Mapping[str, checks.Check]] = {
    "mse": partial(checks.number, low=0.0),
    "similarity": partial(checks.number, low=-1.0, high=1.0),
    "learned": _COUNT,
    "held_out": _COUNT,
    "interrupted": checks.flag,
}
_COMMON: Final[Mapping[str, checks.Check]] = {"kind": checks.text, "shape": _shape, "levels": _SIZE}
_KINDS: Final[Mapping[str, tuple[Mapping[str, checks.Check], Callable[..., Any]]]] = {
    "linear": (_COMMON, _linear),
    "style": (
        {
            **_COMMON,
            "latents": _SIZE,
            "width": _SIZE,
            "groups": _SIZE,
            "figures": partial(checks.optional, _figures),
        },
        _style,
    ),
}
