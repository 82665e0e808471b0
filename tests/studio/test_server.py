"""The studio's server over a real socket: what a page is sent, and that nothing it sends ends the server."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import ialgebra

pytest.importorskip("uvicorn")
pytest.importorskip("websockets")

from tests.studio import serving


@pytest.fixture(scope="module")
def con() -> ialgebra.Session:
    return serving.session()


@pytest.fixture(scope="module")
def url(con) -> Iterator[str]:
    with serving.served(con) as running:
        yield running.url


def test_a_page_has_a_map_without_asking(con, url):
    with serving.page(url) as page:
        assert page.hello()["type"] == "welcome"
        done = page.until_status("done", "error")
    assert done["state"] == "done"
    (catalog,) = page.of("catalog")
    assert [each["name"] for each in catalog["models"]] == ["f"]
    assert [(each["name"], each["count"]) for each in catalog["inputs"]] == [("x", 1), ("xs", 5)]
    assert page.of("document")[0]["text"] == "select * from f(x)"
    shown = page.of("map")[-1]
    (right,) = con.sql("select * from f(x)")
    np.testing.assert_array_equal(shown["arrays"]["values"], right.values.astype(np.float32))
    (labels,) = [each for each in page.of("labels") if each["key"] == shown["maps"][0]["labels"]]
    np.testing.assert_array_equal(labels["arrays"]["labels"], right.players[0])
    assert page.of("picture")[0]["arrays"]["rgb"].shape == (8, 8, 3)


@pytest.fixture
def page(con, url, request) -> Iterator[serving.Page]:
    """A page of its own, whose first map is there."""
    with serving.page(url) as page:
        page.hello(f"page-{abs(hash(request.node.name))}")
        page.until_status("done")
        yield page


BOX = {"kind": "box", "at": [0, 0, 4, 4]}


def drawn(page: serving.Page, **more: object) -> dict:
    return page.ask("gesture", gesture={"do": "window", "shapes": [BOX], "mode": "replace"} | more)


def test_a_gesture_writes_the_query_and_its_map_comes(con, page):
    document = drawn(page)
    assert document["text"] == "select * from f(x) where box(0, 0, 4, 4)"
    assert document["query"]["shapes"] == [BOX]
    assert (document["step"], document["can_undo"], document["can_redo"]) == (1, True, False)
    page.until_status("done", question=document["question"])
    shown = page.of("map")[-1]
    assert shown["question"] == document["question"]
    (right,) = con.sql(document["text"])
    np.testing.assert_array_equal(shown["arrays"]["values"], right.values.astype(np.float32))


def test_undo_and_redo_ask_again(page):
    document = drawn(page)
    page.until_status("done", question=document["question"])
    before = page.ask("undo")
    assert (before["text"], before["step"], before["can_redo"]) == ("select * from f(x)", 0, True)
    page.until_status("done", question=before["question"])
    again = page.ask("redo")
    assert again["text"] == document["text"]
    page.until_status("done", question=again["question"])
    assert page.ask("goto", step=0)["step"] == 0


def test_what_moves_is_no_step_and_is_written_upon_the_last_step(page):
    for right in (4, 5, 6):
        shape = {"kind": "box", "at": [0, 0, 4, right + 0.3]}
        moving = page.say("gesture", gesture={"do": "window", "shapes": [shape], "mode": "add"}, moving=True)
        document = page.until_answered(moving)
        assert document["text"] == f"select * from f(x) where box(0, 0, 4, {right})"  # on the lattice of pixels
        assert (document["moving"], document["step"], document["can_undo"]) == (True, 0, False)
    final = drawn(page)
    assert (final["text"], final["step"]) == ("select * from f(x) where box(0, 0, 4, 4)", 1)


def test_a_named_window_is_made_before_it_is_asked(con, page):
    drawn(page)
    document = page.ask("gesture", gesture={"do": "name", "name": "corner"})
    assert "corner" in document["text"]
    page.until_status("done", question=document["question"])
    assert "corner" in con.names()["windows"]
    assert "corner" in [each["name"] for each in page.of("catalog")[-1]["windows"]]
    con.sql("drop window corner")


def test_text_is_looked_at_and_not_asked(page):
    document = page.ask("text", text="select * from f(x) where circle(2, 2, 1)")
    assert document["query"]["shapes"] == [{"kind": "circle", "at": [2, 2, 1]}]
    assert (document["question"], document["step"]) == (None, 0)
    wrong = page.ask("text", text="select * from g(x)")
    assert wrong["problem"]["message"].startswith("unknown model 'g'")
    assert wrong["text"][wrong["problem"]["start"] : wrong["problem"]["end"]] == "g"


def test_a_statement_with_a_text_for_an_answer_leaves_the_document(page):
    document = page.ask("ask", text="show inputs")
    assert document["text"] == "select * from f(x)"
    page.until_status("done", question=document["question"])
    assert "x" in page.of("answer")[-1]["text"]
    assert page.ask("undo")["step"] == 0
