"""Trees by shap's TreeExplainer: `using tree()` is enumeration of just what the query explains, or an error.

The right values are enumerated here, on rows that the test mixes and hands to the model itself.
"""

from __future__ import annotations

import functools
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import ialgebra
from ialgebra import BindError, CompositionError
from ialgebra.testing import check_laws
from tests import oracle

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    shap = pytest.importorskip("shap")
    ensemble = pytest.importorskip("sklearn.ensemble")
    tree = pytest.importorskip("sklearn.tree")
    lightgbm = pytest.importorskip("lightgbm")
    pd = pytest.importorskip("pandas")

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")

Floats = NDArray[np.float64]
Asks = Callable[[Floats], Floats]

_DRAWN = np.random.default_rng(5)
X = _DRAWN.normal(size=(300, 4))
TWO = (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(int)
THREE = np.digitize(X[:, 0] + X[:, 3] * X[:, 1], [-0.5, 0.6])
AMOUNT = X[:, 0] * 2 + X[:, 1] * X[:, 3]
ROWS, BACKGROUND = X[[3, 40]], X[[10, 11, 12]]  # of the training, so that some lie upon thresholds


def lgbm(kind: str = "LGBMClassifier", **options: Any) -> Any:
    return getattr(lightgbm, kind)(n_estimators=8, min_child_samples=5, verbose=-1, n_jobs=1, **options)


def xgb(kind: str = "XGBClassifier", **options: Any) -> Any:
    return getattr(pytest.importorskip("xgboost"), kind)(n_estimators=6, max_depth=3, n_jobs=1, **options)


def booster(rounds: int = 6, **parameters: Any) -> Any:
    xgboost = pytest.importorskip("xgboost")
    labels = THREE if "num_class" in parameters else TWO
    return xgboost.train({"max_depth": 3, "nthread": 1, **parameters}, xgboost.DMatrix(X, labels), rounds)


def of_booster(model: Any) -> Asks:
    xgboost = pytest.importorskip("xgboost")
    return lambda rows: np.asarray(model.predict(xgboost.DMatrix(rows), output_margin=True), dtype=float)


def column(asks: Asks, k: int) -> Asks:
    return lambda rows: np.asarray(asks(rows), dtype=float)[:, k]


def odds(asks: Asks) -> Asks:
    def found(rows: Floats) -> Floats:
        p = np.asarray(asks(rows), dtype=float)[:, 1]
        return np.log(p) - np.log1p(-p)

    return found


def enumerated(asks: Asks, rows: Floats, background: Floats) -> Floats:
    """The mean over the background of Shapley values by Eq. 2, (rows, D)."""
    players = rows.shape[1]
    members = [frozenset(k for k in range(players) if number >> k & 1) for number in range(1 << players)]
    masks = np.array([[k in each for k in range(players)] for each in members])
    found = np.zeros(rows.shape)
    for x, total in zip(rows, found, strict=True):
        for one in background:
            values = dict(zip(members, np.asarray(asks(np.where(masks, x, one)), dtype=float).ravel(), strict=True))
            total += oracle.shapley(values.__getitem__, values.__getitem__, players)
    return found / len(background)


def session(model: object, rows: object = ROWS, background: object = BACKGROUND) -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", model)
    con.register_input("xs", rows)
    con.register_input("bg", background)
    return con


def close(found: Any, expected: Floats, tolerance: float = 2e-6) -> bool:
    values = np.array([each.values for each in found])
    return values.shape == expected.shape and bool(
        np.abs(values - expected).max() <= tolerance * np.abs(expected).max()
    )


def forests() -> Iterator[tuple[str, Callable[[], tuple[object, str, int, Asks]]]]:
    """(name, model made, output, target, what it returns of rows)."""
    options = {"random_state": 0}
    for name, labels in (("RandomForest", THREE), ("ExtraTrees", TWO)):
        yield (
            name,
            lambda name=name, labels=labels: (
                model := getattr(ensemble, f"{name}Classifier")(6, **options).fit(X, labels),
                "logit",
                1,
                column(model.predict_proba, 1),
            ),
        )
        yield (
            f"{name} of amounts",
            lambda name=name: (
                model := getattr(ensemble, f"{name}Regressor")(6, **options).fit(X, AMOUNT),
                "logit",
                0,
                model.predict,
            ),
        )
    for name in ("DecisionTree", "ExtraTree"):
        yield (
            name,
            lambda name=name: (
                model := getattr(tree, f"{name}Classifier")(max_depth=5, **options).fit(X, THREE),
                "probability",
                2,
                column(model.predict_proba, 2),
            ),
        )
    yield (
        "a tree of amounts",
        lambda: (
            model := tree.DecisionTreeRegressor(max_depth=5).fit(X, AMOUNT),
            "logit",
            0,
            model.predict,
        ),
    )


def boosted() -> Iterator[tuple[str, Callable[[], tuple[object, str, int, Asks]]]]:
    gradient = {"n_estimators": 8, "random_state": 0}
    yield (
        "gradient boosting",
        lambda: (
            model := ensemble.GradientBoostingClassifier(**gradient).fit(X, TWO),
            "log_odds",
            1,
            model.decision_function,
        ),
    )
    yield (
        "the other class of two",
        lambda: (
            model := ensemble.GradientBoostingClassifier(**gradient).fit(X, TWO),
            "log_odds",
            0,
            lambda rows: -model.decision_function(rows),
        ),
    )
    yield (
        "decisions",
        lambda: (
            (model := ensemble.GradientBoostingClassifier(**gradient).fit(X, TWO)).decision_function,
            "logit",
            1,
            model.decision_function,
        ),
    )
    yield (
        "logarithms of probabilities",
        lambda: (
            (model := ensemble.GradientBoostingClassifier(**gradient).fit(X, TWO)).predict_log_proba,
            "log_odds",
            1,
            model.decision_function,
        ),
    )
    yield (
        "gradient boosting of amounts",
        lambda: (
            model := ensemble.GradientBoostingRegressor(**gradient).fit(X, AMOUNT),
            "logit",
            0,
            model.predict,
        ),
    )
    yield (
        "histograms",
        lambda: (
            model := ensemble.HistGradientBoostingClassifier(max_iter=8).fit(X, TWO),
            "log_odds",
            1,
            model.decision_function,
        ),
    )
    yield (
        "histograms of three classes",
        lambda: (
            (model := ensemble.HistGradientBoostingClassifier(max_iter=5).fit(X, THREE)).decision_function,
            "logit",
            2,
            column(model.decision_function, 2),
        ),
    )
    yield (
        "histograms of amounts",
        lambda: (
            model := ensemble.HistGradientBoostingRegressor(max_iter=8).fit(X, AMOUNT),
            "logit",
            0,
            model.predict,
        ),
    )
    yield "LightGBM", lambda: (model := lgbm().fit(X, TWO), "log_odds", 1, odds(model.predict_proba))
    yield (
        "margins of LightGBM",
        lambda: (
            functools.partial((model := lgbm().fit(X, THREE)).predict, raw_score=True),
            "logit",
            0,
            column(functools.partial(model.predict, raw_score=True), 0),
        ),
    )
    yield "LightGBM of amounts", lambda: (model := lgbm("LGBMRegressor").fit(X, AMOUNT), "logit", 0, model.predict)
    yield (
        "a Booster of LightGBM",
        lambda: (
            model := lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(X, TWO), 6),
            "log_odds",
            0,
            lambda rows: -model.predict(rows, raw_score=True),
        ),
    )
    yield (
        "trees that are dropped",
        lambda: (
            model := lgbm(boosting_type="dart").fit(X, TWO),
            "log_odds",
            1,
            odds(model.predict_proba),
        ),
    )
    yield "xgboost", lambda: (model := xgb().fit(X, TWO), "log_odds", 1, of_booster(model.get_booster()))
    yield (
        "margins of xgboost",
        lambda: (
            functools.partial((model := xgb().fit(X, THREE)).predict, output_margin=True),
            "logit",
            2,
            column(functools.partial(model.predict, output_margin=True), 2),
        ),
    )
    yield "xgboost of amounts", lambda: (model := xgb("XGBRegressor").fit(X, AMOUNT), "logit", 0, model.predict)
    yield (
        "a Booster of xgboost",
        lambda: (
            model := booster(objective="binary:logistic"),
            "log_odds",
            1,
            of_booster(model),
        ),
    )
    yield (
        "a Booster of three classes",
        lambda: (
            model := booster(objective="multi:softmax", num_class=3),
            "logit",
            1,
            column(of_booster(model), 1),
        ),
    )


