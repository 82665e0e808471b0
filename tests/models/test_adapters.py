"""Whatever a model returns becomes logits (B, K), or an error that names what came back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from ialgebra.errors import ModelError
from ialgebra.models.adapters.results import logits
from ialgebra.models.outputs import LOGITS, column

VALUES = torch.arange(6.0).reshape(2, 3)


class Auxiliary(NamedTuple):
    """GoogLeNet's training output."""

    aux: Tensor
    logits: Tensor


@pytest.mark.parametrize(
    "raw",
    [
        VALUES,
        VALUES.half(),
        VALUES.to(torch.int64),
        (VALUES, "state"),
        [VALUES, VALUES + 1],
        {"logits": VALUES, "loss": torch.tensor(1.0)},
        {"out": VALUES, "note": "text"},
        VALUES.numpy(),
        VALUES.numpy().astype(">f4"),
        (VALUES.numpy(), "state"),
        SimpleNamespace(logits=VALUES, hidden_states=VALUES + 1),
        Auxiliary(VALUES + 1, VALUES),
    ],
)
def test_logits_are_taken_from_what_models_return(raw: object) -> None:
    assert torch.equal(logits(raw, 2), VALUES)
    assert logits(raw, 2).dtype == torch.float32


def test_doubles_stay_doubles() -> None:
    assert logits(VALUES.double(), 2).dtype == torch.float64


def test_one_number_a_row_is_one_class() -> None:
    assert torch.equal(logits(torch.tensor([1.0, 2.0]), 2), torch.tensor([[1.0], [2.0]]))
    assert torch.equal(logits(torch.tensor([1.0]), 1), torch.tensor([[1.0]]))


def test_a_squeezed_single_row_gets_its_batch_dimension_back() -> None:
    assert logits(torch.tensor(3.0), 1).tolist() == [[3.0]]
    assert logits(torch.tensor([3.0, 4.0]), 1).tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (None, "returned None;"),
        ("text", "returned a str;"),
        (np.array(["calm", "glad"]), "returned a ndarray of texts;"),
        (["calm", "glad"], "returned a list of str, str;"),
        ((), "returned a tuple of nothing;"),
        (("text", VALUES), "returned a tuple of str, Tensor;"),
        ({"a": VALUES, "b": VALUES}, "returned a dict of 'a', 'b';"),
        ({}, "returned a dict of nothing;"),
        (torch.tensor(1.0), "returned a tensor () for 2 rows; (B, K) or (B,) is needed"),
        (torch.zeros(2, 3, 1), "returned numbers at 3 positions of each row, (2, 3, 1) as (B, positions, K);"),
        (torch.zeros(2, 3, 4, 5), "returned numbers at 4 × 5 places of each row, (2, 3, 4, 5) as (B, K, *places);"),
        (torch.zeros(3, 3), "returned 3 rows (3, 3) for a batch of 2"),
        (torch.zeros(2, 0), "which has no class"),
        (torch.zeros(2, 3, dtype=torch.complex64), "returned complex numbers"),
    ],
)
def test_anything_else_is_named(raw: object, said: str) -> None:
    with pytest.raises(ModelError) as caught:
        logits(raw, 2)
    assert said in caught.value.message


def test_columns_of_very_many_classes_are_those_of_few() -> None:
    numbers = torch.randn(40, (1 << 13) + 3) * 4
    wide = numbers.double()
    p = torch.softmax(wide, dim=1)[:, 5]
    assert torch.equal(column(numbers, 5, "logit", LOGITS), wide[:, 5])
    assert torch.allclose(column(numbers, 5, "probability", LOGITS), p, rtol=1e-12, atol=0)
    assert torch.allclose(column(numbers, 5, "log_odds", LOGITS), torch.log(p) - torch.log1p(-p), rtol=1e-9, atol=1e-12)
