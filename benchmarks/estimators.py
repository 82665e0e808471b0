"""Error, coverage and speed of the estimators on games whose Shapley values are known exactly.

Run alone: `python benchmarks/estimators.py [seeds]`. For every game, method and budget of 4, 8, 16, 32 and 64 rows a
player it prints the mean relative L2 error and the share of players whose 95 % interval holds the exact value; then the
seconds that a design and its estimates take. Values are looked up in tables, so nothing but the estimators is measured.
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ialgebra.kernels.estimators.estimate import Estimate
from ialgebra.kernels.estimators.registry import choose, design, estimate

Floats = NDArray[np.float64]

TABLE = Path(__file__).parents[1] / "tests" / "data" / "lite0_chelsea_3x4.npz"
MULTIPLES = (4, 8, 16, 32, 64)


def every_mask(players: int) -> NDArray[np.bool_]:
    """(2^players, players): row k holds the bits of k."""
    masks: NDArray[np.bool_] = (np.arange(1 << players)[:, None] >> np.arange(players)) & 1 == 1
    return masks


def softmax(logits: Floats) -> Floats:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = raised / raised.sum(axis=1, keepdims=True)
    return shares


def games() -> dict[str, Floats]:
    """Each game as its values of all coalitions, (2^players,)."""
    table = np.load(TABLE)
    logits, rng = table["logits"].astype(float), np.random.default_rng(0)
    found = {
        "EfficientNet logit": logits[:, 0],
        "EfficientNet other logit": logits[:, 3],
        "EfficientNet probability": softmax(logits)[:, 0],
        "EfficientNet at low resolution": table["low"][:, 0].astype(float),
        **digits(),
    }
    masks = every_mask(12)
    found["tanh network"] = np.tanh(masks @ rng.normal(size=(12, 40)) / 3 + rng.normal(size=40)) @ rng.normal(size=40)
    teams = [rng.choice(12, size=size, replace=False) for size in rng.integers(1, 5, size=80)]
    found["teams of one to four"] = np.sum([rng.normal() * masks[:, team].all(axis=1) for team in teams], axis=0)
    found["airport"] = (masks * np.linspace(0.1, 1, 12) ** 2).max(axis=1)
    masks = every_mask(15)
    found["UN Security Council"] = (masks[:, :5].all(axis=1) & (masks.sum(axis=1) >= 9)).astype(float)
    return found


def digits() -> dict[str, Floats]:
    """A trained network on an 8 × 8 digit in 16 tiles, absent tiles black; left out where scikit-learn is missing."""
    try:
        from sklearn.datasets import load_digits
        from sklearn.neural_network import MLPClassifier
    except ImportError:
        return {}
    images, labels = load_digits(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = MLPClassifier((64, 64), max_iter=60, random_state=0).fit(images / 16, labels)
    tile = np.arange(8)[:, None] // 2 * 4 + np.arange(8) // 2
    shares = network.predict_proba(np.where(every_mask(16)[:, tile.ravel()], images[5] / 16, 0))
    share = np.clip(shares[:, shares[-1].argmax()], 1e-9, 1 - 1e-9)
    return {"digits probability": share, "digits log-odds": np.log(share / (1 - share))}


def answer(values: Floats, players: int, method: str, budget: int, seed: int) -> Estimate:
    """One estimate of a tabulated game."""
    chosen, rows = choose(players, budget, method)
    made = design(chosen, players, rows, seed)
    return estimate(made, values[made.coalitions @ (1 << np.arange(players))][:, None])[0]


def accuracy(seeds: int) -> None:
    head = "".join(f"{f'm = {multiple} d':>17}" for multiple in MULTIPLES)
    print(f"relative L2 error, and coverage of 95 % intervals; {seeds} seeds\n{'':44}{head}")
    for name, values in games().items():
        players = len(values).bit_length() - 1
        truth = answer(values, players, "exact", 1 << players, 0).values
        for method in ("permutations", "unbiased", "regression"):
            cells = []
            for multiple in MULTIPLES:
                found = [answer(values, players, method, multiple * players, seed) for seed in range(seeds)]
                error = np.mean([np.linalg.norm(one.values - truth) for one in found]) / np.linalg.norm(truth)
                covered = np.mean([np.abs(one.values - truth) <= 1.96 * one.stderr for one in found])
                cells.append(f"{error:10.4f} {covered:6.3f}")
            print(f"{name:31}{method:13}{''.join(cells)}", flush=True)


def speed() -> None:
    print("\nseconds for a design and its estimates, best of three")
    rng = np.random.default_rng(0)
    for players, rows, columns in ((16, 512, 1), (49, 1568, 1), (49, 2048, 4), (784, 6272, 1)):
        best = (np.inf, np.inf)
        for seed in range(1000, 1003):  # of which no coalitions are kept
            start = time.perf_counter()
            made = design("regression", players, rows, seed)
            drawn = time.perf_counter()
            values = rng.normal(size=(rows, columns)).cumsum(axis=1)
            ready = time.perf_counter()
            estimate(made, values)
            best = min(best, (drawn - start, time.perf_counter() - ready), key=sum)
        print(f"{players:4} players, {rows:5} rows, {columns} columns: {best[0]:.4f} + {best[1]:.4f}", flush=True)


if __name__ == "__main__":
    accuracy(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
    speed()
