"""Encoders: what turns the outputs of a dictionary's layers into attributes (B, J).

In: the output of each layer (B, *shape), one argument a layer. Out: attributes, never negative. `JoinedArms` is FLINT's
Ψ: an arm for each layer, by its shape, joined by a linear map; `NonnegativeEncoder` and `SparseEncoder` are those of
the directions of one layer. `described` says in plain values how an encoder is built, and `built` builds it again; its
numbers are its state. Modules only: nothing of training, files or models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import BindError, ShapeError
from .factors import SparseCoder, nonnegative_codes, top_codes

EncoderForm = dict[str, object]
"""How a module is built: numbers, words, and lists of these."""

_CONVOLUTIONS: tuple[type[nn.Conv1d] | type[nn.Conv2d] | type[nn.Conv3d], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_MOST_ARMS, _MOST_DIMENSIONS = 64, 8
_CELLS = {1: 16, 2: 7, 3: 4}  # of the grid that an arm's output is averaged over, along each of so many dimensions

LEAK = 0.02
"""Of what is below 0 in an arm, this part goes on."""


def places_last(hidden: Tensor, pool: Sequence[int]) -> Tensor:
    """A layer's output (B, *shape) as (B, features, positions): the dimensions `pool` (batch counted) are positions,
    all others features, both in row-major order."""
    features = [dim for dim in range(1, hidden.dim()) if dim not in pool]
    ordered = hidden.permute(0, *features, *pool)
    count = math.prod(hidden.shape[dim] for dim in features)
    return ordered.reshape(len(hidden), count, -1)


class Arm(nn.Module):
    """Reads one layer: (B, *shape) → (B, `size`). Of a layer with positions a convolution over 3 of them,
    on a grid of 7 × 7 cells (16 of a series, 4 × 4 × 4 of a volume), fewer where there are fewer positions; before it
    the mean over positions, where there are more than two a cell; and beside it a linear map of each feature's mean and
    largest value over all positions. Of a flat layer a linear map. What is below 0 is multiplied by `leak`, without
    which features that are 0 for all inputs would stay so in training."""

    def __init__(self, shape: Sequence[int], pool: Sequence[int], width: int = 64, leak: float = LEAK) -> None:
        super().__init__()
        self.shape, self.pool, self.width, self.leak = tuple(shape), tuple(pool), width, leak
        features = math.prod(size for dim, size in enumerate(self.shape, start=1) if dim not in self.pool)
        self.convolves = 0 < len(self.pool) <= len(_CONVOLUTIONS)
        self.grid = (
            tuple(min(self.shape[dim - 1], _CELLS[len(self.pool)]) for dim in self.pool) if self.convolves else ()
        )
        self.read: nn.Module
        if self.convolves:
            stride = 2 if any(self.shape[dim - 1] > _CELLS[len(self.pool)] for dim in self.pool) else 1
            self.before = tuple(cells * stride for cells in self.grid)
            self.read = _CONVOLUTIONS[len(self.pool) - 1](features, width, 3, stride, padding=1)
            self.whole = nn.Linear(2 * features, width)
        else:
            self.read = nn.Linear(math.prod(self.shape), width)
        self.register_buffer("scale", torch.ones(()))
        self.scale: Tensor

    @property
    def form(self) -> EncoderForm:
        return {"shape": list(self.shape), "pool": list(self.pool), "width": self.width, "leak": self.leak}

    @property
    def size(self) -> int:
        """The length of its output."""
        return self.width * (math.prod(self.grid) + (1 if self.convolves else 0))

    def forward(self, hidden: Tensor) -> Tensor:
        given = hidden.to(self.scale.dtype) * self.scale
        if not self.convolves:
            if given[0].numel() != math.prod(self.shape):
                raise ShapeError(
                    f"a dictionary was learned from a layer of shape {self.shape}, which is {tuple(hidden.shape[1:])} "
                    "for this input; give inputs of the size that it was learned from"
                )
            return F.leaky_relu(self.read(given.flatten(1)), self.leak)
        sizes = [hidden.shape[dim] for dim in self.pool]
        placed = places_last(given, self.pool)
        cells = self.read(_averaged(placed.reshape(*placed.shape[:2], *sizes), self.before)).flatten(1)
        overall = self.whole(torch.cat([placed.mean(dim=2), placed.amax(dim=2)], dim=1))
        return F.leaky_relu(torch.cat([cells, overall], dim=1), self.leak)


def _averaged(values: Tensor, grid: tuple[int, ...]) -> Tensor:
    if tuple(values.shape[2:]) == grid:
        return values
    match grid:
        case (length,):
            return F.adaptive_avg_pool1d(values, length)
        case (height, width):
            return F.adaptive_avg_pool2d(values, (height, width))
        case (depth, height, width):
            return F.adaptive_avg_pool3d(values, (depth, height, width))
    return values


class JoinedArms(nn.Module):
    """FLINT's Ψ: the arms' outputs side by side, a linear map to J numbers, ReLU. Attributes are multiplied by `unit`
    (J,)."""

    def __init__(self, arms: Sequence[Arm], size: int) -> None:
        super().__init__()
        self.arms = nn.ModuleList(arms)
        self.join = nn.Linear(sum(arm.size for arm in arms), size)
        self.register_buffer("unit", torch.ones(size))
        self.unit: Tensor

    @property
    def form(self) -> EncoderForm:
        arms = [arm.form for arm in self.arms if isinstance(arm, Arm)]
        return {"arm": "joined", "arms": arms, "size": len(self.unit)}

    def multiply(self, by: Tensor) -> None:
        """Multiplies the attributes by numbers (J,). In place."""
        self.unit.mul_(by)

    def forward(self, *hidden: Tensor) -> Tensor:
        return F.relu(self.before(*hidden)) * self.unit

    def before(self, *hidden: Tensor) -> Tensor:
        """The attributes (B, J) before ReLU and `unit`."""
        read = [arm(value) for arm, value in zip(self.arms, hidden, strict=True)]
        joined: Tensor = self.join(torch.cat(read, dim=1))
        return joined


class _OfDirections(nn.Module):
    """The attributes of one layer by directions (J, features): codes at each position, and their mean. Codes are
    multiplied by `unit` (J,), which the directions are divided by."""

    directions: Tensor
    unit: Tensor

    def __init__(self, pool: Sequence[int], size: int, features: int) -> None:
        super().__init__()
        self.pool = tuple(pool)
        self.register_buffer("directions", torch.zeros(size, features))
        self.register_buffer("unit", torch.ones(size))

    def multiply(self, by: Tensor) -> None:
        """Multiplies the attributes by numbers (J,), and divides the directions by them. In place."""
        self.unit.mul_(by)
        self.directions.div_(by[:, None])

    def codes(self, rows: Tensor) -> Tensor:
        """Codes (N, J) of the features (N, F) at N positions."""
        raise NotImplementedError

    def maps(self, hidden: Tensor) -> Tensor:
        """Codes (B, J, P) ≥ 0 of a layer's output (B, *shape) at each of its P positions, in row-major order."""
        placed = places_last(hidden, self.pool)
        if placed.shape[1] != self.directions.shape[1]:
            raise ShapeError(
                f"a dictionary was learned from a layer of {self.directions.shape[1]} features, which has "
                f"{placed.shape[1]} for this input; give inputs of the size that it was learned from"
            )
        rows = placed.transpose(1, 2).reshape(-1, placed.shape[1])
        wide = torch.promote_types(rows.dtype, self.directions.dtype)
        codes = self.codes(rows.to(wide)) * self.unit
        return codes.reshape(len(hidden), placed.shape[2], -1).transpose(1, 2)

    def forward(self, hidden: Tensor) -> Tensor:
        """Attributes (B, J): the mean of the codes over the positions."""
        return self.maps(hidden).mean(dim=2)


