"""Priors against their definitions, on every coalition of small games, without the kernels' own helpers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from ialgebra.kernels.covariance import Prior, distance, mixture, pairs, sizes, slopes

D = 7
MEMBERS = np.array([[code >> i & 1 for i in range(D)] for code in range(1 << D)])
SIGNS = 2.0 * MEMBERS - 1
EVERY, SOME = np.arange(1 << D), np.arange(3, 1 << D, 5)
RATES, INDEX = np.random.default_rng(1).random(D), np.random.default_rng(2).normal(size=D)

PRIORS: dict[str, Callable[[np.ndarray], Prior]] = {
    "distance": lambda centres: distance(SIGNS, centres, RATES, INDEX, 1.0),
    "index": lambda centres: distance(SIGNS, centres, 0 * RATES, INDEX, 0.5),
    "slopes": lambda centres: slopes(SIGNS, centres, 2),
    "steep slopes": lambda centres: slopes(SIGNS, centres, 4),
    "sizes": lambda centres: sizes(SIGNS, centres),
    "pairs": lambda centres: pairs(SIGNS, centres),
    "mixture": lambda centres: mixture(centres, (0.3, pairs(SIGNS, centres)), (1.0, sizes(SIGNS, centres))),
}


def shapley(games: np.ndarray) -> np.ndarray:
    """(games, d) by Eq. 2, of games (2^d, games)."""
    found = np.zeros((games.shape[1], D))
    for i in range(D):
        for code in np.flatnonzero(MEMBERS[:, i] == 0):
            share = 1 / (D * math.comb(D - 1, int(MEMBERS[code].sum())))
            found[:, i] += share * (games[code | 1 << i] - games[code])
    return found


@pytest.mark.parametrize("name", PRIORS)
def test_a_prior_is_an_odd_process_that_vanishes_at_both_ends_and_has_shapley_values_in_closed_form(name: str) -> None:
    prior = PRIORS[name](EVERY)
    np.testing.assert_allclose(prior.effects, shapley(prior.covariance), atol=1e-13)
    np.testing.assert_allclose(prior.covariance, prior.covariance.T, atol=1e-13)
    np.testing.assert_allclose(
        prior.covariance[::-1], -prior.covariance, atol=1e-13
    )  # N∖S stands where S does, reversed
    np.testing.assert_allclose(prior.covariance[[0, -1]], 0, atol=1e-13)
    assert np.linalg.eigvalsh(prior.covariance).min() > -1e-12


@pytest.mark.parametrize("name", [name for name in PRIORS if name != "mixture"])  # whose scale is that of its centres
def test_centres_pick_columns(name: str) -> None:
    whole, part = PRIORS[name](EVERY), PRIORS[name](SOME)
    np.testing.assert_allclose(part.covariance, whole.covariance[:, SOME], atol=1e-14)
    np.testing.assert_allclose(part.effects, whole.effects[SOME], atol=1e-14)


def test_a_prior_of_a_stack_is_bit_for_bit_what_it_is_alone() -> None:
    rng = np.random.default_rng(3)
    rates, index = rng.random((4, D)), rng.normal(size=(4, D))

    def prior(rates: np.ndarray, index: np.ndarray) -> Prior:
        near = distance(SIGNS, SOME, rates, index, 1.0)
        return mixture(SOME, (1.0, near), (0.5, pairs(SIGNS, SOME)), (2.0, distance(SIGNS, SOME, rates, index, np.inf)))

    together = prior(rates, index)
    for k in range(4):
        for one in (prior(rates[k], index[k]), Prior(*(each[0] for each in prior(rates[k : k + 1], index[k : k + 1])))):
            assert (one.covariance == together.covariance[k]).all()
            assert (one.effects == together.effects[k]).all()


def test_of_an_infinite_width_the_index_does_not_matter() -> None:
    one, other = (distance(SIGNS, SOME, RATES, index, width) for index, width in ((INDEX, np.inf), (0 * INDEX, 1.0)))
    np.testing.assert_allclose(one.covariance, other.covariance, atol=1e-14)
    np.testing.assert_allclose(one.effects, other.effects, atol=1e-14)


def test_distance_is_its_formula_made_odd_less_the_straight_line_to_the_whole() -> None:
    waves, weights = np.polynomial.hermite_e.hermegauss(9)

    def k(s: np.ndarray, t: np.ndarray) -> float:
        apart = (s - t) @ INDEX
        wave = weights @ np.cos(waves * math.sqrt(2) * apart) / weights.sum()
        return float(np.exp(-RATES[s != t].sum()) * wave)

    def odd(s: np.ndarray, t: np.ndarray) -> float:
        return (k(s, t) - k(s, 1 - t)) / 2

    whole = np.ones(D, dtype=int)
    found = PRIORS["distance"](EVERY).covariance
    for a, b in itertools.product(range(3, 128, 17), range(5, 128, 23)):
        s, t = MEMBERS[a], MEMBERS[b]
        here, there = 2 * s.mean() - 1, 2 * t.mean() - 1
        expected = odd(s, t) - here * odd(whole, t) - odd(s, whole) * there + here * there * odd(whole, whole)
        assert found[a, b] == pytest.approx(expected, abs=1e-13)


def test_terms_are_their_features() -> None:
    z, t = SIGNS / 2, SIGNS.sum(axis=1) / D
    slope = (z - z.mean(axis=1, keepdims=True)) * t[:, None] ** 2
    np.testing.assert_allclose(slopes(SIGNS, EVERY, 2).covariance, slope @ slope.T, atol=1e-14)
    i, j = np.triu_indices(D, 1)
    joint = (z[:, i] * z[:, j] - 0.25) * t[:, None]
    np.testing.assert_allclose(pairs(SIGNS, EVERY).covariance, joint @ joint.T, atol=1e-13)
    size = MEMBERS.sum(axis=1)
    steps = np.stack([1.0 * (size == D - s) - (size == s) for s in range(1, (D + 1) // 2)], axis=1)
    np.testing.assert_allclose(sizes(SIGNS, EVERY).covariance, steps @ steps.T, atol=1e-14)


def test_a_mixture_gives_each_prior_its_share_of_the_variance() -> None:
    found = mixture(EVERY, (0.25, pairs(SIGNS, EVERY)), (0.75, sizes(SIGNS, EVERY)))
    assert np.diagonal(found.covariance).mean() == pytest.approx(1)


def test_a_process_may_be_nothing_at_the_whole() -> None:
    """An index that sums to zero, as where v(N) = v(∅), gives k(N, ·) = 0."""
    prior = distance(SIGNS, EVERY, 0 * RATES, INDEX - INDEX.mean(), 1.0)
    assert np.isfinite(prior.covariance).all()
    np.testing.assert_allclose(prior.effects, shapley(prior.covariance), atol=1e-12)
