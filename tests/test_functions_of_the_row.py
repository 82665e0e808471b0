"""`exact` and a standard error of 0 are claims about functions of the row. Models that are none are named: random ones,
and batch-dependent ones, whose rows are run alone. Right values are by enumeration, each row by itself."""

from __future__ import annotations

import functools
import os
import random
import re
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

import ialgebra
from ialgebra import IalgebraWarning, Session, Strategy
from tests import oracle

X = torch.tensor([1.0, -1.5, 0.5, 2.0, 0.3, -0.7])
QUERY = "select * from f(x, target => 0)"

Forward = Callable[["Net", Tensor], Tensor]


class Net(nn.Module):
    """A small net whose forward pass is given from outside."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(6, 16), nn.Linear(16, 3)
        self.norm = nn.BatchNorm1d(8, track_running_stats=False)
        self.calls = 0
        self._given = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._given(self, x)

    def hidden(self, x: Tensor) -> Tensor:
        return torch.tanh(cast(Tensor, self.first(x)))

    def plain(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.second(self.hidden(x)))


def over_the_batch(net: Net, x: Tensor) -> Tensor:
    hidden = net.hidden(x)
    return cast(Tensor, net.second(torch.softmax(hidden @ hidden.T, dim=-1) @ hidden))


def fixed_noise(net: Net, x: Tensor) -> Tensor:
    return net.plain(x) + 0.1 * torch.randn(len(x), 3, generator=torch.Generator().manual_seed(0))


def counts_calls(net: Net, x: Tensor) -> Tensor:
    net.calls += 1
    return net.plain(x) + 0.01 * net.calls


def noise_of_numpy(net: Net, x: Tensor) -> Tensor:
    return net.plain(x) + 0.1 * torch.from_numpy(np.random.randn(len(x), 3)).float()


def noise_by_content(net: Net, x: Tensor) -> Tensor:
    seeds = [int(row.abs().sum() * 1000) for row in x]
    return net.plain(x) + torch.stack([torch.randn(3, generator=torch.Generator().manual_seed(s)) for s in seeds])


def in_another_order(net: Net, x: Tensor) -> Tensor:
    order = x[:, 0].argsort()
    return net.plain(x[order])[order.argsort()]


def in_bfloat16(net: Net, x: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return net.plain(x).float()


BATCH_DEPENDENT: dict[str, Forward] = {
    "batch statistics": lambda net, x: cast(
        Tensor, net.second(net.norm(net.hidden(x).reshape(len(x), 8, 2)).flatten(1))
    ),
    "attention over the batch": over_the_batch,
    "mean subtracted": lambda net, x: net.plain(x - x.mean(dim=0, keepdim=True)),
    "softmax over the batch": lambda net, x: torch.softmax(net.plain(x), dim=0),
    "largest of the batch": lambda net, x: net.plain(x) / net.plain(x).abs().max(),
    "number of rows": lambda net, x: net.plain(x) / len(x),
    "place in the batch": lambda net, x: net.plain(x) + 0.01 * torch.arange(len(x))[:, None],
    "sorted features": lambda net, x: net.plain(x.sort(dim=0).values),
    "noise of a fixed seed": fixed_noise,
}
RANDOM: dict[str, Forward] = {
    "dropout": lambda net, x: cast(Tensor, net.second(F.dropout(net.hidden(x), 0.5))),
    "dropout of the input": lambda net, x: net.plain(F.dropout(x, 0.5)),
    "noise": lambda net, x: net.plain(x) + 0.1 * torch.randn(len(x), 3),
    "noise of NumPy": noise_of_numpy,
    "noise of Python, one for all rows": lambda net, x: net.plain(x) + 0.1 * random.random(),
    "noise in the input": lambda net, x: net.plain(x + 0.1 * torch.randn_like(x)),
    "noise of a ten-thousandth": lambda net, x: net.plain(x) * (1 + 1e-4 * torch.randn(len(x), 3)),
    "noise of some rows": lambda net, x: net.plain(x) + (x[:, :1] > 0) * torch.randn(len(x), 3),
    "noise of one class": lambda net, x: net.plain(x) + torch.tensor([0.1, 0, 0]) * torch.randn(len(x), 3),
    "calls are counted": counts_calls,
    "noise, and the batch's mean": lambda net, x: net.plain(x - x.mean(dim=0)) + 0.01 * torch.randn(len(x), 3),
}
OF_THE_ROW: dict[str, Forward] = {
    "plain": Net.plain,
    "large": lambda net, x: 1e6 * net.plain(x),
    "constant": lambda net, x: torch.full((len(x), 3), 0.3),
    "zero": lambda net, x: torch.zeros(len(x), 3),
    "noise by content": noise_by_content,
    "float16 out": lambda net, x: net.plain(x).half(),
    "bfloat16 inside": in_bfloat16,
    "large numbers cancel": lambda net, x: (net.plain(x) + 1e5) - 1e5,
    "row by row": lambda net, x: torch.cat([net.plain(row[None]) for row in x]),
    "rows in another order": in_another_order,
    "a step": lambda net, x: torch.stack([x[:, 0] > 0, x[:, 0] <= 0], dim=1).float(),
}


def session(model: Callable[[Tensor], object], x: Tensor = X, *, batch_size: int | None = None) -> Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", model, batch_size=batch_size)
    con.register_input("x", x)
    return con


def row_by_row(model: Callable[[Tensor], Tensor], x: Tensor) -> NDArray[np.float64]:
    """The Shapley values of class 0 against zeros, each coalition's row alone."""

    @functools.cache
    def value(coalition: frozenset[int]) -> float:
        present = torch.tensor([float(i in coalition) for i in range(len(x))])
        with torch.no_grad():
            return float(model((x * present)[None])[0, 0])

    return oracle.shapley(value, value, len(x))


