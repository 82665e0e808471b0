"""The graph of a network runs the network's own operations, and nothing of tracing reaches the network."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ialgebra.kernels.forward import tapped
from ialgebra.models.graph import Graph, Ref, traced
from ialgebra.models.graph.form import filled
from tests.models.zoo import ResNet, images, plain, seeded


class WritesInPlace(nn.Module):
    """Adds in place to a tensor that another name holds, and uses it under both names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.shift = nn.Parameter(torch.tensor(0.3))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        held = y
        y += self.shift
        self.relu(y)
        F.hardtanh(held, -0.2, 0.5, True)
        held *= 2.0
        return (y + held).mean((2, 3))


class Sizes(nn.Module):
    """Counts with the sizes of its tensors, and returns a mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        rows, channels = x.size(0), x.shape[1]
        half = x.shape[2] // 2
        twice = half
        twice += half
        cut = x[:, :, :twice:half, ::8]
        return {"logits": self.linear(cut.reshape(rows, channels * 4)), "rest": cut}


class KeepsState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls, self.seen = 0, [0]
        self.register_buffer("count", torch.zeros(()))
        self.conv = nn.Conv2d(3, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.seen.append(self.calls)
        self.count += 1
        return self.conv(x)


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if bool(x.mean() > 0) else x


class Hooked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Tanh())
        self.inner.register_forward_hook(lambda module, given, made: made + 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class OwnCall(nn.Linear):
    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(x) + 1


def replaced() -> nn.Module:
    module = nn.ReLU()
    module.forward = lambda x: x * 3  # type: ignore[method-assign]
    return module


class Around(nn.Module):
    """A network with a part that cannot be followed between parts that can."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.part = part
        self.last = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.part(self.first(x)))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "plain": plain,
    "resnet": ResNet,
    "in place": WritesInPlace,
    "state": lambda: Around(KeepsState()),
    "branches": lambda: Around(Branches()),
    "hooks": lambda: Around(Hooked()),
    "replaced forward": lambda: Around(replaced()),
    "own call": lambda: Around(OwnCall(16, 16)),
}


def graph_of(model: nn.Module) -> Graph:
    with torch.no_grad():
        found = traced(model)
    assert isinstance(found, Graph), found
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_the_steps_give_what_the_network_gives_to_the_last_bit(name: str) -> None:
    model = seeded(NETWORKS[name])
    graph = graph_of(model)
    with torch.no_grad():
        for rows in (1, 3):
            assert torch.equal(graph(images(rows)), model(images(rows)))  # type: ignore[arg-type]


def test_sizes_are_asked_for_anew_in_every_batch() -> None:
    model = seeded(Sizes)
    graph = graph_of(model)
    with torch.no_grad():
        for rows in (2, 5):
            found, expected = graph(images(rows)), model(images(rows))
            assert isinstance(found, dict)
            assert found.keys() == expected.keys()
            assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_steps_can_be_run_from_any_place_with_the_values_that_are_live() -> None:
    model = seeded(ResNet)
    graph = graph_of(model)
    with torch.no_grad():
        expected = model(images(2))
        for cut in range(len(graph.steps) - 1):
            values = graph.run({0: images(2)}, 1, cut + 1)
            assert tuple(sorted(values)) == graph.live(cut)
            found = filled(graph.output, graph.run(values, cut + 1, len(graph.steps)))
            assert torch.equal(found, expected)


@pytest.mark.parametrize("name", ["plain", "resnet", "in place"])
def test_calls_tell_the_output_of_every_module_as_it_was_when_the_call_ended(name: str) -> None:
    model = seeded(NETWORKS[name])
    graph, taps = graph_of(model), list(graph_of(model).calls)
    wanted = {graph.calls[tap].step for tap in taps if isinstance(graph.calls[tap], Ref)}
    seen: dict[int, Tensor] = {}

    def note(step: object, value: object) -> None:
        if step.number in wanted:  # type: ignore[attr-defined]
            seen[step.number] = value.clone()  # type: ignore[attr-defined]

    with torch.no_grad():
        graph.run({0: images(2)}, 1, len(graph.steps), after=note)
        expected, _ = tapped(model, images(2), taps, True)
    assert len(taps) > 2
    for tap, value in zip(taps, expected, strict=True):
        assert torch.equal(seen[graph.calls[tap].step], value), tap


def test_weights_are_read_when_a_step_runs() -> None:
    model = seeded(WritesInPlace)
    graph = graph_of(model)
    with torch.no_grad():
        model.shift.data = torch.tensor(-1.0)  # type: ignore[union-attr]
        model.conv.weight.mul_(2)  # type: ignore[operator, union-attr]
        assert torch.equal(graph(images(2)), model(images(2)))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["state", "hooks", "resnet"])
def test_tracing_leaves_the_network_as_it_was(name: str) -> None:
    model = seeded(NETWORKS[name])
    before = copy.deepcopy(model)
    held = [dict(module.__dict__) for module in model.modules()]
    graph_of(model)
    assert [dict(module.__dict__) for module in model.modules()] == held
    assert [type(module) for module in model.modules()] == [type(module) for module in before.modules()]
    for one, other in zip(model.state_dict().values(), before.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    if name == "state":
        assert (model.part.calls, model.part.seen) == (0, [0])  # type: ignore[union-attr]


def test_classes_that_are_listed_by_a_class_above_them_are_not_listed_again() -> None:
    listed: list[str] = []

    class Listing(nn.Module):
        def __init_subclass__(cls) -> None:
            listed.append(cls.__name__)

    class Listed(Listing):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2

    assert listed == ["Listed"]
    assert torch.equal(graph_of(Listed())(torch.ones(2)), torch.full((2,), 2.0))  # type: ignore[arg-type]
    assert listed == ["Listed"]


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (KeepsState(), "KeepsState: it keeps state between calls"),
        (Branches(), "Branches: TraceError"),
        (Hooked().inner, "Sequential: it has hooks"),
        (OwnCall(2, 2), "OwnCall: it has a `__call__` of its own"),
    ],
)
def test_a_network_whose_own_code_cannot_be_followed_has_no_graph(model: nn.Module, why: str) -> None:
    found = traced(model)
    assert isinstance(found, str)
    assert found.startswith(why)


def test_hooks_on_all_modules_forbid_a_graph() -> None:
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert traced(nn.ReLU()) == "hooks are set on all modules"
    finally:
        handle.remove()


def test_a_scripted_part_has_no_copy() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        part = torch.jit.trace(nn.ReLU(), torch.ones(2))
    found = traced(Around(part))
    assert isinstance(found, str)
    assert "cannot be copied" in found


class Sized(nn.Module):
    """It makes tensors whose sizes are those of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.fc = nn.Parameter(torch.rand(1, 4)), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        rows, width = x.shape
        first = self.first.expand(rows, -1) + torch.arange(width) + torch.zeros(rows, 4)
        return self.fc(x + first)


def test_sizes_of_new_tensors_are_traced_or_refused_but_never_taken_for_tensors() -> None:
    found = traced(Sized().eval())  # a stand-in that said it is a tensor ended the process here
    assert isinstance(found, Graph | str)
