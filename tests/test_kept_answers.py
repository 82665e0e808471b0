"""An unchanged question is answered again from the kept answer, bit for bit; whatever could change it has it worked out
anew. Right values are those of a session that keeps nothing."""

import dataclasses
import math
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import Relation, Session, Strategy
from ialgebra.answering import loop
from ialgebra.answering.question import Request

QUERIES = (
    "select * from f(x)",
    "select * from f(x, target => 1) budget 60",
    "select * from f(x, target => 1) left join f(y, target => 2) where w",
    "select * from f(xs) using exact()",
    "select * from f(x) error within 20% at confidence 90%",
    "select * from f(x) budget 20 error within 0.1%",  # which is not reached
    "select * from f(xs, target => 0) order by mass(w) desc limit 2",
    "select 1, * from f(v, output => probability)",
)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 16), nn.Linear(16, 3)
        self.scale = 1.0

    def forward(self, batch: Tensor) -> Tensor:
        hidden = torch.tanh(self.first(batch))
        return self.last(hidden) * self.scale


def session(model: Callable[[Tensor], Tensor] | None = None) -> Session:
    torch.manual_seed(0)
    con = ialgebra.connect(progress=False)
    con.register_model("f", Net().eval() if model is None else model)
    con.register_input("x", torch.linspace(-1, 1, 8))
    con.register_input("y", torch.linspace(1, -2, 8))
    con.register_input("v", torch.linspace(0, 3, 8))
    con.register_input("xs", torch.linspace(-1, 1, 40).view(5, 8) ** 2)
    con.register_window("w", torch.arange(8) < 4)
    if model is None:
        con.fit_heads("f", torch.linspace(-1, 1, 160).view(20, 8))
    return con


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queries that were worked out."""
    found: list[str] = []
    refined = loop.refined

    def noted(request: Request, *others: object, **options: object) -> object:
        found.append(request.own_text)
        return refined(request, *others, **options)

    monkeypatch.setattr(loop, "refined", noted)
    return found


def bits(answer: Relation) -> list[object]:
    maps = [(a.label, a.values.tobytes(), a.stderr.tobytes(), a.map.tobytes(), a.target, a.scores) for a in answer]
    return [*maps, answer.stats.bound_met, answer.query]


@pytest.mark.parametrize("query", QUERIES)
def test_the_answer_to_an_unchanged_question_is_the_same_and_runs_nothing(query: str, asked: list[str]) -> None:
    con = session()
    first = con.sql(query)
    again, worked_out = con.sql(query), len(asked)
    assert worked_out == 1
    assert bits(again) == bits(first)
    assert again.stats.rows == again.stats.batches == again.stats.examined_rows == 0
    assert again.stats.reused_rows == first.stats.rows + first.stats.reused_rows
    assert first.stats.forecast_rows is None or again.stats.forecast_rows == 0
    told, then = again.provenance, first.provenance
    assert {**told, "batches": 0} == {**then, "batches": 0}
    assert told["batches"] == []
    assert "the same question" in again.plan
    assert dataclasses.replace(con.history[-1], number=0).maps == con.history[-2].maps
    third = con.sql(query)
    assert bits(third) == bits(first)
    assert third.stats.reused_rows == again.stats.reused_rows


@pytest.mark.parametrize("query", QUERIES)
def test_what_it_says_it_reused_is_what_a_session_without_kept_answers_finds(query: str) -> None:
    con, other = session(), session()
    again = [con.sql(query) for _ in range(2)][-1]
    for _ in range(2):
        other._store.answers.clear()
        worked_out = other.sql(query)
    stats = [dataclasses.replace(each.stats, seconds=0.0) for each in (again, worked_out)]
    assert stats[0] == stats[1]
    assert bits(again) == bits(worked_out)


def _weights(con: Session, net: Net) -> None:
    with torch.no_grad():
        net.last.weight[0, 0] += 0.5


def _heads(con: Session, net: Net) -> None:
    con.fit_heads("f", torch.linspace(-3, 1, 160).view(20, 8) ** 3)


CHANGES: dict[str, Callable[[Session, Net], object]] = {
    "a weight in place": _weights,
    "an attribute": lambda con, net: setattr(net, "scale", 2.0),
    "a hook": lambda con, net: net.last.register_forward_hook(lambda _, __, out: out + torch.tensor([1.0, 0, 2.0])),
    "the heads": _heads,
    "a model of that name": lambda con, net: con.register_model("f", Net().eval()),
    "a model under another reading": lambda con, net: con.register_model("f", net, outputs="values"),
    "an input of that name": lambda con, net: con.register_input("x", torch.linspace(0, 2, 8)),
    "the baseline of an input": lambda con, net: con.register_input("x", torch.linspace(-1, 1, 8), baseline="0.5"),
    "another input": lambda con, net: con.register_input("z", torch.linspace(0, 2, 8)),
    "the window": lambda con, net: con.register_window("w", torch.arange(8) > 5),
    "the setting of the budget": lambda con, net: con.sql("set budget = 50"),
    "the setting of the output": lambda con, net: con.sql("set output = probability"),
    "the setting of the baseline": lambda con, net: con.sql("set baseline = 0.5"),
    "the strategy": lambda con, net: con.sql("set strategy = as_written"),
    "the seed": lambda con, net: con.sql("set seed = 7"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_after_a_change_the_question_is_worked_out_anew(change: str, asked: list[str]) -> None:
    net = Net().eval()
    con = session(net)
    con.fit_heads("f", torch.linspace(-1, 1, 160).view(20, 8))
    query = "select 1, * from f(x, target => 1) where w budget 14"
    con.sql(query)
    con.sql(query)
    assert len(asked) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        CHANGES[change](con, net)
        if change in ("a model of that name", "a model under another reading"):
            con.fit_heads("f", torch.linspace(-1, 1, 160).view(20, 8))
    before = len(asked)
    con.sql(query)
    assert len(asked) == before + 1


def test_a_view_and_a_window_that_get_a_meaning_later_count() -> None:
    con = session()
    con.sql("create view seen as select * from f(x)")
    first = con.sql("select * from seen")
    con.sql("create or replace view seen as select * from f(y)")
    assert bits(con.sql("select * from seen")) != bits(first)


def test_threads_are_part_of_the_question(asked: list[str]) -> None:
    con, threads = session(), torch.get_num_threads()
    con.sql(QUERIES[0])
    try:
        torch.set_num_threads(threads + 1)
        con.sql(QUERIES[0])
    finally:
        torch.set_num_threads(threads)
    assert len(asked) == 2


class Drawn(nn.Module):
    """A model that is no function of its rows."""

    def forward(self, batch: Tensor) -> Tensor:
        return batch[:, :3] + torch.randn(len(batch), 3)


class Filed(nn.Module):
    """A model of which a part cannot be read: it answers with what a file holds."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def forward(self, batch: Tensor) -> Tensor:
        return batch[:, :3] * float(self.path.read_text())


