"""Families: games whose rows are cheaper to run than to keep are evaluated as arrays, and answer as all others do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import Strategy
from ialgebra.execution import families
from tests.oracle import shapley

GAMES, FEATURES = 7, 5


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """All jobs but the first are evaluated as a family."""
    monkeypatch.setattr(families, "_MANY_ROWS", 1)
    monkeypatch.setattr(families, "_PILOT_ROWS", 1)
    monkeypatch.setattr(families, "_WORTH_KEEPING", math.inf)


class Counting(nn.Module):
    """A net that counts its rows, and can be told to stop."""

    def __init__(self, features: int = FEATURES) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.inner = nn.Sequential(nn.Linear(features, 8), nn.Tanh(), nn.Linear(8, 3)).double()

    def forward(self, batch: Tensor) -> Tensor:
        found: Tensor = self.inner(batch)
        return found


def rows(count: int = GAMES, features: int = FEATURES, seed: int = 0) -> Tensor:
    return torch.randn(count, features, generator=torch.Generator().manual_seed(seed)).double()


def session(xs: Tensor | None = None, **options: object) -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", Counting().eval(), **options)  # type: ignore[arg-type]
    con.register_model("g", nn.Sequential(nn.Linear(FEATURES, 3)).double().eval())
    con.register_input("xs", rows() if xs is None else xs)
    con.register_input("bg", rows(9, seed=9))
    con.register_input("b", rows(1, seed=8)[0])
    return con


QUERIES = [
    "select * from f(xs)",
    "select * from f(xs, target => 1, baseline => b)",
    "select * from f(xs, baseline => bg)",
    "select * from f(xs, output => 'probability')",
    "select * from f(xs, target => 2, output => 'log_odds', baseline => bg)",
    "select * from f(xs) where feature in (0, 2, 3)",
    "select * from f(xs) where value > 0",
    "select 1 from f(xs, target => 0)",
    "select * from f(xs) join g(xs)",
    "select * from f(xs) left join f(b)",
    "select * from f(xs) budget 16",
    "select * from f(xs) using permutations() budget 20",
    "select * from f(xs) using banzhaf()",
    "select * from f(xs) error within 10%",
    "select * from f(xs) order by mass(feature < 2) desc limit 3",
    "select 1, * from f(xs)",
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_family_answers_as_its_games_do(query: str, request: pytest.FixtureRequest):
    alone = session()
    alone.fit_heads("f", rows(40, seed=5), layers=[1])
    expected = alone.sql(query)
    request.getfixturevalue("always")
    con = session()
    con.fit_heads("f", rows(40, seed=5), layers=[1])
    for answer in (con.sql(query), con.sql(query)):
        assert len(answer) == len(expected)
        for found, wanted in zip(answer, expected, strict=True):
            assert found.target == wanted.target
            assert found.values == pytest.approx(wanted.values, abs=1e-9)
            assert found.stderr == pytest.approx(wanted.stderr, abs=1e-6)
            assert (found.base_value, found.full_value) == pytest.approx((wanted.base_value, wanted.full_value))


@pytest.mark.usefixtures("always")
def test_a_family_is_right_by_enumeration():
    con, model, xs = session(), Counting(), rows()
    answer = con.sql("select * from f(xs)")
    for x, found in zip(xs, answer, strict=True):
        with torch.no_grad():
            target = int(model(x[None]).argmax())

            def v(coalition: frozenset[int], x: Tensor = x, target: int = target) -> float:
                present = torch.tensor([k in coalition for k in range(FEATURES)])
                return float(model(torch.where(present, x, 0.0)[None])[0, target])

            assert found.target == target
            assert found.values == pytest.approx(shapley(v, v, FEATURES), abs=1e-9)


@pytest.mark.usefixtures("always")
def test_a_question_that_is_asked_again_runs_no_row():
    con = session()
    first = con.sql("select * from f(xs)")
    again = con.sql("select * from f(xs)")
    assert first.stats.rows >= GAMES * 2**FEATURES - GAMES
    assert (again.stats.rows, again.stats.reused_rows) == (0, pytest.approx(first.stats.rows, abs=2 * GAMES))
    assert all(np.array_equal(one.values, other.values) for one, other in zip(first, again, strict=True))


def test_what_is_kept_does_not_depend_on_what_a_later_query_would_keep(monkeypatch: pytest.MonkeyPatch, always: None):
    con = session()
    con.sql("select * from f(xs)")
    monkeypatch.setattr(families, "_WORTH_KEEPING", 0.0)
    assert con.sql("select * from f(xs)").stats.rows == 0
    other = session()
    other.sql("select * from f(xs)")
    monkeypatch.setattr(families, "_WORTH_KEEPING", math.inf)
    assert other.sql("select * from f(xs)").stats.rows == 0


@pytest.mark.usefixtures("always")
def test_a_changed_model_is_asked_anew():
    model = Counting().eval()
    con = ialgebra.connect(progress=False)
    con.register_model("f", model)
    con.register_input("xs", rows())
    before = con.sql("select * from f(xs, target => 0)")
    with torch.no_grad():
        model.inner[2].weight.mul_(2)
    after = con.sql("select * from f(xs, target => 0)")
    for one, other in zip(before, after, strict=True):
        assert other.values == pytest.approx(2 * one.values, abs=1e-9)


class Stops(nn.Module):
    """Is interrupted at its nth batch, once; keeps every row that it was given."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.inner = Counting()
        self.log = Log(at)

    def forward(self, batch: Tensor) -> Tensor:
        self.log.note(batch)
        out: Tensor = self.inner(batch)
        return out


