"""Estimators against Eq. 2 written literally, closed forms, brute-force refits, and their own claims of error."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ialgebra.errors import BudgetError, ShapeError
from ialgebra.kernels.estimators.estimate import Estimate
from ialgebra.kernels.estimators.registry import choose, design, estimate
from ialgebra.kernels.ladder import STRENGTHS, Ladder, _shares, centres, student

Game = Callable[[np.ndarray], np.ndarray]  # (m, d) bool → (m,) or (m, k)

TABLE = Path(__file__).parents[1] / "data" / "lite0_chelsea_3x4.npz"


@pytest.fixture(autouse=True)
def _no_silent_arithmetic() -> Iterator[None]:
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        yield


def run(game: Game, players: int, budget: int | None, method: str | None = None, seed: int = 0) -> list[Estimate]:
    made = design(*_order(choose(players, budget, method), players), seed)
    return estimate(made, np.asarray(game(made.coalitions), dtype=float).reshape(len(made.coalitions), -1))


def _order(chosen: tuple[str, int], players: int) -> tuple[str, int, int]:
    return chosen[0], players, chosen[1]


def tabular(values: np.ndarray) -> Game:
    """The game whose value of a coalition stands at the integer with its players' bits."""
    return lambda masks: values[masks @ (1 << np.arange(masks.shape[1]))]


def literal(values: np.ndarray, players: int) -> tuple[np.ndarray, np.ndarray]:
    """Eq. 2 word for word: A_i and B_i, means over sizes of means over coalitions without i of v(S ∪ i) and of v(S)."""
    a, b = np.zeros(players), np.zeros(players)
    for i in range(players):
        others = [j for j in range(players) if j != i]
        for size in range(players):
            coalitions = [sum(1 << j for j in chosen) for chosen in itertools.combinations(others, size)]
            a[i] += np.mean([values[code | 1 << i] for code in coalitions]) / players
            b[i] += np.mean([values[code] for code in coalitions]) / players
    return a, b


def every_mask(players: int) -> np.ndarray:
    return (np.arange(1 << players)[:, None] >> np.arange(players)) & 1 == 1


# ── exact ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("players", range(1, 8))
def test_exact_is_equation_2_and_so_are_its_two_parts(players: int) -> None:
    values = np.random.default_rng(players).normal(size=1 << players) + 5
    made = design("exact", players, 1 << players, 0)
    column = tabular(values)(made.coalitions)[:, None]
    a, b = literal(values, players)
    for part, expected in (("shapley", a - b), ("with", a), ("without", b)):
        found = estimate(made, column, part)[0]  # type: ignore[arg-type]
        np.testing.assert_allclose(found.values, expected, atol=1e-12)
        assert found.rung == "exact"
        assert found.known
        assert found.influence.shape == (0, players)
        assert (found.stderr == 0).all()


def test_nobody_plays() -> None:
    found = run(lambda masks: np.full(len(masks), 3.0), 0, None)[0]
    assert found.values.shape == found.stderr.shape == (0,)


def test_airport_and_security_council_have_their_closed_forms() -> None:
    costs = np.sort(np.random.default_rng(0).random(12))
    airport = run(lambda masks: (masks * costs).max(axis=1), 12, 4096)[0].values
    steps = np.diff(costs, prepend=0) / np.arange(12, 0, -1)
    np.testing.assert_allclose(airport, np.cumsum(steps), atol=1e-12)
    council = run(lambda masks: masks[:, :5].all(axis=1) & (masks.sum(axis=1) >= 9), 15, 1 << 15)[0].values
    np.testing.assert_allclose(council, np.where(np.arange(15) < 5, 0.196270, 0.001865), atol=5e-7)


# ── what every estimator keeps ─────────────────────────────────────────────────────────────────────────────────────

SAMPLED = [("permutations", n) for n in (2, 7, 24, 50, 200)] + [("regression", n) for n in (2, 10, 30, 50, 200, 600)]
SAMPLED += [("unbiased", n) for n in (26, 50, 200, 600)]