class NonnegativeEncoder(_OfDirections):
    """Codes are the nonnegative numbers z with which z · `factors` (J, F) is nearest to the positive part of the
    output; where they are `signed`, (J, 2F), to its positive part and beside it its negative part."""

    def __init__(self, pool: Sequence[int], size: int, features: int, signed: bool = False) -> None:
        super().__init__(pool, size, features)
        self.signed = signed
        self.register_buffer("factors", torch.zeros(size, features * (2 if signed else 1)))
        self.factors: Tensor

    @property
    def form(self) -> EncoderForm:
        size, features = self.directions.shape
        kept: EncoderForm = {"pool": list(self.pool), "size": size, "features": features}
        return {"arm": "nonnegative", **kept, "signed": self.signed}

    def set_factors(self, factors: Tensor) -> None:
        """Takes factors of which each is the length of one direction."""
        features = self.directions.shape[1]
        lengths = factors.norm(dim=1, keepdim=True)
        self.factors.copy_(factors / torch.where(lengths > 0, lengths, 1.0))
        self.directions.copy_(self.factors[:, :features])
        if self.signed:
            self.directions.sub_(self.factors[:, features:])

    def codes(self, rows: Tensor) -> Tensor:
        return nonnegative_codes(parts_of(rows, signed=self.signed), self.factors.to(rows.dtype))


