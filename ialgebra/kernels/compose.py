"""Hybrid inputs from coalition masks, on whatever device the tensors are on. Knows tensors only."""

from __future__ import annotations

import torch
from torch import Tensor


def compose(foreground: Tensor, background: Tensor, segments: Tensor, masks: Tensor) -> Tensor:
    """x_S for each coalition S (Eq. 1): `foreground` on the segments of S, `background` elsewhere.

    foreground, background: (*shape); segments: int64, of as many axes and broadcastable to shape, player of each
    feature or −1 for none; masks: (b, d) bool. Returns (b, *shape) of the foreground's dtype.
    """
    nobody = masks.new_zeros((masks.shape[0], 1))
    present = torch.cat([masks, nobody], dim=1)[:, segments]  # −1 reads the last column: never present
    return torch.where(present, foreground, background)
