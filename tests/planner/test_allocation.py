"""How fast errors fall is learnt in logarithms; rows follow from it, within what there is."""

from __future__ import annotations

import math

import pytest

from ialgebra.answering.allocation import Decay, Stratum, population, rows_to, unseen


def test_there_are_two_to_the_players_coalitions_and_of_very_many_no_end() -> None:
    assert population(0) == 1
    assert population(10) == 1024
    assert population(60) == 2.0**60
    assert population(61) == math.inf


def test_the_unseen_rows_are_none_where_all_are_in() -> None:
    assert unseen(4, 8) == 1 / 8
    assert unseen(8, 8) == 0
    assert unseen(9, 8) == 0
    assert unseen(4, math.inf) == 1 / 4


def test_before_anything_is_learnt_the_prior_holds() -> None:
    for prior in (0.5, 1.0, 1.7):
        assert Decay(prior).rate == pytest.approx(prior)
    assert Decay(0.1).rate == 0.5
    assert Decay(5.0).rate == 2.0


def test_a_halving_counts_as_much_as_the_prior() -> None:
    decay = Decay(1.0)
    decay.learn(1.0, 0.8)
    assert decay.rate == pytest.approx(1.0), "one round tells no rate"
    decay.learn(0.5, 0.8 * 0.5**2)
    assert decay.rate == pytest.approx(1.5)
    decay.learn(0.25, 0.8 * 0.25**2)
    # A regression through the first round: (1 + 2 · 1 + 2 · 4) / (1 + 1 + 4) in squares of log 2.
    assert decay.rate == pytest.approx(11 / 6)


def test_rounds_that_tell_nothing_are_passed_over() -> None:
    decay = Decay(1.0)
    for gap, error in ((0.0, 0.1), (1.0, 0.0), (1.0, math.inf), (-1.0, 0.1), (1.0, math.nan)):
        decay.learn(gap, error)
    assert decay.first is None
    decay.learn(1.0, 0.5)
    assert decay.first == (1.0, 0.5)
    decay.learn(0.0, 0.1)
    decay.learn(0.5, math.inf)
    assert decay.rate == pytest.approx(1.0)


def test_rows_grow_towards_a_population_that_ends() -> None:
    stratum = Stratum(100, 1e9, 1024, 1.0, 1.0)
    for ratio in (0.5, 0.1, 0.01):
        (rows,) = rows_to([stratum], ratio, 1.0, allocate=True)
        assert unseen(rows, 1024) / unseen(100, 1024) == pytest.approx(ratio)
        assert rows < 1024
    assert rows_to([stratum], 0.0, 1.0, allocate=True) == pytest.approx([1024])
    whole = Stratum(1024, 1e9, 1024, 1.0, 1.0)
    assert rows_to([whole], 0.1, 1.0, allocate=True) == pytest.approx([1024])
    assert rows_to([whole, stratum], 0.5, 1.0, allocate=True)[0] == pytest.approx(1024)


def test_rates_tell_how_many_rows_a_ratio_takes() -> None:
    endless = Stratum(100, math.inf, math.inf, 1.0, 1.0)
    assert rows_to([endless], 0.5, 1.0, allocate=True) == pytest.approx([200])
    assert rows_to([endless], 0.5, 0.5, allocate=True) == pytest.approx([400])
    assert rows_to([endless], 0.5, 2.0, allocate=True) == pytest.approx([100 * math.sqrt(2)])
    assert rows_to([endless._replace(cap=150)], 0.5, 1.0, allocate=True) == pytest.approx([150])
    assert rows_to([endless._replace(cap=50)], 0.5, 1.0, allocate=True) == pytest.approx([100])


def test_games_whose_errors_cancel_others_get_no_more_rows() -> None:
    strata = [Stratum(100, math.inf, math.inf, variance, 1.0) for variance in (1.0, -0.2, 0.0)]
    found = rows_to(strata, 0.25, 1.0, allocate=True)
    assert found[0] == pytest.approx(400, rel=1e-3)
    assert found[1] == found[2] == pytest.approx(100)
    nothing = [Stratum(100, math.inf, math.inf, 0.0, 1.0)] * 2
    assert rows_to(nothing, 0.5, 1.0, allocate=True) == pytest.approx([200, 200])


@pytest.mark.parametrize("allocate", [True, False])
def test_what_a_capped_game_cannot_give_the_others_make_up_for(allocate: bool) -> None:
    strata = [Stratum(100, 120, math.inf, 1.0, 1.0), Stratum(100, math.inf, math.inf, 1.0, 3.0)]
    capped, free = rows_to(strata, 0.65, 1.0, allocate=allocate)
    assert capped == pytest.approx(120)
    assert (100 / capped) ** 2 + (100 / free) ** 2 == pytest.approx(2 * 0.65**2, rel=1e-6)
