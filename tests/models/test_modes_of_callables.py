"""Nets inside callables predict in a query, as registered nets do, and are afterwards as they were found."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra

X = torch.tensor([1.0, -1.5, 0.5, 2.0])


def make_net() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)).train()
    net[1].eval()
    return net


GLOBAL = make_net()


def reads_a_global(x: Tensor) -> Tensor:
    return cast(Tensor, GLOBAL(x))


def with_argument(x: Tensor, net: nn.Module) -> Tensor:
    return cast(Tensor, net(x))


class Held:
    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def __call__(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.net(x))

    def method(self, x: Tensor) -> Tensor:
        return self(x)


class HoldsMany:
    def __init__(self, nets: list[nn.Module]) -> None:
        self.nets = nets

    def __call__(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.nets[0](x))


def closure(net: nn.Module) -> Callable[[Tensor], Tensor]:
    def function(x: Tensor) -> Tensor:
        return cast(Tensor, net(x))

    return function


CALLABLES: dict[str, Callable[[nn.Module], Callable[[Tensor], object]]] = {
    "lambda": lambda net: lambda x: net(x),
    "closure": closure,
    "default": lambda net: lambda x, net=net: net(x),
    "partial": lambda net: partial(with_argument, net=net),
    "object": Held,
    "method": lambda net: Held(net).method,
    "forward": lambda net: net.forward,
    "keyword": lambda net: lambda x, *, net=net: net(x),
    "list": lambda net: (lambda nets: lambda x: nets[0](x))([net]),
    "dictionary": lambda net: (lambda nets: lambda x: nets["a"](x))({"a": net}),
    "object of a closure": lambda net: closure(cast(nn.Module, Held(net))),
    "list of an object": lambda net: HoldsMany([net]),
    "of a lambda": lambda net: partial(closure(net)),
}


def answer(model: Callable[[Tensor], object], *, train_mode: bool = False) -> list[float]:
    with ialgebra.connect() as con:
        con.register_model("f", model, train_mode=train_mode)
        con.register_input("x", X)
        (found,) = con.sql("select * from f(x, target => 0)")
    values: list[float] = found.values.tolist()
    return values


def state(net: nn.Module) -> list[object]:
    return [[each.training for each in net.modules()], [each.tolist() for each in net.state_dict().values()]]


@pytest.mark.parametrize("kind", CALLABLES)
def test_a_net_inside_a_callable_is_in_eval_mode_for_the_query(kind: str) -> None:
    net = make_net()
    before = state(net)
    expected = answer(make_net().eval())
    assert answer(CALLABLES[kind](net)) == expected
    assert state(net) == before


def test_a_net_that_a_function_reads_as_a_global_is_too() -> None:
    before = state(GLOBAL)
    assert answer(reads_a_global) == answer(make_net().eval())
    assert state(GLOBAL) == before


def test_with_train_mode_modules_keep_their_mode_and_buffers_get_their_numbers_back() -> None:
    class Notes(nn.Module):
        """Adds 1 to every output in train mode, and counts its calls in a buffer."""

        calls: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 2)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += self.training
            return cast(Tensor, self.linear(x)) + x[:, :1] * self.training

    net = Notes().train()
    predicts = np.array(answer(net))
    np.testing.assert_allclose(np.array(answer(net, train_mode=True)) - predicts, [1.0, 0.0, 0.0, 0.0], atol=1e-6)
    assert float(net.calls) == 0
    assert net.training
    predicts = np.array(answer(lambda x: net(x)))
    np.testing.assert_allclose(np.array(answer(lambda x: net(x), train_mode=True)) - predicts, [1, 0, 0, 0], atol=1e-6)


def test_a_mode_that_changes_between_queries_is_another_model_with_train_mode() -> None:
    class Switched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return cast(Tensor, self.linear(x)) * (2 if self.training else 1)

    net = Switched().eval()
    with ialgebra.connect() as con:
        con.register_model("f", net, train_mode=True)
        con.register_input("x", X)
        (quiet,) = con.sql("select * from f(x, target => 0)")
        net.train()
        (loud,) = con.sql("select * from f(x, target => 0)")
    np.testing.assert_allclose(loud.values, 2 * quiet.values, atol=1e-6)