@pytest.mark.parametrize(("method", "budget"), SAMPLED)
def test_values_sum_to_the_whole_gain(method: str, budget: int) -> None:
    values = np.random.default_rng(1).normal(size=(4096, 3))
    for found, column in zip(run(tabular(values), 12, budget, method), values.T, strict=True):
        assert found.values.sum() == pytest.approx(column[-1] - column[0], abs=1e-12)


@pytest.mark.parametrize(("method", "budget"), SAMPLED)
def test_a_column_does_not_depend_on_its_neighbours(method: str, budget: int) -> None:
    values = np.random.default_rng(2).normal(size=(4096, 5)) ** 3
    together = run(tabular(values), 12, budget, method)
    for k, found in enumerate(together):
        alone = run(tabular(values[:, k]), 12, budget, method)[0]
        assert (alone.values == found.values).all()
        assert (alone.influence == found.influence).all()


@pytest.mark.parametrize(("method", "budget"), SAMPLED)
@pytest.mark.parametrize("scale", [1e200, 1e8, 1e-12, 1e-200])
def test_units_do_not_matter(method: str, budget: int, scale: float) -> None:
    values = np.random.default_rng(3).normal(size=4096)
    one, other = (run(tabular(v), 12, budget, method)[0] for v in (values, values * scale))
    assert one.rung == other.rung
    np.testing.assert_allclose(other.values, one.values * scale, rtol=1e-9)
    np.testing.assert_allclose(other.stderr, one.stderr * scale, rtol=1e-9)


@pytest.mark.parametrize(("method", "rows"), [("permutations", 300), ("regression", 300), ("regression", 2050)])
@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_additive_games_are_exact_and_say_so_once_enough_pairs_have_shown_nothing_else(
    method: str, rows: int, offset: float
) -> None:
    worth = np.random.default_rng(4).normal(size=30)
    found = run(lambda masks: masks @ worth + offset, 30, rows, method)[0]
    tolerance = 1e-12 + 1e-14 * offset
    np.testing.assert_allclose(found.values, worth, atol=tolerance * 100)
    if method == "regression":
        assert found.rung == "F0"
    if (method, rows) == ("regression", 300):  # what 149 pairs have not met may still be there
        assert 0.02 <= np.linalg.norm(found.stderr) / np.linalg.norm(worth) <= 0.2
    else:
        assert (found.stderr <= tolerance * 1000).all()


@pytest.mark.parametrize("either", [False, True])
def test_errors_know_of_a_team_of_nearly_all_before_a_pair_has_met_it(either: bool) -> None:
    """Worth 1 if all of 38 are present, or any of them, and a linear game: dividends are shared evenly."""
    held = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        team, worth = rng.permutation(40)[2:], rng.normal(size=40) / 40

        def game(masks: np.ndarray, team: np.ndarray = team, worth: np.ndarray = worth) -> np.ndarray:
            met = masks[:, team].any(axis=1) if either else masks[:, team].all(axis=1)
            return met + masks @ worth

        found = run(game, 40, 320, "regression", seed)[0]
        error = found.values - worth - np.isin(np.arange(40), team) / 38
        held.append(np.linalg.norm(error) <= 1.6 * np.linalg.norm(found.stderr))
    assert np.mean(held) >= 0.9


@pytest.mark.parametrize("rows", [112, 118, 224])
def test_nothing_left_over_is_not_taken_for_nothing_to_err(rows: int) -> None:
    """1 where three players are present and four are absent: 0.8 % of all coalitions, of which few pairs meet any."""
    worth = np.random.default_rng(0).normal(size=14) / 40

    def block(masks: np.ndarray) -> np.ndarray:
        present, absent = masks[:, :3].all(axis=1), masks[:, 3:7].any(axis=1)
        return masks @ worth + (present & ~absent)

    truth = worth.copy()  # ∫ q^2 (1 − q)^4 dq = 2! 4! / 7!, and ∫ q^3 (1 − q)^3 dq = 3! 3! / 7!
    truth[:3] += 48 / 5040
    truth[3:7] -= 36 / 5040
    scores = []
    for seed in range(20):
        found = run(block, 14, rows, "regression", seed)[0]
        assert np.linalg.norm(found.stderr) >= 0.02 * np.linalg.norm(found.values)
        scores.append((found.values - truth) / found.stderr)
    assert np.abs(scores).max() <= 10


