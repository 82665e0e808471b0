"""Steps, undo, redo and branches; the script of what was asked; one static page; the state in an address."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import ialgebra
from ialgebra import IalgebraError
from ialgebra.apps.studio import exploration as steps
from ialgebra.apps.studio.document.gestures import changed
from ialgebra.apps.studio.exploration import Exploration, PageState, asked, begun, decoded, encoded, page, script, taken
from ialgebra.language.reader import parse
from tests import worlds
from tests.studio import documents


def walked(*texts: str) -> Exploration:
    found = begun(texts[0])
    for text in texts[1:]:
        found = taken(found, text)
    return found


def test_undo_and_redo_go_along_the_way_that_was_taken():
    three = walked("a", "b", "c")
    assert (three.text, three.can_undo, three.can_redo) == ("c", True, False)
    two, nothing = steps.undone(three)
    assert (two.text, two.can_undo, two.can_redo, nothing) == ("b", True, True, ())
    one, _ = steps.undone(two)
    assert (one.text, one.can_undo) == ("a", False)
    assert steps.undone(one)[0] == one
    assert steps.redone(steps.redone(one)[0])[0].text == "c"
    assert steps.redone(three)[0] == three


def test_the_same_text_again_is_no_step():
    assert taken(walked("a", "b"), "b") == walked("a", "b")


def test_a_step_after_undo_starts_a_branch_and_the_other_one_stays():
    there = taken(steps.undone(walked("a", "b", "c"))[0], "d", label="layers")
    assert steps.standing(there) == {
        "step": 3,
        "steps": [
            {"n": 0, "parent": None, "text": "a", "label": ""},
            {"n": 1, "parent": 0, "text": "b", "label": ""},
            {"n": 2, "parent": 1, "text": "c", "label": ""},
            {"n": 3, "parent": 1, "text": "d", "label": "layers"},
        ],
        "can_undo": True,
        "can_redo": False,
        "branches": [2, 3],
    }
    back, _ = steps.gone(there, 2)
    assert back.text == "c"
    assert steps.redone(steps.undone(back)[0])[0].text == "c", "redo follows the branch that was last gone to"
    assert steps.redone(steps.undone(there)[0])[0].text == "d"


@pytest.mark.parametrize("step", [-1, 3, True, "1", None, 10**30])
def test_there_is_no_other_step(step):
    with pytest.raises(IalgebraError, match=r"there is no step .*; the steps are 0 to 2"):
        steps.gone(walked("a", "b", "c"), step)


def test_going_to_a_step_gives_windows_their_meaning_of_then():
    made, more = "create window hot as row < 1", "create or replace window hot as row < 2"
    here = taken(taken(begun("a"), "hot", (made,)), "hot", (more,), (made,))
    other = taken(steps.gone(here, 0)[0], "c", ("create window w as hot",))
    assert steps.undone(here)[1] == ("create or replace window hot as row < 1",)
    assert steps.gone(here, 0)[1] == ("create or replace window hot as row < 1",)
    assert steps.gone(other, 2)[1] == ("create or replace window hot as row < 2",)
    assert steps.gone(other, 1)[1] == (), "it means that already"
    assert steps.redone(steps.undone(other)[0])[1] == (), "a window that is there still needs no statement"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("tugr"), st.integers(0, 30)), max_size=25))
def test_undoing_all_returns_to_the_start_from_wherever_one_is(moves):
    found = begun("0")
    for move, number in moves:
        match move:
            case "t":
                percent = number % 3 + 1
                undo = tuple(f"create window w as row < {each}" for each in _meaning(found))
                found = taken(found, str(number), (f"create or replace window w as row < {percent}",), undo)
            case "u":
                found, _ = steps.undone(found)
            case "r":
                found, _ = steps.redone(found)
            case "g":
                found, _ = steps.gone(found, number % len(found.steps))
        assert steps.gone(found, found.at) == (found, ())
    depth = 0
    while found.can_undo:
        found, _ = steps.undone(found)
        depth += 1
        assert depth <= len(found.steps)
    assert found.text == "0"


def _meaning(found: Exploration) -> list[str]:
    return [str(each.where.right.value) for each in found.windows.values()]  # type: ignore[union-attr]


def test_many_steps_are_kept_and_a_page_is_told_of_the_latest():
    found = begun("0")
    for number in range(300):
        found = taken(found, f"{number} " + "x" * 1000)
    told = steps.standing(found)
    assert len(json.dumps(told)) < 100_000
    assert [each["n"] for each in told["steps"]] == list(range(101, 301))  # type: ignore[attr-defined]
    full = replace(found, steps=found.steps * 33 + found.steps[:67])
    with pytest.raises(IalgebraError, match="this page has taken 10,000 steps"):
        taken(full, "one more")


# --- script.sql


def test_a_script_has_a_line_for_each_step_in_the_order_in_which_they_were_asked():
    text = "SELECT * FROM f(x) -- the cat\n  WHERE w; "
    found = asked(asked(begun(text), [text]), ["create window a as w", "select * from f(x) where a"])
    found = asked(asked(found, [text]), [text])
    assert script(found, {"seed": 3, "batch_size": 8}) == (
        "set seed = 3;\n"
        "set batch_size = 8;\n"
        "select * from f(x) where w;\n"
        "create window a as w; select * from f(x) where a;\n"
        "select * from f(x) where w;\n"
    )
    assert len(parse(script(found))) == 4
    with pytest.raises(ialgebra.ParseError):
        asked(found, ["select"])
    assert asked(found, []) == found


SETTINGS = {"seed": 3, "tempo": "interactive", "batch_size": 8}
GESTURES: list[dict[str, object]] = [
    {"do": "window", "shapes": [{"kind": "box", "at": [0, 0, 5, 5]}]},
    {"do": "layers", "layers": [2, "*"]},
    {"do": "target", "class": 1},
    {"do": "hottest", "percent": 30, "name": "hot"},
    {"do": "pin", "input": "y"},
    {"do": "model", "name": "g"},
    {"do": "pin", "input": None},
    {"do": "edit", "edit": "nullify"},
    {"do": "before after", "on": True},
    {"do": "input", "name": "xs"},
    {"do": "rank", "by": "distance", "descending": True, "limit": 2},
]


def test_a_script_of_gestures_gives_every_map_again_bit_for_bit_whatever_was_drawn_and_dropped_between(tmp_path):
    """A script has the steps only. The session also ran what was dragged, cancelled and looked at before, and its rows
    were evaluated in batches of other rows."""
    kept: list[bytes] = []
    with world() as con:
        for name, value in SETTINGS.items():
            con.sql(f"set {name} = {value}")
        found = begun("select * from f(x)")
        for number, gesture in enumerate(GESTURES):
            dragged = f"select * from f(x) where box(0, 0, {2 + number % 4}, 5)"
            dropped = con.submit(dragged)
            next(dropped.updates())
            dropped.cancel()
            con.sql(f"{dragged} budget {5 + number}")
            change = changed(gesture, found.text, con._catalog)
            found = taken(found, change.text, change.statements, change.undo)
            kept += [_bits(con.submit(text).result()) for text in (*change.statements, change.text)]
            found = asked(found, (*change.statements, change.text))
        for _ in range(2):
            found, statements = steps.undone(found)
            for text in (*statements, found.text):
                assert _bits(con.submit(text).result()) in kept
            found = asked(found, (*statements, found.text))
    assert len(found.steps) == len(GESTURES) + 1
    assert len(found.lines) == len(GESTURES), "what was asked before is no line again"
    file = tmp_path / "script.sql"
    file.write_text(script(found, SETTINGS))
    with world() as fresh:
        again = [_bits(answer) for answer in fresh.run(file.read_text()) if len(answer)]
    assert again == [each for each in kept if each]


def world() -> ialgebra.Session:
    """Models whose rows have other bits in batches of one to three than in larger ones."""
    torch.manual_seed(1)
    con = ialgebra.connect(progress=False)
    for name in ("f", "g"):
        con.register_model(name, nn.Sequential(nn.Flatten(), nn.Linear(72, 16), nn.Tanh(), nn.Linear(16, 3)).eval())
        worlds.with_random_heads(con, name, worlds.sample("image", torch.float32))
    for name in ("x", "y"):
        con.register_input(name, worlds.sample("image", torch.float32), players="grid(2, 3)")
    con.register_input("xs", worlds.sample("image", torch.float32, 3), players="grid(2, 2)")
    return con


def test_the_models_of_these_sessions_answer_otherwise_in_small_batches():
    """Otherwise the test above would hold of any script."""
    with world() as con:
        net, rows = con._catalog.models["f"].module, torch.randn(8, 2, 6, 6)
        assert callable(net)
        with torch.inference_mode():
            assert not torch.equal(torch.cat([net(rows[k : k + 2]) for k in range(0, 8, 2)]), net(rows))


def _bits(answer: ialgebra.Relation) -> bytes:
    return b"".join(np.asarray(a.map).tobytes() + np.asarray(a.stderr).tobytes() for a in answer)


# --- one page of HTML


class _Read(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_a_page_shows_picture_map_query_and_script_and_loads_nothing():
    con = documents.session()
    text = 'select * from many("</script>", target => \'</script>\', players => grid(1, 2)) where "select"'
    found = asked(begun(text), [text])
    made = page(con.sql(text), text, found)
    read = _Read()
    read.feed(made)
    assert "script" not in read.tags
    assert text in read.words
    assert "img" in read.tags
    assert any("script.sql" in word for word in read.words)
    for name, value in read.attributes:
        assert not name.startswith("on"), name
        if name in ("src", "href"):
            assert value is not None
            assert value.startswith("data:image/")
    assert not re.search(
        r"url\(|@import|//", re.sub(r'data:[^"]*', "", re.sub(r"<style>.*?</style>", "", made, flags=re.S))
    )
    assert "default-src 'none'" in made


def test_a_page_of_an_answer_in_words_shows_the_words():
    con = documents.session()
    made = page(con.sql("show windows"), "show windows")
    assert "select: col &lt; 3" in made


# --- the state in an address


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200).filter(lambda text: text.isascii() or text.encode("utf-8", "ignore").decode() == text))
def test_an_address_says_its_text_and_seed(text):
    assert decoded(encoded(text, 7)) == PageState(text, 7)
    assert decoded(encoded(text)) == PageState(text, None)
    assert re.fullmatch(r"#q=[\w-]*", encoded(text), re.ASCII)


def of(value: object) -> str:
    return "#q=" + base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "address",
    [
        "#q=",
        "#q=%3Cscript%3E",
        "#q=////",
        "#q=" + "A" * 100_000,
        "#q=" + base64.urlsafe_b64encode(b'{"text": "' + b"\xff" * 9 + b'"}').decode(),
        "#q=é",
        of("text"),
        of({}),
        of({"text": 3}),
        of({"text": "select", "seed": -1}),
        of({"text": "select", "seed": True}),
        of({"text": "select", "seed": 1.5}),
        of({"text": "select", "seed": float("nan")}),
        of({"text": "select", "seed": 2**63}),
        of({"text": "select", "run": "drop"}),
        of({"text": "\ud800"}),
        "#q=" + base64.urlsafe_b64encode(b"[" * 9_000).decode(),
        "#q=" + base64.urlsafe_b64encode(b'{"text": "", "seed": ' + b"9" * 9_000 + b"}").decode(),
    ],
)
def test_an_address_that_says_anything_else_is_refused(address):
    with pytest.raises(IalgebraError, match="was cut or changed, and says no query"):
        decoded(address)


@pytest.mark.parametrize("address", ["", "#", "#top", "#p=3"])
def test_an_address_may_say_nothing(address):
    assert decoded(address) is None
    assert decoded("#p=3&" + of({"text": "a"})[1:]) == PageState("a")


def test_a_text_that_is_too_long_for_an_address_is_refused():
    with pytest.raises(IalgebraError, match=r"export it as script\.sql instead"):
        encoded("x" * 20_000)
