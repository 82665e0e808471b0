"""The networks that are explained, and their training: the same seed gives the same network.

In: a `Sample`. Out: networks (B, *shape) → logits (B, C) in evaluation mode.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .samples import WORDS, Sample

_BATCH = 128


class LeNet(nn.Sequential):
    """The network that the paper trains on MNIST and Fashion-MNIST."""

    CONVOLUTION = 5
    """The index of the last layer that has positions, which the paper's attributes read."""

    def __init__(self) -> None:
        features = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.MaxPool2d(2)]
        head = [nn.ReLU(), nn.Flatten(), nn.Linear(32 * 14 * 14, 128), nn.ReLU(), nn.Linear(128, 10)]
        super().__init__(*features, *head)


class Perceptron(nn.Sequential):
    """Two hidden layers over a row of a table."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__(
            *(nn.Linear(features, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, classes)),
        )


class Words(nn.Module):
    """A convolution over word vectors, and the largest of each of its features."""

    def __init__(self, words: int = WORDS, classes: int = 2) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, 48, padding_idx=0)
        self.conv = nn.Conv1d(48, 64, 3, padding=1)
        self.head = nn.Linear(64, classes)

    def forward(self, ids: Tensor) -> Tensor:
        found: Tensor = self.head(F.relu(self.conv(self.embed(ids).transpose(1, 2))).amax(dim=2))
        return found


def trained(make: Callable[[], nn.Module], sample: Sample, seed: int, epochs: int) -> nn.Module:
    """A network, by Adam on a one-cycle schedule in batches of 128."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = make()
        optimizer = torch.optim.Adam(net.parameters(), 1e-3)
        steps = epochs * math.ceil(len(sample.inputs) / _BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
        for _ in range(epochs):
            for some in torch.split(torch.randperm(len(sample.inputs)), _BATCH):
                optimizer.zero_grad()
                F.cross_entropy(net(sample.inputs[some]), sample.labels[some]).backward()
                optimizer.step()
                schedule.step()
    return net.eval()
