"""DataFrames from registration to the map: the model sees frames of the registered dtypes, values are those by hand."""

from __future__ import annotations

import datetime
import itertools
import math
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import ialgebra
from ialgebra import Session
from ialgebra.algebra.packings import packing_of
from ialgebra.algebra.packings.packing import Packing
from ialgebra.errors import BindError, IalgebraError, ShapeError

Floats = NDArray[np.float64]

PEOPLE = pd.DataFrame(
    {
        "age": pd.array([39, 52, None, 28, 39], dtype="Int64"),
        "job": ["clerk", "baker", None, "clerk", "judge"],
        "city": pd.Categorical(["A", "B", "A", "C", "A"], categories=["A", "B", "C", "D"]),
        "debt": [20.3, np.nan, -1.0, 4.0, 0.5],
        "own": [True, False, True, True, False],
        "since": pd.to_datetime(["2020-01-01", "2021-06-01", None, "2019-01-01", "2020-01-01"]),
    }
)
SEEN: list[pd.DataFrame] = []


def risk(frame: pd.DataFrame) -> Tensor:
    """A score that reads each column in its own dtype."""
    assert isinstance(frame, pd.DataFrame)
    SEEN.append(frame)
    assert frame.dtypes.equals(PEOPLE.dtypes), frame.dtypes
    age = frame["age"].fillna(50).to_numpy(dtype=float)
    job = frame["job"].map({"clerk": 1.0, "baker": 2.0, "judge": 5.0}).fillna(-3.0).to_numpy(dtype=float)
    city = frame["city"].cat.codes.to_numpy(dtype=float)
    debt = frame["debt"].fillna(7.0).to_numpy()
    days = (frame["since"].fillna(pd.Timestamp("2000-01-01")) - pd.Timestamp("2020-01-01")).dt.days.to_numpy(
        dtype=float
    )
    score = age / 10 + job * city + np.where(frame["own"], debt, -debt) + days / 365
    return torch.from_numpy(np.stack([score, -score], axis=1))


def numbers(values: object) -> Tensor:
    """A copy as float64, since pandas shares memory that must not be written to."""
    return torch.tensor(np.array(values, dtype=float))


def seen(frame: pd.DataFrame, found: Tensor) -> Tensor:
    """What was found, after noting the frame."""
    SEEN.append(frame)
    return found


def shapley(
    score: Callable[[pd.DataFrame], Tensor], x: pd.DataFrame, background: pd.DataFrame, groups: list[list[str]]
) -> Floats:
    """Eq. 2 by enumeration, of the mean over the rows of a background; each hybrid is made by pandas."""
    names = list(x.columns)

    def v(coalition: frozenset[int]) -> float:
        present = [name for group in coalition for name in groups[group]]
        rows = background.copy()
        for name in present:
            rows[name] = pd.concat([x[name]] * len(rows), ignore_index=True).set_axis(rows.index).astype(x[name].dtype)
        return float(score(rows[names])[:, 0].mean())

    d = len(groups)
    found = np.zeros(d)
    for i in range(d):
        for size in range(d):
            weight = math.factorial(size) * math.factorial(d - size - 1) / math.factorial(d)
            for others in itertools.combinations([j for j in range(d) if j != i], size):
                found[i] += weight * (v(frozenset({*others, i})) - v(frozenset(others)))
    return found


@pytest.fixture
def con() -> Iterator[Session]:
    SEEN.clear()
    with ialgebra.connect(progress=False) as session:
        session.register_model("f", risk)
        yield session


def test_a_row_against_a_background_of_rows_is_what_enumeration_says(con: Session) -> None:
    x, background = PEOPLE.iloc[[0]], PEOPLE.iloc[1:4]
    con.register_input("bg", background)
    con.register_input("x", x, baseline="bg")
    (a,) = con.sql("select * from f(x, target => 0) using exact()")
    each = [[name] for name in PEOPLE.columns]
    np.testing.assert_allclose(a.map, shapley(risk, x, background, each), atol=1e-9)
    assert a.feature_names == tuple(PEOPLE.columns)
    assert list(a.content) == ["39", "clerk", "A", "20.3", "True", "2020-01-01 00:00:00"]
    missing = con._catalog.input("bg").elements[1]
    (shown,) = cast(Packing, packing_of(missing.tensor)).shown(missing.array[None])
    assert list(shown) == ["", "", "A", "-1.0", "True", ""]