class Log:
    def __init__(self, at: int) -> None:
        self.left = at
        self.rows: list[bytes] = []

    def __deepcopy__(self, memo: object) -> Log:
        return self

    def note(self, batch: Tensor) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        self.rows += [row.numpy().tobytes() for row in batch]


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("at", [12, 20, 31])
def test_after_an_interrupt_no_row_is_paid_twice(at: int):
    def asked(model: Stops) -> ialgebra.Session:
        con = ialgebra.connect(progress=False)
        con.register_model("f", model, batch_size=8, version="1")
        con.register_input("xs", rows())
        return con

    def twice(model: Stops) -> int:
        paid = [row for row in model.log.rows if row != np.zeros(FEATURES).tobytes()]
        return len(paid) - len(set(paid))

    model, whole = Stops(at), Stops(1000)
    asked(whole).sql("select * from f(xs, target => 0)")
    con = asked(model)
    with pytest.raises(KeyboardInterrupt):
        con.sql("select * from f(xs, target => 0)")
    answer = con.sql("select * from f(xs, target => 0)")
    expected = session().sql("select * from f(xs, target => 0)")
    for one, other in zip(answer, expected, strict=True):
        assert one.values == pytest.approx(other.values, abs=1e-9)
    assert twice(model) == twice(whole)  # those that tell whether the model is a function of its row


@pytest.mark.usefixtures("always")
def test_batches_get_smaller_where_memory_does_not_suffice():
    class Small(Counting):
        def forward(self, batch: Tensor) -> Tensor:
            if len(batch) > 5:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(batch)

    con = ialgebra.connect(progress=False)
    con.register_model("f", Small().eval())
    con.register_input("xs", rows())
    expected = session().sql("select * from f(xs)")
    for one, other in zip(con.sql("select * from f(xs)"), expected, strict=True):
        assert one.values == pytest.approx(other.values, abs=1e-9)


@pytest.mark.usefixtures("always")
def test_an_error_names_the_game_and_the_row():
    def model(batch: Tensor) -> Tensor:
        return torch.where((batch[:, :1] == rows()[3, 0]) & (batch[:, 1:2] == rows()[3, 1]), torch.nan, batch[:, :2])

    con = ialgebra.connect(progress=False)
    con.register_model("f", model, outputs="logits")
    con.register_input("xs", rows())
    with pytest.raises(ialgebra.ModelError, match=r"row \d+ of the plan's game \d"):
        con.sql("select * from f(xs, target => 0)")


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("few", [1, 3, 5, 1 << 16])
def test_the_row_of_an_error_is_that_of_the_batch_whatever_goes_through_at_a_time(
    few: int, monkeypatch: pytest.MonkeyPatch
):
    xs = rows()

    def model(batch: Tensor) -> Tensor:  # fails for a whole input
        return torch.where((batch == xs[3]).all(dim=1, keepdim=True), torch.nan, batch[:, :2])

    monkeypatch.setattr(families, "_FEW", few)
    con = ialgebra.connect(progress=False)
    con.register_model("f", model, outputs="logits")
    con.register_input("xs", xs)
    with pytest.raises(ialgebra.ModelError) as caught:
        con.sql("select * from f(xs, target => 0)")
    assert "row 1 of the plan's game 4" in str(caught.value)


@pytest.mark.usefixtures("always")
def test_players_that_are_null_in_some_games_and_images_of_other_segments():
    xs = rows()
    xs[1, 2] = xs[4, 0] = 0.0
    answer = session(xs).sql("select * from f(xs, target => 1)")
    assert answer[1].values[2] == answer[4].values[0] == 0
    for x, found in zip(xs, answer, strict=True):
        with torch.no_grad():
            gain = Counting()(torch.stack([x, torch.zeros_like(x)]))[:, 1]
        assert found.values.sum() == pytest.approx(float(gain[0] - gain[1]), abs=1e-9)


@pytest.mark.usefixtures("always")
def test_without_reuse_rows_are_evaluated_one_by_one():
    con = session()
    con.sql("select * from f(xs, target => 0)", strategy=replace(Strategy.BEST, reuse=False))
    assert not con._store.games


def test_small_queries_keep_their_rows():
    con = session()
    con.sql("select * from f(xs, target => 0)")
    assert not con._store.games


def test_games_are_forgotten_within_a_share_of_the_store(always: None):
    con = ialgebra.connect(progress=False, store_bytes=20_000)
    con.register_model("f", Counting().eval())
    con.register_input("xs", rows(60))
    con.sql("select * from f(xs, target => 0)")
    held = sum(values.nbytes for known in con._store.games.values() for values in known.values())
    assert 0 < held <= 5_000
    expected: Callable[[int], ialgebra.Attribution] = (
        session(rows(60)).sql("select * from f(xs, target => 0)").__getitem__
    )
    for number, found in enumerate(con.sql("select * from f(xs, target => 0)")):
        assert found.values == pytest.approx(expected(number).values, abs=1e-9)


def test_the_decision_is_written_down_and_can_be_taken_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(families, "_MANY_ROWS", 1)
    monkeypatch.setattr(families, "_PILOT_ROWS", 1)
    for keep, limit in ((True, 0.0), (False, math.inf)):
        monkeypatch.setattr(families, "_WORTH_KEEPING", limit)
        con = session()
        first = con.sql("select * from f(xs, target => 0)")
        assert first.provenance["decisions"]["keep_rows"] is keep  # type: ignore[index]
        assert bool(con._store.games) is not keep
        other = session()
        monkeypatch.setattr(families, "_WORTH_KEEPING", math.inf - limit if keep else 0.0)
        again = other.sql("select * from f(xs, target => 0)", strategy=replace(Strategy.BEST, keep_rows=keep))
        assert bool(other._store.games) is not keep
        assert all(np.array_equal(one.values, two.values) for one, two in zip(first, again, strict=True))
