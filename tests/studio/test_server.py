"""The studio's server over a real socket: what a page is sent, and that nothing it sends ends the server."""

from __future__ import annotations

import base64
import io
import json
import queue
import zipfile
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import ialgebra
from ialgebra.apps.studio.opening import Example
from ialgebra.errors import BindError

pytest.importorskip("uvicorn")
pytest.importorskip("websockets")

from websockets.exceptions import ConnectionClosed

from ialgebra.apps.studio import frames, panels
from ialgebra.apps.studio.frames import AnswerFrame
from ialgebra.apps.studio.messages import Said
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


# --- pages that go and come back


def test_a_page_that_comes_back_is_sent_what_it_missed(con, url):
    with serving.page(url) as page:
        page.hello("page-resumed")
        page.until_status("done")
        document = drawn(page)
        page.until_status("done", question=document["question"])
        seen = page.received[-1]["serial"]
    with serving.page(url) as page:
        assert page.hello("page-resumed", since=seen)["resumed"] is True
        assert page.ask("ping")["type"] == "pong"
        assert page.of("picture") == page.of("labels") == []  # which it has
        assert page.of("map") == []
        page.received.clear()
    with serving.page(url) as page:  # the same name, but a page that has nothing: a reload
        assert page.hello("page-resumed", since=0)["resumed"] is False
        page.ask("ping")
        assert page.of("document")[0]["text"] == document["text"]
        assert page.of("document")[0]["can_undo"] is True
        assert len(page.of("catalog")) == len(page.of("status")) == len(page.of("map")) == 1
        assert page.of("map")[0]["maps"][0]["labels"] in [each["key"] for each in page.of("labels")]
        serials = [each["serial"] for each in page.received]
        assert serials == sorted(serials)
        assert serials[0] > seen


def test_what_was_not_seen_is_sent_again(url):
    with serving.page(url) as page:
        page.hello("page-lossy")
        page.until_status("done")
        seen = page.of("document")[0]["serial"]
    with serving.page(url) as page:
        assert page.hello("page-lossy", since=seen)["resumed"] is True
        page.ask("ping")
        types = [each["type"] for each in page.received]
        assert types.index("labels") < types.index("map")
        assert "document" not in types


def test_a_second_page_of_one_name_takes_over(url):
    with serving.page(url) as first, serving.page(url) as second:
        first.hello("page-double")
        first.until_status("done")
        second.hello("page-double")
        with pytest.raises(ConnectionClosed) as caught:
            first.until(lambda message: False)
        assert caught.value.rcvd.code == 4001
        assert second.ask("ping")["type"] == "pong"


def test_an_address_holds_a_query(url):
    text = "select * from f(x) where row < 2"
    state = base64.urlsafe_b64encode(json.dumps({"text": text, "seed": 3}).encode()).decode().rstrip("=")
    with serving.page(url) as page:
        page.hello("page-of-a-link", url=f"#q={state}")
        page.until_status("done")
        assert (page.of("document")[0]["text"], page.of("document")[0]["seed"]) == (text, 3)
    for broken in ("#q=!!", "#q=", "#x", "#q=e30", "#q=" + "A" * 30_000):
        with serving.page(url) as page:
            page.hello(f"page-broken-{abs(hash(broken))}", url=broken)
            page.until_status("done")
            assert page.of("document")[0]["text"] == "select * from f(x)"


def test_two_pages_share_the_session_and_have_documents_of_their_own(con, url):
    with serving.page(url) as first, serving.page(url) as second:
        first.hello("page-of-two-1")
        second.hello("page-of-two-2")
        first.until_status("done")
        second.until_status("done")
        drawn(first)
        assert second.ask("ping")["type"] == "pong"
        assert second.of("document")[-1]["step"] == 0
        con.register_input("late", con.catalog().input("x").elements[0].tensor)
        for page in (first, second):
            page.until(lambda message: message["type"] == "catalog" and "late" in str(message["inputs"]))


