"""Captum, shap and shapiq as oracles: each works out Eq. 2 by its own code.

In: a model from a batch to one score a row, an input, a baseline and players. Out: one value a player. Nothing of
ialgebra is used. A test that imports this module is skipped where one of the libraries is not installed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
    warnings.simplefilter("ignore")  # what the libraries' own imports deprecate
    patch.setenv("NUMBA_DISABLE_JIT", "1")  # compiling shap takes longer than all its answers here
    captum_attr = pytest.importorskip("captum.attr")
    shap = pytest.importorskip("shap")
    shapiq = pytest.importorskip("shapiq")

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Scores = Callable[[Tensor], Tensor]  # a batch (B, *shape) to (B,)
Game = Callable[[NDArray[np.generic]], Floats]  # coalitions (m, d) to their worth (m,)
Oracle = Callable[[Scores, Tensor, Tensor, Labels], Floats]


def by_captum(model: Scores, x: Tensor, baseline: Tensor, labels: Labels) -> Floats:
    """Captum walks through all d! orders, on hybrids of its own making; what does not play is the baseline in both."""
    mask = torch.from_numpy(labels)
    foreground = torch.where(mask < 0, baseline, x)
    said = captum_attr.ShapleyValues(model).attribute(
        foreground[None], baseline[None], feature_mask=mask.clamp(min=0)[None], perturbations_per_eval=32
    )[0]
    return np.array([said[mask == player][0].item() for player in range(count(labels))])


def by_shap(model: Scores, x: Tensor, baseline: Tensor, labels: Labels) -> Floats:
    return shap_values(game_of(model, x, baseline, labels), count(labels))


def by_shapiq(model: Scores, x: Tensor, baseline: Tensor, labels: Labels) -> Floats:
    return shapiq_values(game_of(model, x, baseline, labels), count(labels))


ORACLES: dict[str, Oracle] = {"captum": by_captum, "shap": by_shap, "shapiq": by_shapiq}


def shap_values(game: Game, players: int) -> Floats:
    """shap's ExactExplainer, for which a coalition is a row of ones before a background of zeros."""
    explainer = shap.ExactExplainer(game, shap.maskers.Independent(np.zeros((1, players))))
    return np.asarray(explainer(np.ones((1, players))).values[0])


def shapiq_values(game: Game, players: int) -> Floats:
    return np.asarray(shapiq.ExactComputer(n_players=players, game=game)("SV").get_n_order_values(1))


def game_of(model: Scores, x: Tensor, baseline: Tensor, labels: Labels) -> Game:
    """v(S) = f(x on the players of S, baseline elsewhere), Eq. 1, for a batch of coalitions."""

    def worth(coalitions: NDArray[np.generic]) -> Floats:
        asked = np.atleast_2d(coalitions).astype(bool)
        plays = np.concatenate([asked, np.zeros((len(asked), 1), dtype=bool)], axis=1)[:, labels]  # −1 is the last
        with torch.no_grad():
            return model(torch.where(torch.from_numpy(plays), x, baseline)).double().numpy()

    return worth


def count(labels: Labels) -> int:
    return int(labels.max()) + 1


def spread(values: Floats, labels: Labels) -> Floats:
    """One value a player as a map: spread evenly over the player's features, 0 where nobody plays."""
    sizes = np.bincount(labels[labels >= 0], minlength=len(values))
    return np.append(values / sizes, 0.0)[labels]


class Truncated(nn.Module):
    """f_l: the first l modules, the mean over space or time, a linear head (Eq. 4)."""

    def __init__(self, net: nn.Sequential, layer: int, head: tuple[Tensor, Tensor]) -> None:
        super().__init__()
        self.below = net[:layer]
        self.weight, self.bias = head

    def forward(self, batch: Tensor) -> Tensor:
        inside = self.below(batch)
        pooled = inside.flatten(2).mean(2) if inside.dim() == 4 else inside.mean(1) if inside.dim() == 3 else inside
        return pooled @ self.weight.T + self.bias


def scores(model: nn.Module, target: int, output: str = "logit") -> Scores:
    """One class of a model, as it is explained."""

    def one(batch: Tensor) -> Tensor:
        with torch.no_grad():
            logits = model(batch)
        if output == "logit":
            return logits[:, target]
        p = torch.softmax(logits, dim=1)[:, target]
        return p if output == "probability" else torch.log(p) - torch.log1p(-p)

    return one


def agree(found: NDArray[np.generic], expected: NDArray[np.generic], tolerance: float = 1e-5) -> bool:
    """Whether two maps, which are not zero, differ by less than a share of the expected one's norm."""
    error = float(np.linalg.norm(np.asarray(found) - expected))
    return np.shape(found) == np.shape(expected) and error <= tolerance * float(np.linalg.norm(expected)) > 0