@pytest.mark.parametrize("players", [1, 2, 3, 4])
@pytest.mark.parametrize("method", [None, "permutations", "regression"])
def test_constant_games_and_few_players_at_every_budget(players: int, method: str | None) -> None:
    values = np.random.default_rng(5).normal(size=1 << players)
    a, b = literal(values, players)
    for budget in range(2, (1 << players) + 2):
        assert (run(lambda masks: np.full(len(masks), 1e8), players, budget, method)[0].values == 0).all()
        found = run(tabular(values), players, budget, method)[0]
        assert found.values.sum() == pytest.approx(values[-1] - values[0], abs=1e-12)
        assert not found.known or (np.abs(found.values - a + b) <= 6 * found.stderr + 1e-12).all()
        if budget >= 1 << players and method != "permutations":
            np.testing.assert_allclose(found.values, a - b, atol=1e-12)
            np.testing.assert_allclose(found.stderr, 0, atol=1e-12)


@pytest.mark.parametrize("method", ["permutations", "regression"])
def test_sums_of_unanimity_games_at_thirty_players(method: str) -> None:
    rng = np.random.default_rng(6)
    teams = [rng.choice(30, size=size, replace=False) for size in rng.integers(1, 6, size=60)]
    worth = rng.normal(size=60)
    truth = np.zeros(30)
    for team, c in zip(teams, worth, strict=True):
        truth[team] += c / len(team)

    def game(masks: np.ndarray) -> np.ndarray:
        return np.sum([c * masks[:, team].all(axis=1) for team, c in zip(teams, worth, strict=True)], axis=0)

    found = run(game, 30, 960, method)[0]
    assert np.linalg.norm(found.values - truth) < {"regression": 0.15, "permutations": 0.3}[method] * np.linalg.norm(
        truth
    )
    assert (np.abs(found.values - truth) <= 4.5 * found.stderr).all()


def test_values_must_fit_the_design() -> None:
    made = design("regression", 12, 100, 0)
    with pytest.raises(
        ShapeError, match=r"values of shape \(99, 2\) do not fit a design of 100 rows; give \(100, columns\)"
    ):
        estimate(made, np.zeros((99, 2)))
    with pytest.raises(ShapeError, match=r"shape \(100,\)"):
        estimate(made, np.zeros(100))
    for part in ("with", "without"):
        with pytest.raises(BudgetError, match="unbiased cannot give the part"):
            estimate(design("unbiased", 12, 100, 0), np.zeros((100, 1)), part)  # type: ignore[arg-type]
        with pytest.raises(BudgetError, match=f"regression cannot give the part '{part}' alone"):
            estimate(made, np.zeros((100, 1)), part)  # type: ignore[arg-type]


# ── permutations ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_rows_share_the_gain_evenly_and_admit_ignorance() -> None:
    values = np.arange(4096.0)
    for method in ("permutations", "regression"):
        found = run(tabular(values), 12, 2, method)[0]
        assert found.rung == ("permutations" if method == "permutations" else "F0")
        np.testing.assert_allclose(found.values, 4095 / 12)
        assert not found.known
        assert found.influence.shape == (1, 12)
        assert np.isposinf(found.stderr).all()


def test_chains_average_the_marginal_contributions_along_them() -> None:
    values = np.random.default_rng(7).normal(size=1 << 7)
    made = design("permutations", 7, choose(7, 60, "permutations")[1], 1)
    assert made.chains is not None
    column = tabular(values)(made.coalitions)[:, None]
    a, b, chains = np.zeros(7), np.zeros(7), 0
    for path in made.chains.rows:
        steps = made.coalitions[path]
        for before, after in itertools.pairwise(steps):
            (player,) = np.flatnonzero(after & ~before)
            a[player] += tabular(values)(after[None])[0]
            b[player] += tabular(values)(before[None])[0]
        chains += 1
    for part, expected in (("with", a), ("without", b), ("shapley", a - b)):
        np.testing.assert_allclose(estimate(made, column, part)[0].values, expected / chains, atol=1e-12)  # type: ignore[arg-type]


