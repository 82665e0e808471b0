"""Hybrids are made of two inputs as Eq. 1 says, and frames around passes tell the time, read what came and let go."""

from __future__ import annotations

import errno
from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ialgebra.errors import ModelError, ResourceError
from ialgebra.kernels.compose import compose
from ialgebra.kernels.forward import (
    Tap,
    TapError,
    as_found,
    eagerly,
    first_tensor,
    stopwatch,
    tapped,
    uncompiled,
)
from ialgebra.system.shortage import is_out_of_memory
from tests.clock import FakeClock

CPU = torch.device("cpu")

# --- Hybrids


def test_a_hybrid_is_the_foreground_on_its_players_and_the_background_elsewhere() -> None:
    x, background = torch.arange(1.0, 25).reshape(2, 3, 4), -torch.arange(1.0, 25).reshape(2, 3, 4)
    segments = torch.tensor([[0, 0, 1, -1], [0, 2, 1, -1], [2, 2, -1, 0]])
    masks = torch.tensor([[False, False, False], [True, False, False], [False, True, True], [True, True, True]])
    for numbers in (segments[None], segments.expand(2, 3, 4)):
        found = compose(x, background, numbers, masks)
        assert found.shape == (4, 2, 3, 4)
        assert found.dtype == x.dtype
        for row, mask in zip(found, masks, strict=True):
            for place in torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(4)):
                channel, down, across = place.tolist()
                player = int(segments[down, across])
                inside = player >= 0 and bool(mask[player])
                assert row[channel, down, across] == (x if inside else background)[channel, down, across]
    tokens = compose(torch.tensor([5, 6]), torch.tensor([0, 0]), torch.tensor([1, 0]), masks[:, :2])
    assert tokens.tolist() == [[0, 0], [0, 6], [5, 0], [5, 6]]
    nobody = compose(x, background, torch.full((1, 3, 4), -1), torch.zeros((2, 0), dtype=torch.bool))
    assert torch.equal(nobody, background.expand(2, 2, 3, 4))


# --- What a module returns


def test_the_first_tensor_is_that_of_a_tuple_a_list_or_a_mapping() -> None:
    one, other = torch.ones(1), torch.zeros(2)
    assert first_tensor(one) is one
    assert first_tensor((None, one, other)) is one
    assert first_tensor([other, one]) is other
    assert first_tensor(OrderedDict(a="text", b=one)) is one
    assert first_tensor({}) is None
    assert first_tensor("text") is None
    assert first_tensor(3) is None
    assert first_tensor([[one]]) is None


