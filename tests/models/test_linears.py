"""Products through oneDNN: the answers of the model, with its hooks, layers and gradients, and its weights of now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import Strategy
from ialgebra.models.fitting import fit_heads
from ialgebra.models.folds.fused import has_onednn
from ialgebra.models.folds.linears import Linears
from ialgebra.models.network import Network
from tests.models.zoo import plain, seeded

WIDTH = 160

pytestmark = pytest.mark.skipif(not has_onednn(), reason="needs a torch with oneDNN")


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(WIDTH, 4, 200, batch_first=True)
    return nn.Sequential(nn.TransformerEncoder(layer, 2), nn.Flatten(), nn.Linear(5 * WIDTH, 3))


class Odd(nn.Module):
    """Weights that are read in parts, transposed, changed, by their rows, and with no bias."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH, bias=False)
        self.end = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        half = WIDTH // 2
        part = nn.functional.linear(x, self.a.weight[:half], self.a.bias[:half])
        moved = torch.cat([part, part], -1) @ self.b.weight + self.b(x)
        changed = nn.functional.linear(moved, 2 * self.a.weight, self.a.bias) + self.a.weight[:5]
        square = torch.addmm(self.a.weight, self.b.weight, self.a.weight).mean()
        return self.end(self.a(changed)).mean(1) + square


class Inward(Odd):
    """The norm of a gradient, which is taken inside the pass."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            given = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(super().forward(given).sum(), given)
        return slope.norm(dim=(1, 2))[:, None] + super().forward(x)


def rows(count: int = 6) -> Tensor:
    return torch.randn(count, 5, WIDTH, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize("build", [encoder, Odd, Inward])
def test_answers_are_those_of_the_module(build: Callable[[], nn.Module]) -> None:
    network = Network("f", seeded(build))
    for count in (6, 1, 33):
        batch = rows(count)
        expected = network.forward(batch, [None])[None]
        found = network.forward(batch, [None], "onednn")[None]
        assert (found - expected).abs().max() <= 1e-5 * (expected.max() - expected.min()).clamp(min=0.1)
    assert network.profile.unusable == {}
    assert set(network.profile.curves["onednn"]) == {1, 6, 33}


def test_whole_weights_are_copied_each_once_and_others_are_not() -> None:
    def copies(module: nn.Module) -> int:
        frame = Linears(module, None)
        with torch.no_grad(), frame:
            module(rows())
            module(rows())
        return len(frame._packed)

    torch.backends.mha.set_fastpath_enabled(False)
    try:
        assert copies(seeded(encoder)) == 2 * 4, "the last is too small"
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    assert copies(seeded(Odd)) == 3, "b as it is and transposed, and a: no part of it, nor what is computed from it"


def test_layers_heads_and_hooks_are_read_as_ever() -> None:
    module = seeded(encoder)
    network, batch = Network("f", module), rows(12)
    fit_heads(network, batch, layers=[1])
    seen = []
    module[0].layers[1].register_forward_hook(lambda _m, _a, out: seen.append(len(out)))  # type: ignore[union-attr, operator, index]
    expected = network.forward(batch, [1, None])
    seen.clear()
    found = network.forward(batch, [1, None], "onednn")
    assert all(torch.allclose(found[layer], expected[layer], atol=1e-4) for layer in (1, None))
    assert 12 in seen
    assert network.profile.curves.keys() == {"eager", "onednn"}


def test_new_weights_count_at_once() -> None:
    module = seeded(encoder)
    network, batch = Network("f", module), rows()
    before = network.forward(batch, [None], "onednn")[None]
    module[0].layers[0].linear1.weight.data.mul_(3)  # type: ignore[union-attr, operator, index]
    expected = network.forward(batch, [None])[None]
    found = network.forward(batch, [None], "onednn")[None]
    assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(found, before, atol=1e-2)


def test_models_without_large_products_run_as_they_are() -> None:
    network, batch = Network("f", seeded(plain)), torch.rand(4, 3, 16, 16)
    expected = network.forward(batch, [None])[None]
    assert torch.equal(network.forward(batch, [None], "onednn")[None], expected)
    assert "onednn" not in network.modes(None)


def test_a_wrong_product_is_found_and_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Linears, "_found", lambda frame, matrix, _rows: next(iter(frame._weights.values())) * 0)
    network, batch = Network("f", seeded(encoder)), rows()
    expected = network.forward(batch, [None])[None]
    assert torch.equal(network.forward(batch, [None], "onednn")[None], expected)
    assert "onednn" in network.profile.unusable


def test_queries_are_those_of_eager_passes() -> None:
    found = {}
    for mode in ("eager", "onednn"):
        with ialgebra.connect(progress=False) as con:
            con.register_model("f", seeded(encoder))
            con.register_input("x", rows(1)[0].numpy(), baseline=0, kind="series")
            (answer,) = con.sql("select * from f(x) budget 40", strategy=replace(Strategy.BEST, mode=mode))  # type: ignore[arg-type]
            found[mode] = answer.values
    off = np.linalg.norm(found["onednn"] - found["eager"]) / np.linalg.norm(found["eager"])
    assert 0 < off <= 1e-5
