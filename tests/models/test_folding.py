"""Folded passes: the answers of the module, whatever the module is; the fold made again when the model changes."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ialgebra
from ialgebra import Strategy
from ialgebra.models import modes
from ialgebra.models.fitting import fit_heads
from ialgebra.models.folds import fused, passes
from ialgebra.models.folds.folding import fold
from ialgebra.models.folds.fused import FusedConvolution, FusedLinear, Weights
from ialgebra.models.folds.passes import Folded
from ialgebra.models.graph import Graph, Ref, traced
from ialgebra.models.graph.form import refs
from ialgebra.models.network import Network
from tests.models.zoo import Efficient, InvertedResidual, MobileNet, ResNet, Vgg, images, plain, seeded

TOLERANCE = 2.4e-6  # of the spread of the outputs


def off(found: Tensor, expected: Tensor) -> float:
    """The largest difference, as a share of the spread of the outputs."""
    return float((found - expected).abs().max() / (expected.max() - expected.min()))


class Function(nn.Module):
    """A network whose forward pass is a function of its parts."""

    def __init__(self, forward: Callable[[Any, Tensor], Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self._run = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self._run(self, x)


def conv(**options: Any) -> nn.Conv2d:
    return nn.Conv2d(3, 3, 3, padding=1, **options)


def on(forward: Callable[[Any, Tensor], Tensor], **parts: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        made = {name: part() for name, part in parts.items()}
        return Function(forward, **({"a": conv(), "b": conv(), "n": nn.BatchNorm2d(3)} | made))

    return build


def in_place(f: Any, x: Tensor) -> Tensor:
    """A convolution reads x before it is written in place, its norm is taken after."""
    x = x * 1
    h = f.a(x)
    x.relu_().sub_(1)
    return f.n(h) + f.b(x)


def read_after(f: Any, x: Tensor) -> Tensor:
    """What an activation writes in place is read by others, too."""
    h = f.a(x)
    y = F.relu(h, inplace=True)
    return f.b(y) + h


def written_first(f: Any, x: Tensor) -> Tensor:
    """The sum is written into the operand that is no convolution, and that operand is read again."""
    h = F.silu(x)
    y = f.n(f.a(x))
    h += y
    return f.b(h) + h.mul(2)


def written_between(f: Any, x: Tensor) -> Tensor:
    """The input of a convolution is written after it and before its sum."""
    x = x * 1
    y = f.a(x)
    x.mul_(3)
    y += f.b(x)
    return torch.relu_(y)


def padded_before(f: Any, x: Tensor) -> Tensor:
    """What is padded is written before its convolution runs."""
    x = x * 1
    h = F.pad(x, (1, 0, 0, 2))
    x.add_(1)
    return f.a(h)[:, :, 1:, 1:] + f.b(F.pad(x, (0, 0, 1, 1))).mean((2, 3), keepdim=True)


def a_dropped_result(f: Any, x: Tensor) -> Tensor:
    """The result of an operation in place is dropped, and its argument is read."""
    h = f.a(x)
    F.relu(h, True)
    h.clamp_(max=0.5)
    return f.b(h)


def a_view(f: Any, x: Tensor) -> Tensor:
    h = f.a(x)
    flat = h.view(x.size(0), -1)
    return f.b(h).flatten(1) + flat


def a_written_view(f: Any, x: Tensor) -> Tensor:
    h = f.a(x)
    h.permute(0, 2, 3, 1).relu_()
    return f.b(h)


def a_view_of_the_sum(f: Any, x: Tensor) -> Tensor:
    """A sum is written into what has another view."""
    h = F.silu(x)
    v = h.permute(0, 1, 3, 2)
    y = f.n(f.a(x))
    h += y
    return h + v


def doubled(f: Any, x: Tensor) -> Tensor:
    h = f.b(x)
    return f.a(h + h)


def replaced(f: Any, x: Tensor) -> Tensor:
    """A module of torch whose function was replaced, and one with a hook."""
    f.a.forward = lambda x: 2 * x
    if not f.b._forward_hooks:
        f.b.register_forward_hook(lambda _m, _a, out: 3 * out)
    return f.a(x) + f.b(x)


def numbers(f: Any, x: Tensor) -> Tensor:
    return f.a(x) + x.shape[-1] + (1 + f.b(x)) + f.a(x) * 2


def twice(f: Any, x: Tensor) -> Tensor:
    """One convolution, two norms; and a sum with itself."""
    h = f.b(x)
    return F.leaky_relu(f.n(f.a(x)), 0.2, True) + f.m(f.a(x)) + (h + h)


def scaled(f: Any, x: Tensor) -> Tensor:
    """A sum with a factor, sums that are broadcast, and a norm that follows a sum."""
    pooled = f.b(x).mean((2, 3), keepdim=True)
    return f.n(torch.add(f.a(x), x, alpha=3) + pooled + f.a(x)) + (f.b(x) + pooled)


def functional(f: Any, x: Tensor) -> Tensor:
    a, n = f.a, f.n
    h = F.conv2d(F.pad(x, (0, 1, 0, 1)), a.weight, bias=a.bias, stride=2)
    h = F.batch_norm(h, n.running_mean, n.running_var, n.weight, n.bias, False, 0.1, 1e-3)
    return F.hardtanh(F.conv2d(h, f.b.weight, None, 1, "same"), -0.1, 0.3)


def activations(f: Any, x: Tensor) -> Tensor:
    h = f.a(x)
    every = [F.gelu(f.b(h)), F.gelu(f.b(h), approximate="tanh"), f.a(h).sigmoid(), torch.tanh(f.a(x)), F.relu6(f.b(x))]
    return sum([*every, F.hardswish(f.b(x)), F.silu(f.a(h), True), f.b(h).relu(), F.hardtanh(f.a(h))], f.n(x))


TRICKY: dict[str, Callable[[], nn.Module]] = {
    each.__name__: on(each, m=lambda: nn.BatchNorm2d(3))
    for each in (
        *(
            in_place,
            read_after,
            written_first,
            written_between,
            padded_before,
            a_dropped_result,
            a_view,
            a_written_view,
        ),
        *(numbers, twice, scaled, functional, activations),
    )
}
NETS: dict[str, Callable[[], nn.Module]] = {
    **{each.__name__: each for each in (ResNet, Efficient, Vgg, MobileNet, plain)},
    "inverted residual": lambda: InvertedResidual(3, 3, 1),
    "pads": lambda: nn.Sequential(
        nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 4, 3, 2, bias=False), nn.BatchNorm2d(4), nn.ReLU6(),
        nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(4, 4, 5, groups=4), nn.ZeroPad2d(1), nn.Conv2d(4, 4, 3, dilation=2),
        nn.ZeroPad2d((2, 0, 0, 0)), nn.Conv2d(4, 4, 2, dilation=2), nn.ConstantPad2d(1, 0.5), nn.Conv2d(4, 2, 3),
        nn.ZeroPad2d((-1, 0, 0, 0)), nn.Conv2d(2, 5, 1), nn.ZeroPad2d(1), nn.ReLU(),
        nn.ZeroPad2d((0, 3, 0, 3)), nn.Conv2d(5, 4, 1),
    ),
    "padding modes": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding="same"),
        nn.ReLU(), nn.Conv2d(4, 4, 3, padding="valid"), nn.BatchNorm2d(4, affine=False), nn.Hardtanh(-0.2, 0.3),
        nn.ConvTranspose2d(4, 3, 2, 2), nn.BatchNorm2d(3), nn.InstanceNorm2d(3),
    ),
    "linear": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(768, 20), nn.BatchNorm1d(20), nn.GELU(), nn.Linear(20, 10, bias=False), nn.Tanh()
    ),
    "norms of positions": lambda: nn.Sequential(nn.Flatten(2), nn.Linear(256, 3), nn.BatchNorm1d(3), nn.ReLU()),
    "volumes": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 3)), nn.Conv3d(1, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ReLU(), nn.Conv3d(4, 2, 3)
    ),
    "series": lambda: nn.Sequential(
        nn.Flatten(2), nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4), nn.SiLU(),
        nn.Conv1d(4, 2, 3),
    ),
}  # fmt: skip


def graph_of(module: nn.Module) -> Graph:
    graph = traced(module)
    assert isinstance(graph, Graph)
    return fold(graph)


@pytest.mark.parametrize("name", [*TRICKY, *NETS])
@pytest.mark.parametrize("onednn", [True, False])
def test_a_folded_network_answers_as_the_module(name: str, onednn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not onednn:
        monkeypatch.setattr(fused, "has_onednn", lambda: False)
    module = seeded((TRICKY | NETS)[name])
    with torch.no_grad():
        graph = graph_of(module)
        if name == "norms of positions":
            with pytest.raises(TypeError, match="linear map was given"):
                graph(images(5))
            return
        for rows in (5, 1, 33):
            batch = images(rows, seed=rows).sub(0.3)
            expected = module(batch.clone())
            last = batch.contiguous(memory_format=torch.channels_last)
            assert off(graph(batch.clone()), expected) <= TOLERANCE
            assert off(graph(last), expected) <= TOLERANCE


def left(graph: Graph, *kinds: type[nn.Module]) -> int:
    return sum(isinstance(part, kinds) for part in graph.modules)


def test_norms_pads_activations_and_sums_disappear() -> None:
    apart = (nn.BatchNorm2d, nn.BatchNorm1d, nn.ReLU, nn.ReLU6, nn.GELU, nn.ZeroPad2d, nn.Conv2d, nn.Linear)
    for build in (ResNet, Efficient, Vgg, MobileNet):
        assert left(graph_of(seeded(build)), *apart) == 0
    steps = graph_of(seeded(ResNet)).steps
    assert not [step.name for step in steps if "add" in step.name]
    assert sum(isinstance(step.target, FusedConvolution | FusedLinear) for step in steps) == 16
    pads = left(graph_of(seeded(NETS["pads"])), nn.ZeroPad2d)
    assert pads == 3, "cropped; followed by no convolution; a kernel far larger"


def test_a_view_is_copied_only_where_nothing_is_written_in_place() -> None:
    def targets(forward: Callable[[Any, Tensor], Tensor]) -> set[object]:
        return {step.target for step in graph_of(seeded(on(forward))).steps if isinstance(step.target, str)}

    assert targets(lambda f, x: f.a(x).view(x.shape[0], -1)) == {"reshape"}
    assert targets(lambda f, x: f.n(x).relu_().view(x.shape[0], -1)) == {"relu_", "view"}


def test_values_that_are_kept_are_values_of_the_fold() -> None:
    module, batch = seeded(Vgg), images(4)
    graph = traced(module)
    assert isinstance(graph, Graph)
    tap = next(tap for tap in graph.calls if tap.module is module.features[2])
    known: dict[tuple[int, ...], Weights] = {}
    assert tap not in fold(graph, (), known).calls
    kept = fold(graph, [*refs(graph.calls[tap])], known)
    with torch.no_grad():
        expected = module.features[:3](batch)
        (found,), _ = Folded(module, None).tapped(batch, [tap], False, [torch.clone])
    assert off(found, expected) <= TOLERANCE
    assert tap in kept.calls
    assert len(known) == 7, "and both share their weights"


# What cannot be folded, or must not -------------------------------------------------------------------------------


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = plain()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) if x.mean() > 0.2 else self.net(2 * x)


class Remembering(Branching):
    """It keeps what it computed, for whoever looks."""

    seen: object = None

    def forward(self, x: Tensor) -> Tensor:
        self.seen = self.net[0](x)
        return self.net(x)


class Listing(Branching):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        return self.net(x)


class Counting(Branching):
    """It counts in an object that is not a list, a dictionary or a set."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Counter[str]()

    def forward(self, x: Tensor) -> Tensor:
        self.seen["passes"] += 1
        return self.net(x)


