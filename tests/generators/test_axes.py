"""Axes against scikit-learn's ridge regression and PCA, and at the edges: one level, one input, equal axes, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.errors import BindError, IalgebraError
from ialgebra.generators import LinearGenerator
from ialgebra.generators.axes import CodeSpace, fitted_axis, principal_axis

sklearn = pytest.importorskip("sklearn")


def _codes(count: int = 60, levels: int = 2, width: int = 3) -> Tensor:
    seeded = torch.Generator().manual_seed(0)
    mixed = torch.randn(count, levels * width, dtype=torch.float64, generator=seeded)
    turned = torch.randn(levels * width, levels * width, dtype=torch.float64, generator=seeded)
    return (mixed @ turned + 3).reshape(count, levels, width)


def test_an_axis_is_the_ridge_regression_of_scikit_learn() -> None:
    """The slope is that of one of the penalties, on all inputs; R² is that of the fifth that was held out."""
    from sklearn.linear_model import Ridge

    space = CodeSpace.of(_codes())
    seeded = torch.Generator().manual_seed(1)
    values = space.whitened @ torch.arange(6.0, dtype=torch.float64) + torch.randn(
        60, dtype=torch.float64, generator=seeded
    )
    axis = fitted_axis("a", "G", "of", space, values)
    codes, wanted = space.whitened.numpy(), values.numpy()
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0)).numpy()
    held, rest = order[:12], order[12:]
    tried = {}
    for penalty in (0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0):
        fitted = Ridge(alpha=penalty * len(rest)).fit(codes[rest], wanted[rest])
        error = np.square(wanted[held] - fitted.predict(codes[held])).sum()
        tried[penalty] = error
    best = min(tried, key=lambda each: tried[each])
    slope = Ridge(alpha=best * 60).fit(codes, wanted).coef_
    direction = (slope / np.linalg.norm(slope)) @ space.colour.numpy()
    np.testing.assert_allclose(axis.direction.reshape(-1).numpy(), direction, rtol=0, atol=1e-8)
    spread = np.square(wanted[held] - wanted[rest].mean()).sum()
    assert axis.r2 == pytest.approx(1 - tried[best] / spread, abs=1e-9)


def test_components_are_those_of_scikit_learn() -> None:
    from sklearn.decomposition import PCA

    codes = _codes()
    found = PCA(6).fit(codes.reshape(60, -1).numpy())
    for number in range(1, 7):
        step = principal_axis("p", "G", CodeSpace.of(codes), number).direction.reshape(-1).numpy()
        wanted = found.components_[number - 1] * np.sqrt(found.explained_variance_[number - 1])
        sign = np.sign(step @ wanted)
        np.testing.assert_allclose(step, sign * wanted, rtol=0, atol=1e-8)
        assert step[np.abs(step).argmax()] > 0


def test_axes_that_hold_each_other_are_the_dual_basis() -> None:
    """Of three slopes, each made to hold the two others is the row of the inverse of their products, scaled."""
    space = CodeSpace.of(_codes(levels=1, width=6))
    slopes = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    plain = [fitted_axis(f"a{k}", "G", "of", space, space.whitened @ slope) for k, slope in enumerate(slopes)]
    dual = torch.linalg.pinv(slopes).T
    for number in range(3):
        others = [each for k, each in enumerate(plain) if k != number]
        held = fitted_axis("h", "G", "of", space, space.whitened @ slopes[number], holding=others)
        wanted = (dual[number] / dual[number].norm()) @ space.colour
        torch.testing.assert_close(held.direction.reshape(-1), wanted, rtol=0, atol=1e-6)
        assert held.held == tuple(each.name for each in others)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_generator_of_one_level_and_width_one(dtype: torch.dtype) -> None:
    xs = torch.randn(20, 4, dtype=dtype, generator=torch.Generator().manual_seed(3))
    with ialgebra.connect(progress=False) as con:
        con.register_model("v", nn.Linear(4, 1).to(dtype), outputs="values")
        con.register_input("xs", xs)
        con.register_input("x", xs[1])
        con.register_generator("G", LinearGenerator.fit(xs, 1), collection="xs")
        con.sql("create axis up on G as score(v); create axis first on G as pca(1)")
        con.register_axis("same", lambda batch: batch[:, 0])
        axes = con.catalog().axes
        assert float(axes["up"].direction.abs()) == pytest.approx(1, abs=1e-6)  # codes have variance 1
        with pytest.raises(BindError, match="moves along nothing else"):
            con.sql("create axis alone on G as score(v) holding first")
        effects = con.cross_effects(["up", "first"], ["v"], "xs")
        assert abs(effects.effects[0, 0]) == pytest.approx(abs(effects.effects[1, 0]), rel=1e-3)
        alone = con.cross_effects(["up"], ["v"], "x")
        assert alone.count == 1
        assert np.isnan(alone.errors).all()
        assert alone.plot().axes


def test_collections_in_files_make_the_same_axes(tmp_path: Path) -> None:
    xs = torch.randn(40, 1, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).numpy()
    np.save(tmp_path / "xs.npy", xs)
    torch.manual_seed(0)
    model, made = nn.Sequential(nn.Flatten(), nn.Linear(9, 2)).double(), LinearGenerator.fit(xs, 5)
    found = []
    for collection in (xs, np.load(tmp_path / "xs.npy", mmap_mode="r")):
        with ialgebra.connect(progress=False) as con:
            con.register_model("f", model)
            con.register_input("xs", collection)
            con.register_generator("G", made, collection="xs")
            con.sql("create axis one on G as score(f, 1)")
            con.register_axis("light", lambda batch: batch.mean(dim=(1, 2, 3)))
            told = con.sql("predict f from latent(xs, 'light', 1) having index < 5")
            assert "draws" in con.sql("describe G").text
            found.append((con.catalog().axes["one"], con.catalog().axes["light"], told))
    for one, other in zip(found[0][:2], found[1][:2], strict=True):
        torch.testing.assert_close(one.direction, other.direction, rtol=0, atol=1e-12)
    one, other = (each[2].models[0] for each in found)  # of axes that may differ in their last bits
    assert np.array_equal(one.top, other.top)
    np.testing.assert_allclose(one.top_scores, other.top_scores, rtol=0, atol=1e-12)


def test_an_axis_of_a_model_that_is_registered_again_says_so() -> None:
    xs = torch.randn(20, 4, generator=torch.Generator().manual_seed(3))
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", nn.Linear(4, 2))
        con.register_input("xs", xs)
        con.register_generator("G", LinearGenerator.fit(xs, 3), collection="xs")
        con.sql("create axis one on G as score(f, 1)")
        with pytest.warns(ialgebra.IalgebraWarning, match="axis 'one' follows model 'f' as it was registered before"):
            con.register_model("f", nn.Linear(4, 2))


def test_what_is_no_axis_or_generator_is_refused() -> None:
    class Made:
        levels, width, shape = 1, 2, (4,)

        def __init__(self, draw: object, encode: object = None) -> None:
            self.draw, self.find = draw, encode

        def synthesis(self, codes: Tensor) -> object:
            return self.draw(codes) if callable(self.draw) else self.draw

        def encode(self, inputs: Tensor) -> object:
            return self.find(inputs) if callable(self.find) else inputs[:, None, :2]

    def drawn(codes: Tensor) -> Tensor:
        return torch.nn.functional.pad(codes.flatten(1), (0, 2))

    with ialgebra.connect(progress=False) as con:
        con.register_input("xs", torch.randn(20, 4))
        con.register_model("f", nn.Linear(4, 2))
        for draw, words in [
            (lambda codes: torch.randn(len(codes), 4), "draws other inputs from the same codes"),
            (lambda codes: np.zeros((len(codes), 4)), "returned a ndarray; a tensor is needed"),
            (lambda codes: None, "returned a NoneType"),
        ]:
            with pytest.raises(IalgebraError, match=words):
                con.register_generator("G", Made(draw))
        shapeless = Made(drawn)
        shapeless.shape = "abc"  # type: ignore[assignment]
        with pytest.raises(BindError, match="shape is that of one input"):
            con.register_generator("G", shapeless)
        with pytest.raises(BindError, match="at most 65,536 rows"):
            con.register_generator("G", Made(drawn), block=1 << 20)
        con.register_generator("R", Made(drawn, lambda x: torch.randn(len(x), 1, 2)), collection="xs")
        with pytest.raises(BindError, match="finds other codes of the same inputs"):
            con.sql("predict f from reconstruct(xs)")
        con.register_generator("R", Made(drawn), collection="xs")
        for what, words in [
            (lambda batch: None, "returned None; a number for each input"),
            (lambda batch: {}, "a number for each input"),
            (lambda batch: batch[:, 0] * 1j, "a number for each input"),
            (np.ones(20) * 1j, "follows a function of inputs, or numbers"),
            (np.ones(20), "needs scores that vary"),
        ]:
            with pytest.raises(BindError, match=words):
                con.register_axis("a", what)


def test_memory_that_runs_out_in_the_function_of_an_axis_is_no_fault_of_the_function() -> None:
    def hungry(_batch: Tensor) -> Tensor:
        raise MemoryError

    xs = torch.rand(20, 4)
    with ialgebra.connect(progress=False) as con:
        con.register_input("xs", xs)
        con.register_generator("G", LinearGenerator.fit(xs, 2), collection="xs")
        with pytest.raises(ialgebra.errors.ResourceError, match="out of memory"):
            con.register_axis("hungry", hungry)
