"""Models that torch.compile or torch.jit made: compiled answers, the layers of the original, or no layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from ialgebra.errors import BindError, ModelError
from ialgebra.models.fitting import fit_heads
from ialgebra.models.network import Network
from tests.models.zoo import ResNet, images, plain, seeded


@pytest.fixture
def graphs() -> Iterator[list[int]]:
    """Counts the graphs that are compiled, and leaves no compiled code behind."""
    compiled: list[int] = []
    yield compiled
    torch.compiler.reset()


def backend(graphs: list[int]) -> Callable[..., Callable[..., object]]:
    def compile_(graph: torch.fx.GraphModule, _example: list[Tensor]) -> Callable[..., object]:
        graphs.append(len(graph.graph.nodes))
        return graph.forward

    return compile_


class Staged(nn.Sequential):
    """`Module.compile` leaves a plain Sequential alone, whose `forward` is torch's own."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


def staged() -> Staged:
    return Staged(*plain())


def in_place(model: nn.Module, backend: Callable[..., object]) -> nn.Module:
    model.compile(backend=backend)
    return model


def in_part(model: nn.Module, backend: Callable[..., object]) -> nn.Module:
    model[2] = torch.compile(model[2], backend=backend)  # type: ignore[operator, index]
    return model


def wholly(model: nn.Module, backend: Callable[..., object]) -> nn.Module:
    return torch.compile(model, backend=backend)  # type: ignore[return-value, call-overload]


@pytest.mark.parametrize("build", [wholly, in_place, in_part])
def test_a_compiled_model_has_the_layers_and_the_answers_of_the_original(
    build: Callable[..., nn.Module], graphs: list[int]
) -> None:
    original, compiled = Network("f", seeded(staged)), Network("f", build(seeded(staged), backend(graphs)))
    batch = images(12)
    for network in (original, compiled):
        fit_heads(network, batch)
    assert graphs == [], "what is tapped runs eagerly"
    assert [layer.name for layer in compiled.layers] == [layer.name for layer in original.layers]
    wanted = [None, *(layer.index for layer in original.layers)]
    expected, values = original.forward(batch, wanted), compiled.forward(batch, wanted)
    assert all(torch.equal(values[layer], expected[layer]) for layer in wanted)
    assert torch.equal(compiled.forward(batch, [None])[None], expected[None])
    assert graphs != [], "what is not tapped runs compiled"


def test_layers_of_a_compiled_model_go_by_the_originals_names(graphs: list[int]) -> None:
    model = seeded(ResNet)
    network = Network("f", wholly(model, backend(graphs)), layers=["conv1", model.layer2, "fc"])  # type: ignore[list-item]
    network.probe(images(1)[0])
    assert [layer.name for layer in network.layers] == ["conv1", "layer2", "fc"]


def test_a_compiled_model_is_left_as_it_was_found(graphs: list[int]) -> None:
    model = seeded(plain).train()
    network = Network("f", wholly(model, backend(graphs)))
    fit_heads(network, images(4), layers=[1])
    network.forward(images(2), [None])
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch.compiler.is_compiling() is False


def test_a_compiled_models_weights_and_settings_are_noticed(graphs: list[int]) -> None:
    model = seeded(plain)
    network = Network("f", wholly(model, backend(graphs)))
    before = network.fingerprint()
    network.forward(images(2), [None])
    assert network.fingerprint() == before
    assert Network("g", model).fingerprint() == before
    model[0].weight.data.neg_()
    changed = network.fingerprint()
    assert changed != before
    model[0].gain = 2.0
    assert network.fingerprint() != changed


def test_a_compiled_function_is_a_callable(graphs: list[int]) -> None:
    model, batch = seeded(plain), images(3)
    network = Network("f", torch.compile(lambda x: model(x), backend=backend(graphs)))
    assert torch.equal(network.forward(batch, [None])[None], model(batch))
    before = network.fingerprint()
    model[0].weight.data.neg_()
    assert network.fingerprint() != before


# torch.jit ------------------------------------------------------------------------------------


def scripted(model: nn.Module) -> torch.jit.ScriptModule:
    return torch.jit.script(model)


def frozen(model: nn.Module) -> torch.jit.ScriptModule:
    return torch.jit.freeze(torch.jit.script(model))


def traced(model: nn.Module) -> torch.jit.ScriptModule:
    return torch.jit.trace(model, images(2))


SCRIPTS = [scripted, frozen, traced]
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


@pytest.mark.parametrize("make", SCRIPTS)
@pytest.mark.parametrize("moves", [False, True])
def test_a_script_has_answers_but_no_layers(
    make: Callable[[nn.Module], nn.Module], moves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, batch = seeded(ResNet), images(3)
    network = Network("f", make(model), device="cpu" if moves else None)
    assert torch.allclose(network.forward(batch, [None])[None], model(batch), atol=1e-6)
    assert (network.layers, network.class_count) == ((), 5)
    with pytest.raises(BindError, match=r"model 'f' has no layers: torch\.jit compiled it.*register the torch"):
        network.layer_index(1)
    with pytest.raises(BindError, match=r"torch\.jit compiled it"):
        fit_heads(network, images(4))


@pytest.mark.parametrize("make", [scripted, traced])
def test_a_script_stays_in_train_mode_and_its_weights_are_noticed(make: Callable[[nn.Module], nn.Module]) -> None:
    script, batch = make(seeded(ResNet)), images(3)
    network = Network("f", script)
    script.train()
    statistics = {name: buffer.clone() for name, buffer in script.named_buffers()}
    before = network.fingerprint()
    value = network.forward(batch, [None])[None]
    assert torch.equal(network.forward(batch, [None])[None], value)
    assert script.training
    assert all(torch.equal(buffer, statistics[name]) for name, buffer in script.named_buffers())
    assert network.fingerprint() == before
    next(iter(script.parameters())).data.neg_()
    assert network.fingerprint() != before
    assert not torch.equal(network.forward(batch, [None])[None], value)


def test_a_script_inside_a_module_is_passed_over() -> None:
    model = seeded(plain)
    model[2] = torch.jit.script(model[2])
    network, batch = Network("f", model), images(3)
    network.probe(batch[0])
    assert [layer.name for layer in network.layers] == ["0", "1", "3", "4", "5", "6"]
    with pytest.raises(BindError, match=r"layer '2' cannot be read, since torch\.jit compiled it"):
        Network("f", model, layers=["0", "2"])


def test_a_fault_inside_a_script_is_a_model_error() -> None:
    network = Network("f", scripted(nn.Linear(3, 2)))
    with pytest.raises(ModelError, match="model 'f' raised RuntimeError"):
        network.probe(torch.rand(4))
