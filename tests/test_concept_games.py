"""Games of nonnegative and sparse directions are played on the model: v(S) = f_{>l}(Σ_{j∈S} u_j d_j + residual)."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.errors import BindError
from ialgebra.models.concepts.encoders import NonnegativeEncoder, SparseEncoder

SIZE = 5


class _Skipping(nn.Module):
    """What comes after `first` also reads the input."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(5, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.first(x))
        return self.rest(hidden, x)

    def rest(self, hidden: Tensor, x: Tensor) -> Tensor:
        joined: Tensor = self.head(torch.relu(self.second(torch.cat([hidden, x], dim=1))).mean(dim=(2, 3)))
        return joined


class _Tuples(nn.Module):
    """A layer that returns a tuple, as blocks of transformers do."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(36, 12)

        def forward(self, x: Tensor) -> tuple[Tensor, None]:
            return torch.relu(self.linear(x.flatten(1))), None

    def __init__(self) -> None:
        super().__init__()
        self.block, self.head = self.Block(), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(torch.tanh(self.block(x)[0]))
        return found


def _flat() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 12), nn.ReLU(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3))


def _conv() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(16, 3))


# A net, its layer, that layer's output, and what the net makes of it and of the input.
NETS: dict[str, tuple[nn.Module, str, Callable[..., Tensor], Callable[..., Tensor]]] = {}
for _name, _net, _layer, _before, _after in (
    ("flat", _flat(), "2", lambda net, x: net[:3](x), lambda net, h, x: net[3:](h)),
    ("convolution", _conv(), "1", lambda net, x: net[:2](x), lambda net, h, x: net[2:](h)),
    ("skipping", _Skipping(), "first", lambda net, x: net.first(x), lambda net, h, x: net.rest(torch.relu(h), x)),
    ("tuples", _Tuples(), "block", lambda net, x: net.block(x)[0], lambda net, h, x: net.head(torch.tanh(h))),
):
    NETS[_name] = (_net, _layer, _before, _after)


def _session(name: str, kind: str) -> tuple[ialgebra.Session, Tensor]:
    torch.manual_seed(3)
    net, layer, *_ = NETS[name]
    net.double().eval()
    for each in net.parameters():
        nn.init.normal_(each, std=0.5)
    xs = torch.rand(40, 1, 6, 6, dtype=torch.float64)
    con = ialgebra.connect(progress=False)
    con.register_model("f", net, classes=["a", "b", "c"])
    con.register_input("xs", xs)
    for number, each in enumerate(("x", "y")):
        con.register_input(each, xs[number])
    con.fit_concepts("f", xs, size=SIZE, kind=kind, layers=[layer])
    return con, xs


def _game(con: ialgebra.Session, name: str, x: Tensor, target: int) -> Callable[[tuple[int, ...]], float]:
    """v(S), by the equation: the layer's output with the parts of absent attributes taken away."""
    net, _, before, after = NETS[name]
    encoder = con.catalog().concepts["f.concepts"].encoder
    assert isinstance(encoder, NonnegativeEncoder | SparseEncoder)
    with torch.no_grad():
        hidden = before(net, x[None])
        maps, flat = encoder.maps(hidden)[0], hidden.reshape(hidden.shape[1], -1)

    def value(present: tuple[int, ...]) -> float:
        left = flat.clone()
        for j in set(range(SIZE)) - set(present):
            left -= torch.outer(encoder.directions[j].to(maps.dtype), maps[j])
        with torch.no_grad():
            return float(after(net, left.reshape(hidden.shape), x[None])[0, target])

    return value


def _shapley(value: Callable[[tuple[int, ...]], float], players: tuple[int, ...]) -> np.ndarray:
    """Eq. 2, written out."""
    found = np.zeros(len(players))
    for place, player in enumerate(players):
        others = [each for each in players if each != player]
        for size in range(len(others) + 1):
            weight = math.factorial(size) * math.factorial(len(others) - size) / math.factorial(len(players))
            for some in combinations(others, size):
                found[place] += weight * (value(tuple(sorted((*some, player)))) - value(some))
    return found


@pytest.mark.parametrize("name", NETS)
def test_the_map_is_that_of_the_equation(name: str) -> None:
    con, xs = _session(name, "nmf")
    with con:
        for number in range(2):
            (found,) = con.sql(f"select * from f({'xy'[number]}, players => concepts, target => 'b')")
            value = _game(con, name, xs[number], 1)
            wanted = _shapley(value, tuple(range(SIZE)))
            np.testing.assert_allclose(found.values, wanted, rtol=0, atol=1e-6 * max(1, np.abs(wanted).max()))
            net = NETS[name][0]
            assert float(found.full_value) == pytest.approx(float(net(xs[number][None]).detach()[0, 1]), rel=1e-6)
            assert float(found.base_value) == pytest.approx(value(()), rel=1e-6, abs=1e-6)
            assert found.unexplained is None
        assert con.sql("select * from f(x, players => concepts, target => 'b')").stats.rows == 0