@pytest.mark.parametrize(("name", "make"), [*forests(), *boosted()], ids=lambda each: each if type(each) is str else "")
def test_values_are_those_of_enumeration_as_the_query_explains_them(name, make):
    model, output, target, asks = make()
    con = session(model)
    found = con.sql(f"select * from f(xs, baseline => bg, target => {target}, output => '{output}') using tree()")
    assert close(found, enumerated(asks, ROWS, BACKGROUND), 2e-5 if "xgboost" in name or "Booster" in name else 2e-6)
    assert found[0].method == "tree"
    assert not found[0].stderr.any()
    assert found.stats.rows < 80, "rows that check the trees, not coalitions"
    for each in found:
        assert each.values.sum() == pytest.approx(each.full_value - each.base_value, rel=1e-4, abs=1e-5)


def test_a_value_upon_a_threshold_goes_the_way_that_the_model_sends_it():
    """TreeExplainer holds thresholds in single precision, in which this value is above its threshold."""
    at = float(np.float32(0.7)) + 1e-9
    rows = np.repeat([[0.0], [at], [at + 1e-9], [1.0]], 30, axis=0)
    labels = np.repeat([0.0, 0.0, 5.0, 5.0], 30)
    model = ensemble.HistGradientBoostingRegressor(max_iter=3, learning_rate=1.0, min_samples_leaf=5).fit(rows, labels)
    con = session(model, np.array([[at]]), np.array([[1.0]]))
    (a,) = con.sql("select * from f(xs, baseline => bg) using tree()")
    assert a.values == pytest.approx(model.predict([[at]]) - model.predict([[1.0]]))
    assert a.values[0] < -4


