"""Edits: what-if changes of an input, made before anything is explained. In: an edit and a tensor; out: a tensor.

    nullify(x, w)                       the baseline inside w
    substitute(x, w, x')                x' inside w
    scale(x, s)                         zoomed about the centre, s times as large
    rotate(x, degrees)                  turned about the centre, counter-clockwise
    shift(x, rows, cols)                moved down and to the right; tokens: shift(x, positions)
    clip(x, low, high)                  no value below low or above high
    noise(x, sigma, seed)               plus normal noise of this standard deviation

An edit keeps the input's shape and its kind. What a move brings into the picture is the baseline in its own place, for
the baseline is what an absent feature is; so a feature that was moved away is a null player. Values between pixels are
interpolated bilinearly. The tensors of other inputs come through functions that the caller passes in, for nothing here
knows the catalog.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from ..errors import BindError, ShapeError
from .baselines import Baseline, Blur, Given, Mean, materialise
from .interning import node
from .kinds import columns_of
from .sources import Edit, Source
from .windows import Window, evaluate


@node
class Nullify(Edit):
    """The baseline inside the window."""

    window: Window
    baseline: Baseline


@node
class Substitute(Edit):
    """Another input inside the window."""

    window: Window
    other: Source


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


@node
class Clip(Edit):
    """Every value within [low, high]."""

    low: float
    high: float


@node
class Noise(Edit):
    """Normal noise added, the same for each seed and shape."""

    sigma: float
    seed: int


MEANS: Final[Mapping[str, tuple[str, ...]]] = {
    "image": ("nullify", "substitute", "scale", "rotate", "shift", "clip", "noise"),
    "tabular": ("nullify", "substitute", "clip", "noise"),
    "tokens": ("nullify", "substitute", "shift"),
}
"""The modifiers that mean something, by the kind of the input."""

TAKES_BASELINE: Final = ("nullify", "scale", "rotate", "shift")
"""Those that leave something absent."""


def edited(
    x: Tensor,
    edit: Edit,
    kind: str,
    feature_names: Sequence[str] | None,
    element: Callable[[Source], Tensor],
    collection: Callable[[str], Sequence[Tensor]],
) -> Tensor:
    """`x` after one edit; `x` itself stays as it is.

    Raises ShapeError where another input, a baseline or a mask does not fit, BindError where values leave the range of
    the input's numbers.
    """

    def inside(window: Window) -> Tensor:
        selected = evaluate(window, columns_of(kind, x.numpy(), feature_names))
        return torch.from_numpy(np.array(selected, order="C"))  # how numbers lie in memory shows in a model's last bits

    match edit:
        case Nullify(window, baseline):
            return _where(inside(window), materialise(baseline, x, element, collection), x)
        case Substitute(window, other):
            given = element(other)
            if given.shape != x.shape or given.is_floating_point() != x.is_floating_point():
                raise ShapeError(
                    f"'{other}' is {given.dtype} {tuple(given.shape)} and cannot stand in an input that is {x.dtype} "
                    f"{tuple(x.shape)}"
                )
            return _where(inside(window), given, x)
        case Shift((positions,), baseline):
            return _later(x, int(positions), materialise(baseline, x, element, collection))
        case Scale() | Rotate() | Shift():
            background = materialise(edit.baseline, x, element, collection)
            result = _sampled(x.double(), *_origin(edit, *x.shape[1:]), background.double())
            dtype = torch.promote_types(x.dtype, background.dtype)
        case Clip(low, high) if x.is_floating_point():
            result, dtype = x.double().clamp(low, high), x.dtype
        case Clip(low, high):
            return _clipped(x, low, high)
        case Noise(sigma, seed):
            drawn = np.random.default_rng(seed).standard_normal(tuple(x.shape))
            result, dtype = x.double() + sigma * torch.from_numpy(drawn), x.dtype
        case _:
            raise AssertionError(f"not an edit: {edit!r}")
    return _narrowed(result, dtype, x, edit)


def _where(selected: Tensor, inside: Tensor, outside: Tensor) -> Tensor:
    common = torch.promote_types(inside.dtype, outside.dtype)
    return torch.where(selected, inside.to(common), outside.to(common))


def _clipped(x: Tensor, low: float, high: float) -> Tensor:
    """Whole numbers clipped to those within the bounds, so that rounding leads none out of them."""
    known = torch.iinfo(x.dtype)
    least, most = max(math.ceil(low), known.min), min(math.floor(high), known.max)
    if least > most:
        raise BindError(f"no {x.dtype} lies between {low:g} and {high:g}")
    return torch.from_numpy(x.numpy().clip(least, most))


def _narrowed(result: Tensor, dtype: torch.dtype, x: Tensor, edit: Edit) -> Tensor:
    """`result` in the input's own kind of numbers: whole ones are rounded, and kept in their range."""
    if not dtype.is_floating_point:
        known = torch.iinfo(dtype)
        most = float(known.max)  # of 64 bits one too many, which would turn round to the least
        most = most if most <= known.max else math.nextafter(most, 0)
        return result.round().clamp(known.min, most).to(dtype)
    narrow = result.to(dtype)
    adds = isinstance(edit, Clip | Noise)  # moves make means of what is there, were it infinite
    if adds and not torch.isfinite(narrow).all() and torch.isfinite(x).all():
        raise BindError(
            f"{edit.around('…')} leaves the range of {dtype}, which holds up to {torch.finfo(dtype).max:.2g}"
        )
    return narrow


