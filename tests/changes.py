"""Kinds of change that a model can meet between two queries: a name in; a model, and what changes it, out.

Every change makes the model compute something else for the input (1, 2, 3). The models are small, and each says one way
in which people write models.
"""

from __future__ import annotations

import abc
import argparse
import array
import builtins
import collections
import contextvars
import ctypes
import dataclasses
import decimal
import enum
import fractions
import functools
import importlib
import itertools
import logging
import operator
import os
import queue
import sqlite3
import sys
import tempfile
import threading
import time
import types
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

Made = tuple[Callable[[Tensor], object], Callable[[], object]]
"""A model, and what changes it. A change may return what undoes it elsewhere (hooks of the process, patches)."""

CHANGES: dict[str, Callable[[], Made]] = {}


def change(name: str) -> Callable[[Callable[[], Made]], Callable[[], Made]]:
    def listed(make: Callable[[], Made]) -> Callable[[], Made]:
        assert name not in CHANGES, name
        CHANGES[name] = make
        return make

    return listed


def row(batch: Tensor) -> Tensor:
    """The sum over features, one column."""
    return batch.float().sum(1, keepdim=True)


class Net(nn.Module):
    """A model whose forward is a function of the module and the batch."""

    def __init__(self, run: Callable[[Any, Tensor], Tensor] | None = None, **held: object) -> None:
        super().__init__()
        self.run = run
        for name, value in held.items():
            setattr(self, name, value)

    def forward(self, batch: Tensor) -> Tensor:
        return self.run(self, batch)  # type: ignore[misc]


def held(name: str, value: Callable[[], object], read: Callable[[Any], Any], edit: Callable[[Any], object]) -> None:
    """An attribute of a module, private or not, from which `read` gives a factor, and which `edit` changes."""
    for attribute in ("kept", "_kept"):

        @change(f"{name}, in {attribute}")
        def make(attribute: str = attribute) -> Made:
            model = Net(lambda m, x: row(x) * float(read(getattr(m, attribute))))
            setattr(model, attribute, value())
            return model, lambda: edit(getattr(model, attribute))


def replaced(name: str, before: Callable[[], object], after: Callable[[], object], read: Callable[[Any], Any]) -> None:
    """An attribute of a module that is replaced by another value."""

    @change(f"{name}, replaced")
    def make() -> Made:
        model = Net(lambda m, x: row(x) * float(read(m.kept)), kept=before())
        return model, lambda: setattr(model, "kept", after())


# --- attributes of modules


@dataclasses.dataclass
class Config:
    k: float = 1.0
    inner: Any = None


@dataclasses.dataclass(slots=True)
class Slotted:
    k: float = 1.0


class Held:
    __slots__ = ("__dict__", "k")

    def __init__(self) -> None:
        self.k = 1.0


class Pair(NamedTuple):
    k: float
    other: list[float]


class Kind(enum.Enum):
    ONE = 1.0
    TWO = 2.0


class Weight(float):
    pass


class Special(dict):  # type: ignore[type-arg]
    pass


def deep(depth: int) -> Config:
    made = Config()
    for _ in range(depth):
        made = Config(inner=made)
    return made


def deepest(config: Config) -> Config:
    while config.inner is not None:
        config = config.inner
    return config


held("a dataclass", Config, lambda c: c.k, lambda c: setattr(c, "k", 2.0))
held("a slotted dataclass", Slotted, lambda c: c.k, lambda c: setattr(c, "k", 2.0))
held("slots beside attributes", Held, lambda c: c.k, lambda c: setattr(c, "k", 2.0))
held("a configuration of 40 levels", lambda: deep(40), lambda c: deepest(c).k, lambda c: setattr(deepest(c), "k", 2.0))
held("a namespace", lambda: argparse.Namespace(k=1.0), lambda c: c.k, lambda c: setattr(c, "k", 2.0))
held("a simple namespace", lambda: types.SimpleNamespace(k=1.0), lambda c: c.k, lambda c: setattr(c, "k", 2.0))
held("a list in a tuple", lambda: ([1.0],), lambda c: c[0][0], lambda c: c[0].__setitem__(0, 2.0))
held(
    "a list in a named tuple",
    lambda: Pair(1.0, [1.0]),
    lambda c: c.other[0],
    lambda c: c.other.append(c.other.pop() + 1),
)
held("a deque", lambda: collections.deque([1.0, 2.0]), lambda c: c[0], lambda c: c.rotate())
held("a default dictionary", lambda: collections.defaultdict(lambda: 1.0), lambda c: c["k"], lambda c: c.update(k=2.0))
held("a counter", lambda: collections.Counter("ab"), lambda c: c["a"], lambda c: c.update("a"))
held("an ordered dictionary", lambda: collections.OrderedDict(a=1.0, b=2.0), lambda c: next(iter(c.values())),
     lambda c: c.move_to_end("a"))  # fmt: skip
held("a subclass of dict", lambda: Special(k=1.0), lambda c: c["k"], lambda c: c.update(k=2.0))
held(
    "a subclass of dict with attributes",
    lambda: Special(),
    lambda c: getattr(c, "k", 1.0),
    lambda c: setattr(c, "k", 2),
)
held("a set", lambda: {1.0}, sum, lambda c: c.add(2.0))
held("a set of texts", lambda: {"a", "bb"}, lambda c: sum(map(len, c)), lambda c: c.add("ccc"))
held("an array of numbers", lambda: np.ones(3), lambda c: c[1], lambda c: c.__setitem__(1, 2.0))
held(
    "an array of objects", lambda: np.array([1.0, None], dtype=object), lambda c: c[0], lambda c: c.__setitem__(0, 2.0)
)
held(
    "an array of lists",
    lambda: np.array([[1.0], None], dtype=object),
    lambda c: c[0][0],
    lambda c: c[0].append(c[0].clear() or 2.0),
)  # type: ignore[func-returns-value]
held("a structured array", lambda: np.ones(2, dtype=[("k", "f8")]), lambda c: c["k"][0], lambda c: c["k"].fill(2.0))
held(
    "a masked array",
    lambda: np.ma.masked_array([1.0, 5.0], [0, 1]),
    lambda c: c.sum(),
    lambda c: c.mask.__setitem__(1, 0),
)
held("an array.array", lambda: array.array("d", [1.0]), lambda c: c[0], lambda c: c.__setitem__(0, 2.0))
held("a bytearray", lambda: bytearray(b"a"), lambda c: c[0], lambda c: c.__setitem__(0, 3))
held("a tensor that is no buffer", lambda: [torch.ones(2)], lambda c: c[0][0], lambda c: c[0].data.mul_(2))
held("a tensor, as NumPy sees it", lambda: [torch.ones(2)], lambda c: c[0][0], lambda c: c[0].numpy().fill(2))
held("a module in a list", lambda: [nn.Linear(1, 1)], lambda c: c[0].weight + 1, lambda c: c[0].weight.data.add_(1))
held(
    "a module in a dictionary", lambda: {"a": nn.PReLU()}, lambda c: c["a"].weight, lambda c: c["a"].weight.data.add_(1)
)
held(
    "a weak reference",
    lambda: [config := Config(), weakref.ref(config)],
    lambda c: c[1]().k,
    lambda c: setattr(c[0], "k", 2.0),
)
held("a number of C", lambda: ctypes.c_double(1.0), lambda c: c.value, lambda c: setattr(c, "value", 2.0))
held("a memo that a pass does not write", dict, lambda c: c.get("k", 1.0), lambda c: c.__setitem__("k", 2.0))
held(
    "an object of another class",
    lambda: Config(),
    lambda c: type(c).__name__ == "Config",
    lambda c: setattr(c, "__class__", Other),
)


