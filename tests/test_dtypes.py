"""Values arrive as they were registered: a model sees the number type of its input, and another only if it refuses it.

Right values are enumerated here, over the model itself called with the numbers as registered.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ialgebra
from ialgebra.errors import IalgebraError, IalgebraWarning, ModelError

Explained = Callable[[Tensor], float]


def shapley(v: Explained, x: Tensor, baseline: Tensor) -> np.ndarray:
    """Eq. 2 over single features."""
    d, phi = x.numel(), np.zeros(x.numel())
    values = {}
    for present in itertools.product([False, True], repeat=d):
        mask = torch.tensor(present).reshape(x.shape)
        values[present] = v(torch.where(mask, x, baseline))
    for present, value in values.items():
        size = sum(present)
        for i in range(d):
            share = 1 / (d * math.comb(d - 1, size - present[i]))
            phi[i] += share * value if present[i] else -share * value
    return phi


def session(model: object, x: object, **options: object) -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", model, **options)
    con.register_input("x", x)
    return con


class Splits(nn.Module):
    """Reads ids and times from its input itself, and computes in its own number type with what is left."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table, self.mix = nn.Embedding(7, 3, dtype=dtype), nn.Linear(5, 1, dtype=dtype)

    def forward(self, batch: Tensor) -> Tensor:
        ids, seconds = batch[:, 0].long(), batch[:, 1:] % 60
        held = torch.cat([self.table(ids % 7), seconds.to(self.mix.weight.dtype) / 60], dim=1)
        return self.mix(held)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_float64_input_arrives_at_a_narrow_module_that_splits_it(dtype: torch.dtype) -> None:
    net = Splits(dtype).eval()
    x = torch.tensor([33554439.0, 1700000017.25, 1700000042.5], dtype=torch.float64)

    def v(row: Tensor) -> float:
        return float(net(row[None]).detach())

    found = session(net, x).sql("select * from f(x, target => 0)")[0]
    rough = 1e-5 if dtype == torch.float32 else 2e-2
    assert found.values == pytest.approx(shapley(v, x, torch.zeros_like(x)), abs=rough)
    rounded = shapley(lambda row: v(row.to(dtype).double().nan_to_num(posinf=0)), x, torch.zeros_like(x))
    assert np.abs(rounded - shapley(v, x, torch.zeros_like(x))).max() > 0.05  # the numbers decide the answer


class OneHot(nn.Module):
    """Its first layer reads the one-hot vectors that it makes of its whole numbers."""

    def __init__(self, first: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = first, nn.LazyLinear(2)

    def forward(self, batch: Tensor) -> Tensor:
        hot = F.one_hot(batch, 5).float()
        hot = hot.transpose(1, 2) if isinstance(self.first, nn.Conv1d) else hot
        return self.last(self.first(hot).flatten(1).tanh())


@pytest.mark.parametrize("first", [lambda: nn.Conv1d(5, 2, 2), lambda: nn.Linear(5, 3), lambda: nn.LayerNorm(5)])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_whole_numbers_arrive_at_a_net_that_makes_one_hot_vectors(
    first: Callable[[], nn.Module], dtype: torch.dtype
) -> None:
    net, x = OneHot(first()).eval(), torch.tensor([1, 4, 2], dtype=dtype)
    net(x[None].long())

    def v(row: Tensor) -> float:
        return float(net(row[None].long()).detach()[0, 1])

    found = session(net, x).sql("select * from f(x, target => 1)")[0]
    assert found.values == pytest.approx(shapley(v, x, torch.zeros_like(x)), abs=1e-6)


@pytest.mark.parametrize(
    "dtype",
    [
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32, torch.int64),
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    ],
)
@pytest.mark.parametrize("shape", [(4,), (2, 3, 3)])
def test_a_model_that_takes_every_type_sees_the_one_registered(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    met: set[torch.dtype] = set()

    class Sees(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, batch: Tensor) -> Tensor:
            met.add(batch.dtype)
            return batch.double().flatten(1)[:, :2] * self.weight

    x = torch.ones(shape).to(dtype)
    for model in (Sees(), lambda batch: Sees()(batch)):
        found = session(model, x).sql("select * from f(x, target => 1)")[0]
        assert met == {dtype}
        assert found.full_value == 1
        met.clear()


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int16, torch.int64, torch.float16, torch.float64])
def test_a_net_that_refuses_a_type_gets_the_nearest(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    x = torch.ones(3, 2, 2).to(dtype)
    found = session(net, x).sql("select * from f(x, target => 1, players => pixels)")[0]
    assert found.map.sum(0) == pytest.approx(net[1].weight[1].detach().reshape(3, 2, 2).numpy().sum(0), abs=1e-6)


def test_the_type_that_loses_least_is_tried_first() -> None:
    met: list[torch.dtype] = []

    def model(batch: Tensor) -> Tensor:
        met.append(batch.dtype)
        if batch.dtype not in (torch.float32, torch.float16):
            raise TypeError("no such type")
        return batch.flatten(1)[:, :1]

    session(model, torch.tensor([3, 4])).sql("select * from f(x, target => 0)")
    assert met[:3] == [torch.int64, torch.float64, torch.float32]
    assert set(met[3:]) == {torch.float32}  # what was refused once is not tried again


def test_float64_is_refused_once_and_remembered() -> None:
    torch.manual_seed(0)
    net, seen = nn.Linear(9, 2), []
    net.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0].dtype))
    con = session(net, np.linspace(0, 1, 9) + 0.1)
    con.sql("select * from f(x, target => 0)")
    con.sql("select * from f(x, target => 0) budget 100")
    assert seen.count(torch.float64) == 1
    assert "float64" in con.sql("describe f").text


