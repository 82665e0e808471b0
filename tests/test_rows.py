"""What queries cost: rows, counted inside the model, each query in a fresh session."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import Strategy
from ialgebra.execution import lanes
from tests import worlds

BUDGET = 128


class Counted(nn.Sequential):
    """Counts the rows that go through it, in all and each."""

    def forward(self, batch: Tensor) -> Tensor:
        self.rows = getattr(self, "rows", 0) + len(batch)
        self.seen = getattr(self, "seen", Counter())
        self.seen.update(row.numpy().tobytes() for row in batch)
        return super().forward(batch)


class Session:
    """A session over counted models f and f', whose heads are there; the default players are grid(4, 4)."""

    def __init__(self, **options: object) -> None:
        torch.manual_seed(1)
        self.con = ialgebra.connect(progress=False)
        self.models = {name: Counted(*worlds.network("image").double()) for name in ("f", "f'")}
        for name in ("x", "x'", "y"):
            self.con.register_input(name, worlds.sample("image"))
        self.con.register_input("xs", worlds.sample("image", count=3))
        for name, model in self.models.items():
            self.con.register_model(name, model, **options)
            worlds.with_random_heads(self.con, name, worlds.sample("image"))
            model.rows, model.seen = 0, Counter()

    @property
    def rows(self) -> int:
        return sum(model.rows for model in self.models.values())

    def cost(self, text: str, **options: object) -> int:
        """The rows of a query, which its statistics must tell."""
        before = self.rows
        relation = self.con.sql(text, **options)
        assert relation.stats.rows == self.rows - before
        return self.rows - before


def cost(text: str, budget: int | None = BUDGET, strategy: Strategy = Strategy.BEST) -> int:
    return Session().cost(text if budget is None else f"{text} budget {budget}", strategy=strategy)


IDENTITY = "select * from f(x)"


def test_a_budget_is_the_rows_of_one_game():
    for budget in (2, 3, 40, 66, 128, 500):
        assert 2 <= cost(IDENTITY, budget) <= budget
    assert cost(IDENTITY) == BUDGET


def test_every_layer_and_class_is_read_from_one_pass():
    assert cost("select 1, 2, 3, * from f(x)") == cost(IDENTITY)
    assert cost("select 1, 2, 3, * from f(x)", strategy=Strategy.FUSED) == cost(IDENTITY)
    assert cost("select 1, 2, 3, * from f(x)", strategy=Strategy.AS_WRITTEN) >= 4 * (BUDGET - 2)
    classes = " join ".join(f"f(x, target => {target})" for target in range(3))
    assert cost(f"select * from {classes}") == cost(IDENTITY)
    assert cost("select * from f(x, output => probability) join f(x, output => log_odds) join f(x)") == cost(IDENTITY)


def test_both_sides_of_an_antijoin_cost_one_direction():
    one_direction = cost("select * from f(x, baseline => x')")
    assert cost("select * from f(x) left join (select * from f(x'))") == one_direction
    assert cost("select 1, 2, * from f(x) left join (select 1, 2, * from f(x'))") == one_direction
    assert cost("select * from f(x) left join f(x')", strategy=Strategy.AS_WRITTEN) >= 2 * (BUDGET - 2)


def test_a_join_of_an_input_with_itself_costs_the_input():
    assert cost("select * from f(x) join f(x)") == cost(IDENTITY)
    assert cost("select * from f(x) join f(x) on weight = 0.3") == cost(IDENTITY)
    assert cost("select 2 from f(x) join (select 3 from f(x))") == cost(IDENTITY)
    assert cost("select * from f(x) join f(x)", strategy=Strategy.AS_WRITTEN) >= 2 * (BUDGET - 2)


def test_an_antijoin_of_an_input_with_itself_costs_its_class():
    assert cost("select * from f(x) left join f(x)") <= 2


@pytest.mark.parametrize("using", ["", " using shapley(contrast => 'literal')"])
def test_a_comparison_of_models_composes_each_hybrid_once(using, monkeypatch):
    composed = []

    def counting(foreground: Tensor, background: Tensor, segments: Tensor, masks: Tensor) -> Tensor:
        composed.append(len(masks))
        return compose(foreground, background, segments, masks)

    compose = lanes.compose
    monkeypatch.setattr(lanes, "compose", counting)
    session = Session()
    session.con.sql(f"select * from f(x) left join (select * from f'(x)){using} budget {BUDGET}")
    f, g = session.models.values()
    assert f.rows == g.rows
    assert f.seen == g.seen
    assert sum(composed) <= BUDGET
    assert max(f.seen.values()) == 1, "no hybrid goes through a model twice"
    if not using:
        assert f.rows == cost(IDENTITY)


def test_joined_inputs_share_what_they_share():
    """x_∅ is one row for both; nothing else is."""
    assert cost("select * from f(x) join f(y)") == 2 * BUDGET - 1
    assert cost("select * from f(x) join f(y) join f(x) join f(y)") == 2 * BUDGET - 1


def test_a_chain_of_antijoins_costs_each_pair_once():
    assert cost("select * from f(x) left join f(x') left join f(y)") == 3 * (BUDGET - 2) + 3