class Noise(Branching):
    """Its noise is drawn once a pass, the same for equal seeds."""

    def forward(self, x: Tensor) -> Tensor:
        drawn = torch.rand(4, generator=torch.Generator().manual_seed(int(x.dim())))
        return self.net(x) + drawn


class Narrow(Branching):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.net(x).float()


class Strided(Branching):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) + torch.zeros_like(x[:, :1, 0, 0]) * 0 + x.stride()[1]


class Loose(Branching):
    """A list that is no ModuleList."""

    def __init__(self) -> None:
        super().__init__()
        self.more = [nn.Linear(4, 4)]

    def forward(self, x: Tensor) -> Tensor:
        return self.more[0](self.net(x))


@pytest.mark.parametrize("build", [Branching, Remembering, Listing, Counting, Noise, Narrow, Strided])
def test_a_network_that_cannot_be_folded_answers_as_ever(build: Callable[[], nn.Module]) -> None:
    network, batch = Network("f", seeded(build)), images(6)
    expected = network.forward(batch, [None])[None]
    for _ in range(2):
        assert torch.allclose(network.forward(batch, [None], "folded")[None], expected, atol=1e-6)
    assert "folded" in network.profile.unusable


@pytest.mark.parametrize(
    ("change", "dtype"),
    [
        (lambda module: module.register_forward_hook(lambda _m, _a, out: 2 * out), torch.float32),
        (lambda module: module[2].register_forward_pre_hook(lambda _m, a: (a[0] + 1,)), torch.float32),
        (lambda module: nn.utils.parametrizations.weight_norm(module[0]), torch.float32),
        (lambda module: setattr(module[2], "forward", lambda x: x[:, :1].expand(-1, 6, -1, -1) * 2), torch.float32),
        (lambda module: module.double(), torch.float64),
        (lambda module: module.bfloat16(), torch.bfloat16),
        (lambda module: module[0].double(), torch.float32),
        (lambda module: torch.jit.script(module), torch.float32),
    ],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_hooks_other_number_types_and_replaced_functions_are_met(
    change: Callable[[nn.Module], object], dtype: torch.dtype
) -> None:
    module = seeded(plain)
    made = change(module)
    network = Network("f", made if isinstance(made, torch.jit.ScriptModule) else module)
    batch = images(6).to(dtype)
    try:
        expected = network.forward(batch, [None])[None]
    except ialgebra.errors.ModelError:
        return  # layers of two number types
    assert torch.allclose(network.forward(batch, [None], "folded")[None], expected, atol=1e-6)


def test_a_model_in_training_mode_is_not_folded() -> None:
    module = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(768, 5), nn.BatchNorm1d(5))).train()
    network, batch = Network("f", module, train_mode=True), images(6)
    expected = network.forward(batch, [None])[None]
    assert torch.allclose(network.forward(batch, [None], "folded")[None], expected, atol=1e-6)
    assert "folded" not in network.profile.curves


