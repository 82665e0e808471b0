"""Estimates of columns that have not changed are read back; and the errors of a map, which are known without its
influences, are those that the influences give."""

from __future__ import annotations

import copy
import math
import os
import pickle
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.estimation.bound import Draw
from ialgebra.estimation.maps import EstimatedMap, Estimates
from ialgebra.interpreters import Design, Estimate, GameInterpreter
from ialgebra.interpreters.protocol import Options
from ialgebra.interpreters.shapley import Shapley
from ialgebra.kernels.estimators.registry import choose, design, estimate

INPUTS = torch.from_numpy(np.random.default_rng(1).normal(size=(6, 9))).float()
QUERY = "select * from f(xs, target => 0) budget 60"


class Smooth(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(np.random.default_rng(0).normal(size=(9, 2))).float())

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.weight)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """For each call of the Shapley estimators, how many columns it was given."""
    given: list[int] = []
    before = Shapley.estimate

    def counting(self: Shapley, made: Design, values: np.ndarray) -> Sequence[Estimate]:
        given.append(values.shape[1])
        return before(self, made, values)

    monkeypatch.setattr(Shapley, "estimate", counting)
    return given


def session(model: nn.Module | None = None, **options: int) -> ialgebra.Session:
    con = ialgebra.connect(progress=False, **options)
    con.register_model("f", Smooth().eval() if model is None else model)
    con.register_input("xs", INPUTS)
    return con


def same(one: ialgebra.Relation, other: ialgebra.Relation) -> bool:
    pairs = [(a, b) for a, b in zip(one, other, strict=True)]
    return all(a.method == b.method and (a.values == b.values).all() and (a.stderr == b.stderr).all() for a, b in pairs)


def test_a_query_that_is_asked_again_estimates_nothing_again(counted: list[int]) -> None:
    con = session()
    first = con.sql(QUERY, seed=3)
    assert sum(counted) == 6
    counted.clear()
    again = con.sql(QUERY, seed=3)
    assert sum(counted) == 0
    assert same(first, again)


def test_only_columns_that_are_new_are_estimated(counted: list[int]) -> None:
    con = session()
    con.register_input("x", INPUTS[2])
    con.sql(QUERY.replace("xs", "x"), seed=3)
    alone = session().sql(QUERY, seed=3)
    counted.clear()
    found = con.sql(QUERY, seed=3)
    assert sum(counted) == 5
    assert same(found, alone)


@pytest.mark.parametrize(
    ("text", "seed"),
    [
        (QUERY, 4),
        (QUERY.replace("60", "80"), 3),
        (QUERY.replace("target => 0", "target => 1"), 3),
        (QUERY.replace("budget", "using unbiased() budget"), 3),
        (QUERY.replace("f(xs, target => 0)", "f(xs, target => 0, baseline => 1)"), 3),
    ],
)
def test_another_question_is_estimated_anew(counted: list[int], text: str, seed: int) -> None:
    con, fresh = session(), session()
    con.sql(QUERY, seed=3)
    counted.clear()
    found = con.sql(text, seed=seed)
    assert sum(counted) == 6
    assert same(found, fresh.sql(text, seed=seed))


def test_equal_numbers_of_other_coalitions_are_estimated_anew() -> None:
    """A game in which all players are alike has the same column for every seed, but not the same errors."""
    con, fresh = ialgebra.connect(progress=False), ialgebra.connect(progress=False)
    for each in (con, fresh):
        each.register_model(
            "f", lambda x: torch.tanh(x.sum(dim=1, keepdim=True) - 4) + (x.sum(dim=1, keepdim=True) > 6)
        )
        each.register_input("x", torch.ones(9))
    text = "select * from f(x, target => 0) budget 60"
    first, other = con.sql(text, seed=3), con.sql(text, seed=4)
    assert same(other, fresh.sql(text, seed=4))
    assert not same(first, other)


def test_a_model_that_has_changed_is_estimated_anew(counted: list[int]) -> None:
    model = Smooth().eval()
    con = session(model)
    con.sql(QUERY, seed=3)
    with torch.no_grad():
        model.weight *= 1.5
    counted.clear()
    found = con.sql(QUERY, seed=3)
    assert sum(counted) == 6
    assert same(found, session(model).sql(QUERY, seed=3))


@pytest.mark.parametrize("bound", ["budget 60", "budget 60 error within 1%"])
def test_without_reuse_nothing_is_read_back(counted: list[int], bound: str) -> None:
    con, text = session(), QUERY.replace("budget 60", bound)
    con.sql(text, seed=3)
    before = sum(counted)
    counted.clear()
    con.sql(text, seed=3, strategy=replace(ialgebra.Strategy.BEST, reuse=False))
    assert sum(counted) == before


def test_a_session_that_is_closed_keeps_no_estimates(counted: list[int]) -> None:
    con = session()
    con.sql(QUERY, seed=3)
    assert len(con._store.estimates) == 6
    con.close()
    assert len(con._store.estimates) == 0


def test_what_is_kept_stays_within_its_bytes(counted: list[int]) -> None:
    con = session(store_bytes=20_000)
    for seed in range(8):
        con.sql(QUERY, seed=seed)
        assert 0 < con._store.estimates.nbytes <= 20_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_and_its_parent_keep_apart() -> None:
    con = session()
    first = con.sql(QUERY, seed=3)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            again, other = con.sql(QUERY, seed=3), con.sql(QUERY, seed=5)
            code = 0 if same(again, first) and same(other, session().sql(QUERY, seed=5)) else 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert same(con.sql(QUERY, seed=3), first)