def _later(x: Tensor, positions: int, background: Tensor) -> Tensor:
    """The sequence `positions` later, or earlier; the baseline where nothing has come."""
    count = len(x)
    moved = max(-count, min(positions, count))
    result = background.clone().to(torch.promote_types(x.dtype, background.dtype))
    result[max(0, moved) : count + min(0, moved)] = x[max(0, -moved) : count - max(0, moved)]
    return result


def _origin(edit: Scale | Rotate | Shift, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where in the picture each pixel (height, width) of the edited one comes from: its row and its column."""
    middle, centre = (height - 1) / 2, (width - 1) / 2
    down = torch.arange(height, dtype=torch.float64)[:, None].expand(height, width)
    across = torch.arange(width, dtype=torch.float64)[None].expand(height, width)
    match edit:
        case Shift((rows, cols), _):
            return down - rows, across - cols
        case Scale(factor, _):
            return middle + (down - middle) / factor, centre + (across - centre) / factor
        case Rotate(degrees, _):
            # Quarters of a turn are whole numbers, which sines of radians only come near.
            sine, cosine = (round(function(math.radians(degrees % 360)), 15) for function in (math.sin, math.cos))
            down, across = down - middle, across - centre
            return middle + cosine * down + sine * across, centre + cosine * across - sine * down
    raise AssertionError(f"no move: {edit!r}")


def _sampled(image: Tensor, rows: Tensor, cols: Tensor, background: Tensor) -> Tensor:
    """The image (C, H, W) at rows and cols (H, W), bilinearly; beyond its border lies the background's own pixel."""
    height, width = image.shape[1:]
    rows, cols = rows.clamp(-2, height + 1), cols.clamp(-2, width + 1)  # so far outside that it does not matter
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
    """`share` times `pixels`; nothing of nothing, also where a pixel is infinite or NaN."""
    return torch.where(share != 0, share * pixels, 0.0)


def registered(parts: Iterable[Source | Baseline]) -> Iterator[str]:
    """The names of all registered inputs that sources and baselines read, edits included."""
    for part in parts:
        match part:
            case Source(name, _, edits):
                yield name
                for edit in edits:
                    match edit:
                        case Substitute(_, other):
                            yield from registered([other])
                        case Nullify(baseline=baseline) | Scale(baseline=baseline):
                            yield from registered([baseline])
                        case Rotate(baseline=baseline) | Shift(baseline=baseline):
                            yield from registered([baseline])
            case Given(source) | Blur(source, _) if source is not None:
                yield from registered([source])
            case Mean(name):
                yield name
