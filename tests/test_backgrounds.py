"""A background of many rows: the mean over its rows is one game, whose v(S) is the mean of the rows' values (L18)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

import ialgebra
from ialgebra.planner import boards
from tests.oracle import shapley


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows are many enough."""
    monkeypatch.setattr(boards, "FEW", 2)


Value = Callable[[Tensor], Tensor]  # rows (n, d) to their values (n,)


def net(features: int = 5) -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(features, 8), nn.Tanh(), nn.Linear(8, 3)).double().eval()


def session(x: object, background: object, model: object = None, **options: object) -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", net() if model is None else model, **options)  # type: ignore[arg-type]
    con.register_input("bg", background)
    for k, row in enumerate(background[:8] if isinstance(background, Tensor) else ()):
        con.register_input(f"b{k}", row)
    con.register_input("x", x, baseline="bg")
    return con


def rows(count: int, features: int = 5, seed: int = 0) -> Tensor:
    return torch.randn(count, features, generator=torch.Generator().manual_seed(seed)).double()


def mean_of_maps(value: Value, x: Tensor, background: Tensor, plays: list[int]) -> np.ndarray:
    """The mean over the rows of the background of their maps, each by enumeration."""
    maps = []
    for row in background:

        def v(coalition: frozenset[int], row: Tensor = row) -> float:
            mixed = row.clone()
            for player in coalition:
                mixed[plays[player]] = x[plays[player]]
            with torch.no_grad():
                return float(value(mixed[None])[0])

        maps.append(shapley(v, v, len(plays)))
    return np.mean(maps, axis=0)


@pytest.mark.parametrize("output", ["logit", "probability", "log_odds"])
@pytest.mark.parametrize("count", [2, 7])
def test_the_map_is_the_mean_over_the_rows(output: str, count: int):
    model, x, background = net(), rows(1, seed=1)[0], rows(count)
    reads: dict[str, Value] = {
        "logit": lambda batch: model(batch)[:, 1],
        "probability": lambda batch: model(batch).softmax(-1)[:, 1],
        "log_odds": lambda batch: torch.logit(model(batch).softmax(-1)[:, 1]),
    }
    con = session(x, background)
    (answer,) = con.sql(f"select * from f(x, target => 1, output => '{output}')")
    assert answer.values == pytest.approx(mean_of_maps(reads[output], x, background, list(range(5))), abs=1e-9)
    assert not answer.stderr.any()
    (again,) = con.sql(f"select * from f(x, target => 1, output => '{output}')")
    assert np.array_equal(again.values, answer.values)


def test_ends_are_means_and_the_sum_is_their_difference():
    model, x, background = net(), rows(1, seed=1)[0], rows(6)
    (answer,) = session(x, background).sql("select * from f(x, target => 2)")
    with torch.no_grad():
        assert answer.base_value == pytest.approx(float(model(background)[:, 2].mean()), abs=1e-12)
        assert answer.full_value == pytest.approx(float(model(x[None])[0, 2]), abs=1e-12)
    assert answer.values.sum() == pytest.approx(answer.full_value - answer.base_value, abs=1e-12)


def test_outside_a_window_every_row_keeps_its_own_values():
    model, x, background = net(), rows(1, seed=1)[0], rows(4)
    (answer,) = session(x, background).sql("select * from f(x, target => 0) where feature in (1, 3)")
    expected = mean_of_maps(lambda batch: model(batch)[:, 0], x, background, [1, 3])
    assert answer.values == pytest.approx(expected, abs=1e-9)
    with torch.no_grad():
        mixed = background.clone()
        mixed[:, [1, 3]] = x[[1, 3]]
        assert answer.full_value == pytest.approx(float(model(mixed)[:, 0].mean()), abs=1e-12)


