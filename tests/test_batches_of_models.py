"""Models that do not take every number of rows: batches of one size only, or none of a single row.

Right values are those of the same model without the demand.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra

X = torch.tensor([1.0, -1.5, 0.5, 2.0])


class Curved(nn.Module):
    def __init__(self, demand: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 3)
        self.demand = demand
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        result: Tensor = self.last(torch.tanh(self.demand(self.first(x))))
        return result


def viewed_as(rows: int) -> Callable[[Tensor], Tensor]:
    return lambda hidden: hidden.reshape(rows, 6)


def even(hidden: Tensor) -> Tensor:
    assert len(hidden) % 2 == 0, "an even number of rows is needed"
    return hidden


def more_than_one(hidden: Tensor) -> Tensor:
    if len(hidden) == 1:
        raise ValueError("Expected more than 1 value per channel when training")
    return hidden


def of_state(rows: int) -> Callable[[Tensor], Tensor]:
    return lambda hidden: (
        hidden + torch.zeros(rows, 1) if len(hidden) == rows else hidden @ torch.zeros(len(hidden), 6).T
    )


def answers(model: object, batch_size: int | None, text: str, **inputs: Tensor) -> ialgebra.Relation:
    con = ialgebra.connect(progress=False)
    con.register_model("f", model, batch_size=batch_size)
    for name, value in inputs.items():
        con.register_input(name, value)
    return con.sql(text)


@pytest.mark.parametrize("rows", [2, 3, 8, 16, 50])
@pytest.mark.parametrize("demand", [viewed_as, of_state])
def test_a_model_of_one_batch_size_gets_that_size_and_what_fills_it_up_does_not_count(rows: int, demand) -> None:
    text = "select * from f(x, target => 1) using exact()"
    plain = answers(Curved(), None, text, x=X)
    model = Curved(demand(rows))
    found = answers(model, rows, text, x=X)
    assert found[0].values == pytest.approx(plain[0].values, abs=1e-6)
    assert found.stats.rows == plain.stats.rows
    assert model.sizes.count(1) == 2  # it is asked twice whether it takes one row
    assert set(model.sizes) == {1, rows}


@pytest.mark.parametrize("demand", [more_than_one, even])
def test_a_model_that_takes_no_single_row_gets_two(demand) -> None:
    text = "select * from f(x, target => 1) using exact()"
    plain = answers(Curved(), None, text, x=X)
    if demand is more_than_one:
        assert answers(Curved(demand), None, text, x=X)[0].values == pytest.approx(plain[0].values, abs=1e-6)
    assert answers(Curved(demand), 2, text, x=X)[0].values == pytest.approx(plain[0].values, abs=1e-6)
    assert answers(Curved(demand), 6, text, x=X)[0].values == pytest.approx(plain[0].values, abs=1e-6)


def test_a_callable_of_one_batch_size_and_one_that_returns_all_its_rows() -> None:
    plain = Curved()

    def fixed(batch: Tensor) -> Tensor:
        padded = torch.zeros(5, 4)
        padded[: len(batch)] = batch
        with torch.no_grad():
            return plain(padded)  # always five rows of outputs

    text = "select * from f(xs, target => 0) using exact()"
    xs = torch.stack([X, X / 2, -X])
    found, expected = (answers(model, size, text, xs=xs) for model, size in ((fixed, 5), (plain, None)))
    for one, other in zip(found, expected, strict=True):
        assert one.values == pytest.approx(other.values, abs=1e-6)


def test_layers_heads_predictions_and_anti_joins_of_a_model_of_one_batch_size() -> None:
    torch.manual_seed(5)
    texts = torch.randn(50, 4)
    maps = []
    for model, size in ((Curved(viewed_as(8)), 8), (Curved(), None)):
        con = ialgebra.connect(progress=False)
        con.register_model("f", model, batch_size=size)
        con.register_input("x", X)
        con.register_input("y", -X)
        con.fit_heads("f", texts, layers=["first"])
        found = [*con.sql("select first, * from f(x) left join f(y) using exact()"), *con.sql("select * from f(x)")]
        con.register_input("ys", torch.stack([X, -X, X / 3]))
        found += con.sql("select * from f(ys) order by index desc limit 2")
        maps.append(found)
    for one, other in zip(*maps, strict=True):
        assert one.target == other.target
        assert one.values == pytest.approx(other.values, abs=1e-5)


@pytest.mark.parametrize("method", ["captum.IntegratedGradients", "captum.FeatureAblation", "captum.Saliency"])
def test_captum_s_methods_on_a_model_of_one_batch_size(method: str) -> None:
    pytest.importorskip("captum")
    text = f"select * from f(x, target => 1) using {method}()"
    found, expected = (answers(model, size, text, x=X) for model, size in ((Curved(viewed_as(7)), 7), (Curved(), None)))
    assert found[0].values == pytest.approx(expected[0].values, abs=1e-5)


@pytest.mark.parametrize("present", [(0, 2), (1, 2, 3), (3,)])
def test_a_row_at_fault_is_named_by_its_place_among_all_rows(present: tuple[int, ...]) -> None:
    row = torch.zeros(4)
    row[list(present)] = X[list(present)]

    class Faulty(Curved):
        def forward(self, x: Tensor) -> Tensor:
            found = super().forward(x)
            return torch.where((x == row).all(1, keepdim=True), torch.nan, found)

    named = "players {" + ", ".join(map(str, present)) + "} present"
    with pytest.raises(ialgebra.ModelError, match="returned NaN for row .*" + re.escape(named)):
        answers(Faulty(viewed_as(3)), 3, "select * from f(x, target => 0) using exact()", x=X)


def test_that_batches_are_filled_up_is_said_once_and_described() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", Curved(viewed_as(8)), batch_size=8)
    con.register_input("x", X)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        con.sql("select * from f(x)")
        con.sql("select * from f(x) using banzhaf()")
    said = [str(each.message) for each in caught if "takes no batch of one row" in str(each.message)]
    assert said == ["model 'f' takes no batch of one row; it gets 8 rows, filled up with copies that are not counted"]
    assert "batches: it takes no batch of one row; it gets 8 rows" in con.sql("describe f").text


def test_a_model_that_takes_one_row_is_asked_with_no_copies() -> None:
    model = Curved()
    answers(model, 8, "select * from f(x) using exact()", x=X)
    assert max(model.sizes) <= 8
    assert con_text(model, 8).count("copies") == 0


def con_text(model: nn.Module, batch_size: int) -> str:
    con = ialgebra.connect(progress=False)
    con.register_model("f", model, batch_size=batch_size, example=X)
    return con.sql("describe f").text


@pytest.mark.parametrize("demand", [viewed_as(8), of_state(8)])
def test_without_its_batch_size_the_error_says_how_to_say_it_and_that_works(demand) -> None:
    text = "select * from f(x, target => 1) using exact()"
    with pytest.raises(ialgebra.ModelError, match=r"register_model\(…, batch_size=…\)"):
        answers(Curved(demand), None, text, x=X)
    assert np.isfinite(answers(Curved(demand), 8, text, x=X)[0].values).all()


def test_a_model_that_takes_single_rows_only_is_told_so() -> None:
    text = "select * from f(x, target => 1) using exact()"
    with pytest.raises(ialgebra.ModelError, match=r"register_model\(…, batch_size=…\)"):
        answers(Curved(viewed_as(1)), None, text, x=X)
    assert np.isfinite(answers(Curved(viewed_as(1)), 1, text, x=X)[0].values).all()
