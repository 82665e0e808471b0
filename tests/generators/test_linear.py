"""A linear generator and linear models: what queries and axes answer equals the closed forms."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.errors import BindError, ShapeError
from ialgebra.generators import LinearGenerator
from ialgebra.results.scores import Scores

_K = 12


def _inputs() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(120, 30, dtype=torch.float64) @ torch.randn(30, 36, dtype=torch.float64).reshape(30, 36)


@pytest.fixture(scope="module")
def con() -> Iterator[ialgebra.Session]:
    xs = _inputs().reshape(-1, 1, 6, 6)
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2)).double()
    other = nn.Sequential(nn.Flatten(), nn.Linear(36, 1)).double()
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", model, classes=["cat", "dog"], outputs="logits")
        con.register_model("v", other, outputs="values")
        con.register_input("xs", xs)
        con.register_input("x", xs[3])
        con.register_input("y", xs[5])
        con.register_generator("G", LinearGenerator.fit(xs, _K, levels=3), collection="xs", block=4)
        con.sql("create axis dogs on G as score(f, 'dog'); create axis value on G as score(v)")
        yield con


def _drawn(con: ialgebra.Session, text: str) -> Tensor:
    """The scores of all values of an edited input: the input itself, read back by an identity model."""
    con.register_model("pixels", nn.Flatten(), outputs="values")
    answer = con.sql(f"predict pixels(target => all) from {text}")
    assert isinstance(answer, Scores)
    return torch.from_numpy(answer.models[0].target_scores)


def _pca(k: int = _K) -> tuple[Tensor, Tensor]:
    """Mean (36,) and components (k, 36) as long as the standard deviations along them."""
    xs = _inputs()
    mean = xs.mean(dim=0)
    _, lengths, directions = torch.linalg.svd(xs - mean, full_matrices=False)
    return mean, directions[:k] * (lengths[:k] / np.sqrt(len(xs) - 1))[:, None]


def _at(x: Tensor) -> Tensor:
    mean, components = _pca()
    return (x - mean) @ components.T / components.square().sum(dim=1)


def test_it_is_the_principal_components(con: ialgebra.Session) -> None:
    mean, components = _pca()
    made = LinearGenerator.fit(_inputs().reshape(-1, 1, 6, 6), _K)
    torch.testing.assert_close(made.components.T @ made.components, components.T @ components, rtol=0, atol=1e-9)
    codes = made.encode(_inputs().reshape(-1, 1, 6, 6)).reshape(120, _K)
    torch.testing.assert_close(codes.T @ codes / 119, torch.eye(_K, dtype=torch.float64), rtol=0, atol=1e-9)
    drawn = made.synthesis(made.encode(made.synthesis(codes)))
    torch.testing.assert_close(drawn, made.synthesis(codes), rtol=0, atol=1e-9)
    x = _inputs()[3]
    wanted = mean + _at(x) @ components
    torch.testing.assert_close(_drawn(con, "reconstruct(x)")[0], wanted, rtol=0, atol=1e-9)


def test_an_axis_of_a_linear_value_is_the_closed_form(con: ialgebra.Session) -> None:
    """v(G(w)) = vᵀ mean + (P v)ᵀ w, so that the axis is P v / ‖P v‖ where all scores lie in the components' space."""
    mean, components = _pca()
    inside = mean + torch.randn(90, _K, dtype=torch.float64) @ components
    with ialgebra.connect(progress=False) as own:
        weight = torch.randn(36, dtype=torch.float64)
        model = nn.Sequential(nn.Flatten(), nn.Linear(36, 1, bias=False)).double()
        with torch.no_grad():
            model[1].weight.copy_(weight[None])
        own.register_model("v", model, outputs="values")
        own.register_input("xs", inside.reshape(-1, 1, 6, 6))
        own.register_input("x", inside[0].reshape(1, 6, 6))
        made = LinearGenerator(mean, components, (1, 6, 6))
        own.register_generator("G", made, collection="xs")
        own.sql("create axis value on G as score(v)")
        axis = own.catalog().axes["value"]
        # Whitened by the collection's own codes: Σ P v / ‖Σ^½ P v‖.
        spread = torch.cov((made.encode(inside.reshape(-1, 1, 6, 6)).reshape(90, _K)).T)
        slope = components @ weight
        wanted = spread @ slope / torch.sqrt(slope @ spread @ slope)
        torch.testing.assert_close(axis.direction.reshape(-1), wanted, rtol=0, atol=1e-9)
        assert axis.r2 == pytest.approx(1, abs=1e-9)
        scores = own.sql("predict v from latent(x, 'value', steps(-2, 2, 5))")
        assert isinstance(scores, Scores)
        told = scores.models[0].top_scores[:, 0]
        step = float(slope @ wanted)  # the score's change by one standard deviation along the axis
        wanted_scores = float(weight @ inside[0]) + step * np.array([-2.0, -1, 0, 1, 2])
        np.testing.assert_allclose(told, wanted_scores, rtol=0, atol=1e-9)


