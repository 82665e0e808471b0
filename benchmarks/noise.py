"""How often the 95 % intervals of a random model's answers hold the values of the model without its noise.

`python -m benchmarks.noise [seeds]`: nets with added noise of known size, each answered in a new session for every
seed: exactly, and sampled by each estimator. In: nothing. Out: a table of the share of players whose interval holds the
true value, over all seeds, and how wide the intervals are.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import ialgebra

PLAYERS = 8
Q = "select * from f(x, target => 0)"
QUERIES = {
    "exact": Q,
    "regression, 60 rows": f"{Q} using regression budget 60",
    "regression, 160 rows": f"{Q} using regression budget 160",
    "permutations, 100 rows": f"{Q} using permutations budget 100",
    "unbiased, 100 rows": f"{Q} using unbiased budget 100",
    "banzhaf, all rows": f"{Q} using banzhaf",
    "banzhaf, 100 rows": f"{Q} using banzhaf budget 100",
    "join": "select * from f(x, target => 0) join f(y, target => 0)",
    "anti-join": "select * from f(x, target => 0) left join f(y, target => 0)",
}


class Noisy(nn.Module):
    """A small net (B, 8) → (B, 2); `noise` says what is added to its outputs."""

    def __init__(self, noise: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.net = nn.Sequential(nn.Linear(PLAYERS, 12), nn.Tanh(), nn.Linear(12, 2))
        self.noise = noise

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.net(x)) + self.noise(x)


NOISES: dict[str, Callable[[Tensor], Tensor]] = {
    "σ = .001": lambda x: 0.001 * torch.randn(len(x), 2),
    "σ = .05": lambda x: 0.05 * torch.randn(len(x), 2),
    "σ = 1": lambda x: torch.randn(len(x), 2),
    "σ = .05, uniform": lambda x: 0.05 * 12**0.5 * (torch.rand(len(x), 2) - 0.5),
    "grows with the row": lambda x: 0.05 * x.abs().sum(dim=1, keepdim=True) * torch.randn(len(x), 2),
}


def covered(noise: str, query: str, seeds: int) -> tuple[float, float, float]:
    """The share of covered values, the mean width of intervals relative to the values, and the seconds of a query."""
    quiet = Noisy(lambda x: torch.zeros(len(x), 2)).eval()
    hits: list[NDArray[np.bool_]] = []
    widths, seconds = [], 0.0
    expected: NDArray[np.float64] | None = None
    for seed in range(seeds):
        x, y = torch.linspace(-1.5, 2.1, PLAYERS), torch.linspace(1, -1.1, PLAYERS).sin()
        answers = []
        for model in [quiet] if expected is None else [Noisy(NOISES[noise]).eval()]:
            with ialgebra.connect(progress=False) as con, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                con.register_model("f", model)
                con.register_input("x", x)
                con.register_input("y", y)
                torch.manual_seed(seed)
                started = time.perf_counter()
                text = query if model is not quiet else exactly(query)
                answers = list(con.sql(text, seed=seed))
                seconds += time.perf_counter() - started
        if expected is None:
            expected = np.concatenate([each.values for each in answers])
            continue
        bounds = [each.interval() for each in answers]
        low, high = (np.concatenate([each[side] for each in bounds]) for side in (0, 1))
        hits.append((low <= expected) & (expected <= high))
        widths.append(float((high - low).mean() / np.abs(expected).mean()))
    return float(np.mean(hits)), float(np.mean(widths)), seconds / seeds


def exactly(query: str) -> str:
    """The query with all rows."""
    head, _, _ = query.partition(" using ")
    return f"{head} using banzhaf" if "banzhaf" in query else head


def main() -> int:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(f"{'noise':<22}{'query':<26}{'covered':>9}{'width':>9}{'s':>7}")
    for noise in NOISES:
        for name, query in QUERIES.items():
            share, width, seconds = covered(noise, query, seeds)
            print(f"{noise:<22}{name:<26}{share:>9.1%}{width:>9.2g}{seconds:>7.3f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