def test_players_who_equal_some_rows_are_null_against_these():
    model, x, background = net(), rows(1, seed=1)[0], rows(6)
    background[0, 2] = background[3, 2] = x[2]
    background[1] = x
    background[:, 4] = x[4]
    con = session(x, background)
    (answer,) = con.sql("select * from f(x, target => 1)")
    expected = mean_of_maps(lambda batch: model(batch)[:, 1], x, background, list(range(5)))
    assert answer.values == pytest.approx(expected, abs=1e-9)
    assert answer.values[4] == 0


def test_missing_values_on_both_sides_are_the_same():
    x = torch.tensor([1.0, torch.nan, 2.0]).double()
    background = torch.tensor([[0.0, torch.nan, 1.0], [2.0, 3.0, 0.0]]).double()

    def model(batch: Tensor) -> Tensor:
        return (torch.nan_to_num(batch, nan=5.0) @ torch.tensor([1.0, 2.0, 3.0]).double())[:, None] ** 2

    (answer,) = session(x, background, model, outputs="values").sql("select * from f(x)")
    expected = mean_of_maps(lambda batch: model(batch)[:, 0], x, background, [0, 1, 2])
    assert answer.values == pytest.approx(expected, abs=1e-9)


def test_patterns_of_null_players_are_games_of_their_own_where_that_saves_rows():
    """12 players, of which every row differs in four: 2⁴ coalitions for each of three patterns, and exact values."""
    x = torch.zeros(12).double()
    background = torch.zeros(9, 12).double()
    for k in range(9):
        background[k, k % 3 * 4 : k % 3 * 4 + 4] = torch.arange(1.0 + k, 5.0 + k)
    weights = torch.arange(1.0, 13.0).double()

    def model(batch: Tensor) -> Tensor:
        return torch.stack([(batch * weights).sum(-1), (batch[:, :6] ** 2).prod(-1)], -1)

    con = session(x, background, model, outputs="logits")
    answer = con.sql("select * from f(x, target => 0)")
    assert answer[0].values == pytest.approx((-background.mean(0) * weights).numpy(), abs=1e-9)
    assert not answer[0].stderr.any()
    assert answer.stats.rows <= 9 * 2**4
    (line,) = (line for line in answer.plan.splitlines() if "mean over 3 backgrounds" in line)
    assert line.endswith("× 3")


def test_layers_with_heads_windows_and_joins_read_means():
    x, background = rows(1, seed=1)[0], rows(5)
    con = session(x, background)
    con.fit_heads("f", rows(30, seed=2), layers=[1])
    single = [con.sql(f"select 1 from f(x, target => 1, baseline => b{k})")[0].values for k in range(5)]
    (whole,) = con.sql("select 1 from f(x, target => 1)")
    assert whole.values == pytest.approx(np.mean(single, axis=0), abs=1e-9)
    (both,) = con.sql("select * from f(x, target => 1) join f(x, target => 1, baseline => b2) on weight = 0.25")
    (mean,), (one,) = (
        con.sql("select * from f(x, target => 1)"),
        con.sql("select * from f(x, target => 1, baseline => b2)"),
    )
    assert both.values == pytest.approx(0.25 * mean.values + 0.75 * one.values, abs=1e-9)


def test_another_class_is_read_from_the_same_means():
    con = session(rows(1, seed=1)[0], rows(5))
    con.sql("select * from f(x, target => 1)")
    answer = con.sql("select * from f(x, target => 2)")
    expected = mean_of_maps(lambda batch: net()(batch)[:, 2], rows(1, seed=1)[0], rows(5), list(range(5)))
    assert answer.stats.rows == 0
    assert answer[0].values == pytest.approx(expected, abs=1e-9)


def test_means_of_logits_are_no_means_of_probabilities():
    con = session(rows(1, seed=1)[0], rows(5))
    con.sql("select * from f(x, target => 1)")
    (answer,) = con.sql("select * from f(x, target => 1, output => 'probability')")
    expected = mean_of_maps(lambda b: net()(b).softmax(-1)[:, 1], rows(1, seed=1)[0], rows(5), list(range(5)))
    assert answer.values == pytest.approx(expected, abs=1e-9)