@pytest.mark.filterwarnings("ignore::ialgebra.errors.IalgebraWarning")
@pytest.mark.parametrize("kind", ["drawn", "filed"])
def test_models_whose_answers_may_change_unseen_are_asked_again(kind: str, asked: list[str], tmp_path: Path) -> None:
    path = tmp_path / "scale"
    path.write_text("1")
    con = session(Drawn().eval() if kind == "drawn" else Filed(path).eval())
    first = con.sql("select * from f(x, target => 1)")
    path.write_text("2")
    second = con.sql("select * from f(x, target => 1)")
    assert len(asked) == 2
    assert kind == "drawn" or bits(second) != bits(first)


def test_what_a_clock_may_stop_and_what_wants_no_reuse_is_worked_out_anew(asked: list[str]) -> None:
    con = session()
    for options in ({}, {}):
        con.sql("select * from f(x) within 5 seconds", **options)
        con.sql(QUERIES[0], strategy=dataclasses.replace(Strategy.BEST, reuse=False))
        con.sql("explain analyze select * from f(x)")
    assert len(asked) == 6


def test_a_warning_comes_again() -> None:
    con = session()
    for _ in range(2):
        with pytest.warns(ialgebra.IalgebraWarning, match="selects no feature") as found:
            con.sql("select * from f(x) where w and not w")
        assert [Path(each.filename).name for each in found] == ["test_kept_answers.py"], "the line that asked"
        with pytest.warns(ialgebra.IalgebraWarning, match="one class") as found:
            con.sql("select * from f(x) left join f(y)")
        assert [Path(each.filename).name for each in found] == ["test_kept_answers.py"]


def test_who_changes_an_answer_changes_no_other() -> None:
    con = session()
    first = con.sql(QUERIES[2])
    before = bits(first)
    with pytest.raises(ValueError, match="read-only"):
        first.columns.values[:] = math.pi
    first[0].values[:] = math.pi
    first.provenance["models"] = {}
    first.details["laws"] = []
    again = con.sql(QUERIES[2])
    again.provenance["models"] = {}
    assert bits(again) == before
    assert con.sql(QUERIES[2]).provenance["models"] != {}
    assert con.sql(QUERIES[2]).details["laws"] != []


def test_kept_answers_stay_within_their_bytes_and_hold_no_model() -> None:
    con = session()
    con._store.answers.limit = 3000
    for budget in range(10, 40):
        con.sql(f"select * from f(x) budget {budget}")
    assert 0 < con._store.answers.nbytes <= 3000
    con.close()
    assert len(con._store.answers) == 0
    np.testing.assert_equal(con._store.answers.nbytes, 0)
