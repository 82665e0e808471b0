"""How inputs are read, from registration to the map: masks of players.

Right values are by enumeration of all coalitions, written here in full.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

import ialgebra

Score = Callable[[Tensor], Tensor]  # a batch of inputs to one number each


def shapley(score: Score, x: Tensor, baseline: Tensor, players: list[Tensor]) -> list[float]:
    """The Shapley values of `players`, boolean masks in the shape of `x`, by enumeration; other features are absent."""
    count = len(players)

    def value(coalition: tuple[int, ...]) -> float:
        present = torch.zeros(x.shape, dtype=torch.bool)
        for player in coalition:
            present |= players[player]
        return float(score(torch.where(present, x, baseline)[None])[0])

    found = []
    for player in range(count):
        others = [each for each in range(count) if each != player]
        total = 0.0
        for size in range(count):
            weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            for coalition in itertools.combinations(others, size):
                total += weight * (value((*coalition, player)) - value(coalition))
        found.append(total)
    return found


def groups(mask: list[int]) -> list[Tensor]:
    """The players of a mask of five features: equal numbers are one player, negative ones none."""
    return [torch.tensor([each == number for each in mask]) for number in sorted({each for each in mask if each >= 0})]


X = torch.tensor([1.0, -1.5, 0.5, 2.0, 0.7])


def curved(batch: Tensor) -> Tensor:
    """A score in which features multiply, so that it matters what a feature without a player shows."""
    return torch.stack([batch.double().prod(1) + batch[:, 0] * batch[:, 1], (batch.double() + 1.3).prod(1)], 1)


@pytest.mark.parametrize(
    "mask",
    [[-1, 0, 0, 1, -1], [2, -1, 2, 5, -1], [-100, 3, -1, 3, 7], [0, 1, 2, 3, -1], [-1, -1, -1, 4, -1], [-1] * 5],
    ids=str,
)
@pytest.mark.parametrize("baseline", [0.0, 0.25])
def test_a_negative_number_in_a_mask_of_players_is_no_player(mask: list[int], baseline: float) -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", curved)
    con.register_input("x", X, baseline=baseline)
    con.register_input("m", torch.tensor(mask))
    expected = shapley(lambda batch: curved(batch)[:, 1], X, torch.full_like(X, baseline), groups(mask))
    con.register_input("own", X, baseline=baseline, players=torch.tensor(mask))
    con.register_input("words", X, baseline=baseline, players=[None if each < 0 else each for each in mask])
    for text in ("f(x, target => 1, players => m)", "f(own, target => 1)", "f(words, target => 1)"):
        (a,) = con.sql(f"select * from {text} using exact()")
        assert a.values == pytest.approx(expected, abs=1e-6)
        assert (a.players < 0).tolist() == [each < 0 for each in mask]
        assert a.map[np.array(mask) < 0] == pytest.approx(0)
    con.sql("set players = m")
    (a,) = con.sql("select * from f(x, target => 1) using exact()")
    assert a.values == pytest.approx(expected, abs=1e-6)


def test_the_players_of_an_answer_are_a_mask_that_asks_for_the_same_players_again() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: torch.tanh(batch.flatten(1).double()).prod(1, keepdim=True).repeat(1, 2))
    con.register_input("x", torch.rand(2, 4, 4) + 0.5)
    for where in ("row < 3 and col > 0", "row + col > 2"):
        (a,) = con.sql(f"select * from f(x, target => 0, players => grid(2, 2)) where {where} using exact()")
        con.register_input("m", a.players)
        (b,) = con.sql("select * from f(x, target => 0, players => m) using exact()")
        assert (b.players == a.players).all()
        assert b.values == pytest.approx(a.values, abs=1e-9)
        con.register_input("plane", a.players[0])
        (c,) = con.sql("select * from f(x, target => 0, players => plane) using exact()")
        assert c.values == pytest.approx(a.values, abs=1e-9)


@pytest.mark.parametrize("method", ["shapley()", "banzhaf()", "permutations()", "regression()"])
def test_every_method_leaves_out_what_is_no_player(method: str) -> None:
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: (batch.double() @ weights)[:, None].repeat(1, 2))
    con.register_input("x", X, players=[None, 0, 0, 1, None])
    (a,) = con.sql(f"select * from f(x, target => 0) using {method} budget 4")
    assert a.values == pytest.approx([-1.5 * 2 + 0.5 * 3, 2.0 * 4])


@pytest.mark.parametrize("method", ["captum.FeatureAblation", "captum.ShapleyValues", "captum.KernelShap"])
def test_captum_s_methods_leave_out_what_is_no_player(method: str) -> None:
    pytest.importorskip("captum")
    con = ialgebra.connect(progress=False)
    con.register_model("f", torch.nn.Linear(5, 2))
    con.register_input("x", X, players=[None, 0, 0, 1, None])
    (shown,) = con.sql("select * from f(x, target => 0) using exact()")
    (a,) = con.sql(f"select * from f(x, target => 0) using {method}()")
    assert a.values == pytest.approx(shown.values, abs=1e-4)
    assert (a.players == shown.players).all()