def test_rows_of_a_mean_are_counted_and_found_again():
    con = session(rows(1, seed=1)[0], rows(5))
    first, again = con.sql("select * from f(x, target => 1)"), con.sql("select * from f(x, target => 1)")
    assert 5 * 30 <= first.stats.rows <= 5 * 32
    assert (again.stats.rows, again.stats.reused_rows) == (0, first.stats.rows)


def test_a_sampled_mean_is_within_its_errors():
    features = 12
    model, x, background = net(features), rows(1, features, seed=1)[0], rows(8, features)
    con = session(x, background, model)
    (exact,) = con.sql("select * from f(x, target => 1) using exact()")
    answer = con.sql("select * from f(x, target => 1) budget 200")
    off = np.abs(answer[0].values - exact.values) / answer[0].stderr
    assert answer.stats.rows <= 200 * 8
    assert (off < 4).all()
    assert answer[0].stderr.max() < 0.2 * np.abs(exact.values).max()
    (bounded,) = con.sql("select * from f(x, target => 1) error within 5%")
    assert np.linalg.norm(bounded.values - exact.values) <= 0.05 * np.linalg.norm(exact.values)


def test_sampled_parts_of_a_background_draw_coalitions_of_their_own():
    """32 rows: four games of eight rows, whose errors cancel. One game of all rows has larger errors."""
    model, xs, background = net(12), rows(6, 12, seed=1), rows(32, 12)
    con = session(xs, background, model)
    exact = con.sql("select * from f(x, target => 1) using exact()")

    def error(answer: ialgebra.Relation) -> float:
        off = [np.linalg.norm(one.values - other.values) for one, other in zip(answer, exact, strict=True)]
        return float(np.mean(off))

    answer = con.sql("select * from f(x, target => 1) budget 60")
    assert answer.plan.count("mean over 8 backgrounds") >= 1
    assert answer.stats.rows <= 6 * 32 * 60
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boards, "_DRAWN_APART", 1)
        together = session(xs, background, model).sql("select * from f(x, target => 1) budget 60")
    assert error(answer) < 0.85 * error(together)
    off = np.concatenate([(one.values - other.values) / one.stderr for one, other in zip(answer, exact, strict=True)])
    assert (np.abs(off) < 2).mean() > 0.85


def test_banzhaf_values_of_a_mean():
    con = session(rows(1, seed=1)[0], rows(4))
    (answer,) = con.sql("select * from f(x, target => 1) using banzhaf()")
    single = [con.sql(f"select * from f(x, target => 1, baseline => b{k}) using banzhaf()")[0] for k in range(4)]
    assert answer.values == pytest.approx(np.mean([each.values for each in single], axis=0), abs=1e-9)


def test_small_batches_and_lack_of_memory_change_nothing():
    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = net()
            self.most = 0

        def forward(self, batch: Tensor) -> Tensor:
            if len(batch) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            self.most = max(self.most, len(batch))
            out: Tensor = self.inner(batch)
            return out

    x, background = rows(1, seed=1)[0], rows(7)
    (expected,) = session(x, background).sql("select * from f(x, target => 1)")
    for con in (session(x, background, Small()), session(x, background, batch_size=2)):
        (answer,) = con.sql("select * from f(x, target => 1)")
        assert answer.values == pytest.approx(expected.values, abs=1e-9)


def test_time_that_is_up_at_once_gives_the_ends():
    con = session(rows(1, 10, seed=1)[0], rows(6, 10), net(10))
    answer = con.sql("select * from f(x, target => 1) budget 300 within 0.000001 seconds")
    with torch.no_grad():
        gain = net(10)(rows(1, 10, seed=1))[0, 1] - net(10)(rows(6, 10))[:, 1].mean()
    assert answer[0].values.sum() == pytest.approx(float(gain), abs=1e-9)