class SparseEncoder(_OfDirections):
    """Codes are those of a sparse autoencoder: the `active` largest, if above 0."""

    reader: Tensor
    offset: Tensor
    centre: Tensor

    def __init__(self, pool: Sequence[int], size: int, features: int, active: int) -> None:
        super().__init__(pool, size, features)
        self.active = active
        self.register_buffer("reader", torch.zeros(size, features))
        self.register_buffer("offset", torch.zeros(size))
        self.register_buffer("centre", torch.zeros(features))

    @property
    def form(self) -> EncoderForm:
        size, features = self.directions.shape
        kept: EncoderForm = {"pool": list(self.pool), "size": size, "features": features}
        return {"arm": "sparse", **kept, "active": self.active}

    def codes(self, rows: Tensor) -> Tensor:
        coder = SparseCoder(self.reader, self.offset, self.directions, self.centre)
        return top_codes(rows, SparseCoder(*(part.to(rows.dtype) for part in coder)), self.active)


def parts_of(rows: Tensor, *, signed: bool) -> Tensor:
    """Nonnegative numbers of rows (N, F): what is above 0 and, where `signed`, beside it what is below, (N, 2F)."""
    return torch.cat([rows.clamp(min=0), (-rows).clamp(min=0)], dim=1) if signed else rows.clamp(min=0)


def described(encoder: nn.Module) -> EncoderForm:
    """How an encoder is built, for `built`; BindError for a module that is none of these."""
    if not isinstance(encoder, JoinedArms | NonnegativeEncoder | SparseEncoder):
        raise BindError(f"an encoder of type {type(encoder).__name__} is none that this package builds")
    return encoder.form


def built(form: Mapping[str, object]) -> nn.Module:
    """The encoder that a `form` describes, with numbers yet to be loaded. Raises BindError for what describes none, or
    one of more than 2³¹ numbers."""
    kind = form.get("arm")
    if kind == "joined":
        arms = form.get("arms")
        if not isinstance(arms, list) or not 0 < len(arms) <= _MOST_ARMS or not all(isinstance(a, dict) for a in arms):
            raise BindError("an encoder of joined arms needs a list of them")
        size = _size(form, "size")
        for arm in arms:
            _bounded(_size(arm, "width") * (math.prod(_sizes(arm, "shape")) + size * 64) * 27)
        return JoinedArms([Arm(*_place(arm), _size(arm, "width"), _leak(arm)) for arm in arms], size)
    if kind not in ("nonnegative", "sparse"):
        raise BindError(f"'{kind}' is no encoder")
    pool, size, features = _sizes(form, "pool"), _size(form, "size"), _size(form, "features")
    _bounded(4 * size * features)
    if kind == "sparse":
        return SparseEncoder(pool, size, features, _size(form, "active"))
    if not isinstance(form.get("signed"), bool):
        raise BindError("signed must be true or false")
    return NonnegativeEncoder(pool, size, features, signed=form["signed"] is True)


def _place(arm: Mapping[str, object]) -> tuple[list[int], list[int]]:
    shape, pool = _sizes(arm, "shape"), _sizes(arm, "pool")
    if len(set(pool)) != len(pool) or any(dim > len(shape) for dim in pool):
        raise BindError(f"pool must be dimensions of {shape}, not {pool}")
    return shape, pool


def _leak(arm: Mapping[str, object]) -> float:
    """That of an arm; in older files arms have none."""
    leak = arm.get("leak", 0.0)
    if not isinstance(leak, int | float) or isinstance(leak, bool) or not 0 <= leak < 1:
        raise BindError(f"leak must be a number from 0 to 1, not {leak!r:.40}")
    return float(leak)


def _bounded(numbers: int) -> None:
    if numbers >= 1 << 31:
        raise BindError("an encoder of more than 2^31 numbers is not built")


def _size(form: Mapping[str, object], key: str) -> int:
    value = form.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 31:
        raise BindError(f"{key} must be a whole number above 0, not {value!r:.40}")
    return value


def _sizes(form: Mapping[str, object], key: str) -> list[int]:
    values = form.get(key)
    if not isinstance(values, list) or len(values) > _MOST_DIMENSIONS:
        raise BindError(f"{key} must be a list of a few sizes, not {values!r:.40}")
    return [_size({key: each}, key) for each in values]