def test_the_parts_of_permutations_are_unbiased() -> None:
    values = np.random.default_rng(8).normal(size=1 << 5)
    a, b = literal(values, 5)
    found = {
        part: np.array([_part(values, part, seed) for seed in range(400)]) for part in ("with", "without", "shapley")
    }
    for part, expected in (("with", a), ("without", b), ("shapley", a - b)):
        error = found[part].std(axis=0) / math.sqrt(400)
        assert (np.abs(found[part].mean(axis=0) - expected) < 4 * error).all()


def _part(values: np.ndarray, part: str, seed: int) -> np.ndarray:
    made = design("permutations", 5, 18, seed)
    return estimate(made, tabular(values)(made.coalitions)[:, None], part)[0].values  # type: ignore[arg-type]


# ── regression ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("players", [5, 7, 8, 11])
def test_every_rung_on_every_pair_is_exact(players: int) -> None:
    """Consistency: whatever else is fitted beside F0, all the pairs give the Shapley values."""
    values = np.random.default_rng(9).normal(size=1 << players) ** 3
    truth = run(tabular(values), players, 1 << players, "exact")[0].values
    made = design("regression", players, 1 << players, 0)
    column = tabular(values)(made.coalitions)
    ladder = Ladder(made)
    odd = (column[2::2] - column[3::2]) / 2
    gain = column[1] - column[0]
    target = ladder.root_weight * (odd - gain * (made.coalitions[2::2].mean(axis=1) - 0.5))
    assert ladder.smooth is not None
    paths = (ladder.free, ladder.smooth, ladder.learned(np.random.default_rng(10).normal(size=players)))
    assert [len(path.names) for path in paths] == [3, len(STRENGTHS), len(STRENGTHS)]
    for path in paths:
        for rung in range(len(path.names)):
            np.testing.assert_allclose(gain / players + target @ path.reading(rung), truth, atol=1e-8)
    found = estimate(made, column[:, None])[0]
    np.testing.assert_allclose(found.values, truth, atol=1e-10)
    assert (found.stderr == 0).all()


