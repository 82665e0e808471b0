"""Attribution maps of a network, and what a machine reads from them without being told what to look for.

In: a network, pictures. Out: maps (n, 28, 28) of the coat's log-odds by four of Captum's methods and by Shapley values,
and for each property one number a map (n, properties): how much of the map lies where one would see this property,
beside what a map without any preference would have there.
"""

from __future__ import annotations

from collections.abc import Mapping

import captum.attr
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ialgebra

from .planted import CLASSES, NAMES

METHODS = ("Saliency", "InputXGradient", "IntegratedGradients", "Occlusion", "Shapley values")
_BUDGET = 128  # model rows of a Shapley map of 49 tiles
_ROUGH, _LOPSIDED = 2.0, 1.0  # about what a map of independent pixels has: change from row to row, and of the halves


class LogOdds(nn.Module):
    """The log-odds (B,) of a coat."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        out = self.net(images)
        found: Tensor = out[:, 1] - out[:, 0]
        return found


def maps(net: nn.Module, images: Tensor) -> Mapping[str, Tensor]:
    """The maps of each method, (n, 28, 28)."""
    function = LogOdds(net).requires_grad_(False)
    found = {}
    for name in METHODS[:3]:
        asked = getattr(captum.attr, name)(function)
        found[name] = asked.attribute(images.clone().requires_grad_(True)).detach()[:, 0]
    window = {"sliding_window_shapes": (1, 4, 4), "strides": (1, 2, 2)}
    found["Occlusion"] = captum.attr.Occlusion(function).attribute(images, perturbations_per_eval=16, **window)[:, 0]
    with ialgebra.connect(progress=False) as con:
        con.register_model("net", net, classes=CLASSES)
        con.register_input("xs", images)
        question = f"select * from net(xs, target => coat, output => log_odds, players => grid(7, 7)) budget {_BUDGET}"
        found["Shapley values"] = torch.stack(
            [torch.from_numpy(each.map).reshape(28, 28) for each in con.sql(question)]
        )
    return {name: each.float() for name, each in found.items()}


def readings(found: Tensor, images: Tensor) -> Tensor:
    """(n, properties): how much more of each map lies where a property is seen than by chance, as a logarithm of base 2
    (0: as much as by chance)."""
    size = found.abs() + 1e-9 * found.abs().amax((1, 2), keepdim=True).clamp_min(1e-9)
    size = size / size.sum((1, 2), keepdim=True)
    regions = _regions(images)
    shares = {
        name: (size * region).sum((1, 2)) / region.mean((1, 2)).clamp_min(1e-6) for name, region in regions.items()
    }
    shares["texture"] = (size[:, 2:] - 2 * size[:, 1:-1] + size[:, :-2]).abs().sum((1, 2)) / _ROUGH
    shares["asymmetry"] = (size - size.flip(2)).abs().sum((1, 2)) / _LOPSIDED
    return torch.stack([shares[name].clamp_min(1e-4).log2() for name in NAMES], dim=1)


def _regions(images: Tensor) -> dict[str, Tensor]:
    """Where each property is seen, (n, 28, 28) of 0 and 1."""
    garment = (images > 0.04).float()
    inner, outer = -F.max_pool2d(-garment, 3, 1, 1), F.max_pool2d(garment, 3, 1, 1)
    inside, outline, own = inner[:, 0], (outer - inner)[:, 0], images[:, 0]
    row, column = torch.arange(28)[:, None], torch.arange(28)[None, :]
    bright = (own >= own.flatten(1).quantile(0.75, dim=1)[:, None, None]) & (own > 0.04)
    ends, sides = (row < 8) | (row >= 20), (column < 8) | (column >= 20)
    return {
        "brightness": inside,
        "contrast": bright.float(),
        "corner": ((row < 3) & (column < 3)).float().expand_as(own),
        "area": outline,
        "width": outline * sides,
        "height": outline * ends,
        "middle": ((row >= 10) & (row < 18)).float().expand_as(own),
        "sleeves": ((column < 6) | (column >= 22)).float().expand_as(own),
    }
