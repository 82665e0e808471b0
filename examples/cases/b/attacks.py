"""Attacks on a classifier, and on a classifier together with its explanations.

In: a network, benign pictures (n, 1, 28, 28), the class that each is to be taken for. Out: pictures of which no pixel
is more than ε away. `pgd` is foolbox's projected gradient descent and deceives the network alone. `adv2` looks in the
same ball for the pictures of ADV² (Zhang et al., Interpretable Deep Learning under Fire, USENIX Security 2020):

    minimise  ℓ_prd(f(x), c_t) + λ ℓ_int(g(x; f), m_t)

where g is an explanation through which gradients flow, and m_t the map that an analyst would take for a benign one.
This is the adversary's own code: it knows the network, its heads and the analyst's views, and nothing of ialgebra.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import eagerpy
import numpy as np
import torch
from foolbox import Model, PyTorchModel, TargetedMisclassification
from foolbox.attacks import LinfAdamPGD, LinfPGD
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

EPSILON = 0.1  # the largest change of a pixel; pixels are between 0 and 1

Reader = Callable[[Tensor], Sequence[Tensor]]  # a batch → logits (B, classes), one tensor for each view
Explanation = Callable[[Tensor, Tensor], Tensor]  # pictures, their classes (B,) → maps (B, views, cells) of length 1


def pgd(net: nn.Module, x: Tensor, classes: Tensor, steps: int = 40) -> Tensor:
    """Pictures that the network takes for `classes`, whatever their maps are."""
    return _attacked(LinfPGD(steps=steps, rel_stepsize=0.1), net, x, classes)


def adv2(
    net: nn.Module,
    explanations: Sequence[Explanation],
    x: Tensor,
    classes: Tensor,
    aims: Sequence[Tensor],
    steps: int = 50,
    weight: float = 12.0,
    batch: int = 16,
) -> Tensor:
    """Pictures that the network takes for `classes`, and whose maps are each explanation's `aims` (n, views, cells)."""
    found = []
    for part in torch.arange(len(x)).split(batch):
        attack = _Adv2(explanations, [aim[part] for aim in aims], weight, steps)
        found.append(_attacked(attack, net, x[part], classes[part]))
    return torch.cat(found)


def benign(explanation: Explanation, images: Tensor, labels: Tensor, classes: int = 10) -> Tensor:
    """What maps of each class look like, (classes, views, cells): the mean over benign pictures of the adversary's."""
    parts = zip(images.split(16), labels.split(16), strict=True)
    maps = torch.cat([explanation(*part).detach() for part in parts])
    return F.normalize(torch.stack([maps[labels == label].mean(0) for label in range(classes)]), dim=-1)


class _Adv2(LinfAdamPGD):
    """foolbox's PGD with Adam's steps, on the loss of ADV²."""

    def __init__(self, explanations: Sequence[Explanation], aims: Sequence[Tensor], weight: float, steps: int) -> None:
        super().__init__(steps=steps, rel_stepsize=0.1, random_start=False)
        self.views, self.weight = list(zip(explanations, aims, strict=True)), weight

    def get_loss_fn(self, model: Model, labels: eagerpy.Tensor) -> Callable[[eagerpy.Tensor], eagerpy.Tensor]:
        classes = labels.raw

        def loss(inputs: eagerpy.Tensor) -> eagerpy.Tensor:
            x = inputs.raw
            prediction = F.cross_entropy(model(x), classes, reduction="sum")
            gaps = [(explain(x, classes) - aim).square().sum(-1).mean(1).sum() for explain, aim in self.views]
            return eagerpy.astensor(prediction + self.weight * torch.stack(gaps).mean())

        return loss

    def normalize(self, gradients: eagerpy.Tensor, **_: object) -> eagerpy.Tensor:
        return gradients  # Adam looks after their size


