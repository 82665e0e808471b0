"""Examining a model: whether it is a function of the row alone.

In: a function that runs a batch, and two rows of a model: `full`, and `half`, which lacks about half of its features.
Out: whether the model is random, and whether it is batch-dependent. Four rows are run: `half` with itself, and `half`
beside `full`. Equal rows that differ by more than rounding make the model suspect; then `half` is run alone a few
times, which tells chance from dependence on the batch. Knows tensors: no layers, no queries, no plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..algebra.packings import carrying, packing_of, plain
from .behaviour import differ, precision, size_of

RunBatch = Callable[[Tensor], Tensor]  # a batch (B, *shape) to logits (B, K)

_TIMES_ALONE = 4  # passes of `half` alone, if the model is suspect
_TIMES_TOGETHER = 2  # further passes of `half` beside `full`, if `half` alone gets equal outputs
_AMPLIFIED = 16.0  # a difference so many times larger than that by the last bit of the input is no rounding


def random_or_batch_dependent(
    run: RunBatch, nets: Sequence[nn.Module], full: Tensor, half: Tensor, alone: Tensor | None, *, company: bool
) -> tuple[bool, bool]:
    """Whether a model with the modules `nets` is random, and whether it is batch-dependent.

    `full` and `half` are (*shape), `alone` (K,) are the logits of `full` alone, if they are known. Without `company`
    the model never gets two rows at once. What the model raises passes.
    """
    itself = run(torch.stack([half, half] if company else [half]))
    beside = run(torch.stack([half, full] if company else [half]))
    size = size_of(torch.cat([itself, beside]))
    dtype = precision(nets, torch.cat([itself, beside]))

    def otherwise(one: Tensor, other: Tensor) -> bool:
        return differ(one, other, size, dtype, same_form=True)

    suspect = otherwise(itself, itself[:1]) or otherwise(itself[0], beside[0])
    if company and alone is not None and not suspect and differ(alone, beside[-1], size, dtype, same_form=False):
        suspect = not _is_rounding(run, full, alone, beside[-1])
    if not suspect:
        return False, False
    first, *others = (run(half[None]) for _ in range(_TIMES_ALONE))
    random = any(otherwise(first, each) for each in others)
    if not random and company:
        again = (run(torch.stack([half, full])) for _ in range(_TIMES_TOGETHER))
        random = any(otherwise(beside, each) for each in again)
    return random, not random


def _is_rounding(run: RunBatch, full: Tensor, alone: Tensor, together: Tensor) -> bool:
    """Whether logits (K,) of a row, alone and beside others, differ as little as those of inputs that differ in their
    last bits: a model that subtracts large numbers amplifies rounding."""
    if not full.is_floating_point():
        return False
    packing = packing_of(full)
    if packing is None:
        moved = torch.nextafter(full, torch.full_like(full, torch.inf))
    else:
        moved = carrying(packing.moved(plain(full)), packing)
    (near,) = run(moved[None])
    return bool(((together - alone).abs() <= _AMPLIFIED * (near - alone).abs()).all())


def without_half(row: Tensor) -> Tensor:
    """The row with zeros at every second place; one with a packing, where zero may be no value, as it is."""
    if packing_of(row) is not None:
        return row
    half = row.detach().clone()
    half.view(-1)[1::2] = 0
    return half
