"""Models that differentiate inside `forward`: what works under `torch.no_grad()` works in a query, and the model trains
afterwards as before. Right values are by enumeration of all coalitions, under `torch.no_grad()`."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import ialgebra
from tests import oracle

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")  # torch's own, in `jacfwd`

X = torch.tensor([1.0, -1.5, 0.5, 2.0])


class Energy(nn.Module):
    """A small net (B, 4) → (B, 1), which the models below differentiate."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))

    def of_row(self, row: Tensor) -> Tensor:
        return cast(Tensor, self.net(row)).sum()


class Forces(Energy):
    """−∂E/∂x, with a graph that stays, and a flag set on what it is given."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x.requires_grad_(True)
            (gradient,) = torch.autograd.grad(self.net(x).sum(), x, create_graph=True)
        return -gradient


class Backward(Energy):
    """The same by `backward()`, which also adds to the gradients of the weights."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x.detach().clone().requires_grad_(True)
            self.net(x).sum().backward()
        assert x.grad is not None
        return x.grad


class OfFunctions(Energy):
    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, torch.func.vmap(torch.func.grad(self.of_row))(x))


class Jacobians(Energy):
    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, torch.func.vmap(torch.func.jacrev(self.net))(x))[:, 0]


class Curvature(Energy):
    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, torch.func.vmap(torch.func.hessian(self.of_row))(x)).diagonal(dim1=1, dim2=2)


class Forwards(Energy):
    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, torch.func.jvp(self.net, (x,), (torch.ones_like(x),))[1])


class Ensemble(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.nets = nn.ModuleList([nn.Linear(4, 2) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        stacked = torch.func.stack_module_state(list(self.nets))
        each = torch.func.vmap(lambda state: torch.func.functional_call(self.nets[0], state, (x,)))
        return cast(Tensor, each(stacked)).mean(0)


class KeepsTensors(nn.Module):
    """Makes a buffer, and tensors in a list and a dictionary, at its first call."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)
        self.register_buffer("places", None)
        self.kept: list[Tensor] = []
        self.more: dict[str, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        if not self.kept:
            self.places = torch.arange(4.0) / 10
            self.kept.append(torch.full((4,), 0.1))
            self.more["scale"] = torch.arange(2.0) + 1
        return cast(Tensor, self.linear(x + self.places + self.kept[0])) * self.more["scale"]


MODELS: list[Callable[[], nn.Module]] = [
    Forces,
    Backward,
    OfFunctions,
    Jacobians,
    Curvature,
    Forwards,
    Ensemble,
    KeepsTensors,
]


def by_enumeration(model: nn.Module, x: Tensor) -> NDArray[np.float64]:
    """The Shapley values of class 0 against zeros."""

    @functools.cache
    def value(coalition: frozenset[int]) -> float:
        present = torch.tensor([float(i in coalition) for i in range(len(x))])
        with torch.no_grad():
            return float(model((x * present)[None])[0, 0])

    return oracle.shapley(value, value, len(x))


def state(model: nn.Module) -> list[object]:
    flags = [module.training for module in model.modules()]
    return [
        flags,
        [
            (name, id(each), each.requires_grad, None if each.grad is None else each.grad.tolist(), each._version)
            for name, each in model.named_parameters()
        ],
    ]


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("frame", [nullcontext, torch.no_grad, torch.inference_mode])
def test_what_works_without_gradients_works_in_a_query(
    make: Callable[[], nn.Module], frame: Callable[[], AbstractContextManager[object]]
) -> None:
    model = make().train()
    expected = by_enumeration(copy.deepcopy(model), X)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 0.5)
    before = state(model)
    with ialgebra.connect() as con, frame():
        con.register_model("f", model)
        con.register_input("x", X)
        (found,) = con.sql("select * from f(x, target => 0)")
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    assert state(model) == before


@pytest.mark.parametrize("make", [each for each in MODELS if each is not Backward])
def test_a_model_that_was_queried_trains_as_one_that_was_not(make: Callable[[], nn.Module]) -> None:
    model = make()
    other = copy.deepcopy(model)
    with ialgebra.connect() as con, torch.inference_mode():
        con.register_model("f", model)
        con.register_input("x", X)
        con.sql("select * from f(x, target => 0)")
    for each in (model, other):
        optimizer = torch.optim.SGD(each.parameters(), lr=0.1)
        torch.as_tensor(each(X.repeat(3, 1))).pow(2).sum().backward()
        optimizer.step()
    assert all(map(torch.equal, model.parameters(), other.parameters()))


def test_a_gradient_asked_of_one_model_does_not_reach_the_next() -> None:
    """Both models of a comparison read one batch; the first sets a flag on what it is given."""

    class WritesToIt(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            with torch.enable_grad():
                assert not x.requires_grad
            return x[:, :2]

    with ialgebra.connect() as con:
        con.register_model("f", Forces())
        con.register_model("g", WritesToIt())
        con.register_input("x", X)
        first, second = con.sql("select * from f(x, target => 0) left join (select * from g(x, target => 1))")
    assert first.values.shape == second.values.shape == (4,)
