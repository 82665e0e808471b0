"""Axes: directions in the space of codes along which something changes, a model's score for example.

In: codes of a collection, and one number for each input. Out: an `Axis`, one step of which moves a code by one standard
deviation of the collection. Codes are whitened first (mean 0, covariance 1), so that the step is the same whatever the
scales of the codes. Knows tensors only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..errors import BindError
from .whitening import whitening

_PENALTIES = (0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # of a ridge regression, as shares of the number of inputs
_HELD_OUT = 0.2
_FEWEST = 8  # inputs that an axis is fitted to


@dataclass(frozen=True, eq=False)
class Axis:
    """A direction of generator `generator`: `direction` (levels, width) is one standard deviation of its collection's
    codes. `r2` is the share of the held-out variance of what it was fitted to (`of`, in words) that codes tell, and NaN
    where nothing was fitted; `held` are the axes that it does not move, `model` is the model whose score it follows."""

    name: str
    generator: str
    direction: Tensor
    of: str
    r2: float = float("nan")
    held: tuple[str, ...] = ()
    model: str = ""

    @cached_property
    def key(self) -> str:
        """A name for its content."""
        content = self.direction.double().contiguous().numpy().tobytes()
        return hashlib.blake2b(f"{self.generator}|{self.name}|".encode() + content, digest_size=12).hexdigest()


@dataclass(frozen=True, eq=False)
class CodeSpace:
    """The codes (n, levels, width) of a collection with their mean and spread: `whiten` (D, r) and `colour` (r, D) lead
    to whitened codes of mean 0 and covariance 1 in the r directions in which they differ, and back."""

    codes: Tensor
    mean: Tensor
    whiten: Tensor
    colour: Tensor

    @classmethod
    def of(cls, codes: Sequence[Tensor] | Tensor) -> CodeSpace:
        """The space of some codes; BindError for fewer than 8, or if all are equal."""
        stacked = (codes if isinstance(codes, Tensor) else torch.stack(list(codes))).double()
        if len(stacked) < _FEWEST:
            raise BindError(f"an axis needs a collection of {_FEWEST} inputs or more; this one has {len(stacked)}")
        flat = stacked.reshape(len(stacked), -1)
        mean = flat.mean(dim=0)
        whiten, colour = whitening((flat - mean).T @ (flat - mean) / (len(flat) - 1))
        if not len(colour):
            raise BindError(
                "all inputs of this collection have the same code, so that no axis leads from one to another"
            )
        return cls(stacked, mean, whiten, colour)

    @property
    def form(self) -> tuple[int, ...]:
        """(levels, width)."""
        return tuple(self.codes.shape[1:])

    @cached_property
    def whitened(self) -> Tensor:
        """The codes (n, r) with mean 0 and covariance 1."""
        return (self.codes.reshape(len(self.codes), -1) - self.mean) @ self.whiten

    def direction(self, slope: Tensor) -> Tensor:
        """The step (levels, width) of one standard deviation along a slope (r,) of whitened codes."""
        unit = slope / slope.norm()
        step: Tensor = (unit @ self.colour).reshape(self.form)
        return step


def fitted_axis(
    name: str,
    generator: str,
    of: str,
    space: CodeSpace,
    values: Tensor,
    seed: int = 0,
    holding: Sequence[Axis] = (),
    model: str = "",
) -> Axis:
    """The axis along which `values` (n,) grow fastest: ridge regression on whitened codes, whose penalty and R² are
    told by a fifth of the inputs that are held out. With `holding`, the steepest direction that moves none of these
    axes, as far as they are not the same.

    Raises BindError for values that do not vary or are not finite, and where the held axes leave no direction.
    """
    slope, r2 = _regressed(name, space.whitened, values.double(), seed)
    if holding:
        others = torch.stack([_unit(each.direction.double().reshape(-1) @ space.whiten) for each in holding], dim=1)
        basis, _ = torch.linalg.qr(others)
        left = slope - basis @ (basis.T @ slope)
        if float(left.norm()) < 1e-6 * float(slope.norm()):
            held = ", ".join(each.name for each in holding)
            raise BindError(f"axis '{name}' cannot hold {held}: it moves along nothing else")
        slope = left
    return Axis(name, generator, space.direction(slope), of, r2, tuple(each.name for each in holding), model)


def principal_axis(name: str, generator: str, space: CodeSpace, number: int) -> Axis:
    """The `number`-th (from 1) principal component of the codes; BindError if there are fewer."""
    rank = space.colour.shape[0]
    if not 1 <= number <= rank:
        raise BindError(f"the codes of '{generator}' have principal components 1 to {rank}, not {number}")
    step = space.colour[rank - number]
    sign = 1.0 if float(step[step.abs().argmax()]) > 0 else -1.0  # so that it is the same on every machine
    return Axis(name, generator, (sign * step).reshape(space.form), f"pca({number})")


def _unit(vector: Tensor) -> Tensor:
    length = vector.norm()
    return vector if not float(length) > 0 else vector / length


def _regressed(name: str, codes: Tensor, values: Tensor, seed: int) -> tuple[Tensor, float]:
    """The slope (r,) on all inputs, and R² on those that were held out."""
    if len(values) != len(codes):
        raise BindError(f"axis '{name}' needs {len(codes)} numbers, one for each input; got {len(values)}")
    if not bool(torch.isfinite(values).all()):
        raise BindError(f"axis '{name}' needs finite numbers; some of its scores are NaN or infinite")
    if not float(values.std()) > 0:
        raise BindError(f"axis '{name}' needs scores that vary; all {len(values)} are {float(values[0]):g}")
    order = torch.randperm(len(values), generator=torch.Generator().manual_seed(seed))
    held, rest = order[: max(2, int(_HELD_OUT * len(values)))], order[max(2, int(_HELD_OUT * len(values))) :]
    spread = float((values[held] - values[rest].mean()).square().sum())
    best, best_error = _PENALTIES[0], float("inf")
    for penalty in _PENALTIES:
        if penalty == 0 and len(rest) <= codes.shape[1] + 1:
            continue  # it would fit noise
        slope, offset = _ridge(codes[rest], values[rest], penalty)
        error = float((values[held] - codes[held] @ slope - offset).square().sum())
        if error < best_error * (1 - 1e-9):
            best, best_error = penalty, error
    return _ridge(codes, values, best)[0], 1 - best_error / spread if spread > 0 else float("nan")


def _ridge(codes: Tensor, values: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """The slope and offset of the ridge regression of values (n,) on codes (n, r)."""
    middle, level = codes.mean(dim=0), values.mean()
    centred = codes - middle
    gram = centred.T @ centred + penalty * len(codes) * torch.eye(codes.shape[1], dtype=codes.dtype)
    slope = torch.linalg.lstsq(gram, (centred.T @ (values - level))[:, None]).solution[:, 0]
    return slope, level - middle @ slope