def test_sparse_codes_and_windows_and_comparisons() -> None:
    con, xs = _session("flat", "sae")
    with con:
        value = _game(con, "flat", xs[0], 2)
        (windowed,) = con.sql("select * from f(x, players => concepts, target => 'c') where concept in ('a0', 'a3')")
        wanted = _shapley(value, (0, 3))
        np.testing.assert_allclose(windowed.values, wanted, rtol=0, atol=1e-6)
        every = con.sql("select * from f(xs, players => concepts, target => 'c') having index < 3")
        np.testing.assert_allclose(every[0].values, _shapley(value, tuple(range(SIZE))), rtol=0, atol=1e-6)
        other = _game(con, "flat", xs[1], 2)
        joined = con.sql(
            "select * from f(x, players => concepts, target => 'c') join f(y, players => concepts, target => 'c')"
        )
        both = (_shapley(value, tuple(range(SIZE))) + _shapley(other, tuple(range(SIZE)))) / 2
        np.testing.assert_allclose(joined[0].values, both, rtol=0, atol=1e-6)
        against = con.sql("select * from f(x, players => concepts, target => 'c', baseline => y)")
        con.register_input("pair", xs[1:3])
        pair = con.sql("select * from f(x, players => concepts, target => 'c', baseline => pair)")
        con.register_input("third", xs[2])
        third = con.sql("select * from f(x, players => concepts, target => 'c', baseline => third)")
        np.testing.assert_allclose(pair[0].values, (against[0].values + third[0].values) / 2, rtol=0, atol=1e-6)
        surrogate = con.sql("select * from f.g(x, players => concepts, target => 'c')")
        assert surrogate[0].unexplained is not None


def test_few_rows_are_near_to_many() -> None:
    """Of 25 attributes the error at 200 rows is within 5 % of what twenty times the rows say."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 3))
    xs = torch.rand(80, 1, 6, 6)
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", net)
        con.register_input("xs", xs)
        con.fit_concepts("f", xs, size=25, kind="nmf", layers=["2"])
        query = "select * from f(xs, players => concepts, target => 1) having index < 3 budget {}"
        few, many = (con.sql(query.format(rows)) for rows in (200, 4000))
        errors = [
            np.linalg.norm(one.values - other.values) / np.linalg.norm(other.values)
            for one, other in zip(few, many, strict=True)
        ]
        assert np.median(errors) < 0.05


def test_a_model_that_cannot_be_run_on_is_refused() -> None:
    """Its rest reads the layer's output by another way than the one that it was returned by."""

    class Layer(nn.Linear):
        last = torch.zeros(0)

        def forward(self, x: Tensor) -> Tensor:
            self.last = super().forward(x)
            return self.last

    class Kept(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = Layer(36, 12), nn.Linear(12, 3)

        def forward(self, x: Tensor) -> Tensor:
            self.layer(x)
            made: Tensor = self.head(self.layer.last.exp())
            return made

    torch.manual_seed(0)
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", Kept(), classes=["a", "b", "c"])
        con.register_input("xs", torch.rand(30, 36))
        con.fit_concepts("f", torch.rand(30, 36), size=3, kind="nmf", layers=["layer"])
        with pytest.raises(BindError, match=r"cannot be run on from layer 'layer'.*f\.g"):
            con.sql("select * from f(xs, players => concepts, target => 1) having index = 2")
        (surrogate,) = con.sql("select * from f.g(xs, players => concepts, target => 1) having index = 2")
        assert surrogate.unexplained is not None


class _Counted(nn.Module):
    """Counts the rows that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x)
        return found


def test_the_passes_by_which_a_model_is_run_on_are_counted_and_a_kept_answer_needs_none() -> None:
    torch.manual_seed(0)
    xs, net, rows = torch.rand(40, 6), _Counted().eval(), [0]
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", net, classes=["a", "b", "c"])
        con.register_input("xs", xs)
        con.fit_concepts("f", xs, size=4, kind="nmf", layers=["body.1"])
        query = "select * from f(xs, players => concepts, target => 'b') having index < 3"
        handle = net.body[2].register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
        first = con.sql(query)
        handle.remove()
        assert sum(rows) <= first.stats.rows + first.stats.examined_rows
        players = [2 ** int(np.count_nonzero(each.values)) for each in first]
        assert first.stats.rows >= sum(players) + 3  # the games, and a pass of each input
        again = con.sql(query)
        assert (again.stats.rows, again.stats.examined_rows, again.stats.batches) == (0, 0, 0)
        for one, other in zip(first, again, strict=True):
            np.testing.assert_array_equal(one.values, other.values)
        with torch.no_grad():
            net.body[2].weight += 1
        changed = con.sql(query)
        assert changed.stats.rows > 0
        assert not np.allclose(changed[0].full_value, first[0].full_value)


def test_flint_reads_a_model_of_doubles() -> None:
    torch.manual_seed(0)
    rows = torch.rand(60, 6, dtype=torch.float64)
    with ialgebra.connect(progress=False) as con:
        con.register_model("d", nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 2)).double())
        con.register_input("rows", rows)
        con.fit_concepts("d", rows, size=3)
        (found,) = con.sql("select * from d(rows, players => concepts, target => 1) limit 1")
        assert found.unexplained is not None
        total = float(found.values.sum()) + found.unexplained
        net = con.registered()["models"]["d"]
        assert isinstance(net, nn.Module)
        ends = net(torch.stack([rows[0], torch.zeros(6, dtype=torch.float64)])).detach()[:, 1]
        assert total == pytest.approx(float(ends[0] - ends[1]), abs=1e-9)