@pytest.mark.parametrize(
    ("dtype", "x", "said"),
    [
        (torch.float32, np.array([16777217.0, 2.0]), "16777217 to 16777216"),
        (torch.float32, np.array([2**40 + 1, 2]), "1099511627777 to 1099511627776"),
        (torch.float16, np.array([2049.0, 2.0], dtype=np.float32), "2049 to 2048"),
        (torch.float32, np.array([1700000100.25, 2.0]), "1700000100.25 to 1700000128"),
    ],
)
def test_a_number_that_a_cast_changes_is_warned_of_once_and_described(
    dtype: torch.dtype, x: np.ndarray, said: str
) -> None:
    torch.manual_seed(0)
    con = session(nn.Linear(2, 2).to(dtype), x)
    with pytest.warns(IalgebraWarning, match=f"from {said}"):
        con.sql("select * from f(x, target => 0)")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        con.sql("select * from f(x, target => 1) budget 4")
    assert f"from {said}" in con.sql("describe f").text
    assert f"model f refuses {str(con._catalog.inputs['x'].elements[0].tensor.dtype)[6:]}" in con.explain(
        "select * from f(x)"
    )


def test_ordinary_rounding_of_fractions_is_described_without_a_warning() -> None:
    torch.manual_seed(0)
    con = session(nn.Linear(2, 2), np.array([0.1, 0.2]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        con.sql("select * from f(x, target => 0)")
    assert "refuses float64" in con.sql("describe f").text
    exact = session(nn.Linear(2, 2), np.array([0.5, 0.25]))
    exact.sql("select * from f(x, target => 0)")
    assert "refuses" not in exact.sql("describe f").text


@pytest.mark.parametrize(
    ("dtype", "other", "expected"),
    [
        (torch.uint8, "mean(xs)", torch.float32),
        (torch.uint8, "blur(1)", torch.float32),
        (torch.uint8, "0.5", torch.float32),
        (torch.uint8, "7", torch.uint8),
        (torch.bool, "1", torch.bool),
        (torch.bool, "0.5", torch.float32),
        (torch.int32, "mean(xs)", torch.float64),
        (torch.int64, "0.5", torch.float64),
        (torch.int64, "-3", torch.int64),
        (torch.float16, "mean(xs)", torch.float16),
        (torch.bfloat16, "blur(1)", torch.bfloat16),
        (torch.float64, "blur(1)", torch.float64),
    ],
)
def test_hybrids_have_a_type_that_holds_both_ends(dtype: torch.dtype, other: str, expected: torch.dtype) -> None:
    met: set[torch.dtype] = set()

    def model(batch: Tensor) -> Tensor:
        met.add(batch.dtype)
        return batch.double().flatten(1).sum(1, keepdim=True)

    con = ialgebra.connect(progress=False)
    con.register_model("f", model)
    con.register_input("xs", (torch.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4) % 7).to(dtype))
    con.register_input("x", (torch.arange(3 * 4 * 4).reshape(3, 4, 4) % 5).to(dtype))
    found = con.sql(f"select * from f(x, target => 0, baseline => {other})")[0]
    assert met <= {dtype, expected}
    assert expected in met
    assert found.values.sum() == pytest.approx(found.full_value - found.base_value)


def test_large_whole_numbers_mix_with_a_baseline_of_fractions_unchanged() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: (batch.double() % 1000)[:, :1])
    con.register_input("x", np.array([2**30 + 1, 5]), kind="tabular")
    found = con.sql("select * from f(x, target => 0, baseline => 0.5)")[0]
    assert found.full_value == (2**30 + 1) % 1000


@pytest.mark.parametrize("narrow", [torch.float16, torch.bfloat16, torch.float32])
def test_large_whole_numbers_mix_with_a_narrow_input_unchanged(narrow: torch.dtype) -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: (batch.double() % 1000)[:, :1])
    con.register_input("x", np.array([2**30 + 1, 5]), kind="tabular")
    con.register_input("y", torch.tensor([0.5, 2.0], dtype=narrow))
    found = con.sql("select * from f(x, target => 0, baseline => y)")[0]
    assert (found.full_value, found.base_value) == ((2**30 + 1) % 1000, 0.5)