def test_the_lowest_rung_is_paired_kernel_shap() -> None:
    """Constrained weighted least squares on all the rows, by its KKT system, from the definitions alone."""
    d, rows = 9, 120
    values = np.random.default_rng(10).normal(size=1 << d)
    made = design("regression", d, rows, 2)
    column = tabular(values)(made.coalitions)
    inner, size = made.coalitions[2:].astype(float), made.coalitions[2:].sum(axis=1)
    drawn = np.bincount(size, minlength=d + 1)
    kernel = np.array([(d - 1) / (math.comb(d, int(s)) * s * (d - s)) for s in size])
    weight = kernel / np.array([drawn[s] / math.comb(d, int(s)) for s in size])
    kkt = np.block([[2 * inner.T @ (weight[:, None] * inner), np.ones((d, 1))], [np.ones((1, d)), np.zeros((1, 1))]])
    right = np.append(2 * inner.T @ (weight * (column[2:] - column[0])), column[1] - column[0])
    expected = np.linalg.solve(kkt, right)[:d]
    ladder = Ladder(made)
    odd = (column[2::2] - column[3::2]) / 2 - (column[1] - column[0]) * (size[::2] / d - 0.5)
    found = (column[1] - column[0]) / d + (ladder.root_weight * odd) @ ladder.free.reading(0)
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_errors_are_what_leaving_each_pair_out_and_fitting_again_gives() -> None:
    """Free features by least squares; a process by its own normal equations, its noise held."""
    ladder = Ladder(design("regression", 8, 120, 0))
    smooth, weight = ladder.smooth, ladder.root_weight
    assert smooth is not None
    free = ladder.features
    target = np.random.default_rng(11).normal(size=len(free))
    assert ladder.free.names == ("F0", "F0+t³", "F0+t³+t⁵")
    covariance = weight[:, None] * ladder.plain().covariance * weight
    beyond = np.eye(len(free)) - free @ np.linalg.pinv(free)
    typical = np.trace(beyond @ covariance @ beyond) / len(free)
    for rung, errors in enumerate(ladder.free.errors(target).T):
        for out in range(0, len(free), 7):
            kept = np.arange(len(free)) != out
            some = free[:, : 7 + rung]
            expected = target[out] - some[out] @ np.linalg.lstsq(some[kept], target[kept], rcond=None)[0]
            assert errors[out] == pytest.approx(expected, rel=1e-7)
    for strength, errors in zip(STRENGTHS, smooth.errors(target).T, strict=True):
        for out in range(0, len(free), 7):
            kept = np.arange(len(free)) != out
            noisy = covariance[np.ix_(kept, kept)] + strength * typical * np.eye(kept.sum())
            system = np.block([[noisy, free[kept]], [free[kept].T, np.zeros((9, 9))]])
            solved = np.linalg.solve(system, np.append(target[kept], np.zeros(9)))
            expected = target[out] - covariance[out, kept] @ solved[:-9] - free[out] @ solved[-9:]
            assert errors[out] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_shares_leave_the_least_squares_of_all_mixtures() -> None:
    rng = np.random.default_rng(12)
    grid = [(a, b, 1 - a - b) for a in np.linspace(0, 1, 101) for b in np.linspace(0, 1 - a, 101)]
    errors = rng.normal(size=(20, 3, 40)) * rng.uniform(0.5, 2, size=(20, 3, 1)) + rng.normal(size=(20, 1, 40))
    shares = _shares(errors, np.ones((20, 3)))
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    for own, found in zip(errors, shares, strict=True):
        assert np.square(found @ own).sum() <= np.square(np.array(grid) @ own).sum(axis=1).min() * (1 + 1e-6)
    without = np.where(np.arange(3) == 1, np.inf, np.ones((20, 3)))
    np.testing.assert_allclose(_shares(errors, without)[:, [0, 2]], _shares(errors[:, [0, 2]], np.ones((20, 2))))
    np.testing.assert_allclose(
        _shares(errors, np.full((20, 3), np.inf)), [[1, 0, 0]] * 20
    )  # of nothing usable, the first


def test_games_inside_a_free_rung_are_solved_by_it() -> None:
    d = 12
    worth = np.random.default_rng(12).normal(size=d)

    def together(masks: np.ndarray) -> np.ndarray:
        return masks @ worth + masks[:, 3] * masks[:, 7]

    def cubic(masks: np.ndarray) -> np.ndarray:
        return together(masks) + masks.mean(axis=1) ** 3

    def quintic(masks: np.ndarray) -> np.ndarray:
        return cubic(masks) + 3 * (masks.mean(axis=1) - 0.5) ** 5

    for game, rung in ((together, "F0"), (cubic, "F0+t³"), (quintic, "F0+t³+t⁵")):
        found = run(game, d, 66)[0]
        assert found.rung == rung
        np.testing.assert_allclose(found.values, run(game, d, 1 << d, "exact")[0].values, atol=1e-9)
        assert (found.stderr > 1e-3).all(), "32 pairs do not show that there is nothing else"
        assert (run(game, d, 2060)[0].stderr < 1e-9).all()


def test_games_inside_a_process_are_all_but_solved_by_it() -> None:
    d = 12
    rng = np.random.default_rng(12)
    worth, slope, profile = rng.normal(size=d), rng.normal(size=d), rng.normal(size=d + 1)

    def sized(masks: np.ndarray) -> np.ndarray:
        return masks @ worth + profile[masks.sum(axis=1)]

    def sloped(masks: np.ndarray) -> np.ndarray:
        return masks @ worth + masks @ slope * (masks.mean(axis=1) - 0.5) ** 4

    def joint(masks: np.ndarray) -> np.ndarray:
        return sloped(masks) + masks[:, 1] * masks[:, 2] * masks.mean(axis=1)

    def threes(masks: np.ndarray) -> np.ndarray:
        return masks @ worth + masks[:, 1] * masks[:, 2] * masks[:, 5] - 2 * masks[:, 3] * masks[:, 4] * masks[:, 7]

    for game in (sized, sloped, joint, threes):
        found, truth = run(game, d, 514)[0], run(game, d, 1 << d, "exact")[0].values
        assert np.linalg.norm(found.values - truth) < 1e-2 * np.linalg.norm(truth)


