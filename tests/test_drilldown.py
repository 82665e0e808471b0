"""Drilling down: windows from answers, grids that zoom into them, and what each step reuses of those before it."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn

import ialgebra
from ialgebra import BindError, IalgebraWarning
from tests import oracle, worlds
from tests.oracle import Call, Layer
from tests.worlds import close


def bound(con: ialgebra.Session, name: str) -> np.ndarray:
    """The features that a window selects, read off the map of a query that plays each pixel: an outsider is no one."""
    (a,) = con.sql(f"select * from f(x, players => pixels) where {name} budget 30")
    return a.players >= 0


def ranked(case: worlds.Case, plan: oracle.Plan) -> tuple[list[np.ndarray], list[float]]:
    """The players of the oracle's map as sets of features, best first, and their values."""
    (found,) = case.world.maps(plan)
    labels = case.world.labels(plan)
    members = [labels == player for player in range(labels.max() + 1)]
    order = sorted(range(len(members)), key=lambda player: -float(found[members[player]].sum()))
    return [members[k] for k in order], [float(found[members[k]].sum()) for k in order]


# --- windows from answers


def test_top_takes_so_many_of_the_best_players() -> None:
    case = worlds.case(seed=4)
    plan = Layer(2, Call("f", "x", players="grid(1, 3)", target=0))
    members, values = ranked(case, plan)
    positive = sum(value > 0 for value in values)
    assert positive >= 2, "or there is nothing to tell"
    for count in range(1, 5):
        case.con.sql(f"create or replace window hot as top({count}, {oracle.query(plan)} using exact())")
        wanted = np.logical_or.reduce(members[: min(count, positive)])
        np.testing.assert_array_equal(bound(case.con, "hot"), wanted)


@pytest.mark.parametrize("percent", [0.001, 10, 33.4, 34, 67, 100])
def test_top_percent_covers_no_more_than_that_but_one_player_at_least(percent: float) -> None:
    case = worlds.case(seed=4)
    plan = Layer(2, Call("f", "x", players="grid(1, 3)", target=0))
    members, values = ranked(case, plan)
    wanted, total = members[0], sum(int(each.sum()) for each in members)
    for each, value in list(zip(members, values, strict=True))[1:]:
        if value <= 0 or (wanted | each).sum() > percent / 100 * total:
            break
        wanted = wanted | each
    case.con.sql(f"create window hot as top({percent} percent, {oracle.query(plan)} using exact())")
    np.testing.assert_array_equal(bound(case.con, "hot"), wanted)


def test_a_percentage_is_of_what_plays() -> None:
    """Half of a window's features, not of the input's: zooming in narrows."""
    con = worlds.case(seed=4).con
    con.sql("create window hot as top(50%, select * from f(x, players => pixels) where row < 2 budget 200)")
    assert 0 < bound(con, "hot").sum() <= 12  # of 24 features in two rows


def test_above_takes_the_players_above_a_value() -> None:
    case = worlds.case(seed=4)
    plan = Call("f", "x", players="grid(2, 2)", target=1)
    members, values = ranked(case, plan)
    for cut in ((values[1] + values[2]) / 2, (values[2] + values[3]) / 2, values[3] - 1):
        case.con.sql(f"create or replace window hot as above({cut!r}, {oracle.query(plan)} using exact())")
        wanted = np.logical_or.reduce([each for each, value in zip(members, values, strict=True) if value > cut])
        np.testing.assert_array_equal(bound(case.con, "hot"), wanted)


def test_ties_go_in_the_order_of_the_players_and_null_players_are_not_hot() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("sum", lambda batch: torch.stack([batch.sum(1), -batch.sum(1)], 1))
    con.register_input("x", torch.tensor([1.0, 2.0, 0.0, 2.0, -3.0]))
    for amount, wanted in (("1", [1]), ("2", [1, 3]), ("9", [0, 1, 3]), ("40 percent", [1, 3]), ("59%", [1, 3])):
        con.sql(f"create or replace window hot as top({amount}, select * from sum(x, target => 0))")
        (a,) = con.sql("select * from sum(x, target => 0, baseline => 9) where hot")
        assert np.flatnonzero(a.players >= 0).tolist() == wanted


