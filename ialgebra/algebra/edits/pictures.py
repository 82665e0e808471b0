"""Edits of the light and the sharpness of pictures.

brightness(x, by)                   lighter by that share of the range from black to white; darker if negative
contrast(x, by)                     every distance from the picture's mean 1 + by times as large
blur(x, sigma)                      after a Gaussian blur of sigma pixels, as the baseline of that name

With 0 each leaves the picture as it is. Black and white are the ends of the scale on which the picture was registered
(0 … 255, 0 … 1, −1 … 1, or from the least to the greatest of its numbers), and no number leaves that scale.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor

from ..baselines import gaussian_blur
from ..interning import node
from ..kinds import InputKind
from ..sources import Edit
from .form import EditArgument, NumberArgument, Surroundings, edit_form
from .numbers import narrowed

LARGE = 16.0
"""Pixels are larger than this somewhere; pictures of another scale nowhere."""

_MOST_PIXELS = 1e4  # of a blur


@node
class Brightened(Edit):
    """Every value plus `by` times the range of the picture's scale."""

    called: ClassVar[str] = "brightness"

    by: float


@node
class Contrasted(Edit):
    """Every value's distance from the mean of the picture times 1 + `by`."""

    called: ClassVar[str] = "contrast"

    by: float


@node
class Blurred(Edit):
    """The picture after a Gaussian blur of `sigma` pixels, with replicated borders."""

    called: ClassVar[str] = "blur"

    sigma: float


def picture_scale(pictures: Iterable[Tensor]) -> tuple[float, float]:
    """Black and white of pictures: 0 and 255 of pixels, 0 and 1, or −1 and 1, where all numbers lie between; else the
    least and the greatest of the numbers."""
    low, high = torch.inf, -torch.inf
    for picture in pictures:
        if picture.dtype == torch.uint8:
            return 0.0, 255.0
        finite = picture[torch.isfinite(picture)]
        if len(finite):
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if not low <= high:
        return 0.0, 1.0
    if low >= 0 and LARGE < high <= 255:
        return 0.0, 255.0
    if low >= -1 and high <= 1:
        return (0.0, 1.0) if low >= 0 else (-1.0, 1.0)
    return low, high


def _lighter(edit: Brightened, x: Tensor, surroundings: Surroundings) -> Tensor:
    low, high = surroundings.scale()
    return _within(x.double() + edit.by * (high - low), x, low, high)


def _contrasted(edit: Contrasted, x: Tensor, surroundings: Surroundings) -> Tensor:
    wide = x.double()
    finite = wide[torch.isfinite(wide)]
    mean = finite.mean() if len(finite) else wide.new_zeros(())
    return _within(wide + edit.by * (wide - mean), x, *surroundings.scale())


def _within(changed: Tensor, x: Tensor, low: float, high: float) -> Tensor:
    """`changed` in the type of `x`, limited to the scale; a value of `x` beyond it may stay where it is."""
    wide = x.double()
    return narrowed(torch.maximum(torch.minimum(changed, wide.clamp(min=high)), wide.clamp(max=low)), x.dtype)


def _blurred(edit: Blurred, x: Tensor, surroundings: Surroundings) -> Tensor:
    if float(edit.sigma) == 0:
        return x.clone()
    wide = x if x.is_floating_point() and x.itemsize > 2 else x.float()
    return narrowed(gaussian_blur(wide, float(edit.sigma)), x.dtype)


def _brightness_arguments(kind: InputKind) -> tuple[EditArgument, ...] | None:
    return (NumberArgument("by", "the brightness", _beyond_one),) if kind.layout == "plane" else None


def _contrast_arguments(kind: InputKind) -> tuple[EditArgument, ...] | None:
    return (NumberArgument("by", "the contrast", _below_none),) if kind.layout == "plane" else None


def _blur_arguments(kind: InputKind) -> tuple[EditArgument, ...] | None:
    return (NumberArgument("sigma", "the blur in pixels", _no_width),) if kind.layout == "plane" else None


def _beyond_one(by: float) -> str | None:
    return None if -1 <= by <= 1 else f"the brightness must lie between -1 (black) and 1 (white), not at {by:g}"


def _below_none(by: float) -> str | None:
    return None if by >= -1 else f"the contrast must be at least -1, which is none at all, not {by:g}"


def _no_width(sigma: float) -> str | None:
    return None if 0 <= sigma < _MOST_PIXELS else f"the blur must be from 0 to below 10,000 pixels, not {sigma:g}"


BRIGHTNESS = edit_form(Brightened, _lighter, _brightness_arguments, takes_baseline=False)
CONTRAST = edit_form(Contrasted, _contrasted, _contrast_arguments, takes_baseline=False)
BLUR = edit_form(Blurred, _blurred, _blur_arguments, takes_baseline=False)