def test_fewer_pairs_than_players_are_met_by_the_smallest_values_that_explain_them() -> None:
    values = np.random.default_rng(22).normal(size=4096)
    made = design("regression", 12, 16, 1)
    column = tabular(values)(made.coalitions)
    (found,) = estimate(made, column[:, None])
    signs = 2.0 * made.coalitions[2::2] - 1
    np.testing.assert_allclose(signs @ found.values, column[2::2] - column[3::2], atol=1e-9)
    known = np.concatenate([signs, np.ones((1, 12))])  # with Σφ = v(N) − v(∅), of all such values the shortest
    shortest = np.linalg.pinv(known) @ np.append(column[2::2] - column[3::2], column[1] - column[0])
    np.testing.assert_allclose(found.values, shortest, atol=1e-9)
    assert np.isposinf(found.stderr).all()


def test_what_was_fitted_is_told_by_the_names_of_its_rungs() -> None:
    values = np.random.default_rng(21).normal(size=1 << 9)
    (found,) = run(tabular(values), 9, 150)
    known = {"F0", "F0+t³", "F0+t³+t⁵"} | {
        f"{name}, ridge {strength:g}" for name in ("smooth", "learned", "threes") for strength in STRENGTHS
    }
    parts = found.rung.split(" & ")
    assert len(parts) > 1
    assert set(parts) <= known


def test_joint_effects_of_three_are_as_likely_for_a_player_that_harms_as_for_one_that_helps() -> None:
    ladder = Ladder(design("regression", 9, 120, 0))
    values = np.random.default_rng(19).normal(size=9)
    one, other = ladder.threes(values), ladder.threes(np.abs(values))
    target = np.random.default_rng(20).normal(size=len(ladder.features))
    np.testing.assert_allclose(one.errors(target), other.errors(target), rtol=1e-6)
    learned = ladder.learned(values).errors(target), ladder.learned(np.abs(values)).errors(target)
    assert not np.allclose(*learned, rtol=1e-3), "whose sum saturates depends on signs"


def test_errors_of_all_players_cancel_unit_by_unit() -> None:
    ladder = Ladder(design("regression", 12, 514, 0))
    assert ladder.smooth is not None
    for path in (ladder.free, ladder.smooth, ladder.learned(np.arange(12.0))):
        for rung in range(len(path.names)):
            np.testing.assert_allclose(path.reading(rung).sum(axis=1), 0, atol=1e-10)
    values = np.random.default_rng(13).normal(size=4096)
    found = run(tabular(values), 12, 514)[0]
    assert found.influence.shape == (2 * 256, 12)  # by the fit's own errors, and by what no pair has shown
    np.testing.assert_allclose(found.influence.sum(axis=1), 0, atol=1e-10)
    np.testing.assert_allclose(found.stderr, np.sqrt((found.influence**2).sum(axis=0)), rtol=1e-12)


def test_shared_designs_give_honest_errors_of_differences() -> None:
    """Columns that differ little differ by an error that is small: influences are added before they are squared."""
    lite = np.load(TABLE)["logits"].astype(float)
    rng = np.random.default_rng(14)
    values = np.stack([lite[:, 0], lite[:, 0] + 0.01 * lite[:, 1]], axis=1)
    truth = [found.values for found in run(tabular(values), 12, 4096)]
    covered = []
    for seed in range(60):
        one, other = run(tabular(values), 12, 130 + int(rng.integers(0, 60)) * 2, seed=seed)
        if one.rung == other.rung:
            error = np.sqrt(np.square(other.influence - one.influence).sum(axis=0))
            assert (error < 0.05 * one.stderr).all()
            covered.append(np.abs((other.values - one.values) - (truth[1] - truth[0])) <= 1.96 * error)
    assert len(covered) > 40
    assert 0.92 <= np.mean(covered) <= 0.995


