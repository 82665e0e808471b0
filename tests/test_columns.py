"""Relations hold arrays: what a view of them is, what slices and copies share, and what many maps say together."""

from __future__ import annotations

import copy
import dataclasses
import gc
import math
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import ialgebra
from ialgebra import BindError, Relation
from ialgebra.results.attribution import Attribution
from ialgebra.results.columns import MapColumns
from ialgebra.results.views import AttributionViews
from tests.relations import STATS, attribution, grid, relation, tabular, tokens

FIELDS = [field.name for field in dataclasses.fields(Attribution)]
ARRAYS = ("map", "values", "stderr", "players", "content")


def many(count: int = 7) -> list[Attribution]:
    """Maps of all kinds, with other numbers of players, and with none."""
    rng = np.random.default_rng(0)
    maps = []
    for k in range(count):
        made = [
            attribution(rng.normal(size=4), grid(2, 2), rng.normal(size=(3, 8, 8)), item=k, layer=k % 3 + 1),
            tabular(rng.normal(size=3), feature_names=("age", "bmi", "s5"), component=k, target_name=f"class {k % 2}"),
            tokens("not so bad", rng.normal(size=3), input=f"x[{k}]", content=np.array(["not", "so", "bad"])),
            attribution([], grid(1, 1) * 0 - 1, label="no player", unit="logits", scores={"size": (0.5, math.inf)}),
        ][k % 4]
        stderr = rng.random(len(made.values)) * (k % 3)
        maps.append(
            dataclasses.replace(
                made, stderr=stderr, error_bound=[None, 0.25, math.inf][k % 3], prediction=[None, "cat"][k % 2]
            )
        )
    return maps


def held(maps: list[Attribution]) -> Relation:
    """The relation that holds these maps as arrays."""
    return relation_of(MapColumns.of(maps))


def relation_of(columns: MapColumns) -> Relation:
    views = AttributionViews(columns)
    return Relation(attributions=views, stats=STATS, plan="", details={}, text=None, query="q", provenance={})


def same(one: Attribution, other: Attribution) -> bool:
    """Whether all fields of two maps are equal, bit for bit."""
    arrays = [(getattr(one, name), getattr(other, name)) for name in ARRAYS]
    bits = all((a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()) for a, b in arrays)
    return bits and all(getattr(one, name) == getattr(other, name) for name in FIELDS if name not in ARRAYS)


# --- views


def test_a_view_has_all_fields_of_the_map_that_it_shows():
    given = many()
    for view, made in zip(held(given), given, strict=True):
        assert isinstance(view, Attribution)
        assert same(view, made)
        assert repr(view) == repr(made)
        assert view.player_names() == made.player_names()
        assert view.bound == made.bound
    with pytest.raises(AttributeError, match="'Attribution' object has no attribute 'colour'"):
        held(given)[0].colour  # noqa: B018


def test_a_map_is_spread_evenly_over_the_features_of_its_players():
    columns = MapColumns.of([attribution([6.0, -1.0], np.array([[[0, 0, 1], [0, -1, 1]]]))])
    view = relation_of(dataclasses.replace(columns, own={}))[0]
    np.testing.assert_array_equal(view.map, [[[2.0, 2.0, -0.5], [2.0, 0.0, -0.5]]])
    np.testing.assert_array_equal(view.players, [[[0, 0, 1], [0, -1, 1]]])
    assert (view.players.dtype, view.map.dtype) == (np.int64, np.float64)


def test_labels_that_repeat_in_memory_are_held_once_and_shown_in_full():
    """Labels of one channel, of which every channel is a view, and labels that share memory but not their shapes."""
    line = np.array([[0, 1, 1, -1]])
    thick, thin = np.broadcast_to(line, (2, 3, 4)), np.broadcast_to(line, (2, 1, 4))
    maps = [attribution([6.0, 12.0], players) for players in (thick, thin, thick[:1], thick.copy())]
    columns = dataclasses.replace(MapColumns.of(maps), own={})
    shapes = [(2, 3, 4), (2, 1, 4), (1, 3, 4), (2, 3, 4)]
    shares = [(1.0, 1.0), (3.0, 3.0), (2.0, 2.0), (1.0, 1.0)]
    for view, shape, (first, second) in zip(relation_of(columns), shapes, shares, strict=True):
        np.testing.assert_array_equal(view.players, np.broadcast_to(line, shape))
        np.testing.assert_array_equal(view.map, np.broadcast_to([first, second, second, 0.0], shape))
    assert columns.players.table[0].labels.shape == (1, 1, 4)


