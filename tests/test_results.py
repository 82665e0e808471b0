"""Properties of answers: what they say of themselves, and that they survive the way to pandas, shap, HTML and disk."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
import re
import sys
import warnings

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import ialgebra
from ialgebra.errors import IalgebraError, ShapeError
from tests.relations import STATS, attribution, grid, relation, tabular, tokens

ARRAYS = ("map", "values", "stderr", "players", "content")


# --- one map


def test_relative_error_is_the_norm_of_the_standard_errors_over_the_norm_of_the_values():
    assert attribution([3.0, 4.0], stderr=np.array([0.3, 0.4])).relative_error == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("values", "stderr", "expected"),
    [
        ([1.0, 2.0], [0.0, 0.0], 0.0),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([0.0, 0.0], [0.1, 0.0], math.inf),
        ([1.0, 2.0], [0.1, math.inf], math.inf),
        ([], [], 0.0),
    ],
)
def test_relative_error_at_its_ends(values, stderr, expected):
    a = attribution(values, grid(1, 1) * 0 - 1 if not values else None, stderr=np.array(stderr))
    assert a.relative_error == expected


def test_the_sign_is_the_95_percent_bound() -> None:
    """Errors of one cause are 1.96 standard errors at most; a bound that is known is shown as it is."""
    a = attribution([3.0, 4.0], stderr=np.array([0.3, 0.4]))
    assert a.bound == pytest.approx(0.1959964)
    assert "± 20 % at 95 %" in repr(a)
    known = dataclasses.replace(a, error_bound=0.07)
    assert (known.bound, known.relative_error) == (0.07, pytest.approx(0.1))
    assert "± 7 % at 95 %" in repr(known)
    assert attribution([1.0]).bound == 0.0
    assert math.isinf(attribution([1.0], stderr=np.array([math.inf])).bound)


def test_interval_is_the_normal_one():
    a = attribution([1.0, -2.0, 5.0], stderr=np.array([0.5, 0.0, math.inf]))
    low, high = a.interval()
    np.testing.assert_allclose(low, [1 - 1.959964 * 0.5, -2.0, -math.inf], rtol=1e-6)
    np.testing.assert_allclose(high, [1 + 1.959964 * 0.5, -2.0, math.inf], rtol=1e-6)
    np.testing.assert_allclose(a.interval(0.6826894921)[1][0], 1.5, rtol=1e-6)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, -0.1, math.nan])
def test_a_confidence_that_is_no_probability_is_an_error(confidence):
    with pytest.raises(IalgebraError, match="between 0 and 1"):
        attribution([1.0]).interval(confidence)


def test_heat_sums_over_channels_and_keeps_the_total():
    players = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    a = attribution(np.arange(60.0), players)
    np.testing.assert_allclose(a.heat(), a.map[0] + a.map[1] + a.map[2])
    assert a.heat().sum() == pytest.approx(a.values.sum())
    with pytest.raises(ShapeError, match=r"tabular of shape \(2,\)"):
        tabular([1.0, 2.0]).heat()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"stderr": np.zeros(3)}, r"values of shape \(2,\) and standard errors of shape \(3,\)"),
        ({"content": np.zeros((3, 8, 9))}, r"input of shape \(3, 8, 9\)"),
        ({"map": np.zeros(4)}, r"map of shape \(4,\), players of shape \(3, 8, 8\)"),
        ({"players": np.full((3, 8, 8), 2)}, "player 2; it has 2 players"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(fields, message):
    a = attribution([1.0, 2.0])
    with pytest.raises(ShapeError, match=message):
        dataclasses.replace(a, **fields)


def test_players_are_named_by_what_they_are():
    assert attribution([1.0, 2.0, 3.0, 4.0], grid(2, 2)).player_names() == [
        "rows 0-3, cols 0-3",
        "rows 0-3, cols 4-7",
        "rows 4-7, cols 0-3",
        "rows 4-7, cols 4-7",
    ]
    assert tabular([1.0, 2.0], feature_names=("age", "bmi")).player_names() == ["age", "bmi"]
    assert tabular([1.0, 2.0]).player_names() == ["feature 0", "feature 1"]
    assert tokens("not bad", [1.0, 2.0]).player_names() == ["not", "bad"]
    grouped = attribution([1.0, 2.0], np.array([0, 0, 0, 0, 0, 1, -1]), kind="tabular", feature_names=tuple("abcdefg"))
    assert grouped.player_names() == ["a, b, c +2", "f"]


# --- the relation


def test_the_table_names_every_map_with_its_target_values_and_error():
    text = relation(
        attribution([3.0, 4.0], stderr=np.array([0.3, 0.4]), label="σ 2 f(x)", method="permutations"),
        attribution([1.0], label="f(x)", target_name="tiger cat"),
        attribution([1.0], stderr=np.array([math.inf]), method="permutations"),
    ).text
    head, first, second, third, reason, stats = text.split("\n")
    assert head.split() == ["map", "target", "v(∅)", "v(N)", "players", "error", "at", "95", "%"]
    assert re.split(" {2,}", first) == ["σ 2 f(x)", "espresso", "0.5", "7.5", "2", "± 20 %"]
    assert re.split(" {2,}", second) == ["f(x)", "tiger cat", "0.5", "1.5", "1", "exact"]
    assert "error unknown" in third
    assert reason == "error unknown: too few rows to tell it; a budget of 4 or more does"
    assert stats == "1,024 rows in 1.25 s"


def test_no_budget_is_named_where_the_error_of_a_method_is_never_known():
    other = attribution([1.0], stderr=np.array([math.inf]), method="captum.Saliency")
    assert "too few rows" not in relation(other).text
    assert "error unknown" in relation(other).text


def test_a_bound_that_was_missed_is_never_silent():
    missed = relation(attribution([1.0]), stats=dataclasses.replace(STATS, bound_met=False, reused_rows=12))
    assert missed.text.endswith("1,024 rows + 12 reused in 1.25 s; the error asked for was not reached")
    assert "not reached" in missed._repr_html_()


def test_a_relation_is_a_sequence_of_its_maps_and_a_slice_is_a_relation():
    a, b, c = (attribution([float(i)], item=i) for i in range(3))
    answer = relation(a, b, c)
    assert list(answer) == [a, b, c]
    assert len(answer) == 3
    assert answer[-1] is c
    assert answer[np.int64(1)] is b
    assert list(answer[1:]) == [b, c]
    assert answer[1:].stats is answer.stats
    assert answer[1:].query == answer.query
    assert relation(a, b, text="a plan, analyzed")[:1].text == relation(a).text
    with pytest.raises(IndexError):
        answer[3]


def test_a_statement_in_words_shows_its_words_and_has_nothing_to_plot(capsys):
    answer = relation(text="models\n f  <EfficientNet>", query="show models")
    assert repr(answer) == answer.text == "models\n f  <EfficientNet>"
    assert answer._repr_html_() == "<pre>models\n f  &lt;EfficientNet&gt;</pre>"
    answer.show()
    assert capsys.readouterr().out == answer.text + "\n"
    with pytest.raises(IalgebraError, match="`show models` answers with text"):
        answer.plot()


def test_show_without_a_display_says_how_to_save(capsys):
    pytest.importorskip("matplotlib").use("agg")
    relation(attribution([1.0])).show()
    assert "savefig" in capsys.readouterr().out


# --- to others


def test_the_data_frame_has_a_line_per_player_of_every_map():
    pytest.importorskip("pandas")
    a = tabular([1.0, -2.0], stderr=np.array([0.1, 0.0]), feature_names=("age", "bmi"), component=0, layer=2)
    b = tabular([3.0, 4.0], feature_names=("age", "bmi"), component=1, target_name="benign", item=1)
    frame = relation(a, b).to_pandas()
    assert frame["value"].tolist() == [1.0, -2.0, 3.0, 4.0]
    assert frame["features"].tolist() == ["age", "bmi", "age", "bmi"]
    assert frame["player"].tolist() == [0, 1, 0, 1]
    assert frame["item"].tolist() == [0, 0, 1, 1]
    assert frame["target"].tolist() == ["espresso", "espresso", "benign", "benign"]
    assert frame["component"].tolist() == [0, 0, 1, 1]
    assert frame["layer"].isna().tolist() == [False, False, True, True]
    np.testing.assert_allclose(frame["high"] - frame["low"], [2 * 0.1959964, 0, 0, 0], atol=1e-7)
    assert a.to_pandas()["value"].tolist() == [1.0, -2.0]
    assert len(relation().to_pandas()) == 0


def test_explanations_add_up_from_the_base_value_and_put_channels_last():
    pytest.importorskip("shap")
    content = np.arange(3 * 8 * 8.0).reshape(3, 8, 8)
    a, b = attribution([1.0, 2.0], content=content), attribution([5.0, -1.0], content=content)
    one, both = a.to_shap(), relation(a, b).to_shap()
    assert one.values.shape == one.data.shape == (8, 8, 3)
    assert both.values.shape == (2, 8, 8, 3)
    np.testing.assert_array_equal(one.data[..., 1], content[1])
    assert one.base_values + one.values.sum() == pytest.approx(a.full_value)
    np.testing.assert_allclose(both.base_values + both.values.sum(axis=(1, 2, 3)), [a.full_value, b.full_value])
    table = relation(tabular([1.0, 2.0], feature_names=("age", "bmi"))).to_shap()
    assert table.values.tolist() == [[1.0, 2.0]]
    assert table.feature_names == ["age", "bmi"]
    with pytest.raises(ShapeError, match=r"\(2,\), \(3,\)"):
        relation(tabular([1.0, 2.0]), tabular([1.0, 2.0, 3.0])).to_shap()


@pytest.mark.parametrize(("module", "extra"), [("pandas", "pandas"), ("shap", "peers")])
def test_a_missing_extra_is_named(monkeypatch, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(IalgebraError, match=rf'needs {module}, .* pip install "ialgebra\[{extra}\]"'):
        getattr(relation(attribution([1.0])), f"to_{module}")()


def test_without_matplotlib_answers_are_text_and_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "ialgebra.results.plots", raising=False)
    monkeypatch.delattr(ialgebra.results, "plots", raising=False)
    answer = relation(attribution([1.0]))
    page = answer._repr_html_()
    assert page.startswith("<pre>")
    assert "espresso" in page
    with pytest.raises(IalgebraError, match=r'needs matplotlib, .* pip install "ialgebra\[plot\]"'):
        answer.plot()


def test_the_notebook_shows_a_picture_with_an_alternative_text():
    pytest.importorskip("matplotlib")
    for answer in (relation(attribution([1.0], label="<b>")), attribution([1.0], label="<b>")):
        page = answer._repr_html_()
        picture = re.search(r'<img alt="Attribution[^"]+"[^>]* src="data:image/jpeg;base64,([^"]+)"', page)
        assert picture
        assert base64.b64decode(picture[1]).startswith(b"\xff\xd8\xff")
        assert "<b>" not in page
        assert "&lt;b&gt;" in page


# --- disk


def same(first, second) -> bool:
    fields = [field.name for field in dataclasses.fields(first) if field.name not in ARRAYS]
    for name in ARRAYS:
        left, right = getattr(first, name), getattr(second, name)
        assert (left.dtype, left.shape) == (right.dtype, right.shape), name
        assert left.tobytes() == right.tobytes(), name
    return all(getattr(first, name) == getattr(second, name) for name in fields)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    bits=arrays(np.float64, st.integers(1, 6), elements=st.floats(allow_nan=False, allow_infinity=False)),
    label=st.text(max_size=20),
    target=st.one_of(st.integers(0, 999), st.tuples(st.integers(0, 9), st.integers(0, 9))),
    base=st.floats(allow_nan=False, allow_infinity=False),
    names=st.booleans(),
)
def test_a_saved_relation_comes_back_bit_for_bit(tmp_path_factory, bits, label, target, base, names):
    a = dataclasses.replace(
        tabular(np.arange(len(bits)), feature_names=tuple(f"n{i}" for i in range(len(bits))) if names else None),
        map=bits,
        stderr=np.full(2 * len(bits), math.inf)[::2],
        label=label,
        target=target,
        base_value=base,
    )
    path = tmp_path_factory.mktemp("saved") / "answer.ialgebra"
    answer = relation(a, tokens("not bad", [1.0, 2.0], component=1, content=np.array(["not", "bad"])))
    assert answer.save(path) == path
    back = ialgebra.load(path)
    assert len(back) == 2
    assert all(map(same, answer, back))
    assert (back.stats, back.plan, back.details, back.query, back.provenance, back.text) == (
        answer.stats,
        answer.plan,
        answer.details,
        answer.query,
        answer.provenance,
        answer.text,
    )


def test_details_of_any_kind_can_be_saved(tmp_path):
    answer = relation(text="plan", details={"rows": np.int64(3), "ends": np.array([1, 2]), "device": object})
    back = ialgebra.load(answer.save(tmp_path / "a"))
    assert back.details["rows"] == 3
    assert back.details["ends"] == [1, 2]
    assert "object" in back.details["device"]
    assert back.text == "plan"
    assert len(back) == 0
    with pytest.raises(IalgebraError, match="no JSON"):
        relation(details={(1, 2): 3}).save(tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_words_that_no_file_can_hold_come_back_too(tmp_path):
    words = "select * from f(x) -- \ud800 é \0"
    answer = relation(attribution([1.0], label=words), query=words, provenance={"query": words})
    back = ialgebra.load(answer.save(tmp_path / "a"))
    assert (back.query, back.provenance) == (words, {"query": words})
    assert back[0].label == "select * from f(x) -- \\ud800 é \\x00"


def test_arrays_that_maps_share_are_stored_once(tmp_path):
    rng = np.random.default_rng(0)
    content = rng.normal(size=(3, 64, 64))
    players = grid(2, 2, (3, 64, 64))
    maps = [attribution(np.arange(4.0) + i, players, content) for i in range(8)]
    assert relation(*maps).save(tmp_path / "a").stat().st_size < (8 + 2 + 0.5) * content.nbytes


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "answer"
    relation(attribution([1.0])).save(path)
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(IalgebraError, match=r"cannot save to .*No space left"):
        relation(attribution([2.0])).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_of_the_old_file_is_not_disturbed_by_a_new_save(tmp_path):
    path = relation(attribution([1.0])).save(tmp_path / "answer")
    before = path.read_bytes()
    with path.open("rb") as reader:
        relation(attribution([2.0])).save(path)
        assert reader.read() == before != path.read_bytes()


def test_saving_where_there_is_no_folder_is_a_named_error(tmp_path):
    with pytest.raises(IalgebraError, match=r"cannot save to .*missing/answer"):
        relation(attribution([1.0])).save(tmp_path / "missing" / "answer")


def rewrite(path, **changes) -> None:
    """Save the file again with another header, whose digest is right."""
    if "document" in changes:
        changes["digest"] = hashlib.sha256(changes["document"].encode()).hexdigest()[:32]
    with safetensors.safe_open(path, framework="numpy") as file:
        header = {key: value for key, value in (file.metadata() | changes).items() if value is not None}
    safetensors.numpy.save_file(safetensors.numpy.load_file(path), path, header)


def damaged(path, edit) -> None:
    with safetensors.safe_open(path, framework="numpy") as file:
        document = json.loads(file.metadata()["document"])
    edit(document)
    rewrite(path, document=json.dumps(document))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.unlink(), "cannot load .*: No such file"),
        (lambda path: path.write_bytes(b""), "not a saved relation, or is damaged"),
        (lambda path: path.write_bytes(b"PK\x03\x04 a zip, perhaps a pickle"), "not a saved relation, or is damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:-8]), "not a saved relation, or is damaged"),
        (lambda path: rewrite(path, format=None), "not of a relation"),
        (lambda path: rewrite(path, format="pt"), "not of a relation"),
        (lambda path: rewrite(path, version="7"), "newer ialgebra .format 7; this one reads up to 6.; upgrade"),
        (lambda path: rewrite(path, version="0"), "newer"),
        (lambda path: rewrite(path, digest=None), "is damaged: its content is not what was saved"),
        (lambda path: rewrite(path, document="{"), "is damaged"),
        (lambda path: rewrite(path, document="[]"), "is damaged"),
        (lambda path: damaged(path, lambda d: d.pop("maps")), "is damaged"),
        (lambda path: damaged(path, lambda d: d.update(surprise=1)), "is damaged"),
        (lambda path: damaged(path, lambda d: d["maps"].update(values="no such array")), "is damaged"),
        (lambda path: damaged(path, lambda d: d["maps"].update(values=[1.0])), "is damaged"),
        (lambda path: damaged(path, lambda d: d["maps"].pop("label")), "is damaged"),
        (lambda path: damaged(path, lambda d: d["maps"]["label"].update(table=[])), "is damaged"),
    ],
)
def test_a_file_that_is_not_a_whole_relation_is_a_named_error(tmp_path, harm, message):
    path = relation(attribution([1.0, 2.0])).save(tmp_path / "answer.safetensors")
    harm(path)
    with pytest.raises(IalgebraError, match=message) as caught:
        ialgebra.load(path)
    assert str(path) in caught.value.message


@pytest.mark.parametrize(("players", "method"), [(6, "permutations"), (20, ""), (9, "banzhaf"), (20, "regression")])
def test_an_answer_of_unknown_error_says_which_budget_tells_it_and_that_one_does(players: int, method: str) -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda x: x.sum(1, keepdim=True) ** 2)
    con.register_input("x", np.random.default_rng(0).random(players))
    using = f"using {method}" if method else ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ialgebra.BudgetWarning)
        few = str(con.sql(f"select * from f(x) {using} budget 5"))
    assert f"error unknown: too few rows to tell it; a budget of {4 * players} or more does" in few
    enough = con.sql(f"select * from f(x) {using} budget {4 * players}")
    assert np.isfinite(enough[0].stderr).all()
    assert "error unknown" not in str(enough)
