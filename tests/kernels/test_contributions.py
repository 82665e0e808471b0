"""Shapley values from contributions at a sample of coalitions, against Eq. 2 over all coalitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ialgebra.kernels import log_odds
from ialgebra.kernels.contributions import sample
from ialgebra.system.arrays import Floats

PLAYERS = 10
EVERY = (np.arange(1 << PLAYERS)[:, None] >> np.arange(PLAYERS)) & 1 == 1


def game(seed: int) -> Floats:
    """A sum of effects of one and two players, bent: it has effects of all orders."""
    rng = np.random.default_rng(seed)
    z = EVERY - 0.5
    joint = np.triu(rng.normal(size=(PLAYERS, PLAYERS)), 1)
    found: Floats = np.tanh(z @ rng.normal(size=PLAYERS) + 0.4 * ((z @ joint) * z).sum(axis=1) + 0.3)
    return found


def shapley(values: Floats) -> Floats:
    """Eq. 2 over all coalitions."""
    size, codes = EVERY.sum(axis=1), np.arange(1 << PLAYERS)
    found = np.zeros(PLAYERS)
    for i in range(PLAYERS):
        without = codes[~EVERY[:, i]]
        share = np.array([1 / (PLAYERS * math.comb(PLAYERS - 1, s)) for s in size[without]])
        found[i] = share @ (values[without | 1 << i] - values[without])
    return found


def contributed(signs: Floats, values: Floats) -> Floats:
    """v(S ∪ i) − v(S ∖ i), averaged over S and N∖S, one coalition and player after another."""
    found = np.zeros(signs.shape)
    for row, each in enumerate(signs):
        for coalition in (each, -each):
            code = int((coalition > 0) @ (1 << np.arange(PLAYERS)))
            for i in range(PLAYERS):
                found[row, i] += (values[code | 1 << i] - values[code & ~(1 << i)]) / 2
    return found


def test_all_pairs_give_the_exact_values() -> None:
    values = game(1)
    every = sample(PLAYERS, 1 << PLAYERS)
    assert len(every.signs) == 1 << (PLAYERS - 1)
    found, _ = every.values(contributed(every.signs, values), values[-1] - values[0])
    np.testing.assert_allclose(found, shapley(values), atol=1e-12)


def test_some_pairs_give_values_near_by_with_an_honest_error_and_the_right_sum() -> None:
    some = sample(PLAYERS, 100)
    ratios = []
    for seed in range(12):
        values = game(seed)
        found, square = some.values(contributed(some.signs, values), values[-1] - values[0])
        np.testing.assert_allclose(found.sum(), values[-1] - values[0], atol=1e-12)
        error = found - shapley(values)
        assert np.linalg.norm(error) < 0.1 * np.linalg.norm(shapley(values))
        ratios.append(error @ error / square)
    assert 0.1 < np.mean(ratios) < 1.5


@pytest.mark.parametrize("players", [14, 15, 33, 64, 65, 128])
def test_every_player_has_contributions_of_every_size(players: int) -> None:
    asked = sample(players, log_odds.asked_for(players, 1))
    np.testing.assert_allclose(asked.weights.sum(axis=0), 1)
    np.testing.assert_allclose(asked.half.sum(axis=0), 1)
    assert (np.count_nonzero(asked.half, axis=1) > 0).sum() * 2 == len(asked.signs) + 1
