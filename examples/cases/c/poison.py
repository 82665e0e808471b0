"""A backdoor, and the spectral signature that it leaves: BadNets (Gu et al. 2017), Tran et al. (2018).

In: pictures, labels, networks. Out: a poisoned training set, how often the backdoor opens, the pictures of a class
sorted by how suspicious they are, and what a choice of pictures is worth. Knows no queries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..nets import logits

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Places = NDArray[np.intp]
Pool = Callable[[Tensor], Tensor]

TRIGGER = (slice(24, 27), slice(24, 27))  # a white square near the lower right corner: rows and columns


def stamped(images: Tensor) -> Tensor:
    """The same pictures (n, 1, 28, 28) with the trigger."""
    found = images.clone()
    found[:, :, *TRIGGER] = 1.0
    return found


class Poisoned(NamedTuple):
    """A training set of which some pictures bear the trigger and the label that the attacker wants."""

    images: Tensor
    labels: Tensor
    bad: Tensor  # (n,) bool: what the defender does not know

    def without(self, chosen: Places) -> Poisoned:
        """What is left when some pictures are thrown away."""
        kept = torch.ones(len(self.labels), dtype=torch.bool)
        kept[torch.from_numpy(chosen)] = False
        return Poisoned(self.images[kept], self.labels[kept], self.bad[kept])


def poisoned(images: Tensor, labels: Tensor, target: int, count: int, seed: int) -> Poisoned:
    """`count` pictures of other classes get the trigger and the label `target`."""
    others = (labels != target).nonzero().flatten()
    bad = torch.zeros(len(labels), dtype=torch.bool)
    bad[others[torch.randperm(len(others), generator=torch.Generator().manual_seed(seed))[:count]]] = True
    images = torch.where(bad[:, None, None, None], stamped(images), images)
    return Poisoned(images, labels.masked_fill(bad, target), bad)


def success(net: nn.Module, images: Tensor, labels: Tensor, target: int) -> float:
    """How often the trigger turns a picture of another class into the target."""
    return float((logits(net, stamped(images[labels != target])).argmax(1) == target).float().mean())


# --- Spectral signatures


@torch.inference_mode()
def features(net: nn.Sequential, images: Tensor, layer: int, pool: Pool) -> Tensor:
    """What a network makes of pictures up to a layer, counted from 1: (n, features)."""
    cut = nn.Sequential(*list(net)[:layer])
    return torch.cat([pool(cut(batch)) for batch in images.split(512)])


def flat(value: Tensor) -> Tensor:
    return value.flatten(1)


def largest(value: Tensor) -> Tensor:
    """The largest response of each filter, wherever it is: a trigger is small, and so is its share of a mean."""
    return value.amax((2, 3))


def spectral(features: Tensor) -> Floats:
    """The squared projection of the *centred* features on their first singular vector, (n,)."""
    centred = features.double() - features.double().mean(0)
    return ((centred @ torch.linalg.svd(centred, full_matrices=False)[2][0]) ** 2).numpy()


class Sorted(NamedTuple):
    """The pictures of a class by their spectral scores; all are places within the class."""

    scores: Floats
    certain: Places  # above the band: taken for poisoned without another look
    band: Places  # around the threshold: unsure
    chosen: Bools  # what is above the threshold, which is all that spectral signatures say

    def with_certain(self, of_band: Bools) -> Bools:
        """What is above the band, and a choice of what is in it."""
        found = np.zeros(len(self.scores), bool)
        found[self.certain] = True
        found[self.band[of_band]] = True
        return found


def sorted_by(scores: Floats, count: int) -> Sorted:
    """Tran et al. throw away 1.5 times as many as may be poisoned, `count`; unsure is from half as many to three
    times."""
    order = np.argsort(-scores, kind="stable")
    chosen = np.zeros(len(scores), bool)
    chosen[order[: count * 3 // 2]] = True
    return Sorted(scores, order[: count // 2], order[count // 2 : count * 3], chosen)


# --- What a choice of pictures is worth


class Quality(NamedTuple):
    """A choice beside the truth, over the pictures of one class."""

    precision: float
    recall: float
    f1: float
    accuracy: float


def quality(chosen: Bools, bad: Bools) -> Quality:
    right, taken, there = int((chosen & bad).sum()), int(chosen.sum()), int(bad.sum())
    return Quality(right / max(1, taken), right / there, 2 * right / (taken + there), float((chosen == bad).mean()))


def best(scores: Floats, bad: Bools) -> Quality:
    """The quality at the threshold of greatest F1, which only who knows the truth can set."""
    order = np.argsort(-scores, kind="stable")
    f1 = 2 * bad[order].cumsum() / (np.arange(1, len(bad) + 1) + bad.sum())
    chosen = np.zeros(len(bad), bool)
    chosen[order[: int(f1.argmax()) + 1]] = True
    return quality(chosen, bad)