def test_a_frame_against_the_rows_of_a_frame():
    generator = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {
            "age": generator.normal(40, 10, 60),
            "job": pandas.Categorical(generator.choice(["a", "b", "c"], 60)),
            "hours": generator.integers(10, 60, 60),
        }
    )
    wanted = frame.assign(job=frame["job"].cat.codes)
    inner = LogisticRegression().fit(wanted.to_numpy() / 10, generator.integers(0, 2, 60))

    class Model:
        classes_ = inner.classes_

        def predict_proba(self, rows: pandas.DataFrame) -> np.ndarray:
            assert [str(rows[name].dtype) for name in ("job", "hours")] == ["category", "int64"]
            return np.asarray(inner.predict_proba(rows.assign(job=rows["job"].cat.codes).to_numpy() / 10))

    con = ialgebra.connect(progress=False)
    con.register_model("f", Model().predict_proba, outputs="probabilities")
    con.register_input("bg", frame[:20])
    con.register_input("x", frame[20:21], baseline="bg")
    answer = con.sql("select * from f(x, target => 1)")
    x, background = torch.tensor(wanted.to_numpy()[20]), torch.tensor(wanted.to_numpy()[:20])

    def value(batch: Tensor) -> Tensor:
        return torch.from_numpy(inner.predict_proba((batch / 10).numpy())[:, 1])

    assert answer[0].values == pytest.approx(mean_of_maps(value, x, background, [0, 1, 2]), abs=1e-9)


def test_the_noise_of_a_random_model_is_that_of_means():
    """With σ = .1 and 16 rows, v(S) has noise of .025, not of .1."""

    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.generator = torch.Generator().manual_seed(1)

        def forward(self, batch: Tensor) -> Tensor:
            noise = torch.randn(len(batch), 2, generator=self.generator).double()
            return batch[:, :2] + 0.1 * noise

    x, background = rows(1, 4, seed=1)[0], rows(16, 4)
    con = ialgebra.connect(progress=False)
    con.register_model("f", Noisy(), outputs="logits")
    con.register_input("x", x)
    con.register_input("bg", background)
    con.register_input("b0", background[0])
    with pytest.warns(ialgebra.IalgebraWarning, match="random"):
        (mean,) = con.sql("select * from f(x, target => 0, baseline => bg)")
    (one,) = con.sql("select * from f(x, target => 0, baseline => b0)")
    assert 0.15 < (mean.stderr / one.stderr).mean() < 0.6
    expected = np.append(float(x[0] - background[:, 0].mean()), np.zeros(3))
    assert (np.abs(mean.values - expected) < 5 * mean.stderr).all()


def test_a_model_that_cannot_be_read_whole_is_asked_row_by_row():
    """Its remembered rows are what tells that it has changed."""
    import ctypes

    factor = ctypes.c_double(1.0)

    def model(batch: Tensor, read: object = ctypes.CFUNCTYPE(ctypes.c_double)(lambda: factor.value)) -> Tensor:
        return batch[:, :2] * read()  # type: ignore[operator]

    x, background = rows(1, 4, seed=1)[0], rows(3, 4)
    con = session(x, background, model, outputs="logits")
    (first,) = con.sql("select * from f(x, target => 0)")
    factor.value = 2.0
    (second,) = con.sql("select * from f(x, target => 0)")
    assert second.values == pytest.approx(2 * first.values, abs=1e-9)


def test_explain_says_that_a_game_is_a_mean():
    con = session(rows(1, seed=1)[0], rows(5))
    assert "mean over 5 backgrounds" in con.explain("select * from f(x, target => 1)")


def test_few_rows_are_games_of_their_own_whose_rows_are_met_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(boards, "FEW", 8)
    con = session(rows(1, seed=1)[0], rows(7))
    con.sql("select * from f(x, target => 1, baseline => b3)")
    assert con.sql("select * from f(x, target => 1)").stats.reused_rows >= 30