def test_maps_of_equal_labels_may_have_more_players_than_are_seen():
    pytest.importorskip("pandas")
    players = np.array([0, 1])
    maps = [
        attribution(values, players, kind="tabular", content=np.zeros(2)) for values in ([1.0, 2.0], [3.0, 4.0, 5.0])
    ]
    assert held(maps).to_pandas()["features"].tolist() == ["feature 0", "feature 1", "feature 0", "feature 1", ""]


def test_a_place_gives_the_same_view_as_long_as_somebody_holds_it():
    answer = held(many())
    third = answer[2]
    assert answer[2] is third is answer[1:][1] is answer[-5]
    assert answer.index(third) == 2
    assert third in answer
    assert answer[1] is not third
    with pytest.raises(IndexError):
        answer[7]


def test_copies_of_a_view_hold_nothing_but_its_fields():
    answer = held(many(400))
    for copied in (copy.copy(answer[1]), copy.deepcopy(answer[1]), pickle.loads(pickle.dumps(answer[1]))):
        assert same(copied, answer[1])
        assert set(vars(copied)) == set(FIELDS)
    assert len(pickle.dumps(answer[1])) < 5_000
    assert same(dataclasses.replace(answer[1], label="g(x)"), dataclasses.replace(many()[1], label="g(x)"))


def test_writing_to_the_arrays_of_a_view_changes_no_relation():
    answer = held(many())
    before = [copy.deepcopy(a) for a in answer]
    for a in list(answer):
        for name in ARRAYS:
            if getattr(a, name).dtype.kind == "f":
                getattr(a, name)[...] = -7.0
            elif name == "players":
                a.players[...] = 0
    del a  # as long as somebody holds a view, its place gives this view
    gc.collect()
    assert all(map(same, answer, before))


def test_a_query_s_maps_are_no_part_of_the_registered_input():
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", nn.Linear(4, 2))
        con.register_input("xs", torch.arange(12.0).reshape(3, 4))
        answer = con.sql("select * from f(xs, target => 0)")
        answer[1].content[...] = 0.0
        assert con.sql("select * from f(xs, target => 0)")[1].content.tolist() == [4.0, 5.0, 6.0, 7.0]


def test_rows_of_a_frame_are_shown_in_words_each_its_own():
    pandas = pytest.importorskip("pandas")
    people = pandas.DataFrame({"age": [39.0, math.nan, 20.5], "job": ["clerk", "cook", None]})
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", lambda frame: np.stack([frame["age"].fillna(0.0), frame["job"] == "cook"], axis=1))
        con.register_input("people", people)
        answer = con.sql("select * from f(people, target => 0)")
        assert [a.content.tolist() for a in answer] == [["39.0", "clerk"], ["", "cook"], ["20.5", ""]]


# --- what is shared


def test_a_query_over_a_collection_holds_labels_texts_and_inputs_once():
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2)))
        con.register_input("xs", torch.randn(6, 3, 8, 8))
        columns = con.sql("select *, * from f(xs, target => 0) where row < 6").columns
    assert len(columns) == 12
    assert len(columns.players.table) == len(columns.kind.table) == len(columns.scores.table) == 1
    assert columns.players.table[0].labels.nbytes <= 2 * 64  # one channel, of small numbers
    assert len(columns.content.table) == len(columns.label.table) == 6
    assert columns.own == {}


