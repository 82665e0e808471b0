"""The rung of the log-odds against its definitions: other inverses, pairs left out, Eq. 2 over all coalitions."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from ialgebra.kernels import contributions, log_odds
from ialgebra.kernels.estimators.registry import design, estimate
from ialgebra.kernels.hindsight import stated
from ialgebra.kernels.ladder import _shares
from ialgebra.system.arrays import Floats

PLAYERS = 14
EVERY = (np.arange(1 << PLAYERS)[:, None] >> np.arange(PLAYERS)) & 1 == 1


def chance(seed: int, steepness: float = 1.0) -> Floats:
    """A probability of all coalitions, whose log-odds are a sum of effects of one and of two players."""
    rng = np.random.default_rng(seed)
    z = EVERY - 0.5
    own, joint = rng.normal(size=PLAYERS), np.triu(rng.normal(size=(PLAYERS, PLAYERS)), 1) / 3
    log_odds = steepness * (z @ own + ((z @ joint) * z).sum(axis=1)) + rng.normal()
    found: Floats = 1 / (1 + np.exp(-log_odds))
    return found


def shapley(values: Floats) -> Floats:
    """Eq. 2 over all coalitions."""
    size, codes = EVERY.sum(axis=1), np.arange(1 << PLAYERS)
    share = np.array([1 / (PLAYERS * math.comb(PLAYERS - 1, s)) for s in range(PLAYERS)])
    found = np.zeros(PLAYERS)
    for i in range(PLAYERS):
        without = codes[~EVERY[:, i]]
        found[i] = share[size[without]] @ (values[without | 1 << i] - values[without])
    return found


def at(coalitions: np.ndarray, values: Floats) -> Floats:
    found: Floats = values[coalitions @ (1 << np.arange(PLAYERS))]
    return found


@pytest.mark.parametrize(("count", "noise"), [(5, 1.0), (97, 1e-2), (310, 1e-4)])
def test_an_inverse_by_halves_is_the_inverse(count: int, noise: float) -> None:
    signs = np.sign(np.random.default_rng(count).normal(size=(count, 49)))
    matrix = signs @ signs.T / 49 + (signs @ signs.T / 49) ** 2 / 20 + noise * np.eye(count)
    found = log_odds.inverted(matrix)
    np.testing.assert_allclose(found @ matrix, np.eye(count), atol=1e-9)
    assert (found == found.T).all()


def covariance(one: np.ndarray, other: np.ndarray, rates: Floats, theta: Floats) -> Floats:
    """Σ θ_j k_j of coalitions (n, d) and (m, d), one after another."""
    found = np.zeros((len(one), len(other)))
    for row, s in enumerate(one):
        for column, t in enumerate(other):
            alike = (s == t).mean() - (s != t).mean()
            apart = s.mean() - t.mean()
            each = [1, alike, alike**2, math.exp(-rates[s != t].sum()), math.exp(-4 * (s != t).mean())]
            found[row, column] = theta @ [*each, math.exp(-8 * apart**2)]
    return found


def test_pairs_are_left_out_as_if_the_others_were_fitted_alone() -> None:
    """With θ and the noise as they were found, each pair is predicted from all rows of the others."""
    made = design("regression", PLAYERS, 60, 1)
    column = at(made.coalitions, chance(2))
    found = log_odds.fitted(2.0 * made.coalitions[::2] - 1, column, np.linspace(0.1, 1, PLAYERS))
    process = found.surrogate
    log_odd = np.log(column / (1 - column))
    eta = (log_odd - process.mean) / process.scale
    matrix = covariance(made.coalitions, made.coalitions, process.rates, process.theta)
    # A coalition's weight is the sum of the parts' weights, its complement's the difference. They leave noise of η.
    weights = np.stack([process.even + process.odd, process.even - process.odd], axis=1).ravel()
    left = eta - matrix @ weights
    noise = float(left @ weights / (weights @ weights))
    np.testing.assert_allclose(left, noise * weights, atol=1e-9)
    for pair in range(1, 30):
        here = [2 * pair, 2 * pair + 1]
        rest = np.setdiff1d(np.arange(60), here)
        told = np.linalg.solve(matrix[np.ix_(rest, rest)] + noise * np.eye(58), eta[rest])
        guess = 1 / (1 + np.exp(-(process.mean + process.scale * matrix[np.ix_(here, rest)] @ told)))
        expected = (column[here[0]] - column[here[1]]) / 2 - (guess[0] - guess[1]) / 2
        np.testing.assert_allclose(found.missed[pair - 1], expected, atol=1e-7)


def test_contributions_are_differences_of_the_surrogate() -> None:
    made = design("regression", PLAYERS, 130, 3)
    column = at(made.coalitions, chance(4))
    found = log_odds.fitted(2.0 * made.coalitions[::2] - 1, column, np.linspace(0.1, 1, PLAYERS))
    process = replace(found.surrogate, theta=np.array([0.3, 1.0, 0.4, 0.5, 0.2, 0.6]))
    weights = np.stack([process.even + process.odd, process.even - process.odd], axis=1).ravel()
    some = EVERY[:: (1 << PLAYERS) // 16]
    flipped = some[:, None] ^ np.eye(PLAYERS, dtype=bool)

    def surrogate(coalitions: np.ndarray) -> Floats:
        eta = covariance(coalitions, made.coalitions, process.rates, process.theta) @ weights
        value: Floats = 1 / (1 + np.exp(-(process.mean + process.scale * eta)))
        return value

    own, others = surrogate(some), surrogate(~some)
    moved, back = surrogate(np.stack([flipped, ~flipped]).reshape(-1, PLAYERS)).reshape(2, -1, PLAYERS)
    sign = np.where(some, 1, -1)
    expected = sign * ((own - others)[:, None] - (moved - back)) / 2
    np.testing.assert_allclose(process.contributions(2.0 * some - 1), expected, atol=1e-5)
    process = found.surrogate
    np.testing.assert_allclose(found.gain, surrogate(EVERY[-1:])[0] - surrogate(EVERY[:1])[0], atol=1e-9)
    both = surrogate(made.coalitions)
    np.testing.assert_allclose(found.odd, (both[2::2] - both[3::2]) / 2, atol=1e-9)


def test_theta_is_likely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are likeliest under a multiple of a covariance where ηᵀ K⁻¹ η is their number."""
    monkeypatch.setattr(log_odds, "_STEPS", 100)
    made = design("regression", PLAYERS, 100, 5)
    column = at(made.coalitions, chance(6) + np.random.default_rng(7).uniform(-1e-3, 1e-3, 1 << PLAYERS))
    found = log_odds.fitted(2.0 * made.coalitions[::2] - 1, column, np.linspace(0.1, 1, PLAYERS)).surrogate
    eta = (np.log(column / (1 - column)) - found.mean) / found.scale
    matrix = covariance(made.coalitions, made.coalitions, found.rates, found.theta)
    weights = np.stack([found.even + found.odd, found.even - found.odd], axis=1).ravel()
    noise = float((eta - matrix @ weights) @ weights / (weights @ weights))
    np.testing.assert_allclose(eta @ np.linalg.solve(matrix + noise * np.eye(len(eta)), eta), len(eta), rtol=0.1)


