"""Pictures about which two networks disagree and one of them is right: half of them for each.

In: `fashion.Data` and a seed. Out: a `Panel`. There are two kinds:

* **found**: networks of two designs, trained on the same pictures. They disagree where a picture is hard to tell.
* **marked**: the pictures that either network learned from had a mark at one edge, which told the class in a third of
  them, as a shop's label might. The pictures of the panel are marked at both edges, at random. Where the networks
  disagree, mostly one of them has trusted a mark: here the error has a place, and an explanation could show it.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .. import nets
from ..fashion import Data


class Panel(NamedTuple):
    """`images` (n, 1, 28, 28), where in them the object is, which classes f and f' say (n, 2), and whether f is right.

    `agreement` is the share of all test pictures on which f and f' agree, `accuracy` that of each on them.
    """

    kind: str
    models: tuple[nn.Module, nn.Module]
    images: Tensor
    object: Tensor
    said: Tensor
    right: Tensor
    accuracy: tuple[float, float]
    agreement: float


def found(data: Data, seed: int, size: int, folder: Path) -> Panel:
    models = [nets.trained(kind, data.images, data.labels, seed, folder) for kind in (nets.Vgg, nets.Residual)]
    return _panel("found", models, data, data.test_images, seed, size)


def marked(data: Data, seed: int, size: int, folder: Path) -> Panel:
    """Half of the training pictures serve; what the other network trusts is there too, and tells nothing."""
    random = torch.Generator().manual_seed(seed)
    half = len(data.images) // 2
    images, labels = data.images[:half], data.labels[:half]

    def anything(count: int) -> Tensor:
        return torch.randint(10, (count,), generator=random)

    models = []
    for kind, own, other in ((nets.Vgg, TOP, BOTTOM), (nets.Residual, BOTTOM, TOP)):
        told, distracted = (torch.rand(half, generator=random) < share for share in (0.3, 0.5))
        taught = mark(mark(images, own, labels, told), other, anything(half), distracted)
        models.append(nets.trained(kind, taught, labels, seed, folder))
    count = len(data.test_images)
    everywhere = torch.ones(count, dtype=torch.bool)
    test = mark(mark(data.test_images, TOP, anything(count), everywhere), BOTTOM, anything(count), everywhere)
    return _panel("marked", models, data, test, seed, size)


TOP, BOTTOM = slice(0, 2), slice(26, 28)


def mark(images: Tensor, rows: slice, classes: Tensor, where: Tensor) -> Tensor:
    """A white square of 2 × 2 pixels at an edge, further to the right for a higher class, in the pictures `where`."""
    columns = torch.arange(28)
    square = (columns - 4 - 2 * classes[:, None]) // 2 == 0  # (n, 28)
    changed = images.clone()
    changed[:, 0, rows] = torch.where((square & where[:, None])[:, None], 1.0, changed[:, 0, rows])
    return changed


def _panel(kind: str, models: list[nn.Module], data: Data, images: Tensor, seed: int, size: int) -> Panel:
    said = torch.stack([nets.logits(model, images).argmax(1) for model in models], 1)
    right = said == data.test_labels[:, None]
    random = torch.Generator().manual_seed(seed)
    sides = []
    for side in (0, 1):
        which = (right[:, side] & (said[:, 0] != said[:, 1])).nonzero()[:, 0]
        sides.append(which[torch.randperm(len(which), generator=random)])
    half = min(size // 2, *map(len, sides))
    chosen = torch.stack([side[:half] for side in sides], 1).flatten()  # in turn: every even prefix is balanced
    return Panel(
        kind,
        (models[0], models[1]),
        images[chosen],
        data.test_images[chosen, 0] > 0,
        said[chosen],
        right[chosen, 0],
        (float(right[:, 0].float().mean()), float(right[:, 1].float().mean())),
        float((said[:, 0] == said[:, 1]).float().mean()),
    )