def test_layers_and_heads_are_read_as_ever() -> None:
    network, batch = Network("f", seeded(ResNet)), images(12)
    fit_heads(network, batch, layers=[1, 3])
    for layers in ([1], [1, None], [3, 1, None]):
        expected = network.forward(batch, layers)
        found = network.forward(batch, layers, "folded")
        assert all(torch.allclose(found[layer], expected[layer], atol=1e-5) for layer in layers)
    assert set(network.profile.curves) == {"eager", "folded"}


def test_a_wrong_fold_is_found_and_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    network, batch = Network("f", seeded(ResNet)), images(6)
    expected = network.forward(batch, [None])[None]

    def wrong(*given: Any) -> Graph:
        graph = fold(*given)
        part = next(step.target for step in graph.steps if isinstance(step.target, FusedLinear))
        part.weights.bias = part.weights.bias + 1e-3
        return graph

    monkeypatch.setattr(passes, "fold", wrong)
    assert torch.equal(network.forward(batch, [None], "folded")[None], expected)
    assert "more than rounding" in network.profile.unusable["folded"]
    assert network.refused_modes.keys() == {"folded"}


# Sameness -----------------------------------------------------------------------------------------------------------


def _doubled(module: Any) -> None:
    module[0].weight.data.mul_(2)