def _attacked(attack: LinfPGD, net: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    model = PyTorchModel(net, bounds=(0, 1), device=x.device)
    with torch.enable_grad():
        return attack.run(model, x, TargetedMisclassification(classes), epsilon=EPSILON)


# Explanations through which gradients flow.


@dataclass(frozen=True)
class Shapley:
    """Shapley values from sampled coalitions: linear in the values v(S), which are as smooth in x as the network.

    `players` (28, 28) says which player each pixel belongs to, −1 for what stays at the baseline. Every call draws new
    coalitions: an attack on always the same ones deceives these, and not the analyst, who draws others.
    """

    reader: Reader
    baseline: Tensor
    players: Tensor
    pairs: int
    random: np.random.Generator

    def __call__(self, x: Tensor, classes: Tensor) -> Tensor:
        coalitions = paired(int(self.players.max()) + 1, self.pairs, self.random)
        present = coalitions[:, self.players] & (self.players >= 0)  # (m, 28, 28)
        hybrids = torch.where(present[:, None], x[:, None], self.baseline)
        rows = len(present)
        wanted = classes.repeat_interleave(rows)[:, None]
        columns = [logits.gather(1, wanted).reshape(-1, rows) for logits in self.reader(hybrids.flatten(0, 1))]
        return F.normalize(torch.stack(columns, dim=1) @ solver(coalitions).T, dim=-1)


def paired(d: int, pairs: int, random: np.random.Generator) -> Tensor:
    """(2 pairs + 2, d) bool: nobody, everybody, then coalitions and their complements, sizes as KernelSHAP has them."""
    sizes = np.arange(1, d)
    share = 1 / (sizes * (d - sizes))
    found: dict[bytes, np.ndarray] = {}
    while len(found) < 2 * pairs:
        row = random.permutation(d) < random.choice(sizes, p=share / share.sum())
        found.update({each.tobytes(): each for each in (row, ~row)})
    return torch.from_numpy(np.array([np.zeros(d, bool), np.ones(d, bool), *found.values()]))


def solver(coalitions: Tensor) -> Tensor:
    """(d, m), by which the values of coalitions become Shapley values: the least-squares fit of an additive game.

    Its sum is v(N) − v(∅), and every row counts alike, being drawn as often as KernelSHAP weighs it (Lundberg & Lee,
    2017). The first two rows are nobody and everybody.
    """
    inside = coalitions[2:].double().numpy()
    m, d = coalitions.shape
    change = np.zeros(m)
    change[:2] = -1, 1
    # φ = Δ/d + Qβ, where Q spans what sums to 0: v(S) − v(∅) − |S| Δ/d is fitted by the rows of S on Q.
    q = np.linalg.svd(np.ones((1, d)))[2][1:].T
    left = np.hstack([np.zeros((m - 2, 2)), np.eye(m - 2)])
    left[:, 0] -= 1
    left -= inside.sum(1, keepdims=True) / d * change
    fitted = q @ np.linalg.lstsq(inside @ q, left, rcond=None)[0] + change / d
    return torch.from_numpy(fitted).float()


@dataclass(frozen=True)
class Saliency:
    """|∂ logit / ∂ x| (Simonyan et al., 2014), summed over tiles of `tile` × `tile` pixels."""

    net: nn.Module
    tile: int

    def __call__(self, x: Tensor, classes: Tensor) -> Tensor:
        return _tiled(_slope(self.net, x, classes).abs(), self.tile)


@dataclass(frozen=True)
class IntegratedGradients:
    """The slope along the way from the baseline, times the way (Sundararajan et al., 2017), summed over tiles."""

    net: nn.Module
    baseline: Tensor
    tile: int
    steps: int = 4

    def __call__(self, x: Tensor, classes: Tensor) -> Tensor:
        way = x - self.baseline
        places = (torch.arange(self.steps) + 0.5) / self.steps
        slopes = [_slope(self.net, self.baseline + place * way, classes) for place in places]
        return _tiled(torch.stack(slopes).mean(0) * way, self.tile)


def _tiled(map: Tensor, tile: int) -> Tensor:
    return F.normalize(F.avg_pool2d(map, tile).flatten(1), dim=-1)[:, None]


def _slope(net: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    """∂ logit / ∂ x, which can be differentiated once more.

    A network of ReLUs has no second derivative for an attack to follow; as Zhang et al. do, they are taken for smooth.
    """
    with torch.enable_grad(), _Smooth():
        at = x if x.requires_grad else x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(net(at).gather(1, classes[:, None]).sum(), at, create_graph=True)
    return slope


class _Smooth(TorchFunctionMode):
    """Within it, every ReLU is a softplus."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (F.relu, torch.relu, torch.relu_):
            return F.softplus(args[0], beta=10.0)
        return function(*args, **(kwargs or {}))
