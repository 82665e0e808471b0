"""Codes that draw an input better: Adam steps on each level's own code, from where the encoder began. Tensors only."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

_RATE, _LAST_RATE = 0.1, 0.1  # the first step, in units of codes, and the last one as a share of it


def refined(codes: Tensor, inputs: Tensor, draw: Callable[[Tensor], Tensor], steps: int) -> Tensor:
    """Codes (n, levels, width) near the given ones whose drawings have the least squared error to inputs (n, *shape)
    that was seen in so many steps; a row's code depends on the row alone.

    `draw` maps codes to inputs and has gradients. It is the projection of Karras et al. (2020), without noise.
    """
    best, least = codes.clone(), torch.full((len(codes),), torch.inf, dtype=torch.float64)
    place = codes.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([place], _RATE, betas=(0.9, 0.99))
    for step in range(steps + 1):
        drawn = draw(place)
        error = (drawn - inputs.to(drawn)).square().flatten(1).sum(dim=1)
        with torch.no_grad():
            better = error.double().cpu() < least
            least = torch.where(better, error.double().cpu(), least)
            best = torch.where(better[:, None, None], place, best)
        if step == steps:
            break
        (place.grad,) = torch.autograd.grad(error.sum(), place)
        share = _LAST_RATE + (1 - _LAST_RATE) * (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.param_groups[0]["lr"] = _RATE * share
        optimizer.step()
    return best.detach()