def _moved(module: Any) -> None:
    module[1].running_mean.add_(1)


def _swapped(module: Any) -> None:
    module[2] = nn.Tanh()


def _stepped(module: Any) -> None:
    module[0].stride = (2, 2)


def _hooked(module: Any) -> None:
    module[2].register_forward_hook(lambda _m, _a, out: out - 1)


def _looked(module: Any) -> None:
    module[2].register_forward_hook(lambda _m, _a, out: None)


@pytest.mark.parametrize("change", [_doubled, _moved, _swapped, _stepped, _hooked, _looked])
def test_a_change_of_the_model_is_met_at_once(change: Callable[[nn.Module], None]) -> None:
    module = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 5)
        )
    )
    network, batch = Network("f", module), images(6)
    before = network.forward(batch, [None], "folded")[None]
    change(module)
    expected = network.forward(batch, [None])[None]
    assert torch.allclose(network.forward(batch, [None], "folded")[None], expected, atol=1e-6)
    assert change is _looked or not torch.allclose(expected, before, atol=1e-3)
    assert network.profile.unusable == {}


def test_weights_that_the_module_does_not_list_are_met_when_they_change() -> None:
    module = seeded(Loose)
    network, batch = Network("f", module), images(6)
    network.forward(batch, [None], "folded")
    module.more[0].weight.data.neg_()  # type: ignore[union-attr, index]
    expected = network.forward(batch, [None])[None]
    assert torch.allclose(network.forward(batch, [None], "folded")[None], expected, atol=1e-6)
    assert network.profile.known("folded")