def test_a_collection_is_compared_with_its_own_mean_and_mode(con: Session) -> None:
    con.register_input("xs", PEOPLE)
    with pytest.raises(AssertionError):
        risk(PEOPLE.assign(age=PEOPLE["age"].astype(float)))
    con.register_model("g", lambda frame: numbers(frame["debt"].fillna(0)))
    assert [str(each) for each in con.sql("select * from g(xs) using exact()")[0].baseline.split(",")] == ["mean(xs)"]
    (a, *_) = con.sql("select * from g(xs) using exact()")
    assert a.base_value == pytest.approx((20.3 - 1 + 4 + 0.5) / 4)
    con.register_model("h", lambda frame: seen(frame, torch.zeros(len(frame))))
    con.sql("select * from h(xs) using exact()")
    middle = next(frame.iloc[[k]] for frame in SEEN for k in range(len(frame)) if frame["age"].iloc[k] == 39.5)
    assert middle["age"].dtype == "Float64"  # a mean of whole numbers has a fraction
    assert middle["job"].item() == "clerk"
    assert middle["city"].item() == "A"
    assert middle["own"].dtype == bool
    assert bool(middle["own"].item()) is True


@pytest.mark.parametrize(("how", "age", "debt"), [("mean", 39.5, 5.95), ("median", 39.0, 2.25), ("mode", 39.0, 20.3)])
def test_a_baseline_is_the_mean_the_median_or_the_mode(con: Session, how: str, age: float, debt: float) -> None:
    con.register_input("xs", PEOPLE)
    con.register_model("g", lambda frame: numbers(frame[["age", "debt"]].astype(float).fillna(0)))
    for target, value in enumerate((age, debt)):
        (a, *_) = con.sql(f"select * from g(xs, baseline => {how}(xs), target => {target}) using exact()")
        assert a.base_value == pytest.approx(value)


def test_windows_read_names_and_texts(con: Session) -> None:
    con.register_input("bg", PEOPLE.iloc[[3]])
    con.register_input("x", PEOPLE.iloc[[1]], baseline="bg")

    def plays(where: str) -> list[str]:
        return con.sql(f"select * from f(x, target => 0) where {where} using exact()")[0].player_names()

    assert plays("feature = 'job'") == ["job"]
    assert plays("feature in ('age', 'debt')") == ["age", "debt"]
    assert plays("value = 'baker'") == ["job"]
    assert plays("value in ('baker', 'B')") == ["job", "city"]
    assert plays("value <> 'baker' and feature <> 'since'") == ["age", "city", "own"]  # a missing debt is neither
    assert plays("value > 50 and value < 100") == ["age"]
    with pytest.raises(BindError, match="no order"):
        plays("value > 'baker'")
    with pytest.raises(BindError, match=r"unknown feature 'jbo'; did you mean 'job'"):
        plays("feature = 'jbo'")


def test_groups_are_players_by_name_and_by_the_beginning_of_one_hot_columns(con: Session) -> None:
    frame = pd.DataFrame({"age": [39.0], "city_A": [1], "city_B": [0], "zip": [3], "job=clerk": [1], "job=judge": [2]})
    con.register_input("bg", frame * 0 - 1)
    con.register_input("x", frame, baseline="bg")
    w = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    con.register_model("g", lambda rows: numbers(rows.to_numpy(dtype=float) @ w))

    def values(players: str) -> dict[str, float]:
        (a,) = con.sql(f"select * from g(x, players => {players}) using exact()")
        return dict(zip(a.player_names(), a.values.round(9).tolist(), strict=True))

    assert values("groups('city', 'job')") == {"age": 40, "city": 7, "zip": 16, "job": 28}
    assert values("groups(('city', 'zip'))") == {
        "age": 40, "city_A, city_B, zip": 23, "job=clerk": 10, "job=judge": 18
    }  # fmt: skip
    assert values("groups('age', ('zip', 'job'))") == {
        "age": 40,
        "city_A": 4,
        "city_B": 3,
        "zip, job=clerk, job=judge": 44,
    }
    with pytest.raises(BindError, match="no feature is called 'town'"):
        values("groups('town')")
    with pytest.raises(BindError, match="'zip' is in two groups"):
        values("groups('zip', ('zip', 'age'))")
    with pytest.raises(BindError, match=r"groups\('job', \('city', 'zip'\)\)"):
        values("groups(3)")
    con.register_input("y", frame, baseline="bg", players="groups('city', ('job', 'zip'))")
    assert con.sql("select * from g(y) using exact()")[0].player_names()[1] == "city"
    assert "groups('city', ('job', 'zip'))" in str(con.sql("describe y").text)


