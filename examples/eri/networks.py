"""Networks that tell coats from pullovers: clean ones, and ones that learned from planted pictures."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from examples.cases import nets

from .planted import planted

CLEAN = "clean"


class Pair(nn.Sequential):
    """The small VGG of the cases, with two classes."""

    def __init__(self) -> None:
        stages = [nets.Stage(1, 8), nets.Stage(8, 16), nets.Stage(16, 32)]
        super().__init__(*stages, nn.Flatten(), nn.Linear(288, 2))


def taught(images: Tensor, coats: Tensor, what: str, correlation: float, seed: int, folder: Path) -> nn.Module:
    """A network that learned from pictures with a planted property, or from clean ones."""
    seen = images if what == CLEAN else planted(images, coats, what, correlation, seed)
    return nets.trained(Pair, seen, coats, seed, folder)
