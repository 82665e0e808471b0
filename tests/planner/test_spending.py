"""What a query takes adds up: rows, batches, seconds, and what the store knew."""

from __future__ import annotations

from ialgebra.planner.spending import Spending


def test_spending_adds_up_kind_by_kind():
    both = Spending(3, 1, 0.5, {"same game": 2, "another layer": 1}) + Spending(4, 2, 0.25, {"same game": 5})
    assert both == Spending(7, 3, 0.75, {"same game": 7, "another layer": 1})
    assert both.reused == 8
    assert both.batch_seconds == 0.25


def test_nothing_spent_changes_nothing():
    some = Spending(3, 1, 0.5, {"same game": 2})
    assert some + Spending(hits={"another layer": 0}) == some == Spending() + some
    assert Spending().batch_seconds == 0.0


def test_a_sum_leaves_its_parts_as_they_were():
    some = Spending(hits={"same game": 2})
    _ = some + some
    assert some.hits == {"same game": 2}