def test_groups_of_mixed_columns_are_what_enumeration_says(con: Session) -> None:
    x, background = PEOPLE.iloc[[0]], PEOPLE.iloc[[1]]
    con.register_input("bg", background)
    con.register_input("x", x, baseline="bg")
    (a,) = con.sql("select * from f(x, target => 0, players => groups(('age', 'city'), ('job', 'debt'))) using exact()")
    wanted = shapley(risk, x, background, [["age", "city"], ["job", "debt"], ["own"], ["since"]])
    np.testing.assert_allclose(a.values, wanted, atol=1e-9)


def test_edits_change_amounts_and_leave_texts(con: Session) -> None:
    con.register_input("bg", PEOPLE.iloc[[3]])
    con.register_input("x", PEOPLE.iloc[[0]], baseline="bg")
    con.register_model(
        "g", lambda frame: torch.from_numpy(frame["debt"].to_numpy() + (frame["job"] == "clerk").to_numpy())
    )
    assert con.sql("select * from g(clip(x, 0, 10)) using exact()")[0].full_value == pytest.approx(11.0)
    con.register_input("y", PEOPLE.iloc[[4]])
    assert con.sql("select * from g(substitute(x, value = 'clerk', y)) using exact()")[0].full_value == pytest.approx(
        20.3
    )
    assert con.sql("select * from g(nullify(x, feature = 'debt')) using exact()")[0].full_value == pytest.approx(5.0)


def test_two_frames_that_were_registered_apart_meet_value_by_value(con: Session) -> None:
    y = pd.DataFrame(
        {"age": pd.array([39], dtype="Int64"), "job": ["clerk"], "city": pd.Categorical(["A"], categories=["E", "A"]),
         "debt": [20.3], "own": [True], "since": pd.to_datetime(["2020-01-01"]).as_unit("us")}
    )  # fmt: skip
    con.register_input("x", PEOPLE.iloc[[0]])
    con.register_input("y", y)
    con.register_model("g", lambda frame: numbers(frame["job"] == "clerk"))
    one, other = con.sql("select * from g(x) left join (select * from g(y))")
    assert one.values.tolist() == other.values.tolist() == [0.0] * 6
    assert one.stderr.tolist() == [0.0] * 6


def test_a_category_that_only_the_background_has_is_seen_by_the_model(con: Session) -> None:
    con.register_input("bg", pd.DataFrame({"city": pd.Categorical(["Z"])}))
    con.register_input("x", pd.DataFrame({"city": pd.Categorical(["A"], categories=["A", "B"])}), baseline="bg")
    con.register_model("g", lambda frame: seen(frame, numbers(frame["city"] == "Z")))
    (a,) = con.sql("select * from g(x)")
    assert a.values.tolist() == [-1.0]
    mixed = [list(frame["city"].cat.categories) for frame in SEEN if "Z" in list(frame["city"])]
    assert mixed
    assert all(each == ["A", "B", "Z"] for each in mixed)


def test_a_series_is_one_input_of_the_background_s_dtypes(con: Session) -> None:
    con.register_input("bg", PEOPLE.iloc[1:4])
    con.register_input("x", PEOPLE.iloc[0], baseline="bg")
    (a,) = con.sql("select * from f(x, target => 0) using exact()")
    expected = shapley(risk, PEOPLE.iloc[[0]], PEOPLE.iloc[1:4], [[name] for name in PEOPLE.columns])
    np.testing.assert_allclose(a.map, expected, atol=1e-9)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_torch_model_gets_the_numbers_of_a_frame(con: Session, wrapped: bool) -> None:
    net = torch.nn.Linear(3, 2)
    con.register_model("net", (lambda x: net(x)) if wrapped else net)
    con.register_input("x", pd.DataFrame({"age": [39], "debt": [20.5], "own": [True]}))
    (a,) = con.sql("select * from net(x, target => 1) using exact()")
    np.testing.assert_allclose(a.values, net.weight[1].detach().numpy() * [39, 20.5, 1], rtol=1e-5)


def test_a_torch_model_cannot_read_texts_and_the_error_says_what_to_do(con: Session) -> None:
    con.register_model("net", torch.nn.Linear(6, 2))
    con.register_input("x", PEOPLE.iloc[[0]], baseline=PEOPLE.iloc[[1]])
    with pytest.raises(IalgebraError, match=r"columns 'job', 'city'.*hold no numbers"):
        con.sql("select * from net(x)")