def test_edits_of_one_generator_are_one(con: ialgebra.Session) -> None:
    """L19, bit for bit: one encoding, moves added, one drawing."""
    same = [
        ("latent(latent(x, 'dogs', 1.5), 'value', -2)", "latent(latent(x, 'value', -2), 'dogs', 1.5)"),
        ("latent(latent(x, 'dogs', 1), 'dogs', 2)", "latent(x, 'dogs', 3)"),
        ("reconstruct(latent(x, 'dogs', 1))", "latent(reconstruct(x), 'dogs', 1)"),
        ("reconstruct(reconstruct(x))", "reconstruct(x)"),
        ("latent(x, 'dogs', 0)", "reconstruct(x)"),
        ("mix(x, y, layers => (1, 3))", "mix(y, x, layers => 2)"),
        ("mix(x, y, p => 0)", "reconstruct(x)"),
        ("mix(x, y)", "reconstruct(y)"),
        ("mix(x, latent(y, 'dogs', 1))", "latent(y, 'dogs', 1)"),
    ]
    for one, other in same:
        assert torch.equal(_drawn(con, one), _drawn(con, other)), (one, other)


def test_an_edit_is_the_same_alone_and_in_a_sweep(con: ialgebra.Session) -> None:
    swept = _drawn(con, "latent(x, 'dogs', steps(-3, 3, 7))")
    for number, t in enumerate((-3, -2, -1, 0, 1, 2, 3)):
        assert torch.equal(_drawn(con, f"latent(x, 'dogs', {t})")[0], swept[number])
    collected = _drawn(con, "reconstruct(xs)")
    assert torch.equal(_drawn(con, "reconstruct(x)")[0], collected[3])


def test_what_is_kept_is_the_residual(con: ialgebra.Session) -> None:
    """x + G(w') − G(w), which at t = 0 is x itself."""
    x = _inputs()[3]
    assert torch.equal(_drawn(con, "latent(x, 'dogs', 0, keep => residual)")[0], x)
    moved, plain = _drawn(con, "latent(x, 'dogs', 2)")[0], _drawn(con, "reconstruct(x)")[0]
    kept = _drawn(con, "latent(x, 'dogs', 2, keep => residual)")[0]
    torch.testing.assert_close(kept, x + moved - plain, rtol=0, atol=1e-12)


def test_the_parts_of_an_edit_sum_to_what_it_did(con: ialgebra.Session) -> None:
    """L24: Σφ(e(x); x) = f(e(x)) − f(x)."""
    text = "latent(x, 'dogs', 2, keep => residual)"
    answer = con.sql(f"select * from f({text}, baseline => x, target => 'dog', players => grid(2, 2))")
    scores = con.sql(f"predict f(target => 'dog') from {text}"), con.sql("predict f(target => 'dog') from x")
    after, before = (float(each.models[0].target_scores[0, 0]) for each in scores if isinstance(each, Scores))
    assert float(np.asarray(answer[0].values).sum()) == pytest.approx(after - before, abs=1e-9)


def test_an_axis_that_holds_others_moves_none_of_them(con: ialgebra.Session) -> None:
    con.sql("create or replace axis alone on G as score(f, 'dog') holding value")
    axes = con.catalog().axes
    space = torch.cov(_at(_inputs()).T)
    dogs, value = axes["alone"].direction.reshape(-1), axes["value"].direction.reshape(-1)
    assert float(dogs @ torch.linalg.solve(space, value)) == pytest.approx(0, abs=1e-9)
    assert float(dogs @ torch.linalg.solve(space, dogs)) == pytest.approx(1, abs=1e-9)


def test_what_does_not_fit_is_refused(con: ialgebra.Session) -> None:
    con.register_input("small", torch.zeros(1, 3, 3, dtype=torch.float64))
    refused = {
        "latent(x, 'smiles', 1)": "unknown axis 'smiles'",
        "latent(small, 'dogs', 1)": "draws inputs (1, 6, 6)",
        "reconstruct(small)": "no generator draws",
        "mix(x, y, layers => 4)": "levels 1 to 3",
        "mix(x, y, p => 2)": "from 0 to 1",
        "latent(x, 'dogs', 1, keeps => residual)": "did you mean 'keep'",
        "latent(x, 'dogs', 1, keep => all)": "residual",
        "reconstruct(x, generator => H)": "unknown generator 'H'",
    }
    for text, words in refused.items():
        with pytest.raises((BindError, ShapeError)) as caught:
            con.sql(f"predict f from {text}")
        assert words in str(caught.value), text
        assert caught.value.span is not None