def test_a_map_over_a_photo_takes_the_memory_of_its_values():
    labels = np.broadcast_to(np.arange(64)[:, None] // 10 * 7 + np.arange(64)[None, :] // 10, (3, 64, 64))
    photo = np.zeros((3, 64, 64))
    maps = [attribution(np.ones(49), labels, photo, label=f"f(xs[{k}])") for k in range(50)]
    columns = dataclasses.replace(MapColumns.of(maps), own={})
    tracemalloc.start()
    answer = relation_of(columns.taken(np.arange(2000) % 50))
    assert [a.label for a in answer][-1] == "f(xs[49])"
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 2000 * (2 * 49 * 8 + 200)


@pytest.mark.parametrize(
    "part", [slice(2, 5), slice(None, None, 2), slice(5, 2), slice(-3, None), slice(None, None, -1)], ids=str
)
def test_a_slice_has_the_maps_of_its_places(part, tmp_path: Path):
    given, answer = many(9), held(many(9))
    some = answer[part]
    assert len(some) == len(given[part])
    assert all(map(same, some, given[part]))
    assert all(map(same, some[1:], given[part][1:]))
    assert all(map(same, MapColumns.of(given[part]).taken(range(len(some))).label and some, given[part]))
    assert all(map(same, pickle.loads(pickle.dumps(some)), given[part]))
    assert some.query == answer.query
    if some:
        assert all(map(same, ialgebra.load(some.save(tmp_path / "some")), given[part]))
        assert some.to_pandas().equals(relation(*given[part]).to_pandas())


def test_neighbours_share_the_arrays_and_a_saved_slice_holds_no_others(tmp_path: Path):
    answer = held(many(400))
    some = answer[100:104]
    assert np.shares_memory(some.columns.values, answer.columns.values)
    assert some.columns.content.table is answer.columns.content.table
    whole, part = (each.save(tmp_path / "saved").stat().st_size for each in (answer, some))
    assert part < whole / 20
    assert len(pickle.dumps(some)) < len(pickle.dumps(answer)) / 20


# --- what many maps say together


def test_the_data_frame_of_many_maps_is_that_of_each():
    pandas = pytest.importorskip("pandas")
    answer = held(many(11))
    together, apart = (
        answer.to_pandas(details=True),
        pandas.concat([a.to_pandas(details=True) for a in answer if len(a.values)]),
    )
    pandas.testing.assert_frame_equal(together, apart.reset_index(drop=True))
    assert together["features"].tolist()[:8] == [
        "rows 0-3, cols 0-3", "rows 0-3, cols 4-7", "rows 4-7, cols 0-3", "rows 4-7, cols 4-7",
        "age", "bmi", "s5", "not",
    ]  # fmt: skip


def test_tokens_without_names_are_called_by_their_own_ids():
    pytest.importorskip("pandas")
    texts = [tokens("", [1.0, 2.0], content=np.array(ids), feature_names=None) for ids in ([7, 8], [9, 7])]
    assert held(texts).to_pandas()["features"].tolist() == ["7", "8", "9", "7"]


def test_the_mean_over_maps_has_the_mean_of_their_errors():
    pytest.importorskip("pandas")
    rows = [([1.0, -2.0], [0.1, 0.0], "cat"), ([3.0, 6.0], [0.3, 0.2], "cat"), ([5.0, 5.0], [0.5, math.inf], "dog")]
    names = ("age", "bmi")
    answer = held(
        [tabular(values, stderr=np.array(e), target_name=name, feature_names=names) for values, e, name in rows]
    )
    together = answer.mean()
    assert together.columns.tolist() == ["features", "mean", "stderr", "maps"]
    assert together["features"].tolist() == ["age", "bmi"]
    np.testing.assert_allclose(together["mean"], [3.0, 3.0])
    np.testing.assert_allclose(together["stderr"], [0.3, math.inf])
    apart = answer.mean(by="target")
    assert apart["target"].tolist() == ["cat", "cat", "dog", "dog"]
    np.testing.assert_allclose(apart["mean"], [2.0, 2.0, 5.0, 5.0])
    np.testing.assert_allclose(apart["stderr"], [0.2, 0.1, 0.5, math.inf])
    assert apart["maps"].tolist() == [2, 2, 1, 1]
    with pytest.raises(BindError, match="maps are not grouped by 'targets'; did you mean 'target'"):
        answer.mean(by="targets")


def test_means_count_the_maps_in_which_a_word_plays_and_a_word_twice_once():
    pytest.importorskip("pandas")
    answer = held([tokens("a b a", [1.0, 5.0, 2.0], label="one"), tokens("c b", [-4.0, 1.0], label="two")])
    found = answer.mean().set_index("features")
    assert found["mean"].to_dict() == {"a": 1.5, "b": 3.0, "c": -4.0}
    assert found["maps"].to_dict() == {"a": 1, "b": 2, "c": 1}
    sizes = answer.importance(by="label")
    assert sizes["features"].tolist() == ["b", "a", "c", "b"]
    assert sizes["label"].tolist() == ["one", "one", "two", "two"]
    assert sizes["importance"].tolist() == [5.0, 1.5, 4.0, 1.0]


@pytest.mark.parametrize("by", ["model", "layer", "input", "baseline", "label", "component", "item", "target"])
def test_groups_are_those_of_the_maps_one_by_one(by):
    pytest.importorskip("pandas")
    maps = [a for a in many(12) if len(a.values)]
    field = "target_name" if by == "target" else by
    words = ["" if getattr(a, field) is None else str(getattr(a, field)) for a in maps]
    for column, of in (("mean", lambda v: v), ("importance", abs)):
        found = getattr(held(maps), column)(by=by)
        for group, name, value in zip(found[by], found["features"], found[column], strict=True):
            members = [a for a, word in zip(maps, words, strict=True) if word == group]
            values = [
                of(float(v))
                for a in members
                for v, player in zip(a.values, a.player_names(), strict=True)
                if player == name
            ]
            assert value == pytest.approx(sum(values) / len(values))


def test_a_table_of_many_maps_says_how_many_it_leaves_out():
    short, long = (held([tabular([1.0], label=f"f(x[{k}])") for k in range(count)]).text for count in (60, 1061))
    assert short.splitlines()[-2].startswith("f(x[59])")
    assert len(long.splitlines()) == 1 + 60 + 1 + 1
    assert long.splitlines()[-2] == "… and 1,001 more: answer[60:] prints the next, answer.to_pandas() has all"
    assert long.splitlines()[-1] == "1,024 rows in 1.25 s"


def test_show_draws_what_plot_draws(monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    shown = []
    monkeypatch.setattr(pyplot, "get_backend", lambda: "a display")
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(pyplot.gcf().get_size_inches().tolist()))
    answer = held([tabular([1.0, 2.0], label=f"f(x[{k}])") for k in range(300)])
    answer.show()
    pyplot.close("all")
    assert shown == [answer.plot().get_size_inches().tolist()]


def test_maps_are_grouped_by_what_the_model_predicts_where_the_query_left_the_target_to_it():
    pytest.importorskip("pandas")
    with ialgebra.connect(progress=False) as con:
        linear = nn.Linear(2, 2, bias=False)
        linear.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        con.register_model("f", linear, classes=["cat", "do\ng"])
        con.register_input("xs", torch.tensor([[3.0, 1.0], [1.0, 2.0], [5.0, 1.0]]))
        answer = con.sql("select * from f(xs)")
        found = answer.mean(by="prediction")
        assert [a.prediction for a in answer] == ["cat", "do\\ng", "cat"]
        assert found["prediction"].tolist() == ["cat", "cat", "do\\ng", "do\\ng"]
        np.testing.assert_allclose(found["mean"], [4.0, 0.0, 0.0, 2.0], atol=1e-6)
        con.register_input("x", torch.tensor([3.0, 1.0]))
        con.register_input("y", torch.tensor([1.0, 2.0]))
        with pytest.warns(ialgebra.IalgebraWarning, match="different classes"):
            (both,) = con.sql("select * from f(x) join (select * from f(y))")
        (half,) = con.sql("select * from f(x) join (select * from f(y, target => 0))")
        assert (both.prediction, half.prediction) == ("cat, do\\ng", None)
        named = con.sql("select * from f(xs, target => 0)")
        assert [a.prediction for a in named] == [None] * 3
        with pytest.raises(BindError, match=r"do not say what the model predicts .* group by 'target'"):
            named.importance(by="prediction")
