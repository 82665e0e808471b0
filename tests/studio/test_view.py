"""What controls show for a text: the same shapes that a gesture drew, and something for any text."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ialgebra.apps.studio.document.gestures import changed
from ialgebra.apps.studio.document.shapes import described, drawn, predicate, shapes_of
from ialgebra.apps.studio.document.view import viewed
from ialgebra.catalog.catalog import Catalog
from ialgebra.language.reader import parse, parse_predicate
from ialgebra.language.writer import write
from tests import grammar
from tests.grammar import Grammar
from tests.studio import documents


@pytest.fixture
def catalog() -> Catalog:
    return documents.session()._catalog


READ = {
    "box(1, 2, 3, 4)": [{"kind": "box", "at": [1, 2, 3, 4]}],
    "BOX(1, 2, 3, -4.5) or circle(1, 2, 3)": [
        {"kind": "box", "at": [1, 2, 3, -4.5]},
        {"kind": "circle", "at": [1, 2, 3]},
    ],
    "(w or v) and not u and row < 3": [
        {"kind": "name", "name": "w"},
        {"kind": "name", "name": "v"},
        {"kind": "name", "name": "u", "mode": "subtract"},
        {"kind": "text", "text": "row < 3", "mode": "within"},
    ],
    "not w": [{"kind": "name", "name": "w", "mode": "subtract"}],
    "a or (b and c)": [{"kind": "name", "name": "a"}, {"kind": "text", "text": "b and c"}],
    "position between 2 and 5": [{"kind": "span", "at": [2, 5]}],
    "time between 0 and 9": [{"kind": "times", "at": [0, 9]}],
    "depth between 1 and 1": [{"kind": "slices", "at": [1, 1]}],
    "frame between 1 and 2": [{"kind": "frames", "at": [1, 2]}],
    "feature in ('age', 3)": [{"kind": "columns", "names": ["age", 3]}],
    "feature = 'age'": [{"kind": "columns", "names": ["age"]}],
    "feature = other": [{"kind": "text", "text": "feature = other"}],
    "box(1, 2, 3)": [{"kind": "text", "text": "box(1, 2, 3)"}],
    "true": [{"kind": "text", "text": "true"}],
    "row between 2 and 5": [{"kind": "text", "text": "row between 2 and 5"}],
}


@pytest.mark.parametrize("text", READ)
def test_a_window_is_read_as_shapes_which_make_it_again(text):
    where = parse_predicate(text)
    shapes = shapes_of(where)
    assert [described(each) for each in shapes] == READ[text]
    assert predicate(shapes) == where
    assert [described(drawn(each)) for each in READ[text]] == READ[text]


@pytest.mark.parametrize("block", range(2))
def test_any_predicate_is_shapes_that_make_a_predicate_of_the_same_shapes(block):
    for seed in range(100 * block, 100 * (block + 1)):
        where = parse_predicate(Grammar(random.Random(seed)).predicate_text())
        shapes = shapes_of(where)
        made = predicate(drawn(described(each)) for each in shapes)
        assert made is not None
        assert parse_predicate(write(made)) == made
        flat = shapes_of(made)
        assert [described(each) for each in shapes_of(predicate(flat))] == [described(each) for each in flat]


def test_no_shapes_are_no_window():
    assert shapes_of(None) == ()
    assert predicate(()) is None


def test_a_query_is_shown_as_its_controls_say(catalog):
    text = (
        "select 2, conv1 as a, * from f(rotate(nullify(cat, w or box(0, 0, 2, 2)), 15), target => 'it''s', "
        "players => grid(2, 2)) anti join f(cat, players => grid(2, 2), target => 'it''s') where not w budget 40 "
        "error within 12.5% at confidence 99% within 500 milliseconds"
    )
    assert viewed(text, catalog) == {
        "models": ["f"],
        "model": "f",
        "input": "cat",
        "index": None,
        "pin": None,
        "compare": None,
        "before_after": True,
        "target": "it's",
        "layers": [2, "conv1", "*"],
        "shapes": [{"kind": "name", "name": "w", "mode": "subtract"}],
        "window_text": "not w",
        "edits": [
            {
                "edit": "nullify",
                "arguments": [],
                "window": [{"kind": "name", "name": "w"}, {"kind": "box", "at": [0, 0, 2, 2]}],
            },
            {"edit": "rotate", "arguments": [15], "window": None},
        ],
        "rank": None,
        "precision": {"error": 0.125, "confidence": 0.99, "seconds": 0.5, "budget": 40},
        "players": "grid(2, 2)",
        "baseline": None,
        "kind": "image",
        "codes": None,
        "concepts": {"model": "f", "dictionary": None, "playing": False, "target": None, "chosen": []},
        "by_hand": False,
    }


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("select * from f(xs) having index = 2", {"input": "xs", "index": 2, "rank": None}),
        (
            "select * from f(xs) having mass(w) > 0.5 order by distance((select * from f(dog))) desc limit 12",
            {
                "index": None,
                "rank": {
                    "by": "distance",
                    "of": "select * from f(dog)",
                    "descending": True,
                    "limit": 12,
                    "having": "mass(w) > 0.5",
                },
            },
        ),
        (
            "select * from f(cat, baseline => dog) anti join g(cat, baseline => dog)",
            {"models": ["f", "g"], "compare": "g", "pin": {"input": "dog", "index": None}, "baseline": None},
        ),
        (
            "select * from f(rotate(cat, 3), baseline => dog) anti join g(rotate(cat, 3), baseline => dog)",
            {"compare": "g", "pin": None, "baseline": "dog"},
        ),
        ("select * from f(cat, baseline => zeros) anti join g(cat, baseline => zeros)", {"baseline": "zeros"}),
        (
            "select * from f(cat) left join (select * from f(xs) having index = 1)",
            {"pin": {"input": "xs", "index": 1}},
        ),
        ("select * from f(cat) join f(dog)", {"by_hand": True, "models": ["f"], "input": None}),
        ("select * from f(cat) anti join f(dog, players => tile(2))", {"by_hand": True}),
        ("select * from (select 2 from f(cat)) anti join f(dog)", {"by_hand": True}),
        ("select * from f(cat) anti join f(dog) anti join f(row)", {"by_hand": True}),
        ("select * from f(cat) anti join f(rotate(cat, 3))", {"by_hand": True}),
        ("select * from f(cat) anti join f(rotate(dog, 3))", {"by_hand": True}),
        ("select * from v where w", {"by_hand": True, "models": [], "window_text": "w"}),
        ("select * from h(unknown)", {"by_hand": False, "input": "unknown", "kind": None}),
        ("explain select 2 from f(cat)", {"layers": [2]}),
        ("show models; select 4 from f(cat);", {"layers": [4]}),
    ],
)
def test_what_is_shown_of_other_texts(text, part, catalog):
    seen = viewed(text, catalog)
    assert seen is not None
    assert {key: seen[key] for key in part} == part


@pytest.mark.parametrize(
    "text", ["", "select", "show models", "select * frm f(x)", "create window w as row < 2", "\x00"]
)
def test_a_text_that_is_no_query_shows_nothing(text):
    assert viewed(text, Catalog()) is None


@pytest.mark.parametrize("block", range(2))
def test_any_text_is_shown_or_not_but_raises_nothing(block, catalog):
    for seed in range(100 * block, 100 * (block + 1)):
        words = Grammar(random.Random(seed))
        for text in (words.text(), grammar.spoilt(words.rng, words.text())):
            viewed(text, catalog)


@settings(max_examples=60, deadline=None)
@given(st.lists(documents.shapes(), min_size=1, max_size=4))
def test_shapes_that_were_drawn_are_shown_again(shapes):
    catalog = _everything()
    (query,) = parse("select * from f(x)")
    where = predicate(map(drawn, shapes))
    assert where is not None
    text = write(query) + " where " + write(where)
    seen = viewed(text, catalog)
    assert seen is not None
    again = predicate(map(drawn, seen["shapes"]))  # type: ignore[call-overload]
    assert [described(each) for each in shapes_of(again)] == seen["shapes"]


def _everything() -> Catalog:
    return Catalog()


def test_what_a_gesture_drew_is_what_is_shown(catalog):
    text, shown = "select * from f(cat)", list[dict[str, object]]()
    for mode in ("replace", "add", "subtract", "within", "add"):
        shape = {"kind": "circle", "at": [len(shown), 2, 1.5]}
        text = changed({"do": "window", "shapes": [shape], "mode": mode}, text, catalog).text
        shown.append(shape if mode in ("replace", "add") else {**shape, "mode": mode})
        seen = viewed(text, catalog)
        assert seen is not None
        assert seen["shapes"] == shown
