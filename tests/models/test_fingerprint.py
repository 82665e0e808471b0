"""A fingerprint changes with whatever a model computes with, and with nothing that its own passes write."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ialgebra.models.checksums import TensorMemory, checksum
from ialgebra.models.network import Network
from tests.models.zoo import seeded


class Knobs(nn.Module):
    """A linear model, and everything else that people keep in a module."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.scale, self.flag, self.mode, self.limit = 1.0, False, "mean", None
        self.shifts, self.sizes, self.options = [0.0, [1, 2]], (3, 4), {"power": 1, "deep": {"t": 1.0}}
        self.offset, self.table = torch.zeros(2), np.zeros(2)
        self.act = F.relu
        self.limits = ((0, 1), (2, 3))
        self.config = SimpleNamespace(t=1.0, part=SimpleNamespace(t=1.0))
        self.again = self.sizes

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.linear(x)) * self.scale + self.offset


def linear() -> nn.Module:
    return seeded(lambda: nn.Linear(3, 2))


EDITS: dict[str, Callable[[Knobs], object]] = {
    "number": lambda m: setattr(m, "scale", 2.0),
    "boolean": lambda m: setattr(m, "flag", True),
    "string": lambda m: setattr(m, "mode", "max"),
    "none": lambda m: setattr(m, "limit", 3),
    "list": lambda m: m.shifts.append(1.0),
    "nested list": lambda m: m.shifts[1].reverse(),
    "tuple": lambda m: setattr(m, "sizes", (3, 5)),
    "from one known value to another": lambda m: setattr(m, "again", m.limits[1]),
    "dict": lambda m: m.options.update(power=2),
    "nested dict": lambda m: m.options["deep"].update(t=0.5),
    "tensor": lambda m: m.offset.data.add_(1.0),
    "array": lambda m: m.table.__setitem__(1, 1.0),
    "object": lambda m: setattr(m.config, "t", 2.0),
    "object in an object": lambda m: setattr(m.config.part, "t", 2.0),
    "function": lambda m: setattr(m, "act", F.gelu),
    "new attribute": lambda m: setattr(m, "extra", 1),
    "of a part": lambda m: setattr(m.linear, "gain", 2.0),
    "part": lambda m: setattr(m, "linear", nn.Identity()),
    "hook": lambda m: m.linear.register_forward_hook(lambda _module, _arguments, y: 2 * y),
    "hook before": lambda m: m.linear.register_forward_pre_hook(lambda _module, arguments: (arguments[0] + 1,)),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edit_of_a_module_is_noticed(edit: Callable[[Knobs], object]) -> None:
    model = seeded(Knobs)
    network = Network("f", model)
    network.forward(torch.ones(2, 3), [None])
    before = network.fingerprint()
    assert network.fingerprint() == before
    edit(model)  # type: ignore[arg-type]
    assert network.fingerprint() != before


def test_an_edit_that_no_fingerprint_saw_before_the_next_pass_is_noticed() -> None:
    model = seeded(Knobs)
    network = Network("f", model)
    before = network.fingerprint()
    model.scale = 2.0
    network.forward(torch.ones(2, 3), [None])
    assert network.fingerprint() != before


def test_the_mode_and_passes_are_no_edits() -> None:
    model = seeded(Knobs)
    network = Network("f", model)
    before = network.fingerprint()
    network.forward(torch.ones(2, 3), [None])
    model.train()
    assert network.fingerprint() == before


def test_what_passes_write_is_no_edit() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.calls, self.seen = nn.Linear(3, 2), 0, []

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            self.seen.append(len(x))
            self.last = self.linear(x)
            return self.last

    model = Counting()
    network = Network("f", model)
    before = network.fingerprint()
    for rows in (2, 3):
        network.forward(torch.ones(rows, 3), [None])
        assert network.fingerprint() == before
    assert model.calls == 3
    model.calls = 7
    assert network.fingerprint() != before


def test_another_autocast_mode_is_another_answer() -> None:
    network = Network("f", seeded(Knobs))
    plain = network.fingerprint()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network.fingerprint() != plain
    assert network.fingerprint() == plain


# Callables ------------------------------------------------------------------------------------


SHARED = nn.Linear(3, 2)
FACTOR = [1.0]


def with_global(batch: Tensor) -> Tensor:
    return torch.cat([SHARED(row[None]) for row in batch]) * FACTOR[0]


def through_another(batch: Tensor) -> Tensor:
    return with_global(batch) + 1


class Wrapper:
    """Not a module, but holding one."""

    def __init__(self, net: nn.Module) -> None:
        self._net = net

    def __call__(self, batch: Tensor) -> Tensor:
        return self._net(batch)

    def predict(self, batch: Tensor) -> Tensor:
        return self._net(batch)


def defaulted(net: nn.Module) -> Callable[[Tensor], Tensor]:
    def model(batch: Tensor, part: nn.Module = net) -> Tensor:
        return part(batch)

    return model


def keyworded(net: nn.Module) -> Callable[[Tensor], Tensor]:
    def model(batch: Tensor, *, part: nn.Module = net) -> Tensor:
        return part(batch)

    return model


def decorated(net: nn.Module) -> Callable[[Tensor], Tensor]:
    @torch.no_grad()
    def model(batch: Tensor) -> Tensor:
        return net(batch)

    return model


def enclosing_object(net: nn.Module) -> Callable[[Tensor], Tensor]:
    holder = SimpleNamespace(parts={"net": net})
    return lambda batch: holder.parts["net"](batch)


def met_too_deep_before(net: nn.Module) -> Callable[[Tensor], Tensor]:
    holder = Wrapper(net)

    def deepest(batch: Tensor) -> Tensor:
        return holder.predict(batch)

    def deep(batch: Tensor) -> Tensor:
        return deepest(batch)

    return lambda batch: deep(batch) + holder.predict(batch)


CALLABLES: dict[str, Callable[[nn.Module], Callable[[Tensor], object]]] = {
    "closure": lambda net: lambda batch: net(batch),
    "method of the module": lambda net: net.forward,
    "method of an object": lambda net: Wrapper(net).predict,
    "object": Wrapper,
    "partial": lambda net: functools.partial(F.linear, weight=net.weight),
    "partial of a closure": lambda net: functools.partial(lambda factor, batch: factor * net(batch), 2.0),
    "default": defaulted,
    "keyword default": keyworded,
    "decorated": decorated,
    "object in a closure": enclosing_object,
    "object met too deep before": met_too_deep_before,
    "global": lambda net: with_global,
    "function in a global": lambda net: through_another,
}


@pytest.mark.parametrize("build", CALLABLES.values(), ids=CALLABLES)
def test_a_callables_modules_are_noticed(build: Callable[[nn.Module], Callable[[Tensor], object]]) -> None:
    net = linear()
    network = Network("f", build(net))
    before = network.fingerprint()
    network.forward(torch.ones(2, 3), [None])
    assert network.fingerprint() == before
    (SHARED if build(net) in (with_global, through_another) else net).weight.data[0, 0] += 1.0
    assert network.fingerprint() != before


def test_a_callables_numbers_are_noticed() -> None:
    scale = 1.0

    def model(batch: Tensor) -> Tensor:
        return batch * scale

    enclosed, shared = Network("f", model), Network("g", with_global)
    seen = {enclosed.fingerprint(), shared.fingerprint()}
    scale = 2.0
    FACTOR[0] += 1.0
    assert not seen & {enclosed.fingerprint(), shared.fingerprint()}


def test_what_refers_to_itself_ends() -> None:
    class Knot(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 2)
            self.links: list[object] = [self]
            self.links.append(self.links)
            self.act: Callable[[Tensor], Tensor] = lambda x: self.linear(x)

        def forward(self, x: Tensor) -> Tensor:
            return self.act(x)

    model = Knot()
    wrapped = Wrapper(model)
    wrapped.me = wrapped  # type: ignore[attr-defined]
    for network in (Network("f", model), Network("g", wrapped)):
        before = network.fingerprint()
        assert network.fingerprint() == before
        model.linear.weight.data.neg_()
        assert network.fingerprint() != before


def test_an_object_that_answers_every_name_is_called_itself() -> None:
    class Proxy:
        __slots__ = ()

        def __getattr__(self, name: str) -> object:
            raise RuntimeError(name)

        def __call__(self, batch: Tensor) -> Tensor:
            return 2 * batch

    assert torch.equal(Network("f", Proxy()).forward(torch.ones(2, 3), [None])[None], 2 * torch.ones(2, 3))


def test_what_cannot_be_read_is_passed_over() -> None:
    """A cell without a value, a generator, sparse and meta tensors, an array of objects."""

    def build() -> Callable[[Tensor], Tensor]:
        def model(batch: Tensor) -> Tensor:
            return batch if held else unset

        held: list[object] = [
            iter(()), torch.eye(2).to_sparse(), torch.empty(2, device="meta"), np.array([object()]),
            {1, "two"}, frozenset({3}), torch.ones(2, dtype=torch.complex64).conj(), range(3), torch, Iterator,
        ]  # fmt: skip
        if not held:
            unset = torch.ones(1)
        return model

    network = Network("f", build())
    before = network.fingerprint()
    network.forward(torch.ones(2, 3), [None])
    assert network.fingerprint() == before


MOVED: dict[str, Callable[[nn.Parameter], object]] = {
    "in place": lambda p: p.data.mul_(2),
    "through NumPy": lambda p: p.detach().numpy().__imul__(2),
    "other memory": lambda p: setattr(p, "data", p.data * 2),
    "the same memory, transposed": lambda p: setattr(p, "data", p.data.t()),
    "the same memory, of another type": lambda p: setattr(p, "data", p.data.view(torch.int32)),
    "the same memory, of another shape": lambda p: setattr(p, "data", p.data.view(2, 8)),
    "the same memory, negated": lambda p: setattr(p, "data", torch._neg_view(p.data)),
    "a part of the same memory": lambda p: setattr(p, "data", p.data[:2]),
    "another type": lambda p: setattr(p, "data", p.data.double()),
    "set": lambda p: p.set_(torch.full((4, 4), 3.0)),
    "half, which is no array of NumPy's": lambda p: setattr(p, "data", p.data.bfloat16()),
}
"""What may happen to a tensor between two looks at where its numbers lie."""


@pytest.mark.parametrize("name", MOVED)
def test_a_tensor_is_read_again_wherever_its_numbers_have_gone(name: str) -> None:
    parameter = nn.Parameter(torch.arange(16.0).reshape(4, 4), requires_grad=False)
    memory = TensorMemory("w", parameter)
    before = memory.read()
    assert before == memory.read() == ("w", (4, 4), "torch.float32", checksum(parameter))
    MOVED[name](parameter)
    after = memory.read()
    assert after == memory.read() == ("w", tuple(parameter.shape), str(parameter.dtype), checksum(parameter))
    assert after != before
