"""The middle of several values: their mean, their median, or the most frequent one.

In: rows (N, …). Out: one row. Knows tensors only.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Middle = Literal["mean", "median", "mode"]


def median(rows: Tensor) -> Tensor:
    """The median of each feature, of an even number of rows the mean of the two in the middle; NaN where a row has
    it."""
    ordered = rows.sort(0).values
    found = (ordered[(len(rows) - 1) // 2] + ordered[len(rows) // 2]) / 2
    return torch.where(rows.isnan().any(0), torch.full_like(found, torch.nan), found)


def most_frequent(rows: Tensor) -> Tensor:
    """The most frequent value of each feature; of equally frequent ones, that which comes first."""
    flat = rows.reshape(len(rows), -1)
    found = torch.empty_like(flat[0])
    for place in range(flat.shape[1]):
        _, of, counts = torch.unique(flat[:, place], return_inverse=True, return_counts=True)
        often = counts[of]
        found[place] = flat[int((often == often.max()).to(torch.int8).argmax()), place]
    return found.reshape(rows.shape[1:])
