"""Dictionaries of numbers: rows (N, F) in; directions (J, F), and what turns rows into codes (N, J), out.

`nmf` finds nonnegative directions whose nonnegative sums are the rows (Lee and Seung, 1999; the updates are those of
hierarchical alternating least squares). `nonnegative_codes` finds the codes of further rows. `sparse_codes` trains a
sparse autoencoder, of whose codes the k largest stay (Makhzani and Frey, 2014). Tensors only: no layers, no networks.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...system.stages import FittingProgress

_SWEEPS, _ENOUGH = 200, 1e-5  # of `nmf`, at most; the relative fall of the error in ten sweeps below which it stops
_CODE_STEPS = 120  # of `nonnegative_codes`, always as many, so that a row's codes depend on the row alone
_BATCH, _CODER_STEPS, _LEARNING_RATE = 256, 600, 2e-3  # of the sparse autoencoder
_LOW = 0.01  # the part of the mean of all numbers that the start adds to each
_GRAM_AT_MOST = 4096  # features up to which singular vectors are found exactly


def nmf(rows: Tensor, size: int, seed: int = 0, progress: FittingProgress | None = None) -> tuple[Tensor, Tensor]:
    """Nonnegative directions (size, F) and codes (N, size) of nonnegative rows (N, F), so that codes · directions is
    near the rows. It starts from singular vectors, so that the seed matters only for directions beyond their number.
    """
    rows = rows.double()
    directions = _start(rows, size, seed)
    codes = nonnegative_codes(rows, directions)
    total, last = float(rows.square().sum()), float("inf")
    for sweep in range(_SWEEPS):
        _descend(codes, rows @ directions.T, directions @ directions.T)
        _descend(directions.T, rows.T @ codes, codes.T @ codes)
        if progress is not None:
            progress("nmf", sweep + 1, _SWEEPS)
        if sweep % 10 == 9:
            error = float((rows - codes @ directions).square().sum())
            if not error < last - _ENOUGH * total:
                break
            last = error
    return directions, codes


def _descend(factor: Tensor, products: Tensor, gram: Tensor) -> None:
    """Sets each column of a factor (N, J) in turn to what is best beside the others, and not below 0."""
    for column in range(factor.shape[1]):
        scale = gram[column, column]
        if scale > 0:
            step = (products[:, column] - factor @ gram[:, column]) / scale
            factor[:, column] = (factor[:, column] + step).clamp(min=0)


def _start(rows: Tensor, size: int, seed: int) -> Tensor:
    """Directions (size, F): the larger one-signed part of each leading right singular vector (Boutsidis and
    Gallopoulos, 2008), with small numbers for zeros; rows of the data where there are no more vectors."""
    vectors, lengths = _singular(rows, size, seed)
    found = torch.empty(size, rows.shape[1], dtype=rows.dtype)
    chance = torch.Generator().manual_seed(seed)
    for index in range(size):
        if index < len(vectors) and lengths[index] > 1e-9 * lengths[0]:
            up, down = vectors[index].clamp(min=0), (-vectors[index]).clamp(min=0)
            left = rows @ vectors[index]
            sides = (left.clamp(min=0).norm() * up.norm(), (-left).clamp(min=0).norm() * down.norm())
            found[index] = up if sides[0] >= sides[1] else down
        else:
            found[index] = rows[int(torch.randint(len(rows), (1,), generator=chance))]
        found[index] /= found[index].norm().clamp(min=1e-30)
    return found + _LOW * found.mean()  # no number is 0, which no update would leave


def _singular(rows: Tensor, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """The leading right singular vectors (≤ size, F) and their singular values."""
    if rows.shape[1] <= _GRAM_AT_MOST:
        squares, vectors = torch.linalg.eigh(rows.T @ rows)
        count = min(size, len(squares))
        leading = squares.flip(0)[:count].clamp(min=0).sqrt()
        return vectors.flip(1)[:, :count].T, leading
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        _, lengths, wide = torch.svd_lowrank(rows, q=min(size, *rows.shape), niter=4)
    return wide.T, lengths


def nonnegative_codes(rows: Tensor, directions: Tensor) -> Tensor:
    """The codes (N, J) ≥ 0 with which codes · directions (J, F) is nearest to each row (N, F): accelerated projected
    gradient steps, a fixed number of them. Differentiable."""
    gram = directions @ directions.T
    largest = torch.linalg.matrix_norm(gram, 2).clamp(min=1e-30)
    products = rows @ directions.T / largest
    gram = gram / largest
    codes = ahead = torch.zeros_like(products)
    inertia = torch.ones_like(products[:, :1])
    for _ in range(_CODE_STEPS):
        before, codes = codes, (ahead + products - ahead @ gram).clamp(min=0)
        onwards = codes - before
        # Momentum that leads uphill ends, for each row by itself (O'Donoghue and Candès, 2015).
        inertia = torch.where(((ahead - codes) * onwards).sum(dim=1, keepdim=True) > 0, 1.0, inertia)
        following = (1 + (1 + 4 * inertia.square()).sqrt()) / 2
        ahead, inertia = codes + (inertia - 1) / following * onwards, following
    return codes


class SparseCoder(NamedTuple):
    """A sparse autoencoder: codes are the k largest of (row − `centre`) · `reader`ᵀ + `offset`, not below 0; the row is
    `centre` + codes · `directions`. `reader` and `directions` are (J, F), `offset` (J,), `centre` (F,)."""

    reader: Tensor
    offset: Tensor
    directions: Tensor
    centre: Tensor


def sparse_coder(
    rows: Tensor,
    directions: Tensor,
    active: int,
    seed: int = 0,
    progress: FittingProgress | None = None,
) -> SparseCoder:
    """Trains a sparse autoencoder of rows (N, F), of whose codes `active` at most are above 0. It begins with
    `directions` (J, F), each of length 1, as it ends. A code that no row of an epoch has begins again with the row that
    is rebuilt worst. Ctrl-C ends it early."""
    spread = rows.square().mean().sqrt().clamp(min=1e-12)
    rows = rows / spread
    order = torch.Generator().manual_seed(seed)
    wide = directions / directions.norm(dim=1, keepdim=True).clamp(min=1e-12)
    reader = torch.linalg.pinv(wide).T
    size, features = wide.shape
    parts = [reader, rows.new_zeros(size), wide, rows.new_zeros(features)]
    coder = SparseCoder(*(nn.Parameter(part.clone().contiguous()) for part in parts))
    optimizer = torch.optim.Adam(list(coder), _LEARNING_RATE)
    epochs = math.ceil(_CODER_STEPS * _BATCH / len(rows))
    steps, done = epochs * math.ceil(len(rows) / _BATCH), 0
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    with suppress(KeyboardInterrupt):
        for _ in range(epochs):
            seen, worst = torch.zeros(size, dtype=torch.bool), (-1.0, rows[0])
            for some in torch.split(torch.randperm(len(rows), generator=order), _BATCH):
                optimizer.zero_grad()
                codes = top_codes(rows[some], coder, active)
                error = (coder.centre + codes @ coder.directions - rows[some]).square().sum(dim=1)
                error.mean().backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                with torch.no_grad():
                    coder.directions.div_(coder.directions.norm(dim=1, keepdim=True).clamp(min=1e-12))
                    seen |= (codes > 0).any(dim=0)
                    if float(error.max()) > worst[0]:
                        worst = float(error.max()), rows[some[int(error.argmax())]]
                done += 1
                if progress is not None:
                    progress("sparse autoencoder", done, steps)
            if not bool(seen.all()) and done < steps:
                _begin_again(coder, int((~seen).nonzero()[0]), worst[1])
    reader, offset, directions, centre = (part.detach() for part in coder)
    return SparseCoder(reader, offset * spread, directions, centre * spread)


@torch.no_grad()
def _begin_again(coder: SparseCoder, index: int, row: Tensor) -> None:
    """One code begins again: it reads and writes the direction of a row."""
    direction = (row - coder.centre) / (row - coder.centre).norm().clamp(min=1e-12)
    coder.reader[index], coder.offset[index], coder.directions[index] = direction, 0.0, direction


def top_codes(rows: Tensor, coder: SparseCoder, active: int) -> Tensor:
    """Codes (N, J) of rows (N, F) of which `active` at most are above 0."""
    dense = torch.addmm(coder.offset - coder.reader @ coder.centre, rows, coder.reader.T).clamp(min=0)
    if active >= dense.shape[1]:
        return dense
    kept = dense.topk(active, dim=1)
    return torch.zeros_like(dense).scatter(1, kept.indices, kept.values)
