"""A style generator: its parts equal the equations written out, and a tiny one of digits trains, draws and encodes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import ialgebra
from ialgebra.errors import BindError, ShapeError
from ialgebra.generators import StyleGenerator
from ialgebra.generators.refining import refined
from ialgebra.generators.similarity import structural_similarity
from ialgebra.generators.style_nets import ModulatedConv, StyleNets
from ialgebra.generators.training import divergence

_STEPS, _LATENTS = 250, 12


def _digits() -> Tensor:
    from sklearn.datasets import load_digits

    return torch.tensor(load_digits().images[:300], dtype=torch.float32)[:, None] / 16


def _fit(xs: Tensor, **options: object) -> StyleGenerator:
    return StyleGenerator.fit(xs, **{"steps": _STEPS, "latents": _LATENTS, "width": 16, **options})


@pytest.fixture(scope="module")
def drawer() -> StyleGenerator:
    return _fit(_digits())


def test_a_modulated_convolution_is_a_loop_over_pictures_and_places() -> None:
    torch.manual_seed(0)
    layer = ModulatedConv(width=5, taken=3, made=4).double().requires_grad_(False)
    layer.bias.normal_()
    pictures, codes = torch.randn(2, 3, 4, 5).double(), torch.randn(2, 5).double()
    wanted = torch.zeros(2, 4, 4, 5).double()
    padded = F.pad(pictures, (1, 1, 1, 1))
    for n in range(2):
        style = layer.style.weight @ codes[n] + layer.style.bias
        for out in range(4):
            weight = layer.weight[out] * style[:, None, None]
            weight = weight / torch.sqrt((weight**2).sum() + 1e-8)
            for row in range(4):
                for column in range(5):
                    value = (weight * padded[n, :, row : row + 3, column : column + 3]).sum() + layer.bias[out]
                    wanted[n, out, row, column] = 2**0.5 * (value if value > 0 else 0.2 * value)
    torch.testing.assert_close(layer(pictures, codes), wanted, rtol=0, atol=1e-12)


def test_the_divergence_is_that_of_torch() -> None:
    torch.manual_seed(0)
    mean, log_variance = torch.randn(5, 7).double(), torch.randn(5, 7).double()
    own = torch.distributions.Normal(mean, (log_variance / 2).exp())
    standard = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    wanted = torch.distributions.kl_divergence(own, standard).sum(dim=1)
    torch.testing.assert_close(divergence(mean, log_variance), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_similarity_is_that_of_scikit_image(channels: int) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    torch.manual_seed(0)
    one = torch.rand(3, channels, 12, 9).double()
    other = (one + 0.2 * torch.randn_like(one)).clamp(0, 1)
    found = structural_similarity(5 * one, 5 * other, extent=5.0)
    for k in range(3):
        pair = (5 * one[k]).numpy(), (5 * other[k]).numpy()
        # scikit-image leaves out what lies too near to the edge for a whole square, as we do.
        wanted = np.mean([metrics.structural_similarity(a, b, data_range=5.0) for a, b in zip(*pair, strict=True)])
        assert float(found[k]) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(("shape", "levels"), [((1, 8, 8), 2), ((3, 9, 37), 2), ((1, 28, 28), 4), ((3, 33, 64), 6)])
def test_pictures_of_any_size_are_drawn(shape: tuple[int, ...], levels: int) -> None:
    nets = StyleNets(shape, 3, 4)
    assert nets.levels == levels
    with torch.no_grad():
        assert nets.drawn(torch.randn(2, 3)).shape == (2, *shape)
        assert nets.latents_of(torch.randn(2, *shape)).shape == (2, 3)


def test_it_draws_digits_that_it_never_saw(drawer: StyleGenerator) -> None:
    assert drawer.figures is not None
    assert drawer.figures.learned == 270
    assert drawer.figures.held_out == 30
    variance = float((_digits() - _digits().mean(dim=0)).square().mean())
    assert drawer.figures.mse < 0.6 * variance
    assert drawer.figures.similarity > 0.75
    codes = drawer.encode(_digits())
    assert codes.shape == (300, 2, 16)
    torch.testing.assert_close(codes[:, 0], codes[:, 1])
    torch.testing.assert_close(codes[:, 0].mean(dim=0), torch.zeros(16), rtol=0, atol=0.1)
    torch.testing.assert_close(codes[:, 0].std(dim=0), torch.ones(16), rtol=0, atol=0.1)


def test_equal_seeds_give_equal_generators_in_any_range(drawer: StyleGenerator) -> None:
    again = _fit(_digits(), steps=20).state_dict()
    assert all(torch.equal(each, again[name]) for name, each in _fit(_digits(), steps=20).state_dict().items())
    wide = _fit(_digits() * 64 - 32, steps=20)
    assert wide.figures is not None
    narrow = _fit(_digits(), steps=20).figures
    assert narrow is not None
    assert wide.figures.mse == pytest.approx(64**2 * narrow.mse, rel=1e-4)
    drawn = wide.synthesis(3 * torch.randn(9, 2, 16))
    assert float(drawn.min()) >= -32
    assert float(drawn.max()) <= 32


def test_ctrl_c_keeps_the_best_so_far(drawer: StyleGenerator) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if done == 60:
            raise KeyboardInterrupt

    found = _fit(_digits(), progress=stop)
    assert found.figures is not None
    assert found.figures.interrupted
    assert drawer.figures is not None
    assert not drawer.figures.interrupted
    assert drawer.figures.mse < found.figures.mse < float((_digits() - _digits().mean()).square().mean())


def test_samples_are_like_the_collection(drawer: StyleGenerator) -> None:
    codes = drawer.samples(200, seed=3)
    assert torch.equal(codes, drawer.samples(200, seed=3))
    assert not torch.equal(codes, drawer.samples(200, seed=4))
    drawn = drawer.synthesis(codes)
    torch.testing.assert_close(drawn.mean(dim=0), _digits().mean(dim=0), rtol=0, atol=0.15)
    near = torch.cdist(drawn.flatten(1), _digits().flatten(1)).min(dim=1).values.mean()
    ghosts = drawer.synthesis(drawer.mapped(2 * torch.randn(200, _LATENTS)))
    far = torch.cdist(ghosts.flatten(1), _digits().flatten(1)).min(dim=1).values.mean()
    assert float(near) < float(far)


def test_refined_codes_draw_nearer_and_are_the_same_bits_alone_and_in_company(drawer: StyleGenerator) -> None:
    xs = _digits()[:21]
    with ialgebra.connect(progress=False) as con:
        con.register_input("xs", xs)
        con.register_input("x", xs[13])
        con.register_model("pixels", torch.nn.Flatten(), outputs="values")
        text = "predict pixels(target => all) from reconstruct({})"
        con.register_generator("G", drawer, collection="xs", block=8)
        before = torch.from_numpy(con.sql(text.format("xs")).models[0].target_scores).reshape(xs.shape)
        con.register_generator("G", drawer, collection="xs", block=8, refine=20)
        alone = torch.from_numpy(con.sql(text.format("x")).models[0].target_scores)
        after = torch.from_numpy(con.sql(text.format("xs")).models[0].target_scores)
        assert torch.equal(alone[0], after[13])
    lost, left = ((each.reshape(xs.shape) - xs).square().sum(dim=(1, 2, 3)) for each in (before, after))
    assert bool((left <= lost).all())
    assert float(left.sum()) < 0.7 * float(lost.sum())


def test_refining_a_linear_drawing_reaches_the_least_squares(drawer: StyleGenerator) -> None:
    torch.manual_seed(0)
    basis = torch.linalg.qr(torch.randn(9, 4, dtype=torch.float64)).Q.T
    inputs = torch.randn(3, 9, dtype=torch.float64)
    found = refined(torch.zeros(3, 2, 2, dtype=torch.float64), inputs, lambda codes: codes.flatten(1) @ basis, 400)
    torch.testing.assert_close(found.flatten(1), inputs @ basis.T, rtol=0, atol=1e-2)


def test_what_cannot_be_fitted_is_refused_by_name() -> None:
    xs = _digits()[:20]
    with pytest.raises(ShapeError, match=r"8 × 8 or larger; got \(20, 1, 7, 8\)"):
        _fit(xs[:, :, 1:])
    with pytest.raises(BindError, match="8 pictures or more; got 5"):
        _fit(xs[:5])
    with pytest.raises(BindError, match="all numbers of these are 1"):
        _fit(torch.ones(20, 1, 8, 8))
    with pytest.raises(BindError, match="NaN or infinite"):
        _fit(xs / 0)
    for wrong in ({"steps": 0}, {"latents": 0}, {"width": 0}, {"holdout": 1.0}, {"seed": -1}):
        with pytest.raises(BindError, match=next(iter(wrong))):
            _fit(xs, **wrong)
    with pytest.raises(BindError, match="samples are at least 1"):
        _fit(xs, steps=1).samples(0)
