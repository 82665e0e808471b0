"""One pass gives what literal truncation gives, stops where it may, and leaves the model as it was found."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ialgebra.errors import ModelError
from ialgebra.kernels.forward import Tap, as_found, tapped
from tests.models.zoo import Efficient, ResNet, images, plain, seeded


def test_taps_are_the_truncated_forward_passes() -> None:
    model, batch = seeded(plain), images(4)
    with torch.no_grad():
        truncated = [model[: index + 1](batch) for index in range(7)]
    values, raw = tapped(model, batch, [Tap(module) for module in model], output=True)
    assert torch.equal(raw, truncated[-1])  # type: ignore[arg-type]
    assert truncated[0].min() < 0  # and the ReLU that follows in place must not reach what was read
    for value, expected in zip(values, truncated, strict=True):
        assert torch.equal(value, expected)


def test_taps_come_in_the_order_asked_and_may_repeat() -> None:
    model, batch = seeded(plain), images(2)
    late, early, again = tapped(model, batch, [Tap(model[6]), Tap(model[2]), Tap(model[6])], output=False)[0]
    assert torch.equal(late, model(batch))
    assert torch.equal(again, late)
    assert early.shape == (2, 6, 12, 12)


def test_each_call_of_a_shared_module_has_its_own_output() -> None:
    model, batch = seeded(Efficient), images(2)
    (stem, top), _ = tapped(model, batch, [Tap(model._swish, 0), Tap(model._swish, 1)], output=False)
    assert torch.equal(stem, F.relu6(model._bn0(model._conv_stem(batch))))
    assert top.shape == (2, 20, 4, 4)


def test_the_pass_stops_after_the_deepest_tap() -> None:
    model, batch = seeded(ResNet), images(2)
    ran: list[str] = []
    for name, module in model.named_children():
        module.register_forward_pre_hook(lambda *_, name=name: ran.append(name))
    tapped(model, batch, [Tap(model.layer1), Tap(model.conv1)], output=False)
    assert ran == ["conv1", "bn1", "relu", "maxpool", "layer1"]
    ran.clear()
    tapped(model, batch, [Tap(model.layer1)], output=True)
    assert ran[-1] == "fc"


def test_readers_see_the_output_before_anything_overwrites_it() -> None:
    model, batch = seeded(plain), images(2)
    (least,), _ = tapped(model, batch, [Tap(model[0])], True, [lambda value: value.amin()])
    assert least == model[0](batch).amin() < 0


def test_a_model_that_catches_exceptions_cannot_catch_the_stop() -> None:
    class Careful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            try:
                x = self.first(x)
            except Exception:
                raise AssertionError("the stop was caught") from None
            return self.second(x)

    model = Careful()
    (value,), _ = tapped(model, torch.ones(2, 3), [Tap(model.first)], output=False)
    assert torch.equal(value, model.first(torch.ones(2, 3)))


def test_the_models_own_hooks_come_first_and_stay() -> None:
    model, batch = seeded(plain), images(2)
    handle = model[4].register_forward_hook(lambda _module, _arguments, result: result + 1)
    hooks = dict(model[4]._forward_hooks)
    (value,), _ = tapped(model, batch, [Tap(model[4])], output=False)
    assert dict(model[4]._forward_hooks) == hooks
    handle.remove()
    assert torch.allclose(value, model[:5](batch) + 1)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
def test_hooks_go_when_the_model_raises(error: type[BaseException]) -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            self.first(x)
            raise error

    model = Broken()
    with pytest.raises(error):
        tapped(model, torch.ones(2, 3), [Tap(model.first)], output=True)
    assert not model.first._forward_hooks


def test_a_call_that_does_not_happen_is_a_model_error() -> None:
    model = seeded(Efficient)
    with pytest.raises(ModelError, match="a tapped ReLU6 ran 2 times in this pass, so that its call 3 has no output"):
        tapped(model, images(1), [Tap(model._swish, 2)], output=False)


# as_found --------------------------------------------------------------------------------------------------------


def state(model: nn.Module) -> list[object]:
    """Everything that as_found promises to restore, by identity where identity counts."""
    flags = [(name, module.training, len(module._forward_hooks)) for name, module in model.named_modules()]
    parameters = [
        (name, id(p), p.data_ptr(), p.device, p.requires_grad, p.stride(), p._version)
        for name, p in model.named_parameters()
    ]
    buffers = [(name, id(b), b.data_ptr(), b.device, b._version) for name, b in model.named_buffers()]
    return [*flags, *parameters, *buffers, torch.is_grad_enabled(), torch.is_inference_mode_enabled()]


@pytest.fixture
def awkward() -> nn.Module:
    """Half in train mode, partly frozen, channels last, with tied weights."""
    model = seeded(Efficient).to(memory_format=torch.channels_last)
    model.train()
    model._blocks[1].eval()
    model._bn1.eval()
    model._conv_stem.weight.requires_grad_(False)
    model._blocks[0].conv2.weight = model._blocks[0].conv1.weight
    return model


def meddle(model: nn.Module) -> None:
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    torch.set_grad_enabled(False)


def fail(_model: nn.Module) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("act", [lambda model: None, meddle, fail])
@pytest.mark.parametrize("moves", [False, True])
def test_a_model_is_left_as_it_was_found(
    awkward: nn.Module, moves: bool, act: Callable[[nn.Module], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    if moves:  # as to another device: every tensor gets a new storage
        monkeypatch.setattr(Tensor, "to", lambda tensor, _device: tensor.clone())
    before = state(awkward)
    storages = {tensor.data_ptr() for tensor in [*awkward.parameters(), *awkward.buffers()]}
    with suppress(KeyboardInterrupt), as_found(awkward, torch.device("cpu") if moves else None):
        assert not torch.is_grad_enabled()
        assert not any(module.training for module in awkward.modules())
        used = {tensor.data_ptr() for tensor in [*awkward.parameters(), *awkward.buffers()]}
        assert used.isdisjoint(storages) == moves
        assert awkward._blocks[0].conv1.weight is awkward._blocks[0].conv2.weight
        awkward(images(2))
        act(awkward)
    assert state(awkward) == before


def test_flags_are_set_without_calling_the_models_train() -> None:
    class Merging(nn.Linear):
        def train(self, mode: bool = True) -> Merging:
            raise AssertionError("train() does more than set a flag here")

    model = Merging(2, 2)
    with as_found(model, None):
        assert not model.training
    assert model.training


def test_what_a_module_keeps_of_a_pass_can_be_trained_with() -> None:
    class Caching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 3)
            self.scale: Tensor | None = None
            self.calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            if self.scale is None:
                self.scale = torch.arange(3.0) + 1
            return self.linear(x * self.scale)

    model = Caching()
    with as_found(model, None):
        model(torch.ones(1, 3))
    assert model.calls == 1
    model(torch.ones(1, 3, requires_grad=True)).sum().backward()
    assert model.linear.weight.grad is not None


def test_a_plain_callable_computes_without_gradients_only() -> None:
    with as_found(lambda batch: batch, None):
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()


def test_the_fused_transformer_path_is_off_and_comes_back() -> None:
    assert torch.backends.mha.get_fastpath_enabled()
    with as_found(nn.Linear(1, 1), None):
        assert not torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_model_is_lent_to_the_gpu_and_returned(awkward: nn.Module) -> None:
    before, batch = state(awkward), images(4)
    with as_found(awkward, None):
        expected = awkward(batch)
    with as_found(awkward, torch.device("cuda")):
        values, raw = tapped(awkward, batch.cuda(), [Tap(awkward._swish, 0)], output=True)
    assert values[0].device.type == "cuda"
    assert torch.allclose(raw.cpu(), expected, atol=1e-3)  # type: ignore[attr-defined]
    assert state(awkward) == before