def test_a_window_s_budget_holds_the_prediction_of_the_class():
    """The class is that of the whole x, which under Π is no hybrid: one row, and pairs of the rest."""
    assert cost("select * from f(x) where row < 3") == BUDGET - 1
    assert cost("select * from f(x, target => 1) where row < 3") == BUDGET
    assert cost("select 1, 2, * from f(x) where row < 3") == BUDGET - 1
    assert cost("select * from f(x) left join f(x') where row < 3") <= 2 * BUDGET


def test_a_window_that_selects_nothing_costs_its_end_and_its_class():
    assert cost("select * from f(x) where row > 99", None) <= 2


def test_null_players_cost_nothing():
    """Half of x is its baseline: 2^8 coalitions are left of 2^16."""
    session = Session()
    x = worlds.sample("image")
    x[:, 3:] = 0
    session.con.register_input("x", x)
    assert session.cost("select * from f(x, players => grid(2, 3)) using exact()") == 2**3
    assert session.cost(f"{IDENTITY} using exact()") <= 2**8


def test_null_players_are_exact_where_the_others_errors_are_unknown():
    session = Session()
    x = worlds.sample("image")
    x[:, 3:] = 0
    session.con.register_input("x", x)
    found = session.con.sql("select * from f(x) budget 2")[0]
    null = np.isin(np.arange(len(found.values)), found.players[:, 3:])
    null &= ~np.isin(np.arange(len(found.values)), found.players[:, :3])
    assert 0 < null.sum() < len(null)
    assert not found.values[null].any()
    assert not found.stderr[null].any()
    assert np.isinf(found.stderr[~null]).all()


def test_exact_values_evaluate_each_coalition_once():
    for strategy in (Strategy.LAWS, Strategy.FUSED, Strategy.BEST):
        session = Session()
        assert session.cost("select * from f(x, players => grid(2, 3))", strategy=strategy) == 2**6
        assert set(session.models["f"].seen.values()) == {1}


@pytest.mark.parametrize("method", ["regression", "permutations"])
def test_no_design_evaluates_a_hybrid_twice(method):
    session = Session()
    session.cost(f"select 2, * from f(x) left join f(x') using {method}() budget {BUDGET}")
    assert max(session.models["f"].seen.values()) == 1


def test_the_row_that_tells_a_model_s_layers_is_an_end_like_any_other():
    con, model = ialgebra.connect(progress=False), Counted(*worlds.network("image").double())
    con.register_model("f", model)
    con.register_input("x", worlds.sample("image"))
    relation = con.sql(f"{IDENTITY} budget {BUDGET}")
    assert relation.stats.rows == BUDGET
    assert model.rows == BUDGET + relation.stats.examined_rows == BUDGET + 4
    again = con.sql("select * from f(x) where row < 3 budget 40")
    assert model.rows == BUDGET + 4 + again.stats.rows


def test_explaining_runs_nothing():
    session = Session()
    session.con.explain("select 1, * from f(x) left join f(x') where row < 3")
    session.con.sql("explain select 1, * from f(x) left join f(x')")
    assert session.rows == 0


@pytest.mark.parametrize(
    "text", [IDENTITY, "select 1, 2, * from f(x) left join f(x')", "select * from f(x) join f(y) on weight = 0.3"]
)
def test_the_plan_forecasts_its_rows(text):
    for strategy in (Strategy.AS_WRITTEN, Strategy.LAWS, Strategy.FUSED):
        session = Session()
        relation = session.con.sql(f"{text} budget {BUDGET}", strategy=strategy)
        assert relation.details["rows"] == session.rows


def test_what_was_paid_for_is_not_paid_again():
    session = Session()
    text = f"select 2, * from f(x) left join f(x') budget {BUDGET}"
    first = session.cost(text)
    assert session.cost(text) == 0
    assert session.cost(f"select * from f(x', baseline => x) budget {BUDGET}") == 0
    assert session.con.sql(text).stats.reused_rows == first
    assert session.cost(text, strategy=Strategy.FUSED) == first, "without reuse"
    assert session.cost(text, seed=1) > first / 2, "another seed is another design"


def test_more_budget_continues_and_never_restarts():
    session = Session()
    assert session.cost(f"{IDENTITY} budget {BUDGET}") == BUDGET
    assert session.cost(f"{IDENTITY} budget {2 * BUDGET}") == BUDGET


def test_a_pass_stops_at_the_deepest_layer_needed():
    session = Session()
    head_rows: list[int] = []
    session.models["f"][6].register_forward_pre_hook(lambda module, inputs: head_rows.append(len(inputs[0])))
    assert session.cost(f"select 1, 2 from f(x) budget {BUDGET}") == BUDGET
    assert sum(head_rows) <= 2, "only the prediction needs the head"


def test_batches_are_as_large_as_asked_and_full():
    sizes: list[int] = []
    session = Session(batch_size=32)
    session.models["f"].register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    session.cost(f"select * from f(x) join f(y) join f(x') budget {BUDGET}")
    assert max(sizes) == 32
    assert sum(size < 32 for size in sizes) <= 2, "rows of different games fill one batch"