class Other(Config):
    pass


replaced("a fraction", lambda: fractions.Fraction(1, 3), lambda: fractions.Fraction(1, 2), float)
replaced("a decimal", lambda: decimal.Decimal("1.5"), lambda: decimal.Decimal("1.25"), float)
replaced("a member of an enum", lambda: Kind.ONE, lambda: Kind.TWO, lambda k: k.value)
replaced("a range", lambda: range(3), lambda: range(4), len)
replaced("a slice", lambda: slice(1), lambda: slice(2), lambda c: c.stop)
replaced("a subclass of float", lambda: Weight(1.0), lambda: Weight(2.0), float)
replaced("a large integer", lambda: 10**5000, lambda: 10**5000 + 1, lambda c: c % 10 + 1)
replaced("a long text", lambda: "a" * 9000, lambda: "a" * 8999 + "b", lambda c: c.count("a"))
replaced("a tuple of one's own class", lambda: Pair(1.0, []), lambda: Pair(2.0, []), lambda c: c.k)
replaced("a function", lambda: torch.sin, lambda: torch.cos, lambda c: c(torch.tensor(1.0)))
replaced("a lambda of the same code", lambda: lambda y: torch.sin(y), lambda: lambda y: torch.cos(y),
         lambda c: c(torch.tensor(1.0)))  # fmt: skip
replaced("a lambda of a method", lambda: lambda y: y.sin(), lambda: lambda y: y.cos(), lambda c: c(torch.tensor(1.0)))
replaced("a getter of an attribute", lambda: operator.attrgetter("real"), lambda: operator.attrgetter("imag"),
         lambda c: c(2 + 5j))  # fmt: skip
replaced("a caller of a method", lambda: operator.methodcaller("sin"), lambda: operator.methodcaller("cos"),
         lambda c: c(torch.tensor(1.0)))  # fmt: skip
replaced("a function of torch's operators", lambda: torch.ops.aten.sin, lambda: torch.ops.aten.cos,
         lambda c: c(torch.tensor(1.0)))  # fmt: skip
replaced("a partial", lambda: functools.partial(pow, 2), lambda: functools.partial(pow, 3), lambda c: c(2))
replaced("a method of an object", lambda: [2.0].count, lambda: [3.0].count, lambda c: c(2.0) + 1)
replaced("nested lists", lambda: [[1.0, [2.0]]], lambda: [[1.0, [3.0]]], lambda c: c[0][1][0])
replaced("a type", lambda: float, lambda: bool, lambda c: c(5.0))
replaced("a dtype", lambda: torch.float32, lambda: torch.int32, lambda c: torch.tensor(1.5).to(c))
replaced("a scalar of NumPy", lambda: np.float32(1.0), lambda: np.float32(2.0), float)
replaced("minus zero", lambda: 0.0, lambda: -0.0, lambda c: np.copysign(1.0, c))
replaced("True for one", lambda: 1, lambda: True, lambda c: 2 + isinstance(c, bool))


@change("an attribute of a part of a part")
def _() -> Made:
    inner = Net(lambda m, x: row(x) * m.k, k=1.0)
    return nn.Sequential(nn.Sequential(inner)), lambda: setattr(inner, "k", 2.0)


@change("a configuration that two parts share")
def _() -> Made:
    config = Config()
    model = Net(lambda m, x: row(x) * m.a.config.k, a=Net(config=config), b=Net(config=config))
    return model, lambda: setattr(config, "k", 2.0)


@change("an attribute of a parameter")
def _() -> Made:
    model = Net(lambda m, x: row(x) * m.w * getattr(m.w, "gain", 1.0), w=nn.Parameter(torch.ones(1)))
    return model, lambda: setattr(model.w, "gain", 2.0)


@change("an attribute of a function")
def _() -> Made:
    def model(x: Tensor) -> Tensor:
        return row(x) * model.k  # type: ignore[attr-defined, no-any-return]

    model.k = 1.0  # type: ignore[attr-defined]
    return model, lambda: setattr(model, "k", 2.0)


@change("what refers to itself")
def _() -> Made:
    ring: list[Any] = [1.0]
    ring.append(ring)
    model = Net(lambda m, x: row(x) * m.ring[1][1][0], ring=ring)
    return model, lambda: ring.__setitem__(0, 2.0)


# --- weights


@change("a weight, by .data")
def _() -> Made:
    model = nn.Linear(3, 2)
    return model, lambda: model.weight.data.mul_(2)


@change("a weight, by NumPy")
def _() -> Made:
    model = nn.Linear(3, 2)
    return model, lambda: model.weight.detach().numpy().__setitem__((0, 0), 9.0)


@change("weights, as optimizers write them")
def _() -> Made:
    model = nn.Linear(3, 2)

    def step() -> None:
        model(torch.ones(1, 3)).sum().backward()
        with torch.no_grad():
            torch._foreach_add_(list(model.parameters()), [each.grad for each in model.parameters()], alpha=-0.1)

    return model, step


@change("two weights that change places")
def _() -> Made:
    model = nn.Linear(3, 2)
    return model, lambda: model.weight.data.copy_(model.weight.data.flip(1))


@change("the bits of a weight, by another dtype")
def _() -> Made:
    model = Net(lambda m, x: row(x) * m.w.float(), w=nn.Buffer(torch.ones(1)))
    return model, lambda: setattr(model.w, "data", model.w.data.view(torch.int32))


@change("a weight that is replaced")
def _() -> Made:
    model = nn.Linear(3, 2)
    return model, lambda: setattr(model, "weight", nn.Parameter(torch.ones(2, 3)))


