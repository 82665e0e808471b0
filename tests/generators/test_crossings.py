"""Where decisions change along an axis, against the closed form of linear models."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.errors import BindError, IalgebraError
from ialgebra.generators import LinearGenerator
from ialgebra.results.scores import Scores


def _inputs() -> Tensor:
    return torch.randn(30, 1, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def _model(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(9, 2)).double()


@pytest.fixture(scope="module")
def con() -> Iterator[ialgebra.Session]:
    xs = _inputs()
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", _model(1), classes=["cat", "dog"], outputs="logits")
        con.register_model("g", _model(2), classes=["cat", "dog"], outputs="logits")
        con.register_model("v", nn.Sequential(nn.Flatten(), nn.Linear(9, 1)).double(), outputs="values")
        con.register_input("xs", xs)
        con.register_input("x", xs[4])
        con.register_input("flat", torch.zeros(4, dtype=torch.float64))
        con.register_generator("G", LinearGenerator.fit(xs, 9), collection="xs")
        con.sql("create axis dogs on G as score(f, 'dog'); create axis first on G as pca(1)")
        yield con


def _exact(con: ialgebra.Session, axis: str, model: str, to: float) -> np.ndarray:
    """t at which the two scores are equal: −Δ(x) / Δ(direction), where it lies between 0 and `to`."""
    made = con.catalog().generators["G"].generator
    assert isinstance(made, LinearGenerator)
    linear = con.registered()["models"][model][1]  # type: ignore[index]
    weight, bias = linear.weight.detach(), linear.bias.detach()
    slope = (made.components.T @ con.catalog().axes[axis].direction.reshape(-1)) @ (weight[1] - weight[0])
    start = _inputs().flatten(1) @ (weight[1] - weight[0]) + bias[1] - bias[0]
    at = (-start / slope).numpy()
    return np.where((at * np.sign(to) > 0) & (np.abs(at) <= abs(to)), at, np.nan)


@pytest.mark.parametrize(("axis", "to", "step"), [("dogs", 3.0, 0.25), ("dogs", -2.0, 0.7), ("first", 4.0, 1.0)])
def test_they_are_the_closed_form(con: ialgebra.Session, axis: str, to: float, step: float) -> None:
    found = con.crossings(axis, ["f", "g"], "xs", to=to, step=step)
    for column, model in enumerate(("f", "g")):
        wanted = _exact(con, axis, model, to)
        np.testing.assert_array_equal(np.isnan(found.at[:, column]), np.isnan(wanted))
        beyond = np.abs(found.at[:, column]) - np.abs(wanted)  # the first thousandth beyond
        assert (beyond[~np.isnan(wanted)] >= -1e-9).all()
        assert (beyond[~np.isnan(wanted)] <= 1e-3 + 1e-9).all()
    assert np.isfinite(found.at).any()
    names = con.sql("predict f from reconstruct(xs)")
    assert isinstance(names, Scores)
    assert [each[0] for each in found.before] == names.models[0].predicted_names()
    for row, at in enumerate(found.at[:, 0].tolist()):
        changed = {"cat": "dog", "dog": "cat"}[found.before[row][0]] if np.isfinite(at) else ""
        assert found.after[row][0] == changed


def test_a_query_decides_as_it_says(con: ialgebra.Session) -> None:
    found = con.crossings("dogs", "f", "x", to=3)
    at = (
        float(found.at[0, 0]) if np.isfinite(found.at[0, 0]) else float(con.crossings("dogs", "f", "x", to=-3).at[0, 0])
    )
    answers = [con.sql(f"predict f from latent(x, 'dogs', {t:.3f})") for t in (at - np.sign(at) * 1e-3, at)]
    before, after = (each.models[0].predicted[0] for each in answers if isinstance(each, Scores))
    assert before != after


def test_it_is_told_and_drawn(con: ialgebra.Session) -> None:
    found = con.crossings("dogs", ["f", "g"], "xs", to=2.9)
    assert "first change of a decision along 'dogs'" in str(found)
    assert "of 30 inputs change" in str(found)
    assert list(found.to_pandas().columns) == ["input", "model", "at", "before", "after"]
    assert found.pictures.shape == (8, 3, 1, 3, 3)
    np.testing.assert_allclose(found.pictures[:, 0], _inputs()[:8].numpy(), atol=1e-9)
    assert len(found.plot().axes) == 24
    assert 0 < found.rows <= 30 * 2 * (13 + 8)
    assert con.crossings("dogs", ["f", "g"], "xs", to=2.9).rows == 0


def test_the_residual_is_kept(con: ialgebra.Session) -> None:
    """Of a generator that draws all, both are the same."""
    one, other = (con.crossings("dogs", "f", "xs", keep=keep) for keep in (None, "residual"))
    np.testing.assert_allclose(one.at, other.at, atol=1.1e-3)


def test_what_has_none_is_refused(con: ialgebra.Session) -> None:
    refused: list[tuple[dict[str, object], str]] = [
        ({"axis": "smile"}, "unknown axis"),
        ({"models": ["h"]}, "unknown model"),
        ({"models": []}, "one model at least"),
        ({"models": ["v"]}, "decides nothing"),
        ({"inputs": "ys"}, "unknown input"),
        ({"inputs": "flat"}, "draws inputs"),
        ({"to": 0.0}, "other than 0"),
        ({"to": float("nan")}, "other than 0"),
        ({"step": 0.0}, "at least 0.001"),
        ({"step": -1.0}, "at least 0.001"),
        ({"to": 1e9}, "at most 10,000"),
        ({"keep": "all"}, "'residual' or None"),
    ]
    for changed, words in refused:
        arguments = {"axis": "dogs", "models": ["f"], "inputs": "xs"} | changed
        with pytest.raises(IalgebraError, match=words):
            con.crossings(**arguments)  # type: ignore[arg-type]
    with pytest.raises(BindError):
        con.crossings("dogs", "f", "xs", to="far")  # type: ignore[arg-type]