MISSING = np.where(_DRAWN.random(X.shape) < 0.2, np.nan, X)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ensemble.HistGradientBoostingClassifier(max_iter=8).fit(MISSING, TWO),
        lambda: lgbm().fit(MISSING, TWO),
        lambda: lgbm().fit(X, TWO),  # which takes what is missing for 0, as it met nothing missing
        lambda: lgbm(zero_as_missing=True).fit(np.nan_to_num(MISSING), TWO),
        lambda: lgbm(use_missing=False).fit(MISSING, TWO),
        lambda: xgb().fit(MISSING, TWO),
        lambda: xgb(missing=0.0).fit(np.nan_to_num(MISSING), TWO),
    ],
    ids=["histograms", "LightGBM", "none met", "zeros", "not used", "xgboost", "zeros of xgboost"],
)
def test_what_is_missing_goes_its_own_way(make):
    model = make()
    rows, background = MISSING[:3].copy(), MISSING[20:24].copy()
    rows[0, :2], background[0, 1:], rows[1, 2] = np.nan, np.nan, 0.0
    if getattr(model, "missing", None) == 0:
        rows, background = np.nan_to_num(rows), np.nan_to_num(background)
    found = session(model, rows, background).sql(
        "select * from f(xs, baseline => bg, target => 1, output => 'log_odds') using tree()"
    )
    assert close(found, enumerated(odds(model.predict_proba), rows, background), 2e-5)


def test_a_data_frame_is_given_in_the_order_of_the_training():
    frame = pd.DataFrame(X, columns=list("abcd")).assign(e=TWO == 1)
    model = ensemble.RandomForestClassifier(6, random_state=0).fit(frame[list("deabc")], THREE)
    con = session(model, frame.iloc[:2], frame.iloc[5:8])

    def asks(rows: Floats) -> Floats:
        return model.predict_proba(pd.DataFrame(rows, columns=list("abcde"))[list("deabc")])[:, 1]

    expected = enumerated(asks, frame.iloc[:2].to_numpy(float), frame.iloc[5:8].to_numpy(float))
    found = con.sql("select * from f(xs, baseline => bg, target => 1) using tree()")
    assert close(found, expected)
    assert found[0].player_names() == list("abcde")
    along = con.sql("select * from f(xs, target => 1) using tree_path_dependent()")
    given = frame[list("deabc")].iloc[:2].to_numpy(np.float32)
    said = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent").shap_values(given)[..., 1]
    assert close(along, said[:, [2, 3, 4, 0, 1]])


