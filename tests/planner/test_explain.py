"""EXPLAIN's text is drawn from its dictionary alone, line by line; and the dictionary says what the plan is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ialgebra.planner.decisions import Alternative, Decision
from ialgebra.planner.explain import Details, Measured, decision_lines, text
from tests import worlds


def details(**changes: object) -> Details:
    """A small plan: one map of one model, nothing saved, nothing measured."""
    plain = {
        "strategy": "BEST",
        "seed": 7,
        "written": [["φ f(x)"]],
        "normal": [["φ f(x)"]],
        "laws": [],
        "shared": [("operator at a time", 102, None)],
        "batches": [
            {
                "models": ["f"],
                "games": ["12 players, 102 coalitions, regression: f [cat]"],
                "rows": 100,
                "batch_size": 64,
                "mode": "eager",
                "seconds": None,
                "peak": 0,
                "asked": None,
            }
        ],
        "ends": 2,
        "rows": 102,
        "seconds": None,
        "rows_as_written": 102,
        "seconds_as_written": None,
        "decisions": [],
        "ranking": None,
        "measured": None,
    }
    return {**plain, **changes}  # type: ignore[typeddict-item]


def measured(**changes: object) -> Measured:
    plain = {
        "rows": 102,
        "reused": 0,
        "batches": 3,
        "seconds": 2.0,
        "forward_seconds": 1.5,
        "peak": None,
        "saved": [],
        "canaries": [],
        "decisions": [],
        "ranking": None,
        "errors": [("cat", 0.0123)],
    }
    return {**plain, **changes}  # type: ignore[typeddict-item]


def line(head: str, *cells: str) -> str:
    """A heading of 60 columns, then cells that end at columns 75, 86 and 97."""
    row = head.ljust(60)
    for cell, end in zip(cells, (75, 86, 97), strict=False):
        row += cell.rjust(end - len(row))
    return row.rstrip()


def test_a_plain_plan_is_its_tree_and_its_batches() -> None:
    assert text(details()).split("\n") == [
        line("plan as written", "~102 rows"),
        "φ f(x)",
        "",
        line("batches (BEST, seed 7)", "~102 rows"),
        line("ends: x_∅ and x_N of every game", "~2 rows"),
        line("b0  f: batches of 64", "~100 rows"),
        "    12 players, 102 coalitions, regression: f [cat]",
    ]
    assert line("x", "12 rows", "34 ms") == "x" + " " * 67 + "12 rows" + " " * 6 + "34 ms"


def test_a_whole_plan_is_told_in_order() -> None:
    told = text(
        details(
            written=[["⋄", "├─ σ 2  φ f(x)", "└─ φ f(x')"]],
            normal=[["⋄", "├─ φ f(x)", "└─ φ f(x')"]],
            laws=[("σ_l σ_l' = σ_l", 3), ("p ⋈ p = p", 1)],
            shared=[("operator at a time", 8192, 4.0), ("equal games", 8192, 4.0), ("one row for all", 2050, 1.0)],
            batches=[
                {
                    "models": ["f", "g"],
                    "games": [f"game {k}" for k in range(13)],
                    "rows": 2000,
                    "batch_size": 32,
                    "mode": "channels-last",
                    "seconds": 0.25,
                    "peak": 3 * 2**19,
                    "asked": None,
                },
                {
                    "models": ["h"],
                    "games": [f"other {k}" for k in range(12)],
                    "rows": 50,
                    "batch_size": 8,
                    "mode": "eager",
                    "seconds": 1.25,
                    "peak": 5 * 2**29,
                    "asked": "saliency()",
                },
            ],
            ends=0,
            rows=2050,
            seconds=1.5,
            rows_as_written=8192,
            seconds_as_written=4.0,
            decisions=[
                {"id": "D5", "about": "anti-joins", "chosen": "one game", "rejected": [("two", 4096.0, 2.0)]},
                {"id": "D10", "about": "mode", "chosen": "eager", "rejected": []},
                {
                    "id": "D2",
                    "about": "3 players",
                    "chosen": "exact",
                    "rejected": [("a", 8.4, None), ("b", None, 0.0126), ("c", None, None)],
                },
            ],
        )
    )
    assert told.split("\n") == [
        line("plan as written", "~8,192 rows", "~4.0 s"),
        "⋄",
        "├─ σ 2  φ f(x)",
        "└─ φ f(x')",
        "",
        "normal form",
        "⋄",
        "├─ φ f(x)",
        "└─ φ f(x')",
        "",
        "laws",
        "σ_l σ_l' = σ_l  × 3",
        "p ⋈ p = p",
        "",
        "saved",
        "one row for all" + " " * 49 + "8,192 → 2,050 rows",
        "",
        line("batches (BEST, seed 7)", "~2,050 rows", "~1.5 s"),
        line("b0  f, g: batches of 32, channels-last", "~2,000 rows", "~250 ms", "~1.5 MiB"),
        *(f"    game {k}" for k in range(12)),
        "    … and 1 more",
        line("b1  h: asked by saliency()", "~50 rows", "~1.2 s", "~2.5 GiB"),
        *(f"    other {k}" for k in range(12)),
        "",
        "decisions, and what was rejected",
        "D5  anti-joins: one game · not two (~4,096 rows, ~2.0 s)",
        "D10 mode: eager",
        "D2  3 players: exact · not a (~8 rows), b (~13 ms), c",
    ]


def test_collections_show_the_first_six_of_their_trees_and_equal_ones_once() -> None:
    def shown(count: int) -> list[str]:
        return text(details(written=[[f"φ f(x[{k}])"] for k in range(count)] * 2, normal=[["φ"]])).split("\n")

    assert shown(6)[1:8] == [*(f"φ f(x[{k}])" for k in range(6)), ""]
    assert shown(8)[1:9] == [*(f"φ f(x[{k}])" for k in range(6)), "… and 2 more", ""]


def test_what_was_measured_stands_beside_the_estimate() -> None:
    told = text(
        details(
            seconds=1.6,
            seconds_as_written=9.0,
            measured=measured(
                peak=2**30,
                reused=1500,
                saved=[("same game", 1500)],
                decisions=[{"id": "D9", "about": "coalitions", "chosen": "common", "rejected": []}],
                errors=[("cat", 0.0123), ("dog", 0.0), ("cow", math.inf)],
            ),
        )
    )
    rest = told.split("\n")[7:]
    assert rest == [
        "",
        line("measured", "102 rows", "2.0 s", "1.0 GiB"),
        line("found in the store: same game", "1,500 rows"),
        "D9  coalitions: common",
        line("", "1.25× the time estimated").rjust(75),
        "",
        line("answers", "error at 95 %"),
        line("cat", "1.2%"),
        line("dog", "exact"),
        line("cow", "unknown"),
        "",
        "2.0 s for 102 rows in 3 batches, 1,500 rows reused; efficiency 0.75 of bare forward passes; "
        "as written an estimated ~9.0 s",
    ]


def test_a_ratio_is_told_only_where_most_rows_were_evaluated() -> None:
    for rows, told in ((102, True), (92, True), (91, False), (0, False)):
        assert ("the time estimated" in text(details(seconds=1.0, measured=measured(rows=rows)))) == told
    assert "the time estimated" not in text(details(measured=measured()))
    last = text(details(seconds=1.0, measured=measured(rows=0, seconds=0.0, batches=0))).split("\n")[-1]
    assert last == "0 ms for 0 rows in 0 batches"
    last = text(details(seconds=1.0, measured=measured(seconds=0.0))).split("\n")[-1]
    assert last == "0 ms for 102 rows in 3 batches; efficiency 0.00 of bare forward passes"


def test_of_very_many_lines_the_first_are_shown() -> None:
    errors = [(f"map {k}", 0.5) for k in range(25)]
    told = text(details(measured=measured(errors=errors))).split("\n")
    assert told[-3:-1] == ["    … and 1 more", ""]
    assert line("map 23", "50.0%") in told
    assert line("map 24", "50.0%") not in told
    decisions = [{"id": "D1", "about": f"b{k}", "chosen": "8", "rejected": []} for k in range(13)]
    told = text(details(decisions=decisions, measured=measured(decisions=decisions))).split("\n")
    assert told.count("    … and 1 more") == 2
    assert told.count("D1  b11: 8") == 2
    assert "D1  b12: 8" not in told


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.9994, "~999 ms"), (1.0, "~1.0 s"), (0.0004, "~0 ms"), (61.26, "~61.3 s")]
)
def test_times_are_in_milliseconds_below_a_second(seconds: float, shown: str) -> None:
    assert text(details(seconds_as_written=seconds)).split("\n")[0] == line("plan as written", "~102 rows", shown)


@pytest.mark.parametrize(("peak", "shown"), [(2**30, "~1.0 GiB"), (2**30 - 2**20, "~1023.0 MiB"), (2**18, "~0.2 MiB")])
def test_sizes_are_in_mebibytes_below_a_gibibyte(peak: int, shown: str) -> None:
    (batch,) = details()["batches"]
    told = text(details(batches=[{**batch, "seconds": 1.0, "peak": peak}]))
    assert line("b0  f: batches of 64", "~100 rows", "~1.0 s", shown) in told.split("\n")


def test_what_was_chosen_is_not_among_what_was_rejected() -> None:
    costs = (Alternative("exact", 64, 0.5), Alternative("regression", 32), Alternative("neither"))
    (found,) = decision_lines([Decision("D2", "6 players", "exact", costs)])
    assert found == {
        "id": "D2",
        "about": "6 players",
        "chosen": "exact",
        "rejected": [("regression", 32, None), ("neither", None, None)],
    }


# --- From a plan to the dictionary


@pytest.fixture(scope="module")
def con():  # type: ignore[no-untyped-def]
    return worlds.case("image", seed=1).con


def test_the_dictionary_of_a_plan_adds_up(con) -> None:  # type: ignore[no-untyped-def]
    said = con.sql("explain select 2, * from f(x) left join f(x', target => 1) where w budget 100", seed=3).details
    assert said["seed"] == 3
    assert said["strategy"] == "BEST"
    assert said["measured"] is None
    assert said["rows"] == said["ends"] + sum(each["rows"] for each in said["batches"])
    assert said["ends"] > 0
    assert said["written"][0] == ["σ 2  Π row < 3  ⋄", "├─ φ f(x)", "└─ φ f(x')"]
    assert said["written"][1] == ["Π row < 3  ⋄", "├─ φ f(x)", "└─ φ f(x')"]
    assert said["normal"][0] == ["⋄", "├─ σ 2  Π row < 3  φ f(x)", "└─ σ 2  Π row < 3  φ f(x')"]
    assert said["laws"] == [
        ("Π_w (p ⋄ q) = Π_w p ⋄ Π_w q (L8)", 1),  # of both items, whose plans share it
        ("σ_l (p ⋄ q) = σ_l p ⋄ σ_l q (L9)", 1),
    ]
    (games,) = (each["games"] for each in said["batches"])
    assert set(games) == {  # the window cuts, so that neither direction stands for the other
        "4 players, 16 coalitions, exact: f [class of x], f layer 2 [class of x]",
        "4 players, 16 coalitions, exact: f [class 1], f layer 2 [class 1]",
    }
    assert said["batches"][0]["models"] == ["f"]
    assert {each["mode"] for each in said["batches"]} == {"eager"}
    assert all(each["peak"] > 0 for each in said["batches"])


def test_laws_are_counted(con) -> None:  # type: ignore[no-untyped-def]
    query = "explain select * from (select 2 from f(x)) join (select 2 from f(y)) where w"
    said = dict(con.sql(query).details["laws"])
    assert said["Π_w σ_l = σ_l Π_w (L1)"] == 2
    assert said["Π_w (p ⋈ q) = Π_w p ⋈ Π_w q (L6)"] == 1


def test_nested_joins_are_drawn_as_a_tree(con) -> None:  # type: ignore[no-untyped-def]
    query = "explain select * from (select 2 from f(x) join (select * from f(y) where w)) join f(x') on weight = 0.3"
    assert con.sql(query).details["written"][0] == [
        "⋈ 0.3, 0.7",
        "├─ σ 2  ⋈ 0.5, 0.5",
        "│  ├─ φ f(x)",
        "│  └─ Π row < 3  φ f(y)",
        "└─ φ f(x')",
    ]
    query = "explain select * from f(x') join (select 2 from f(x) join f(y)) on weight = 0.3"
    assert con.sql(query).details["written"][0] == [
        "⋈ 0.3, 0.7",
        "├─ φ f(x')",
        "└─ σ 2  ⋈ 0.5, 0.5",
        "   ├─ φ f(x)",
        "   └─ φ f(y)",
    ]


def test_a_job_tells_the_first_eight_of_its_columns(con) -> None:  # type: ignore[no-untyped-def]
    items = ", ".join(map(str, range(1, 7)))
    query = f"explain select {items}, * from f(x, output => 'probability')"
    (line,) = con.sql(query).details["batches"][0]["games"]
    assert line.startswith("4 players, 16 coalitions, exact: f [class of x] probability (softmax of logits), f layer")
    assert line.count("class of x") == 7
    assert "more" not in line
    both = "explain select 1, 2, 3, * from f(x, target => 0) join f(x, target => 2) join g(x, target => 0)"
    (line,) = con.sql(both).details["batches"][0]["games"]
    assert line.count("[") == 8
    assert line.endswith(", … 4 more")


def test_seconds_are_told_where_the_model_was_measured(con) -> None:  # type: ignore[no-untyped-def]
    fresh = worlds.case("image", seed=2).con
    query = "explain select * from f(x) join f(y)"
    assert fresh.sql(query).details["seconds"] is None
    assert fresh.sql(query).details["seconds_as_written"] is None
    fresh.sql("select * from f(x')")
    fresh._catalog.model("f").profile.curves = {"eager": {size: [size / 8] * 3 for size in (1, 2, 4, 16, 512)}}
    known = fresh.sql(query).details
    rows = known["rows"]
    assert rows == 31  # 2 games of 16 coalitions, which share x_∅
    assert known["seconds"] == pytest.approx(rows / 8, rel=0.02)
    assert known["seconds"] > rows / 8
    assert known["seconds_as_written"] == pytest.approx(32 / 8, rel=0.02)
    assert sum(each["seconds"] for each in known["batches"]) == pytest.approx(28 / 8, rel=0.02)
    assert np.isfinite(known["shared"][-1][2])