@change("a buffer that is not saved")
def _() -> Made:
    model = Net(lambda m, x: row(x) * m.scale)
    model.register_buffer("scale", torch.ones(1), persistent=False)
    return model, lambda: model.scale.mul_(2)  # type: ignore[operator]


@change("running statistics")
def _() -> Made:
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    return model, lambda: (model.train(), model(torch.randn(8, 3)), model.eval())


@change("a sparse weight, in place")
def _() -> Made:
    model = Net(lambda m, x: (m.w.to_dense() @ x.float().T).T, w=nn.Buffer(torch.eye(2, 3).to_sparse()))
    return model, lambda: model.w._values().mul_(2)


@change("a compressed sparse weight, in place")
def _() -> Made:
    model = Net(lambda m, x: (m.w.to_dense() @ x.float().T).T, w=nn.Buffer(torch.eye(2, 3).to_sparse_csr()))
    return model, lambda: model.w.values().mul_(2)


@change("the places of a sparse weight")
def _() -> Made:
    model = Net(lambda m, x: (m.w.to_dense() @ x.float().T).T, w=nn.Buffer(torch.eye(1, 3).to_sparse()))
    return model, lambda: model.w._indices().add_(torch.tensor([[0], [1]]))


@change("a quantised weight")
def _() -> Made:
    model = Net(
        lambda m, x: row(x) * m.w.dequantize(),
        w=nn.Buffer(torch.quantize_per_tensor(torch.ones(1), 0.1, 0, torch.qint8)),
    )
    return model, lambda: setattr(model, "w", torch.quantize_per_tensor(torch.ones(1) * 2, 0.1, 0, torch.qint8))


@change("the scale of a quantised weight")
def _() -> Made:
    model = Net(
        lambda m, x: row(x) * m.w.dequantize(),
        w=nn.Buffer(torch.quantize_per_tensor(torch.ones(1), 0.1, 0, torch.qint8)),
    )
    return model, lambda: setattr(model, "w", torch._make_per_tensor_quantized_tensor(model.w.int_repr(), 0.2, 0))


