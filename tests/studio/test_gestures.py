"""Gestures write queries: the table of gestures, names that need quotes, and any sequence of gestures."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ialgebra
from ialgebra import IalgebraError
from ialgebra.algebra.windows import EVERYTHING, Window
from ialgebra.answering import binding
from ialgebra.apps.studio.document import view
from ialgebra.apps.studio.document.gestures import Change, changed, typed
from ialgebra.catalog.catalog import Catalog
from ialgebra.language import tree
from ialgebra.language.bind.predicates import bind_window
from ialgebra.language.reader import parse
from ialgebra.language.writer import write
from tests.studio import documents

BOX = {"kind": "box", "at": [40, 40, 160, 160]}
CIRCLE = {"kind": "circle", "at": [3, 2.5, 1]}
W = {"kind": "name", "name": "w"}


@pytest.fixture
def con() -> Iterator[ialgebra.Session]:
    """The session of all tests; windows that one of them makes are forgotten after it."""
    session = documents.session()
    before = dict(session._catalog.windows)
    yield session
    session._catalog.windows.clear()
    session._catalog.windows.update(before)


@pytest.fixture(autouse=True)
def quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ialgebra.IalgebraWarning)
        yield


@pytest.fixture
def catalog(con: ialgebra.Session) -> Catalog:
    return con._catalog


WRITTEN: list[tuple[str, dict[str, object], str]] = [
    # what is explained
    ("", {"do": "input", "name": "dog"}, "select * from f(dog)"),
    ("", {"do": "layers", "layers": [2, "*"]}, "select 2, * from f(cat)"),
    ("select * from f(cat)", {"do": "model", "name": "g"}, "select * from g(cat)"),
    ("select * from f(cat)", {"do": "model", "name": "select"}, 'select * from "select"(cat)'),
    ("select * from f(cat)", {"do": "input", "name": "x'"}, "select * from f(x')"),
    ("select * from f(cat)", {"do": "input", "name": "from; drop"}, 'select * from f("from; drop")'),
    ("select * from f(cat)", {"do": "input", "name": 'a "quoted" name'}, 'select * from f("a ""quoted"" name")'),
    ("select * from f(cat)", {"do": "input", "name": "xs", "index": 2}, "select * from f(xs) having index = 2"),
    ("select * from f(xs) having index = 2", {"do": "input", "name": "xs"}, "select * from f(xs)"),
    ("select * from f(xs) having index = 2", {"do": "input", "name": "dog"}, "select * from f(dog)"),
    # against what
    ("select 2 from f(cat)", {"do": "pin", "input": "dog"}, "select 2 from f(cat) anti join f(dog)"),
    ("select 2 from f(cat) anti join f(dog)", {"do": "pin", "input": None}, "select 2 from f(cat)"),
    (
        "select * from f(cat)",
        {"do": "pin", "input": "xs", "index": 1},
        "select * from f(cat) anti join (select * from f(xs) having index = 1)",
    ),
    (
        "select * from f(xs) having index = 0",
        {"do": "pin", "input": "dog"},
        "select * from (select * from f(xs) having index = 0) anti join f(dog)",
    ),
    ("select * from f(cat)", {"do": "compare", "model": "g"}, "select * from f(cat) anti join g(cat)"),
    ("select * from f(cat) anti join g(cat)", {"do": "compare", "model": None}, "select * from f(cat)"),
    ("select * from f(cat) anti join g(cat)", {"do": "model", "name": "g"}, "select * from g(cat)"),
    (
        "select * from f(cat) anti join f(dog)",
        {"do": "compare", "model": "g"},
        "select * from f(cat, baseline => dog) anti join g(cat, baseline => dog)",
    ),
    (
        "select * from f(cat, baseline => dog) anti join g(cat, baseline => dog)",
        {"do": "compare", "model": None},
        "select * from f(cat) anti join f(dog)",
    ),
    (
        "select * from f(cat, baseline => dog) anti join g(cat, baseline => dog)",
        {"do": "pin", "input": None},
        "select * from f(cat) anti join g(cat)",
    ),
    # of which class, layer, players
    ("select * from f(cat)", {"do": "target", "class": "lynx"}, "select * from f(cat, target => 'lynx')"),
    ("select * from f(cat)", {"do": "target", "class": "it's"}, "select * from f(cat, target => 'it''s')"),
    ("select * from f(cat)", {"do": "target", "class": 2}, "select * from f(cat, target => 2)"),
    ("select * from f(cat, target => 'lynx')", {"do": "target", "class": None}, "select * from f(cat)"),
    (
        "select * from f(cat) anti join f(dog)",
        {"do": "target", "class": "lynx"},
        "select * from f(cat, target => 'lynx') anti join f(dog)",
    ),
    (
        "select * from f(cat) anti join g(cat)",
        {"do": "target", "class": "lynx"},
        "select * from f(cat, target => 'lynx') anti join g(cat, target => 'lynx')",
    ),
    ("select * from f(cat)", {"do": "layers", "layers": [2, 4, "*", 2]}, "select 2, 4, * from f(cat)"),
    ("select 2 as early from f(cat)", {"do": "layers", "layers": [2, 4]}, "select 2 as early, 4 from f(cat)"),
    ("select 2 from f(cat)", {"do": "layers", "layers": []}, "select * from f(cat)"),
    (
        "select * from f(cat)",
        {"do": "players", "rows": 2, "columns": 3},
        "select * from f(cat, players => grid(2, 3))",
    ),
    ("select * from f(cat, players => tile(3))", {"do": "players", "text": None}, "select * from f(cat)"),
    (
        "select * from f(cat) anti join f(dog)",
        {"do": "baseline", "text": "blur(2)"},
        "select * from f(cat, baseline => blur(2)) anti join f(dog, baseline => blur(2))",
    ),
    # windows
    (
        "select 2 from f(cat)",
        {"do": "window", "shapes": [BOX], "mode": "replace"},
        "select 2 from f(cat) where box(40, 40, 160, 160)",
    ),
    (
        "select * from f(cat) where w",
        {"do": "window", "shapes": [CIRCLE], "mode": "add"},
        "select * from f(cat) where w or circle(3, 2.5, 1)",
    ),
    (
        "select * from f(cat) where row < 3 or w",
        {"do": "window", "shapes": [CIRCLE], "mode": "subtract"},
        "select * from f(cat) where (row < 3 or w) and not circle(3, 2.5, 1)",
    ),
    (
        "select * from f(cat) where row % 2 = 0",
        {"do": "window", "shapes": [W], "mode": "within"},
        "select * from f(cat) where row % 2 = 0 and w",
    ),
    ("select * from f(cat)", {"do": "window", "shapes": [W], "mode": "subtract"}, "select * from f(cat) where not w"),
    ("select * from f(cat) where w", {"do": "window", "shapes": [], "mode": "clear"}, "select * from f(cat)"),
    (
        "select * from f(cat) where box(0, 0, 2, 2) or w",
        {"do": "move", "index": 0, "by": [3, 1]},
        "select * from f(cat) where box(1, 3, 3, 5) or w",
    ),
    (
        "select * from f(cat) where not circle(3, 3, 1)",
        {"do": "move", "index": 0, "at": [1, 2, 2]},
        "select * from f(cat) where not circle(1, 2, 2)",
    ),
    (
        "select * from words(passage)",
        {"do": "window", "shapes": [{"kind": "span", "at": [1, 3]}]},
        "select * from words(passage) where position between 1 and 3",
    ),
    (
        "select * from t(row)",
        {"do": "window", "shapes": [{"kind": "columns", "names": ["age", "it's"]}]},
        "select * from t(row) where feature in ('age', 'it''s')",
    ),
    (
        "select * from f(wave)",
        {"do": "window", "shapes": [{"kind": "times", "at": [2, 5]}]},
        "select * from f(wave) where time between 2 and 5",
    ),
    (
        "select * from f(scan)",
        {"do": "window", "shapes": [{"kind": "slices", "at": [1, 2]}, {**BOX, "mode": "within"}]},
        "select * from f(scan) where depth between 1 and 2 and box(40, 40, 160, 160)",
    ),
    # edits
    (
        "select * from f(cat) where box(1, 1, 3, 3)",
        {"do": "edit", "edit": "nullify"},
        "select * from f(nullify(cat, box(1, 1, 3, 3)))",
    ),
    (
        "select * from f(nullify(cat, w))",
        {"do": "edit", "edit": "rotate", "arguments": [15]},
        "select * from f(rotate(nullify(cat, w), 15))",
    ),
    (
        "select * from f(rotate(nullify(cat, w), 15))",
        {"do": "edit", "edit": "nullify", "window": [W, CIRCLE]},
        "select * from f(rotate(nullify(cat, w or circle(3, 2.5, 1)), 15))",
    ),
    (
        "select * from f(rotate(nullify(cat, w), 15))",
        {"do": "edit", "edit": "nullify", "remove": True},
        "select * from f(rotate(cat, 15))",
    ),
    ("select * from f(rotate(nullify(cat, w), 15))", {"do": "edit", "edit": "none"}, "select * from f(cat)"),
    (
        "select * from f(cat)",
        {"do": "edit", "edit": "substitute", "arguments": ["dog"], "window": W},
        "select * from f(substitute(cat, w, dog))",
    ),
    (
        "select * from words(passage)",
        {"do": "edit", "edit": "shift", "arguments": [2]},
        "select * from words(shift(passage, 2))",
    ),
    (
        "select 2 from f(nullify(cat, w), target => 'lynx')",
        {"do": "before after", "on": True},
        "select 2 from f(nullify(cat, w), target => 'lynx') anti join f(cat, target => 'lynx')",
    ),
    (
        "select * from f(nullify(cat, w)) anti join f(cat)",
        {"do": "before after", "on": False},
        "select * from f(nullify(cat, w))",
    ),
    (
        "select * from f(noise(cat, 1, 3)) anti join f(cat)",
        {"do": "compare", "model": "g"},
        "select * from f(noise(cat, 1, 3), baseline => cat) anti join g(noise(cat, 1, 3), baseline => cat)",
    ),
    (
        "select * from f(nullify(cat, w)) anti join f(dog)",
        {"do": "before after", "on": True},
        "select * from f(nullify(cat, w)) anti join f(cat)",
    ),
    (
        "select * from f(rotate(cat, 15)) anti join f(cat)",
        {"do": "edit", "edit": "rotate", "arguments": [{"steps": [0, 90, 4]}]},
        "select * from f(each(rotate(cat, steps(0, 90, 4)))) anti join f(cat)",
    ),
    (
        "select * from f(each(rotate(cat, steps(0, 90, 4)))) anti join f(dog)",
        {"do": "pin", "input": None},
        "select * from f(rotate(cat, steps(0, 90, 4)))",
    ),
    (
        "select * from f(rotate(cat, steps(0, 90, 4)))",
        {"do": "rank", "by": "index", "limit": 2},
        "select * from f(rotate(cat, steps(0, 90, 4))) order by index limit 2",
    ),
    (
        "select * from t(row)",
        {"do": "edit", "edit": "assign", "arguments": [3.5], "window": {"kind": "columns", "names": ["age"]}},
        "select * from t(assign(row, feature in ('age'), 3.5))",
    ),
    (
        "select * from f(blur(cat, 1))",
        {"do": "edit", "edit": "brightness", "arguments": [-0.25]},
        "select * from f(brightness(blur(cat, 1), -0.25))",
    ),
    # the multiples, and how exact
    (
        "select * from f(xs) anti join f(dog)",
        {"do": "rank", "by": "distance", "descending": True, "limit": 12},
        "select * from f(xs) order by distance((select * from f(dog))) desc limit 12",
    ),
    (
        "select * from f(xs) having index = 2",
        {"do": "rank", "by": "distance", "limit": 3},
        "select * from f(xs) order by distance((select * from f(xs) having index = 2)) limit 3",
    ),
    (
        "select * from f(xs, target => 'lynx')",
        {"do": "rank", "by": "score", "descending": True},
        "select * from f(xs, target => 'lynx') order by score('lynx') desc",
    ),
    ("select * from f(xs) having index = 2", {"do": "rank", "by": None}, "select * from f(xs) having index = 2"),
    ("select * from f(xs) anti join g(xs)", {"do": "rank", "by": None}, "select * from f(xs) anti join g(xs)"),
    ("select * from f(xs)", {"do": "rank", "by": "entropy"}, "select * from f(xs) order by entropy()"),
    (
        "select * from f(xs) where w",
        {"do": "rank", "by": "mass", "limit": 2, "having": "prediction = 'lynx'"},
        "select * from f(xs) having prediction = 'lynx' order by mass(w) limit 2",
    ),
    ("select * from f(xs) order by mass(w) limit 2", {"do": "rank", "by": None, "limit": None}, "select * from f(xs)"),
    (
        "select * from f(cat)",
        {"do": "precision", "error": 0.1, "seconds": 2, "budget": 500},
        "select * from f(cat) budget 500 error within 10% within 2 seconds",
    ),
    (
        "select * from f(cat) budget 500 error within 10% at confidence 99% within 2 seconds",
        {"do": "precision", "error": None, "seconds": None},
        "select * from f(cat) budget 500",
    ),
    # texts by hand
    (
        "select * from (select 2 from f(xs))",
        {"do": "rank", "by": "index", "descending": True, "limit": 2, "having": "mass(w) > 0.1"},
        "select * from (select 2 from f(xs)) having mass(w) > 0.1 order by index desc limit 2",
    ),
    (
        "select * from f(cat) join f(dog)",
        {"do": "precision", "error": 0.1, "confidence": 0.99},
        "select * from f(cat) join f(dog) error within 10% at confidence 99%",
    ),
    ("show models; SELECT 2 FROM f(cat)", {"do": "layers", "layers": ["*"]}, "show models; select * from f(cat)"),
    ("explain analyze select 2 from f(cat)", {"do": "layers", "layers": [4]}, "explain analyze select 4 from f(cat)"),
    (
        "select * from f(cat) join f(dog) on weight = .25",
        {"do": "window", "shapes": [W]},
        "select * from f(cat) join f(dog) on weight = .25 where w",
    ),
    ("select * frm f(cat)", {"do": "input", "name": "dog"}, "select * from f(dog)"),
    ("show models", {"do": "model", "name": "g"}, "select * from g(cat)"),
]


@pytest.mark.parametrize(("before", "gesture", "after"), WRITTEN)
def test_a_gesture_writes_its_query_and_doing_it_again_changes_nothing(before, gesture, after, catalog):
    assert changed(gesture, before, catalog) == Change(after)
    if "by" not in gesture or gesture["do"] == "rank":
        assert changed(gesture, after, catalog) == Change(after)


def test_a_gesture_that_changes_nothing_leaves_the_text_as_it_was_typed(catalog):
    typed = "SELECT  *  FROM f(cat) -- my cat\nwhere w"
    assert changed({"do": "layers", "layers": ["*"]}, typed, catalog).text == typed


def test_what_does_not_fit_another_model_or_input_is_left_out_and_no_more(catalog):
    def of(gesture: dict[str, object], text: str) -> str:
        return changed(gesture, text, catalog).text

    lynx = "select 2 from f(cat, target => 'lynx', players => grid(2, 2)) where w budget 40"
    assert of({"do": "model", "name": "g"}, lynx) == lynx.replace("f(", "g(")
    assert of({"do": "model", "name": "many"}, lynx) == (
        "select * from many(cat, target => 'lynx', players => grid(2, 2)) where w budget 40"
    )
    assert of({"do": "model", "name": "select"}, lynx) == (
        'select * from "select"(cat, players => grid(2, 2)) where w budget 40'
    )
    assert of({"do": "input", "name": "passage"}, "select 2 from f(rotate(cat, 3)) where w budget 40") == (
        "select * from words(passage) budget 40"
    )
    assert of({"do": "input", "name": "wave"}, "select * from f(rotate(cat, 3)) anti join g(rotate(cat, 3))") == (
        "select * from f(wave) anti join g(wave)"
    ), "no model was run with such inputs"


def test_an_input_of_another_form_is_explained_by_a_model_that_was_run_with_such_inputs(catalog):
    for name, text in {
        "row": "select * from t(row)",
        "passage": "select * from words(passage)",
        "dog": 'select * from "select"(dog)',
        "wave": 'select * from "select"(wave)',
    }.items():
        assert changed({"do": "input", "name": name}, 'select * from "select"(cat)', catalog).text == text


def test_classes_without_names_are_chosen_by_what_they_are_called(catalog):
    text = changed({"do": "target", "class": "class 2"}, "select * from t(row)", catalog).text
    assert text == "select * from t(row, target => 2)"
    seen = view.viewed(text, catalog)
    assert seen is not None
    assert seen["target"] == "class 2"
    seen = view.viewed("select * from f(cat, target => 2)", catalog)
    assert seen is not None
    assert seen["target"] == "it's"


def test_naming_a_window_makes_it_once_and_uses_it(con, catalog):
    text = "select * from f(cat) where box(1, 1, 3, 3) or w"
    named = changed({"do": "name", "name": "part"}, text, catalog)
    assert named == Change("select * from f(cat) where part", ("create window part as box(1, 1, 3, 3) or w",))
    assert changed({"do": "name", "name": "part"}, named.text, catalog) == Change(named.text)
    con.sql(named.statements[0])
    assert changed({"do": "name", "name": "part"}, text, catalog) == Change(named.text)
    with pytest.raises(IalgebraError, match="there is a window 'part' already; choose another name"):
        changed({"do": "name", "name": "part"}, "select * from f(cat) where row < 1", catalog)
    again = changed({"do": "name", "name": "part", "replace": True}, "select * from f(cat) where row < 1", catalog)
    assert again.statements == ("create or replace window part as row < 1",)
    (back,) = again.undo
    con.sql(again.statements[0])
    assert con._catalog.windows["part"] != window_of(con, text)
    con.sql(back)
    assert con._catalog.windows["part"] == window_of(con, text)


def window_of(con: ialgebra.Session, text: str) -> Window:
    (query,) = parse(text)
    assert isinstance(query, tree.Query)
    assert query.where is not None
    return bind_window(query.where, con._catalog.windows, None)


def test_a_window_that_no_statement_makes_is_not_replaced(con, catalog):
    con.register_window("mask", np.eye(6, dtype=bool))
    text = "select * from f(cat) where row < 1"
    with pytest.raises(IalgebraError, match="the window 'mask' was registered as a mask and would be lost"):
        changed({"do": "name", "name": "mask", "replace": True}, text, catalog)


def test_the_hottest_part_of_the_map_that_is_shown_becomes_the_window(con, catalog):
    text = "select 2 as early, * from f(cat, target => 'lynx') anti join f(dog) where box(0, 0, 4, 4) budget 40"
    hot = {"do": "hottest", "percent": 25, "name": "hot"}
    made = changed(hot, text, catalog)
    assert made.text == "select 2 as early, * from f(cat, target => 'lynx') anti join f(dog) where hot budget 40"
    region = "top({} percent, select * from f(cat, target => 'lynx') where box(0, 0, 4, 4) budget 40)"
    assert made.statements == ("create window hot as " + region.format(25),)
    con.sql(made.statements[0])
    assert changed(hot, made.text, catalog) == Change(made.text)
    assert changed(hot, text, catalog) == Change(made.text)
    more = changed({**hot, "percent": 50}, made.text, catalog)
    now, then = ("create or replace window hot as " + region.format(percent) for percent in (50, 25))
    assert more == Change(made.text, (now,), (then,))


def test_what_is_typed_before_a_query_is_run_once_and_can_be_taken_back(con, catalog):
    text = "create or replace window w as row < 1; DROP WINDOW w; show models;\n select 2 from f(cat) -- mine\n;"
    again = "create or replace window w as row < 3"
    assert typed(text, catalog) == Change(
        "select 2 from f(cat)",
        ("create or replace window w as row < 1", "DROP WINDOW w", "show models"),
        (again, again),
    )
    for alone in ("SELECT * from f(cat) ;", "show models; show inputs", "drop window w"):
        assert typed(alone, catalog) == Change(alone)
    with pytest.raises(ialgebra.ParseError):
        typed("show models; select", catalog)


HOSTILE = [
    "\ud800",
    "\x00",
    "\u202e",
    "a" * 100_000,
    "'",
    '"',
    "--",
    "/*",
    "*/",
    ";",
    "\n",
    "x'y",
    "1",
    "",
    "true",
    "…",
]


@pytest.mark.parametrize("word", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_word_is_a_name_or_refused_in_a_short_sentence_wherever_it_stands(word, catalog):
    on_images, on_a_table = "select * from f(cat) where row < 3", "select * from t(row)"
    shape: dict[str, object] = {"kind": "columns", "names": [word]}
    for gesture, text in [
        ({"do": word}, ""),
        ({"do": "input", "name": word}, ""),
        ({"do": "target", "class": word}, ""),
        ({"do": "layers", "layers": [word]}, ""),
        ({"do": "baseline", "text": word}, ""),
        ({"do": "players", "text": word}, ""),
        ({"do": "name", "name": word}, on_images),
        ({"do": "hottest", "percent": 5, "name": word}, on_images),
        ({"do": "window", "shapes": [{"kind": "text", "text": word}]}, on_images),
        ({"do": "window", "shapes": [{"kind": "name", "name": word}]}, on_images),
        ({"do": "window", "shapes": [shape]}, on_a_table),
        ({"do": "edit", "edit": "clip", "arguments": [word, 1]}, on_images),
        ({"do": "rank", "by": "score", "of": word}, "select * from f(xs)"),
        ({"do": "rank", "having": word}, "select * from f(xs)"),
        ({"do": "layers", "layers": [2]}, word),
    ]:
        try:
            change = changed(gesture, text, catalog)
        except IalgebraError as refused:
            said = refused.message
            assert len(said.encode()) < 2000
            continue
        statements = parse(change.text)
        assert len(statements) == 1
        assert change.text.encode()


REFUSED: list[tuple[str, object, str]] = [
    ("", {"do": "fly"}, "unknown gesture 'fly'"),
    ("", "window", "a gesture is said as"),
    ("", {"do": 3}, "a gesture is said as"),
    ("select * frm f(cat)", {"do": "layers", "layers": [2]}, "mend the text first: expected ',', AS or FROM"),
    ("show models", {"do": "target", "class": "lynx"}, "the text is no query of maps"),
    ("", {"do": "model", "name": "h"}, "unknown model 'h'"),
    ("", {"do": "input", "name": "kat"}, "unknown input 'kat'; did you mean 'cat'?"),
    ("", {"do": "input", "name": "xs", "index": 3}, "the number of an input of 'xs'"),
    ("", {"do": "input", "name": "cat", "index": 0}, "'cat' is one input, no collection"),
    ("select * from f(cat)", {"do": "pin", "input": "cat"}, "'cat' is the input that is shown already"),
    ("select * from f(cat)", {"do": "compare", "model": "f"}, "'f' is the model that is shown already"),
    ("select * from f(cat)", {"do": "target", "class": "linx"}, "did you mean 'lynx'"),
    ("select * from f(cat)", {"do": "layers", "layers": [99]}, "layer"),
    ("select * from f(cat)", {"do": "layers", "layers": "2"}, "layers are a list"),
    ("select * from f(cat)", {"do": "layers", "layers": [True]}, "a layer must be a whole number"),
    ("select * from f(cat)", {"do": "window", "shapes": [{"kind": "blob"}]}, "unknown shape 'blob'"),
    ("select * from f(cat)", {"do": "window", "shapes": [{"kind": "box", "at": [1, 2]}]}, "has 4 numbers"),
    ("select * from f(cat)", {"do": "window", "shapes": [{"kind": "box", "at": [1, 2, 3, "4"]}]}, "must be a number"),
    ("select * from f(cat)", {"do": "window", "shapes": [{"kind": "box", "at": [1, 2, 3, 1e400]}]}, "finite number"),
    ("select * from f(cat)", {"do": "window", "shapes": [{"kind": "text", "text": "row <"}]}, "expected"),
    ("select * from f(cat)", {"do": "window", "shapes": [{"kind": "name", "name": "v"}]}, "unknown window 'v'"),
    ("select * from t(row)", {"do": "window", "shapes": [BOX]}, "box is for images"),
    ("select * from f(cat)", {"do": "window", "shapes": [], "mode": "xor"}, "unknown mode of a window 'xor'"),
    ("select * from f(cat) where w", {"do": "move", "index": 0, "by": [1, 1]}, "has no place"),
    ("select * from f(cat) where w", {"do": "move", "index": 1, "by": [1, 1]}, "there is no shape 1"),
    ("select * from f(cat)", {"do": "name", "name": "v"}, "there is no window to name"),
    ("select * from f(cat) where row < 2", {"do": "name", "name": "\n"}, "cannot name a window"),
    ("select * from f(cat) where row < 2", {"do": "name", "name": "true"}, "cannot name a window"),
    ("select * from f(xs)", {"do": "hottest", "percent": 10}, "choose one input"),
    ("select * from f(cat)", {"do": "hottest", "percent": 0}, "more than 0 and at most 100"),
    ("select * from f(cat)", {"do": "edit", "edit": "melt"}, "unknown edit 'melt'"),
    ("select * from f(cat)", {"do": "edit", "edit": "nullify"}, "nullify works on a window; draw one first"),
    ("select * from f(cat)", {"do": "edit", "edit": "rotate"}, "needs its degrees"),
    ("select * from f(cat)", {"do": "edit", "edit": "rotate", "arguments": [1, 2]}, "is left over"),
    ("select * from f(cat)", {"do": "edit", "edit": "clip", "arguments": [1, -1]}, "clip needs low ≤ high"),
    ("select * from words(passage)", {"do": "edit", "edit": "rotate", "arguments": [1]}, "rotate means nothing for"),
    ("select * from f(cat)", {"do": "before after", "on": True}, "there is no edit to compare with"),
    ("select * from f(cat)", {"do": "before after", "on": 1}, "'on' must be True or False"),
    ("select * from f(cat)", {"do": "rank", "by": "mass"}, "choose a collection"),
    ("select * from f(xs)", {"do": "rank", "by": "mass"}, "draw one first"),
    ("select * from f(xs)", {"do": "rank", "by": "size"}, "unknown order 'size'"),
    ("select * from f(xs)", {"do": "rank", "by": "score"}, "choose a class first"),
    ("select * from f(xs) order by score()", {"do": "rank", "by": "score"}, "choose a class first"),
    ("select * from f(xs)", {"do": "rank", "limit": 0}, "a limit must be at least 1"),
    ("select * from f(cat)", {"do": "precision", "error": 10}, "a fraction of at most 1"),
    ("select * from f(cat)", {"do": "precision", "budget": 1}, "a budget must be at least 2"),
    ("select * from f(cat)", {"do": "precision", "seconds": 0}, "more than 0 seconds"),
    ("select * from f(cat)", {"do": "players", "text": "grid(0, 1)"}, "at least 1"),
    ("select * from f(cat)", {"do": "players", "text": 4}, "players are said by a text"),
    ("select * from f(cat)", {"do": "baseline", "text": "nothing"}, "unknown baseline 'nothing'"),
    ("select * from f(cat) join f(dog)", {"do": "target", "class": 1}, "written in a form of its own"),
    ("select * from f(cat) join f(dog)", {"do": "rank", "by": "index"}, "this query has one map"),
    ("select * from f(cat) join f(dog)", {"do": "edit", "edit": "none"}, "written in a form of its own"),
    ("select * from f(cat) join f(dog)", {"do": "hottest", "percent": 3}, "written in a form of its own"),
    (
        "select * from f(nullify(cat, w)) anti join f(cat)",
        {"do": "compare", "model": "g"},
        "take the second model or nullify off first",
    ),
]


@pytest.mark.parametrize(("text", "gesture", "message"), REFUSED)
def test_what_cannot_be_is_refused_with_a_sentence_that_says_what_to_do(text, gesture, message, catalog):
    with pytest.raises(IalgebraError) as refused:
        changed(gesture, text, catalog)
    assert message in refused.value.message
    assert refused.value.span is None, "it stands in no text that the page shows"


def test_without_models_or_inputs_there_is_nothing_to_explain():
    with pytest.raises(IalgebraError, match="register a model and an input first"):
        changed({"do": "layers", "layers": [2]}, "", Catalog())


STARTS = [
    "select 2, * from f(cat, target => 'lynx') where box(0, 0, 3, 3) or not w",
    "select * from f(rotate(nullify(dog, w), 5)) anti join f(dog) budget 40",
    "select * from f(xs) having index in (0, 2) order by mass(w) limit 2",
    "select * from words(passage) where position between 1 and 2",
    "select * from t(table)",
    "",
]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(STARTS), st.lists(documents.gestures(), min_size=3, max_size=10))
def test_any_gestures_one_after_the_other_write_texts_that_bind_and_the_same_again_changes_nothing(text, sequence):
    known = documents.session()._catalog.snapshot()
    for gesture in sequence:
        try:
            change = changed(gesture, text, known)
        except IalgebraError:
            continue
        for statement in change.statements:
            (made,) = parse(statement)
            assert isinstance(made, tree.CreateWindow)
            known.windows[made.name.value] = EVERYTHING  # as if it had been run
        text = change.text
        (query,) = parse(text)
        assert isinstance(query, tree.Query)
        assert text in (*STARTS, write(query))
        with suppress(ialgebra.ModelError):  # a model that does not take such inputs, which only a run of it tells
            binding.bind(query, text, known)
        seen = view.viewed(text, known)
        assert seen is not None
        assert not seen["by_hand"]
        if gesture["do"] == "rank" or "by" not in gesture:
            assert changed(gesture, text, known).text == text, gesture
