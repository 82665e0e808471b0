"""The Python surface that users and scripts rely on: names, signatures, and what answers hold."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import numpy as np
import pytest
import torch

import ialgebra
from ialgebra import Attribution, Relation, Session, Strategy
from tests import worlds

PUBLIC = {
    "Attribution",
    "BindError",
    "BudgetError",
    "BudgetWarning",
    "CompositionError",
    "IalgebraError",
    "IalgebraWarning",
    "ModelError",
    "ParseError",
    "Relation",
    "ResourceError",
    "Scores",
    "Session",
    "ShapeError",
    "Strategy",
    "Submitted",
    "Tempo",
    "WindowWarning",
    "__version__",
    "connect",
    "learn",
    "load",
    "tune_process",
}


def test_the_public_names_are_these_and_no_others():
    assert set(ialgebra.__all__) == PUBLIC
    assert ialgebra.__all__ == sorted(ialgebra.__all__)
    assert all(hasattr(ialgebra, name) for name in PUBLIC)
    ours = {name for name, value in vars(ialgebra).items() if "ialgebra" in str(getattr(value, "__module__", ""))}
    looked_for = {"load_ipython_extension"}  # by %load_ext, where a test has run it
    assert {name for name in ours if not name.startswith("_")} <= PUBLIC | looked_for
    with pytest.raises(AttributeError, match="conect"):
        ialgebra.conect  # noqa: B018


def test_every_module_says_what_it_is():
    for file in Path(ialgebra.__file__).parent.rglob("*.py"):
        source = file.read_text("utf-8")
        assert not source.strip() or ast.get_docstring(ast.parse(source)), f"{file} has no docstring"


@pytest.mark.parametrize("public", [Session, Relation, Attribution, Strategy])
def test_every_public_method_says_what_it_does(public):
    assert public.__doc__
    for name, member in vars(public).items():
        if not name.startswith("_") and callable(member):
            assert inspect.getdoc(member), f"{public.__name__}.{name} has no docstring"


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (
            Session.register_model,
            {"layers": None, "classes": None, "output": "logit", "device": None, "batch_size": None},
        ),
        (Session.register_input, {"baseline": None, "players": None, "feature_names": None}),
        (Session.fit_heads, {"labels": None, "layers": None}),
        (Session.sql, {"seed": None, "strategy": None}),
    ],
)
def test_signatures(function, parameters):
    found = inspect.signature(function).parameters
    assert {name: found[name].default for name in parameters} == parameters


def test_the_surface_end_to_end():
    torch.manual_seed(0)
    con = ialgebra.connect()
    con.register_model("f", worlds.network("image"), layers=["l", "conv2"], classes=["cat", "dog", "espresso"])
    x, other = worlds.sample("image", torch.float32), worlds.sample("image", torch.float32)
    con.register_input("x", x, baseline="blur(1.5)", players="grid(4, 4)")
    con.register_input("x'", other, baseline=0.0, players=torch.arange(36).reshape(6, 6) // 9)
    con.register_input("xs", [x, other])
    con.register_window("w", "row < 4")
    con.register_window("mask", np.ones((6, 6), dtype=bool))
    report = con.fit_heads("f", worlds.sample("image", torch.float32, count=24), labels=[0, 1, 2] * 8)
    assert [fit.name for fit in report.layers] == ["l", "conv2"]

    rel = con.sql("select 2, * from f(x) where w budget 66", seed=0, strategy=ialgebra.Strategy.BEST)
    assert isinstance(rel, Relation)
    assert len(rel) == len(list(rel)) == 2
    for a in rel:
        assert isinstance(a, Attribution)
        assert a.map.shape == a.players.shape == a.content.shape == (2, 6, 6)
        assert a.values.shape == a.stderr.shape == (int(a.players.max()) + 1,)
        assert a.map.dtype == a.values.dtype == a.stderr.dtype == np.float64
        assert a.players.dtype == np.int64
        assert (a.players[:, 4:] == -1).all()
        assert not a.map[:, 4:].any()
        assert a.map.sum() == pytest.approx(a.values.sum(), rel=1e-9)
        assert (a.model, a.input, a.baseline, a.kind) == ("f", "x", "blur(1.5)", "image")
        assert a.target_name == ["cat", "dog", "espresso"][a.target]
        assert 0 < a.relative_error < 1
        assert a.values.sum() == pytest.approx(a.full_value - a.base_value, rel=1e-6)
        assert np.array_equal(a.content, x.numpy())
    assert [a.layer for a in rel] == [2, None]
    assert rel.stats.rows == 65  # 32 pairs, and the prediction of the class; the window keeps x from being a hybrid
    assert rel.stats.seconds > 0
    assert rel.stats.bound_met is True
    assert "65 rows" in rel.text

    assert "plan as written" in rel.explain()
    plan = con.explain("select 2, * from f(x) where w budget 66")
    assert con.sql("explain select 2, * from f(x) where w budget 66").text == plan
    assert "measured" not in plan
    analyzed = con.sql("explain analyze select 2, * from f(x) where w budget 66")
    assert analyzed.text.startswith(plan)
    assert len(analyzed) == 2
    assert con.names() == {
        "models": ["f"],
        "inputs": ["x", "x'", "xs"],
        "windows": ["w", "mask"],
        "views": [],
        "generators": [],
        "axes": [],
    }


def test_answers_go_on_to_other_tools(tmp_path):
    con = worlds.case("image", seed=1, dtype=torch.float32).con
    rel = con.sql("select 2, * from f(x) left join f(x') where w using exact()")
    frame = rel.to_pandas()
    assert len(frame) == sum(len(a.values) for a in rel)
    assert np.allclose(frame["value"], np.concatenate([a.values for a in rel]))
    again = ialgebra.load(rel.save(tmp_path / "maps.safetensors"))
    for a, b in zip(rel, again, strict=True):
        assert np.array_equal(a.map, b.map)
        assert a.label == b.label
    figure = rel.plot()
    assert len(figure.axes) >= 4
    assert "<img" in rel._repr_html_()
    figure.clear()


def test_sessions_are_context_managers():
    with ialgebra.connect() as con:
        con.register_input("x", [1.0, 2.0])
        assert con.names()["inputs"] == ["x"]
    assert con.names()["inputs"] == []


def test_a_progress_bar_changes_nothing(capsys):
    answers = []
    for progress in (False, True):
        con = ialgebra.connect(progress=progress)
        torch.manual_seed(0)
        con.register_model("f", worlds.network("tabular"), batch_size=4)
        con.register_input("x", torch.randn(5))
        answers.append(con.sql("select * from f(x)")[0].map)
        assert capsys.readouterr().out == ""
    assert np.array_equal(*answers)


def test_presets_are_frozen_values():
    assert [Strategy.AS_WRITTEN.name, Strategy.LAWS.name, Strategy.FUSED.name, Strategy.BEST.name] == [
        "AS_WRITTEN",
        "LAWS",
        "FUSED",
        "BEST",
    ]
    with pytest.raises(AttributeError):
        Strategy.BEST.share = False  # type: ignore[misc]


# --- statements


def test_scripts_answer_with_their_last_statement():
    con = worlds.case("tabular", seed=1).con
    script = """
        -- a view over a window, used, shown and dropped
        create window old as feature in (0, 2);
        CREATE VIEW v AS SELECT * FROM f(x) WHERE old; /* a comment */
        select * from v;
    """
    (answer,) = con.sql(script)
    assert np.array_equal(answer.players, [0, -1, 1, -1, -1])
    relations = list(con.run(script.replace("create", "create or replace").replace("CREATE", "CREATE OR REPLACE")))
    assert [len(each) for each in relations] == [0, 0, 1]
    assert "old" in con.sql("show windows").text
    assert "v" in con.sql("SHOW VIEWS").text
    assert con.sql("drop view v; drop window old; show views").text == "no views"


def test_describe_says_what_a_name_is():
    con = worlds.case("tabular", seed=1).con
    said = con.sql("describe f").text
    assert "5 layers" in said
    assert "fc1" in said
    assert "(5,)" in con.sql("describe x").text
    assert "feature" in con.sql("describe w").text
    assert "f: Sequential" in con.sql("show models").text
    assert "xs: tabular, 3 × (5,)" in con.sql("show inputs").text


def test_rows_of_a_table_are_no_tokens_where_some_hold_whole_numbers_only():
    con = ialgebra.connect(progress=False)
    con.register_model("f", torch.nn.Linear(3, 2).double())
    rows = [torch.tensor([1, 0, 3]), torch.tensor([0.5, 1.0, 2.0])]
    for order in (rows, rows[::-1]):
        con.register_input("xs", order)
        con.register_input("ys", torch.stack([each.float() for each in order]))
        for query in ("select * from f({}, baseline => 0.25)", "select * from f(nullify({}, value >= 1))"):
            listed, stacked = (con.sql(query.format(name)) for name in ("xs", "ys"))
            assert [each.kind for each in listed] == ["tabular"] * 2
            assert np.array_equal([each.map for each in listed], [each.map for each in stacked])


def test_an_example_is_whatever_an_input_may_be():
    con = ialgebra.connect(progress=False)
    for example in (torch.rand(3), np.random.rand(3).astype(np.float16), [0.5, 1, 2]):
        con.register_model("f", torch.nn.Linear(3, 2), example=example)
        assert "2 classes" in con.sql("describe f").text
    for none, kind, said in (
        ("x", ialgebra.ShapeError, "no tensor"),
        ([[1], [2, 3]], ialgebra.ShapeError, "no tensor"),
        ({}, ialgebra.BindError, "a mapping of nothing"),
    ):
        with pytest.raises(kind, match=f"input 'example of g' is {said}"):
            con.register_model("g", torch.nn.Linear(3, 2), example=none)
    assert con.names()["models"] == ["f"]


def test_settings_are_the_defaults_of_later_queries():
    found = worlds.case("image", seed=1, players=None)
    con = found.con
    asked = con.sql("select * from f(x, players => tile(2), baseline => y, output => probability) budget 40", seed=4)
    con.sql("set players = tile(2); set baseline = y; set output = probability; set budget = 40; set seed = 4")
    (told,) = con.sql("select * from f(x)")
    assert np.array_equal(told.map, asked[0].map)
    con.sql("set strategy = as_written; set method = permutations")
    relation = con.sql("select * from f(x)")
    assert relation.details["strategy"] == "AS_WRITTEN"
    assert relation[0].method.startswith("permutations")
    for option in ("players", "baseline", "output", "budget", "seed", "strategy", "method"):
        con.sql(f"set {option} = default")
    fresh = worlds.case("image", seed=1, players=None).con
    assert np.array_equal(con.sql("select * from f(x)")[0].map, fresh.sql("select * from f(x)")[0].map)


def test_keywords_are_case_insensitive_and_names_are_not():
    con = worlds.case("tabular", seed=1).con
    con.register_input("X", torch.ones(5, dtype=torch.float64))
    (low,), (up,) = con.sql("SELECT * FROM f(x) WHERE w USING EXACT()"), con.sql("Select * From f(X) Where w")
    assert low.input == "x"
    assert up.input == "X"
    assert not np.array_equal(low.map, up.map)


# --- provenance


def test_the_same_query_with_the_same_seed_gives_the_same_answer():
    text = "select 2, * from f(x) left join f(x') where w budget 60"
    one = worlds.case("image", seed=1, players=None).con.sql(text, seed=7)
    other = worlds.case("image", seed=1, players=None).con.sql(text, seed=7)
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a.map, b.map)
        assert np.array_equal(a.stderr, b.stderr)
    assert one.provenance == other.provenance
    assert one.provenance["seed"] == 7
    assert one.provenance["strategy"] == "BEST"


def test_provenance_tells_contents_apart():
    def told(seed: int) -> dict[str, object]:
        return worlds.case("tabular", seed=seed).con.sql("select * from f(x)").provenance

    assert told(1) == told(1)
    assert told(1)["models"] != told(2)["models"]
    assert told(1)["inputs"] != told(2)["inputs"]


def test_plans_hold_no_addresses_ids_or_clock_times():
    texts = []
    for _ in range(2):
        con = worlds.case("image", seed=1).con
        con.sql("select * from f(y)")
        texts.append(con.explain("select 2, * from f(x) left join f(x') where w using regression() budget 14"))
    assert texts[0] == texts[1]
    assert "0x" not in texts[0]