def test_windows_joins_and_other_inputs_mean_what_they_mean_for_any_game():
    model = ensemble.GradientBoostingRegressor(n_estimators=8, random_state=0).fit(X, AMOUNT)
    con = session(model)
    con.register_model("g", ensemble.RandomForestRegressor(4, random_state=1).fit(X, AMOUNT))
    con.register_input("a", ROWS[0])
    con.register_input("b", ROWS[1])
    for text in (
        "select * from f(xs, baseline => bg) where feature != 1",
        "select * from f(xs, baseline => bg) where value > 0",
        "select * from f(a) left join f(b)",
        "select * from f(a) left join g(a)",
        "select * from f(a) join g(b) on weight = 0.25",
        "select * from f(nullify(a, feature = 2))",
    ):
        found, exact = con.sql(f"{text} using tree()"), con.sql(f"{text} using exact()")
        every = [np.concatenate([each.map for each in maps])[None] for maps in (found, exact)]
        assert np.abs(every[0] - every[1]).max() <= 2e-6 * np.abs(every[1]).max(), text
        assert [each.label for each in found] == [each.label for each in exact]
    (empty,) = con.sql("select * from f(a) where feature > 9 using tree()")
    assert not empty.map.any()


def test_maps_are_asked_once_and_found_again_until_the_model_changes():
    model = ensemble.RandomForestRegressor(4, random_state=1).fit(X, AMOUNT)
    con = session(model)
    text = "select * from f(xs, baseline => bg) using tree()"
    first, again = con.sql(text), con.sql(text)
    assert again.stats.rows == 0
    assert np.array_equal(first[1].values, again[1].values)
    model.fit(X, -AMOUNT)
    assert close(con.sql(text), enumerated(model.predict, ROWS, BACKGROUND))


def test_a_mean_over_many_backgrounds_is_one_question_and_its_ends_are_means():
    model = ensemble.RandomForestRegressor(4, random_state=1).fit(X, AMOUNT)
    con = session(model, ROWS, X[100:140])
    text = "select * from f(xs, baseline => bg)"
    first, again = con.sql(f"{text} using tree()"), con.sql(f"{text} using tree()")
    assert close(first, enumerated(model.predict, ROWS, X[100:140]))
    assert 2 < first.stats.rows < 120
    assert again.stats.rows == 0
    for found in (first, again):
        assert [each.base_value for each in found] == pytest.approx([model.predict(X[100:140]).mean()] * 2)
        assert [each.full_value for each in found] == pytest.approx(model.predict(ROWS).tolist())
    window = con.sql(f"{text} where feature < 2 using tree()")
    kept = np.concatenate([np.repeat(ROWS[:1, :2], 40, axis=0), X[100:140, 2:]], axis=1)
    assert window[0].full_value == pytest.approx(model.predict(kept).mean())
    exact = con.sql(f"{text} where feature < 2 using exact()")
    assert close(window, np.array([each.values for each in exact]))
    (empty, _) = con.sql(f"{text} where feature > 7 using tree()")
    assert not empty.map.any()
    assert empty.full_value == empty.base_value == pytest.approx(model.predict(X[100:140]).mean())


def test_all_backgrounds_of_all_inputs_are_asked_together(monkeypatch):
    made: list[object] = []
    explainer = shap.TreeExplainer

    def counted(*given: Any, **more: Any) -> Any:
        made.append(explainer(*given, **more))
        return made[-1]

    monkeypatch.setattr(shap, "TreeExplainer", counted)
    con = session(ensemble.RandomForestRegressor(4, random_state=1).fit(X, AMOUNT), X[:20], X[30:40])
    con.sql("select * from f(xs, baseline => bg) using tree()")
    assert len(made) == 1


# Path-dependent values