def test_a_changed_generator_draws_anew(con: ialgebra.Session) -> None:
    xs = _inputs().reshape(-1, 1, 6, 6)
    with ialgebra.connect(progress=False) as own:
        own.register_model("f", nn.Sequential(nn.Flatten(), nn.Linear(36, 2)).double())
        own.register_input("xs", xs)
        made = LinearGenerator.fit(xs, 4)
        own.register_generator("G", made, collection="xs")
        before = own.sql("predict f from reconstruct(xs)")
        assert own.sql("predict f from reconstruct(xs)").stats.rows == 0
        query = "select * from f(reconstruct(xs, within => 1)) having index < 2"
        map_before, asked_again = own.sql(query), own.sql(query)
        assert asked_again.digest == map_before.digest
        assert "generators" in map_before.provenance
        with torch.no_grad():
            made.mean.add_(1.0)
        assert own.sql(query).digest != map_before.digest
        after = own.sql("predict f from reconstruct(xs)")
        assert after.stats.rows == len(xs) - 2  # whose ends the map knows
        assert isinstance(before, Scores)
        assert isinstance(after, Scores)
        assert not np.array_equal(before.models[0].top_scores, after.models[0].top_scores)


def test_an_edit_is_refused_where_the_generator_does_not_draw_what_decides() -> None:
    """f looks at one pixel, which all inputs of the collection share: no component draws it."""
    xs = _inputs().reshape(-1, 1, 6, 6)
    xs[:, 0, 0, 0] = 0
    x = xs[3].clone()
    x[0, 0, 0] = 5
    with ialgebra.connect(progress=False) as con:
        model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2)).double()
        with torch.no_grad():
            model[1].weight.zero_()
            model[1].bias.zero_()
            model[1].weight[1, 0] = 1
        con.register_model("f", model, classes=["none", "mark"])
        con.register_input("xs", xs)
        con.register_input("x", x)
        con.register_generator("G", LinearGenerator.fit(xs, 20), collection="xs")
        query = "select * from f({}, players => grid(2, 2))"
        gap = float(torch.sigmoid(torch.tensor(5.0)) - 0.5)
        with pytest.raises(BindError, match=r"0\.99 for 'mark'.* 0\.50.*keep => residual") as caught:
            con.sql(query.format("reconstruct(x)"))
        assert caught.value.span is not None
        with pytest.raises(BindError, match="keep => residual"):
            con.sql(query.format(f"reconstruct(x, within => {gap - 0.01:.3f})"))
        con.sql(query.format(f"reconstruct(x, within => {gap + 0.01:.3f})"))
        con.sql(query.format("reconstruct(x, keep => residual)"))
        con.sql("predict f from reconstruct(x)")  # scores may be read
        con.sql("explain " + query.format("reconstruct(x)"))  # no model is asked
        marked = con.sql(query.format("reconstruct(xs)"))  # nothing is lost of these
        assert len(marked) == len(xs)


def test_an_axis_that_is_made_anew_moves_anew_wherever_it_stands(con: ialgebra.Session) -> None:
    texts = [
        "latent(x, 'moving', 1)",
        "mix(x, latent(y, 'moving', 1))",
        "latent(clip(latent(x, 'moving', 1), -9, 9), 'dogs', 1)",
    ]
    con.sql("create or replace axis moving on G as pca(1)")
    before = [_drawn(con, each) for each in texts]
    con.sql("create or replace axis moving on G as pca(2)")
    for text, one in zip(texts, before, strict=True):
        assert not torch.equal(_drawn(con, text), one), text


def test_cross_effects_are_the_closed_form(con: ialgebra.Session) -> None:
    """A step d along an axis moves the score vᵀx of x = mean + wᵀP by (P v)ᵀ d, whatever the input."""
    made = con.catalog().generators["G"].generator
    assert isinstance(made, LinearGenerator)
    components = made.components  # those of `_pca`, but for their signs
    found = con.cross_effects(["value", "dogs"], ["v"], "xs")
    weight = con.registered()["models"]["v"][1].weight[0].detach()  # type: ignore[index]
    for row, axis in zip(found.effects, found.axes, strict=True):
        step = con.catalog().axes[axis].direction.reshape(-1)
        assert row[0] == pytest.approx(float(components @ weight @ step), abs=1e-9)
    np.testing.assert_allclose(found.errors, 0, atol=1e-9)
    assert found.count == 120
    assert "value" in str(found)
    assert list(found.to_pandas().columns) == ["axis", "score", "effect", "stderr"]
    assert found.plot().axes