def test_hooks_of_the_user_are_called() -> None:
    seen = []
    module = seeded(plain)
    network, batch = Network("f", module), images(6)
    network.forward(batch, [None], "folded")
    module[0].register_forward_hook(lambda _m, _a, out: seen.append(len(out)))
    network.forward(batch, [None], "folded")
    assert 6 in seen


def test_passes_that_write_to_the_weights_are_not_folded() -> None:
    class Drifting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = plain()

        def forward(self, x: Tensor) -> Tensor:
            if isinstance(x, Tensor):
                self.net[0].weight.data.mul_(1 + 1e-7)
            return self.net(x)

    network, batch = Network("f", seeded(Drifting)), images(6)
    network.forward(batch, [None], "folded")
    assert "write to it" in network.profile.unusable["folded"]


def test_a_model_that_changes_its_number_type_is_met_at_once() -> None:
    module = seeded(ResNet)
    network, batch = Network("f", module), images(6)
    network.forward(batch, [None], "folded")
    module.double()
    expected = network.forward(batch.double(), [None])[None]
    assert torch.allclose(network.forward(batch.double(), [None], "folded")[None], expected, atol=1e-12)


def test_a_fold_goes_with_its_model() -> None:
    network, batch = Network("f", seeded(ResNet)), images(6)
    network.forward(batch, [None], "folded")
    assert network._passes is not None
    made = network._passes._copies["folded"]
    gone = weakref.ref(made)
    del made, network
    gc.collect()
    assert gone() is None


def test_large_models_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modes, "_MOST_COPIED", 1000)
    network, batch = Network("f", seeded(ResNet)), images(6)
    expected = network.forward(batch, [None])[None]
    assert torch.allclose(network.forward(batch, [None], "folded")[None], expected, atol=1e-6)
    assert not network.profile.known("folded")


def test_queries_in_folded_passes_are_those_of_eager_ones() -> None:
    text = "select * from f(x, players => grid(3, 3)) budget 200"
    found = {}
    for mode in ("eager", "folded"):
        with ialgebra.connect(progress=False) as con:
            con.register_model("f", seeded(ResNet))
            con.register_input("x", images(1)[0], baseline=0)
            (answer,) = con.sql(text, strategy=replace(Strategy.BEST, mode=mode))  # type: ignore[arg-type]
            found[mode] = answer.values
            (again,) = con.sql(text)
            np.testing.assert_array_equal(again.values, answer.values)
    off = np.linalg.norm(found["folded"] - found["eager"]) / np.linalg.norm(found["eager"])
    assert 0 < off <= 1e-5


def test_explain_says_which_mode_gave_other_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*given: Any) -> Graph:
        graph = fold(*given)
        return replace(graph, output=Ref(graph.output.step - 1))

    monkeypatch.setattr(passes, "fold", wrong)
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(48, 4), nn.ReLU(), nn.Softmax(1))))
        con.register_input("x", images(1, 4)[0], baseline=0, players="grid(2, 2)")
        con.sql("select * from f(x)", strategy=replace(Strategy.BEST, mode="folded"))
        said = str(con.sql("explain select * from f(x)"))
    assert "model f is not run in mode folded: its answers differ from eager ones" in said


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_model_on_a_gpu_is_folded_in_plain_torch() -> None:
    network, batch = Network("f", seeded(ResNet), device="cuda"), images(6)
    expected = network.forward(batch, [None])[None]
    found = network.forward(batch, [None], "folded")[None]
    assert torch.allclose(found, expected, atol=1e-3)
    assert network.profile.unusable == {} or "rounding" in network.profile.unusable["folded"]
