"""What the optimizer decides: that it takes the cheapest way, says what it turned down, and can be overruled."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import Strategy
from ialgebra.execution import pace
from tests import worlds
from tests.clock import FakeClock

ANTI = "select 2, * from f(x) left join f(x') budget 100"


def case() -> ialgebra.Session:
    return worlds.case("image", seed=1).con


def decisions(details: dict[str, object]) -> dict[str, dict[str, object]]:
    return {each["id"]: each for each in details["decisions"]}


@pytest.mark.parametrize("field", ["dual", "share", "pack", "reuse", "retire", "allocate", "exact", "common"])
def test_a_forced_decision_is_obeyed_and_changes_no_answer(field):
    best = case().sql("select 2, * from f(x) left join f(x') using exact()")
    for value in (True, False):
        forced = case().sql(
            "select 2, * from f(x) left join f(x') using exact()", strategy=replace(Strategy.BEST, **{field: value})
        )
        for one, other in zip(best, forced, strict=True):
            assert np.abs(one.values - other.values).max() <= 1e-9 * np.abs(one.values).max()


@pytest.mark.parametrize(("field", "id"), [("dual", "D5"), ("share", "D3")])
def test_what_explain_says_a_rejected_plan_costs_is_what_it_costs(field, id):
    said = decisions(case().sql(f"explain {ANTI}").details)[id]
    ((_, rows, _),) = said["rejected"]
    forced = case().sql(ANTI, strategy=replace(Strategy.BEST, reuse=False, **{field: False}))
    assert forced.stats.rows == rows > case().sql(ANTI).stats.rows
    assert id not in decisions(forced.details)  # there was nothing to decide


def test_what_explain_says_was_saved_adds_up_from_the_plan_as_written_to_the_plan():
    details = case().sql(f"explain {ANTI}").details
    rows = [count for _, count, _ in details["shared"]]
    assert rows[0] == details["rows_as_written"] == case().sql(ANTI, strategy="as_written").stats.rows
    assert rows == sorted(rows, reverse=True)
    assert rows[-1] == details["rows"] == case().sql(ANTI).stats.rows


def test_the_rows_of_a_query_do_not_hang_on_the_clock():
    fresh, used = case(), case()
    for _ in range(3):
        used.sql("select 1, 2, * from f(x') left join f(x) budget 60")
    plans = [con.sql(f"explain {ANTI}").details for con in (fresh, used)]
    assert plans[0]["shared"][-1][1] == plans[1]["shared"][-1][1]
    assert [each["rows"] for each in plans[0]["batches"]] == [each["rows"] for each in plans[1]["batches"]]


# Batch sizes and modes (D1, D10).


def convolutional() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)).eval()


def measured(curves: dict[str, dict[int, float]], **options: object) -> ialgebra.Session:
    """A session over a net whose passes were measured to take so many seconds by mode and batch size."""
    con = ialgebra.connect(progress=False)
    con.register_model("f", convolutional(), **options)
    con.register_input("x", torch.rand(3, 32, 32))
    con.explain("select * from f(x)")
    profile = con._catalog.model("f").profile
    profile.forget()
    profile.curves = {mode: {size: [took] * 3 for size, took in curve.items()} for mode, curve in curves.items()}
    return con


QUERY = "select * from f(x) budget 1000"


def run_of(con: ialgebra.Session, **forced: object) -> tuple[int, str]:
    (line,) = con.sql(f"explain {QUERY}", strategy=replace(Strategy.BEST, **forced)).details["batches"]
    return line["batch_size"], line["mode"]


def test_the_batch_size_and_mode_that_were_measured_cheapest_are_taken():
    slow = {16: 0.2, 128: 1.5, 512: 9.0}
    assert run_of(measured({"eager": slow})) == (128, "eager")
    assert run_of(measured({"eager": slow, "channels-last": {64: 0.3}})) == (64, "channels-last")
    assert run_of(measured({"eager": slow, "channels-last": {64: 3.0}})) == (128, "eager")


def test_differences_that_may_be_noise_leave_the_batch_size_as_it_is():
    assert run_of(measured({"eager": {16: 0.31, 512: 10.0}})) == (512, "eager")
    assert run_of(measured({"eager": {16: 0.1600, 128: 1.27, 512: 10.0}})) == (128, "eager")


def test_what_was_measured_is_of_no_use_to_a_strategy_that_does_not_look_at_it():
    con = measured({"eager": {16: 0.1, 512: 9.0}, "channels-last": {16: 0.01}})
    for preset in (Strategy.FUSED, Strategy.LAWS, Strategy.AS_WRITTEN):
        (line,) = con.sql(f"explain {QUERY}", strategy=preset).details["batches"]
        assert (line["batch_size"], line["mode"]) == (512, "eager")


def test_a_batch_size_or_mode_that_is_asked_for_is_taken_whatever_was_measured():
    curves = {"eager": {16: 0.1, 512: 9.0}, "channels-last": {16: 0.01}}
    assert run_of(measured(curves), batch_size=512) == (512, "channels-last")
    assert run_of(measured(curves), mode="eager") == (16, "eager")
    assert run_of(measured(curves, batch_size=40)) == (40, "channels-last")
    assert run_of(measured(curves), batch_size=7, mode="eager") == (7, "eager")


def test_modes_that_were_turned_down_are_shown_with_their_seconds():
    con = measured({"eager": {512: 5.12}, "channels-last": {512: 2.56}})
    said = decisions(con.sql(f"explain {QUERY}").details)["D10"]
    assert said["chosen"] == "channels-last"
    ((what, rows, seconds),) = said["rejected"]
    assert (what, rows) == ("eager", 998)
    assert seconds == pytest.approx(9.98, rel=0.02)  # and what composing takes
    assert "not eager (~998 rows, ~10.0 s)" in con.explain(QUERY)


def test_every_mode_gives_the_answer_of_an_eager_pass():
    (eager,) = measured({}).sql(QUERY, strategy=replace(Strategy.BEST, mode="eager"))
    (other,) = measured({}).sql(QUERY, strategy=replace(Strategy.BEST, mode="channels-last"))
    assert np.abs(eager.values - other.values).max() <= 1e-5 * np.abs(eager.values).max()
    (narrow,) = measured({}).sql(QUERY, strategy=replace(Strategy.BEST, mode="autocast"))
    assert np.abs(eager.values - narrow.values).max() <= 0.1 * np.abs(eager.values).max()


def test_rows_in_bfloat16_answer_no_query_that_did_not_ask_for_them():
    con = measured({})
    con.sql(QUERY, strategy=replace(Strategy.BEST, mode="autocast"))
    assert con.sql(QUERY).stats.rows >= 998
    assert con.sql(QUERY).stats.rows == 0


class Paced(nn.Module):
    """A net whose passes take longest in small and in large batches; 64 rows are best."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.inner, self.clock = convolutional(), clock
        self.sizes: Counter[int] = Counter()

    def forward(self, batch: Tensor) -> Tensor:
        rows = len(batch)
        self.sizes[rows] += 1
        self.clock.sleep(1e-3 + 2e-5 * rows * (8 if rows > 64 else 1))
        return self.inner(batch)


