"""What outputs mean: the logit, the probability and the log-odds of every class, for every reading of outputs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ialgebra.errors import BindError, ModelError
from ialgebra.models.outputs import LOGITS, OutputReading, column

VALUES = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
SOFTMAX = VALUES.exp() / VALUES.exp().sum(dim=1, keepdim=True)
SIGMOID = 1 / (1 + (-VALUES).exp())

READINGS = {
    "softmax of logits": (VALUES, OutputReading("logits", "alternatives"), SOFTMAX),
    "sigmoids of logits": (VALUES, OutputReading("multilabel", "independent"), SIGMOID),
    "one logit": (VALUES[:, :1], OutputReading("logits", "independent"), SIGMOID[:, :1]),
    "probabilities": (SOFTMAX, OutputReading("probabilities", "alternatives"), SOFTMAX),
    "independent probabilities": (SIGMOID, OutputReading("probabilities", "independent"), SIGMOID),
    "one probability": (SIGMOID[:, :1], OutputReading("probabilities", "independent"), SIGMOID[:, :1]),
    "log-probabilities": (SOFTMAX.log(), OutputReading("log_probabilities", "alternatives"), SOFTMAX),
    "independent log-probabilities": (SIGMOID.log(), OutputReading("log_probabilities", "independent"), SIGMOID),
    "a logit of two classes": (VALUES[:, :1], OutputReading("logits", "pair"), None),
    "a probability of two classes": (SIGMOID[:, :1], OutputReading("probabilities", "pair"), None),
    "a log-probability of two classes": (SIGMOID[:, :1].log(), OutputReading("log_probabilities", "pair"), None),
}


@pytest.mark.parametrize("name", READINGS)
def test_every_reading_has_the_probability_and_log_odds_of_its_definition(name: str) -> None:
    numbers, reading, known = READINGS[name]
    p = torch.cat([1 - SIGMOID[:, :1], SIGMOID[:, :1]], dim=1) if known is None else known
    for index in range(p.shape[1]):
        one = p[:, index]
        assert torch.allclose(column(numbers, index, "probability", reading), one, rtol=1e-12)
        assert torch.allclose(column(numbers, index, "log_odds", reading), (one / (1 - one)).log(), rtol=1e-9)
        if reading.classes != "pair":
            assert torch.equal(column(numbers, index, "logit", reading), numbers[:, index])


@pytest.mark.parametrize("name", READINGS)
def test_a_row_is_read_alike_alone_and_in_company(name: str) -> None:
    numbers, reading, _ = READINGS[name]
    many = numbers.repeat(21, 1)
    for output in ("logit", "probability", "log_odds"):
        alone = torch.cat([column(row[None], 0, output, reading) for row in many])
        assert torch.equal(column(many, 0, output, reading), alone)


def test_the_first_of_two_classes_is_what_is_left_of_the_column() -> None:
    first = {name: column(numbers, 0, "logit", reading) for name, (numbers, reading, _) in READINGS.items()}
    assert torch.equal(first["a logit of two classes"], -VALUES[:, 0])
    assert torch.allclose(first["a probability of two classes"], 1 - SIGMOID[:, 0])
    assert torch.allclose(first["a log-probability of two classes"], (1 - SIGMOID[:, 0]).log())


@pytest.mark.parametrize("meaning", ["probabilities", "log_probabilities", "logits"])
@pytest.mark.parametrize("classes", ["alternatives", "independent"])
def test_a_head_gives_what_the_model_would_return(meaning: str, classes: str) -> None:
    head = OutputReading(meaning, classes).head
    p = SOFTMAX if classes == "alternatives" else SIGMOID
    expected = {"probabilities": p, "log_probabilities": p.log(), "logits": VALUES}[meaning]
    assert torch.allclose(column(VALUES, 2, "logit", head), expected[:, 2], rtol=1e-12)
    assert torch.allclose(column(VALUES, 2, "probability", head), p[:, 2], rtol=1e-12)
    assert torch.allclose(column(VALUES, 2, "log_odds", head), p[:, 2].logit(), rtol=1e-9)


def test_log_odds_of_logits_do_not_saturate() -> None:
    row = torch.tensor([[200.0, 0.0, 0.0]])
    assert column(row, 0, "log_odds", LOGITS).item() == pytest.approx(200 - math.log(2))
    assert column(row.log_softmax(1), 0, "log_odds", OutputReading("log_probabilities", "alternatives")).item() > 190
    assert column(torch.tensor([[-200.0, 0.0]]), 0, "log_odds", LOGITS).item() == -200.0


def test_log_odds_of_a_probability_near_one_are_read_from_the_others() -> None:
    row = torch.tensor([[1.0, 3e-20, 1e-20]])  # in float32, 1 − p is 0
    odds = column(row, 0, "log_odds", OutputReading("probabilities", "alternatives"))
    assert odds.item() == pytest.approx(-math.log(4e-20), rel=1e-6)


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 87.33654475), (torch.float64, 708.39641853)])
def test_a_probability_of_zero_counts_as_the_smallest_normal_number(dtype: torch.dtype, most: float) -> None:
    row = torch.tensor([[0.0, 1.0]], dtype=dtype)
    for classes in ("alternatives", "independent"):
        odds = [column(row, k, "log_odds", OutputReading("probabilities", classes)).item() for k in range(2)]
        assert odds == pytest.approx([-most, most])


def test_one_output_is_a_logit_of_its_own() -> None:
    values, reading = torch.tensor([[0.5], [-40.0]]), OutputReading("logits", "independent")
    found = column(values, 0, "probability", reading).tolist()
    assert found == pytest.approx([0.6224593312018546, 4.248354255291589e-18])
    assert column(values, 0, "log_odds", reading).tolist() == [0.5, -40.0]


def test_values_have_no_probability() -> None:
    reading = OutputReading("values", "independent")
    assert torch.equal(column(VALUES, 1, "logit", reading), VALUES[:, 1])
    with pytest.raises(BindError, match="its outputs are values, which have no log-odds; output => 'logit'"):
        column(VALUES, 1, "log_odds", reading)


@pytest.mark.parametrize("row", [[1.2, -0.2], [0.5, 1.01], [-3.0, 4.0]])
def test_what_is_no_probability_is_not_read_as_one(row: list[float]) -> None:
    with pytest.raises(ModelError, match=r"read as probabilities hold \[.*outputs='logits'"):
        column(torch.tensor([row]), 0, "probability", OutputReading("probabilities", "alternatives"))


def test_an_unknown_output_kind_names_the_nearest() -> None:
    with pytest.raises(BindError, match=r"unknown output 'logits'; did you mean 'logit'\?"):
        column(VALUES, 0, "logits", LOGITS)


def test_gradients_of_every_reading_are_those_of_its_definition() -> None:
    for numbers, reading, _ in READINGS.values():
        for output in ("logit", "probability", "log_odds"):

            def explained(x: Tensor, output: str = output, reading: OutputReading = reading) -> Tensor:
                return column(x, 0, output, reading)

            assert torch.autograd.gradcheck(explained, numbers.clone().requires_grad_())
