"""Counterfactuals: the least moves of codes after which a model answers another class, with a margin.

In: codes, what a model answers for codes (with gradients), a class. Out: codes. The way to the margin against the class
that is nearest is known in closed form if scores are linear in the codes; elsewhere it is taken again from where it
led, and what was moved too far is taken back. Moves are measured in standard deviations of the collection. Knows
tensors only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_ROUNDS = 24  # steps to the margin
_HALVINGS = 12  # of what was moved too far
_ROUNDING, _COARSE = 1e-10, 1e-5  # of a lead, in double and in single precision
_LONGEST = 1.0  # of a step, in standard deviations a dimension


def counterfactuals(
    codes: Tensor, scores: Callable[[Tensor], Tensor], target: int, margin: float, spread: Tensor
) -> tuple[Tensor, Tensor]:
    """Codes (n, levels, width) near the given ones at which score `target` leads all others by `margin`, and how far it
    leads there, (n,); a lead below the margin says that none was found.

    `scores` maps codes (n, levels, width) to scores (n, K ≥ 2) and has gradients; `spread` (D, D) is the covariance of
    the collection's codes.
    """
    form = codes.shape[1:]
    start = codes.reshape(len(codes), -1).double()
    place = start.clone()
    longest = _LONGEST * place.shape[1] ** 0.5
    with torch.no_grad():
        precise = scores(codes).dtype == torch.float64
    slack = _ROUNDING if precise else _COARSE * (1 + margin)
    aim = margin if precise else margin + 2 * slack  # so that rounding leaves the lead above the margin
    for _ in range(_ROUNDS):
        lead, slope = _lead(place, scores, target, form)
        missing = (aim - lead).clamp(min=0)
        if bool((missing <= slack).all()):
            break
        way = slope @ spread.to(slope.dtype)
        steepness = (way * slope).sum(dim=1).clamp(min=1e-12)
        step = (missing / steepness)[:, None] * way
        length = (missing / steepness.sqrt()).clamp(min=1e-12)  # in standard deviations
        place = place + step * (longest / length).clamp(max=1)[:, None]
    found, lead = _taken_back(start, place, scores, target, aim - slack, form)
    return found.reshape(codes.shape), lead


def _lead(place: Tensor, scores: Callable[[Tensor], Tensor], target: int, form: torch.Size) -> tuple[Tensor, Tensor]:
    """How far the target leads the highest other score (n,), and the gradient of that (n, D)."""
    with torch.enable_grad():
        held = place.detach().clone().requires_grad_(True)
        lead = lead_of(scores(held.reshape(-1, *form)), target)
        (slope,) = torch.autograd.grad(lead.sum(), held)
    return lead.detach().double(), slope.double()


def lead_of(scores: Tensor, target: int) -> Tensor:
    """How far a class leads the highest other one (n,), of scores (n, K)."""
    others = scores.clone()
    others[:, target] = -torch.inf
    return scores[:, target] - others.max(dim=1).values


def _taken_back(
    start: Tensor, end: Tensor, scores: Callable[[Tensor], Tensor], target: int, enough: float, form: torch.Size
) -> tuple[Tensor, Tensor]:
    """The nearest point to the start on the way to the end at which the lead is enough, by halving."""

    def lead(share: Tensor) -> Tensor:
        with torch.no_grad():
            there = start + share[:, None] * (end - start)
            return lead_of(scores(there.reshape(-1, *form)), target).double()

    low, high = torch.zeros(len(start), dtype=start.dtype), torch.ones(len(start), dtype=start.dtype)
    best = lead(high)
    none = lead(low) >= enough
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        there = lead(middle)
        met = there >= enough
        high, best = torch.where(met, middle, high), torch.where(met, there, best)
        low = torch.where(met, low, middle)
    share = torch.where(none, torch.zeros_like(high), high)
    return start + share[:, None] * (end - start), torch.where(none, lead(torch.zeros_like(high)), best)
