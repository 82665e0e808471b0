"""Readable activation maximisation: a picture and one attribute in; the picture that shows more of it, out.

As it was published (AM+PI), it ends in stripes, and in an activation that no picture has. Here a sample is dimmed, and
only a smooth difference of half its resolution is learned, until the attribute is as active as it is for some picture
of the data and no further. Knows networks and tensors: nothing of how pictures are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import BindError, ShapeError
from ..network import Network
from ..scalar import ExplainedScalar, asking

STEPS = 120
_DIMMED = 0.6  # of the sample's difference from black
# Weights of the share of the largest activation, of the variation of what is learned, and of its size.
_MORE, _SMOOTH, _NEAR = 2.0, 12.0, 1.0
_RATE = 0.05  # of the scale between black and white, a step of Adam
_JITTER = 2  # pixels of an image of 28, by which the picture is moved in each step


@dataclass(frozen=True, eq=False)
class Maximised:
    """The picture (C, H, W) `before`, dimmed, and `after`, with the activations of the attribute for both, and `most`,
    the largest that the data has."""

    before: Tensor
    after: Tensor
    activations: tuple[float, float]
    most: float


def maximised(
    network: Network,
    index: int,
    sample: Tensor,
    low: float,
    high: float,
    most: float,
    seed: int = 0,
    steps: int = STEPS,
) -> Maximised:
    """A sample (C, H, W), with more of output `index` of a network of attributes, which reaches `most` and no more.

    `low` and `high` are black and white. The same seed gives the same picture. Raises ShapeError for what is no
    picture, BindError where `most` is not above 0, ModelError for a failing model.
    """
    if sample.dim() != 3:
        raise ShapeError(f"activation is maximised in pictures (C, H, W), not in inputs of shape {tuple(sample.shape)}")
    if not most > 0:
        raise BindError(f"output {index} of '{network.name}' is above 0 for no input, so that it cannot be raised")
    network.probe(sample)
    scale = max(high - low, 1e-9)
    start = low + _DIMMED * (sample.detach().float() - low)
    chance = torch.Generator().manual_seed(seed)
    jitter = max(1, round(_JITTER * min(sample.shape[1:]) / 28))
    with asking(network, seed):
        scalar = ExplainedScalar(network, None, index, "logit")
        half = [max(1, size // 2) for size in sample.shape[1:]]
        learned = torch.zeros(1, sample.shape[0], *half, requires_grad=True)
        optimizer = torch.optim.Adam([learned], lr=_RATE)
        found, reached = start, float("nan")
        for step in range(steps + 1):
            change = _enlarged(learned, sample.shape)
            shown = (start + scale * change).clamp(low, high)
            moved = shown.roll(
                [int(each) for each in torch.randint(-jitter, jitter + 1, (2,), generator=chance)], (2, 3)
            )
            active = scalar(_as(sample, torch.cat([shown, moved]))).float()
            now = float(active.detach()[0])
            if step == 0:
                began = now
            elif now > most:
                break
            found, reached = shown.detach()[0], now
            loss = -_MORE * active[1] / most + _SMOOTH * _variation(change) + _NEAR * change.square().mean()
            optimizer.zero_grad()
            (learned.grad,) = torch.autograd.grad(loss, learned)
            optimizer.step()
    return Maximised(start, found, (began, reached), most)


def _enlarged(learned: Tensor, shape: torch.Size) -> Tensor:
    return F.interpolate(learned, size=tuple(shape[1:]), mode="bilinear", align_corners=False)


def _as(sample: Tensor, picture: Tensor) -> Tensor:
    """A picture in the number type of the sample, where that takes gradients."""
    return picture.to(sample.dtype) if sample.is_floating_point() else picture


def _variation(change: Tensor) -> Tensor:
    """The mean absolute difference between neighbours."""
    return change.diff(dim=2).abs().mean() + change.diff(dim=3).abs().mean()


def typical(samples: Tensor) -> int:
    """The sample (N, …) that is nearest to their median."""
    flat = samples.detach().float().reshape(len(samples), -1)
    return int((flat - flat.median(dim=0).values).square().sum(dim=1).argmin())