def test_describe_tells_how_much_is_drawn(con: ialgebra.Session) -> None:
    """The share of the variance of a linear score that the first components hold, by hand."""
    mean, components = _pca()
    xs, weight = _inputs(), con.registered()["models"]["v"][1].weight[0].detach()  # type: ignore[index]
    drawn = mean + (xs - mean) @ components.T / components.square().sum(dim=1) @ components
    lost = float((drawn - xs).square().sum() / (xs - mean).square().sum())
    scores, others = xs @ weight, drawn @ weight
    kept = 1 - float((others - scores).square().sum() / (scores - scores.mean()).square().sum())
    said = con.sql("describe G").text
    assert f"draws {1 - lost:.0%} of the variance of xs" in said
    assert f"model v keeps {kept:.0%} of the variance of its scores" in said


def test_a_counterfactual_is_the_least_move(con: ialgebra.Session) -> None:
    """Of two linear scores the least move in standard deviations is Σ g · (margin − lead) / gᵀ Σ g."""
    made = con.catalog().generators["G"].generator
    assert isinstance(made, LinearGenerator)
    f = con.registered()["models"]["f"]
    assert isinstance(f, nn.Sequential)
    weight, bias = f[1].weight.detach(), f[1].bias.detach()  # type: ignore[union-attr]
    x = _inputs()[3]
    code = made.encode(x.reshape(1, 1, 6, 6)).reshape(-1)
    spread = torch.cov(made.encode(_inputs().reshape(-1, 1, 6, 6)).reshape(120, _K).T)
    for target, margin in (("cat", 3.0), ("dog", 9.0)):
        scores = weight @ made.synthesis(code[None, None]).reshape(-1) + bias
        side = 0 if target == "cat" else 1
        lead = float(scores[side] - scores[1 - side])
        slope = made.components @ (weight[side] - weight[1 - side])
        moved = code + max(0.0, margin - lead) * (spread @ slope) / (slope @ spread @ slope)
        wanted = made.synthesis(moved[None, None]).reshape(-1)
        drawn = _drawn(con, f"counterfactual(x, target => '{target}', model => f, margin => {margin:g})")[0]
        torch.testing.assert_close(drawn, wanted, rtol=0, atol=1e-9)
        answers = con.sql(
            f"predict f(target => all) from counterfactual(xs, target => '{target}', model => f, margin => {margin:g})"
        )
        assert isinstance(answers, Scores)
        told = answers.models[0].target_scores
        assert (told[:, side] - told[:, 1 - side] >= margin - 1e-6).all()
        several = _drawn(con, f"counterfactual(xs, target => '{target}', model => f, margin => {margin:g})")
        assert torch.equal(several[3], drawn)
    with pytest.raises(BindError, match="say which class"):
        con.sql("predict f from counterfactual(x, model => f)")
    with pytest.raises(BindError, match="say which model"):
        con.sql("predict f from counterfactual(x, target => 'cat')")
    with pytest.raises(BindError, match="has no class 'cow'"):
        con.sql("predict f from counterfactual(x, target => 'cow', model => f)")


def test_a_data_frame_is_drawn_as_its_numbers() -> None:
    pandas = pytest.importorskip("pandas")
    torch.manual_seed(0)
    numbers = torch.randn(50, 4, dtype=torch.float64).numpy()
    with ialgebra.connect(progress=False) as con:
        con.register_model("v", nn.Linear(4, 1).double(), outputs="values")
        con.register_input("frame", pandas.DataFrame(numbers, columns=list("abcd")))
        con.register_input("array", torch.from_numpy(numbers))
        con.register_input("texts", pandas.DataFrame({"a": ["x", "y"], "b": [1.0, 2], "c": [1.0, 2], "d": [1.0, 2]}))
        con.register_generator("G", LinearGenerator.fit(numbers, 3), collection="frame")
        con.sql("create axis up on G as score(v)")
        scores = [con.sql(f"predict v from latent({each}, 'up', 1)") for each in ("frame", "array")]
        one, other = (each.models[0].top_scores for each in scores if isinstance(each, Scores))
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
        with pytest.raises(BindError, match="draws numbers"):
            con.sql("predict v from latent(texts, 'up', 1)")
