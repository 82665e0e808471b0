"""How many coalitions each game plays in a round, and which games draw their own."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from ialgebra.algebra.operators import Estimation
from ialgebra.errors import BudgetError
from ialgebra.interpreters.shipped import SHIPPED
from ialgebra.planner import sampling
from ialgebra.planner.games import Game
from ialgebra.planner.sampling import DesignSpec, Effort, seeds


def game(players: int, method: str | None = None, budget: int | None = None, key: str = "h") -> Any:
    hybrids: Any = SimpleNamespace(players=players, key=key, copies=None)
    options = () if method is None else (("method", method),)
    return Game("f", 2, hybrids, 1, "logit", Estimation("shapley", options, budget))


def spec(game: Any, seed: int, *, halves: bool, effort: Effort | None = None) -> DesignSpec:
    return sampling.spec(game, seed, SHIPPED["shapley"], halves=halves, effort=effort)


def test_without_an_effort_the_whole_budget_is_spent() -> None:
    assert spec(game(12, None, 500), 3, halves=False) == DesignSpec("regression", 12, 500, 3)
    assert spec(game(12, "permutations", 200), 3, halves=False).method == "permutations"
    assert spec(game(4), 3, halves=False) == DesignSpec("exact", 4, 16, 3)
    assert spec(game(12, None, 500), 3, halves=True).method == "permutations"
    assert spec(game(0), 0, halves=False) == DesignSpec("exact", 0, 1, 0)
    with pytest.raises(BudgetError):
        spec(game(12, None, 1), 0, halves=False)
    with pytest.raises(BudgetError):
        spec(game(30, "exact"), 0, halves=False)
    with pytest.raises(BudgetError):
        spec(game(12, "regression", 500), 0, halves=True)


def test_a_round_spends_rows_a_player_up_to_the_budget() -> None:
    assert spec(game(20), 1, halves=False, effort=Effort(8)) == DesignSpec("regression", 20, 160, 1)
    assert spec(game(20, None, 100), 1, halves=False, effort=Effort(8)).rows == 100
    assert spec(game(20, None, 1000), 1, halves=False, effort=Effort(8)).rows == 160
    assert spec(game(3), 1, halves=False, effort=Effort(1.5)).rows == 4
    assert spec(game(10, "exact"), 1, halves=False, effort=Effort(2)) == DesignSpec("exact", 10, 1024, 1)
    assert spec(game(20), 1, halves=False, effort=Effort(0.05)).rows == 2


def test_a_round_that_spends_nothing_on_a_game_reads_its_ends_alone() -> None:
    for method in (None, "exact", "regression", "permutations"):
        assert spec(game(12, method), 1, halves=False, effort=Effort(0)) == DesignSpec("permutations", 12, 2, 1)
    assert spec(game(1), 1, halves=False, effort=Effort(0)) == DesignSpec("exact", 1, 2, 1)


def test_a_round_may_say_the_rows_of_a_game() -> None:
    one, other = game(20, key="one"), game(20, key="other")
    effort = Effort(8, {one.key: 400})
    assert effort.of(one) == 400
    assert effort.of(other) == 160
    assert Effort(1.9).of(game(3)) == 5
    assert spec(one, 0, halves=False, effort=effort).rows == 400
    assert not Effort(8).apart
    assert dict(Effort(8).rows) == {}


def test_what_asks_the_model_itself_needs_the_ends_alone_and_others_draw_by_their_own_rules() -> None:
    other: Any = replace(game(12), estimation=Estimation("captum.Saliency"))
    saliency = SHIPPED["captum.Saliency"]
    assert sampling.spec(other, 3, saliency, halves=False) == ("ends", 12, 2, 3, "captum.Saliency")
    other.hybrids.players = 0
    assert sampling.spec(other, 3, saliency, halves=False).rows == 1
    banzhaf: Any = replace(game(20), estimation=Estimation("banzhaf", budget=100))
    assert sampling.spec(banzhaf, 3, SHIPPED["banzhaf"], halves=False) == ("uniform", 20, 100, 3, "banzhaf")
    banzhaf.hybrids.players = 0
    assert sampling.spec(banzhaf, 3, SHIPPED["banzhaf"], halves=False) == DesignSpec("exact", 0, 1, 3)


def answer(*places: tuple[str, int]) -> Any:
    terms = [SimpleNamespace(game=game(players, key=key)) for key, players in places]
    return SimpleNamespace(terms=terms)


def test_games_that_meet_in_an_answer_draw_their_own_coalitions_where_they_are_apart() -> None:
    answers = [
        answer(("c", 8), ("a", 8), ("b", 5)),
        answer(("d", 8), ("a", 8)),
        answer(("alone", 8)),
        answer(("twice", 8), ("twice", 8)),
    ]
    assert seeds(answers, 7, Effort(8)) == {}
    assert seeds(answers, 7, None) == {}
    found = seeds(answers, 7, Effort(8, {}, True))
    assert found.keys() == {"a", "b", "c", "d"}
    assert found["a"] == found["b"] == 7  # the first of each number of players keeps the query's seed
    of_eight = [found[key] for key in "acd"]
    assert len(set(of_eight)) == 3
    assert of_eight == [7, 7 + 2**32, 7 + 2 * 2**32]
    assert seeds(answers[::-1], 7, Effort(8, {}, True)) == found
    assert len({found[key] % 2**32 for key in found}) == 1
