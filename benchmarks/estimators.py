"""Error, coverage and speed of the estimators on games whose Shapley values are known exactly.

Run alone: `python -m benchmarks.estimators [seeds] [log-odds]`. For every game, method and budget of 4, 8, 16, 32 and
64 rows a player it prints the mean relative L2 error and the share of players whose 95 % interval holds the exact
value; then the seconds that a design and its estimates take. Values are looked up in tables, so nothing but the
estimators is measured.
With the word `log-odds`, only the errors of probabilities with the rung of that name and without it.
"""

from __future__ import annotations

import sys
import time
import warnings
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ialgebra.kernels.estimators.estimate import Estimate
from ialgebra.kernels.estimators.registry import choose, design, estimate

from .drawn import Drawn, Family, sigmoids

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


@cache
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


def log_odds(seeds: int) -> None:
    """v + 1 has the values of v, but is no probability: it is fitted without the rung."""
    print(f"root mean square of the relative error without → with log-odds, and coverage; {seeds} seeds")
    families: dict[str, Family] = {"digits probability": tabulated}
    families |= {f"sigmoid {d}, × {k}": partial(sigmoids, d, float(k)) for d in (16, 24, 40) for k in (4, 8, 30)}
    for name, family in families.items():
        cells = []
        for multiple in (8, 16, 32):
            drawn = [(seed, family(seed)) for seed in range(seeds)]
            found = [_both(game, multiple, seed) for seed, game in drawn]
            known = np.array([each for each in found if each is not None])  # (games, without and with, error and share)
            if not len(known):
                cells.append(f"{'no probability':>30}")
                continue
            without, given = np.sqrt(np.square(known[:, :, 0]).mean(axis=0))
            before, covered = known[:, :, 1].mean(axis=0)
            cells.append(f"{without:8.4f} → {given:.4f} {before:.3f} → {covered:.3f}")
        print(f"{name:24}{'   '.join(cells)}", flush=True)


def _both(game: Drawn, multiple: int, seed: int) -> list[tuple[float, float]] | None:
    """The relative error, and the share of players whose interval holds the exact value, without and with log-odds."""
    made = design("regression", game.players, multiple * game.players, seed)
    values = np.asarray(game.values(made.coalitions), dtype=np.float64)
    if values.min() <= 0 or values.max() >= 1:
        return None
    errors = [(each.values - game.shapley, each) for each in estimate(made, np.stack([values + 1, values], axis=1))]
    size = float(np.linalg.norm(game.shapley))
    return [
        (float(np.linalg.norm(error)) / size, float(np.mean(np.abs(error) <= 1.96 * one.stderr)))
        for error, one in errors
    ]


def tabulated(seed: int) -> Drawn:
    """The digits' probability; it is the same for every seed."""
    values = games()["digits probability"]
    players = len(values).bit_length() - 1
    place = 1 << np.arange(players)
    return Drawn(players, lambda masks: values[masks @ place], answer(values, players, "exact", 1 << players, 0).values)


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
    count = next((int(word) for word in sys.argv[1:] if word.isdigit()), 100)
    if "log-odds" in sys.argv:
        log_odds(count)
    else:
        accuracy(count)
        speed()