class Moody(GameInterpreter):
    """Answers otherwise each time."""

    def __init__(self) -> None:
        self.asked = 0

    def choose(self, players: int, budget: int | None, options: Options) -> tuple[str, int]:
        return choose(players, budget, "regression")

    def design(self, method: str, players: int, rows: int, seed: int) -> Design:
        return design(method, players, rows, seed)

    def estimate(self, design: Design, values: np.ndarray) -> Sequence[Estimate]:
        self.asked += 1
        return [replace(each, values=self.asked * each.values) for each in estimate(design, values)]


def test_an_interpreter_of_a_user_is_asked_each_time() -> None:
    con, moody = session(), Moody()
    con.register_interpreter("moody", moody)
    text = QUERY.replace("budget", "using moody() budget")
    first, again = con.sql(text, seed=3), con.sql(text, seed=3)
    assert moody.asked == 2
    np.testing.assert_allclose(again[0].values, 2 * first[0].values)
    np.testing.assert_allclose(again[0].stderr, first[0].stderr)


# Estimates whose influences are computed when they are asked for.


def some(players: int = 9, rows: int = 60, count: int = 3) -> tuple[Design, list[Estimate]]:
    made = design("regression", players, rows, 0)
    rng = np.random.default_rng(players)
    values = np.tanh(made.coalitions @ rng.normal(size=(players, count)))
    return made, estimate(made, values)


def test_errors_are_those_of_the_influences() -> None:
    for each in some()[1]:
        few = each.in_few
        assert few is not None
        assert each.known
        assert each.sampled
        np.testing.assert_allclose(each.stderr, np.hypot.reduce(each.influence, axis=0), rtol=1e-12)
        own = np.split(each.influence / few.sums.unit, 2)
        covariances = [one.T @ one for one in own]
        np.testing.assert_allclose(few.sums.traces, [np.trace(one) for one in covariances], rtol=1e-12)
        products = [[(one * other).sum() for other in covariances] for one in covariances]
        np.testing.assert_allclose(few.sums.products, products, rtol=1e-11)


def test_an_estimate_is_copied_replaced_and_pickled_as_any_value() -> None:
    _, (found, *_) = some()
    changed = replace(found, values=2 * found.values)
    assert changed.in_few is None
    for each in (copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found)), found.alone(), changed):
        assert (each.influence == found.influence).all()
        np.testing.assert_allclose(each.stderr, found.stderr, rtol=1e-12)
        assert each.rung == found.rung
    assert not np.shares_memory(found.alone().values, found.values)
    plain = Estimate(np.ones(3), np.full((1, 3), np.inf), "unknown")
    assert plain.sampled
    assert not plain.known
    assert (plain.alone().influence == plain.influence).all()


@pytest.mark.parametrize("share", [1.0, -1.0, 0.25])
@pytest.mark.parametrize("unit", [1.0, 1e-150, 1e150])
def test_the_bound_of_one_game_is_that_of_its_influences(share: float, unit: float) -> None:
    made = design("regression", 9, 60, 0)
    values = np.tanh(made.coalitions @ np.random.default_rng(5).normal(size=(9, 4))) * unit
    labels, game = np.arange(9), SimpleNamespace(hybrids=SimpleNamespace(key="x"))
    for each in estimate(made, values):
        few = each.in_few
        assert few is not None
        sums = few.sums._replace(unit=few.sums.unit * abs(share))
        draws = (
            Draw(game, made, share * each.influence),  # type: ignore[arg-type]
            Draw(game, made, partial(np.multiply, share, each.influence), abs(share) * few.stderr, sums),  # type: ignore
        )
        slow, fast = (EstimatedMap(labels, share * each.values, (one,), 0.0, 1.0, "regression") for one in draws)
        np.testing.assert_allclose(fast.stderr, slow.stderr, rtol=1e-12)
        for confidence in (0.5, 0.95, 0.9999):
            for doubt in (1.0, 2.0):
                bounds = [one.relative_bound(confidence, doubt=doubt) for one in (fast, slow)]
                assert bounds[0] == pytest.approx(bounds[1], rel=1e-11)
        assert [share for _, share in fast.shares()] == [1.0]
        assert "influence" not in fast.draws[0].__dict__, "none was needed"


def test_a_map_without_errors_is_exact_and_one_of_unknown_errors_is_not() -> None:
    labels, game = np.arange(3), SimpleNamespace(hybrids=SimpleNamespace(key="x"))
    exact = EstimatedMap(labels, np.ones(3), (), 0.0, 3.0, "exact")
    assert (exact.stderr == 0).all()
    assert exact.relative_bound(0.95) == 0.0
    made = design("regression", 3, 8, 0)
    unknown = EstimatedMap(labels, np.ones(3), (Draw(game, made, np.full((1, 3), np.inf)),), 0.0, 3.0, "")  # type: ignore
    assert np.isinf(unknown.stderr).all()
    assert unknown.relative_bound(0.95) == math.inf


def test_estimates_count_what_they_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Estimates] = []
    before = Estimates.__init__

    def noted(self: Estimates, *arguments: object) -> None:
        before(self, *arguments)  # type: ignore[arg-type]
        made.append(self)

    monkeypatch.setattr(Estimates, "__init__", noted)
    con = session()
    con.sql(QUERY, seed=3)
    con.sql(f" {QUERY.replace(' ', '  ', 1)}", seed=3)  # in other words: the whole answer is kept too
    assert [each.read_back for each in made] == [0, 6]
    assert "6 estimates read back" in con.sql(f"explain analyze {QUERY}", seed=3).text
