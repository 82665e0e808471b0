"""Differential oracles: captum, shap and shapiq enumerate small games too, and `using exact()` agrees with them.

Nets, inputs, baselines, targets and windows are random. Each library is handed the model and the hybrids its own way,
so that what is compared is the definition and not a shared helper.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import ialgebra

with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
    warnings.simplefilter("ignore")  # what the libraries' own imports deprecate
    patch.setenv("NUMBA_DISABLE_JIT", "1")  # compiling shap takes longer than all its answers here
    captum_attr = pytest.importorskip("captum.attr")
    shap = pytest.importorskip("shap")
    shapiq = pytest.importorskip("shapiq")

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]

SEEDS = range(10)
Floats = NDArray[np.float64]


@pytest.fixture
def con() -> Iterator[ialgebra.Session]:
    with ialgebra.connect(progress=False) as session:
        yield session


def tabular(seed: int, features: int) -> tuple[nn.Module, Tensor, Tensor]:
    """A random net of `features` inputs and three classes, an input, and a baseline."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(features, 9), nn.Tanh(), nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, 3))
    return scaled(net), torch.randn(features, dtype=torch.float64), torch.randn(features, dtype=torch.float64)


def image(seed: int) -> tuple[nn.Module, Tensor, Tensor]:
    """A random net of 2×6×6 images and three classes, an input, and a baseline."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 3))
    return scaled(net), torch.randn(2, 6, 6, dtype=torch.float64), torch.randn(2, 6, 6, dtype=torch.float64)


def scaled(net: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_()
    return net.double().eval().requires_grad_(False)


def exact(con: ialgebra.Session, text: str) -> list[ialgebra.Attribution]:
    answers = list(con.sql(f"{text} using exact()"))
    assert all((each.stderr == 0).all() for each in answers)
    return answers


def agree(found: NDArray[np.generic], expected: NDArray[np.generic]) -> bool:
    return bool(np.linalg.norm(found - expected) <= 1e-5 * np.linalg.norm(expected) > 0)


@pytest.mark.parametrize("output", ["logit", "probability"])
@pytest.mark.parametrize("seed", SEEDS)
def test_tabular_maps_are_those_of_shap(con: ialgebra.Session, seed: int, output: str) -> None:
    net, x, baseline = tabular(seed, features=7)
    con.register_model("f", net)
    con.register_input("x", x, baseline=baseline)
    (answer,) = exact(con, f"select * from f(x, target => 1, output => '{output}')")

    def model(rows: Floats) -> Floats:
        logits = net(torch.from_numpy(rows))
        return (logits if output == "logit" else torch.softmax(logits, 1))[:, 1].numpy()

    explainer = shap.ExactExplainer(model, shap.maskers.Independent(baseline[None].numpy()))
    said = explainer(x[None].numpy())
    assert agree(answer.values, said.values[0])
    assert answer.base_value == pytest.approx(float(said.base_values[0]))


@pytest.mark.parametrize("seed", SEEDS)
def test_maps_of_a_feature_mask_are_those_of_captum(con: ialgebra.Session, seed: int) -> None:
    net, x, baseline = image(seed)
    mask = torch.cat([torch.arange(5), torch.randint(5, (67,))])[torch.randperm(72)].reshape(2, 6, 6)
    con.register_model("f", net)
    con.register_input("x", x, baseline=baseline, players=mask)
    (answer,) = exact(con, "select * from f(x)")
    target = int(net(x[None])[0].argmax())
    said = captum_attr.ShapleyValues(net).attribute(
        x[None], baseline[None], target=target, feature_mask=mask[None], perturbations_per_eval=5
    )[0]
    assert answer.target in (target, str(target))
    assert agree(answer.values, np.array([said[mask == player][0].item() for player in range(5)]))
    assert agree(answer.map, (said / torch.bincount(mask.flatten())[mask]).numpy())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_projection_is_captum_on_an_input_that_is_the_baseline_elsewhere(con: ialgebra.Session, seed: int) -> None:
    net, x, baseline = image(seed)
    con.register_model("f", net)
    con.register_input("x", x, baseline=baseline, players="grid(2, 2)")
    (answer,) = exact(con, "select * from f(x) where row between 1 and 4 and col >= 2")
    mask = torch.full((2, 6, 6), 4)
    for player, (row, col) in enumerate([(1, 2), (1, 4), (3, 2), (3, 4)]):
        mask[:, row : row + 2, col : col + 2] = player
    projected = torch.where(mask < 4, x, baseline)
    said = captum_attr.ShapleyValues(net).attribute(
        projected[None], baseline[None], target=int(net(x[None])[0].argmax()), feature_mask=mask[None]
    )[0]
    assert agree(answer.values, np.array([said[mask == player][0].item() for player in range(4)]))
    assert (answer.map[(mask == 4).numpy()] == 0).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_both_sides_of_an_anti_join_are_those_of_shapiq(con: ialgebra.Session, seed: int) -> None:
    net, x, other = tabular(seed, features=8)
    con.register_model("f", net)
    con.register_input("x", x)
    con.register_input("x'", other)
    sides = exact(con, "select * from f(x) left join (select * from f(x'))")
    for answer, foreground, background in zip(sides, (x, other), (other, x), strict=True):
        target = int(net(foreground[None])[0].argmax())

        def game(
            coalitions: NDArray[np.bool_], a: Tensor = foreground, b: Tensor = background, column: int = target
        ) -> Floats:
            rows = np.where(np.atleast_2d(coalitions), a.numpy(), b.numpy())
            return net(torch.from_numpy(rows))[:, column].numpy()

        said = shapiq.ExactComputer(n_players=8, game=game)("SV").get_n_order_values(1)
        assert agree(answer.values, said)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_game_table_has_the_values_of_shapiq(con: ialgebra.Session, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=2**9).cumsum()

    def game(coalitions: NDArray[np.generic]) -> Floats:
        return values[np.atleast_2d(coalitions).astype(bool) @ (1 << np.arange(9))]

    con.register_model("f", lambda batch: torch.from_numpy(game(batch.numpy())))
    con.register_input("x", torch.ones(9))
    (answer,) = exact(con, "select * from f(x)")
    assert agree(answer.values, shapiq.ExactComputer(n_players=9, game=game)("SV").get_n_order_values(1))
