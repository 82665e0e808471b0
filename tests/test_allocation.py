"""How rows are divided among games and foretold, against brute force; and errors of games that share coalitions."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from ialgebra.answering.allocation import Decay, Stratum, population, rows_to, unseen
from ialgebra.estimation.bound import Draw, pooled
from ialgebra.estimation.maps import EstimatedMap
from ialgebra.kernels.coalitions import Design
from ialgebra.kernels.estimators.registry import choose, design


def error(strata: list[Stratum], rows: list[float], rate: float) -> float:
    """The answer's error beside what it was, if each game's falls with its unseen rows to the power of `rate`."""
    gaps = [unseen(n, s.population) / unseen(s.rows, s.population) for s, n in zip(strata, rows, strict=True)]
    now = sum(s.variance * gap ** (2 * rate) for s, gap in zip(strata, gaps, strict=True))
    return math.sqrt(now / sum(s.variance for s in strata))


def cost(strata: list[Stratum], rows: list[float]) -> float:
    return sum(s.cost * n for s, n in zip(strata, rows, strict=True))


@pytest.mark.parametrize("rate", [0.5, 1.0])
@pytest.mark.parametrize("ratio", [0.9, 0.5, 0.1])
@pytest.mark.parametrize("costs", [(1.0, 1.0), (1.0, 5.0)])
def test_rows_reach_the_error_at_the_least_cost(rate, ratio, costs):
    strata = [
        Stratum(100, math.inf, math.inf, variance, price) for variance, price in zip((1.0, 9.0), costs, strict=True)
    ]
    found = rows_to(strata, ratio, rate, allocate=True)
    assert error(strata, found, rate) == pytest.approx(ratio, rel=1e-6)
    lattice = np.geomspace(100, 100 * ratio ** (-1 / rate) * 20, 400)
    every = (pair for pair in itertools.product(lattice, lattice) if error(strata, list(pair), rate) <= ratio)
    assert cost(strata, found) <= min(cost(strata, list(pair)) for pair in every) * 1.001


def test_neyman_allocates_by_standard_deviation_and_the_root_of_cost():
    strata = [Stratum(10, math.inf, math.inf, 1.0, 1.0), Stratum(10, math.inf, math.inf, 16.0, 4.0)]
    few, many = rows_to(strata, 0.01, 0.5, allocate=True)
    assert many / few == pytest.approx(4 / 2)


def test_without_allocation_all_games_grow_alike():
    strata = [Stratum(10, math.inf, math.inf, 1.0, 1.0), Stratum(40, math.inf, math.inf, 16.0, 4.0)]
    assert rows_to(strata, 0.5, 1.0, allocate=False) == pytest.approx([20, 80])


def test_rows_already_paid_for_stay_and_caps_are_kept():
    strata = [Stratum(100, math.inf, math.inf, 1e-9, 1.0), Stratum(100, 300, math.inf, 1.0, 1.0)]
    idle, capped = rows_to(strata, 0.1, 1.0, allocate=True)
    assert capped == pytest.approx(300)
    assert idle >= 100
    assert rows_to(strata, 1.0, 1.0, allocate=True) == pytest.approx([100, 100])
    cancelling = [Stratum(100, math.inf, math.inf, -0.5, 1.0), Stratum(100, math.inf, math.inf, 1.5, 1.0)]
    assert rows_to(cancelling, 0.5, 1.0, allocate=True)[0] == pytest.approx(100, rel=1e-2)


def test_no_more_rows_are_asked_for_than_there_are_coalitions():
    (found,) = rows_to([Stratum(96, 4096, population(12), 1.0, 1.0)], 1e-9, 1.0, allocate=True)
    assert found == pytest.approx(4096)
    assert population(10_000) == math.inf


def test_a_decay_starts_from_what_is_believed_and_learns_what_is_measured():
    decay = Decay(1.0)
    assert decay.rate == 1
    decay.learn(1 / 100, math.inf)
    for rows in (100, 200, 400, 800, 1600):
        decay.learn(1 / rows, rows**-0.6)
    assert decay.rate == pytest.approx(0.6, abs=0.03)
    decay.learn(1 / 3200, 1.0)
    assert decay.rate >= 0.5


# Errors of games that share some coalitions.


def draw(made: Design, rng: np.random.Generator, hybrids: str) -> Draw:
    influence = rng.normal(size=((len(made.coalitions) - 2) // 2, made.players))
    return Draw(SimpleNamespace(hybrids=SimpleNamespace(key=hybrids)), made, influence)  # type: ignore[arg-type]


def whole(draws: tuple[Draw, ...], players: int) -> EstimatedMap:
    return EstimatedMap(np.zeros(1, dtype=np.int64), np.ones(players), draws, 0.0, 1.0, "regression")


def test_errors_of_designs_of_one_seed_are_added_pair_by_pair():
    rng, players = np.random.default_rng(0), 9
    draws = tuple(draw(design("regression", players, rows, 3), rng, name) for rows, name in ((60, "x"), (200, "y")))
    added: dict[bytes, np.ndarray] = {}
    for each in draws:
        for mask, row in zip(each.design.coalitions[2::2], each.influence, strict=True):
            added[mask.tobytes()] = added.get(mask.tobytes(), np.zeros(players)) + row
    expected = np.sqrt(np.square(list(added.values())).sum(axis=0))
    found = whole(draws, players)
    assert len(added) == 99
    assert found.stderr == pytest.approx(expected)
    assert sum(share for _, share in found.shares()) == pytest.approx(1)
    alone = [np.square(each.influence).sum() for each in draws]
    assert [share for _, share in found.shares(apart=True)] == pytest.approx([each / sum(alone) for each in alone])
    assert np.square(pooled(found.draws, found.influence.shape[1], apart=True)).sum() == pytest.approx(sum(alone))


def test_errors_of_other_seeds_and_of_other_methods_are_independent():
    rng, players = np.random.default_rng(0), 9
    draws = tuple(draw(design("regression", players, 60, seed), rng, "x") for seed in (0, 1))
    found = whole(draws, players)
    assert np.square(found.influence).sum() == pytest.approx(sum(np.square(each.influence).sum() for each in draws))


def test_chains_of_one_seed_are_told_apart_by_their_order():
    rng, players = np.random.default_rng(0), 9
    draws = []
    for budget in (60, 200):
        made = design(*choose(players, budget, "permutations")[:1], players, budget, 3)
        influence = rng.normal(size=(len(made.chains.rows) // 2, players))
        draws.append(Draw(SimpleNamespace(hybrids=SimpleNamespace(key="x")), made, influence))  # type: ignore[arg-type]
    small, large = (each.influence for each in draws)
    expected = large.copy()
    expected[: len(small)] += small
    assert np.square(whole(tuple(draws), players).influence).sum() == pytest.approx(np.square(expected).sum())


def test_a_bound_is_unknown_where_any_error_is():
    rng, players = np.random.default_rng(0), 9
    known = draw(design("regression", players, 60, 0), rng, "x")
    found = whole((known, replace(known, given=np.full((1, players), np.inf))), players)
    assert found.relative_bound(0.95) == math.inf
    assert np.isinf(found.stderr).all()
    assert [share for _, share in found.shares()] == [1.0, 1.0]


def test_a_bound_covers_its_share_of_normal_errors():
    rng, players, units = np.random.default_rng(0), 12, 40
    made = design("regression", players, 2 + 2 * units, 0)
    held = []
    for _ in range(600):
        influence = rng.normal(size=(units, players)) * np.geomspace(1, 0.1, players) / 40
        truth = rng.normal(size=players)
        noise = rng.choice([-1.0, 1.0], size=units) @ influence
        game = SimpleNamespace(hybrids=SimpleNamespace(key="x"))
        found = EstimatedMap(
            np.zeros(1, dtype=np.int64),
            truth + noise,
            (Draw(game, made, influence),),
            0.0,
            1.0,
            "",  # type: ignore[arg-type]
        )
        held.append(np.linalg.norm(noise) <= found.relative_bound(0.9) * np.linalg.norm(truth))
    assert 0.86 <= np.mean(held) <= 0.94
