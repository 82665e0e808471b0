"""BUDGET is never exceeded: rows are counted in the model itself, for every estimator, operator and kind of target.

What a model's first use costs beside (a probe, and rows that show whether it is a function of the row) is counted
apart, in `stats.examined_rows`.
"""

from __future__ import annotations

import itertools
import os
import random
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import BudgetError, IalgebraWarning

PLAYERS = 7


class Counting(nn.Module):
    """A net that counts the rows that go through it, outside of its own state."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(features, 8), nn.Tanh(), nn.Linear(8, 3))

    def forward(self, batch: Tensor) -> Tensor:
        ROWS.append(len(batch))
        return self.net(batch)


ROWS: list[int] = []

TRIED = 98 if os.environ.get("IALGEBRA_BUDGETS") == "all" else 4  # queries for each of the games and strategies

GAMES = {
    "f(x)": 1,
    "f(x, target => 0)": 1,
    "f(x, baseline => y)": 1,
    "f(x, baseline => xs)": 3,
    "f(nullify(x, feature < 2))": 1,
    "f(xs)": 3,
    "f(x) join f(y)": 2,
    "f(x) anti join f(y)": 2,
    "f(x) anti join g(x)": 2,
    "f(xs) join f(y)": 4,
    "f(x) anti join f(y) anti join f(z)": 6,
    "f(x, target => 2, output => probability) anti join f(y, target => 1, output => probability)": 2,
}
"""Operands, and how many games they are at most: a game has rows of its own, unless it shares them."""

ENDS = (
    "",
    "where feature < 5",
    "where feature in (1, 2, 3, 6) using permutations",
    "using regression",
    "using permutations",
    "using unbiased",
    "using banzhaf",
)


def session() -> ialgebra.Session:
    torch.manual_seed(0)
    con = ialgebra.connect(progress=False)
    for name in ("f", "g"):
        con.register_model(name, Counting(PLAYERS))
    for name in ("x", "y", "z"):
        con.register_input(name, torch.randn(PLAYERS))
    con.register_input("xs", torch.randn(3, PLAYERS))
    return con


def asked(con: ialgebra.Session, query: str, **options: str) -> tuple[ialgebra.Relation, int]:
    """The answer, and the rows that went through the models for it."""
    ROWS.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IalgebraWarning)
        return con.sql(query, **options), sum(ROWS)  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", ["BEST", "AS_WRITTEN"])
@pytest.mark.parametrize("operands", GAMES)
def test_no_game_takes_more_rows_than_its_budget(operands: str, strategy: str) -> None:
    games = (
        2 * GAMES[operands] if strategy == "AS_WRITTEN" else GAMES[operands]
    )  # a comparison of models runs each twice
    pairs = list(itertools.product(ENDS, (2, 3, 4, 7, 16, 33, 60)))
    for end, budget in random.Random(operands + strategy).sample(pairs, min(TRIED, len(pairs))):
        con = session()
        text = f"select * from {operands} {end} budget {budget}"
        try:
            answer, counted = asked(con, text, strategy=strategy)
        except BudgetError:
            continue
        assert counted == answer.stats.rows + answer.stats.examined_rows, text
        assert answer.stats.rows <= games * budget, text
        con.register_model("f", con.registered()["models"]["f"])  # type: ignore[arg-type]
        again, counted = asked(con, text, strategy=strategy)
        assert counted == again.stats.rows + again.stats.examined_rows, f"a model that was registered again: {text}"
        assert again.stats.rows <= games * budget, text


@pytest.mark.parametrize("where", ["", "where feature < 5"])
def test_no_bound_takes_more_rows_than_the_budget(where: str) -> None:
    for budget in (5, 20, 61):
        answer, counted = asked(session(), f"select * from f(x) {where} budget {budget} error within 0.01%")
        assert counted - answer.stats.examined_rows == answer.stats.rows <= budget


def test_a_budget_that_leaves_no_row_for_the_prediction_says_so() -> None:
    con = session()
    with pytest.raises(BudgetError, match=r"the prediction of the class .* are three; name the class"):
        con.sql("select * from f(x) where feature < 3 budget 2")
    (a,) = con.sql("select * from f(x, target => 0) where feature < 3 budget 2")
    assert len(a.values) == 3
    (a,) = con.sql("select * from f(x) where feature < 3 budget 3")
    assert len(a.values) == 3


@pytest.mark.parametrize("strategy", ["AS_WRITTEN", "LAWS", "FUSED", "BEST"])
@pytest.mark.parametrize("budget", [2, 4, 16])
def test_the_class_that_another_model_predicts_takes_no_row_beside_the_budget(strategy: str, budget: int) -> None:
    # Four games as written: each model on the coalitions of each side, for the class that each of them predicts.
    for text in ("f(x) anti join g(x)", "f(x, baseline => y) anti join g(x, baseline => z)"):
        answer, counted = asked(session(), f"select * from {text} using regression budget {budget}", strategy=strategy)
        assert counted == answer.stats.rows + answer.stats.examined_rows
        assert answer.stats.rows <= 4 * budget


def test_an_answer_does_not_depend_on_whether_its_class_was_predicted_before() -> None:
    text = "select * from f(x) where feature < 6 budget 30"
    (cold,) = session().sql(text)
    con = session()
    con.sql("select * from f(x) budget 2")
    (warm,) = con.sql(text)
    assert np.allclose(cold.values, warm.values, atol=1e-6)
