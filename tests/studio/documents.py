"""A session whose names are met by gestures: every kind of input, two models a kind, hostile names, many classes.

In: nothing. Out: a session, and hypothesis strategies of gestures over what it has. Knows no gesture's implementation.
"""

from __future__ import annotations

import warnings
from functools import cache

import torch
from hypothesis import strategies as st

import ialgebra
from tests import worlds

HOSTILE = ["x'", "select", 'a "quoted" name', "it's", "ß ' 東京", "</script>", "from; drop", "true.story"]
CLASSES = ["lynx", "tabby's", 'the "cat"', "</script>", *(f"class number {k}" for k in range(996))]


@cache
def session() -> ialgebra.Session:
    """Made once for all tests, which make no more than windows in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _session()


def _session() -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    torch.manual_seed(0)
    for name in ("f", "g"):
        con.register_model(name, worlds.network("image"), classes=["lynx", "tabby", "it's"])
    con.register_model("many", worlds.network("image", 1000), classes=CLASSES)
    con.register_model("t", worlds.network("tabular"))
    con.register_model("words", worlds.network("tokens"))
    con.register_model("select", worlds.network("image"), classes=["other", "tabby", "third"])
    con.register_input("cat", worlds.sample("image", torch.float32))
    con.register_input("dog", worlds.sample("image", torch.float32))
    con.register_input("xs", worlds.sample("image", torch.float32, 3), labels=[0, 1, 2])
    con.register_input(
        "row", worlds.sample("tabular", torch.float32), feature_names=["age", "bmi", "it's", "select", "e"]
    )
    con.register_input("table", worlds.sample("tabular", torch.float32, 2))
    con.register_input("passage", worlds.sample("tokens"), feature_names=worlds.WORDS)
    con.register_input("wave", torch.randn(12, 2), kind="series")
    con.register_input("scan", torch.randn(1, 4, 3, 3), kind="volume", layout="CDHW")
    for name in HOSTILE:
        con.register_input(name, worlds.sample("image", torch.float32))
    con.register_window("w", "row < 3")
    con.register_window("select", "col < 3")
    for model, name in (
        ("f", "cat"),
        ("g", "cat"),
        ("many", "cat"),
        ("t", "row"),
        ("words", "passage"),
        ("select", "cat"),
    ):
        con.sql(f'select * from "{model}"({name}) budget 2')
    for model in ("f", "g"):
        heads = worlds.with_random_heads(con, model, worlds.sample("image", torch.float32))
        for layer in set(heads) - {2, 4}:
            del con._catalog.model(model).heads[layer]
    return con


NUMBERS = st.one_of(st.integers(-2, 9), st.floats(-2, 9).map(lambda x: round(x, 2)))


def shapes() -> st.SearchStrategy[object]:
    modes = st.sampled_from([{}, {"mode": "add"}, {"mode": "subtract"}, {"mode": "within"}])
    ranges = st.tuples(st.integers(0, 4), st.integers(0, 6)).map(list)
    kinds = st.one_of(
        st.lists(NUMBERS, min_size=4, max_size=4).map(lambda at: {"kind": "box", "at": at}),
        st.tuples(NUMBERS, NUMBERS, st.integers(0, 4)).map(lambda at: {"kind": "circle", "at": list(at)}),
        st.sampled_from(["w", "select", "unknown"]).map(lambda name: {"kind": "name", "name": name}),
        st.tuples(st.sampled_from(["span", "times", "slices", "frames"]), ranges).map(
            lambda each: {"kind": each[0], "at": each[1]}
        ),
        st.lists(st.sampled_from(["age", "it's", "select", 0, 3]), min_size=1, max_size=3).map(
            lambda names: {"kind": "columns", "names": names}
        ),
        st.sampled_from(["row % 2 = 0", "value > 0 and not w", "w or col < 2", "true"]).map(
            lambda text: {"kind": "text", "text": text}
        ),
    )
    return st.tuples(kinds, modes).map(lambda each: {**each[0], **each[1]})


def gestures(with_moves: bool = True) -> st.SearchStrategy[dict[str, object]]:
    inputs = st.sampled_from(["cat", "dog", "xs", "row", "table", "passage", "wave", "scan", "unknown", *HOSTILE])
    models = st.sampled_from(["f", "g", "many", "t", "words", "select", "h"])
    some, indices = st.one_of(st.none(), inputs), st.sampled_from([None, None, 0, 2, 7])
    window = st.one_of(st.none(), shapes(), st.lists(shapes(), max_size=2))
    classes = st.sampled_from([None, "lynx", "it's", "tabby's", "class number 995", 0, 2, "no such"])
    said: list[st.SearchStrategy[dict[str, object]]] = [
        st.builds(lambda name: {"do": "model", "name": name}, models),
        st.builds(lambda name: {"do": "compare", "model": name}, st.one_of(st.none(), models)),
        st.builds(lambda name, index: {"do": "input", "name": name, "index": index}, inputs, indices),
        st.builds(lambda name, index: {"do": "pin", "input": name, "index": index}, some, indices),
        st.builds(lambda name: {"do": "target", "class": name}, classes),
        st.builds(
            lambda layers: {"do": "layers", "layers": layers},
            st.lists(st.sampled_from([2, 4, 7, "*", "l", "conv1", 99]), max_size=3),
        ),
        st.builds(
            lambda drawn, mode: {"do": "window", "shapes": drawn, "mode": mode},
            st.lists(shapes(), max_size=3),
            st.sampled_from(["replace", "add", "subtract", "within", "clear"]),
        ),
        st.builds(lambda index: {"do": "move", "index": index, "at": [1, 1, 4, 4]}, st.integers(0, 2)),
        st.builds(lambda name: {"do": "name", "name": name}, st.sampled_from(["new", "w", "it's", "from"])),
        st.builds(lambda percent: {"do": "hottest", "percent": percent, "name": "hot"}, st.sampled_from([10, 25, 0])),
        st.builds(
            lambda each, window: {"do": "edit", "edit": each[0], "arguments": each[1], "window": window},
            st.sampled_from(
                [
                    ("rotate", [{"steps": [0, 90, 3]}]), ("brightness", [0.5]), ("assign", [1]),
                    ("nullify", []), ("shift", [1, 2]), ("shift", [1]), ("rotate", [15]), ("noise", [0.5, 3]),
                    ("substitute", ["dog"]), ("clip", [-1, 1]), ("clip", [1, -1]), ("scale", [2.5]), ("none", []),
                ]
            ),
            window,
        ),
        st.builds(lambda edit: {"do": "edit", "edit": edit, "remove": True}, st.sampled_from(["nullify", "rotate"])),
        st.builds(lambda on: {"do": "before after", "on": on}, st.booleans()),
        st.builds(
            lambda by, descending, limit: {"do": "rank", "by": by, "descending": descending, "limit": limit},
            st.sampled_from([None, "distance", "mass", "entropy", "index", "label"]),
            st.booleans(),
            st.sampled_from([None, 1, 12]),
        ),
        st.builds(
            lambda error, seconds, budget: {"do": "precision", "error": error, "seconds": seconds, "budget": budget},
            st.sampled_from([None, 0.1, 0.07]),
            st.sampled_from([None, 2, 0.5]),
            st.sampled_from([None, 500]),
        ),
        st.builds(
            lambda rows: {"do": "players", "rows": rows, "columns": 3}, st.sampled_from([1, 2, 4])
        ),
        st.sampled_from([{"do": "players", "text": None}, {"do": "players", "text": "features"}]),
        st.builds(
            lambda text: {"do": "baseline", "text": text},
            st.sampled_from([None, "blur(2)", "0.5", "dog", "mean(xs)", "no such"]),
        ),
    ]  # fmt: skip
    moved = st.builds(lambda index: {"do": "move", "index": index, "by": [1, -1]}, st.integers(0, 2))
    return st.one_of(*said, moved) if with_moves else st.one_of(*said)
