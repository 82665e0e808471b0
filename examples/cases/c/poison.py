"""A backdoor, and the spectral signature that it leaves: BadNets (Gu et al. 2017), Tran et al. (2018).

In: pictures, labels, networks. Out: a poisoned training set, how often the backdoor opens, a score for each picture of
a class, and what a choice of pictures is worth. Knows no queries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..nets import logits

Bools = NDArray[np.bool_]
Pool = Callable[[Tensor], Tensor]

TRIGGER = (slice(24, 27), slice(24, 27))  # a white square near the lower right corner, rows and columns


def stamped(images: Tensor) -> Tensor:
    """The same pictures (n, 1, 28, 28) with the trigger."""
    found = images.clone()
    found[:, :, *TRIGGER] = 1.0
    return found


class Poisoned(NamedTuple):
    """A training set of which some pictures bear the trigger and the attacker's label."""

    images: Tensor
    labels: Tensor
    bad: Tensor  # (n,) bool: what the defender does not know


def poisoned(images: Tensor, labels: Tensor, target: int, count: int, seed: int) -> Poisoned:
    """`count` pictures of other classes get the trigger and the label `target`."""
    others = (labels != target).nonzero().flatten()
    chosen = others[torch.randperm(len(others), generator=torch.Generator().manual_seed(seed))[:count]]
    bad = torch.zeros(len(labels), dtype=torch.bool)
    bad[chosen] = True
    return Poisoned(
        torch.where(bad[:, None, None, None], stamped(images), images),
        labels.masked_fill(bad, target),
        bad,
    )


def success(net: nn.Module, images: Tensor, labels: Tensor, target: int) -> float:
    """How often the trigger turns a picture of another class into the target."""
    return float((logits(net, stamped(images[labels != target])).argmax(1) == target).float().mean())


# --- Spectral signatures


@torch.inference_mode()
def features(net: nn.Sequential, images: Tensor, layer: int, pool: Pool) -> Tensor:
    """What a network makes of pictures up to a layer, counted from 1: (n, features)."""
    return torch.cat([pool(nn.Sequential(*list(net)[:layer])(batch)) for batch in images.split(512)])


def flat(value: Tensor) -> Tensor:
    return value.flatten(1)


def largest(value: Tensor) -> Tensor:
    """The largest response to each filter, wherever it is: a trigger is small, and so is its share of a mean."""
    return value.amax((2, 3)) if value.ndim == 4 else value


def spectral(features: Tensor) -> Tensor:
    """The squared projection of the *centred* features on their first singular vector, (n,)."""
    centred = features - features.mean(0)
    return (centred @ torch.linalg.svd(centred, full_matrices=False)[2][0]) ** 2


# --- What a choice of pictures is worth


class Quality(NamedTuple):
    """A choice beside the truth, over the pictures of one class."""

    precision: float
    recall: float
    f1: float
    accuracy: float


def quality(chosen: Bools, bad: Bools) -> Quality:
    right = float((chosen & bad).sum())
    precision, recall = right / max(1, chosen.sum()), right / bad.sum()
    f1 = 2 * right / (chosen.sum() + bad.sum())
    return Quality(precision, recall, f1, float((chosen == bad).mean()))


def best(scores: NDArray[np.floating], bad: Bools) -> Quality:
    """The quality of the highest scores at the threshold of greatest F1, which only who knows the truth can set."""
    order = np.argsort(-scores, kind="stable")
    right = bad[order].cumsum()
    count = int((right / (np.arange(1, len(bad) + 1) + bad.sum())).argmax()) + 1
    chosen = np.zeros(len(bad), bool)
    chosen[order[:count]] = True
    return quality(chosen, bad)
