"""Parts of the studio alone: what waits for a slow page, and what a page is likely to ask."""

from __future__ import annotations

import asyncio

import pytest
import torch

import ialgebra
from ialgebra.apps.studio import likely
from ialgebra.apps.studio.outbox import Outbox, TooSlow


def taken(outbox: Outbox) -> list[object]:
    """All that waits, in order."""

    async def every() -> list[object]:
        return [(await outbox.take())[1] for _ in range(len(outbox))]

    return asyncio.run(every())


def test_a_slow_page_finds_the_latest_news_in_the_order_in_which_they_came():
    outbox = Outbox()
    for number in range(1000):
        outbox.put({"map": number}, "map")
        outbox.put({"status": number}, "status")
    outbox.put({"re": 1})
    outbox.put({"map": 1000}, "map")
    assert len(outbox) == 3
    assert taken(outbox) == [{"status": 999}, {"re": 1}, {"map": 1000}]


def test_answers_to_requests_are_all_kept_until_they_are_too_many():
    outbox = Outbox()
    for number in range(512):
        outbox.put({"re": number})
    with pytest.raises(TooSlow):
        outbox.put({"re": 512})
    outbox.put({"news": 1}, "news")
    assert len(taken(outbox)) == 513


def test_what_is_dropped_or_cleared_does_not_come():
    outbox = Outbox()
    outbox.put({"a": 1}, "a")
    outbox.put({"b": 1}, "b")
    outbox.drop("a")
    outbox.drop("none")
    assert taken(outbox) == [{"b": 1}]
    outbox.put({"c": 1})
    outbox.clear()
    assert len(outbox) == 0


def test_taking_waits_for_what_comes():
    async def whole() -> object:
        outbox = Outbox()
        task = asyncio.create_task(outbox.take())
        await asyncio.sleep(0)
        assert not task.done()
        outbox.put({"a": 1}, "a")
        return await task

    assert asyncio.run(whole()) == ("a", {"a": 1})


@pytest.fixture(scope="module")
def catalog():
    con = ialgebra.connect(progress=False)
    con.register_model(
        "f", torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 56 * 56, 3)), classes=["a", "b", "c"]
    )
    con.register_model("g", lambda batch: batch.flatten(1)[:, :3])
    for name in ("x", "y", "z"):
        con.register_input(name, torch.rand(3, 56, 56))
    con.register_input("xs", torch.rand(4, 3, 56, 56))
    con.register_input("row", torch.ones(3))
    return con.catalog()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("select * from f(x)", ("x", ("f",), None)),
        (
            "select 1, * from f(blur(nullify(x, row < 3), 2), target => 'a') where col < 4",
            ("blur(nullify(x, row < 3), 2)", ("f",), None),
        ),
        ("select * from f(x) anti join g(x)", ("x", ("f", "g"), None)),
        ("select * from f(x) left join (select * from g(x))", ("x", ("f", "g"), None)),
        ("select * from f(x) anti join f(y)", ("x", ("f",), None)),
        ("select * from f(xs) having index = 2", ("xs", ("f",), 2)),
        ("explain select * from f(x)", ("x", ("f",), None)),
    ],
)  # fmt: skip
def test_what_a_query_shows_first(catalog, text, shown):
    found = likely.shown_input(text, catalog)
    assert (found.text, found.models, found.index) == shown


@pytest.mark.parametrize("text", ["", "select", "show models", "select * from v"])
def test_a_text_that_shows_nothing(catalog, text):
    assert likely.shown_input(text, catalog) is None


def box(*at: float) -> dict[str, object]:
    return {"kind": "box", "at": list(at)}


def test_what_moves_is_on_a_lattice(catalog):
    text = "select * from f(x) where box(0, 0, 8, 8)"

    def snapped(**gesture: object) -> object:
        return likely.on_lattice(gesture, text, catalog)

    drawn = snapped(
        do="window", shapes=[box(0.9, 3.1, 11.2, 12.9), {"kind": "circle", "at": [9.1, 9, 0.4]}], mode="add"
    )
    assert drawn == {
        "do": "window",
        "shapes": [box(0, 4, 12, 12), {"kind": "circle", "at": [10, 8, 2]}],
        "mode": "add",
    }
    assert snapped(do="window", shapes=[box(5, 5, 5, 5)])["shapes"] == [box(4, 4, 6, 6)]  # never empty
    assert snapped(do="move", index=0, at=[1.1, 3.2, 9.4, 11.6]) == {"do": "move", "index": 0, "at": [2, 4, 10, 12]}
    assert snapped(do="move", index=5, at=[1, 1, 1, 1])["at"] == [1, 1, 1, 1]
    assert snapped(do="edit", edit="blur", window=box(1, 1, 7, 7))["window"] == box(0, 0, 8, 8)
    odd: list[dict[str, object]] = [
        {"do": "window", "shapes": "x"},
        {"do": "window", "shapes": [box("a", 1, 2, 3)]},
        {"do": "move", "index": "0", "at": None},
        {"do": "edit", "window": {"at": 3}},
        {"do": "target", "class": "a"},
    ]
    for gesture in odd:
        assert likely.on_lattice(gesture, text, catalog) == gesture


def test_small_pictures_and_tables_move_by_single_steps(catalog):
    table = {"do": "window", "shapes": [{"kind": "columns", "names": ["a"]}]}
    assert likely.on_lattice(table, "select * from f(row)", catalog) == table


def test_likely_questions_are_the_class_that_came_second_windows_a_tile_further_and_the_next_input(catalog):
    found = likely.next_questions("select * from f(x) where box(8, 8, 16, 24)", catalog, "b")
    assert found == [
        "select * from f(x, target => 'b') where box(8, 8, 16, 24)",
        "select * from f(x) where box(8, 12, 16, 28)",
        "select * from f(x) where box(8, 4, 16, 20)",
        "select * from f(x) where box(10, 8, 18, 24)",
        "select * from f(x) where box(6, 8, 14, 24)",
        "select * from f(y) where box(8, 8, 16, 24)",
    ]
    assert likely.next_questions("select * from f(x) where box(0, 0, 8, 16)", catalog, None)[:2] == [
        "select * from f(x) where box(0, 4, 8, 20)",
        "select * from f(x) where box(2, 0, 10, 16)",
    ], "windows stay inside the picture"
    assert likely.next_questions("select * from f(z)", catalog, None) == ["select * from f(x)"]
    assert likely.next_questions("select * from f(xs)", catalog, None) == []
    assert likely.next_questions("show models", catalog, "b") == likely.next_questions("", catalog, None) == []
