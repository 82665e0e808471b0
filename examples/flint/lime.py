"""LIME (Ribeiro et al., KDD 2016) as a surrogate: how often is its local model of the class that the network predicts?

In: a network, pictures. Out: shares. For each picture tiles are blackened at random, and a ridge regression, in which
what is nearer to the picture counts more, tells the probability of each class of the tiles that are left. Its
prediction for the whole picture is compared with the network's: for all classes, as an interpreter g has to tell them
apart. Settings are those of the package lime for pictures: 1,000 samples, a kernel of width .25 on the cosine distance,
ridge 1; its `highest_weights` chooses the tiles of a shorter explanation.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from torch import Tensor, nn

SAMPLES, WIDTH, RIDGE = 1000, 0.25, 1.0
CELLS = 7  # tiles along each side
LENGTHS = (None, 10, 5)
"""The tiles of an explanation; None: all."""

Floats = NDArray[np.float64]


def tiles_of(shape: torch.Size, cells: int = CELLS) -> Tensor:
    """The tile (H, W) of each pixel of a picture (C, H, W)."""
    rows, cols = (torch.arange(size) * cells // size for size in shape[1:])
    return rows[:, None] * cells + cols


def coalitions(tiles: int, samples: int, seed: int) -> Tensor:
    """Which tiles are left, (samples, tiles) of 0 and 1: all in the first, each with a chance of one half in others."""
    drawn = torch.randint(0, 2, (samples, tiles), generator=torch.Generator().manual_seed(seed)).float()
    drawn[0] = 1
    return drawn


def closeness(kept: Tensor) -> Floats:
    """The weight of each sample (n, tiles): e^(−d²/width²) ^ ½ of the cosine distance d to the whole picture."""
    distance = 1 - kept.sum(dim=1) / (kept.norm(dim=1) * kept.shape[1] ** 0.5).clamp(min=1e-12)
    found: Floats = np.sqrt(np.exp(-(distance.double().numpy() ** 2) / WIDTH**2))
    return found


@torch.no_grad()
def probabilities(net: nn.Module, picture: Tensor, kept: Tensor) -> Floats:
    """What the network gives (n, C) for a picture of which only some tiles are left."""
    shown = kept[:, tiles_of(picture.shape)][:, None] * picture
    found: Floats = torch.cat([net(some).softmax(dim=1) for some in shown.split(500)]).double().numpy()
    return found


def local_prediction(kept: Tensor, outputs: Floats, length: int | None) -> Floats:
    """What the local models give (C,) for the whole picture, with `length` tiles for each class."""
    tiles, weights = kept.double().numpy(), closeness(kept)
    whole = Ridge(alpha=RIDGE).fit(tiles, outputs, sample_weight=weights)
    if length is None:
        found: Floats = whole.intercept_ + whole.coef_.sum(axis=1)
        return found
    told = np.empty(outputs.shape[1])
    for index, coefficients in enumerate(whole.coef_):
        best = np.argsort(-np.abs(coefficients), kind="stable")[:length]
        short = Ridge(alpha=RIDGE).fit(tiles[:, best], outputs[:, index], sample_weight=weights)
        told[index] = short.intercept_ + short.coef_.sum()
    return told


def fidelity(net: nn.Module, pictures: Tensor, seed: int, samples: int = SAMPLES) -> dict[str, float]:
    """By the length of explanations: the share of pictures, in per cent, whose class the local model gives."""
    right: dict[int | None, int] = dict.fromkeys(LENGTHS, 0)
    for number, picture in enumerate(pictures):
        kept = coalitions(CELLS**2, samples, seed * len(pictures) + number)
        outputs = probabilities(net, picture, kept)
        for length in LENGTHS:
            right[length] += int(local_prediction(kept, outputs, length).argmax() == outputs[0].argmax())
    named = {length: f"LIME, {'all' if length is None else length} tiles" for length in LENGTHS}
    return {named[length]: 100 * count / len(pictures) for length, count in right.items()}
