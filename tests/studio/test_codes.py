"""Gestures that move an input in a generator's space of codes write queries, and queries move what the page shows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ialgebra
from ialgebra import IalgebraError
from ialgebra.apps.studio.document import view
from ialgebra.apps.studio.document.gestures import changed
from ialgebra.catalog.catalog import Catalog
from ialgebra.errors import BindError
from ialgebra.language.reader import parse
from ialgebra.language.writer import write
from tests import digits

pytest.importorskip("sklearn")

Codes = dict[str, object]
LIGHT = "'" + digits.LIGHT.replace("'", "''") + "'"


@pytest.fixture(scope="module")
def con() -> Iterator[ialgebra.Session]:
    with digits.session() as con:
        yield con


@pytest.fixture(scope="module")
def catalog(con: ialgebra.Session) -> Catalog:
    return con.catalog()


def codes(text: str, catalog: Catalog) -> Codes:
    seen = view.viewed(text, catalog)
    assert seen is not None
    found = seen["codes"] or {"moves": {}, "mixes": []}
    assert isinstance(found, dict)
    return found


AFTER = "select * from f(latent(x, 'eight', 1.5)) budget 60"
KEPT = "select * from f(latent(x, 'eight', 1.5, keep => residual)) budget 60"
WRITTEN: list[tuple[str, Codes, str]] = [
    # along axes
    ("select * from f(x) budget 60", {"do": "axis", "axis": "eight", "t": 1.50049}, AFTER),
    (AFTER, {"do": "axis", "axis": "eight", "t": -2}, AFTER.replace("1.5", "-2")),
    (AFTER, {"do": "axis", "axis": "eight", "t": 0}, "select * from f(x) budget 60"),
    (AFTER, {"do": "axis", "axis": "eight", "t": 0.0004}, "select * from f(x) budget 60"),
    (
        AFTER,
        {"do": "axis", "axis": digits.LIGHT, "t": -0.1},
        f"select * from f(latent(latent(x, 'eight', 1.5), {LIGHT}, -0.1)) budget 60",
    ),
    (
        AFTER,
        {"do": "axis", "axis": "eight", "t": {"steps": [-2, 2, 5]}},
        AFTER.replace("1.5", "steps(-2, 2, 5)"),
    ),
    (
        "select * from f(blur(latent(x, 'eight', 1), 2))",
        {"do": "axis", "axis": digits.LIGHT, "t": 1},
        f"select * from f(blur(latent(latent(x, 'eight', 1), {LIGHT}, 1), 2))",
    ),
    # two moves along one axis: the slider is the last one's
    (
        "select * from f(latent(latent(x, 'eight', 1), 'eight', 2))",
        {"do": "axis", "axis": "eight", "t": 0.5},
        "select * from f(latent(latent(x, 'eight', 1), 'eight', 0.5))",
    ),
    # levels of other inputs
    (
        AFTER,
        {"do": "mix", "level": 2, "source": "y"},
        "select * from f(latent(mix(x, y, layers => 2), 'eight', 1.5)) budget 60",
    ),
    (
        "select * from f(mix(x, y, layers => (1, 3)))",
        {"do": "mix", "level": 2, "source": "y"},
        "select * from f(mix(x, y, layers => (1, 2, 3)))",
    ),
    (
        "select * from f(mix(x, y, layers => (1, 2, 3)))",
        {"do": "mix", "level": 4, "source": "y"},
        "select * from f(mix(x, y))",
    ),
    (
        "select * from f(mix(x, y))",
        {"do": "mix", "level": 4, "source": None},
        "select * from f(mix(x, y, layers => (1, 2, 3)))",
    ),
    ("select * from f(mix(x, y))", {"do": "mix", "source": "y", "p": 0.25}, "select * from f(mix(x, y, p => 0.25))"),
    ("select * from f(mix(x, y, p => 0.25))", {"do": "mix", "source": "y", "p": 1}, "select * from f(mix(x, y))"),
    ("select * from f(mix(x, y, layers => 4))", {"do": "mix", "level": 4, "source": "x"}, "select * from f(x)"),
    # to another class
    (
        "select * from f(x)",
        {"do": "counterfactual", "class": "8"},
        "select * from f(counterfactual(x, target => '8', model => f))",
    ),
    (
        KEPT,
        {"do": "counterfactual", "class": "8", "model": "g", "margin": 1},
        "select * from f(counterfactual(latent(x, 'eight', 1.5, keep => residual), target => '8', model => g, "
        "margin => 1, keep => residual)) budget 60",
    ),
    (
        "select * from f(counterfactual(x, target => '8', model => f))",
        {"do": "counterfactual", "class": None},
        "select * from f(x)",
    ),
    # what holds for all of them
    (AFTER, {"do": "keep", "residual": True}, KEPT),
    (KEPT, {"do": "keep", "residual": False}, AFTER),
    (AFTER, {"do": "keep", "within": 0.33}, AFTER.replace("1.5)", "1.5, within => 0.33)")),
    (
        KEPT,
        {"do": "axis", "axis": digits.LIGHT, "t": 1},
        f"select * from f(latent(latent(x, 'eight', 1.5, keep => residual), {LIGHT}, 1, keep => residual)) budget 60",
    ),
    # end points, and the order of a collection
    (
        AFTER,
        {"do": "end point", "on": True},
        "select * from f(latent(x, 'eight', 1.5), baseline => latent(x, 'eight', 1.5)) budget 60",
    ),
    (
        "select * from f(latent(x, 'eight', 1), baseline => latent(x, 'eight', -1))",
        {"do": "end point", "on": False},
        "select * from f(latent(x, 'eight', 1))",
    ),
    (
        AFTER,
        {"do": "sort", "collection": "xs", "class": "8"},
        "select * from f(latent(xs, 'eight', 1.5)) order by score('8') desc limit 12 budget 60",
    ),
]


@pytest.mark.parametrize(("before", "gesture", "after"), WRITTEN)
def test_a_gesture_writes_its_query_and_doing_it_again_changes_nothing(before, gesture, after, catalog):
    assert changed(gesture, before, catalog).text == after
    assert write(parse(after)[0]) == after
    if gesture["do"] != "end point":
        assert changed(gesture, after, catalog).text == after


def test_a_text_that_was_typed_moves_the_sliders(catalog):
    text = (
        "select * from f(latent(latent(mix(x, y, layers => (1, 2), p => .5), 'eight', 1.25, keep => residual), "
        f"{LIGHT}, steps(-1, 1, 3)), baseline => latent(x, 'eight', -1), target => '8') budget 60"
    )
    found = codes(text, catalog)
    assert found == {
        "moves": {"eight": 1.25, digits.LIGHT: {"steps": [-1, 1, 3]}},
        "mixes": [{"source": "y", "levels": [1, 2], "p": 0.5}],
        "counterfactual": None,
        "keep": True,
        "within": None,
        "end": "latent(x, 'eight', -1)",
    }
    assert codes("select * from f(mix(x, latent(y, 'eight', 1)))", catalog)["mixes"] == [
        {"source": "latent(y, 'eight', 1)", "levels": [], "p": 1}
    ]


REFUSED: list[tuple[str, Codes, str]] = [
    (AFTER, {"do": "axis", "axis": "eigth", "t": 1}, "did you mean 'eight'"),
    (AFTER, {"do": "axis", "axis": "eight", "t": "1"}, "must be a number"),
    (AFTER, {"do": "axis", "axis": "eight", "t": math.nan}, ""),
    (AFTER, {"do": "axis", "axis": "eight", "t": 1e9}, "between"),
    (AFTER, {"do": "axis", "axis": "eight", "t": {"steps": [1]}}, "a sweep is said as"),
    (AFTER, {"do": "mix", "level": 5, "source": "y"}, "between 1 and 4"),
    (AFTER, {"do": "mix", "level": 1, "source": "xs"}, "not a collection"),
    (AFTER, {"do": "mix", "level": 1, "source": "review"}, ""),
    (AFTER, {"do": "mix", "source": "y", "p": 0.5}, "choose one of its levels first"),
    (AFTER, {"do": "mix", "level": 1, "source": "y", "generator": "H"}, "unknown generator 'H'"),
    (AFTER, {"do": "counterfactual", "class": 8}, "named by a text"),
    (AFTER, {"do": "counterfactual", "class": "8", "model": "nobody"}, "unknown model"),
    ("select * from f(x)", {"do": "keep", "residual": True}, "move a slider first"),
    (AFTER.replace("1.5", "steps(0, 1, 2)"), {"do": "end point", "on": True}, "a sweep is several inputs"),
    ("select * from f(latent(xs, 'eight', 1)) having index = 3", {"do": "end point", "on": True}, "registered alone"),
    (AFTER, {"do": "sort", "collection": "x", "class": "8"}, "one input"),
    ("select * from words(review)", {"do": "axis", "axis": "eight", "t": 1}, ""),
    ("select * from (select * from f(x)) join f(y)", {"do": "axis", "axis": "eight", "t": 1}, "a form of its own"),
]


@pytest.mark.parametrize(("text", "gesture", "said"), REFUSED)
def test_what_cannot_be_is_refused_with_a_sentence(text, gesture, said, catalog):
    with pytest.raises(IalgebraError) as caught:
        changed(gesture, text, catalog)
    assert said in caught.value.message


def test_of_two_generators_of_such_inputs_the_gesture_names_one():
    with digits.session(levels=2, components=8) as con:
        con.register_generator("other one", con.catalog().generator("G").generator, collection="xs")
        catalog = con.catalog()
        mixed = {"do": "mix", "level": 1, "source": "y", "generator": "other one"}
        after = 'select * from f(mix(x, y, layers => 1, generator => "other one"))'
        assert changed(mixed, "select * from f(x)", catalog).text == after
        with pytest.raises(BindError, match="say which"):
            changed({"do": "mix", "level": 1, "source": "y"}, "select * from f(x)", catalog)


MOVES = st.builds(
    lambda axis, t: {"do": "axis", "axis": axis, "t": t},
    st.sampled_from(["eight", digits.LIGHT]),
    st.floats(-4, 4) | st.just({"steps": [-1, 1, 3]}),
)
MIXES = st.builds(
    lambda level, source: {"do": "mix", "level": level, "source": source},
    st.integers(1, 4),
    st.sampled_from(["y", "x", None]),
)
OTHERS = st.sampled_from(
    [
        {"do": "mix", "source": "y", "p": 0.5},
        {"do": "keep", "residual": True},
        {"do": "keep", "residual": False},
        {"do": "keep", "within": 0.5},
        {"do": "counterfactual", "class": "8"},
        {"do": "counterfactual", "class": None},
        {"do": "end point", "on": True},
        {"do": "end point", "on": False},
        {"do": "edit", "edit": "rotate", "arguments": [15]},
        {"do": "edit", "edit": "none"},
        {"do": "input", "name": "y", "index": None},
        {"do": "input", "name": "x", "index": None},
        {"do": "before after", "on": True},
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(MOVES | MIXES | OTHERS, min_size=1, max_size=8))
def test_any_sequence_of_gestures_writes_queries_whose_sliders_are_where_the_hand_left_them(catalog, several):
    text = "select * from f(x) budget 60"
    for gesture in several:
        with suppress(IalgebraError):
            text = changed(gesture, text, catalog).text
            assert write(parse(text)[0]) == text
            seen = codes(text, catalog)
            if gesture["do"] == "axis":
                t = gesture["t"]
                wanted = t if isinstance(t, dict) else round(t, 3) or None
                assert seen["moves"].get(gesture["axis"]) == wanted  # type: ignore[attr-defined]
            if gesture["do"] == "mix" and "level" in gesture:
                level, source = gesture["level"], gesture["source"]
                own = view.viewed(text, catalog)["input"]  # type: ignore[index]
                from_ = [each["source"] for each in seen["mixes"] if level in (each["levels"] or range(1, 5))]  # type: ignore[attr-defined]
                assert from_ == ([] if source in (None, own) else [source])
