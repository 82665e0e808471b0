"""What is sent: frames byte by byte, inputs of every kind as a page shows them, the catalog bounded in size."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import torch
from torch import nn

import ialgebra
from ialgebra.apps.studio import contents, described, frames, messages
from ialgebra.errors import IalgebraError
from ialgebra.results import pixels
from tests.relations import attribution, relation

# --- frames


def test_a_frame_is_its_header_s_length_the_header_and_the_arrays():
    raw = messages.frame({"type": "map", "x": 1.5}, [("a", np.array([1.0, -2.0])), ("b", np.array([[7]]))])
    (length,) = struct.unpack_from("<I", raw)
    assert length % 4 == 0
    header = json.loads(raw[4 : 4 + length])
    assert header == {
        "type": "map",
        "x": 1.5,
        "arrays": [{"name": "a", "dtype": "float32", "shape": [2]}, {"name": "b", "dtype": "int32", "shape": [1, 1]}],
    }
    assert raw[4 + length :] == struct.pack("<ffi", 1.0, -2.0, 7)


def test_a_frame_is_read_as_it_was_written():
    given = {
        "f": np.array([np.inf, -np.inf, 0.0, 1e300]),
        "i": np.arange(-3, 3, dtype=np.int64).reshape(2, 3)[:, ::-1],
        "u": np.arange(5, dtype=np.uint8),
        "none": np.zeros((0, 4)),
    }
    header, found = messages.unframed(messages.frame({"type": "x"}, list(given.items())))
    assert header["type"] == "x"
    assert found["f"].tolist() == [np.inf, -np.inf, 0.0, np.inf]
    assert found["i"].tolist() == [[-1, -2, -3], [2, 1, 0]]
    assert found["u"].tolist() == [0, 1, 2, 3, 4]
    assert found["none"].shape == (0, 4)
    with pytest.raises(ValueError, match="frame"):
        messages.unframed(messages.frame({}, []) + b"x")


def test_numbers_that_json_does_not_have_are_null():
    said = {"a": [np.float32(np.inf), float("nan"), np.int64(3), True, None, "é\ud800"], "b": {"c": (1, 2.5)}}
    text = messages.json_text(said)
    assert text.isascii()
    assert json.loads(text) == {"a": [None, None, 3, True, None, "é\ud800"], "b": {"c": [1, 2.5]}}


def test_a_request_is_read_with_care():
    asked = messages.request('{"type": "x", "id": 3, "n": 5, "t": "é", "m": {"a": [1]}}')
    assert (asked.type, asked.id, asked.number("n", 0), asked.text("t"), asked.mapping("m")) == (
        "x", 3, 5, "é", {"a": [1]},
    )  # fmt: skip
    assert (asked.number("none", 7), asked.text("none", "y")) == (7, "y")
    for wrong in (lambda: asked.number("t", 0), lambda: asked.text("n"), lambda: asked.mapping("n"),
                  lambda: asked.number("n", 0, most=4), lambda: asked.text("none")):  # fmt: skip
        with pytest.raises(IalgebraError):
            wrong()
    deep = '{"type": "x", "n": ' + "[" * 31 + "]" * 31 + "}"
    assert messages.request(deep).type == "x"
    with pytest.raises(IalgebraError, match="32 levels"):
        messages.request(deep.replace("[[", "[[[").replace("]]", "]]]"))
    for raw in ('{"type": "x", "id": true}', '{"type": "x", "id": 1e10}', '{"type": "x", "n": Infinity}'):
        with pytest.raises(IalgebraError):
            messages.request(raw)


# --- maps


def test_a_map_s_frame_has_values_of_all_maps_and_names_its_parts():
    one = attribution([1.0, 2.0], stderr=np.array([0.5, np.inf]), scores={"mass(w)": (0.25, 0.0)})
    two = attribution([3.0, 4.0, 5.0], input="blur(xs[4], 9)", component=1)
    made = frames.map_frame(relation(one, two), 7, ialgebra.connect().catalog(), "the text")
    arrays = dict(made.arrays)
    assert arrays["values"].tolist() == [1, 2, 3, 4, 5]
    assert arrays["stderr"].tolist() == [0.5, np.inf, 0, 0, 0]
    assert arrays["offsets"].tolist() == [0, 2, 5]
    assert (made.header["question"], made.header["text"], made.header["total"], made.header["stage"]) == (
        7, "the text", 2, "whole",
    )  # fmt: skip
    first, second = made.header["maps"]
    assert (first["input"], first["index"], first["rank_value"], first["players"]) == ("x", None, 0.25, 2)
    assert (second["input"], second["index"], second["component"]) == ("xs", 4, 1)
    keys = {part.key: part.header["type"] for part in made.parts}
    assert keys[first["labels"]] == keys[second["labels"]] == "labels"
    assert keys[first["picture"]] == keys[second["picture"]] == "picture"
    assert first["labels"] != second["labels"]


def test_equal_parts_have_one_key_and_other_ones_another():
    same = frames.map_frame(relation(attribution([1.0, 2.0]), attribution([5.0, 6.0])), 1, catalog(), "")
    assert len(same.parts) == 2
    players = np.array([[[0, 1]], [[0, -1]]])  # channels that are labelled otherwise
    other = frames.map_frame(relation(attribution([1.0, 2.0], players=players)), 1, catalog(), "")
    (labels,) = [part for part in other.parts if part.header["type"] == "labels"]
    assert labels.header["shape"] == [2, 1, 2]
    assert dict(labels.arrays)["labels"].tolist() == players.tolist()
    plane = frames.map_frame(
        relation(attribution([1.0, 2.0], players=np.array([[[0, 1]], [[0, 1]]]))), 1, catalog(), ""
    )
    (labels,) = [part for part in plane.parts if part.header["type"] == "labels"]
    assert dict(labels.arrays)["labels"].tolist() == [[0, 1]]
    assert labels.header["names"] == ["rows 0-0, cols 0-0", "rows 0-0, cols 1-1"]


def test_many_maps_are_cut_and_counted():
    many = relation(*[attribution([1.0]) for _ in range(100)])
    made = frames.map_frame(many, 1, catalog(), "")
    assert (len(made.header["maps"]), made.header["total"]) == (60, 100)
    rest = frames.multiples(many, 1, catalog(), 90, 150)
    assert (len(rest.header["items"]), rest.header["total"], rest.header["from"]) == (10, 100, 90)


def test_the_heat_of_a_multiple_sums_to_the_map():
    players = np.arange(9 * 20).reshape(1, 9, 20)
    values = np.linspace(-1, 2, 180)
    made = frames.multiples(relation(attribution(values, players=players)), 1, catalog(), 0, 1)
    heat = dict(made.arrays)["heat"]
    assert heat.shape == (1, 8, 8)
    np.testing.assert_allclose(heat.sum(), values.sum(), rtol=1e-5)
    np.testing.assert_allclose(heat[0, 0, 0], values[[0, 1]].sum(), rtol=1e-5)  # 9 rows: the first alone; 2 columns
    line = frames.multiples(relation(tabular([1.0, 2.0, 3.0])), 1, catalog(), 0, 1)
    assert dict(line.arrays)["heat"].tolist() == [[[1.0, 2.0, 3.0]]]


def catalog():
    return ialgebra.connect().catalog()


def tabular(values, **more):
    players = np.arange(len(values))
    content = np.arange(len(values), dtype=float)
    return attribution(values, players=players, content=content, kind="tabular", **more)


@pytest.mark.parametrize(
    ("said", "name", "index"),
    [
        ("x", "x", None), ("xs[12]", "xs", 12), ("nullify(x, row < 10)", "x", None), ("x'", "x'", None),
        ("rotate(nullify(x, w), 15)", "x", None), ("substitute(cat, w, dog)", "cat", None), ("", "", None),
        ("blur(xs[3], 9)", "xs", 3), ('"a b"', "a b", None), ('blur("a, b"[2], 1)', "a, b", 2),
    ],
)  # fmt: skip
def test_the_registered_name_of_an_edited_input(said, name, index):
    assert contents.source_of(said) == (name, index)


# --- inputs of every kind


def session() -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    con.register_input("float", torch.tensor([[[-1.0, 0.0], [0.5, 1.0]]]).expand(3, 2, 2))
    con.register_input("bytes", torch.tensor([[[0, 51], [204, 255]]], dtype=torch.uint8))
    con.register_input("fraction", torch.tensor([[[0.0, 0.2], [0.8, 1.0]]]))
    con.register_input("dark", torch.tensor([[[0.0, 0.2], [0.3, 0.4]]]))
    con.register_input("large", torch.rand(3, 200, 100))
    con.register_input("row", torch.tensor([1.5, -2.0]), feature_names=["age", "debt"])
    con.register_input("series", torch.arange(6.0).reshape(3, 2), kind="series")
    con.register_input("signal", torch.arange(6.0).reshape(2, 3), kind="signal")
    con.register_input("tokens", torch.tensor([1, 0]), feature_names=["bad", "good", "fine"])
    con.register_input("volume", torch.rand(1, 5, 4, 4), kind="volume", layout="CDHW")
    con.register_input("text", "a fine film", tokenizer="words")
    con.register_input("parts", {"row": torch.ones(2), "n": 3.0})
    return con


def test_a_picture_keeps_the_scale_in_which_it_was_registered():
    known = session().catalog()
    scales = {name: known.input(name).scale for name in ("float", "bytes", "fraction", "dark")}
    assert scales == {
        "float": (-1.0, 1.0),
        "bytes": (0.0, 255.0),
        "fraction": (0.0, 1.0),
        "dark": (0.0, 1.0),
    }
    bright = known.input("float").elements[0].array
    assert pixels.pixels(bright, scales["float"])[..., 0].tolist() == [[0, 128], [191, 255]]
    dimmed = bright * 0.5 - 0.5  # half as bright on the same scale
    assert pixels.pixels(dimmed, scales["float"])[..., 0].tolist() == [[0, 64], [96, 128]]
    assert pixels.pixels(known.input("bytes").elements[0].array, scales["bytes"])[..., 1].tolist() == [
        [0, 51],
        [204, 255],
    ]
    hostile = np.array([[[np.nan, np.inf], [-np.inf, 1e308]]])
    assert pixels.pixels(hostile, scales["float"])[..., 2].tolist() == [[0, 255], [0, 255]]
    flat = np.ones((1, 2, 2))
    assert pixels.pixels(flat, (1.0, 1.0)).tolist() == [[[0, 0, 0]] * 2] * 2
    assert pixels.pixels(np.ones((4, 2, 2)), (0.0, 1.0)).shape == (2, 2, 3)
    assert pixels.pixels(np.ones((7, 2, 2)), (0.0, 1.0)).shape == (2, 2, 3)


def test_an_edit_that_darkens_a_picture_is_seen():
    con = session()
    con.register_model("m", linear)
    made = frames.map_frame(con.sql("select * from m(scale(float, 1)) budget 20"), 1, con.catalog(), "")
    dimmed = frames.map_frame(con.sql("select * from m(clip(float, -1, 0)) budget 20"), 1, con.catalog(), "")
    seen = [next(dict(part.arrays)["rgb"] for part in each.parts if part.key == each.header["maps"][0]["picture"])
            for each in (made, dimmed)]  # fmt: skip
    assert seen[0][..., 0].tolist() == [[0, 128], [191, 255]]
    assert seen[1][..., 0].tolist() == [[0, 128], [128, 128]]


def test_thumbnails_are_small_and_few():
    known = session().catalog()
    told, rgb = contents.thumbnails(known, "large", 0, 60)
    assert (rgb.shape, told["width"], told["height"], told["total"]) == ((1, 64, 32, 3), 32, 64, 1)
    _, small = contents.thumbnails(known, "bytes", 0, 60)
    assert small.shape == (1, 2, 2, 3)
    _, none = contents.thumbnails(known, "bytes", 5, 60)
    assert none.shape == (0, 0, 0, 3)
    told, _ = contents.thumbnails(known, "row", 0, 60)
    assert (told["kind"], told["texts"]) == ("table", ["age = 1.5, debt = -2"])
    assert contents.thumbnails(known, "text", 0, 9)[0]["texts"] == ["a fine film"]
    assert contents.thumbnails(known, "series", 0, 9)[0]["kind"] == "series"
    assert contents.thumbnails(known, "volume", 0, 9)[1].shape == (1, 4, 4, 3)
    assert contents.thumbnails(known, "parts", 0, 9)[0]["kind"] == "table"
    with pytest.raises(IalgebraError, match="unknown input"):
        contents.thumbnails(known, "none", 0, 9)


def shown(name: str, model, players=None) -> dict:
    """The header and the arrays of what a page shows of an input, from a real answer."""
    con = session()
    con.register_model("m", model)
    made = frames.map_frame(con.sql(f"select * from m({name}) budget 40"), 1, con.catalog(), "")
    (picture,) = [part for part in made.parts if part.header["type"] == "picture"]
    (labels,) = [part for part in made.parts if part.header["type"] == "labels"]
    return picture.header | dict(picture.arrays) | {"labels": dict(labels.arrays)["labels"]}


def linear(batch: torch.Tensor) -> torch.Tensor:
    flat = batch.flatten(1).double()
    return torch.stack([flat.sum(1), flat @ torch.arange(flat.shape[1]).double()], 1)


def test_every_kind_of_input_has_a_payload_and_labels_that_fit_it():
    table = shown("row", linear)
    assert table["columns"] == [{"name": "age", "value": 1.5}, {"name": "debt", "value": -2.0}]
    assert table["labels"].shape == (2,)
    series = shown("series", linear)
    assert (series["kind"], series["series"].tolist()) == ("series", [[0, 1], [2, 3], [4, 5]])
    signal = shown("signal", linear)
    assert (signal["series"].tolist(), signal["names"]) == ([[0, 3], [1, 4], [2, 5]], ["channel 0", "channel 1"])
    tokens = shown("tokens", linear)
    assert (tokens["kind"], tokens["tokens"]) == ("tokens", ["good", "bad"])
    volume = shown("volume", linear)
    assert (volume["kind"], volume["rgb"].shape, volume["labels"].shape) == ("image", (4, 4, 3), (4, 4))
    assert (volume["slice"], volume["slices"]) == (2, 5)
    picture = shown("bytes", linear)
    assert (picture["rgb"].shape, picture["labels"].shape) == ((2, 2, 3), (2, 2))


def test_the_values_of_a_table_may_be_texts():
    pandas = pytest.importorskip("pandas")
    con = ialgebra.connect(progress=False)
    con.register_input("rows", pandas.DataFrame({"job": ["clerk", "smith"], "age": [30, None]}))
    con.register_model("m", lambda frame: (frame["job"] == "clerk").to_numpy(float))
    made = frames.map_frame(con.sql("select * from m(rows)"), 1, con.catalog(), "")
    rows = [part.header["columns"] for part in made.parts if part.header["type"] == "picture"]
    assert rows[0] == [{"name": "job", "value": "clerk"}, {"name": "age", "value": 30.0}]
    json.dumps(messages.plain(rows), allow_nan=False)
    assert contents.thumbnails(con.catalog(), "rows", 0, 2)[0]["texts"][0] == "job = clerk, age = 30"


# --- the catalog


def test_a_thousand_classes_and_three_hundred_inputs_are_told_in_part():
    con = ialgebra.connect(progress=False)
    names = [f"class {number} of many, with a long name" for number in range(1000)]
    con.register_model("f", nn.Linear(3, 1000), classes=names, example=torch.ones(3))
    for number in range(300):
        con.register_input(f"x{number}", torch.ones(3))
    told = described.described(con.catalog(), [])
    (model,) = told["models"]
    assert (model["classes"], model["some"]) == (1000, names[:60])
    assert (len(told["inputs"]), told["input_count"]) == (256, 300)
    assert len(messages.json_text(told)) < 64 << 10
    found = described.classes(con.catalog(), "f", "99 of", 5)
    assert (found["names"][0], len(found["names"]), found["total"]) == (names[99], 5, 10)
    assert described.classes(con.catalog(), "f", "zebra", 5)["total"] == 0


def test_the_catalog_tells_models_before_and_after_they_have_run():
    con = ialgebra.connect(progress=False)
    con.register_model("f", nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), classes=["no", "yes"])
    before = described.mark(con.catalog())
    told = described.described(con.catalog(), [])["models"][0]
    assert (told["layers"], told["some"], told["probed"]) == ([], ["no", "yes"], False)
    con.register_input("x", torch.ones(3))
    con.register_window("w", "feature < 2")
    con.sql("create view v as select * from f(x)")
    told = described.described(con.catalog(), [{"name": "p"}])
    assert told["windows"] == [{"name": "w", "text": "feature < 2"}]
    assert told["views"] == [{"name": "v", "text": "select * from f(x)"}]
    assert told["panels"] == [{"name": "p"}]
    con.sql("select * from f(x)")
    assert described.mark(con.catalog()) != before
    after = described.described(con.catalog(), [])["models"][0]
    assert [(each["index"], each["ready"]) for each in after["layers"]] == [(1, False), (2, False), (3, True)]
    assert described.mark(con.catalog()) == described.mark(con.catalog())
