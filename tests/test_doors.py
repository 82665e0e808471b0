"""Models and inputs as people have them: registered in one call each, explained for the class that they themselves
predict, with values equal to enumeration. The pairs are listed in `tests/doors`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ialgebra
from tests import oracle
from tests.doors import DOORS, estimators, kinds, remembered, texts

MODULES = (estimators, kinds, texts)  # which list doors when they are imported


@pytest.mark.parametrize("name", DOORS)
def test_a_pair_of_the_wild_is_explained_as_by_enumeration(name: str) -> None:
    packages, make = DOORS[name]
    for package in packages:
        pytest.importorskip(package)
    door = make()
    con = ialgebra.connect(progress=False)
    con.register_model("f", door.model, **door.model_options)
    con.register_input("x", door.value, **door.input_options)
    (a,) = con.sql(f"select * from f(x{door.options}) using exact()")

    outputs = remembered(door.outputs)
    everyone = frozenset(range(door.players))
    target = int(np.argmax(outputs(everyone)))
    expected = oracle.shapley(lambda s: outputs(s)[target], lambda s: outputs(s)[target], door.players)
    assert a.target == target
    assert door.prediction is None or a.target_name == door.prediction
    size = max(float(np.abs(outputs(everyone)).max()), 1e-3)
    assert a.values == pytest.approx(expected, abs=door.tolerance * size)
    assert a.full_value == pytest.approx(outputs(everyone)[target], abs=door.tolerance * size)
    assert door.names is None or a.player_names() == door.names


# Errors say what to do, and doing it works.


def test_estimators_that_cannot_be_asked_say_why() -> None:
    pytest.importorskip("sklearn")
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression

    con = ialgebra.connect(progress=False)
    with pytest.raises(ialgebra.BindError, match=r"LogisticRegression that is not fitted; call its fit\(X, y\) first"):
        con.register_model("f", LogisticRegression())
    with pytest.raises(ialgebra.BindError, match="is the class LogisticRegression; register an instance of it"):
        con.register_model("f", LogisticRegression)
    with pytest.raises(ialgebra.BindError, match="is a PCA, which has none of predict_proba, decision_function"):
        con.register_model("f", PCA(2).fit(estimators.X))
    con.register_model("f", PCA(2).fit(estimators.X).transform)
    con.register_model("g", LogisticRegression().fit(estimators.X, estimators.Y))
    con.register_input("x", estimators.ROW[:3])
    with pytest.raises(ialgebra.ModelError, match="model 'g' was fitted on 4 features, but the input has 3 features"):
        con.sql("select * from g(x)")
    con.register_input("x", estimators.ROW)
    (a,) = con.sql("select * from g(x) using exact()")
    assert a.full_value == pytest.approx(con.registered()["models"]["g"].predict_proba([estimators.ROW]).max())
    assert len(con.sql("select * from f(x) using exact()")[0].values) == 4


def test_names_of_columns_decide_not_their_order() -> None:
    pytest.importorskip("sklearn")
    pd = pytest.importorskip("pandas")
    from sklearn.linear_model import LogisticRegression

    named = pd.DataFrame(estimators.X, columns=list("abcd"))
    model = LogisticRegression().fit(named, estimators.Y)
    con = ialgebra.connect(progress=False)
    con.register_model("f", model)
    con.register_input("x", named[list("dcba")].iloc[:1])
    con.register_input("y", named.rename(columns={"d": "e"}).iloc[:1])
    (a,) = con.sql("select * from f(x, target => 'yes') using exact()")
    assert a.full_value == pytest.approx(model.predict_proba(named.iloc[:1])[0, 1])
    with pytest.raises(ialgebra.ModelError, match="fitted on the columns 'a', 'b', 'c', 'd', but the input has"):
        con.sql("select * from f(y)")


def test_outputs_at_places_ask_for_a_reduction_that_then_works() -> None:
    net = torch.nn.Conv2d(1, 3, 2).eval()
    con = ialgebra.connect(progress=False)
    con.register_input("x", torch.arange(9.0).reshape(1, 3, 3))
    con.register_model("f", net)
    asked = r"at 2 × 2 places of each row, \(1, 3, 2, 2\) .*reduce='mean'.*reduce=lambda out: out\[:, :, 1, 1\]"
    with pytest.raises(ialgebra.ModelError, match=asked):
        con.sql("select * from f(x)")
    con.register_model("f", net, reduce="last")
    with pytest.raises(ialgebra.ModelError, match="of which none is the last; say reduce='mean'"):
        con.sql("select * from f(x)")
    with pytest.raises(
        ialgebra.BindError, match=r"reduce='meen' of model 'f' is neither a word nor a function.*'mean'"
    ):
        con.register_model("f", net, reduce="meen")
    for reduce, whole in (("mean", lambda out: out.mean((2, 3))), ("max", lambda out: out.amax((2, 3)))):
        con.register_model("f", net, reduce=reduce)
        (a,) = con.sql("select * from f(x, target => 1)")
        assert a.full_value == pytest.approx(float(whole(net(torch.arange(9.0).reshape(1, 1, 3, 3)))[0, 1].detach()))


def test_another_reduction_or_preprocess_is_another_model() -> None:
    net = torch.nn.Conv1d(1, 3, 2).double().eval()
    factor = {"is": 1.0}
    con = ialgebra.connect(progress=False)
    con.register_input("x", torch.tensor([1.0, 2.0, -3.0, 4.0]).double())
    values = []
    for reduce in ("mean", "max"):
        con.register_model("f", net, reduce=reduce, preprocess=lambda batch: batch[:, None] * factor["is"])
        values.append(con.sql("select * from f(x, target => 0) using exact()")[0].full_value)
    factor["is"] = 2.0
    values.append(con.sql("select * from f(x, target => 0) using exact()")[0].full_value)
    with torch.no_grad():
        one, two = (net(torch.tensor([[[1.0, 2.0, -3.0, 4.0]]]).double() * by)[0, :, 0] for by in (1, 2))
    assert values == pytest.approx([float(one.mean()), float(one.amax()), float(two.amax())])