@pytest.mark.parametrize(
    ("make", "output"),
    [
        (lambda: ensemble.RandomForestRegressor(6, random_state=0).fit(X, AMOUNT), "logit"),
        (lambda: ensemble.HistGradientBoostingClassifier(max_iter=8).fit(X, TWO), "log_odds"),
        (lambda: lgbm().fit(X, TWO), "log_odds"),
        (lambda: xgb("XGBRegressor").fit(X, AMOUNT), "logit"),
    ],
)
@pytest.mark.filterwarnings("ignore:LightGBM binary classifier")
def test_path_dependent_values_are_those_of_shap(make, output):
    model = make()
    expected = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent").shap_values(ROWS)
    target = 1 if output == "log_odds" else 0
    found = session(model).sql(
        f"select * from f(xs, target => {target}, output => '{output}') using tree_path_dependent()"
    )
    assert close(found, np.asarray(expected))
    assert found[0].method == "tree_path_dependent"


def test_path_dependent_values_of_one_split_are_its_shares():
    """v(∅) = ¼ · 8 + ¾ · 0 = 2, the mean of the training, whatever the baseline is."""
    rows, labels = np.array([[0.0], [0.0], [0.0], [1.0]]), np.array([0.0, 0.0, 0.0, 8.0])
    con = session(tree.DecisionTreeRegressor().fit(rows, labels), np.array([[1.0], [0.0]]))
    found = con.sql("select * from f(xs) using tree_path_dependent()")
    assert [each.values.tolist() for each in found] == [[6.0], [-2.0]]


def test_categories_are_read_along_the_paths_of_lightgbm_only():
    frame = pd.DataFrame({"a": X[:, 0], "job": pd.Categorical(_DRAWN.choice(list("abcdef"), len(X)))})
    labels = ((frame.a > 0) ^ frame.job.isin(["a", "c"])).astype(int)
    of_lightgbm = functools.partial(lgbm, min_data_per_group=5, cat_smooth=1)
    for make in (of_lightgbm, lambda: ensemble.HistGradientBoostingClassifier(max_iter=8)):
        con = session(make().fit(frame, labels), frame.iloc[:2], frame.iloc[5:8])
        query = "select * from f(xs, baseline => bg, target => 1, output => 'log_odds')"
        with pytest.raises(BindError, match=r"the trees of model 'f' split on categories, which tree\(\) does not"):
            con.sql(f"{query} using tree()")
        if make is of_lightgbm:
            model = con.registered()["models"]["f"]
            expected = model.predict(frame.iloc[:2], pred_contrib=True)[:, :-1]
            assert close(con.sql(f"{query} using tree_path_dependent()"), expected)
        else:
            with pytest.raises(BindError, match=r"categories, which tree_path_dependent\(\) does not read; ask using"):
                con.sql(f"{query} using tree_path_dependent()")


# The laws, as docs/interpreters.md lists them


def tree_laws() -> dict[str, dict[str, str]]:
    text = Path(__file__).parent.parent.joinpath("docs/interpreters.md").read_text("utf-8")
    found = re.search(r"<!-- tree laws -->(.*)<!-- /tree laws -->", text, re.DOTALL)
    assert found is not None
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in found[1].strip().split("\n")]
    return {line[0].strip("`"): dict(zip(lines[0][1:], line[1:], strict=True)) for line in lines[2:]}


@pytest.mark.parametrize("using", ["tree()", "tree_path_dependent()"])
def test_the_table_of_laws_is_as_measured(using):
    con = session(ensemble.GradientBoostingRegressor(n_estimators=8, random_state=0).fit(X, AMOUNT))
    con.register_input("x", ROWS[0])
    con.register_input("y", np.where([True, False, False, True], *ROWS))
    said = tree_laws()[using]
    named = {"rewrites": "L10", **{column: column.split()[0] for column in said if column.startswith("L")}}
    del named["L16 null"]
    kept = {law.id: law.passed for law in check_laws(con, "f", ["x", "y"], [*named.values()], examples=1, using=using)}
    words = {True: "yes", False: "no", None: "–"}
    found = {column: words[kept[law]] for column, law in named.items()}
    (a,) = con.sql(f"select * from f(y, baseline => x) using {using}")
    assert a.values.any()
    found["L16 null"] = "no" if a.map[[0, 3]].any() else "yes"
    assert found == said