class Twice(nn.Module):
    """One activation, called twice; then a module that returns no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.odd = nn.Linear(3, 3), nn.Tanh(), Odd()

    def forward(self, x: Tensor) -> Tensor:
        once = self.act(self.first(x))
        return self.act(once) + len(self.odd(x))


class Odd(nn.Module):
    def forward(self, x: Tensor) -> str:
        return "odd"


def test_a_tap_that_cannot_be_read_is_a_model_error_and_leaves_no_hook() -> None:
    model, batch = Twice().eval(), torch.ones(2, 3)
    with pytest.raises(TapError, match=r"^a tapped Odd returned str, not a tensor$"):
        tapped(model, batch, [Tap(model.odd)], output=False)
    with pytest.raises(ModelError, match=r"^a tapped Tanh ran 2 times in this pass, so that its call 3 has no output$"):
        tapped(model, batch, [Tap(model.act, 1), Tap(model.act, 2)], output=True)
    assert not model.act._forward_hooks
    assert not model.odd._forward_hooks


def test_without_taps_a_pass_is_the_models_own() -> None:
    model, batch = nn.Linear(3, 2), torch.ones(2, 3)
    values, raw = tapped(model, batch, [], output=True)
    assert values == []
    assert torch.equal(raw, model(batch))  # type: ignore[arg-type]
    assert tapped(model, batch, [], output=False) == ([], None)


def test_the_output_comes_beside_the_taps_only_where_it_is_asked_for() -> None:
    model, batch = Twice().eval(), torch.ones(2, 3)
    taps = [Tap(model.act, 1), Tap(model.first)]
    (late, early), raw = tapped(model, batch, taps, output=True)
    assert torch.equal(raw, model(batch))  # type: ignore[arg-type]
    assert torch.equal(late, torch.tanh(torch.tanh(early)))
    assert tapped(model, batch, taps, output=False)[1] is None
    halves, _ = tapped(model, batch, taps, False, [lambda value: value / 2, lambda value: -value])
    assert torch.equal(halves[0], late / 2)
    assert torch.equal(halves[1], -early)


def test_a_stop_of_another_pass_goes_through() -> None:
    """A model that runs a tapped pass of its own inside ours."""
    inner = Twice().eval()

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            (value,), _ = tapped(inner, x, [Tap(inner.first)], output=False)
            return self.linear(value)

    outer = Outer()
    (value,), _ = tapped(outer, torch.ones(2, 3), [Tap(outer.linear)], output=False)
    assert torch.equal(value, outer(torch.ones(2, 3)))


# --- Frames


def test_a_stopwatch_tells_when_each_tapped_call_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, model, batch = FakeClock(monkeypatch), Twice().eval(), torch.ones(2, 3)
    model.act.register_forward_pre_hook(lambda module, inputs: clock.sleep(0.02))
    taps = [Tap(model.first), Tap(model.act, 0), Tap(model.act, 1), Tap(model.act, 2)]
    before = clock.now
    with stopwatch(taps, CPU) as ended:
        model(batch)
    after = clock.now
    assert set(ended) == set(taps[:3])
    assert before < ended[taps[0]] < ended[taps[1]] < ended[taps[2]] <= after
    assert ended[taps[2]] - ended[taps[1]] == pytest.approx(0.02, abs=1e-4)
    assert not any(module._forward_hooks for module in model.modules())
    with pytest.raises(ZeroDivisionError), stopwatch(taps, CPU):
        raise ZeroDivisionError
    assert not any(module._forward_hooks for module in model.modules())


def test_only_tapped_calls_are_timed() -> None:
    model = Twice().eval()
    with stopwatch([Tap(model.act, 1)], CPU) as ended:
        model(torch.ones(2, 3))
    assert list(ended) == [Tap(model.act, 1)]


def test_what_is_not_compiled_is_itself_and_runs_as_it_is() -> None:
    model = nn.Linear(3, 2)
    assert uncompiled(model) is model
    assert uncompiled(len) is len
    with eagerly():
        assert model(torch.ones(1, 3)).shape == (1, 2)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("anything"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), True),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling"), True),
        (RuntimeError("Out Of Memory"), True),
        (RuntimeError("shapes do not fit"), False),
        (ValueError("out of memory"), False),
        (OSError("not enough memory"), False),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (RuntimeError("std::bad_alloc"), True),
        (MemoryError("std::bad_alloc"), True),
        (ValueError("[10:00:00] src/data.cc:12: std::bad_alloc"), True),  # xgboost's errors are ValueErrors
        (RuntimeError("bad allocation"), True),
        (RuntimeError("could not create a primitive"), True),
        (RuntimeError("could not create a primitive descriptor for a convolution"), False),
        (KeyboardInterrupt("out of memory"), False),
        (ResourceError("out of memory at a batch of one row"), False),
    ],
)
def test_errors_that_say_that_memory_ran_out(error: BaseException, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def net() -> nn.Sequential:
    made = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    made[0].bias.requires_grad_(False)
    return made


def test_inside_the_frame_a_model_predicts_and_afterwards_it_is_as_it_was() -> None:
    model = net()
    model[1].eval()
    flags = [module.training for module in model.modules()]
    fused = torch.backends.mha.get_fastpath_enabled()
    storages = [each.data_ptr() for each in (*model.parameters(), *model.buffers())]
    with as_found(model, None):
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
        assert not torch.backends.mha.get_fastpath_enabled()
        model[0].bias.requires_grad_(True)
    assert [module.training for module in model.modules()] == flags
    assert [each.requires_grad for each in model.parameters()] == [True, False, True, True]
    assert torch.backends.mha.get_fastpath_enabled() == fused
    assert [each.data_ptr() for each in (*model.parameters(), *model.buffers())] == storages
    assert torch.is_grad_enabled()


def test_a_model_lent_to_a_device_gets_its_own_tensors_back_also_after_errors() -> None:
    model = net()
    shared = model[1].running_mean
    model[2].register_buffer("same", shared)
    model[2].register_buffer("none", None)
    own = {name: id(each) for name, each in [*model.named_buffers(remove_duplicate=False)]}
    data = {name: each.data_ptr() for name, each in model.named_parameters()}

    def failing() -> None:
        assert not any(module.training for module in model.modules())
        assert model[1].running_mean is model[2].same, "what is one buffer stays one"
        assert model[2].none is None
        model[1].running_mean = torch.ones(3)
        model[0].weight.data = torch.zeros(3, 3)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), as_found(model, CPU):
        failing()
    assert {name: id(each) for name, each in [*model.named_buffers(remove_duplicate=False)]} == own
    assert {name: each.data_ptr() for name, each in model.named_parameters()} == data
    assert all(each.device == CPU for each in model.parameters())
    assert all(module.training for module in model.modules())


def test_a_module_without_a_training_flag_gets_none() -> None:
    model = net()
    del model[1].__dict__["training"]
    with as_found(model, None):
        assert not model[2].training
        assert not hasattr(model[1], "training")
    assert not hasattr(model[1], "training")
    assert model[2].training


def test_a_callable_that_is_no_module_computes_without_gradients_only() -> None:
    with as_found(len, CPU):
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()


class Keeper(nn.Module):
    """Keeps its last position codes, once as an attribute and once as a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.register_buffer("kept", None)
        self.codes: Any = None

    def forward(self, x: Tensor) -> Tensor:
        if self.codes is None:
            self.codes, self.kept = torch.arange(3.0), torch.arange(3.0) * 2
        return (x + self.codes + self.kept) * self.weight


def test_what_a_model_kept_of_a_pass_can_train() -> None:
    model = Keeper()
    with as_found(model, None):
        model(torch.ones(1, 3))
    assert not model.codes.is_inference()
    assert not model.kept.is_inference()
    assert model.codes.tolist() == [0, 1, 2]
    model(torch.ones(1, 3)).sum().backward()
    assert model.weight.grad is not None
