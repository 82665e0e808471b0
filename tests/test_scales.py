"""Pixels 0…255 for a network that was perhaps trained on other numbers: said where it can be told, and only there."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.errors import IalgebraWarning

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 12, 3)).astype("uint8")


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()


class Normalising(nn.Module):
    """A network that takes pixels as they are, and scales them itself."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x / 255)
        return found


def asked(model: object, **inputs: object) -> list[str]:
    """The warnings of a query of the first input."""
    con = ialgebra.connect(progress=False)
    con.register_model("f", model)
    for name, value in inputs.items():
        con.register_input(name, value)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(2):
            con.sql(f"select * from f({next(iter(inputs))}, players => grid(2, 2))")
    return [str(each.message) for each in found if isinstance(each.message, IalgebraWarning)]


@pytest.mark.parametrize("form", ["array", "picture", "batch"])
def test_pixels_for_a_network_that_refuses_uint8_are_warned_of_once_with_advice_that_works(form: str) -> None:
    value: object = PIXELS if form == "array" else torch.from_numpy(PIXELS).permute(2, 0, 1)[None]
    if form == "picture":
        value = pytest.importorskip("PIL.Image").fromarray(PIXELS)
    (said,) = asked(net(), x=value)
    assert said.startswith("model 'f' may be given numbers of the wrong scale")
    assert "preprocess=lambda batch: batch / 255" in said
    con = ialgebra.connect(progress=False)
    con.register_model("f", net(), preprocess=lambda batch: batch / 255)
    con.register_input("x", value)
    (a,) = con.sql("select * from f(x, players => grid(2, 2))")
    right = net()(torch.from_numpy(PIXELS).permute(2, 0, 1)[None] / 255)[0]
    assert a.full_value == pytest.approx(float(right.detach().max()), abs=1e-5)


def test_pixels_as_fractions_are_warned_of_beside_a_picture_of_another_scale() -> None:
    floats = torch.from_numpy(PIXELS).permute(2, 0, 1).float()
    (said,) = asked(net(), x=floats, other=torch.rand(3, 12, 12) * 2 - 1)
    assert "'x', which holds pixels 0…255, while 'other' holds numbers of another scale" in said


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (net(), {"x": torch.rand(3, 12, 12)}),
        (net(), {"x": 100 * torch.randn(3, 12, 12), "y": torch.rand(3, 12, 12)}),
        (net(), {"x": torch.from_numpy(PIXELS).permute(2, 0, 1).float()}),
        (Normalising(), {"x": PIXELS}),
        (lambda x: x.float().mean((2, 3)), {"x": PIXELS}),
        (net(), {"x": (PIXELS % 2).astype("uint8")}),
    ],
)
def test_nothing_is_said_where_nothing_speaks_against_the_scale(model: object, inputs: dict[str, object]) -> None:
    assert asked(model, **inputs) == []
