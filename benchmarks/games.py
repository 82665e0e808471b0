"""Exact games on real data: what the comparison with other libraries is played on.

In: the stored game table of the tests and scikit-learn's data sets; networks are trained on the spot, from fixed seeds.
Out: the value of every coalition, the Shapley values by enumeration, and a wrapper that counts the rows asked for.
Knows nothing of ialgebra, so that its exact answers are its own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.feature_selection import SelectKBest
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

Floats = NDArray[np.float64]

STORED = Path(__file__).parent.parent / "tests" / "data" / "lite0_chelsea_3x4.npz"


@dataclass(frozen=True, eq=False)
class Game:
    """`values` (2^d,): bit i of the index says whether player i is present."""

    name: str
    values: Floats

    @property
    def players(self) -> int:
        return len(self.values).bit_length() - 1

    def shapley(self) -> Floats:
        """Eq. 2 in full: the mean over coalition sizes of the mean marginal contribution."""
        d, coalitions = self.players, np.arange(len(self.values))
        weight = np.array([1 / (d * math.comb(d - 1, int(index).bit_count())) if d else 0 for index in coalitions[:-1]])
        without = [coalitions[coalitions >> i & 1 == 0] for i in range(d)]
        gains = [self.values[each | 1 << i] - self.values[each] for i, each in enumerate(without)]
        return np.array([weight[each] @ gain for each, gain in zip(without, gains, strict=True)])


@dataclass(eq=False)
class Counted:
    """The game as a model of binary features, which counts the rows that it is asked for."""

    game: Game
    rows: int = field(default=0, init=False)

    def __call__(self, coalitions: NDArray[np.generic]) -> Floats:
        present = np.atleast_2d(coalitions).astype(bool)
        self.rows += len(present)
        values: Floats = self.game.values[present @ (1 << np.arange(self.game.players))]
        return values

    def torch(self, batch: Tensor) -> Tensor:
        return torch.from_numpy(self(batch.numpy()))


def hybrids(x: Tensor, baseline: Tensor, players: Tensor) -> Tensor:
    """Eq. 1 for every coalition: (2^d, *shape) in the order of a game's values."""
    d = int(players.max()) + 1
    present = (torch.arange(2**d)[:, None] >> torch.arange(d) & 1).bool()
    return torch.where(present[:, players], x, baseline)


def games(name: str, logits: Tensor) -> Iterator[Game]:
    """The predicted class of the full input (the last row), as a logit and as a probability."""
    target = int(logits[-1].argmax())
    yield Game(f"{name}, logit", logits.double()[:, target].numpy())
    yield Game(f"{name}, probability", torch.softmax(logits.double(), 1)[:, target].numpy())


@torch.enable_grad()
def trained(module: nn.Sequential, inputs: Tensor, labels: Tensor, steps: int) -> nn.Sequential:
    optimizer = torch.optim.Adam(module.parameters(), lr=5e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(inputs), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return module.eval().requires_grad_(False)


class Digits(NamedTuple):
    """A CNN of three blocks and a head, trained on scikit-learn's 8×8 digits, and the split it was trained on."""

    module: nn.Sequential
    train: Tensor
    test: Tensor
    tiles: Tensor  # (1, 8, 8): sixteen tiles of 2×2

    @classmethod
    def load(cls) -> Digits:
        torch.manual_seed(0)
        images, labels = load_digits(return_X_y=True)
        train, test, train_labels, _ = train_test_split(images / 16, labels, random_state=0, stratify=labels)
        module = nn.Sequential(
            nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU()),
            nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()),
            nn.Sequential(nn.Flatten(), nn.Linear(512, 10)),
        )
        seen, unseen = (torch.tensor(each, dtype=torch.float32).reshape(-1, 1, 8, 8) for each in (train, test))
        trained(module, seen, torch.tensor(train_labels), steps=100)
        side = torch.arange(8) // 2
        return cls(module, seen, unseen, (4 * side[:, None] + side)[None])

    def pair(self) -> tuple[Tensor, Tensor]:
        """The first two test images of different predicted classes that differ in every tile: no player is null."""
        guess = self.module(self.test).argmax(1)
        for i, j in itertools.combinations(range(len(self.test)), 2):
            unlike = (self.test[i] != self.test[j]).float()
            if guess[i] != guess[j] and nn.functional.max_pool2d(unlike, 2).all():
                return self.test[i], self.test[j]
        raise LookupError("no two digits differ in every tile")


def cancer() -> Iterator[Game]:
    """An MLP on the 14 features of the breast-cancer data that tell most; a malignant case against the mean patient."""
    torch.manual_seed(0)
    features, labels = load_breast_cancer(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(features, labels, random_state=0, stratify=labels)
    chosen = SelectKBest(k=14).fit(train, train_labels)
    scale = StandardScaler().fit(chosen.transform(train))
    inputs, cases = (torch.tensor(scale.transform(chosen.transform(each))).float() for each in (train, test))
    module = nn.Sequential(nn.Linear(14, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    trained(module, inputs, torch.tensor(train_labels), steps=100)
    x = cases[int((test_labels == 0).argmax())]
    yield from games("MLP, breast cancer", module(hybrids(x, torch.zeros(14), torch.arange(14))))


def all_games(digits: Digits) -> Iterator[Game]:
    """The stored table holds ten classes of a thousand, so its probability is that among these ten."""
    with np.load(STORED) as stored:
        yield from games("EfficientNet-Lite0, cat photo", torch.from_numpy(stored["logits"]))
    every = hybrids(digits.test[0], digits.train.mean(0), digits.tiles)
    yield from games("CNN, digits", digits.module(every))
    yield from cancer()
