"""Edits that move features, for inputs whose features lie in a plane or on a line.

    scale(x, s)                         zoomed about the centre, s times as large
    rotate(x, degrees)                  turned about the centre, counter-clockwise
    shift(x, rows, cols)                moved down and to the right; tokens: shift(x, positions)

Where no feature moves to, the result is the baseline at that place, because absent features have the baseline's value;
so these features are null players. Values between pixels are interpolated bilinearly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..baselines import Baseline
from ..dtypes import common_dtype
from ..interning import node
from ..kinds import InputKind
from ..sources import Edit
from .form import EditArgument, NumberArgument, Surroundings, edit_form
from .numbers import narrowed


@node
class Scale(Edit):
    """The picture `factor` times as large, about its centre."""

    factor: float
    baseline: Baseline


@node
class Rotate(Edit):
    """The picture turned about its centre, counter-clockwise."""

    degrees: float
    baseline: Baseline


@node
class Shift(Edit):
    """The picture `by` (rows, cols) further down and to the right; tokens `by` (positions,) later."""

    by: tuple[float, ...]
    baseline: Baseline


def _moved(edit: Scale | Rotate | Shift, x: Tensor, surroundings: Surroundings) -> Tensor:
    background = surroundings.baseline(edit.baseline, x)
    result = _sampled(x.double(), *_origin(edit, *x.shape[1:]), background.double())
    return narrowed(result, common_dtype(x.dtype, background.dtype))


def _shifted(edit: Shift, x: Tensor, surroundings: Surroundings) -> Tensor:
    if len(edit.by) == 1:
        return _later(x, int(edit.by[0]), surroundings.baseline(edit.baseline, x))
    return _moved(edit, x, surroundings)


def _later(x: Tensor, positions: int, background: Tensor) -> Tensor:
    """The sequence `positions` later, or earlier if negative; the baseline at positions that no token moves to."""
    count = len(x)
    moved = max(-count, min(positions, count))
    result = background.clone().to(common_dtype(x.dtype, background.dtype))
    result[max(0, moved) : count + min(0, moved)] = x[max(0, -moved) : count - max(0, moved)].to(result.dtype)
    return result


def _origin(edit: Scale | Rotate | Shift, height: int, width: int) -> tuple[Tensor, Tensor]:
    """For each pixel (height, width) of the edited picture, the row and the column in the original picture."""
    middle, centre = (height - 1) / 2, (width - 1) / 2
    down = torch.arange(height, dtype=torch.float64)[:, None].expand(height, width)
    across = torch.arange(width, dtype=torch.float64)[None].expand(height, width)
    match edit:
        case Shift((rows, cols), _):
            return down - rows, across - cols
        case Scale(factor, _):
            return middle + (down - middle) / factor, centre + (across - centre) / factor
        case Rotate(degrees, _):
            # Rounded, because the sine of a quarter turn is a whole number, but not if it is computed from radians.
            sine, cosine = (round(function(math.radians(degrees % 360)), 15) for function in (math.sin, math.cos))
            down, across = down - middle, across - centre
            return middle + cosine * down + sine * across, centre + cosine * across - sine * down
    raise AssertionError(f"no move: {edit!r}")


def _sampled(image: Tensor, rows: Tensor, cols: Tensor, background: Tensor) -> Tensor:
    """The image (C, H, W) at rows and cols (H, W), bilinearly; beyond the border, the background's pixel."""
    height, width = image.shape[1:]
    rows, cols = rows.clamp(-2, height + 1), cols.clamp(-2, width + 1)  # further outside, the result is the same
    result, covered = torch.zeros_like(image), torch.zeros_like(rows)
    for row in (rows.floor(), rows.floor() + 1):
        for col in (cols.floor(), cols.floor() + 1):
            within = (row >= 0) & (row < height) & (col >= 0) & (col < width)
            share = within * (1 - (rows - row).abs()) * (1 - (cols - col).abs())
            pixels = image[:, row.clamp(0, height - 1).long(), col.clamp(0, width - 1).long()]
            result += _shared(share, pixels)
            covered += share
    return result + _shared(1 - covered, background)


def _shared(share: Tensor, pixels: Tensor) -> Tensor:
    """`share` times `pixels`; 0 where the share is 0, also where a pixel is infinite or NaN."""
    return torch.where(share != 0, share * pixels, 0.0)


def _in_a_plane(*arguments: EditArgument) -> Callable[[InputKind], tuple[EditArgument, ...] | None]:
    return lambda kind: arguments if kind.layout == "plane" else None


def _shift_arguments(kind: InputKind) -> tuple[EditArgument, ...] | None:
    match kind.layout:
        case "plane":
            return NumberArgument("rows", "a shift"), NumberArgument("cols", "a shift")
        case "line":
            return (NumberArgument("positions", "a shift", _between_positions),)
    return None


def _between_positions(positions: float) -> str | None:
    return None if positions == int(positions) else "tokens are shifted by whole positions"


def _not_above_zero(factor: float) -> str | None:
    return "the factor must be above 0: 2 is twice as large, 0.5 half" if factor <= 0 else None


def _shift(*values: Any) -> Shift:
    *by, baseline = values
    return Shift(tuple(by), baseline)


SCALE = edit_form(
    Scale, _moved, _in_a_plane(NumberArgument("factor", "the factor", _not_above_zero)), takes_baseline=True
)
ROTATE = edit_form(Rotate, _moved, _in_a_plane(NumberArgument("degrees", "the angle in degrees")), takes_baseline=True)
SHIFT = edit_form(Shift, _shifted, _shift_arguments, takes_baseline=True, make=_shift)
