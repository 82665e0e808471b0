"""Counterfactuals: moves of codes after which a model answers another class, with a margin, and others far from these.

In: codes, what a model answers for codes (with gradients), a class, examples. Out: codes. Where scores are linear in
the codes, the least move is found: the way to the margin against the class that is nearest, in closed form, taken again
from where it led. Elsewhere such moves leave what the generator draws well, and other models do not agree; so the way
goes towards the nearest example that is beyond the margin. What was moved too far is taken back. Moves are measured in
standard deviations of the collection. Knows tensors only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import BindError
from .whitening import whitening

_ROUNDS = 24  # steps to the margin
_HALVINGS = 12  # of what was moved too far
_ROUNDING, _COARSE = 1e-10, 1e-5  # of a lead, in double and in single precision
_STRAIGHT = 1e-4  # of a change of scores, by which the middle of a straight line may be off
_LONGEST = 1.0  # of a step, in standard deviations a dimension

_Scores = Callable[[Tensor], Tensor]
"""Scores (n, K) of codes (n, levels, width), with gradients."""


@dataclass(frozen=True)
class _Search:
    """What is looked for: codes of this `form` at which score `target` leads by `aim`, give or take `slack`."""

    scores: _Scores
    target: int
    aim: float
    slack: float
    spread: Tensor
    form: torch.Size
    beyond: Tensor | None = None  # examples (m, D) at which the target leads by as much

    def at(self, place: Tensor) -> Tensor:
        """How far the target leads at codes (n, D), (n,)."""
        with torch.no_grad():
            return lead_of(self.scores(place.reshape(-1, *self.form)), self.target).double()

    def sloped(self, place: Tensor) -> tuple[Tensor, Tensor]:
        """How far it leads (n,), and the gradient of that (n, D)."""
        with torch.enable_grad():
            held = place.detach().clone().requires_grad_(True)
            lead = lead_of(self.scores(held.reshape(-1, *self.form)), self.target)
            (slope,) = torch.autograd.grad(lead.sum(), held)
        return lead.detach().double(), slope.double()

    def nearest(self, start: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest codes to the start (n, D) that were found, and how far the target leads there (n,)."""
        if self.beyond is None:
            return self._taken_back(start, self._stepped(start))
        whiten = whitening(self.spread)[0]
        # Without the product of matrices, so that a distance does not depend on the other rows.
        apart = torch.cdist(start @ whiten, self.beyond @ whiten, compute_mode="donot_use_mm_for_euclid_dist")
        end = self.beyond[apart.argmin(dim=1)]
        straight = self._linear(start, end)
        if bool(straight.any()):
            end = torch.where(straight[:, None], self._stepped(start), end)
        return self._taken_back(start, end)

    def _linear(self, start: Tensor, end: Tensor) -> Tensor:
        """Whether scores are linear (n,) between two codes (n, D), as far as their middle tells."""
        with torch.no_grad():
            first, middle, last = (
                self.scores(each.reshape(-1, *self.form)).double() for each in (start, (start + end) / 2, end)
            )
        bend = (first + last - 2 * middle).abs().amax(dim=1)
        return bend <= _STRAIGHT * (1 + (first - last).abs().amax(dim=1))

    def _stepped(self, start: Tensor) -> Tensor:
        """Where steps to the margin lead (n, D), each as if scores were linear."""
        place, longest = start.clone(), _LONGEST * start.shape[1] ** 0.5
        for _ in range(_ROUNDS):
            lead, slope = self.sloped(place)
            missing = (self.aim - lead).clamp(min=0)
            missing[missing <= self.slack] = 0  # who has arrived stays, whatever the others still need
            if not bool(missing.any()):
                break
            way = slope @ self.spread.to(slope.dtype)
            steepness = (way * slope).sum(dim=1).clamp(min=1e-12)
            step = (missing / steepness)[:, None] * way
            length = (missing / steepness.sqrt()).clamp(min=1e-12)  # in standard deviations
            place = place + step * (longest / length).clamp(max=1)[:, None]
        return place

    def _taken_back(self, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest point to the start on the way to the end at which the lead is enough, by halving."""
        enough = self.aim - self.slack

        def lead(share: Tensor) -> Tensor:
            return self.at(start + share[:, None] * (end - start))

        low, high = torch.zeros(len(start), dtype=start.dtype), torch.ones(len(start), dtype=start.dtype)
        best, at_start = lead(high), lead(low)
        none = at_start >= enough
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            there = lead(middle)
            met = there >= enough
            high, best = torch.where(met, middle, high), torch.where(met, there, best)
            low = torch.where(met, low, middle)
        share = torch.where(none, torch.zeros_like(high), high)
        return start + share[:, None] * (end - start), torch.where(none, at_start, best)


def counterfactuals(
    codes: Tensor,
    scores: _Scores,
    target: int,
    margin: float,
    spread: Tensor,
    numbers: Sequence[int] = (),
    examples: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Codes (n, levels, width) near the given ones at which score `target` leads all others by `margin`, and how far it
    leads there, (n,); a lead below the margin says that none was found.

    `spread` (D, D) is the covariance of the collection's codes. `numbers` (n,) say which counterfactual is wanted of
    each code: the first is found from the code itself, and another one from a place that lies as far from the code as
    the first, in a direction at right angles to those of all before. `examples` are codes (m, levels, width) of the
    collection and their scores (m, K). BindError for a number above the directions in which codes differ.
    """
    start = codes.reshape(len(codes), -1).double()
    with torch.no_grad():
        precise = scores(codes).dtype == torch.float64
    slack = _ROUNDING if precise else _COARSE * (1 + margin)
    aim = margin if precise else margin + 2 * slack  # so that rounding leaves the lead above the margin
    beyond = None
    if examples is not None:
        beyond = examples[0].flatten(1).double()[lead_of(examples[1], target) >= aim]
    search = _Search(
        scores, target, aim, slack, spread, codes.shape[1:], beyond if beyond is not None and len(beyond) else None
    )
    found, lead = search.nearest(start)
    later = torch.tensor([number > 1 for number in numbers] or [False] * len(codes))
    if bool(later.any()):
        other, other_lead = search.nearest(start + _aside(found - start, spread, numbers))
        found, lead = torch.where(later[:, None], other, found), torch.where(later, other_lead, lead)
    return found.reshape(codes.shape), lead


def _aside(moves: Tensor, spread: Tensor, numbers: Sequence[int]) -> Tensor:
    """Moves (n, D) as long as the given ones, in standard deviations, at right angles to them and to those of smaller
    numbers; one standard deviation where nothing was moved."""
    whiten, colour = whitening(spread)
    if max(numbers) > len(colour):
        raise BindError(
            f"codes of this collection differ in {len(colour)} directions, so that there are no more "
            f"counterfactuals; number {max(numbers)} was asked for"
        )
    first = moves @ whiten
    length = first.norm(dim=1, keepdim=True)
    before = [first / length.clamp(min=1e-12)]
    for number in range(2, max(numbers) + 1):
        drawn = torch.randn(first.shape[1], generator=torch.Generator().manual_seed(number), dtype=torch.float64)
        way = drawn.expand_as(first)
        for _ in range(2):  # twice is enough for right angles up to rounding
            for other in before:
                way = way - (way * other).sum(dim=1, keepdim=True) * other
        before.append(way / way.norm(dim=1, keepdim=True).clamp(min=1e-12))
    chosen = torch.stack([before[max(1, number - 1)][row] for row, number in enumerate(numbers)])
    aside: Tensor = torch.where(length > 0, length, torch.ones_like(length)) * chosen @ colour
    return aside


def lead_of(scores: Tensor, target: int) -> Tensor:
    """How far a class leads the highest other one (n,), of scores (n, K)."""
    others = scores.clone()
    others[:, target] = -torch.inf
    return scores[:, target] - others.max(dim=1).values
