"""Banzhaf values: the definition by enumeration, and what sampled ones say of their errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ialgebra.interpreters.banzhaf import Banzhaf
from ialgebra.kernels.estimators.registry import BANZHAF_VALUES

design, estimate = BANZHAF_VALUES.design, BANZHAF_VALUES.estimate


def banzhaf(value, d):
    """The mean of value(S ∪ i) − value(S) over every S without i, as it is defined."""
    found = np.zeros(d)
    for i in range(d):
        rest = [j for j in range(d) if j != i]
        subsets = [set(each) for size in range(d) for each in itertools.combinations(rest, size)]
        found[i] = sum(value(S | {i}) - value(S) for S in subsets) / len(subsets)
    return found


def game(d, seed, scale=1.0):
    """A saturating sum of effects, with a joint effect of three players: neither odd nor even, and not linear."""
    rng = np.random.default_rng(seed)
    effect, three = rng.normal(size=d), rng.choice(d, size=min(3, d), replace=False)

    def value(S):
        joint = float(all(int(i) in S for i in three))
        return scale * (np.tanh(sum(effect[j] for j in S)) + joint)

    return value


def table(value, coalitions):
    return np.array([[value(set(np.flatnonzero(row).tolist()))] for row in coalitions])


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_every_coalition_gives_the_definition(d):
    value = game(d, seed=d)
    drawn = design("exact", d, 1 << d, 0)
    (found,) = estimate(drawn, table(value, drawn.coalitions))
    assert np.allclose(found.values, banzhaf(value, d), atol=1e-12)
    assert not found.stderr.any()


def test_banzhaf_is_not_shapley_where_sizes_count():
    """Unanimity of three: a player is pivotal in one coalition of four, and in one order of three."""
    drawn = design("exact", 3, 8, 0)
    (found,) = estimate(drawn, table(lambda S: float(len(S) == 3), drawn.coalitions))
    assert np.allclose(found.values, 1 / 4)


@pytest.mark.parametrize(("d", "rows"), [(4, 16), (7, 60), (20, 200), (21, 200), (70, 90)])
def test_designs_are_distinct_pairs_of_which_more_contain_fewer(d, rows):
    drawn = design("uniform", d, rows, 5)
    assert drawn.coalitions.shape == (rows, d)
    assert not drawn.coalitions[0].any()
    assert drawn.coalitions[1].all()
    assert len({row.tobytes() for row in drawn.coalitions}) == rows
    assert (drawn.coalitions[::2] ^ drawn.coalitions[1::2]).all(), "N∖S follows S"
    fewer = design("uniform", d, rows // 2, 5).coalitions
    assert np.array_equal(fewer, drawn.coalitions[: len(fewer)])
    assert not np.array_equal(design("uniform", d, rows, 6).coalitions, drawn.coalitions)


def test_coalitions_are_uniform():
    """Each player is in half of them, independently of another."""
    members = np.concatenate([design("uniform", 24, 402, seed).coalitions[2::2] for seed in range(20)])
    signs = 2.0 * members[:, :-1] - 1.0  # of each pair the coalition without the last player
    error = 1 / np.sqrt(len(signs))
    assert np.abs(signs.mean(axis=0)).max() < 4.5 * error
    pairs = signs.T @ signs / len(signs) - np.eye(23)
    assert np.abs(pairs).max() < 5 * error


def test_all_pairs_give_the_exact_values_whatever_is_fitted():
    value = game(5, seed=2)
    drawn = design("uniform", 5, 32, 0)
    (found,) = estimate(drawn, table(value, drawn.coalitions))
    assert np.allclose(found.values, banzhaf(value, 5))
    assert np.allclose(found.stderr, 0)


@pytest.mark.parametrize(("d", "rows", "rung"), [(9, 16, "mean"), (9, 80, "least squares"), (9, 200, "least squares")])
def test_standard_errors_cover_as_often_as_they_say(d, rows, rung):
    """95 % intervals over games and seeds: of 2,160 no fewer than 91 %, and no more than nearly all."""
    inside, rungs = [], []
    for seed in range(240):
        value = game(d, seed=seed % 6)
        drawn = design("uniform", d, rows, seed)
        (found,) = estimate(drawn, table(value, drawn.coalitions))
        inside.append(np.abs(found.values - _truth(d, seed % 6)) <= 1.96 * found.stderr)
        rungs.append(found.rung)
    assert 0.91 <= np.mean(inside) <= 0.995
    assert rungs.count(rung) > 120


_known: dict[tuple[int, int], np.ndarray] = {}


def _truth(d, seed):
    if (d, seed) not in _known:
        _known[d, seed] = banzhaf(game(d, seed=seed), d)
    return _known[d, seed]


def test_the_fit_errs_less_than_the_mean():
    """The other players' effects are no error of a fit."""
    errors = {}
    for name, spare in (("fit", 0), ("mean", None)):
        misses = []
        for seed in range(40):
            value, drawn = game(9, seed=1), design("uniform", 9, 80, seed)
            worth = table(value, drawn.coalitions)
            (found,) = estimate(drawn, worth)
            odd = (worth[2::2, 0] - worth[3::2, 0]) / 2
            plain = 2 * (odd @ (2.0 * drawn.coalitions[2::2] - 1.0)) / len(odd)
            misses.append(np.linalg.norm((found.values if spare == 0 else plain) - _truth(9, 1)))
        errors[name] = np.sqrt(np.mean(np.square(misses)))
    assert errors["fit"] < 0.6 * errors["mean"]


def test_linear_games_are_known_from_few_rows_and_their_errors_are_nothing():
    weights = np.linspace(-2, 3, 12)
    drawn = design("uniform", 12, 60, 0)
    (found,) = estimate(drawn, 7 + drawn.coalitions @ weights[:, None])
    assert np.allclose(found.values, weights)
    assert found.stderr.max() < 1e-10


def test_scale_does_not_matter_and_two_rows_know_no_error():
    drawn = design("uniform", 9, 80, 3)
    worth = table(game(9, seed=4), drawn.coalitions)
    (one,), (huge,) = estimate(drawn, worth), estimate(drawn, 1e200 * worth)
    assert np.allclose(1e200 * one.values, huge.values)
    assert np.allclose(1e200 * one.stderr, huge.stderr)
    few = design("uniform", 9, 2, 0)
    assert np.isinf(estimate(few, table(game(9, seed=4), few.coalitions))[0].stderr).all()


def test_each_column_has_its_own_estimate():
    drawn = design("uniform", 9, 80, 3)
    a, b = (table(game(9, seed=seed), drawn.coalitions) for seed in (1, 2))
    both = estimate(drawn, np.hstack([a, b]))
    assert np.array_equal(both[0].values, estimate(drawn, a)[0].values)
    assert np.array_equal(both[1].influence, estimate(drawn, b)[0].influence)


@pytest.mark.parametrize(
    ("players", "budget", "expected"),
    [(0, None, ("exact", 1)), (1, 2, ("exact", 2)), (10, None, ("exact", 1024)), (12, None, ("uniform", 384)),
     (12, 4096, ("exact", 4096)), (12, 101, ("uniform", 100)), (12, 2, ("uniform", 2)), (300, 500, ("uniform", 500))],
)  # fmt: skip
def test_rows_follow_the_budget(players, budget, expected):
    assert Banzhaf().choose(players, budget, {}) == expected