def test_a_frame_without_numbers_needs_a_baseline_and_the_error_s_advice_works(con: Session) -> None:
    con.register_input("x", PEOPLE.iloc[[0]])
    with pytest.raises(BindError, match=r"0 is no value of columns 'job', 'city'.*baseline=frame"):
        con.sql("select * from f(x, target => 0)")
    con.register_input("x", PEOPLE.iloc[[0]], baseline=PEOPLE.iloc[[1]])
    con.sql("select * from f(x, target => 0)")
    con.register_input("bg", PEOPLE)
    con.sql("select * from f(x, target => 0, baseline => bg)")


@pytest.mark.parametrize(
    ("other", "advice"),
    [
        (PEOPLE[PEOPLE.columns[::-1]], lambda other: other[list(PEOPLE.columns)]),
        (PEOPLE.assign(age=PEOPLE["age"].astype(object)), lambda other: other.astype(PEOPLE.dtypes)),
    ],
)
def test_a_background_of_another_form_is_refused_and_the_advice_works(
    con: Session, other: pd.DataFrame, advice: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    con.register_input("bg", other)
    con.register_input("x", PEOPLE.iloc[[0]])
    with pytest.raises((BindError, ShapeError), match=r"frame\.columns|frame\.dtypes"):
        con.sql("select * from f(x, target => 0, baseline => bg)")
    con.register_input("bg", advice(other))
    con.sql("select * from f(x, target => 0, baseline => bg)")


def test_whole_number_tables_of_frames_are_tables(con: Session) -> None:
    con.register_input("xs", pd.DataFrame({"age": [30, 40], "debt": [1, 2]}))
    con.register_model("g", lambda frame: numbers(frame["age"]))
    (a, _) = con.sql("select * from g(xs) where feature = 'age'")
    assert a.kind == "tabular"
    assert a.values.tolist() == [-5.0]
    con.register_input("ids", pd.DataFrame({"id": [2**62 + 1, 5]}))
    con.register_model("h", lambda frame: numbers(frame["id"] == 2**62 + 1))
    assert con.sql("select * from h(ids, baseline => 0)")[0].values.tolist() == [1.0]


def test_rows_of_a_frame_are_found_again_and_those_of_another_are_not(con: Session) -> None:
    con.register_model("g", lambda frame: numbers(frame.iloc[:, 0] * (2 if "a" in frame else 3)))
    con.register_input("x", pd.DataFrame({"a": [1.0], "b": [1.0]}))
    con.register_input("y", pd.DataFrame({"c": [1.0], "d": [1.0]}))
    assert con.sql("select * from g(x)")[0].values.tolist() == [2.0, 0.0]
    assert con.sql("select * from g(y)")[0].values.tolist() == [3.0, 0.0]
    again = con.sql("select * from g(x)")
    assert again.stats.rows == 0
    assert again[0].values.tolist() == [2.0, 0.0]


def test_an_exported_script_registers_frames_again(con: Session, tmp_path: Path) -> None:
    frame = PEOPLE.assign(
        mixed=np.array(["a", 1, None, (1, 2.5), datetime.date(2020, 1, 1)], dtype=object), id=2**62 + 1
    )
    frame = frame.rename(columns={"age": ("a", "'b\n")})
    con.register_model("g", lambda rows: numbers(rows["debt"].fillna(0)) + numbers(rows["id"] == 2**62 + 1))
    con.register_input("bg", frame.iloc[1:4])
    con.register_input("x", frame.iloc[[0]], baseline="bg")
    con.register_input("y", frame.iloc[4], baseline="bg")
    con.register_input("xs", frame, players="groups('job', ('city', 'debt'))")
    first = [con.sql(f"select * from g({name}) using exact()") for name in ("x", "y", "xs")]
    path = con.history.export(tmp_path / "again.py")
    again = runpy.run_path(str(path))["analysis"](con.registered()["models"])
    for one, two in zip(first, again, strict=True):
        for a, b in zip(one, two, strict=True):
            assert a.map.tobytes() == b.map.tobytes()
            assert list(a.content) == list(b.content)
            assert a.player_names() == b.player_names()


def test_an_answer_about_a_frame_is_saved_and_loaded(con: Session, tmp_path: Path) -> None:
    con.register_input("bg", PEOPLE.iloc[1:4])
    con.register_input("x", PEOPLE.iloc[[0]], baseline="bg")
    answer = con.sql("select * from f(x, target => 0) using exact()")
    (a,) = ialgebra.load(answer.save(tmp_path / "answer.safetensors"))
    assert list(a.content) == list(answer[0].content)
    assert a.player_names() == list(PEOPLE.columns)
    assert answer.to_pandas()["features"].tolist() == list(PEOPLE.columns)


def test_methods_that_replace_features_see_values_of_both_ends_and_gradients_are_refused(con: Session) -> None:
    pytest.importorskip("captum")
    con.register_model("g", lambda rows: numbers(rows["debt"].fillna(0)) + numbers(rows["job"] == "clerk"))
    con.register_input("x", PEOPLE.iloc[[0]], baseline=PEOPLE.iloc[[1]])  # whose debt is missing
    for method in ("FeatureAblation", "ShapleyValueSampling", "ShapleyValues"):
        (a,) = con.sql(f"select * from g(x) using captum.{method}()")
        assert a.values == pytest.approx([0, 1, 0, 20.3, 0, 0], abs=1e-3), method
    with pytest.raises(BindError, match=r"gradients, which do not flow through a DataFrame.*FeatureAblation"):
        con.sql("select * from g(x) using captum.IntegratedGradients()")
    net = torch.nn.Linear(2, 1)
    con.register_model("net", net)
    con.register_input("y", PEOPLE[["debt", "own"]].iloc[[0]])
    (a,) = con.sql("select * from net(y) using captum.IntegratedGradients()")
    assert a.values == pytest.approx(net.weight[0].detach().numpy() * [20.3, 1], rel=1e-5)


def test_a_row_of_numbers_meets_a_frame_of_numbers_and_no_other(con: Session) -> None:
    con.register_model("g", lambda rows: numbers(rows["age"] * rows["debt"]))
    frame = pd.DataFrame({"age": [2], "debt": [3.0]})
    con.register_input("x", frame, baseline=[0, 0])
    con.register_input("y", torch.tensor([2.0, 3.0], dtype=torch.float64), baseline=frame * 0)
    for name in "xy":
        assert con.sql(f"select * from g({name}) using exact()")[0].values.tolist() == [3.0, 3.0]
    with pytest.raises(BindError, match="no values for column 'job'; register both inputs as frames"):
        con.register_input("z", [2.0, 3.0], baseline=pd.DataFrame({"age": [2], "job": ["a"]}))


def test_two_frames_of_other_columns_are_explained_in_one_query(con: Session) -> None:
    con.register_model("g", lambda frame: numbers(frame["a"] * 2 if "a" in frame else frame["c"] * 3))
    con.register_input("x", pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 5.0]}), baseline="0")
    con.register_input("y", pd.DataFrame({"c": [1.0, 4.0], "d": [1.0, 5.0]}), baseline="0")
    (joined,) = con.sql("select * from g(x) join (select * from g(y)) using exact()")
    assert joined.values.tolist() == [(2 + 4 + 3 + 12) / 4, 0.0]
    with pytest.raises(ShapeError, match="lacks 'a', 'b'"):
        con.sql("select * from g(x) left join (select * from g(y)) using exact()")


