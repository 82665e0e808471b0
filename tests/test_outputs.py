"""Queries of models that return probabilities, logits of labels, one logit or values: each read as what it is.

Every right value is enumerated here from Eq. 2, with the probabilities and log-odds of the definition.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ialgebra
from ialgebra.errors import BindError, IalgebraWarning

X = np.array([1.0, -1.5, 0.5, 2.0])

Explained = Callable[[np.ndarray], float]


def shapley(v: Explained, x: np.ndarray) -> np.ndarray:
    """Eq. 2 for features that are 0 where they are absent."""
    d, phi = len(x), np.zeros(len(x))
    for i in range(d):
        others = [j for j in range(d) if j != i]
        for size in range(d):
            share = 1 / (d * math.comb(d - 1, size))
            for chosen in itertools.combinations(others, size):
                without = np.array([x[j] if j in chosen else 0.0 for j in range(d)])
                present = without.copy()
                present[i] = x[i]
                phi[i] += share * (v(present) - v(without))
    return phi


def asked(model: object, text: str, x: object = X, **options: object) -> ialgebra.Attribution:
    con = ialgebra.connect(progress=False)
    con.register_model("f", model, **options)
    con.register_input("x", x)
    return con.sql(text)[0]


def described(model: object, **options: object) -> str:
    con = ialgebra.connect(progress=False)
    con.register_model("f", model, example=torch.from_numpy(X), **options)
    con.register_input("x", X)
    con.sql("select * from f(x, target => 0)")
    return con.sql("describe f").text


def logistic() -> object:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    table = rng.normal(size=(300, 4))
    labels = (table @ [2.0, -1.0, 0.5, 0.2] + rng.normal(size=300) > 0).astype(int)
    return LogisticRegression(C=100).fit(table, labels)


def wide(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(4, 3).double()


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max())
    return e / e.sum(-1, keepdims=True)


# --- probabilities


@pytest.mark.parametrize("target", [0, 1])
def test_predict_proba_is_read_as_probabilities(target: int) -> None:
    clf = logistic()

    def model(batch: Tensor) -> Tensor:
        return torch.from_numpy(clf.predict_proba(batch.numpy()))

    def odds(row: np.ndarray) -> float:
        return float(clf.decision_function(row[None])[0]) * (1 if target else -1)

    def p(row: np.ndarray) -> float:
        return 1 / (1 + math.exp(-odds(row)))

    for output, v in (("probability", p), ("log_odds", odds), ("logit", p)):
        found = asked(model, f"select * from f(x, target => {target}, output => {output})")
        assert found.values == pytest.approx(shapley(v, X), rel=1e-9), output
        assert found.full_value == pytest.approx(v(X), rel=1e-9)
    assert asked(model, "select * from f(x)", output="probability").full_value == pytest.approx(max(p(X), 1 - p(X)))


LAST_OPERATIONS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "module": (nn.Softmax(dim=1), "its last operation is a softmax"),
    "function": (lambda z: F.softmax(z, 1), "its last operation is a softmax"),
    "method": (lambda z: z.softmax(-1), "its last operation is a softmax"),
    "in float32": (lambda z: z.softmax(-1).float(), "its last operation is a softmax"),
    "by hand": (lambda z: z.exp() / z.exp().sum(1, keepdim=True), "every row that it returned is ≥ 0 and sums to one"),
    "ensemble": (lambda z: torch.stack([z.softmax(1), z.softmax(1)]).mean(0), "its last operation is a softmax"),
    "numpy": (lambda z: torch.from_numpy(softmax(z.numpy())), "every row that it returned is ≥ 0 and sums to one"),
}


@pytest.mark.parametrize("name", LAST_OPERATIONS)
def test_a_softmax_at_the_end_is_not_taken_twice(name: str) -> None:
    activation, why = LAST_OPERATIONS[name]
    net = wide()

    def v(row: np.ndarray) -> float:
        return float(softmax(net(torch.from_numpy(row)).detach().numpy())[1])

    def odds(row: np.ndarray) -> float:
        return math.log(v(row) / (1 - v(row)))

    def model(batch: Tensor) -> Tensor:
        return activation(net(batch).detach())

    for output, game in (("probability", v), ("log_odds", odds)):
        found = asked(model, f"select * from f(x, target => 1, output => {output})")
        assert found.values == pytest.approx(shapley(game, X), rel=1e-5, abs=1e-6)
    assert f"outputs: probabilities that sum to one ({why})" in described(model)


def test_log_softmax_is_read_as_log_probabilities() -> None:
    net = nn.Sequential(wide(), nn.LogSoftmax(dim=1))

    def p(row: np.ndarray) -> float:
        return float(softmax(net[0](torch.from_numpy(row)).detach().numpy())[2])

    games = {
        "probability": p,
        "log_odds": lambda row: math.log(p(row) / (1 - p(row))),
        "logit": lambda r: math.log(p(r)),
    }
    for output, v in games.items():
        found = asked(net, f"select * from f(x, target => 2, output => {output})")
        assert found.values == pytest.approx(shapley(v, X), rel=1e-9, abs=1e-12), output
    assert "log-probabilities that sum to one (its last operation is a log_softmax)" in described(net)


@pytest.mark.parametrize(
    "activation", [nn.Sigmoid(), torch.sigmoid, torch.special.expit, lambda z: 1 / (1 + torch.exp(-z))]
)
def test_sigmoids_of_labels_are_independent_probabilities(activation: Callable[[Tensor], Tensor]) -> None:
    net = wide()

    def v(row: np.ndarray) -> float:
        return 1 / (1 + math.exp(-float(net(torch.from_numpy(row)).detach()[1])))

    def model(batch: Tensor) -> Tensor:
        return activation(net(batch))

    for output, game in (("probability", v), ("log_odds", lambda row: math.log(v(row) / (1 - v(row))))):
        found = asked(model, f"select * from f(x, target => 1, output => {output})")
        assert found.values == pytest.approx(shapley(game, X), rel=1e-9, abs=1e-12)


# --- logits of labels, and one logit


def test_multilabel_logits_are_sigmoids() -> None:
    bias, weight = torch.tensor([-0.4, -2.2, 0.3]), torch.zeros(3, 4)
    weight[:, 0], weight[1, 1] = torch.tensor([0.1, -0.9, 0.4]), 0.16336
    net = nn.Linear(4, 3)
    net.load_state_dict({"weight": weight, "bias": bias})

    def z(row: np.ndarray) -> np.ndarray:
        return net(torch.from_numpy(row).float()).detach().double().numpy()

    def v(row: np.ndarray) -> float:
        return 1 / (1 + math.exp(-float(z(row)[1])))

    text = "select * from f(x, target => 1, output => probability)"
    found = asked(net, text, X.astype(np.float32), outputs="multilabel")
    assert found.values == pytest.approx(shapley(v, X), rel=1e-5, abs=1e-7)
    assert found.full_value == pytest.approx(v(X), rel=1e-6)
    taken = asked(net, text, X.astype(np.float32))
    assert taken.full_value == pytest.approx(softmax(z(X))[1], rel=1e-6)  # without a word, classes are alternatives
    assert "logits, whose probabilities are the softmax of logits (its last operation is a linear map)" in described(
        net.double()
    )
    odds = asked(net.float(), text.replace("probability", "log_odds"), X.astype(np.float32), outputs="multilabel")
    assert odds.values == pytest.approx(shapley(lambda row: float(z(row)[1]), X), rel=1e-5, abs=1e-6)


def test_one_logit_is_a_sigmoids_and_names_two_classes() -> None:
    net = wide()
    net.weight, net.bias = nn.Parameter(net.weight[:1]), nn.Parameter(net.bias[:1])

    def odds(row: np.ndarray) -> float:
        return float(net(torch.from_numpy(row)).detach().squeeze())

    def p(row: np.ndarray) -> float:
        return 1 / (1 + math.exp(-odds(row)))

    for model in (net, lambda batch: net(batch)[:, 0]):
        for output, v in (("probability", p), ("log_odds", odds), ("logit", odds)):
            alone = asked(model, f"select * from f(x, target => 0, output => {output})")
            assert alone.values == pytest.approx(shapley(v, X), rel=1e-9)
            yes = asked(model, f"select * from f(x, target => 'yes', output => {output})", classes=["no", "yes"])
            assert yes.values == pytest.approx(shapley(v, X), rel=1e-9)
            no = asked(model, f"select * from f(x, target => 'no', output => {output})", classes=["no", "yes"])
            assert no.values == pytest.approx(-shapley(v, X), rel=1e-9)
        assert asked(model, "select * from f(x)", classes=["no", "yes"]).target_name == ("yes" if odds(X) > 0 else "no")
    with pytest.raises(BindError, match="its classes are 0 to 0"):
        asked(net, "select * from f(x, target => 1)")


@pytest.mark.parametrize("sign", [1, -1])
def test_one_probability_of_two_classes_predicts_by_a_half(sign: int) -> None:
    def model(batch: Tensor) -> Tensor:
        return torch.sigmoid(sign * batch[:, 0])

    found = asked(model, "select * from f(x)", classes=["no", "yes"])
    assert found.target_name == ("yes" if sign == 1 else "no")
    assert found.full_value == pytest.approx(1 / (1 + math.exp(-1)))


# --- values


def test_a_probability_of_values_is_an_error_that_says_so() -> None:
    net = wide()
    plain = asked(net, "select * from f(x, target => 1)", outputs="values")
    assert plain.values == pytest.approx(net.weight[1].detach().numpy() * X)
    for output, word in (("probability", "probability"), ("log_odds", "log-odds")):
        with pytest.raises(BindError) as caught:
            asked(net, f"select * from f(x, output => {output})", outputs="values")
        assert f"its outputs are values, which have no {word}; output => 'logit' reads them" in str(caught.value)
        assert caught.value.column == len("select * from f(x, output => ") + 1
        with pytest.raises(BindError, match="which have no"):
            asked(net, "select * from f(x)", outputs="values", output=output)
        with pytest.raises(BindError, match=r"which have no .*the default output"):
            asked(net, f"set output = {output}; select * from f(x)", outputs="values")


def test_predict_of_a_regressor_returns_values() -> None:
    from sklearn.linear_model import LinearRegression

    rng = np.random.default_rng(0)
    table = rng.normal(size=(30, 4))
    reg = LinearRegression().fit(table, table @ [1.0, 2.0, 0.0, -1.0])

    class Estimator:
        def predict(self, batch: Tensor) -> Tensor:
            return torch.from_numpy(reg.predict(batch.numpy()))

    with pytest.raises(BindError, match="which have no probability"):
        asked(Estimator().predict, "select * from f(x, output => probability)")


def test_unknown_meanings_name_the_nearest() -> None:
    with pytest.raises(BindError, match=r"cannot return 'probability'.*did you mean 'probabilities'"):
        asked(wide(), "select * from f(x)", outputs="probability")


# --- what is taken is stable, and said


def simplex(batch: Tensor) -> Tensor:
    """A row whose sum is one as it is; other rows otherwise."""
    return batch + (1 - batch.sum(dim=1, keepdim=True)) * torch.tensor([2.0, -1.0, 0.0])


def test_one_row_that_sums_to_one_by_chance_is_no_probability() -> None:
    """x is a point of the simplex, and so is what the model returns for it; for other rows it is not."""
    x = np.array([0.2, 0.3, 0.5])
    found = asked(simplex, "select * from f(x, target => 2, output => probability)", x)
    assert found.full_value == pytest.approx(softmax(x)[2])

    def v(row: np.ndarray) -> float:
        return softmax(simplex(torch.from_numpy(row[None]))[0].numpy())[2]

    assert found.values == pytest.approx(shapley(v, x), rel=1e-9)


def test_a_row_that_contradicts_begins_the_query_again() -> None:
    """Both ends sum to one, the rows between them do not: all are read as logits in the end, with a warning."""
    con = ialgebra.connect(progress=False)
    x, y = np.array([0.2, 0.3, 0.5]), np.array([0.5, 0.1, 0.4])
    con.register_model("f", simplex)
    con.register_input("x", x)
    con.register_input("y", y)
    with pytest.warns(IalgebraWarning, match="logits from now on, not probabilities"):
        found = con.sql("select * from f(x, target => 2, output => probability, baseline => y)")[0]

    def v(row: np.ndarray) -> float:
        return softmax(simplex(torch.from_numpy(np.where(row != 0, x, y)[None]))[0].numpy())[2]

    expected = shapley(v, x)
    assert found.values == pytest.approx(expected, rel=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = con.sql("select * from f(x, target => 2, output => probability, baseline => y)")[0]
    assert np.array_equal(again.values, found.values)


def test_a_model_that_is_changed_in_place_is_looked_at_again() -> None:
    net = nn.Sequential(wide(), nn.Identity())
    con = ialgebra.connect(progress=False)
    con.register_model("f", net)
    con.register_input("x", X)
    text = "select * from f(x, target => 1, output => probability)"
    assert con.sql(text)[0].full_value == pytest.approx(float(net(torch.from_numpy(X)[None]).softmax(1).detach()[0, 1]))
    net[1] = nn.Softmax(1)
    assert con.sql(text)[0].full_value == pytest.approx(float(net(torch.from_numpy(X)[None]).detach()[0, 1]))
    net[1] = nn.Sigmoid()
    assert con.sql(text)[0].full_value == pytest.approx(float(net(torch.from_numpy(X)[None]).detach()[0, 1]))
    assert "its last operation is a sigmoid" in con.sql("describe f").text
    net[1] = nn.Identity()
    assert con.sql(text)[0].full_value == pytest.approx(float(net(torch.from_numpy(X)[None]).softmax(1).detach()[0, 1]))


def test_rows_found_in_the_store_are_looked_at_too() -> None:
    """The model is registered anew: its first row sums to one, and all others come out of the store."""
    con = ialgebra.connect(progress=False)
    x = np.array([0.2, 0.3, 0.5])
    con.register_input("x", x)
    for _ in range(2):
        con.register_model("f", simplex, example=x)
        found = con.sql("select * from f(x, target => 2, output => probability)")[0]
        assert found.full_value == pytest.approx(softmax(x)[2])


def test_numbers_that_only_lie_between_0_and_1_are_doubted_aloud() -> None:
    def model(batch: Tensor) -> Tensor:
        return torch.from_numpy(1 / (1 + np.exp(-batch.numpy()[:, :2])))

    with pytest.warns(IalgebraWarning, match="every number that it returned lies in"):
        found = asked(model, "select * from f(x, target => 0, output => probability)")
    assert found.full_value == pytest.approx(1 / (1 + math.exp(-1)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asked(model, "select * from f(x, target => 0, output => probability)", outputs="probabilities")
        asked(model, "select * from f(x, target => 0)")


def test_a_probability_of_exactly_0_or_1_is_said_once() -> None:
    """A forest votes 0 of 10; log-odds of that are infinite."""

    def votes(batch: Tensor) -> Tensor:
        share = (batch > 0).double().mean(dim=1)
        return torch.stack([1 - share, share], dim=1)

    con = ialgebra.connect(progress=False)
    con.register_model("f", votes)
    con.register_input("x", np.ones(3))
    with pytest.warns(IalgebraWarning, match="a probability of exactly 0 or 1"):
        found = con.sql("select * from f(x, target => 1, output => log_odds)")[0]
    assert found.full_value == -found.base_value == pytest.approx(708.396, abs=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        con.sql("select * from f(x, target => 0, output => log_odds)")
        con.sql("select * from f(x, target => 0, output => probability)")


def test_maps_of_different_units_are_warned_of() -> None:
    con = ialgebra.connect(progress=False)
    con.register_input("x", X)
    con.register_model("f", wide())
    con.register_model("g", nn.Sequential(wide(1), nn.Softmax(1)))
    for join in ("left join", "join"):
        with pytest.warns(IalgebraWarning, match=r"puts together .*logits of model 'f'"):
            con.sql(f"select * from f(x, target => 1) {join} g(x, target => 1)")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            con.sql(f"select * from f(x, target => 1, output => log_odds) {join} g(x, target => 1, output => log_odds)")


def test_explain_says_what_is_read() -> None:
    con = ialgebra.connect(progress=False)
    con.register_input("x", X)
    con.register_model("f", wide())
    con.register_model("g", nn.Sequential(wide(), nn.Softmax(1)))
    con.register_model("h", wide(), outputs="multilabel")
    text = con.explain(
        "select * from f(x, target => 1, output => probability) left join g(x) left join "
        "(select * from h(x, target => 1, output => log_odds))"
    )
    assert "f [class 1] probability (softmax of logits)" in text
    assert "g [class 1] probability (probabilities that sum to one)" in text
    assert "h [class 1] log_odds (sigmoid of logits)" in text


def test_models_of_different_outputs_are_compared_in_one_unit() -> None:
    logits, certain = wide(), nn.Sequential(wide(1), nn.Softmax(1))
    con = ialgebra.connect(progress=False)
    con.register_input("x", X)
    con.register_model("f", logits)
    con.register_model("g", certain)

    def p(net: nn.Module) -> Explained:
        return lambda row: float(softmax(net(torch.from_numpy(row)).detach().numpy())[1])

    first, second = con.sql(
        "select * from f(x, target => 1, output => probability) left join g(x, target => 1, output => probability)"
    )
    difference = shapley(p(logits), X) - shapley(p(certain[0]), X)
    assert first.values == pytest.approx(difference, rel=1e-9, abs=1e-12)
    assert second.values == pytest.approx(-difference, rel=1e-9, abs=1e-12)
    (joined,) = con.sql(
        "select * from f(x, target => 1, output => probability) join g(x, target => 1, output => probability)"
    )
    assert joined.values == pytest.approx((shapley(p(logits), X) + shapley(p(certain[0]), X)) / 2, rel=1e-9)