# Where trees are taken although the query names no method


WIDE = _DRAWN.normal(size=(300, 11))  # so many features that coalitions would be a sample
SIGN = (WIDE[:, 0] * WIDE[:, 1] + WIDE[:, 2] > 0).astype(int)
LEVEL = np.digitize(WIDE[:, 0], [-0.5, 0.5])


def taken(make: Callable[[], object], query: str = "select * from f(x)", **options: Any) -> tuple[str, str]:
    """The method of a query's answer, and what EXPLAIN says of the choice."""
    con = session(make(), WIDE[:2], WIDE[5:8])
    con.register_input("x", WIDE[0])
    (a, *_) = con.sql(query, **options)
    told = [line for line in con.explain(query).splitlines() if line.startswith("D2") and "f: " in line]
    return a.method, " ".join(told)


@pytest.mark.parametrize(
    ("make", "output"),
    [
        (lambda: ensemble.RandomForestClassifier(3, random_state=0).fit(WIDE, LEVEL), "logit"),
        (lambda: ensemble.ExtraTreesClassifier(3, random_state=0).fit(WIDE, LEVEL), "probability"),
        (lambda: tree.DecisionTreeRegressor(max_depth=4).fit(WIDE, LEVEL), "logit"),
        (lambda: ensemble.GradientBoostingClassifier(n_estimators=3).fit(WIDE, SIGN), "log_odds"),
        (lambda: ensemble.HistGradientBoostingClassifier(max_iter=3).fit(WIDE, LEVEL).decision_function, "logit"),
        (lambda: ensemble.HistGradientBoostingRegressor(max_iter=3).fit(WIDE, LEVEL), "logit"),
        (lambda: lgbm().fit(WIDE, SIGN), "log_odds"),
        (lambda: lgbm("LGBMRegressor").fit(WIDE, LEVEL), "logit"),
        (lambda: functools.partial(lgbm().fit(WIDE, LEVEL).predict, raw_score=True), "logit"),
        (lambda: xgb().fit(WIDE, SIGN), "log_odds"),
        (lambda: xgb("XGBRegressor").fit(WIDE, LEVEL), "logit"),
        (lambda: functools.partial(xgb().fit(WIDE, LEVEL).predict, output_margin=True), "logit"),
    ],
)
def test_trees_are_taken_where_they_are_exact_for_the_question(make, output):
    method, told = taken(make, f"select * from f(x, output => '{output}')")
    assert method == "tree"
    assert told == "D2  f: trees, by shap's TreeExplainer · not regression (~352 rows)"


@pytest.mark.parametrize(
    ("make", "output", "why"),
    [
        (lambda: ensemble.GradientBoostingClassifier(n_estimators=3).fit(WIDE, SIGN), "logit",
         "trees add up to log-odds; ask with output => 'log_odds'"),
        (lambda: lgbm().fit(WIDE, LEVEL), "log_odds", "trees add up to margins"),
        (lambda: xgb().fit(WIDE, LEVEL), "probability", "trees add up to margins"),
        (lambda: ensemble.RandomForestClassifier(3).fit(WIDE, SIGN), "log_odds", "trees add up to probabilities"),
        (lambda: ensemble.HistGradientBoostingRegressor(loss="poisson").fit(WIDE, LEVEL), "logit",
         "its loss is poisson"),
        (lambda: lgbm("LGBMRegressor", objective="gamma").fit(WIDE, 1 + LEVEL), "logit", "its objective is gamma"),
        (lambda: lgbm(sigmoid=2.0).fit(WIDE, SIGN), "log_odds", "its objective is binary sigmoid:2"),
        (lambda: lgbm(boosting_type="rf", bagging_freq=1, bagging_fraction=0.5).fit(WIDE, SIGN), "log_odds",
         "its trees are averaged"),
        (lambda: xgb("XGBRegressor", objective="count:poisson").fit(WIDE, LEVEL), "logit",
         "its objective is count:poisson"),
        (lambda: xgb("XGBRFClassifier").fit(WIDE, SIGN), "log_odds", "its booster is gbtree, of 6 trees a round"),
        (lambda: ensemble.GradientBoostingClassifier(n_estimators=3).fit(WIDE, LEVEL).decision_function, "logit",
         "shap's TreeExplainer does not read gradient boosting of this kind"),
    ],
)  # fmt: skip
def test_where_trees_are_not_exact_coalitions_are_taken_and_explain_says_why(make, output, why):
    method, told = taken(make, f"select * from f(x, target => 0, output => '{output}')")
    assert method.startswith("regression")
    assert told == f"D2  f: regression · not tree(): {why}"


