"""The studio's panel of concepts without a browser: the queries that gestures write, and the answers that it shows."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import ialgebra
from ialgebra.apps.studio import concepts, panels
from ialgebra.apps.studio.document import gestures, view
from ialgebra.apps.studio.frames import AnswerFrame
from ialgebra.apps.studio.messages import json_text
from ialgebra.errors import BindError
from tests.studio import dictionaries, serving
from tests.studio.dictionaries import NAMES


@pytest.fixture(scope="module")
def con() -> Iterator[ialgebra.Session]:
    with dictionaries.session() as session:
        yield session


def gesture(con: ialgebra.Session, text: str, **said: object) -> str:
    """The text after a gesture, which is the same one when it is done again, and which means something."""
    after = gestures.changed(said, text, con.catalog()).text
    assert gestures.changed(said, after, con.catalog()).text == after, "done twice is done once"
    return after


def target(con: ialgebra.Session, text: str, name: str, on: bool = True) -> str:
    return gesture(con, text, do="concept target", attribute=name, on=on)


def window(con: ialgebra.Session, text: str, name: str | None, on: bool = True, **more: object) -> str:
    return gesture(con, text, do="concept window", attribute=name, on=on, **more)


def shown(con: ialgebra.Session, text: str) -> tuple[object, object]:
    """The attribute that is explained and those that are looked at, as chips show them."""
    seen = (view.viewed(text, con.catalog()) or {})["concepts"]
    assert isinstance(seen, dict)
    return seen["target"], seen["chosen"]


# --- gestures


def test_a_click_makes_an_attribute_what_is_explained_and_a_second_one_takes_it_back(con):
    text = target(con, "select * from f(x)", "legs")
    assert text == "select * from f.concepts(x, target => 'legs')"
    assert shown(con, text) == ("legs", [])
    assert target(con, text, "in") == "select * from f.concepts(x, target => 'in')"
    assert target(con, text, "in", on=False) == text, "it was not explained"
    assert target(con, text, "legs", on=False) == "select * from f(x)"


def test_a_click_with_shift_looks_at_an_attribute_too(con):
    text = window(con, "select * from f(x, target => 'lynx')", "legs")
    assert text == "select * from f(x, target => 'lynx', players => concepts) where concept in ('legs')"
    text = window(con, text, "in")
    assert text == "select * from f(x, target => 'lynx', players => concepts) where concept in ('legs', 'in')"
    assert shown(con, text) == (None, ["legs", "in"])
    text = window(con, text, "legs", on=False)
    assert shown(con, text) == (None, ["in"])
    text = window(con, text, "in", on=False)
    assert text == "select * from f(x, target => 'lynx', players => concepts)", "none are all"
    assert window(con, text, None, on=False) == "select * from f(x, target => 'lynx')"
    assert window(con, "select * from f(x)", None) == "select * from f(x, players => concepts)"
    assert window(con, "select * from f(x)", "legs", on=False) == "select * from f(x)"


@pytest.mark.parametrize("name", NAMES)
def test_attributes_of_any_name_are_written_so_that_they_are_read_again(con, name):
    text = target(con, "select * from f(x)", name)
    assert shown(con, text) == (name, [])
    con.sql(f"{text} budget 4")
    text = window(con, text, name)
    assert shown(con, text) == (None, [name])
    assert len(con.sql(text)[0].values) == 1


def test_edits_elements_layers_and_pixel_windows_stay_where_they_fit(con):
    text = "select 1, * from f(blur(xs, 1), target => 'lynx', players => grid(4, 4)) where row < 4 having index = 2"
    after = target(con, text, "in")
    assert after == (
        "select * from f.concepts(blur(xs, 1), target => 'in', players => grid(4, 4)) where row < 4 having index = 2"
    )
    assert window(con, after, "legs") == (
        "select * from f(blur(xs, 1), players => concepts) where row < 4 and concept in ('legs') having index = 2"
    )
    pinned = window(con, "select * from f(x) anti join f(y)", "in")
    assert pinned.count("players => concepts") == 2
    assert shown(con, pinned) == (None, ["in"])
    assert window(con, "select * from f(x) anti join bare(x)", "in").count("join") == 0, "it has no attributes"
    assert target(con, "select * from f(x) anti join f(y)", "in").count("join") == 0


def test_conditions_on_attributes_go_with_the_game_that_they_are_of(con):
    text = "select * from f(x, players => concepts) where activation > 0.1 and row < 4 and concept = 'in'"
    assert window(con, text, "in") == text
    assert window(con, text, "legs").endswith("where row < 4 and activation > 0.1 and concept in ('in', 'legs')")
    assert window(con, text, None, on=False) == "select * from f(x) where row < 4"
    assert target(con, text, "in") == "select * from f.concepts(x, target => 'in') where row < 4"
    for said in ({"do": "model", "name": "bare"}, {"do": "model", "name": "two"}):
        assert gesture(con, text, **said) == f"select * from {said['name']}(x) where row < 4"
    assert gesture(con, text, do="input", name="y", index=None) == text.replace("(x", "(y")
    assert gesture(con, text, do="input", name="person", index=None) == (
        "select * from t(person, players => concepts)"
    ), "its model has attributes too"


def test_each_of_several_dictionaries_has_its_own_attributes(con):
    text = window(con, "select * from two(x)", "n3", dictionary="motifs")
    assert text == "select * from two(x, players => concepts('motifs')) where concept in ('n3')"
    assert shown(con, text) == (None, ["n3"])
    assert target(con, text, "n4") == "select * from two.motifs(x, target => 'n4')"
    assert window(con, text, "a1", dictionary="concepts") == (
        "select * from two(x, players => concepts) where concept in ('a1')"
    )
    assert window(con, "select * from two.motifs.g(x)", "n3").startswith("select * from two.motifs.g(x, players => c")


def test_typing_moves_the_chips(con):
    for text, wanted in {
        "select * from f.concepts(x, target => 1)": ("a'1", []),
        "select * from f(x, players => concepts) where concept in (0, 'in') and row < 2": (None, ["legs", "in"]),
        "select * from f(x, players => concepts) where concept in ('in', 'legs') and concept = 'legs'": (
            None,
            ["legs"],
        ),
        "select * from f(x, players => concepts) where not concept = 'in'": (None, []),
        "explain select * from f(x, players => CONCEPTS) where CONCEPT = 'in'": (None, ["in"]),
    }.items():
        assert shown(con, text) == wanted, text
    nothing = {"model": "bare", "dictionary": None, "playing": False, "target": None, "chosen": []}
    assert (view.viewed("select * from bare(x)", con.catalog()) or {})["concepts"] == nothing
    assert (view.viewed("select * from f(x) join f(y)", con.catalog()) or {})["concepts"] is None, "written by hand"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"attribute": "legz", "on": True}, "unknown attribute 'legz'; did you mean 'legs'"),
        ({"attribute": 3, "on": True}, "a attribute is named by a text"),
        ({"attribute": "legs", "on": 1}, "'on'"),
        ({"attribute": "legs", "on": True, "dictionary": "motifs"}, "unknown dictionary of 'f' 'motifs'"),
    ],
)
def test_gestures_that_mean_nothing_are_refused_with_a_sentence(con, said, sentence):
    for do in ("concept target", "concept window"):
        with pytest.raises(BindError, match=sentence):
            gestures.changed({"do": do, **said}, "select * from f(x)", con.catalog())
    with pytest.raises(BindError, match=r"no concepts called 'concepts'; make them with con.fit_concepts\(\"bare\""):
        gestures.changed({"do": "concept window", "attribute": "a", "on": True}, "select * from bare(x)", con.catalog())


# --- answers


def asked(con: ialgebra.Session, text: str, **message: object) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    """What the panel answers for a query, and its arrays."""
    found = concepts.answer(panels.SeenPage(con, text, None, con.sql), message)
    if not isinstance(found, AnswerFrame):
        return json.loads(json_text(found)), {}
    return json.loads(json_text(found.header)), dict(found.arrays)


def test_relevance_is_the_answer_of_the_language(con):
    said, arrays = asked(con, "select * from f(blur(x, 1), target => 'lynx') where row < 4", do="relevance")
    assert said["text"] == "select * from f(blur(x, 1), target => 'lynx', players => concepts)"
    wanted = con.sql(said["text"])[0]
    np.testing.assert_array_equal(arrays["values"], wanted.values)
    np.testing.assert_array_equal(arrays["stderr"], wanted.stderr)
    assert said["unexplained"] == pytest.approx(wanted.unexplained)
    assert said["target"] == "lynx"
    assert said["names"] == list(NAMES)
    blurred = con.sql("predict f.concepts(target => all) from blur(x, 1)").models[0]
    order = np.argsort(blurred.targets)
    np.testing.assert_allclose(arrays["activation"], blurred.target_scores[0][order], rtol=1e-6)


def test_relevance_of_an_attribute_is_that_of_the_model_and_of_a_surrogate_that_of_the_surrogate(con):
    assert asked(con, "select * from f.concepts(x, target => 'in')", do="relevance")[0]["text"] == (
        "select * from f(x, players => concepts)"
    )
    assert asked(con, "select * from f.g(x) anti join f.g(y)", do="relevance")[0]["text"] == (
        "select * from f.g(x, players => concepts)"
    )
    assert asked(con, "select * from two(xs)", do="relevance", dictionary="motifs")[0]["text"] == (
        "select * from two(xs, players => concepts('motifs')) having index = 0"
    )


def test_a_conflict_is_where_the_surrogate_decides_otherwise(con):
    decided = con.sql("predict f, f.g from xs")
    f, g = (each.predicted_names() for each in decided.models)
    assert len({one == other for one, other in zip(f, g, strict=True)}) == 2, "some conflict, and some do not"
    for index, (one, other) in enumerate(zip(f, g, strict=True)):
        said, _ = asked(con, f"select * from f(xs) having index = {index}", do="relevance")
        assert (said["prediction"], said["decision"], said["conflict"]) == (one, other, one != other)


def test_the_most_activating_inputs_are_those_of_the_largest_attribute(con):
    said, arrays = asked(con, "select * from f(x)", do="most", attribute="a'1")
    codes = dictionaries.columns(dictionaries.pictures())[:, 1]
    order = torch.argsort(codes, descending=True)[:4].tolist()
    assert [each["index"] for each in said["items"]] == order
    np.testing.assert_allclose([each["activation"] for each in said["items"]], codes[order], rtol=1e-6)
    assert [each["label"] for each in said["items"]] == [dictionaries.CLASSES[k % 3] for k in order]
    assert arrays["rgb"].shape == (4, 8, 8, 3)
    assert said["collection"] == "xs"
    assert said["of"] == 12


def test_texts_and_tables_are_told_in_words(con):
    said, arrays = asked(con, "select * from words(review)", do="most", attribute="w1")
    assert said["collection"] == "reviews"
    assert said["kind"] == "tokens"
    assert arrays["rgb"].size == 0
    assert all(each["text"] for each in said["items"])
    said, _ = asked(con, "select * from t(person)", do="most", attribute="t1")
    assert said["collection"] == "people"
    assert "age = " in said["items"][0]["text"]
    said, arrays = asked(con, "select * from words(review)", do="where", attribute="w1")
    assert said["maps"][0]["kind"] == "tokens"
    assert len(arrays["values"]) == 6


def test_where_an_attribute_is_has_rows_in_common_with_where_the_others_are(con):
    said, arrays = asked(con, "select * from f(y)", do="where", attribute="a'1")
    assert said["text"] == "select * from f.concepts(y, target => 'a''1') budget 128"
    columns = arrays["values"].reshape(4, 4).sum(0)
    assert np.abs(columns).argmax() == 0, "the attribute is the mean of the second column of pixels"
    rows = con.sql("select * from f.concepts(y, target => 'legs') budget 128").stats.rows
    assert rows == 0, "all maps of attributes are one game"


def test_inputs_without_a_collection_have_no_most_active_ones():
    with ialgebra.connect(progress=False) as alone:
        alone.register_model("f", dictionaries.net(), classes=list(dictionaries.CLASSES))
        alone.register_input("x", dictionaries.pictures()[0])
        alone.sql("predict f from x")
        alone.register_concepts("f", dictionaries.columns, list(NAMES), head=dictionaries.head(3, len(NAMES)))
        assert asked(alone, "select * from f(x)", do="most", attribute="in")[0]["collection"] is None


@pytest.mark.parametrize(
    ("text", "message", "sentence"),
    [
        ("select * from bare(x)", {"do": "relevance"}, "no concepts called 'concepts'; make them with"),
        ("select * from f(x)", {"do": "relevance", "dictionary": "motifs"}, "no concepts called 'motifs'"),
        ("select * from f(x) join f(y)", {"do": "relevance"}, "a form of its own"),
        ("show models", {"do": "relevance"}, "a form of its own"),
        ("select * from f(x)", {"do": "dance"}, "tells relevance, most and where"),
        ("select * from f(x)", {"do": "most", "attribute": 3}, "has no attribute ''"),
    ],
)
def test_what_cannot_be_told_is_refused_with_a_sentence(con, text, message, sentence):
    with pytest.raises(BindError, match=sentence):
        asked(con, text, **message)


def test_gestures_on_attributes_are_steps_and_lines_of_the_script(con):
    with serving.served(con) as running, serving.page(running.url) as page:
        page.hello(url="")
        page.until_status("done")
        told = next(each for each in page.of("catalog")[-1]["panels"] if each["name"] == "concepts")
        assert told["models"]["two"] == ["concepts", "motifs"]
        assert "bare" not in told["models"]
        first = page.of("document")[-1]["text"]
        for do, wanted in {
            "concept target": "select * from f.concepts(x, target => 'a''1')",
            "concept window": "select * from f(x, players => concepts) where concept in ('a''1')",
        }.items():
            document = page.ask("gesture", gesture={"do": do, "attribute": "a'1", "on": True})
            assert document["text"] == wanted
            page.until_status("done", question=document["question"])
            assert "values" in page.ask("panel", panel="concepts", message={"do": "relevance"})["arrays"]
        assert len(document["steps"]) == 3
        exported = serving.get(page.url, page.ask("export", kind="sql")["href"], Cookie=page.cookie).body.decode()
        lines = [each for each in exported.splitlines() if not each.startswith("set ")]
        assert lines == [f"{each['text']};" for each in document["steps"]], "what the panel asked is no line"
        assert page.ask("undo")["text"] == "select * from f.concepts(x, target => 'a''1')"
        assert page.ask("undo")["text"] == first