@pytest.mark.parametrize(
    ("region", "said"),
    [
        ("top(3, select * from sum(x))", "no player of sum(x) has a positive value"),
        ("top(10 percent, select * from sum(x))", "no player of sum(x) has a positive value"),
        ("above(7.5, select * from sum(x))", "no player of sum(x) has a value above 7.5"),
        ("above(0, select * from sum(x) where feature > 9)", "no player of sum(x) has a value above 0"),
    ],
)
def test_where_nobody_is_chosen_the_window_is_empty_and_that_is_said(region: str, said: str) -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("sum", lambda batch: batch.sum(1))
    con.register_input("x", -torch.ones(4))
    with pytest.warns(IalgebraWarning, match=re.escape(said)):
        assert "0 of 4 features" in con.sql(f"create window hot as {region}").text
    (a,) = con.sql("select * from sum(x) where hot")
    assert not a.map.any()


def test_a_window_remembers_where_it_came_from() -> None:
    con = worlds.case(seed=4).con
    words = "top(25 percent,  select 2 from f(x))"
    created = con.sql(f"create window hot as {words} ;")
    assert created.query == f"create window hot as {words}"
    assert created.text == "window hot created: 9 of 36 pixels"
    assert created.is_text
    assert created.stats.rows > 0
    assert created[0].layer == 2, "the map itself can be looked at"
    for statement in ("show windows", "describe hot"):
        assert f"hot: {words}, 9 of 36 pixels" in con.sql(statement).text
    told = con.sql("select * from f(x) where hot").provenance["windows"]
    same = con.sql("create or replace window hot as top(25%, select 2 from f(x)); select * from f(x) where hot")
    assert told != same.provenance["windows"]
    con.sql("drop window hot")
    with pytest.raises(BindError, match="unknown window 'hot'"):
        con.sql("select * from f(x) where hot")


def test_the_query_of_a_window_is_asked_as_any_other() -> None:
    """Its clauses hold, so do the statement's seed and strategy, and its answer is that of the query by itself."""
    case, again = (worlds.case(seed=4) for _ in range(2))
    text = "select * from f(x, players => pixels) where row > 0 using permutations() budget 90"
    strategy = ialgebra.Strategy.FUSED
    created = case.con.sql(f"create window hot as top(3, {text})", seed=7, strategy=strategy)
    alone = again.con.sql(text, seed=7, strategy=strategy)
    assert created[0].values.tobytes() == alone[0].values.tobytes()
    assert (created.stats.rows, created.provenance["seed"]) == (alone.stats.rows, 7)
    best = np.argsort(-alone[0].values, kind="stable")[:3]
    np.testing.assert_array_equal(bound(case.con, "hot"), np.isin(alone[0].players, best))
    bounded = case.con.sql("create window h2 as top(1, select * from f(x) error within 20% at confidence 90%)")
    assert bounded.stats.bound_met
    assert bounded.stats.forecast_rows is not None


def test_nothing_runs_and_nothing_changes_where_a_window_cannot_be_made() -> None:
    con = worlds.case(seed=4).con
    con.sql("create window hot as top(1, select * from f(x))")
    before = bound(con, "hot")
    counted = con.sql("select * from f(x)").stats
    assert counted.rows == 0
    for amount, query in (("0", "select 3 from f(y)"), ("1", "select 3, 4 from f(y)"), ("1", "select 3 from f(xs)")):
        with pytest.raises(BindError):
            con.sql(f"create or replace window hot as top({amount}, {query})")
    assert con.sql("select 3 from f(y)").stats.rows == 15, "all but the baseline, which x had too"
    np.testing.assert_array_equal(bound(con, "hot"), before)