def test_trees_that_were_chosen_and_do_not_tell_give_way_to_coalitions():
    """Leaves that are linear models, which neither the objective nor shap tells."""
    model = lgbm("LGBMRegressor", linear_tree=True).fit(WIDE, 3 * WIDE[:, 0] + WIDE[:, 1])
    query = "select * from f(x) error within 20%"
    con = session(model)
    con.register_input("x", WIDE[0])
    rounds = list(con.stream(query))
    assert rounds[-1][0].method.startswith("regression")
    assert rounds[-1].stats.bound_met
    assert "D2  f: regression · not tree(): the trees of model 'f' do not add up to its values" in con.explain(query)
    with pytest.raises(BindError, match="the trees of model 'f' do not add up to its values"):
        con.sql("select * from f(x) using tree()")


def test_whoever_names_a_method_or_a_budget_gets_it(monkeypatch):
    def forest() -> object:
        return ensemble.RandomForestRegressor(3, random_state=0).fit(WIDE, LEVEL)

    for query in ("select * from f(x) using regression()", "select * from f(x) budget 100"):
        method, told = taken(forest, query)
        assert method.startswith("regression")
        assert not told
    assert taken(forest, "select * from f(x)", strategy="FUSED")[0].startswith("regression")
    assert taken(forest, "select * from f(x) error within 5%")[0] == "tree"
    small = session(ensemble.RandomForestRegressor(3, random_state=0).fit(X, AMOUNT), X[:2], np.resize(X, (100, 4)))
    assert small.sql("select * from f(xs)")[0].method == "exact", "16 rows are run sooner than trees are read"
    assert small.sql("select * from f(xs, baseline => bg)")[0].method == "tree", "and 1,600 are not"
    monkeypatch.setattr("ialgebra.planner.trees._installed", lambda: False)
    assert "D2  f: regression · not tree(): shap is not installed" in taken(forest)[1]


# What is refused, in a sentence that says how to ask


def pipeline() -> object:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures

    return make_pipeline(PolynomialFeatures(2), ensemble.RandomForestRegressor(3)).fit(X, AMOUNT)


@pytest.mark.parametrize(
    ("make", "output", "words"),
    [
        (lambda: ensemble.GradientBoostingClassifier(n_estimators=3).fit(X, TWO), "logit",
         "do not add up to its probabilities, .*, but to log-odds; ask with output => 'log_odds', or ask using exact"),
        (lambda: xgb().fit(X, TWO), "probability", "do not add up to probabilities, .*; ask with output => 'log_odds'"),
        (lambda: xgb().fit(X, THREE), "log_odds",
         r"but to margins; register functools.partial\(model.predict, output_margin=True\), which returns them"),
        (lambda: lgbm().fit(X, THREE), "logit", "but to margins; register model.decision_function, which returns them"),
        (lambda: ensemble.RandomForestClassifier(3).fit(X, TWO), "log_odds",
         "but to probabilities; ask with output => 'probability', or ask using exact"),
        (lambda: lgbm("LGBMRegressor", objective="poisson").fit(X, np.abs(AMOUNT)), "logit",
         "do not add up to its values, which the query explains, as far as shap's TreeExplainer reads them; ask using"),
        (lambda: ensemble.HistGradientBoostingRegressor(loss="gamma").fit(X, 1 + np.abs(AMOUNT)), "logit",
         "do not add up to its values"),
        (lambda: ensemble.GradientBoostingClassifier(n_estimators=3).fit(X, THREE).decision_function, "logit",
         "shap's TreeExplainer does not read model 'f': InvalidModelError: .*binary classification"),
        (lambda: ensemble.RandomForestRegressor(3).fit(X, X[:, :2]), "logit", "model 'f' has several outputs at once"),
        (lambda: ensemble.RandomForestClassifier(3).fit(X, TWO).predict, "logit",
         "model 'f' is asked by predict, which does not return what its trees hold; by predict_proba it would"),
        (lambda: ensemble.IsolationForest(n_estimators=3).fit(X).score_samples, "logit", "IsolationForest, which is"),
        (pipeline, "logit", "is a pipeline, whose trees split on what its first steps make of"),
        (lambda: torch.nn.Linear(4, 1).double(), "logit", "model 'f' is a Linear, which is no ensemble of trees"),
        (lambda: lambda batch: batch.sum(1), "logit", "is a function, which is no ensemble of trees"),
    ],
)  # fmt: skip
def test_what_trees_do_not_tell_is_refused(make, output, words):
    con = session(make())
    query = f"select * from f(xs, baseline => bg, target => 0, output => '{output}')"
    with pytest.raises(BindError, match=words):
        con.sql(f"{query} using tree()")
    assert len(con.sql(f"{query} using exact()")) == len(ROWS), "what the error names can be asked"


