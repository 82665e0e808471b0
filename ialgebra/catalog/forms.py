"""How a registered value is read: its kind, how its axes lie, and whether it is one input or several.

In: tensors as a caller gave them, and what the registration says of them (`kind=`, `layout=`). Out: an `InputForm`,
whose tensors lie as their kind holds them, with the reading in words; or a ShapeError or BindError that says how to.
Where the shape is plain nothing needs to be said; where it is not, this module asks. It may not know the catalog,
models or queries.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ..algebra.dtypes import common_dtype
from ..algebra.kinds import KINDS, InputKind, forms, is_batch, kind_named, kind_of
from ..errors import BindError, ShapeError, did_you_mean
from ..system.arrays import Array

_CHANNEL_COUNTS = (1, 3, 4)  # of grey pictures, of colours, and of colours with transparency
_FORMS = forms()


@dataclass(frozen=True, eq=False)
class ShapeReading:
    """How a value of some shape is read; `layout` is how its axes lie, and `how` is the reading in words."""

    kind: InputKind
    collection: bool
    layout: str | None
    how: str

    def held(self, tensor: Tensor) -> Tensor:
        """One input, which lies as the layout says, with its axes as its kind holds them."""
        if self.layout is None or self.layout == self.kind.layouts[0]:
            return tensor
        return _held(tensor, self.layout, self.kind.layouts[0])


@dataclass(frozen=True, eq=False)
class InputForm:
    """A value as it is read: `tensors`, one an input, lie as `kind` holds them; `layout` is how they lay, and `how` is
    the reading in words."""

    kind: InputKind
    tensors: list[Tensor]
    collection: bool
    layout: str | None
    how: str


def form(name: str, given: Tensor | list[Tensor], kind: str | None = None, layout: str | None = None) -> InputForm:
    """How input `name` is read: one tensor, or a list of several inputs; `kind` and `layout` are what its registration
    says of it.

    Raises BindError for a kind or a layout that does not exist or does not fit the other, ShapeError for a shape that
    fits no kind, or that may lie in two ways.
    """
    listed = isinstance(given, list)
    tensors = given if isinstance(given, list) else [given]
    if len(shapes := {tuple(each.shape) for each in tensors}) > 1:
        raise ShapeError(
            f"the inputs of collection '{name}' differ in shape: {sorted(shapes)}; several inputs of one model are "
            "registered as a mapping from the names in its forward, such as {'photo': …, 'row': …}"
        )
    if not tensors or tensors[0].numel() == 0:
        raise ShapeError(f"input '{name}' is empty; register {_FORMS}")
    shape = (len(tensors), *tensors[0].shape) if listed else tuple(tensors[0].shape)
    fractions = next((each.dtype for each in tensors if each.is_floating_point()), None)
    read = shape_reading(name, shape, fractions or tensors[0].dtype, listed, kind, layout)
    known = read.kind
    if read.collection and not listed:
        tensors = list(tensors[0])
    tensors = [read.held(each) for each in tensors]
    if known.common_dtype and fractions is not None:  # some rows of a table may have only whole numbers
        wide = reduce(common_dtype, {each.dtype: None for each in tensors})
        tensors = [each.to(wide) for each in tensors] if any(not t.is_floating_point() for t in tensors) else tensors
    return InputForm(known, tensors, read.collection, read.layout, read.how)


def shape_reading(
    name: str, shape: tuple[int, ...], dtype: torch.dtype, listed: bool, kind: str | None, layout: str | None
) -> ShapeReading:
    """How input `name` of this shape is read; if `listed`, the first axis counts separate inputs. Raises what `form`
    raises."""
    known = _kind(name, shape, dtype, listed, kind, layout)
    lies = _layout(name, known, shape[1:] if listed else shape, layout)
    axes = known.dimensions if lies is None else len(lies)
    collection = listed or len(shape) == axes + 1
    if len(shape) != axes + collection:
        needed = f"kind='{known.name}' needs {known.axes}" if layout is None else f"layout='{lies}' has {axes} axes"
        raise ShapeError(f"input '{name}' has shape {shape}; {needed}, or a batch or list of these")
    return ShapeReading(known, collection, lies, _in_words(shape, dtype, known, collection, lies))


def pictures(name: str, value: object, layout: str | None) -> tuple[object, str | None]:
    """A picture of Pillow, or a list of them, as arrays and their layout; any other value, and its layout, unchanged.

    Pillow is not imported. A picture with a palette is read as its colours.
    """
    several = isinstance(value, list | tuple)
    found = list(cast("Sequence[object]", value)) if several else [value]
    if not found or not all(map(_is_picture, found)):
        return value, layout
    if layout is not None and layout.upper() != "HWC":
        raise BindError(f"'{name}' is a picture of Pillow, which lies (H, W, C); layout={layout!r} does not fit it")
    arrays = [_picture(each) for each in found]
    return (arrays if several else arrays[0]), "HWC"


def _is_picture(value: object) -> bool:
    pillow = sys.modules.get("PIL.Image")  # without it, nothing is a picture of Pillow
    return pillow is not None and isinstance(value, pillow.Image)


def _picture(picture: object) -> Array:
    """A picture (H, W, C) of the numbers that it holds."""
    mode = getattr(picture, "mode", "")
    if mode in ("P", "PA"):
        picture = getattr(picture, "convert")("RGB" if mode == "P" else "RGBA")  # noqa: B009  (Pillow is not imported)
    array = np.asarray(picture)
    return array[..., None] if array.ndim == 2 else array


def _kind(
    name: str, shape: tuple[int, ...], dtype: torch.dtype, listed: bool, kind: str | None, layout: str | None
) -> InputKind:
    """The kind that the registration names, by itself or by its layout, or that the shape tells. A list adds an axis to
    `shape`."""
    if kind is not None:
        known = kind_named(kind)
        if dtype.is_floating_point and not known.quantities:
            raise BindError(f"input '{name}' holds {dtype} numbers; {known.article} is of whole numbers")
        return known
    if layout is not None:
        spelled = _spelled(layout)
        own = [each for each in KINDS.values() if spelled in each.layouts]
        if not own:
            layouts = dict.fromkeys(each for one in KINDS.values() for each in one.layouts)
            raise BindError(f"unknown layout {layout!r} of input '{name}'{did_you_mean(spelled, layouts)}")
        return min(own, key=lambda each: each.layouts.index(spelled))
    found = kind_of(shape[1:] if listed or is_batch(len(shape)) else shape, dtype)
    if found is None:
        otherwise = _otherwise(shape, dtype, None, None)
        hint = f", or say {otherwise}" if otherwise else ""
        raise ShapeError(f"input '{name}' has shape {shape}; register {_FORMS}{hint}")
    return found


def _spelled(layout: str) -> str:
    """A layout as kinds spell it: without the axis of a batch, in capitals."""
    spelled = layout.upper()
    return spelled[1:] if len(spelled) > 2 and spelled[0] in "NB" else spelled


def _layout(name: str, kind: InputKind, shape: tuple[int, ...], layout: str | None) -> str | None:
    """The layout that the registration says, or that the shape tells; None for a kind that has one order of axes."""
    if layout is not None:
        spelled = _spelled(layout)
        if spelled not in kind.layouts:
            legal = did_you_mean(spelled, kind.layouts) if kind.layouts else "; leave it out"
            raise BindError(f"layout={layout!r} of input '{name}' means nothing for {kind.article}{legal}")
        return spelled
    if not kind.layouts:
        return None
    if len(shape) < kind.dimensions:  # such as a grey picture (H, W)
        return next((each for each in kind.layouts if len(each) == len(shape)), kind.layouts[0])
    if kind.dimensions == 4:
        return _channels_among(name, kind, shape[-4:])
    return kind.layouts[0] if kind.dimensions < 3 or len(shape) < 3 else _channels(name, shape[-3:])


def _channels(name: str, shape: tuple[int, ...]) -> str:
    """Where the channels of a picture are, first or last, if its shape tells; ShapeError if it does not."""
    first, middle, last = shape
    if last in _CHANNEL_COUNTS:
        if first in _CHANNEL_COUNTS:
            if first < middle == last:
                return "CHW"
            if last < first == middle:
                return "HWC"
        elif last < min(first, middle):
            return "HWC"
        elif first < min(middle, last):
            return "CHW"
    elif first in _CHANNEL_COUNTS or not (last == 2 < min(first, middle)):
        return "CHW"
    raise ShapeError(
        f"input '{name}' has shape {shape}, which may be a picture of {first} channels, {middle} × {last}, or of "
        f"{last} channels, {first} × {middle}; say which with layout='CHW' or layout='HWC'"
    )


def _channels_among(name: str, kind: InputKind, shape: tuple[int, ...]) -> str:
    """The one layout of four axes whose axis of channels has 1, 3 or 4 entries or, of other numbers, the fewest;
    ShapeError if it may be another one."""
    layouts = [each for each in kind.layouts if len(each) == 4]
    channels = {each: shape[each.index("C")] for each in layouts}
    fewest = min(channels.values())
    fitting = [each for each in layouts if channels[each] in _CHANNEL_COUNTS or channels[each] == fewest]
    if len(fitting) == 1 and (fewest in _CHANNEL_COUNTS or fewest < sorted(shape)[1]):
        return fitting[0]
    asked = " or ".join(f"layout='{each}'" for each in fitting or layouts)
    raise ShapeError(f"input '{name}' has shape {shape}, which may be {kind.article} in several ways; say {asked}")


def _held(tensor: Tensor, lies: str, held: str) -> Tensor:
    """A tensor whose axes lie as `lies` says, with its axes as `held` says; an axis that `lies` leaves out has length
    1."""
    missing = [axis for axis in held if axis not in lies]
    letters = lies + "".join(missing)
    wide = tensor.reshape(*tensor.shape, *(1 for _ in missing))
    return wide.permute([letters.index(axis) for axis in held]).contiguous()


def _in_words(shape: tuple[int, ...], dtype: torch.dtype, kind: InputKind, collection: bool, layout: str | None) -> str:
    """How a value of this shape was read, and what in its registration would have it read otherwise; empty if nothing
    would."""
    otherwise = _otherwise(shape, dtype, kind, layout)
    if not otherwise:
        return ""
    count = "1 input" if shape[0] == 1 else f"{shape[0]} inputs"
    what = f"{count}, each {kind.article}" if collection else kind.article
    lay = f" that lay {layout}" if layout is not None and layout != kind.layouts[0] else ""
    colours = _colours_advised(kind, collection, layout, shape)
    read = f"was read as {what} {kind.axes}{lay}"
    return f"of shape {shape} {read}; {colours}{otherwise} in register_input reads it otherwise"


def _colours_advised(kind: InputKind, collection: bool, layout: str | None, shape: tuple[int, ...]) -> str:
    """What to do with a grey picture or a transparent one for a network of three colours; empty for other values."""
    if kind.name != "image":
        return ""
    channels = 1 if layout is None or "C" not in layout else shape[collection + layout.index("C")]
    what = {1: "grey", 2: "grey, perhaps with transparency", 4: "of four channels, perhaps one of transparency"}.get(
        channels
    )
    if what is None:
        return ""
    return f"it is {what}: for a network of three colours, register the picture of Pillow as picture.convert('RGB'); "


def _otherwise(shape: tuple[int, ...], dtype: torch.dtype, kind: InputKind | None, layout: str | None) -> str:
    """The other kinds and layouts that a value of this shape could be registered with."""
    names = [
        each.name
        for each in KINDS.values()
        if each is not kind
        and (each.quantities or not dtype.is_floating_point)
        and (len(shape) in (each.dimensions, each.dimensions + 1) or (len(shape) > 1 and _fewer(each, len(shape))))
    ]
    layouts = [] if kind is None or layout is None else [each for each in kind.layouts if len(each) == len(layout)]
    if kind is not None and kind.name == "image":
        axes = shape[-len(layout) :] if layout else ()
        layouts = [each for each in layouts if "C" not in each or axes[each.index("C")] in _CHANNEL_COUNTS]
    said = [f"layout='{each}'" for each in layouts if each != layout] + [f"kind='{each}'" for each in names]
    return " or ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)


def _fewer(kind: InputKind, axes: int) -> bool:
    """Whether a layout of this kind has that many axes, fewer than the kind."""
    return axes < kind.dimensions and any(len(each) == axes for each in kind.layouts)