@pytest.mark.parametrize("dtype", [torch.bool, torch.float16, torch.bfloat16, torch.uint16])
def test_edits_and_files_keep_the_type(dtype: torch.dtype, tmp_path) -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: batch.double().flatten(1).cumsum(1)[:, 20:22])
    con.register_input("x", (torch.arange(48).reshape(3, 4, 4) % 2).to(dtype))
    con.register_input("y", (torch.arange(48).reshape(3, 4, 4) % 3).to(dtype))
    for edited in ("nullify(x, row < 2)", "clip(x, 0, 1)", "noise(x, 0.1, 1)", "shift(x, 1, 0)", "rotate(x, 90)"):
        answer = con.sql(f"select * from f({edited}, target => 0)")
        assert answer[0].content.dtype == con._catalog.inputs["x"].elements[0].array.dtype
    pair = con.sql("select * from f(substitute(x, col > 1, y), target => 0) left join f(y, target => 1)")
    path = pair.save(tmp_path / "pair.ialgebra")
    again = ialgebra.load(path)
    assert np.array_equal(again[0].map, pair[0].map)
    assert again[0].content.dtype == pair[0].content.dtype


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int16])
def test_whole_numbers_of_every_width_are_read_by_a_linear_map(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    net, x = nn.Linear(4, 2), torch.tensor([3, 1, 4, 1]).to(dtype)
    found = session(net, x).sql("select * from f(x, target => 0)")[0]
    assert found.values == pytest.approx(net.weight[0].detach().numpy() * [3, 1, 4, 1], abs=1e-6)


@pytest.mark.parametrize(
    ("dtype", "x", "said"),
    [
        (torch.float32, np.array([1e300, 1.0]), r"from 1e\+300 to inf"),
        (torch.float16, np.array([1e5, 1.0], dtype=np.float32), "from 100000 to inf"),
    ],
)
def test_an_overflow_of_a_cast_is_named_where_the_model_fails_for_it(
    dtype: torch.dtype, x: np.ndarray, said: str
) -> None:
    torch.manual_seed(0)
    with pytest.raises(ModelError, match=f"returned (infinity|NaN).*it refuses float.*({said})"):
        session(nn.Linear(2, 2).to(dtype), x).sql("select * from f(x, target => 0)")


def test_errors_that_are_not_about_types_are_told_as_they_are() -> None:
    torch.manual_seed(0)
    with pytest.raises(ModelError, match=r"mat1 and mat2 shapes cannot be multiplied"):
        session(nn.Linear(3, 2), np.ones(4)).sql("select * from f(x)")
    with pytest.raises(ModelError, match=r"IndexError: index out of range"):
        session(nn.Sequential(nn.Embedding(3, 2), nn.Flatten()), torch.tensor([1, 9])).sql("select * from f(x)")
    calls = []

    def fails(batch: Tensor) -> Tensor:
        calls.append(batch.dtype)
        raise ValueError("the disk is full")

    with pytest.raises(ModelError, match="ValueError: the disk is full"):
        session(fails, np.ones(4)).sql("select * from f(x)")
    assert calls == [torch.float64]


def test_gradients_of_whole_numbers_are_those_of_fractions() -> None:
    pytest.importorskip("captum")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, batch: Tensor) -> Tensor:
            return self.net(batch / 2)

    x = torch.arange(12, dtype=torch.uint8).reshape(3, 2, 2)
    for model, scale in ((net, 1.0), (Scaled(), 0.5)):
        found = session(model, x).sql("select * from f(x, target => 1) using captum.InputXGradient()")[0]
        expected = net[1].weight[1].detach().reshape(3, 2, 2).numpy() * x.numpy() * scale
        assert found.map == pytest.approx(expected, rel=1e-5)


def test_heads_are_trained_on_what_the_model_takes() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))
    con = ialgebra.connect(progress=False)
    con.register_model("f", net)
    report = con.fit_heads("f", torch.randn(40, 4, dtype=torch.float64))
    assert report.layers[0].agreement >= 0


def test_a_model_of_another_type_than_before_is_asked_again() -> None:
    torch.manual_seed(0)
    net = nn.Linear(3, 2)
    con = session(net, np.array([0.1, 0.2, 0.3]))
    before = con.sql("select * from f(x, target => 0)")[0]
    net.double()
    after = con.sql("select * from f(x, target => 0)")[0]
    assert after.values == pytest.approx(before.values, abs=1e-6)
    expected = net.weight[0].detach().numpy() * np.array([0.1, 0.2, 0.3])
    assert after.values == pytest.approx(expected, rel=1e-14)


def test_an_unknown_failure_is_an_error_of_this_package() -> None:
    class Refuses(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            raise AssertionError

    with pytest.raises(IalgebraError):
        session(Refuses(), np.ones(3)).sql("select * from f(x)")