def test_a_value_that_is_missing_in_both_ends_is_no_player_and_costs_nothing(con: Session) -> None:
    con.register_model("g", lambda frame: numbers(frame["debt"].fillna(1)) + numbers(frame["age"].fillna(2)))
    con.register_input("bg", PEOPLE.iloc[[2]])
    con.register_input("x", PEOPLE.iloc[[2]].assign(debt=5.0), baseline="bg")
    answer = con.sql("select * from g(x) using exact()")
    assert answer[0].values.tolist() == [0, 0, 0, 6.0, 0, 0]
    assert answer.stats.rows == 2


def test_a_series_that_lost_its_frame_s_types_says_what_keeps_them() -> None:
    frame = pd.DataFrame({"city": pd.Categorical(["Ulm", "Kiel"]), "age": [1.0, 2.0]})

    def model(rows: pd.DataFrame) -> torch.Tensor:
        return torch.tensor((rows.city.cat.codes * rows.age).to_numpy())  # only categories have codes

    con = ialgebra.connect(progress=False)
    con.register_model("f", model)
    con.register_input("bg", frame)
    con.register_input("x", frame.iloc[0])
    with pytest.raises(ialgebra.ModelError, match=r"register frame\.iloc\[\[0\]\] instead of frame\.iloc\[0\]"):
        con.sql("select * from f(x, baseline => bg)")
    con.register_input("x", frame.iloc[[0]])
    assert con.sql("select * from f(x, baseline => bg)")[0].values.shape == (2,)