@pytest.mark.parametrize("kind", BATCH_DEPENDENT)
def test_a_batch_dependent_model_is_named_and_its_rows_are_run_alone(kind: str) -> None:
    model = Net(BATCH_DEPENDENT[kind]).eval()
    con = session(model)
    with pytest.warns(IalgebraWarning, match="'f' is batch-dependent") as said:
        (found,) = con.sql(QUERY)
    assert len(said) == 1
    np.testing.assert_allclose(found.values, row_by_row(model, X), atol=1e-5)
    assert "batch-dependent" in found.method
    assert "exact" not in found.method
    assert "batch-dependent" in con.sql("describe f").text
    assert "model f is batch-dependent" in con.sql("explain analyze " + QUERY).text


@pytest.mark.filterwarnings("ignore:model 'f' is")
def test_the_size_of_batches_does_not_matter_then() -> None:
    values = []
    for size in (1, 3, 64):
        con = session(Net(over_the_batch).eval())
        values.append(con.sql(QUERY, strategy=replace(Strategy.BEST, batch_size=size))[0].values.tolist())
    assert values[0] == values[1] == values[2]


@pytest.mark.filterwarnings("ignore:model 'f' is")
def test_with_a_batch_size_a_row_is_in_a_batch_of_copies_of_itself() -> None:
    """net(x) / B: with batches of 4 every value is a quarter of what it is alone. Copies are not counted."""
    forward = BATCH_DEPENDENT["number of rows"]
    (alone,) = session(Net(forward).eval()).sql(QUERY)
    in_fours = session(Net(forward).eval(), batch_size=4).sql(QUERY)
    np.testing.assert_allclose(in_fours[0].values, alone.values / 4, atol=1e-6)
    assert in_fours.stats.rows <= 65


@pytest.mark.parametrize("kind", RANDOM)
def test_a_random_model_is_named(kind: str) -> None:
    con = session(Net(RANDOM[kind]).eval())
    with pytest.warns(IalgebraWarning, match="'f' is random"):
        (found,) = con.sql(QUERY)
    assert "random" in found.method
    assert "exact" not in found.method
    assert "random" in con.sql("describe f").text
    assert "model f is random" in con.sql("explain analyze " + QUERY).text


@pytest.mark.parametrize("kind", OF_THE_ROW)
def test_a_function_of_the_row_is_exact_and_examined_once(kind: str) -> None:
    con = session(Net(OF_THE_ROW[kind]).eval())
    first = con.sql(QUERY)
    assert (first[0].method, float(first[0].stderr.max())) == ("exact", 0.0)
    assert (first.stats.rows, first.stats.examined_rows) == (64, 4)
    assert con.sql(QUERY, seed=1).stats.examined_rows == 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_nets_of_any_precision_are_functions_of_the_row(dtype: torch.dtype) -> None:
    (found,) = session(Net(Net.plain).eval().to(dtype), X.to(dtype)).sql(QUERY)
    assert found.method == "exact"


