"""Strategies are values: what the presets decide, what may be forced, what a cost adds up to."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from types import SimpleNamespace
from typing import Any

import pytest

from ialgebra.errors import BindError
from ialgebra.planner import laws
from ialgebra.planner.decisions import Alternative, Decision
from ialgebra.planner.games import Predicted
from ialgebra.planner.physical import Cost, Job
from ialgebra.planner.sampling import DesignSpec
from ialgebra.planner.strategy import PRESETS, Strategy


def test_the_best_strategy_leaves_every_decision_open() -> None:
    best = Strategy.BEST
    decisions = ("exact", "share", "retire", "dual", "pack", "reuse", "allocate", "common", "batch_size", "mode")
    assert [getattr(best, field) for field in decisions] == [None] * len(decisions)
    assert best.rewrite
    assert best.measured
    assert best.rules is laws.LAWS
    assert best == Strategy("BEST")


def test_the_other_presets_take_every_decision_and_share_more_one_after_another() -> None:
    shared = {
        name: (each.rewrite, each.dual, each.share, each.pack) for name, each in PRESETS.items() if name != "BEST"
    }
    assert shared == {
        "AS_WRITTEN": (False, False, False, False),
        "LAWS": (True, True, False, False),
        "FUSED": (True, True, True, True),
    }
    for name, each in PRESETS.items():
        assert each.name == name
        if name != "BEST":
            assert (each.exact, each.retire, each.reuse, each.allocate) == (False, False, False, False)
            assert (each.common, each.mode, each.measured, each.batch_size) == (True, "eager", False, None)
    assert PRESETS["BEST"] is Strategy.BEST
    assert list(PRESETS) == ["AS_WRITTEN", "LAWS", "FUSED", "BEST"]


def test_a_strategy_cannot_change_but_others_are_made_of_it() -> None:
    with pytest.raises(FrozenInstanceError):
        Strategy.BEST.dual = False  # type: ignore[misc]
    assert replace(Strategy.BEST, dual=False).dual is False
    assert replace(Strategy.BEST, batch_size=1).batch_size == 1
    assert replace(Strategy.BEST, rules=()).rules == ()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"mode": "eagre"},
            "argument 'mode' of Strategy must be 'eager' or 'channels-last' or 'folded' or 'onednn' or 'compiled' or "
            "'autocast' or None",
        ),
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"batch_size": True}, "argument 'batch_size' of Strategy must be a whole number or None, not True"),
        ({"batch_size": 2.5}, "argument 'batch_size' of Strategy must be a whole number or None, not 2.5"),
        ({"rules": None}, "argument 'rules' of Strategy must be a list, not None"),
        ({"rules": [laws.commute]}, "rules are a tuple of laws, not a list"),
        ({"rules": (laws.commute, 3)}, "rules are a tuple of laws, not a tuple"),
    ],
)
def test_what_cannot_be_a_strategy_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(BindError) as caught:
        replace(Strategy.BEST, **wrong)
    assert caught.value.message.startswith(said)


def test_costs_add_up_and_the_largest_batch_is_the_peak() -> None:
    assert Cost(3, 2.5, 1.0, 70) + Cost(4, 1.0, 0.5, 60) == Cost(7, 3.5, 1.5, 70)
    assert Cost(3, 2.5, 1.0, 60) + Cost(4, 1.0, 0.5, 70) == Cost(7, 3.5, 1.5, 70)
    assert (Cost(3, 2.5, None, 70) + Cost(4, 1.0, 0.5, 60)).seconds is None
    assert (Cost(3, 2.5, 1.0, 70) + Cost(4, 1.0, None, 60)).seconds is None
    assert (Cost(3, 2.5, 0.0, 70) + Cost(4, 1.0, 0.0, 60)).seconds == 0


def test_a_cost_is_less_where_it_is_known_to_be_by_more_than_noise() -> None:
    def cost(seconds: float | None) -> Cost:
        return Cost(1, 1.0, seconds, 1)

    assert cost(0.94).less(cost(1.0))
    assert not cost(0.95).less(cost(1.0))
    assert not cost(1.0).less(cost(1.0))
    assert not cost(None).less(cost(1.0))
    assert not cost(0.5).less(cost(None))
    assert not cost(None).less(cost(None))


def test_a_job_knows_what_its_columns_read() -> None:
    source: Any = "x"
    columns = [("f", 2, 1), ("g", None, Predicted("g", source)), ("f", None, 0), ("f", 2, Predicted("g", source))]
    games: Any = tuple(SimpleNamespace(model=model, layer=layer, target=target) for model, layer, target in columns)
    hybrids: Any = None
    job = Job(hybrids, DesignSpec("exact", 2, 4, 0), games)
    assert job.models == ("f", "g")
    assert job.layers("f") == (2, None)
    assert job.layers("g") == (None,)
    assert job.layers("h") == ()
    assert job.predictions == (Predicted("g", source),)


def test_what_was_not_told_of_a_decision_is_unknown() -> None:
    assert Alternative("exact") == ("exact", None, None)
    assert Decision("D1", "b0", "8").costs == ()
