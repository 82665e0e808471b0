"""Sums of unanimity games, whose Shapley values are known for any number of players, against what is answered.

v(S) = Σ c_T over the T inside S has the values φ_i = Σ c_T / |T| over the T with i in them: every dividend is shared
evenly (Harsanyi, A simplified bargaining model for the n-person cooperative game, 1963). No coalition need be counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb, erfc, sqrt

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import ialgebra

METHODS = ["regression", "permutations", "unbiased"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Dividends:
    """`inside` (terms, players): who is needed for a dividend; `worth` (terms,): what it is."""

    inside: NDArray[np.bool_]
    worth: Floats

    @property
    def values(self) -> Floats:
        shares: Floats = self.worth[:, None] * self.inside / self.inside.sum(axis=1, keepdims=True)
        return shares.sum(axis=0)

    @property
    def model(self) -> Callable[[Tensor], Tensor]:
        inside, worth = torch.from_numpy(self.inside).double(), torch.from_numpy(self.worth)
        return lambda batch: (((1 - batch) @ inside.T) < 0.5).double() @ worth


def drawn(players: int, order: int, seed: int) -> Dividends:
    """Three dividends a player, each of a random team of at most `order`, half of them losses."""
    rng = np.random.default_rng((players, order, seed))
    inside = np.zeros((3 * players, players), dtype=bool)
    for row, size in zip(inside, rng.integers(1, min(order, players) + 1, len(inside)), strict=True):
        row[rng.choice(players, size, replace=False)] = True
    return Dividends(inside, rng.normal(size=len(inside)))


def answer(game: Dividends, clauses: str, seed: int = 0) -> ialgebra.Attribution:
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", game.model)
        con.register_input("x", torch.ones(game.inside.shape[1], dtype=torch.float64))
        return con.sql(f"select * from f(x) {clauses}", seed=seed)[0]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("players", [1, 2, 3, 5, 8, 11, 14])
def test_exact_values_are_shared_dividends(players: int, seed: int) -> None:
    game = drawn(players, players, seed)
    found = answer(game, "using exact()")
    assert np.linalg.norm(found.values - game.values) <= 1e-5 * np.linalg.norm(game.values)
    assert (found.stderr == 0).all()


@pytest.mark.parametrize("method", ["regression", "permutations"])
@pytest.mark.parametrize("players", [12, 24, pytest.param(48, marks=pytest.mark.slow), 64])
def test_pairs_of_coalitions_know_games_of_pairs_exactly(players: int, method: str) -> None:
    """The odd part of a team of two is a sum over players: designs of pairs (S, N∖S) leave nothing to chance."""
    game = drawn(players, 2, seed=0)
    found = answer(game, f"using {method}() budget {12 * players}")
    assert np.linalg.norm(found.values - game.values) <= 1e-5 * np.linalg.norm(game.values)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "players", [8, 12, 16, *(pytest.param(players, marks=pytest.mark.slow) for players in (24, 32, 48, 64))]
)
def test_sampled_values_are_within_four_standard_errors(players: int, method: str) -> None:
    """Twelve games of teams up to 3, 5 and 8, of as many seeds. `unlucky` says how many may be how far off.

    Errors are of the right size, too: their root mean square is neither a small part of what was stated nor more.
    """
    scores = []
    for order in (3, 5, 8):
        for seed in range(4):
            game = drawn(players, order, seed)
            found = answer(game, f"using {method}() budget {16 * players}", seed)
            assert np.isfinite(found.stderr).all()
            assert found.values.sum() == pytest.approx(game.worth.sum())
            scores.append((found.values - game.values) / found.stderr)
    z = np.abs(np.concatenate(scores))
    assert z.size == 12 * players
    assert (z > 4).sum() <= unlucky(z.size, 4)
    assert (z > 2).sum() <= unlucky(z.size, 2)
    assert 0.4 < np.sqrt(np.square(z).mean()) < 1.25


def unlucky(cases: int, errors: float) -> int:
    """What the number of cases that are off by more than so many standard errors exceeds once in a thousand times.

    The binomial quantile for errors that are normal and independent. Those of one map are not independent, for they
    sum to zero, which if anything leaves fewer of them large.
    """
    p, below = erfc(errors / sqrt(2)), 0.0
    for count in range(cases + 1):
        below += comb(cases, count) * p**count * (1 - p) ** (cases - count)
        if below >= 0.999:
            return count
    return cases
