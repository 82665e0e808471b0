"""Edits that change each value in its place, for inputs whose values are quantities.

clip(x, low, high)                  no value below low or above high
noise(x, sigma, seed)               plus normal noise of this standard deviation
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ...errors import BindError
from ..dtypes import limits
from ..interning import node
from ..kinds import InputKind
from ..sources import Edit
from .form import EditArgument, NumberArgument, Surroundings, WholeArgument, edit_form
from .numbers import narrowed_within_range


@node
class Clip(Edit):
    """Every value within [low, high]; BindError where low is above high."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise BindError(f"clip needs low ≤ high, not {self.low:g} and {self.high:g}")


@node
class Noise(Edit):
    """Normal noise added, the same for each seed and shape."""

    sigma: float
    seed: int


def _clipped(edit: Clip, x: Tensor, surroundings: Surroundings) -> Tensor:
    if x.is_floating_point():
        return narrowed_within_range(x.double().clamp(edit.low, edit.high), x, edit)
    # Whole numbers are clipped to whole bounds inside [low, high], so that rounding cannot leave that range.
    low, high = limits(x.dtype)
    least, most = max(math.ceil(edit.low), low), min(math.floor(edit.high), high)
    if least > most:
        raise BindError(f"no {x.dtype} lies between {edit.low:g} and {edit.high:g}")
    return torch.from_numpy(x.numpy().clip(least, most).astype(x.numpy().dtype))


def _noisy(edit: Noise, x: Tensor, surroundings: Surroundings) -> Tensor:
    drawn = np.random.default_rng(int(edit.seed)).standard_normal(tuple(x.shape))
    return narrowed_within_range(x.double() + edit.sigma * torch.from_numpy(drawn), x, edit)


def _clip_arguments(kind: InputKind) -> tuple[EditArgument, ...] | None:
    return (NumberArgument("low", "a bound"), NumberArgument("high", "a bound")) if kind.quantities else None


def _noise_arguments(kind: InputKind) -> tuple[EditArgument, ...] | None:
    sigma = NumberArgument("sigma", "the standard deviation", _negative)
    return (sigma, WholeArgument("seed", "the seed", 0)) if kind.quantities else None


def _negative(sigma: float) -> str | None:
    return f"the standard deviation must be at least 0, not {sigma:g}" if sigma < 0 else None


CLIP = edit_form(Clip, _clipped, _clip_arguments, takes_baseline=False)
NOISE = edit_form(Noise, _noisy, _noise_arguments, takes_baseline=False)