def test_the_doubt_of_a_surrogate_s_values_is_stated_and_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    made = design("regression", PLAYERS, 130, 0)
    column = at(made.coalitions, chance(0))[:, None]
    values = contributions.Sample.values
    rungs, stated_errors = [], []
    for doubt in (0.0, 1e-5, 1.0):
        with monkeypatch.context() as patch:
            patch.setattr(contributions.Sample, "values", lambda *given, doubt=doubt: (values(*given)[0], doubt))
            (found,) = estimate(made, column)
        rungs.append("log-odds" in found.rung)
        stated_errors.append(float(np.square(found.stderr).sum()))
    assert rungs == [True, True, False]
    assert stated_errors[1] > stated_errors[0] + 0.3e-5


@pytest.mark.parametrize("rows", [130, 258])
def test_probabilities_have_smaller_errors_than_by_the_other_rungs_and_they_are_honest(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: dict[bool, list[float]] = {True: [], False: []}
    covered = []
    for seed in range(5):
        values = chance(seed)
        truth = shapley(values)
        made = design("regression", PLAYERS, rows, seed)
        column = np.ascontiguousarray(at(made.coalitions, values)[:, None])
        (found,) = estimate(made, column)
        assert "log-odds" in found.rung
        np.testing.assert_allclose(found.values.sum(), values[-1] - values[0], atol=1e-12)
        covered.append(np.abs(found.values - truth) <= 1.96 * found.stderr)
        errors[True].append(float(np.linalg.norm(found.values - truth)))
        with monkeypatch.context() as patch:
            patch.setattr(log_odds, "are_probabilities", lambda columns: np.zeros(len(columns), dtype=bool))
            (other,) = estimate(made, column)
        assert "log-odds" not in other.rung
        errors[False].append(float(np.linalg.norm(other.values - truth)))
    assert np.mean(errors[True]) < 0.7 * np.mean(errors[False])
    assert np.mean(covered) > 0.9


@pytest.mark.parametrize(
    ("change", "players"),
    [
        (lambda values: 2 * values, PLAYERS),
        (lambda values: np.where(values == values.max(), 1.0, values), PLAYERS),
        (lambda values: values - values.min(), PLAYERS),
        (lambda values: values, PLAYERS - 1),
    ],
)
def test_what_is_no_probability_inside_0_and_1_or_has_few_players_is_fitted_as_before(
    change: object, players: int
) -> None:
    made = design("regression", players, 130, 1)
    masks = np.concatenate([made.coalitions, np.zeros((len(made.coalitions), PLAYERS - players), dtype=bool)], axis=1)
    (found,) = estimate(made, change(at(masks, chance(3)))[:, None])  # type: ignore[operator]
    assert "log-odds" not in found.rung


def test_columns_are_bit_for_bit_what_they_are_alone_among_others_of_another_kind() -> None:
    made = design("regression", PLAYERS, 130, 2)
    columns = np.stack([at(made.coalitions, k % 2 + chance(k)) for k in range(8)])
    together = stated(made, columns)
    for k, each in enumerate(together):
        (alone,) = stated(made, columns[k : k + 1].copy())
        assert alone.rung == each.rung
        assert (alone.values == each.values).all()
        assert (alone.influence == each.influence).all()
    assert any("log-odds" in each.rung for each in together)
    assert not any("log-odds" in each.rung for each in together[1::2])


def test_an_error_of_its_own_takes_from_a_rung_s_share() -> None:
    errors = np.random.default_rng(5).normal(size=(1, 2, 40))
    press = np.square(errors).sum(axis=2)
    gram = errors[0] @ errors[0].T
    for further in (0.0, 0.5, 4.0):
        shares = _shares(errors, press, np.array([[0.0, further]]))[0]
        changed = gram + np.diag([0.0, further * gram[1, 1]])
        best = min(
            np.linspace(0, 1, 2001), key=lambda share: np.array([1 - share, share]) @ changed @ [1 - share, share]
        )
        np.testing.assert_allclose(shares[1], best, atol=1e-3)


def test_designs_are_fitted_so_by_their_sizes_alone() -> None:
    assert not log_odds.suits(13, 60)
    assert log_odds.suits(14, 800)
    assert log_odds.suits(49, 800)
    assert not log_odds.suits(49, 801)
    assert not log_odds.suits(129, 100)
    assert [log_odds.asked_for(49, count) for count in (63, 195, 300, 800)] == [512, 1024, 1024, 1024]
    assert log_odds.asked_for(65, 63) == 1024