def test_players_that_join_features_are_refused():
    con = session(ensemble.RandomForestRegressor(3).fit(X, AMOUNT))
    con.register_input("pairs", ROWS[0], players=torch.tensor([0, 0, 1, 1]))
    with pytest.raises(BindError, match="trees have a value for each feature, and a player of the query joins several"):
        con.sql("select * from f(pairs) using tree()")
    con.register_model("h", ensemble.RandomForestRegressor(3).fit(X, AMOUNT), preprocess=lambda batch: 2 * batch)
    with pytest.raises(BindError, match="model 'h' is registered with preprocess or reduce, which no tree tells"):
        con.sql("select * from h(xs) using tree()")


@pytest.mark.parametrize("of", ["where feature = 1", "left join f(b)"])
def test_what_reads_no_baseline_is_refused_where_one_is_meant(of):
    con = session(ensemble.RandomForestRegressor(3).fit(X, AMOUNT))
    con.register_input("a", ROWS[0])
    con.register_input("b", ROWS[1])
    with pytest.raises(CompositionError, match=r"tree_path_dependent cannot .*: it reads no baseline that"):
        con.sql(f"select * from f(a) {of} using tree_path_dependent()")


def test_without_shap_the_error_says_what_to_install(monkeypatch):
    con = session(ensemble.RandomForestRegressor(3).fit(X, AMOUNT))
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(BindError, match=r'shap is not installed; run: pip install "ialgebra\[shap\]"'):
        con.sql("select * from f(xs) using tree()")


def test_trees_that_shap_reads_otherwise_than_the_model_are_noticed(monkeypatch):
    con = session(ensemble.RandomForestRegressor(3, random_state=0).fit(X, AMOUNT))
    explainer = shap.TreeExplainer

    def turned(*given: Any, **more: Any) -> Any:
        found = explainer(*given, **more)
        found.model.thresholds = np.where(
            found.model.features == 0, found.model.thresholds + 0.5, found.model.thresholds
        )
        return found

    monkeypatch.setattr(shap, "TreeExplainer", turned)
    with pytest.raises(BindError, match="as far as shap's TreeExplainer reads them; ask using exact"):
        con.sql("select * from f(xs, baseline => bg) using tree()")


def test_margins_of_boosters_are_models_of_their_own():
    """partial(model.predict, output_margin=True) of two classes is one logit, of amounts a value."""
    con = session(functools.partial((model := lgbm().fit(X, TWO)).predict, raw_score=True))
    (a, _) = con.sql("select * from f(xs, target => 1, output => 'probability') using exact()")
    assert a.full_value == pytest.approx(model.predict_proba(ROWS[:1])[0, 1])
    assert a.target_name == "1"
    con.register_model("r", functools.partial((amount := lgbm("LGBMRegressor").fit(X, AMOUNT)).predict, raw_score=True))
    assert con.sql("select * from r(xs) using exact()")[0].full_value == pytest.approx(amount.predict(ROWS[:1])[0])
    with pytest.raises(BindError, match="its outputs are values"):
        con.sql("select * from r(xs, output => 'probability')")