def test_fifty_pages_are_served_at_once(con):
    pages, opened = [], []
    try:
        opened.append(serving.served(con, opening="select * from f(x) budget 34"))
        url = opened[0].__enter__().url
        cookie = serving.cookie(url)
        for number in range(50):
            opened.append(serving.page(url, cookie))
            pages.append(opened[-1].__enter__())
            pages[-1].say("hello", client=f"page-of-fifty-{number}")
        for page in pages:
            assert page.until_status("done", "error")["state"] == "done"
        numbers = [drawn(page)["question"] for page in pages]
        for page, number in zip(pages, numbers, strict=True):
            page.until_status("done", question=number)
        first = pages[0].of("map")[-1]["arrays"]["values"]
        assert all(np.array_equal(page.of("map")[-1]["arrays"]["values"], first) for page in pages)
    finally:
        for each in reversed(opened):
            each.__exit__(None, None, None)


# --- models that fail, sessions that are closed


def test_a_model_that_crashes_is_an_error_on_the_page(con, url, page):
    def crash(batch: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError("a bug in the model")

    con.register_model("broken", crash)
    con.register_model("nan", lambda batch: batch.flatten(1)[:, :2] * float("nan"))
    con.register_model("odd", lambda batch: "nothing")
    for name, words in [("broken", "a bug in the model"), ("nan", "NaN"), ("odd", "str")]:
        document = page.ask("ask", text=f"select * from {name}(x)")
        status = page.until_status("done", "error", question=document["question"])
        assert status["state"] == "error"
        assert words in status["message"]
    document = page.ask("undo")
    page.ask("undo"), page.ask("undo")
    document = page.ask("ask", text="select * from f(x) where row < 3")
    assert page.until_status("done", "error", question=document["question"])["state"] == "done"


def test_a_closed_session_is_an_error_on_the_page():
    con = serving.session()
    with serving.served(con) as running, serving.page(running.url) as page:
        page.hello()
        page.until_status("done")
        con.close()
        document = page.ask("ask", text="select * from f(x)")
        assert "f" in document["problem"]["message"]
        assert page.until(lambda message: message["type"] == "catalog" and not message["models"])
        assert page.ask("ping")["type"] == "pong"


def test_an_empty_session_has_an_empty_page_that_asks_nothing():
    with ialgebra.connect(progress=False) as con, serving.served(con) as running, serving.page(running.url) as page:
        page.hello()
        page.ask("ping")
        assert page.of("document")[0]["text"] == ""
        assert page.of("document")[0]["problem"] is None
        assert page.of("status") == []
        con.register_model("f", torch.nn.Linear(3, 2))
        con.register_input("x", torch.ones(3))
        page.until(lambda message: message["type"] == "catalog" and message["models"])
        document = page.ask("gesture", gesture={"do": "input", "name": "x", "index": None})
        assert document["text"] == "select * from f(x)"
        page.until_status("done", question=document["question"])


# --- what is asked beside


def test_thumbnails_multiples_classes_and_plans(page):
    small = page.ask("thumbnails", input="xs", **{"from": 1, "to": 4})
    assert small["arrays"]["rgb"].shape == (3, 8, 8, 3)
    assert (small["total"], small["labels"]) == (5, ["dog", "cat", "lynx"])
    document = page.ask("ask", text="select * from f(xs)")
    page.until_status("done", question=document["question"])
    many = page.ask("multiples")
    assert (many["total"], many["arrays"]["heat"].shape, many["arrays"]["rgb"].shape) == (5, (5, 8, 8), (5, 8, 8, 3))
    shown = page.of("map")[-1]
    values, offsets = shown["arrays"]["values"], shown["arrays"]["offsets"]
    for number, item in enumerate(many["items"]):
        assert (item["input"], item["index"]) == ("xs", number)
        own = values[offsets[number] : offsets[number + 1]]
        np.testing.assert_allclose(item["sum"], own.sum(), rtol=1e-5)
        np.testing.assert_allclose(many["arrays"]["heat"][number].sum(), own.sum(), rtol=1e-4)
    assert {item["value"] for item in many["items"]} == {None}, "nothing ranks them"
    document = page.ask("ask", text="select * from f(xs) order by mass(row < 4) desc limit 2")
    page.until_status("done", question=document["question"])
    ranked = [item["value"] for item in page.ask("multiples")["items"]]
    assert ranked == sorted(ranked, reverse=True)
    assert all(0 < value < 1 for value in ranked), "the mass, not the index"
    found = page.ask("classes", model="f", find="T")
    assert (found["names"], found["total"]) == (["cat"], 1)
    plan = page.ask("plan")
    assert plan["rows"] > 0
    assert {each["id"] for each in plan["nodes"]} >= {end for edge in plan["edges"] for end in edge}


def test_a_panel_adds_messages_and_a_place(con, url):
    def answer(seen: panels.SeenPage, message: Said) -> Said:
        if "wrong" in message:
            raise BindError("a toy has no such part")
        return {"text": seen.text, "models": len(seen.con.names()["models"]), "said": message["say"]}

    toy = panels.StudioPanel("toy", "A toy", "side", answer, lambda con: {"parts": ["wheel"]})
    panels.register(toy)
    try:
        with pytest.raises(BindError, match="there is a panel 'toy' already"):
            panels.register(toy)
        with serving.page(url) as page:
            page.hello("page-with-a-toy")
            page.until_status("done")
            told = page.of("catalog")[-1]["panels"]
            assert {"name": "toy", "title": "A toy", "place": "side", "parts": ["wheel"]} in told
            found = page.ask("panel", panel="toy", message={"say": "hello"})
            assert found["message"]["said"] == "hello"
            assert found["message"]["text"] == "select * from f(x)"
            assert page.ask("panel", panel="toy", message={"wrong": 1})["message"] == "a toy has no such part"
            assert "did you mean 'toy'" in page.ask("panel", panel="toi", message={})["message"]
    finally:
        del panels.PANELS["toy"]


def test_a_panel_asks_the_session_beside_the_page_and_answers_with_a_map(con, url):
    def answer(seen: panels.SeenPage, message: Said) -> panels.PanelAnswer:
        made = frames.map_frame(seen.ask(str(message["text"])), 0, seen.con.catalog(), "")
        return AnswerFrame({"said": message["do"], "maps": made.header["maps"]}, made.arrays, made.parts)

    panels.register(panels.StudioPanel("toy", "A toy", "below", answer))
    try:
        with serving.page(url) as page:
            page.hello("page-with-maps")
            page.until_status("done")
            steps = page.of("document")[-1]["steps"]
            found = page.ask(
                "panel", panel="toy", message={"do": "look", "text": "select * from f(xs) having index = 3"}
            )
            (map,) = found["message"]["maps"]
            wanted = con.sql("select * from f(xs) having index = 3")[0]
            np.testing.assert_allclose(found["arrays"]["values"], wanted.values, rtol=1e-5)
            assert map["picture"] in {each["key"] for each in page.of("picture")}, "what a map names comes before it"
            slow = "select * from f(x, players => pixels) error within 0.0001%"
            first = page.say("panel", panel="toy", message={"do": "look", "text": slow})
            other = page.say("panel", panel="toy", message={"do": "other", "text": "select * from f(xs)"})
            again = page.say("panel", panel="toy", message={"do": "look", "text": "select * from f(x) budget 40"})
            assert page.until_answered(again)["message"]["said"] == "look"
            answers = {each["re"]: each for each in page.received if "re" in each}
            assert answers[first].get("superseded"), "a later message of the same kind takes its place"
            answered = answers.get(other) or page.until_answered(other)
            assert answered["message"]["said"] == "other"
            assert page.ask("ask", text="select * from f(x)")["steps"] == steps, "a panel's questions are no steps"
    finally:
        del panels.PANELS["toy"]


def test_what_was_asked_is_shared_as_a_script_that_gives_every_map_again():
    """A session of drags, steps and undo, then its script in a session of its own."""
    with serving.session() as con, serving.served(con) as running, serving.page(running.url) as page:
        page.hello()
        page.until_status("done")
        _gives_every_map_again(page)


def _gives_every_map_again(page: serving.Page) -> None:
    asked = [page.of("document")[0]]
    for gesture in (
        {"do": "window", "shapes": [BOX], "mode": "replace"},
        {"do": "name", "name": "w"},
        {"do": "target", "class": "dog"},
        {"do": "edit", "edit": "nullify", "arguments": [], "window": {"kind": "box", "at": [4, 4, 8, 8]}},
    ):
        for moving in (True, False):
            document = page.until_answered(page.say("gesture", gesture=gesture, moving=moving))
            assert document["type"] == "document", document
        page.until_status("done", question=document["question"])
        asked.append(document)
    asked.append(page.ask("undo"))
    page.until_status("done", question=asked[-1]["question"])
    shared = page.ask("export", kind="sql")
    script = fetched(page, shared["href"])
    assert shared["name"] == "script.sql"
    with serving.session() as again:
        answers = [each for each in again.run(script.decode()) if len(each)]
    wanted = list(dict.fromkeys(each["text"] for each in asked))
    assert [each.query for each in answers] == wanted
    shown = {each["text"]: each["arrays"] for each in page.of("map") if each["stage"] == "whole"}
    for answer in answers:
        np.testing.assert_array_equal(shown[answer.query]["values"], answer[0].values.astype(np.float32))
        np.testing.assert_array_equal(shown[answer.query]["stderr"], answer[0].stderr.astype(np.float32))


def fetched(page: serving.Page, href: str) -> bytes:
    """A file that a page was offered."""
    answer = serving.get(page.url, href, Cookie=page.cookie)
    assert answer.status == 200
    assert answer.getheader("content-disposition").startswith("attachment")
    return answer.body


def test_a_map_is_shared_as_one_page_that_loads_nothing(page):
    shared = page.ask("export", kind="html")
    html = fetched(page, shared["href"]).decode()
    assert (shared["name"], "select * from f(x)" in html, "<script" in html, "http://" in html) == (
        "map.html", True, False, False,
    )  # fmt: skip


def test_the_session_is_shared_as_a_script_in_python_with_its_tensors(page):
    shared = page.ask("export", kind="py")
    packed = zipfile.ZipFile(io.BytesIO(fetched(page, shared["href"])))
    assert "analysis.py" in packed.namelist()
    compile(packed.read("analysis.py"), "analysis.py", "exec")


def test_what_was_offered_is_not_for_everybody_and_not_for_ever(url, page):
    hrefs = [page.ask("export", kind="sql")["href"] for _ in range(33)]
    assert serving.get(url, hrefs[-1]).status == 403
    assert serving.get(url, hrefs[0], Cookie=page.cookie).status == 404
    assert len(set(hrefs)) == 33


def test_the_script_has_what_was_answered_and_not_what_failed(con, page):
    def crash(batch: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError

    con.register_model("crash", crash)
    for text, state in [("select * from crash(x)", "error"), ("select * from f(x) where row < 3", "done")]:
        document = page.ask("ask", text=text)
        page.until_status(state, question=document["question"])
    lines = fetched(page, page.ask("export", kind="sql")["href"]).decode().splitlines()
    assert lines[0] == "set tempo = interactive;"
    assert lines[1].startswith("set batch_size = ")
    assert lines[2:] == ["select * from f(x);", "select * from f(x) where row < 3;"]


# --- classes, completion


def test_class_bars_come_with_each_question(con, page):
    page.until(lambda message: message["type"] == "scores") if not page.of("scores") else None
    (row,) = page.of("scores")[-1]["rows"]
    logits = con.catalog().model("f").module(con.catalog().input("x").elements[0].tensor[None])[0]
    right = dict(zip(["cat", "dog", "lynx"], logits.softmax(0).tolist(), strict=True))
    assert row["classes"] == sorted(right, key=lambda name: -right[name])
    np.testing.assert_allclose(row["probabilities"], sorted(right.values(), reverse=True), rtol=1e-5)
    assert (row["model"], row["input"], row["index"], row["step"], row["raw"]) == ("f", "x", None, None, False)
    document = page.ask("gesture", gesture={"do": "edit", "edit": "nullify", "window": BOX, "arguments": []})
    scores = page.until(lambda message: message["type"] == "scores" and message["question"] == document["question"])
    assert scores["rows"][0]["probabilities"] != row["probabilities"]
    page.until_status("done", question=document["question"])


def test_class_bars_of_an_unchanged_input_are_told_again_and_not_asked_again():
    def predictions(con: ialgebra.Session) -> int:
        return sum(step.text.startswith("predict") for step in con.history)

    def scored(page: serving.Page, gesture: Said) -> dict:
        number = page.ask("gesture", gesture=gesture)["question"]
        page.until_status("done", question=number)
        told = [each for each in page.of("scores") if each["question"] == number]
        return told[-1] if told else page.until(lambda each: each["type"] == "scores" and each["question"] == number)

    with serving.session() as con, serving.served(con, opening="") as running, serving.page(running.url) as page:
        page.hello()
        first = scored(page, {"do": "input", "name": "x", "index": None})
        assert predictions(con) == 1
        again = scored(page, {"do": "window", "shapes": [BOX], "mode": "replace"})
        assert (again["rows"], predictions(con)) == (first["rows"], 1)
        con.catalog().model("f").module[-1].bias.data[0] += 1  # no version that torch counts tells of it
        changed = scored(page, {"do": "window", "shapes": [], "mode": "clear"})
        assert predictions(con) == 2
        assert changed["rows"][0]["probabilities"] != first["rows"][0]["probabilities"]
        con.register_input("x", torch.zeros(3, 8, 8))
        scored(page, {"do": "window", "shapes": [BOX], "mode": "replace"})
        assert predictions(con) == 3


def test_scores_may_be_asked_for(con, page):
    document = page.ask("ask", text="select * from f(xs)")
    page.until_status("done", question=document["question"])
    found = page.ask("predict", classes=["lynx"])
    assert [(row["input"], row["index"]) for row in found["rows"]] == [("xs", index) for index in range(5)] or [
        row["index"] for row in found["rows"]
    ] == list(range(5))
    assert page.ask("predict", text="predict f from x")["rows"][0]["raw"] is True
    assert page.ask("predict", text="select * from f(x)")["message"] == "only PREDICT tells scores"
    assert "unknown model 'h'" in page.ask("predict", text="predict h from x")["message"]


def test_what_a_query_warns_of_is_said_on_the_page(page):
    page.say("ask", text="select * from f(x, target => 'cat') join f(x, target => 'dog') budget 20")
    with pytest.warns(ialgebra.IalgebraWarning, match="classes") as warned:
        page.until_status("done")
    told = page.of("status")[-1]
    assert told["message"] == " ".join(dict.fromkeys(str(each.message) for each in warned))


def test_completion_says_what_may_stand_at_the_cursor(page):
    text = "select * from f(x) wh"
    found = page.ask("complete", text=text, at=len(text))
    assert (found["type"], found["from"]) == ("completions", len(text) - 2)
    assert "where" in [each["label"] for each in found["options"]]


def test_what_nobody_waits_for_is_done_once_after_the_first_answer() -> None:
    done: queue.Queue[str] = queue.Queue()
    shown = Example({"title": "pictures"}, lambda: done.put("heads"))
    with serving.session() as con, serving.served(con, opening="select * from f(x) budget 20", shown=shown) as running:
        assert done.empty(), "nobody has looked"
        with serving.page(running.url) as page:
            page.hello()
            page.until_status("done")
            assert done.get(timeout=serving.PATIENCE) == "heads"
            page.say("ask", text="select * from f(x) budget 24")
            page.until_status("done", question=2)
    assert page.of("catalog")[0]["title"] == "pictures"
    assert done.empty()


def test_statements_that_are_typed_before_a_query_are_run_once(page):
    text = "create window typed as row < 2; select * from f(x) where typed"
    document = page.ask("ask", text=text)
    assert (document["text"], document["problem"]) == ("select * from f(x) where typed", None)
    page.until_status("done", question=document["question"])
    page.ask("undo")
    again = page.ask("redo")
    assert again["text"] == document["text"]
    page.until_status("done", question=again["question"])
    wrong = page.ask("ask", text="select * from nothing(x)")
    assert (wrong["text"], wrong["question"]) == ("select * from nothing(x)", None)
    assert "unknown model" in wrong["problem"]["message"]


def test_scores_leave_no_rows_behind_whose_last_bits_a_map_would_have():
    with serving.session() as con, serving.served(con, opening="") as running, serving.page(running.url) as page:
        page.hello()
        assert page.ask("predict", text="predict f from x")["rows"]
        assert con.submit("select * from f(x)", interactive=True).result().stats.reused_rows == 0
