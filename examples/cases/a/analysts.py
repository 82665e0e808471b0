"""Machines in place of the paper's participants: each says from two maps which of two networks is right.

In: a panel and its maps. Out: the guesses. An analyst looks at some statistic of either map, and has learned from other
pictures of the panel what it tells: a logistic rule, cross-validated, so that no picture is judged by a rule that has
seen it. All analysts are given the networks' own maps, the anti-join's components, or both; whatever they make of them,
they do the same with each.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from .. import nets
from .maps import Answers, Floats, Maps
from .panels import Panel

Bools = NDArray[np.bool_]
Statistic = Callable[[Panel, Answers, Maps], Floats]  # → (n, 2, k): k figures of either network's map


def mass(panel: Panel, answers: Answers, maps: Maps) -> Floats:
    """Which share of a map lies on the object."""
    size = np.abs(maps.pixels)
    return (size * panel.object.numpy()[:, None]).sum((2, 3))[..., None] / _total(size)


def concentration(panel: Panel, answers: Answers, maps: Maps) -> Floats:
    """The entropy of a map: low where little of the picture decides."""
    share = np.abs(maps.values) / np.maximum(np.abs(maps.values).sum(2, keepdims=True), 1e-12)
    return -(share * np.log2(np.maximum(share, 1e-12))).sum(2, keepdims=True)


def curves(panel: Panel, answers: Answers, maps: Maps) -> Floats:
    """Areas under deletion and insertion: how the probability of its class falls as the map's players go, and rises."""
    found = [[_area(panel, answers, maps.values[:, side], side, insert) for insert in (False, True)] for side in (0, 1)]
    return np.moveaxis(np.array(found), 2, 0)


def summary(panel: Panel, answers: Answers, maps: Maps) -> Floats:
    """Sum, size and positive share of a map, the two statistics above, and its largest player."""
    size = np.abs(maps.values).sum(2, keepdims=True)
    plus = np.maximum(maps.values, 0).sum(2, keepdims=True) / np.maximum(size, 1e-12)
    about = (maps.values.sum(2, keepdims=True), size, plus, maps.values.max(2, keepdims=True))
    return np.concatenate(
        [*about, mass(panel, answers, maps), concentration(panel, answers, maps)],
        axis=2,
    )


def players(panel: Panel, answers: Answers, maps: Maps) -> Floats:
    """The map itself, player by player."""
    return maps.values


def expert(judge: nn.Module, tiles: int = 2) -> Statistic:
    """Someone who knows clothes, and looks only where a map is strongest: a third network, shown so many players."""

    def look(panel: Panel, answers: Answers, maps: Maps) -> Floats:
        found = []
        for side in (0, 1):
            strongest = np.argsort(np.argsort(-np.abs(maps.values[:, side]), axis=1), axis=1) < tiles
            seen = panel.images * torch.from_numpy(strongest[:, answers.players])[:, None]
            opinion = nets.logits(judge, seen)
            found.append((opinion.gather(1, panel.said[:, :1]) - opinion.gather(1, panel.said[:, 1:])).numpy())
        return np.stack(found, 1).astype(np.float64)

    return look


def taught_in_part(images: Tensor, players: NDArray[np.int64], seed: int) -> Tensor:
    """Pictures of which all but a random share of the players is blank: what an expert learns from."""
    random = torch.Generator().manual_seed(seed)
    share = 0.1 + 0.9 * torch.rand(len(images), 1, generator=random)
    kept = torch.rand(len(images), int(players.max()) + 1, generator=random) < share
    return images * kept[:, torch.from_numpy(players)][:, None]


def confidence(panel: Panel) -> Floats:
    """No map at all: the probability that each network gives to its own class, (n, 2, 1)."""
    own = [nets.logits(model, panel.images).softmax(1) for model in panel.models]
    return np.stack([each[torch.arange(len(each)), panel.said[:, k]].numpy() for k, each in enumerate(own)], 1)[
        ..., None
    ].astype(np.float64)


def guesses(statistics: Floats, right: Bools) -> Bools:
    """Whether f is right, for every picture by a rule that was learned from nine tenths of the others."""
    rule = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    count = min(10, int(right.sum()), int((~right).sum()))
    folds = StratifiedKFold(count, shuffle=True, random_state=0)
    flat = statistics.reshape(len(statistics), -1)
    return np.asarray(cross_val_predict(rule, flat, right, cv=folds), dtype=bool)


def _total(size: Floats) -> Floats:
    return np.maximum(size.sum((2, 3))[..., None], 1e-12)


def _area(panel: Panel, answers: Answers, values: Floats, side: int, insert: bool) -> Floats:
    """The mean probability, by the network `side`, of its own class while players come (or go), strongest first."""
    count = values.shape[1]
    rank = np.argsort(np.argsort(-values, axis=1), axis=1)
    present = (rank[:, None] < np.arange(count + 1)[:, None]) == insert  # (n, d + 1, d)
    shown = torch.from_numpy(present[..., answers.players])[:, :, None] * panel.images[:, None]
    probabilities = nets.logits(panel.models[side], shown.flatten(0, 1)).softmax(1).unflatten(0, shown.shape[:2])
    own = panel.said[:, side, None, None].expand(-1, count + 1, 1)
    return np.asarray(probabilities.gather(2, own).mean((1, 2)).numpy(), dtype=np.float64)
