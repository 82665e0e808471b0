"""The search takes the cheapest of the plans that it may make, and says what the others would have cost."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from ialgebra.planner.decisions import Alternative, Decision
from ialgebra.planner.physical import Cost, Pass, Run
from ialgebra.planner.sampling import DesignSpec
from ialgebra.planner.search import Sketch, decided_alone, search
from ialgebra.planner.strategy import Strategy

SHARED = ("dual", "share", "pack")
EVERY = frozenset(SHARED)


class Sketches:
    """Plans whose work is a number for each decision that is taken; remembers which were asked for."""

    def __init__(self, **saves: float) -> None:
        self.saves = saves
        self.seen: list[tuple[bool, ...]] = []

    def __call__(self, strategy: Strategy) -> Sketch:
        taken = tuple(bool(getattr(strategy, field)) for field in SHARED)
        assert all(isinstance(getattr(strategy, field), bool) for field in SHARED)
        self.seen.append(taken)
        work = 100.0 - sum(self.saves.get(field, 0) for field, yes in zip(SHARED, taken, strict=True) if yes)
        return Sketch(Cost(int(work), work, work / 10, 0), 1)


def test_every_open_decision_that_matters_is_tried_both_ways() -> None:
    sketches = Sketches(dual=1.0, share=1.0, pack=1.0)
    search(Strategy.BEST, EVERY, sketches)
    assert len(sketches.seen) == len(set(sketches.seen)) == 8
    sketches = Sketches()
    search(Strategy.BEST, {"share"}, sketches)
    assert sorted(sketches.seen) == [(True, False, True), (True, True, True)]
    sketches = Sketches()
    search(replace(Strategy.BEST, share=False, dual=True), EVERY, sketches)
    assert sorted(sketches.seen) == [(True, False, False), (True, False, True)]


@pytest.mark.parametrize("better", [True, False])
@pytest.mark.parametrize("field", SHARED)
def test_the_least_work_is_taken_and_the_other_way_is_shown_with_its_cost(field: str, better: bool) -> None:
    chosen, best, decisions = search(Strategy.BEST, EVERY, Sketches(**{field: 40.0 if better else -40.0}))
    assert getattr(chosen, field) is better
    assert best.cost.work == (60 if better else 100)
    words = {
        "dual": ("D5", "anti-joins", "one game for both directions", "a game for each direction"),
        "share": ("D3", "hybrids", "one row for all that read it", "rows for each map"),
        "pack": ("D6", "batches", "rows of several games in one", "each game its own"),
    }
    id, about, yes, no = words[field]
    taken, other = (yes, no) if better else (no, yes)
    rows = 100 if better else 140
    assert decisions == (Decision(id, about, taken, (Alternative(other, rows, rows / 10),)),)


def test_of_equal_plans_the_one_that_shares_most_is_taken_and_nothing_was_turned_down() -> None:
    chosen, _, decisions = search(Strategy.BEST, EVERY, Sketches())
    assert (chosen.dual, chosen.share, chosen.pack) == (True, True, True)
    assert decisions == ()


def test_plans_of_equal_cost_and_other_passes_are_a_decision() -> None:
    def sketch(strategy: Strategy) -> Sketch:
        return Sketch(Cost(10, 10.0, None, 0), 1 if strategy.pack else 2)

    _, _, decisions = search(Strategy.BEST, {"pack"}, sketch)
    assert [each.id for each in decisions] == ["D6"]


def test_what_is_decided_while_rows_come_in_stays_open_unless_it_was_forced() -> None:
    taken, _, _ = search(Strategy.BEST, EVERY, Sketches())
    assert (taken.exact, taken.retire, taken.reuse, taken.allocate) == (True, True, True, True)
    for field in ("exact", "retire", "reuse", "allocate"):
        taken, _, _ = search(replace(Strategy.BEST, **{field: False}), EVERY, Sketches())
        assert [name for name in ("exact", "retire", "reuse", "allocate") if not getattr(taken, name)] == [field]
    assert taken.common is None


def cost(seconds: float | None, rows: int = 100) -> Cost:
    return Cost(rows, float(rows), seconds, 0)


def test_the_ways_to_run_a_pass_that_were_turned_down_are_told_cheapest_first() -> None:
    run = Run(8, "eager", True)
    rejected = (
        (Run(16, "eager"), cost(5.0)),
        (Run(16, "channels-last"), cost(3.0)),
        (Run(32, "channels-last"), cost(4.0)),
        (Run(64, "channels-last"), cost(9.0)),
        (Run(128, "channels-last"), cost(7.0)),
        (Run(8, "compiled"), cost(6.0)),
    )
    first = Pass(("f",), (None,), (0,), 100, run, cost(2.0), rejected)
    empty = Pass(("f",), (None,), (0,), 0, run, cost(0.0), rejected)
    alone = Pass(("f",), (None,), (0,), 100, run, cost(2.0), ((Run(8, "eager"), cost(2.5)),))
    last = Pass(("f",), (None,), (0,), 100, run, cost(2.0), ((Run(4, "eager"), cost(2.5, 90)),))
    assert tuple(decided_alone([], [first, empty, alone, last])) == (
        Decision(
            "D1",
            "b0 batches of",
            "8",
            (Alternative("16", 100, 3.0), Alternative("32", 100, 4.0), Alternative("128", 100, 7.0)),
        ),
        Decision(
            "D10", "b0 mode", "eager", (Alternative("channels-last", 100, 3.0), Alternative("compiled", 100, 6.0))
        ),
        Decision("D1", "b3 batches of", "8", (Alternative("4", 90, 2.5),)),
    )


def test_ways_of_unknown_cost_are_told_last() -> None:
    rejected = ((Run(2, "eager"), cost(None)), (Run(4, "eager"), cost(3.0)))
    some = Pass(("f",), (None,), (0,), 100, Run(8, "eager"), cost(2.0), rejected)
    (decision,) = decided_alone([], [some])
    assert decision.costs == (Alternative("4", 100, 3.0), Alternative("2", 100, None))


def test_exact_values_and_samples_are_set_beside_each_other_once_for_each_design() -> None:
    specs = [
        DesignSpec("exact", 10, 1024, 0),
        DesignSpec("exact", 10, 1024, 0),
        DesignSpec("exact", 3, 8, 0),
        DesignSpec("exact", 4, 16, 0),
        DesignSpec("exact", 12, 4096, 0),
        DesignSpec("regression", 12, 384, 0),
        DesignSpec("permutations", 20, 100, 0),
        DesignSpec("regression", 21, 100, 0),
    ]
    jobs: list[Any] = [SimpleNamespace(spec=spec) for spec in specs]
    assert tuple(decided_alone(jobs, [])) == (
        Decision("D2", "10 players", "exact", (Alternative("regression", 320),)),
        Decision("D2", "12 players", "exact", (Alternative("regression", 384),)),
        Decision("D2", "12 players", "regression", (Alternative("exact", 4096),)),
        Decision("D2", "20 players", "permutations", (Alternative("exact", 1 << 20),)),
    )