def paced(monkeypatch: pytest.MonkeyPatch, long: float) -> tuple[Paced, ialgebra.Session]:
    monkeypatch.setattr(pace, "_WORTH_TRIALS", long)
    net = Paced(FakeClock(monkeypatch))
    con = ialgebra.connect(progress=False)
    con.register_model("f", net)
    con.register_input("x", torch.rand(3, 96, 96))
    return net, con


def test_a_long_query_tries_batch_sizes_on_its_own_rows_and_stays_with_the_best(monkeypatch):
    net, con = paced(monkeypatch, 0.05)
    answer = con.sql("select * from f(x) budget 4000")
    assert answer.stats.rows == 4000  # not one for the trials
    assert {128, 64} <= set(net.sizes)
    assert net.sizes[64] > 20
    net.sizes.clear()
    con.sql("select * from f(x) budget 4000", seed=1)
    assert max(net.sizes) == 64


def test_a_batch_size_that_is_asked_for_is_kept_in_a_long_query(monkeypatch):
    net, con = paced(monkeypatch, 0.05)
    con.sql("select * from f(x) budget 2000", strategy=replace(Strategy.BEST, batch_size=100))
    assert max(net.sizes) == 100
    assert {128, 64, 50, 200}.isdisjoint(net.sizes)


def test_a_short_query_tries_nothing(monkeypatch):
    net, con = paced(monkeypatch, 60.0)
    con.sql("select * from f(x) budget 1000")
    assert max(net.sizes) == 128
    assert 64 not in net.sizes


def test_what_was_learnt_is_there_for_the_next_process(monkeypatch):
    _, con = paced(monkeypatch, 0.05)
    con.sql("select * from f(x) budget 4000")
    net, other = paced(monkeypatch, 60.0)
    other.sql("select * from f(x) budget 1000")
    assert max(net.sizes) == 64


def test_explain_analyze_sets_the_estimate_beside_what_was_measured():
    con = measured({"eager": {512: 0.05}})
    text = con.sql(f"explain analyze {QUERY}").text
    assert "measured" in text
    assert "× the time estimated" in text
    assert "efficiency" in text
    again = con.sql(f"explain analyze {QUERY}")
    assert "found in the store: same game" in again.text
    assert dict(again.details["measured"]["saved"])["same game"] == 998
    assert con.sql("explain analyze select * from f(x) budget 4").text.count("unknown") == 1


@pytest.mark.parametrize("wrong", [{"mode": "eagre"}, {"batch_size": 0}, {"batch_size": 2.5}, {"rules": None}])
def test_a_strategy_that_cannot_be_is_refused(wrong):
    (name,) = wrong
    with pytest.raises(ialgebra.BindError, match=name):
        replace(Strategy.BEST, **wrong)