def test_amplified_rounding_is_no_dependence_on_the_batch() -> None:
    """Inputs of millions, which the first layer subtracts from one another."""
    (found,) = session(Net(lambda net, x: net.plain(x - x.mean(dim=1, keepdim=True))).eval(), X + 3e6).sql(QUERY)
    assert found.method == "exact"


def test_quantised_by_the_batch_is_batch_dependent() -> None:
    def quantised(net: Net, x: Tensor) -> Tensor:  # as dynamic int8 does: one scale for the whole batch
        scale = x.abs().max().clamp(min=1e-6) / 127
        return net.plain((x / scale).round() * scale)

    with pytest.warns(IalgebraWarning, match="'f' is batch-dependent"):
        session(Net(quantised).eval()).sql(QUERY)


def test_one_row_a_batch_is_a_function_of_the_row() -> None:
    con = session(Net(BATCH_DEPENDENT["mean subtracted"]).eval(), batch_size=1)
    found = con.sql(QUERY)
    assert (found[0].method, found.stats.examined_rows) == ("exact", 2)


def test_a_model_is_examined_again_after_its_code_changed() -> None:
    model = Net(Net.plain).eval()
    con = session(model)
    assert con.sql(QUERY)[0].method == "exact"
    model.dropped = lambda t: F.dropout(t, 0.5)
    model._given = lambda net, x: cast(Tensor, net.second(net.dropped(net.hidden(x))))
    with pytest.warns(IalgebraWarning, match="'f' is random"):
        assert "random" in con.sql(QUERY)[0].method
    model.dropped = torch.clone
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert con.sql(QUERY)[0].method == "exact"


@pytest.mark.filterwarnings("ignore:model 'f' is")
def test_captums_methods_say_it_too() -> None:
    pytest.importorskip("captum")
    con = session(Net(BATCH_DEPENDENT["mean subtracted"]).eval())
    (found,) = con.sql(QUERY + " using captum.FeatureAblation(perturbations_per_eval => 4)")
    (one_by_one,) = con.sql(QUERY + " using captum.FeatureAblation(perturbations_per_eval => 1)")
    assert found.method == "captum.FeatureAblation, batch-dependent"
    np.testing.assert_allclose(found.values, one_by_one.values, atol=1e-6)


def test_the_page_on_models_says_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parent.parent / "docs" / "models.md").read_text()
    for code in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        with pytest.warns(IalgebraWarning) if "# warns" in code else nullcontext():
            exec(compile(code, "docs/models.md", "exec"), {})
        printed = [line.partition("  # ")[2] for line in code.splitlines() if line.startswith("print(")]
        assert capsys.readouterr().out.splitlines() == printed


def test_a_model_that_answers_a_row_otherwise_later_is_found_by_rows_that_come_anyway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is a function of the row while it is examined. A query that reuses no rows runs the same ones again."""

    def model(net: Net, x: Tensor) -> Tensor:
        return net.plain(x) + (os.environ.get("NOISY") is not None) * torch.randn(len(x), 3)

    con = session(Net(model).eval())
    assert con.sql(QUERY)[0].method == "exact"
    monkeypatch.setenv("NOISY", "yes")
    with pytest.warns(IalgebraWarning, match="'f' is random"):
        (found,) = con.sql(QUERY, strategy=replace(Strategy.BEST, reuse=False))
    assert found.method == "all coalitions, random"
    assert (found.stderr > 0.1).all()


def test_a_table_calls_no_answer_of_such_a_model_exact() -> None:
    with pytest.warns(IalgebraWarning):
        rel = session(Net(BATCH_DEPENDENT["mean subtracted"]).eval()).sql("explain analyze " + QUERY)
    assert "exact" not in rel.text.rpartition("answers")[2]
    con = session(Net(BATCH_DEPENDENT["mean subtracted"]).eval())
    with pytest.warns(IalgebraWarning):
        answer = con.sql(QUERY)
    assert "exact" not in answer.text
    assert "exact" not in repr(answer[0])
