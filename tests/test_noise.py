"""The noise of random models is in the standard errors of their answers. Right values are closed forms, and the values
of the same model without its noise."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import Attribution, IalgebraWarning
from ialgebra.estimation.noise import carried, combined
from ialgebra.kernels.estimators.registry import BANZHAF_VALUES, SHAPLEY_VALUES
from ialgebra.models.noise import NoiseLevel

X = torch.linspace(-1.5, 2.1, 8)
Y = torch.linspace(1.0, -1.1, 8).sin()
Q = "select * from f(x, target => 0)"


class Noisy(nn.Module):
    """A net (B, 8) → (B, 2), and noise that is added to its outputs."""

    def __init__(self, noise: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.net = nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 2))
        self._noise = noise

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.net(x)) + self._noise(x)


def normal(deviation: float) -> Callable[[Tensor], Tensor]:
    return lambda x: deviation * torch.randn(len(x), 2)


def answers(noise: Callable[[Tensor], Tensor], text: str = Q, seed: int = 0) -> list[Attribution]:
    with ialgebra.connect(progress=False) as con, warnings.catch_warnings():
        warnings.simplefilter("ignore", IalgebraWarning)
        con.register_model("f", Noisy(noise).eval())
        con.register_input("x", X)
        con.register_input("y", Y)
        torch.manual_seed(seed)
        return list(con.sql(text, seed=seed))


def exact_deviation(players: int) -> float:
    """√Var φ_i for noise of variance 1 in every v(S): Σ_S w² = (2 / d²) Σ_s 1 / C(d − 1, s)."""
    return math.sqrt(2 / players**2 * sum(1 / math.comb(players - 1, size) for size in range(players)))


@pytest.mark.parametrize("players", [3, 5, 8])
def test_noise_of_exact_values_is_that_of_the_closed_form(players: int) -> None:
    design = SHAPLEY_VALUES.design("exact", players, 1 << players, 0)
    column = np.zeros(1 << players)
    (found,) = SHAPLEY_VALUES.estimate(design, column[:, None])
    level = NoiseLevel(2.0, 2.0, 2.0, 1e9)
    noise = carried(lambda table: SHAPLEY_VALUES.estimate(design, table), design, column, found, level)
    stderr = np.hypot.reduce(combined(enumerate_parts(noise.empty, noise.full, noise.rest)), axis=0)
    np.testing.assert_allclose(stderr, 2.0 * exact_deviation(players), rtol=1e-6)
    np.testing.assert_allclose(noise.empty, -2.0 / players, rtol=1e-6)
    np.testing.assert_allclose(noise.full, 2.0 / players, rtol=1e-6)


def enumerate_parts(*influences: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    return [(number, 0, influence) for number, influence in enumerate(influences)]


def test_noise_of_exact_banzhaf_values_is_that_of_the_closed_form() -> None:
    design = BANZHAF_VALUES.design("exact", 6, 64, 0)
    (found,) = BANZHAF_VALUES.estimate(design, np.zeros((64, 1)))
    read = lambda table: BANZHAF_VALUES.estimate(design, table)  # noqa: E731
    noise = carried(read, design, np.zeros(64), found, NoiseLevel(1.0, 1.0, 1.0, 1e9))
    stderr = np.hypot.reduce(combined(enumerate_parts(noise.empty, noise.full, noise.rest)), axis=0)
    np.testing.assert_allclose(stderr, 2 / math.sqrt(64), rtol=1e-6)  # each v(S) counts ± 2 / 2^d


def test_games_that_share_an_end_share_its_draw() -> None:
    one, other = np.array([3.0, 0.0]), np.array([1.0, 2.0])
    same = combined([("end", "class 0", one), ("end", "class 0", other)])
    apart = combined([("end", "class 0", one), ("other end", "class 0", other)])
    unknown = combined([("end", "class 0", one), ("end", "class 1", other)])
    np.testing.assert_allclose(np.square(same).sum(axis=0), [16, 4])
    np.testing.assert_allclose(np.square(apart).sum(axis=0), [10, 4])
    np.testing.assert_allclose(np.square(unknown).sum(axis=0), [20, 8])  # the worst that may be


@pytest.mark.parametrize("deviation", [0.001, 1.0])
def test_the_stated_error_is_that_of_the_noise(deviation: float) -> None:
    """The mean over some sessions, which each measure the noise by themselves."""
    stated = [float(answers(normal(deviation), seed=seed)[0].stderr.mean()) for seed in range(6)]
    assert np.mean(stated) == pytest.approx(deviation * exact_deviation(8), rel=0.15)


@pytest.mark.parametrize(
    "text",
    [
        Q,
        Q + " using regression budget 60",
        Q + " using permutations budget 100",
        Q + " using banzhaf",
        "select * from f(x, target => 0) join f(y, target => 0)",
        "select * from f(x, target => 0) left join f(y, target => 0)",
    ],
)
def test_intervals_hold_the_values_of_the_model_without_its_noise(text: str) -> None:
    quiet = text.partition(" using regression")[0].partition(" using permutations")[0]
    expected = [each.values for each in answers(lambda x: torch.zeros(len(x), 2), quiet)]
    held = []
    for seed in range(12):
        for found, right in zip(answers(normal(0.05), text, seed), expected, strict=True):
            low, high = found.interval()
            held.append(np.mean((low <= right) & (right <= high)))
    assert 0.90 <= np.mean(held) <= 0.995


def test_noise_that_grows_with_the_row_is_stated_no_smaller_than_it_is() -> None:
    def growing(x: Tensor) -> Tensor:
        return 0.05 * x.abs().sum(dim=1, keepdim=True) * torch.randn(len(x), 2)

    expected = answers(lambda x: torch.zeros(len(x), 2))[0].values
    held = []
    for seed in range(10):
        low, high = answers(growing, seed=seed)[0].interval()
        held.append(np.mean((low <= expected) & (expected <= high)))
    assert np.mean(held) >= 0.93


@pytest.mark.filterwarnings("ignore:model 'f' is")
def test_one_draw_for_all_rows_of_a_batch_is_measured_row_by_row() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", Noisy(lambda x: 0.1 * torch.randn(1, 2)).eval())
    con.register_input("x", X)
    (found,) = con.sql(Q)
    assert found.method == "all coalitions, random, batch-dependent"
    assert float(found.stderr.mean()) == pytest.approx(0.1 * exact_deviation(8), rel=0.4)


@pytest.mark.filterwarnings("ignore:model 'f' is")
def test_rows_of_a_random_model_that_are_found_again_are_the_same_draw() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", Noisy(normal(0.1)).eval())
    con.register_input("x", X)
    con.register_input("y", Y)
    first, again = con.sql(Q), con.sql(Q)
    assert first[0].values.tolist() == again[0].values.tolist()
    assert first[0].stderr.tolist() == again[0].stderr.tolist()
    assert (again.stats.rows, again.stats.examined_rows) == (0, 0)
    assert first.stats.rows == 256
    assert con.sql("select * from f(y, target => 0)").stats.examined_rows == 0, "the noise is the same everywhere"


@pytest.mark.filterwarnings("ignore:model 'f' is")
def test_a_bound_that_noise_forbids_is_not_met() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", Noisy(normal(1.0)).eval())
    con.register_input("x", X)
    found = con.sql(Q + " error within 1%")
    assert not found.stats.bound_met
    assert found[0].relative_error > 0.01


@pytest.mark.filterwarnings("ignore:model 'f' is")
def test_maps_of_interpreters_that_ask_a_random_model_have_unknown_errors() -> None:
    pytest.importorskip("captum")
    con = ialgebra.connect(progress=False)
    con.register_model("f", Noisy(normal(0.1)).eval())
    con.register_input("x", X)
    (found,) = con.sql(Q + " using captum.IntegratedGradients()")
    assert found.method == "captum.IntegratedGradients, random"
    assert np.isinf(found.stderr).all()


@pytest.mark.filterwarnings("ignore:model 'f' is")
def test_of_many_inputs_each_map_states_the_noise() -> None:
    """Noise of σ = .1 in all rows: each exact map of 8 players has the same standard error."""
    con = ialgebra.connect(progress=False)
    con.register_model("f", Noisy(normal(0.1)).eval())
    con.register_input("xs", torch.stack([X, Y, *(X.roll(k) for k in range(1, 8)), *(Y.roll(k) for k in range(1, 8))]))
    found = con.sql("select * from f(xs, target => 0)")
    assert len(found) == 16
    for each in found:
        assert float(each.stderr.mean()) == pytest.approx(0.1 * exact_deviation(8), rel=0.5)
        assert each.stderr.tolist() == pytest.approx(found[0].stderr.tolist(), rel=1e-9)
    first = con.sql("select * from f(xs, target => 0) using regression budget 60")
    assert all(np.isfinite(each.stderr).all() and (each.stderr > 0.01).all() for each in first)