def test_student_widens_as_its_table_says() -> None:
    for freedom, quantile in ((2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042)):
        assert student(freedom) * 1.959964 == pytest.approx(quantile, rel=0.01)
    for freedom, quantile, tolerance in ((10, 2.2281388520, 2e-5), (30, 2.0422724563, 1e-7), (100, 1.9839715185, 1e-9)):
        assert student(freedom) * 1.959963984540054 == pytest.approx(quantile, rel=tolerance)


# ── unbiased ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_unbiased_values_are_so_where_the_default_is_not() -> None:
    """Eight rows a player, seeds by the hundred: the mean's distance from exact, in its own standard errors."""
    values = np.load(TABLE)["logits"][:, 0].astype(float)
    truth = run(tabular(values), 12, 4096)[0].values
    worst = {}
    for method, seeds in (("unbiased", 600), ("regression", 150)):
        found = np.array([run(tabular(values), 12, 96, method, seed)[0].values for seed in range(seeds)])
        worst[method] = (np.abs(found.mean(axis=0) - truth) / (found.std(axis=0) / math.sqrt(seeds))).max()
    assert worst["unbiased"] < 4
    assert worst["regression"] > 6


def test_unbiased_intervals_cover_what_they_claim() -> None:
    for multiple in (8, 16, 32):
        assert 0.92 <= coverage(lite, 12, multiple * 12, "unbiased") <= 0.99


