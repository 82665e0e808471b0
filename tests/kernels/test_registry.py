"""What every estimator in the registry must do; a new one is tested here as soon as it is listed."""

from __future__ import annotations

import numpy as np
import pytest

from ialgebra.errors import BindError, BudgetError
from ialgebra.kernels.coalitions import Design
from ialgebra.kernels.estimators.registry import (
    BANZHAF_VALUES,
    METHODS,
    SHAPLEY_VALUES,
    Estimators,
    choose,
    design,
    estimate,
    find,
    reader_of,
)

PLAYERS = 8
FAMILIES = {"shapley": SHAPLEY_VALUES, "banzhaf": BANZHAF_VALUES}
EACH = [(family, name) for family, estimators in FAMILIES.items() for name in estimators.methods]


def rows_of(name: str) -> int:
    return 256 if name == "exact" else 120


@pytest.fixture(params=EACH, ids="-".join)
def case(request: pytest.FixtureRequest) -> tuple[Estimators, str]:
    family, name = request.param
    return FAMILIES[family], name


def test_names_are_told_apart():
    for estimators in FAMILIES.values():
        assert len(set(estimators.methods)) == len(estimators.methods)
        assert [each.complete for each in estimators.each].count(True) == 1


def test_a_design_is_of_its_method_and_takes_the_rows_that_were_said(case):
    estimators, name = case
    assert estimators.choose(PLAYERS, rows_of(name), name)[0] == name
    rows = estimators.named(name).rows(PLAYERS, rows_of(name))
    drawn = estimators.design(name, PLAYERS, rows, 3)
    assert drawn.method == name
    assert 2 <= len(drawn.coalitions) <= rows <= rows_of(name)
    assert len({row.tobytes() for row in drawn.coalitions}) == len(drawn.coalitions)
    assert reader_of(drawn).name == name
    assert find(name) is not None


def test_effects_that_add_up_are_found_as_they_are(case):
    """v(S) = Σ_S effect: the Shapley and the Banzhaf value of each player is its effect."""
    estimators, name = case
    drawn = estimators.design(name, PLAYERS, estimators.named(name).rows(PLAYERS, rows_of(name)), 3)
    effects = np.random.default_rng(0).normal(size=(PLAYERS, 2))
    found = estimators.estimate(drawn, drawn.coalitions @ effects + 5)
    assert len(found) == 2
    for each, effect in zip(found, effects.T, strict=True):
        assert each.values.shape == (PLAYERS,)
        assert np.allclose(each.values, effect, atol=1e-8)


def test_an_error_is_no_smaller_than_what_is_wrong_by_much(case):
    """Over 40 seeds, at least 80 in 100 values are within 1.96 standard errors; an exact one has none."""
    estimators, name = case
    estimator = estimators.named(name)
    rng = np.random.default_rng(1)
    table = rng.normal(size=1 << PLAYERS)

    def values(masks):
        return table[masks @ (1 << np.arange(PLAYERS))][:, None]

    whole = estimators.complete.draw(PLAYERS, 1 << PLAYERS, 0)
    (truth,) = estimators.estimate(whole, values(whole.coalitions))
    within = []
    for seed in range(40):
        drawn = estimators.design(name, PLAYERS, estimator.rows(PLAYERS, rows_of(name)), seed)
        (found,) = estimators.estimate(drawn, values(drawn.coalitions))
        within.append(np.abs(found.values - truth.values) <= 1.96 * found.stderr + 1e-12)
    assert np.mean(within) >= 0.8


def test_what_cannot_be_told_apart_into_halves_says_so(case):
    estimators, name = case
    drawn = estimators.design(name, PLAYERS, estimators.named(name).rows(PLAYERS, rows_of(name)), 3)
    column = drawn.coalitions.sum(axis=1, keepdims=True).astype(float)
    if estimators.named(name).halves:
        (present,), (absent,) = (estimators.estimate(drawn, column, part) for part in ("with", "without"))
        assert np.allclose(present.values - absent.values, 1.0)
        return
    for part in ("with", "without"):
        with pytest.raises(BudgetError, match=f"{name} cannot give the part '{part}' alone"):
            estimators.estimate(drawn, column, part)


def test_reading_more_rows_and_more_columns_costs_more(case):
    estimators, name = case
    seconds = estimators.named(name).seconds
    assert 0 < seconds(PLAYERS, 100, 1) < seconds(PLAYERS, 200, 1)
    assert seconds(PLAYERS, 100, 1) < seconds(PLAYERS, 100, 2)
    assert 0.5 <= estimators.named(name).rate <= 2.0


def test_a_step_says_more_than_the_design_before(case):
    estimators, name = case
    estimator = estimators.named(name)
    if estimator.complete:
        return
    rows = estimator.rows(PLAYERS, 100)
    more = estimator.rows(PLAYERS, rows + estimator.least_step(PLAYERS))
    fewer, larger = (estimators.design(name, PLAYERS, count, 3).coalitions for count in (rows, more))
    assert len(larger) > len(fewer)
    assert {row.tobytes() for row in fewer} <= {row.tobytes() for row in larger}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("players", [0, 1, 2, 3, 5, 12, 21, 300, 1500])
@pytest.mark.parametrize("budget", [None, 2, 7, 64, 4096])
def test_where_no_method_is_named_one_serves_every_game(family, players, budget):
    estimators = FAMILIES[family]
    method, rows = estimators.choose(players, budget)
    if budget is not None and players > 1:
        assert rows <= budget
    assert rows <= 1 << players
    assert method in estimators.methods
    if players <= 21:
        assert len(estimators.design(method, players, rows, 0).coalitions) <= rows


def test_the_choice_for_shapley_values_is_by_players_and_rows():
    assert METHODS == ("exact", "permutations", "regression", "unbiased")
    assert choose(10, None) == ("exact", 1024)
    assert choose(12, None) == ("regression", 384)
    assert choose(12, 47)[0] == "permutations"
    assert choose(12, 48) == ("regression", 48)
    assert choose(1024, 8192)[0] == "regression"
    assert choose(1025, 8192)[0] == "permutations"
    assert choose(12, 400, literal=True)[0] == "permutations"
    assert choose(12, 400, "unbiased") == ("unbiased", 400)


def test_an_unknown_method_is_refused_with_the_nearest_name():
    for act in (lambda: choose(4, None, "exakt"), lambda: design("exakt", 4, 16, 0)):
        with pytest.raises(BindError, match=r"no method .exakt.*exact"):
            act()


def test_designs_of_a_users_own_are_read_by_their_form():
    drawn = design("permutations", 6, 60, 0)
    foreign = type(drawn)("mine", 6, 0, drawn.coalitions, ("mine", 6, 60, 0), drawn.chains, drawn.pairs)
    column = drawn.coalitions @ np.arange(6.0)[:, None]
    assert find("mine") is None
    assert np.array_equal(estimate(foreign, column)[0].values, estimate(drawn, column)[0].values)


@pytest.mark.parametrize("method", ["mine", "regression", "permutations", "unbiased", "uniform"])
def test_a_design_of_another_form_than_its_method_s_is_read_by_its_form(method):
    """An interpreter of a user may call its designs what it likes: here every coalition, v(S) = |S| + [0 ∈ S]."""
    masks = (np.arange(8)[:, None] >> np.arange(3) & 1).astype(bool)
    every = Design(method, 3, 0, masks, (method, 3, 8, 0))
    (found,) = estimate(every, masks.sum(axis=1, keepdims=True) + masks[:, :1].astype(float))
    assert found.values.tolist() == pytest.approx([2.0, 1.0, 1.0])
    assert not found.stderr.any()
