"""How the networks of a style generator are trained: as a variational autoencoder (Kingma and Welling 2014).

In: pictures scaled to about 0 to 1. Out: trained networks, and which pictures they never saw. The loss of a picture is
its squared error / .01, KL(N(mean, variance) ‖ N(0, 1)) of its latents, what it differs by in structural similarity,
and in features of a fixed random network. Weights are averaged over the last steps; those that do best on pictures set
aside are kept, also at Ctrl-C. Knows tensors and modules only.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..models.best import Best
from ..models.fitting import split
from ..system.stages import FittingProgress
from .similarity import structural_similarity
from .style_nets import StyleNets

_BATCH, _PLACES = 64, 64 * 64 * 64  # pictures a step, at most, and places in all of them
_LEARNING_RATE, _WARMING, _LAST_RATE = 3e-3, 100, 0.02
_VARIANCE = 0.01  # of the noise of a number of a picture
_FEATURES, _SIMILAR = 1000.0, 600.0  # the weights of two losses of pictures of 784 numbers
_AVERAGED = 200  # steps whose weights are averaged, about
_CHECKS, _CHECKED_AT_MOST = 12, 1_000
_AT_ONCE = 256  # pictures in a pass without gradients


@dataclass(frozen=True, eq=False)
class Trained:
    """Networks, the places `held_out` (H,) of pictures that they never saw, and whether Ctrl-C ended their training."""

    nets: StyleNets
    held_out: Tensor
    interrupted: bool


class RandomFeatures(nn.Module):
    """Three strided convolutions with random weights, scaled so that each one's outputs for some pictures have
    variance 1."""

    def __init__(self, pictures: Tensor) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for made, side in ((16, 5), (32, 3), (64, 3)):
            layer = nn.Conv2d(pictures.shape[1], made, side, stride=2, padding=side // 2, bias=False)
            layer.requires_grad_(False)
            layer.weight.div_(F.relu(layer(pictures)).std() + 1e-6)
            pictures = F.relu(layer(pictures))
            self.layers.append(layer)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        found = []
        for layer in self.layers:
            pictures = F.relu(layer(pictures))
            found.append(pictures)
        return found


def trained(
    nets: Callable[[], StyleNets],
    scaled: Callable[[Tensor], Tensor],
    count: int,
    steps: int,
    seed: int,
    holdout: float,
    progress: FittingProgress | None,
) -> Trained:
    """Networks that draw `count` pictures; `scaled` gives those at some places (n,), scaled to 0 to 1.

    Equal seeds give equal networks.
    """
    held, checked = split(torch.arange(count), holdout, seed)
    checked_rows = checked.nonzero()[:, 0][:_CHECKED_AT_MOST]
    learned = ~held
    learned[checked_rows] = False
    rows = learned.nonzero()[:, 0] if bool(learned.any()) else (~held).nonzero()[:, 0]
    checked_rows = checked_rows if len(checked_rows) else rows[:_CHECKED_AT_MOST]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = nets().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        features = RandomFeatures(scaled(rows[:_AT_ONCE]))
    average = copy.deepcopy(made).requires_grad_(False)
    best = Best(average)
    interrupted = False
    try:
        _learn(made, average, features, scaled, rows, steps, seed, progress, lambda: _see(best, scaled, checked_rows))
    except KeyboardInterrupt:
        interrupted = True
        _see(best, scaled, checked_rows)
    best.restore()
    return Trained(average.to(memory_format=torch.contiguous_format), held.nonzero()[:, 0], interrupted)


def _learn(
    nets: StyleNets,
    average: StyleNets,
    features: RandomFeatures,
    scaled: Callable[[Tensor], Tensor],
    rows: Tensor,
    steps: int,
    seed: int,
    progress: FittingProgress | None,
    check: Callable[[], None],
) -> None:
    """Trains the networks, and moves their average with them; `check` is called some times, and at the end."""
    chance = torch.Generator().manual_seed(seed)
    weights = list(nets.parameters())
    averages: list[Tensor] = list(average.parameters())
    optimizer = torch.optim.Adam(weights, _LEARNING_RATE, betas=(0.9, 0.99))
    places = scaled(rows[:1]).shape[-2:].numel()
    batch = max(1, min(_BATCH, _PLACES // places, len(rows)))
    order = torch.empty(0, dtype=torch.long)
    for step in range(steps):
        if len(order) < batch:
            order = torch.cat([order, rows[torch.randperm(len(rows), generator=chance)]])
        some, order = order[:batch], order[batch:]
        rate = _LAST_RATE + (1 - _LAST_RATE) * (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.param_groups[0]["lr"] = _LEARNING_RATE * rate * min(1.0, (step + 1) / _WARMING)
        optimizer.zero_grad()
        loss_of(nets, features, scaled(some), chance).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            share = max(1 / _AVERAGED, 10 / (step + 10))
            torch._foreach_lerp_(averages, [each.detach() for each in weights], share)
        if progress is not None:
            progress("drawing", step + 1, steps)
        if (step + 1) % max(1, steps // _CHECKS) == 0 or step + 1 == steps:
            check()


def loss_of(nets: StyleNets, features: RandomFeatures, pictures: Tensor, chance: torch.Generator) -> Tensor:
    """The loss (n,) of each picture (n, channels, height, width)."""
    mean, log_variance = nets.encoder(pictures)
    noise = torch.randn(mean.shape, generator=chance)
    drawn = nets.drawn(mean + noise * (log_variance / 2).exp())
    loss = (drawn - pictures).square().sum(dim=(1, 2, 3)) / _VARIANCE
    loss = loss + divergence(mean, log_variance)
    numbers = pictures[0].numel() / 784
    loss = loss + numbers * _SIMILAR * (1 - structural_similarity(drawn, pictures))
    with torch.no_grad():
        wanted = features(pictures)
    for one, other in zip(features(drawn), wanted, strict=True):
        loss = loss + numbers * _FEATURES * (one - other).square().mean(dim=(1, 2, 3))
    return loss


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) ‖ N(0, 1)) (n,) of latents (n, size): ½ Σ (mean² + variance − ln variance − 1)."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1)


@torch.no_grad()
def _see(best: Best, scaled: Callable[[Tensor], Tensor], rows: Tensor) -> None:
    """Keeps the weights of the averaged networks, if they draw pictures better than any before."""
    nets = best.module
    assert isinstance(nets, StyleNets)
    lost = 0.0
    for some in torch.split(rows, _AT_ONCE):
        pictures = scaled(some)
        lost += float((nets.drawn(nets.encoder(pictures)[0]) - pictures).square().sum())
    best.see(-lost)