def test_a_plane_fits_images_of_any_number_of_channels_and_a_window_of_some_channels_does_not() -> None:
    con = worlds.case(seed=4).con
    con.register_input("grey", torch.randn(1, 6, 6).double())
    con.register_model("h", nn.Sequential(nn.Flatten(), nn.Linear(36, 3)).double().eval())
    con.sql(
        "create window hot as top(1, select * from f(x));"
        "create window red as top(1, select * from f(x) where channel = 0)"
    )
    (a,) = con.sql("select * from h(grey) where hot")
    assert (a.players >= 0).sum() == 9
    with pytest.raises(ialgebra.ShapeError, match=r"window 'red' has shape \(2, 6, 6\)"):
        con.sql("select * from h(grey) where red")


# --- zooming


def test_a_grid_zooms_into_a_window_from_an_answer_and_again_into_one_from_that() -> None:
    """Cells are laid over what was hot: a finer map of less, level by level, and by the oracle's numbers."""
    torch.manual_seed(2)
    net = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(3 * 144, 3)).double().eval()
    x = torch.randn(1, 12, 12).double()
    con = ialgebra.connect(progress=False)
    con.register_model("f", net)
    con.register_input("x", x, players="grid(2, 2)")
    inside = np.ones((1, 12, 12), dtype=bool)
    for level, side in ((0, 6), (1, 3), (2, 2)):
        where = f" where hot{level}" if level else ""
        (a,) = con.sql(f"select * from f(x, target => 0){where} using exact()")
        labels = oracle.grid(2, 2)(x.shape, inside)
        np.testing.assert_array_equal(a.players, labels)
        expected = oracle.attribution(oracle.Net(net).score(0), x, torch.zeros_like(x), labels)
        assert close(a.map, expected, 1e-9)
        values = [float(expected[labels == player].sum()) for player in range(4)]
        inside = labels == int(np.argmax(values))
        con.sql(f"create window hot{level + 1} as top(1, select * from f(x, target => 0){where} using exact())")
        assert inside.sum() <= side * side


def test_each_step_of_a_drill_down_says_what_it_reuses() -> None:
    con = worlds.case(seed=4).con
    con.sql("select * from f(x) using exact()")
    steps = {
        "select 2, 4, * from f(x) using exact()": 0,  # other layers of the same rows were read on the way
        "create window hot as top(2, select 4 from f(x) using exact())": 0,
        "select * from f(x, target => 1) using exact()": 0,
    }
    for text, rows in steps.items():
        assert con.sql(text).stats.rows == rows
    zoomed = con.sql("explain analyze select * from f(x) where hot using exact()")
    assert 0 < zoomed.stats.rows < 16
    assert zoomed.stats.reused_rows > 0
    assert "found in the store: another window or partition" in zoomed.text
    again = con.sql("explain analyze select 2, 4 from f(x) where hot using exact()")
    assert again.stats.rows == 0
    assert "found in the store: the same game" in again.text or again.stats.reused_rows > 0


def test_a_ranking_or_a_filter_may_find_the_one_map() -> None:
    con = worlds.case(seed=4).con
    con.register_input("xs", torch.randn(3, 2, 6, 6).double(), labels=["cat", "dog", "cat"])
    con.sql("create window one as top(1, select * from f(xs) order by entropy() desc limit 1)")
    con.sql("create window dog as top(1, select * from f(xs) having label = 'dog')")
    con.sql("create window seen as top(1, select * from f(xs) having prediction = 2 and index < 1 or label = 'dog')")
    for name in ("one", "dog", "seen"):
        assert 0 < bound(con, name).sum() <= 8
    for having, count in (("label = 'cat'", 2), ("prediction < 9", 3), ("entropy() < 99", 3), ("entropy() > 99", 0)):
        told = f"this query answer(s|ed) with {count}" if count else "no element is left"
        with pytest.raises(BindError, match=f"one map is needed here, and {told}"):
            con.sql(f"create window none as top(1, select * from f(xs) having {having})")