@pytest.mark.parametrize("players", [7, 8])
def test_unbiased_values_of_few_pairs_have_no_surrogate(players: int) -> None:
    """Then they are sums of c g, each pair for as many as it stands for, by the formula at the module's head."""
    values = np.random.default_rng(18).normal(size=1 << players)
    made = design("unbiased", players, 2 + 4 * (players // 2), 0)
    assert made.pairs is not None
    column = tabular(values)(made.coalitions)
    (found,) = estimate(made, column[:, None])
    assert found.rung == "0 features"
    gain = column[1] - column[0]
    expected = np.full(players, gain / players)
    for size in range(1, players // 2 + 1):
        every = math.comb(players, size) // (2 if 2 * size == players else 1)
        mine = made.pairs.size == size
        odd = ((column[2::2] - column[3::2]) / 2 - gain * (size / players - 0.5))[mine]
        for mask, worth in zip(made.coalitions[2::2][mine], odd, strict=True):
            share = np.where(mask, 1 / size, -1 / (players - size)) * 2 / math.comb(players, size)
            expected += every / mine.sum() * share * worth
    np.testing.assert_allclose(found.values, expected, atol=1e-12)


@pytest.mark.parametrize("players", [4, 5, 8])
def test_unbiased_values_of_every_pair_are_exact(players: int) -> None:
    values = np.random.default_rng(17).normal(size=1 << players)
    found = run(tabular(values), players, 1 << players, "unbiased")[0]
    np.testing.assert_allclose(found.values, run(tabular(values), players, 1 << players)[0].values, atol=1e-12)
    np.testing.assert_allclose(found.stderr, 0, atol=1e-12)


# ── accuracy and coverage ──────────────────────────────────────────────────────────────────────────────────────────


def test_accuracy_on_a_real_network() -> None:
    values = np.load(TABLE)["logits"][:, 0].astype(float)
    truth = run(tabular(values), 12, 4096)[0].values
    for budget, bound in ((66, 0.30), (130, 0.09), (258, 0.038), (514, 0.016), (1026, 0.008)):
        errors = [np.linalg.norm(run(tabular(values), 12, budget, seed=s)[0].values - truth) for s in range(10)]
        assert np.mean(errors) / np.linalg.norm(truth) <= bound


def network(masks: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(15)
    inner, outer = rng.normal(size=(masks.shape[1], 40)) / 3, rng.normal(size=40)
    return np.tanh(masks @ inner + rng.normal(size=40)) @ outer


def interactions(masks: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(16)
    teams = [rng.choice(masks.shape[1], size=size, replace=False) for size in rng.integers(1, 5, size=80)]
    return np.sum([c * masks[:, team].all(axis=1) for team, c in zip(teams, rng.normal(size=80), strict=True)], axis=0)


def airport(masks: np.ndarray) -> np.ndarray:
    return (masks * np.linspace(0.1, 1, masks.shape[1]) ** 2).max(axis=1)


def council(masks: np.ndarray) -> np.ndarray:
    return (masks[:, :5].all(axis=1) & (masks.sum(axis=1) >= 9)).astype(float)


def lite(masks: np.ndarray) -> np.ndarray:
    logits = np.load(TABLE)["logits"].astype(float)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    columns = [logits[:, 0], logits[:, 1], logits[:, 5], shares[:, 0] / shares.sum(axis=1), np.load(TABLE)["low"][:, 0]]
    return np.stack(columns, axis=1)


@pytest.mark.parametrize(
    ("game", "players"), [(lite, 12), (network, 12), (interactions, 11), (airport, 10), (council, 15)]
)
@pytest.mark.parametrize("multiple", [8, *(pytest.param(each, marks=pytest.mark.slow) for each in (16, 32))])
def test_regression_intervals_cover_what_they_claim(game: Game, players: int, multiple: int) -> None:
    covered, width = coverage_and_width(game, players, multiple * players, "regression")
    assert covered >= 0.92
    assert width <= 4


@pytest.mark.parametrize(("game", "players"), [(lite, 12), (network, 12), (interactions, 11)])
@pytest.mark.parametrize("multiple", [4, 8, 16])
def test_permutation_intervals_cover_what_they_claim(game: Game, players: int, multiple: int) -> None:
    assert 0.92 <= coverage(game, players, multiple * players, "permutations") <= 0.995


def coverage(game: Game, players: int, budget: int, method: str) -> float:
    return coverage_and_width(game, players, budget, method)[0]


def coverage_and_width(game: Game, players: int, budget: int, method: str) -> tuple[float, float]:
    """Of the players, columns and 100 seeds: the share whose 95 % interval holds the exact value; stderr over error."""
    values = np.asarray(game(every_mask(players)), dtype=float)
    truth = [found.values for found in run(tabular(values), players, 1 << players)]
    found = np.array(
        [
            [(each.values - exact, each.stderr) for each, exact in zip(one, truth, strict=True)]
            for one in (run(tabular(values), players, budget, method, seed) for seed in range(100))
        ]
    )
    errors, claimed = found[:, :, 0], found[:, :, 1]
    width = np.sqrt(np.square(claimed).mean(axis=(0, 2)) / np.square(errors).mean(axis=(0, 2)))
    return float(np.mean(np.abs(errors) <= 1.96 * claimed)), float(width.max())


@pytest.mark.parametrize("gain", [0.0, 1e-12, 1e-7, 1e-6])
def test_a_game_that_is_worth_as_much_at_both_ends_is_estimated_as_any_other(gain: float) -> None:
    masks = every_mask(10)
    values = network(masks)
    values += (gain - values[-1] + values[0]) * masks.sum(axis=1) / 10
    game = tabular(values)
    (found,), (exact,) = run(game, 10, 200, "regression"), run(game, 10, None, "exact")
    assert np.linalg.norm(found.values - exact.values) <= 0.2 * np.linalg.norm(exact.values)
    assert np.isfinite(found.stderr).all()


def test_the_work_for_a_column_is_limited_however_many_pairs_there_are() -> None:
    """Centres are all pairs of a small design; of a large one their covariances with the pairs are limited."""
    counts = [1, 100, 512, 513, 1024, 1025, 5000, 20_000, 300_000]
    some = [centres(pairs) for pairs in counts]
    assert some[:3] == [1, 100, 512]
    assert all(one <= pairs for one, pairs in zip(some, counts, strict=True))
    assert all(one * pairs <= 1 << 21 for one, pairs in zip(some, counts, strict=True))
    assert some[3:] == sorted(some[3:], reverse=True)