@change("a layer that was quantised")
def _() -> Made:
    import warnings

    model = nn.Sequential(nn.Linear(3, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, torch.qint8)
    packed = small[0]._packed_params
    return small, lambda: packed.set_weight_bias(
        torch.quantize_per_tensor(torch.ones(2, 3), 0.1, 0, torch.qint8), torch.ones(2)
    )


@change("a weight of mkldnn")
def _() -> Made:
    model = Net(lambda m, x: row(x) * m.w[0].to_dense(), w=[torch.ones(1).to_mkldnn()])
    return model, lambda: model.w.__setitem__(0, torch.full((1,), 2.0).to_mkldnn())


@change("a parametrisation")
def _() -> Made:
    model = nn.Linear(3, 1)
    return model, lambda: parametrize.register_parametrization(model, "weight", nn.Softplus()) and None


@change("a mask of pruning")
def _() -> Made:
    from torch.nn.utils import prune

    model = nn.Linear(3, 1)
    prune.identity(model, "weight")
    return model, lambda: model.weight_mask.__setitem__((0, 1), 0.0)


@change("a weight in a recurrent net")
def _() -> Made:
    net = nn.GRU(1, 2, batch_first=True)
    model = Net(lambda m, x: m.net(x.float()[..., None])[0][:, -1], net=net)
    return model, lambda: net.weight_hh_l0.data.add_(1)


@change("an adapter that is added")
def _() -> Made:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    return model, lambda: model.insert(1, nn.Linear(3, 3)) and None


# --- code


@change("the forward of the class")
def _() -> Made:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.sin(row(x))

    return Model(), lambda: setattr(Model, "forward", lambda self, x: torch.cos(row(x)))


@change("the forward of a base of the class")
def _() -> Made:
    class Base(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.sin(row(x))

    class Model(Base):
        pass

    return Model(), lambda: setattr(Base, "forward", lambda self, x: torch.cos(row(x)))


@change("the code of a method, as autoreload puts it")
def _() -> Made:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return self.act(row(x))

        def act(self, y: Tensor) -> Tensor:
            return torch.sin(y)

    return Model(), lambda: setattr(Model.act, "__code__", (lambda self, y: torch.cos(y)).__code__)


@change("the class of a module")
def _() -> Made:
    class One(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.sin(row(x))

    class Two(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cos(row(x))

    model = One()
    return model, lambda: setattr(model, "__class__", Two)


@change("the bases of a class")
def _() -> Made:
    class One(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.sin(row(x))

    class Two(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cos(row(x))

    class Model(One):
        pass

    return Model(), lambda: setattr(Model, "__bases__", (Two,))


@change("a method that a method names")
def _() -> Made:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return self.one(x)

        def one(self, x: Tensor) -> Tensor:
            return self.two(x)

        def two(self, x: Tensor) -> Tensor:
            return torch.sin(row(x))

    return Model(), lambda: setattr(Model, "two", lambda self, x: torch.cos(row(x)))


@change("a method that is found by its name")
def _() -> Made:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kind = "one"

        def forward(self, x: Tensor) -> Tensor:
            return getattr(self, f"by_{self.kind}")(x)  # type: ignore[no-any-return]

        def by_one(self, x: Tensor) -> Tensor:
            return torch.sin(row(x))

    return Model(), lambda: setattr(Model, "by_one", lambda self, x: torch.cos(row(x)))


@change("a class attribute")
def _() -> Made:
    class Model(nn.Module):
        k = 1.0

        def forward(self, x: Tensor) -> Tensor:
            return row(x) * self.k

    return Model(), lambda: setattr(Model, "k", 2.0)


@change("a class attribute of a base of an object")
def _() -> Made:
    class Base:
        k = 1.0

    class Part(Base):
        pass

    return Net(lambda m, x: row(x) * m.part.k, part=Part()), lambda: setattr(Base, "k", 2.0)


@change("a property")
def _() -> Made:
    class Model(nn.Module):
        @property
        def k(self) -> float:
            return 1.0

        def forward(self, x: Tensor) -> Tensor:
            return row(x) * self.k

    return Model(), lambda: setattr(Model, "k", property(lambda self: 2.0))


@change("a static method")
def _() -> Made:
    class Model(nn.Module):
        @staticmethod
        def act(y: Tensor) -> Tensor:
            return torch.sin(y)

        def forward(self, x: Tensor) -> Tensor:
            return self.act(row(x))

    return Model(), lambda: setattr(Model, "act", staticmethod(torch.cos))


@change("a class method")
def _() -> Made:
    class Model(nn.Module):
        @classmethod
        def act(cls, y: Tensor) -> Tensor:
            return torch.sin(y)

        def forward(self, x: Tensor) -> Tensor:
            return self.act(row(x))

    return Model(), lambda: setattr(Model, "act", classmethod(lambda cls, y: torch.cos(y)))


@change("a descriptor of a class")
def _() -> Made:
    class Always:
        def __init__(self, value: float) -> None:
            self.value = value

        def __get__(self, owner: object, kind: type) -> float:
            return self.value

    class Model(nn.Module):
        k = Always(1.0)

        def forward(self, x: Tensor) -> Tensor:
            return row(x) * self.k

    return Model(), lambda: setattr(vars(Model)["k"], "value", 2.0)


@change("an operator of a class")
def _() -> Made:
    class Scale:
        def __mul__(self, y: Tensor) -> Tensor:
            return y

    return Net(lambda m, x: m.scale * row(x), scale=Scale()), lambda: setattr(Scale, "__mul__", lambda self, y: 2 * y)


@change("a forward of one object")
def _() -> Made:
    model = Net(lambda m, x: row(x))
    return model, lambda: setattr(model, "forward", lambda x: 2 * row(x))


@change("the forward of a class of torch")
def _() -> Made:
    model, before = nn.Sequential(nn.Linear(3, 1), nn.Softsign()), nn.Softsign.forward

    def patch() -> Callable[[], object]:
        nn.Softsign.forward = lambda self, x: 2 * x  # type: ignore[method-assign]
        return lambda: setattr(nn.Softsign, "forward", before)

    return model, patch


@change("a function of torch, which a layer calls")
def _() -> Made:
    model, before = nn.Sequential(nn.Linear(3, 1), nn.Softsign()), F.softsign

    def patch() -> Callable[[], object]:
        F.softsign = lambda x: 2 * x
        return lambda: setattr(F, "softsign", before)

    return model, patch


@change("a function of torch, for another one")
def _() -> Made:
    model, before = Net(lambda m, x: F.softsign(row(x))), F.softsign

    def patch() -> Callable[[], object]:
        F.softsign = F.tanh
        return lambda: setattr(F, "softsign", before)

    return model, patch


def helper(y: Tensor) -> Tensor:
    return inner_helper(y) * SCALE


def inner_helper(y: Tensor) -> Tensor:
    return torch.sin(y)


SCALE = 1.0
TABLE = {"k": [1.0]}
HELD = Config()
helpers = types.ModuleType("helpers")
exec("K = 1.0\ndef scaled(y):\n    return y * K\n", vars(helpers))
configured = types.ModuleType("configured")
configured.k = 1.0  # type: ignore[attr-defined]
configured.sub = types.SimpleNamespace(k=1.0)  # type: ignore[attr-defined]
sys.modules["configured_for_tests"] = configured


def globals_of_here(name: str, value: Callable[[Any], object]) -> Callable[[], Callable[[], object]]:
    def put() -> Callable[[], object]:
        before = globals()[name]
        globals()[name] = value(before)
        return lambda: globals().__setitem__(name, before)

    return put


@change("a global number")
def _() -> Made:
    return Net(lambda m, x: row(x) * SCALE), globals_of_here("SCALE", lambda _: 2.0)


@change("a global that a helper of a helper reads")
def _() -> Made:
    return lambda x: helper(row(x)), globals_of_here("SCALE", lambda _: 2.0)


@change("a helper that is defined again")
def _() -> Made:
    return lambda x: helper(row(x)), globals_of_here("inner_helper", lambda _: lambda y: torch.cos(y))


@change("a global that code inside code reads")
def _() -> Made:
    return lambda x: torch.stack([(lambda y: y * SCALE)(row(x))])[0], globals_of_here("SCALE", lambda _: 2.0)


@change("a global that a comprehension reads")
def _() -> Made:
    return lambda x: sum(row(x) * SCALE for _ in range(2)), globals_of_here("SCALE", lambda _: 2.0)


@change("a list in a global dictionary")
def _() -> Made:
    def put() -> Callable[[], object]:
        TABLE["k"][0] = 2.0
        return lambda: TABLE["k"].__setitem__(0, 1.0)

    return lambda x: row(x) * TABLE["k"][0], put


@change("an object in a global")
def _() -> Made:
    def put() -> Callable[[], object]:
        HELD.k = 2.0
        return lambda: setattr(HELD, "k", 1.0)

    return Net(lambda m, x: row(x) * HELD.k), put


@change("an attribute of a module of Python")
def _() -> Made:
    def put() -> Callable[[], object]:
        configured.k = 2.0  # type: ignore[attr-defined]
        return lambda: setattr(configured, "k", 1.0)

    return Net(lambda m, x: row(x) * configured.k), put


@change("an object in a module of Python")
def _() -> Made:
    def put() -> Callable[[], object]:
        configured.sub.k = 2.0
        return lambda: setattr(configured.sub, "k", 1.0)

    return Net(lambda m, x: row(x) * configured.sub.k), put


@change("an attribute that a module of Python gets")
def _() -> Made:
    def put() -> Callable[[], object]:
        configured.extra = 2.0  # type: ignore[attr-defined]
        return lambda: delattr(configured, "extra")

    return Net(lambda m, x: row(x) * getattr(configured, "extra", 1.0)), put


@change("a global of a function in a module of Python")
def _() -> Made:
    def put() -> Callable[[], object]:
        helpers.K = 2.0  # type: ignore[attr-defined]
        return lambda: setattr(helpers, "K", 1.0)

    return lambda x: helpers.scaled(row(x)), put


@change("a function of a module of Python that is an attribute")
def _() -> Made:
    def put() -> Callable[[], object]:
        before = helpers.scaled
        helpers.scaled = lambda y: 3 * y  # type: ignore[attr-defined]
        return lambda: setattr(helpers, "scaled", before)

    return Net(lambda m, x: m.tools.scaled(row(x)), tools=helpers), put


@change("a module of Python that forward imports")
def _() -> Made:
    def model(x: Tensor) -> Tensor:
        import configured_for_tests as settings  # type: ignore[import-not-found]

        return row(x) * settings.k  # type: ignore[no-any-return]

    def put() -> Callable[[], object]:
        configured.k = 2.0  # type: ignore[attr-defined]
        return lambda: setattr(configured, "k", 1.0)

    return model, put


@change("a name that forward imports")
def _() -> Made:
    def model(x: Tensor) -> Tensor:
        from configured_for_tests import k

        return row(x) * k  # type: ignore[no-any-return]

    def put() -> Callable[[], object]:
        configured.k = 2.0  # type: ignore[attr-defined]
        return lambda: setattr(configured, "k", 1.0)

    return model, put


@change("a closure")
def _() -> Made:
    k = 1.0

    def put() -> None:
        nonlocal k
        k = 2.0

    return lambda x: row(x) * k, put


@change("a closure of a class that a function makes")
def _() -> Made:
    options = {"k": 1.0}

    def made() -> nn.Module:
        class Model(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return row(x) * options["k"]

        return Model()

    return made(), lambda: options.update(k=2.0)


@change("a default")
def _() -> Made:
    def model(x: Tensor, k: float = 1.0) -> Tensor:
        return row(x) * k

    return model, lambda: setattr(model, "__defaults__", (2.0,))


@change("a default of a keyword")
def _() -> Made:
    def model(x: Tensor, *, k: float = 1.0) -> Tensor:
        return row(x) * k

    return model, lambda: model.__kwdefaults__.update(k=2.0)


@change("a constant in the code")
def _() -> Made:
    def model(x: Tensor) -> Tensor:
        return row(x) * 1.0

    return model, lambda: setattr(model, "__code__", (lambda x: row(x) * 2.0).__code__)


@change("a keyword of a partial")
def _() -> Made:
    model = functools.partial(lambda x, k: row(x) * k, k=1.0)
    return model, lambda: model.keywords.update(k=2.0)


@change("what a decorated function calls")
def _() -> Made:
    @torch.no_grad()
    def model(x: Tensor) -> Tensor:
        return row(x) * SCALE

    return model, globals_of_here("SCALE", lambda _: 2.0)


@change("what a remembered function calls")
def _() -> Made:
    factor = functools.lru_cache(maxsize=None)(lambda: SCALE)

    def put() -> Callable[[], object]:
        undo = globals_of_here("SCALE", lambda _: 2.0)()
        factor.cache_clear()
        return undo

    return lambda x: row(x) * factor(), put


@change("an attribute of a callable object")
def _() -> Made:
    class Model:
        def __init__(self) -> None:
            self._k = 1.0

        def __call__(self, x: Tensor) -> Tensor:
            return row(x) * self._k

    model = Model()
    return model, lambda: setattr(model, "_k", 2.0)


@change("the call of a callable object")
def _() -> Made:
    class Model:
        def __call__(self, x: Tensor) -> Tensor:
            return torch.sin(row(x))

    return Model(), lambda: setattr(Model, "__call__", lambda self, x: torch.cos(row(x)))


@change("a net in a method of an object")
def _() -> Made:
    class Model:
        def __init__(self) -> None:
            self.parts = {"net": nn.Linear(3, 1)}

        def predict(self, x: Tensor) -> Tensor:
            return self.parts["net"](x.float())  # type: ignore[no-any-return]

    model = Model()
    return model.predict, lambda: model.parts["net"].weight.data.mul_(2)


@change("a context variable")
def _() -> Made:
    variable = contextvars.ContextVar("factor", default=1.0)

    def put() -> Callable[[], object]:
        token = variable.set(2.0)
        return lambda: variable.reset(token)

    return lambda x: row(x) * variable.get(), put


@change("a thread-local value")
def _() -> Made:
    local = threading.local()
    local.k = 1.0
    return lambda x: row(x) * local.k, lambda: setattr(local, "k", 2.0)


# --- hooks


@change("a hook")
def _() -> Made:
    model = nn.Sequential(nn.Linear(3, 2))
    return model, lambda: model[0].register_forward_hook(lambda m, a, y: 2 * y) and None


@change("a hook that writes in place")
def _() -> Made:
    model = nn.Sequential(nn.Linear(3, 2))

    def double(module: nn.Module, given: object, y: Tensor) -> None:
        y.mul_(2)

    return model, lambda: model[0].register_forward_hook(double) and None


@change("a hook that writes elements")
def _() -> Made:
    model = nn.Sequential(nn.Linear(3, 2))

    def cut(module: nn.Module, given: object, y: Tensor) -> None:
        y[:, 0] = 0

    return model, lambda: model[0].register_forward_hook(cut) and None


@change("a hook that sets an attribute")
def _() -> Made:
    model = Net(lambda m, x: m.linear(x.float()) * m.k, linear=nn.Linear(3, 2), k=1.0)

    def scale(module: nn.Module, given: object, y: Tensor) -> None:
        model.k = 2.0

    return model, lambda: model.linear.register_forward_hook(scale) and None


@change("a hook before forward")
def _() -> Made:
    model = nn.Sequential(nn.Linear(3, 2))
    return model, lambda: model.register_forward_pre_hook(lambda m, a: (a[0] + 1,)) and None


@change("a hook that sometimes answers")
def _() -> Made:
    model = nn.Sequential(nn.Linear(3, 2))

    def clamp(module: nn.Module, given: object, y: Tensor) -> Tensor | None:
        return y.clamp(max=-10) if y.numel() else None

    return model, lambda: model[0].register_forward_hook(clamp) and None


@change("a hook that keeps what a later part reads")
def _() -> Made:
    kept: dict[str, Tensor] = {"first": torch.zeros(1, 2)}
    first = nn.Linear(3, 2)
    model = Net(lambda m, x: m.first(x.float()) + kept["first"], first=first)

    def keep(module: nn.Module, given: object, y: Tensor) -> None:
        kept["first"] = y.detach()

    return model, lambda: first.register_forward_hook(keep) and None


@change("a hook that hands its output to what writes in place")
def _() -> Made:
    model = nn.Sequential(nn.Linear(3, 2))

    def double(y: Tensor) -> None:
        y.mul_(2)

    return model, lambda: model[0].register_forward_hook(lambda m, a, y: double(y)) and None


@change("a hook that writes through an array")
def _() -> Made:
    model = nn.Sequential(nn.Linear(3, 2))
    return model, lambda: model[0].register_forward_hook(lambda m, a, y: y.numpy().fill(1)) and None


@change("a hook that writes to the weights")
def _() -> Made:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))

    def erase(module: nn.Module, given: object) -> None:
        model[1].weight.data.fill_(1)

    return model, lambda: model[0].register_forward_pre_hook(erase) and None


@change("what a hook holds")
def _() -> Made:
    model, held = nn.Sequential(nn.Linear(3, 2)), {"k": 1.0}
    model[0].register_forward_hook(lambda m, a, y: held["k"] * y)
    return model, lambda: held.update(k=2.0)


@change("a hook of all modules")
def _() -> Made:
    def put() -> Callable[[], object]:
        handle = nn.modules.module.register_module_forward_hook(lambda m, a, y: 2 * y)
        return handle.remove

    return nn.Linear(3, 2), put


@change("a hook of all modules, before forward")
def _() -> Made:
    def put() -> Callable[[], object]:
        handle = nn.modules.module.register_module_forward_pre_hook(lambda m, a: (a[0] + 1,))
        return handle.remove

    return nn.Linear(3, 2), put


# --- what torch has in force


@change("the default dtype")
def _() -> Made:
    def put() -> Callable[[], object]:
        torch.set_default_dtype(torch.float64)
        return lambda: torch.set_default_dtype(torch.float32)

    return lambda x: row(x) * torch.finfo(torch.get_default_dtype()).eps * 1e9, put


@change("the autocast mode")
def _() -> Made:
    def put() -> Callable[[], object]:
        torch.set_autocast_enabled("cpu", True)
        return lambda: torch.set_autocast_enabled("cpu", False)

    return nn.Linear(3, 2), put


# --- scripts


class Scripted(nn.Module):
    def __init__(self, k: float) -> None:
        super().__init__()
        self.k = k
        self.names: list[float] = [1.0]

    def forward(self, x: Tensor) -> Tensor:
        return x.float().sum(1, keepdim=True) * self.k * self.names[0]


@change("an attribute of a script")
def _() -> Made:
    model = torch.jit.script(Scripted(1.0))
    return model, lambda: setattr(model, "k", 2.0)


@change("a script inside a module")
def _() -> Made:
    model = nn.Sequential(torch.jit.script(Scripted(1.0)))
    return model, lambda: model.__setitem__(0, torch.jit.script(Scripted(2.0)))


# --- further siblings


@change("a method that is bound to one object")
def _() -> Made:
    model = Net(lambda m, x: m.act(row(x)))
    model.act = types.MethodType(lambda self, y: torch.sin(y), model)
    return model, lambda: setattr(model, "act", types.MethodType(lambda self, y: torch.cos(y), model))


@change("a function with cases by type")
def _() -> Made:
    @functools.singledispatch
    def act(y: object) -> Any:
        raise TypeError

    act.register(Tensor, lambda y: torch.sin(y))
    return lambda x: act(row(x)), lambda: act.register(Tensor, lambda y: torch.cos(y)) and None


@change("a method that all tensors are given")
def _() -> Made:
    def put() -> Callable[[], object]:
        Tensor.relu6_of_tests = lambda self: self * 2  # type: ignore[attr-defined]
        return lambda: delattr(Tensor, "relu6_of_tests")

    return lambda x: getattr(row(x), "relu6_of_tests", lambda: row(x))(), put


@change("a method of all tensors")
def _() -> Made:
    def put() -> Callable[[], object]:
        Tensor.tanh = lambda self: self * 2  # type: ignore[method-assign]
        return lambda: delattr(Tensor, "tanh")

    return Net(lambda m, x: row(x).tanh()), put


@change("a function of Python itself")
def _() -> Made:
    def put() -> Callable[[], object]:
        before = builtins.abs
        builtins.abs = lambda y: y * 3  # type: ignore[assignment]
        return lambda: setattr(builtins, "abs", before)

    return Net(lambda m, x: abs(row(x))), put


@change("a function of NumPy")
def _() -> Made:
    def put() -> Callable[[], object]:
        before = np.tanh
        np.tanh = lambda y: y * 3
        return lambda: setattr(np, "tanh", before)

    return lambda x: torch.as_tensor(np.tanh(row(x).numpy())), put


@change("the call of all modules")
def _() -> Made:
    def put() -> Callable[[], object]:
        before = nn.Module.__call__
        nn.Module.__call__ = lambda self, *given: 2 * before(self, *given)
        return lambda: setattr(nn.Module, "__call__", before)

    return nn.Linear(3, 1), put


@change("a graph of torch.fx")
def _() -> Made:
    import torch.fx

    traced = torch.fx.symbolic_trace(Acting())

    def rewrite() -> None:
        for node in traced.graph.nodes:
            if node.target is torch.sin:
                node.target = torch.cos
        traced.recompile()

    return traced, rewrite


class Acting(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(x.float().sum(1, keepdim=True))


@change("a module of Python that is edited and loaded again")
def _() -> Made:
    folder = Path(tempfile.mkdtemp())
    name = f"edited_{folder.name}"
    (folder / f"{name}.py").write_text("def act(y):\n    return y.sin()\n")
    sys.path.insert(0, str(folder))
    module = importlib.import_module(name)

    def edit() -> Callable[[], object]:
        (folder / f"{name}.py").write_text("def act(y):\n    return y.cos() + 0\n")
        importlib.reload(module)
        return lambda: sys.path.remove(str(folder))

    return lambda x: module.act(row(x)), edit


@change("parameters that functional_call is given")
def _() -> Made:
    net = nn.Linear(3, 1)
    parameters = {name: each.detach().clone() for name, each in net.named_parameters()}
    return lambda x: torch.func.functional_call(net, parameters, (x.float(),)), lambda: parameters["weight"].mul_(2)


@change("a function that vmap maps")
def _() -> Made:
    scale = [1.0]
    mapped = torch.func.vmap(lambda r: r.sum(0, keepdim=True) * scale[0])
    return lambda x: mapped(x.float()), lambda: scale.__setitem__(0, 2.0)


@change("a weight with a norm of its own")
def _() -> Made:
    model = nn.utils.parametrizations.weight_norm(nn.Linear(3, 1))
    return model, lambda: model.parametrizations.weight.original0.data.mul_(2)  # type: ignore[union-attr]


@change("the order of parts")
def _() -> Made:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))

    def swap() -> None:
        model[0], model[1] = model[1], model[0]

    return model, swap


@change("the precision of decimals")
def _() -> Made:
    def put() -> Callable[[], object]:
        before = decimal.getcontext().prec
        decimal.getcontext().prec = 2
        return lambda: setattr(decimal.getcontext(), "prec", before)

    return lambda x: row(x) * float(decimal.Decimal(1) / 3) * decimal.getcontext().prec, put


@change("a value that processes share")
def _() -> Made:
    import multiprocessing

    value = multiprocessing.Value("d", 1.0)
    return lambda x: row(x) * value.value, lambda: setattr(value, "value", 2.0)


@change("a table of a database")
def _() -> Made:
    base = sqlite3.connect(":memory:", check_same_thread=False)
    base.execute("create table t (k real)")
    base.execute("insert into t values (1.0)")
    model = Net(lambda m, x: row(x) * m.base.execute("select k from t").fetchone()[0], base=base)
    return model, lambda: base.execute("update t set k = 2.0") and None


@change("keys of a mapping, by weak reference")
def _() -> Made:
    key = Method(None)
    table = weakref.WeakKeyDictionary({key: 1.0})
    return Net(lambda m, x: row(x) * m.table[key], table=table), lambda: table.__setitem__(key, 2.0)


@change("a chain of mappings")
def _() -> Made:
    table = collections.ChainMap({}, {"k": 1.0})
    return Net(lambda m, x: row(x) * m.table["k"], table=table), lambda: table.__setitem__("k", 2.0)


@change("a set of tuples")
def _() -> Made:
    table = {("a", 1), ("b", 2)}
    return Net(lambda m, x: row(x) * sum(k for _, k in m.table), table=table), lambda: table.add(("c", 3))


@change("an iterator that somebody advances")
def _() -> Made:
    steps = itertools.count(1)
    return Net(lambda m, x: row(x) * float(repr(m.steps)[6:-1]), steps=steps), lambda: next(steps) and None


@change("an attribute of a module of Python whose name is computed")
def _() -> Made:
    def put() -> Callable[[], object]:
        configured.k = 2.0  # type: ignore[attr-defined]
        return lambda: setattr(configured, "k", 1.0)

    return Net(lambda m, x: row(x) * getattr(configured, "kk"[1:])), put


@change("a class that a closure holds")
def _() -> Made:
    class Scale:
        k = 1.0

    return lambda x: row(x) * Scale.k, lambda: setattr(Scale, "k", 2.0)


@change("how a class finds missing attributes")
def _() -> Made:
    class Proxy:
        def __getattr__(self, name: str) -> float:
            return 1.0

    return Net(lambda m, x: row(x) * m.proxy.k, proxy=Proxy()), lambda: setattr(
        Proxy, "__getattr__", lambda self, n: 2.0
    )


@change("a hook that is called with keywords")
def _() -> Made:
    model = nn.Sequential(nn.Linear(3, 2))

    def hook(module: nn.Module, given: object, *rest: Any) -> Tensor:
        return rest[-1] * len(rest)  # type: ignore[no-any-return]

    handle = model[0].register_forward_hook(hook)

    def again() -> None:
        handle.remove()
        model[0].register_forward_hook(hook, with_kwargs=True)

    return model, again


# --- estimators: compiled state


def predicted(estimator: Any) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.as_tensor(np.asarray(estimator.predict_proba(x.numpy())))


def fitted(name: str, package: str, make: Callable[[], Any]) -> None:
    """An estimator that is fitted anew on other labels: as it is, its method, and in a closure."""
    for form, wrap in {"its method": lambda e: Method(e).predict, "in a closure": predicted}.items():

        @change(f"{name}, fitted again, {form}")
        def _(wrap: Callable[[Any], Callable[[Tensor], Tensor]] = wrap) -> Made:
            pytest.importorskip(package)
            generator = np.random.default_rng(0)
            inputs = generator.normal(size=(60, 3)).astype(np.float32)
            estimator = make().fit(inputs, inputs[:, 0] > 0)
            return wrap(estimator), lambda: estimator.fit(inputs, inputs[:, 1] > 0) and None


class Method:
    """Calls an estimator, as adapters do."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def predict(self, x: Tensor) -> Tensor:
        return torch.as_tensor(np.asarray(self.estimator.predict_proba(x.numpy())))


def of_sklearn(module: str, name: str, **options: object) -> Callable[[], Any]:
    return lambda: getattr(importlib.import_module(f"sklearn.{module}"), name)(**options)


def pipeline() -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), of_sklearn("svm", "SVC", probability=True, random_state=0)())


fitted("a linear model", "sklearn", of_sklearn("linear_model", "LogisticRegression"))
fitted("a forest", "sklearn", of_sklearn("ensemble", "RandomForestClassifier", n_estimators=3, random_state=0))
fitted("boosted trees", "sklearn", of_sklearn("ensemble", "HistGradientBoostingClassifier", max_iter=3))
fitted("neighbours", "sklearn", of_sklearn("neighbors", "KNeighborsClassifier"))
fitted("a pipeline", "sklearn", pipeline)
fitted("a classifier of xgboost", "xgboost", lambda: importlib.import_module("xgboost").XGBClassifier(n_estimators=3))


def light() -> Any:
    lightgbm = importlib.import_module("lightgbm")
    return lightgbm.LGBMClassifier(n_estimators=2, min_child_samples=2, verbose=-1, n_jobs=1)


fitted("a classifier of LightGBM", "lightgbm", light)


@change("a booster of xgboost, by update")
def _() -> Made:
    xgboost = pytest.importorskip("xgboost")
    inputs = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    data = xgboost.DMatrix(inputs, inputs[:, 0])
    booster = xgboost.train({"max_depth": 2}, data, 2)
    return lambda x: torch.as_tensor(booster.inplace_predict(x.numpy())), lambda: booster.update(data, 3)


@change("a booster of LightGBM, by update")
def _() -> Made:
    lightgbm = pytest.importorskip("lightgbm")
    inputs = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    data = lightgbm.Dataset(inputs, inputs[:, 0])
    booster = lightgbm.train(
        {"verbose": -1, "min_data_in_leaf": 2, "num_threads": 1}, data, 2, keep_training_booster=True
    )
    return lambda x: torch.as_tensor(booster.predict(x.numpy())), lambda: booster.update() and None


@change("a scaler beside a net")
def _() -> Made:
    scaler = pytest.importorskip("sklearn.preprocessing").StandardScaler().fit(np.arange(6.0).reshape(2, 3))
    net = nn.Linear(3, 1)
    return lambda x: net(torch.as_tensor(scaler.transform(x.numpy())).float()), lambda: scaler.fit(np.eye(3)) and None


# --- what cannot be read: the model is opaque, and canaries see it


@change("a generator")
def _() -> Made:
    stream = factors()
    next(stream)
    return lambda x: row(x) * stream.send(None), lambda: stream.send(2.0) and None


def factors() -> Iterator[float]:
    k = 1.0
    while True:
        told = yield k
        k = told or k


@change("a file that forward opens")
def _() -> Made:
    path = Path(tempfile.mkdtemp()) / "factor"
    path.write_text("1.0")

    def model(x: Tensor) -> Tensor:
        with open(path) as file:
            return row(x) * float(file.read())

    return model, lambda: path.write_text("2.0") and None


@change("a file that a path reads")
def _() -> Made:
    path = Path(tempfile.mkdtemp()) / "factor"
    path.write_text("1.0")
    return Net(lambda m, x: row(x) * float(m.path.read_text()), path=path), lambda: path.write_text("2.0") and None


@change("an array that lies in a file")
def _() -> Made:
    table = np.memmap(Path(tempfile.mkdtemp()) / "table", dtype="f8", mode="w+", shape=(3,))
    table[:] = 1.0
    return Net(lambda m, x: row(x) * float(m.table[0]), table=table), lambda: table.__setitem__(0, 2.0)


@change("the environment")
def _() -> Made:
    def put() -> Callable[[], object]:
        os.environ["FACTOR_OF_A_TEST"] = "2"
        return lambda: os.environ.pop("FACTOR_OF_A_TEST")

    return lambda x: row(x) * float(os.environ.get("FACTOR_OF_A_TEST", 1)), put


@change("the environment, by getenv")
def _() -> Made:
    def put() -> Callable[[], object]:
        os.environ["FACTOR_OF_A_TEST"] = "2"
        return lambda: os.environ.pop("FACTOR_OF_A_TEST")

    return Net(lambda m, x: row(x) * float(os.getenv("FACTOR_OF_A_TEST", "1"))), put


@change("the clock")
def _() -> Made:
    zero = time.monotonic()
    clock = {"ahead": 0.0}
    return lambda x: row(x) * ((time.monotonic() - zero) // 3600 + clock["ahead"] + 1), lambda: clock.update(ahead=1.0)


@change("a global that is found by its name")
def _() -> Made:
    return lambda x: row(x) * globals()["SCA" + "LE"], globals_of_here("SCALE", lambda _: 2.0)


@change("code that is evaluated")
def _() -> Made:
    return lambda x: row(x) * eval("SCA" + "LE"), globals_of_here("SCALE", lambda _: 2.0)


@change("a module that is imported by its name")
def _() -> Made:
    def put() -> Callable[[], object]:
        configured.k = 2.0  # type: ignore[attr-defined]
        return lambda: setattr(configured, "k", 1.0)

    return lambda x: row(x) * importlib.import_module("configured_" + "for_tests").k, put


@change("a file that is open")
def _() -> Made:
    path = Path(tempfile.mkdtemp()) / "factor"
    path.write_text("1.0")
    file = path.open()

    def read() -> float:
        file.seek(0)
        return float(file.read())

    return lambda x: row(x) * read(), lambda: path.write_text("2.0") and None


@change("an address of C")
def _() -> Made:
    number = (ctypes.c_double * 1)(1.0)
    pointer = ctypes.cast(number, ctypes.POINTER(ctypes.c_double))
    return lambda x: row(x) * pointer[0], lambda: number.__setitem__(0, 2.0)


# --- what is apart from computation, unless code reads it


@change("an event that forward asks")
def _() -> Made:
    event = threading.Event()
    return Net(lambda m, x: row(x) * (2.0 if event.is_set() else 1.0)), lambda: event.set()


@change("the rate of an optimizer, which forward reads")
def _() -> Made:
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    model = Net(lambda m, x: row(x) * m.optimizer.param_groups[0]["lr"], optimizer=optimizer)
    return model, lambda: optimizer.param_groups[0].update(lr=2.0)


@change("the level of a logger, which forward reads")
def _() -> Made:
    logger = logging.Logger("of a test", level=10)
    return lambda x: row(x) * logger.level, lambda: logger.setLevel(20)


@change("what waits in a queue, which forward reads")
def _() -> Made:
    waiting: queue.Queue[float] = queue.Queue()
    waiting.put(1.0)
    return lambda x: row(x) * waiting.queue[0], lambda: waiting.put(waiting.get() + 1)


# --- what libraries and compiled objects hold


@change("the state of a generator that forward copies")
def _() -> Made:
    generator = torch.Generator().manual_seed(1)

    def run(m: Any, x: Tensor) -> Tensor:
        return row(x) * torch.rand((), generator=m.generator.clone_state())

    return Net(run, generator=generator), lambda: generator.manual_seed(2) is None


@change("a function that remembers, and is told to forget")
def _() -> Made:
    factor = [1.0]
    remembered = functools.lru_cache(lambda: factor[0])
    remembered()
    factor[0] = 2.0  # not noticed until the cache is cleared
    return lambda x: row(x) * remembered(), remembered.cache_clear


@change("a global of a class that exec made")
def _() -> Made:
    space: dict[str, Any] = {"k": 1.0, "row": row, "nn": nn}
    exec("class Made(nn.Module):\n    def forward(self, x): return row(x) * k", space)
    return space["Made"](), lambda: space.update(k=2.0)


@change("whether torch is deterministic")
def _() -> Made:
    def put() -> Callable[[], object]:
        torch.use_deterministic_algorithms(True)
        return lambda: torch.use_deterministic_algorithms(False)

    return lambda x: row(x) * (2.0 if torch.are_deterministic_algorithms_enabled() else 1.0), put


@change("a switch of torch's backends")
def _() -> Made:
    def put() -> Callable[[], object]:
        torch.backends.cudnn.benchmark = True
        return lambda: setattr(torch.backends.cudnn, "benchmark", False)

    return lambda x: row(x) * (2.0 if torch.backends.cudnn.benchmark else 1.0), put


@change("the precision of decimals, which no code names")
def _() -> Made:
    third = decimal.Decimal(3)

    def put() -> Callable[[], object]:
        context = decimal.getcontext()
        before, context.prec = context.prec, 1
        return lambda: setattr(context, "prec", before)

    return lambda x: row(x) * float(1 / third), put


@change("an attribute of a member of an enum")
def _() -> Made:
    colour = enum.Enum("colour", "RED")
    red: Any = next(iter(colour))
    red.k = 1.0
    return Net(lambda m, x: row(x) * m.colour.k, colour=red), lambda: setattr(red, "k", 2.0)


@change("a class that is registered as a subclass of an abstract one")
def _() -> Made:
    class Abstract(abc.ABC):  # noqa: B024 - classes are registered with it
        pass

    class Concrete:
        pass

    run = Net(lambda m, x: row(x) * (2.0 if isinstance(m.part, Abstract) else 1.0), part=Concrete())
    return run, lambda: Abstract.register(Concrete) is None


@change("a function of a library's module that a closure holds")
def _() -> Made:
    functional = F

    def put() -> Callable[[], object]:
        before, functional.softplus = functional.softplus, lambda x: 2 * x
        return lambda: setattr(functional, "softplus", before)

    return lambda x: functional.softplus(row(x)), put


@change("a tokenizer that is written in Rust")
def _() -> Made:
    tokenizers = pytest.importorskip("tokenizers")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 1, "[UNK]": 0}, unk_token="[UNK]"))
    return lambda x: row(x) * (words.encode("b").ids[0] + 1), lambda: words.add_tokens(["b"]) is None


@change("which attributes a pattern matches")
def _() -> Made:
    class Pair:
        __match_args__ = ("a",)
        a, b = 1.0, 2.0

    def run(x: Tensor) -> Tensor:
        match Pair():
            case Pair(k):
                return row(x) * k
        raise AssertionError

    return run, lambda: setattr(Pair, "__match_args__", ("b",))


@change("the folder that a process works in")
def _() -> Made:
    def put() -> Callable[[], object]:
        before = os.getcwd()
        os.chdir(tempfile.mkdtemp(suffix="with a long name"))
        return lambda: os.chdir(before)

    return lambda x: row(x) * len(os.getcwd()), put
