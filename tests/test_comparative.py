"""One input against a reference set: games and rows counted in the model, means against the separate answers and the
oracle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import Strategy
from ialgebra.answering.running import Standing
from tests import oracle, worlds
from tests.faults import resident
from tests.oracle import Anti, Call, Join, Layer, Where
from tests.worlds import close

pytestmark = pytest.mark.filterwarnings("ignore:this (anti-)?join")

MANY = 100


class Rows(nn.Module):
    """A small image net, double, that counts what comes through, and how large the process is meanwhile."""

    def __init__(self, side: int = 8, watched: bool = False) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.head = nn.Linear(16, 3)
        self.double().eval()
        self.watched, self.rows, self.largest = watched, 0, 0

    def forward(self, batch: Tensor) -> Tensor:
        self.rows += len(batch)
        if self.watched:
            self.largest = max(self.largest, int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
        result: Tensor = self.head(self.net(batch))
        return result


def session(count: int = MANY, side: int = 8, **options: bool) -> tuple[ialgebra.Session, Rows]:
    """x and a collection xs of so many images, four players each, on a net that counts."""
    con, net = ialgebra.connect(progress=False), Rows(side, **options)
    con.register_model("f", net, version="1")  # without a word, its reading of a file would be doubted
    generator = torch.Generator().manual_seed(count)
    con.register_input("x", torch.randn(3, side, side, generator=generator).double(), players="grid(2, 2)")
    xs = torch.randn(count, 3, side, side, generator=generator).double()
    con.register_input("xs", xs, players="grid(2, 2)")
    con.sql("explain select * from f(x)")  # the one row that tells the layers
    net.rows = 0
    return con, net


def games(con: ialgebra.Session, text: str, strategy: Strategy = Strategy.BEST) -> int:
    """How many games the plan of a query plays, counted by their sets of hybrids and columns."""
    from ialgebra.answering import question
    from ialgebra.language import reader, tree

    (statement,) = reader.parse(text)
    assert isinstance(statement, tree.Query)
    request = question.Request(statement, text, 0, strategy)
    return len(question.BoundQuery.of(request, con._catalog).plan().jobs)


# --- joins with a collection

JOIN = "select * from f(x, target => 1) join (select * from f(xs, target => 1)) using exact()"


def test_a_join_with_a_hundred_costs_a_hundred_and_one_games() -> None:
    con, net = session()
    assert games(con, JOIN) == MANY + 1
    answer = con.sql(JOIN)
    assert len(answer) == 1
    # 16 coalitions a game; the empty one is the same image of zeros in all of them, x itself was run already
    assert net.rows == answer.stats.rows == (MANY + 1) * 15 + 1 - 1
    assert con.sql(JOIN).stats.rows == 0


def test_it_is_the_mean_of_the_separate_answers() -> None:
    con, _ = session()
    (joined,) = con.sql(JOIN)
    (own,) = con.sql("select * from f(x, target => 1) using exact()", strategy="AS_WRITTEN")
    each = con.sql("select * from f(xs, target => 1) using exact()", strategy="AS_WRITTEN")
    assert len(each) == MANY
    mean = np.mean([a.map for a in each], axis=0)
    assert close(joined.map, (own.map + mean) / 2, 1e-5)
    weighted = con.sql(JOIN.replace(" using", " on weight = 0.9 using"))
    assert close(weighted[0].map, 0.9 * own.map + 0.1 * mean, 1e-5)
    assert weighted.stats.rows == 0, "another weight is another sum of the same games"


def test_a_few_of_them_by_the_oracle() -> None:
    con, net = session(3)
    world = oracle.World(
        {"f": oracle.Net(nn.Sequential(*net.net, net.head))},
        {"x": con._catalog.input("x").elements[0].tensor, "xs": [e.tensor for e in con._catalog.input("xs").elements]},
        {"w": lambda x: np.indices(x.shape)[1] < 5},
        {None: oracle.grid(2, 2)},
    )
    con.register_window("w", "row < 5")
    x, xs = Call("f", "x"), Call("f", "xs", target=2)
    plans = [Join((x, xs)), Join((xs, x), "0.25"), Where("w", Join((x, xs))), Anti((x, xs)), Where("w", Anti((xs, x)))]
    for plan in plans:
        found = con.sql(f"{oracle.query(plan)} using exact()")
        expected = world.maps(plan)
        assert len(found) == len(expected)
        for a, wanted in zip(found, expected, strict=True):
            assert close(a.map, wanted, 1e-9)


def test_sampled_errors_of_a_join_are_those_of_its_mean() -> None:
    """A hundred games of the same coalitions: the mean of their estimates, bit for bit in one plan or in many."""
    con, _ = session(20)
    text = "f({}, target => 1, players => grid(4, 4))"
    (joined,) = con.sql(f"select * from {text.format('x')} join {text.format('xs')} budget 120")
    parts = [con.sql(f"select * from {text.format(name)} budget 120") for name in ("x", "xs")]
    mean = (parts[0][0].values + np.mean([a.values for a in parts[1]], axis=0)) / 2
    np.testing.assert_allclose(joined.values, mean, rtol=1e-7, atol=1e-9)
    assert 0 < joined.relative_error < 1


def test_memory_does_not_grow_with_the_reference_set() -> None:
    """What a query takes while it runs: 200 images of 48 × 48 are 11 MB, and their 3,000 hybrids would be 165 MB.

    In a process of its own, whose heap no other test has left in pieces.
    """
    code = "from tests.test_comparative import taken; print(taken())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert int(told.stdout) < 80 << 20


def taken() -> int:
    """The bytes by which the process grows while a large join is evaluated."""
    con, net = session(200, 48, watched=True)
    con.sql("set batch_size = 16; select * from f(x, target => 1) using exact()")
    before = resident()
    con.sql(JOIN)
    assert net.rows > 200 * 15
    return net.largest - before


def test_its_progress_is_told() -> None:
    con, net = session()
    heard: list[Standing] = []
    from ialgebra.answering.loop import answered
    from ialgebra.answering.question import Request
    from ialgebra.language import reader, tree

    (statement,) = reader.parse(JOIN)
    assert isinstance(statement, tree.Query)
    answered(Request(statement, JOIN, 0, Strategy("slow", batch_size=64)), con._catalog, con._store, heard.append)
    rows = [each.rows for each in heard]
    assert len(rows) > 10
    assert rows == sorted(rows)
    assert rows[-1] == net.rows
    assert {each.forecast for each in heard} == {net.rows}, "the whole is known from the first batch on"


# --- anti-joins


def test_an_antijoin_with_a_collection_plays_each_pair_once() -> None:
    con, net = session()
    text = "select * from f(x, target => 1) left join (select * from f(xs, target => 1)) using exact()"
    assert games(con, text) == MANY
    assert games(con, text, Strategy.AS_WRITTEN) == 2 * MANY
    found = con.sql(text)
    assert net.rows == found.stats.rows == MANY * 15 + 1 - 1  # x is an end of all, and was run already
    assert len(found) == 2
    np.testing.assert_allclose(found[0].values, -found[1].values, rtol=1e-9), "one class, so that the sides are duals"
    few, _ = session()
    separate = [
        few.sql(f"select * from f(x, target => 1, baseline => only{k}) using exact()")[0].map
        for k in range(MANY)
        if few.register_input(f"only{k}", few._catalog.input("xs").elements[k].tensor) is None  # type: ignore[func-returns-value]
    ]
    assert close(found[0].map, np.mean(separate, axis=0), 1e-5)


@pytest.mark.parametrize("count", [3, 4])
def test_an_antijoin_of_k_inputs_plays_each_pair_once(count: int) -> None:
    con, net = session(1)
    names = ["a", "b", "c", "d"][:count]
    for seed, name in enumerate(names):
        generator = torch.Generator().manual_seed(10 + seed)
        con.register_input(name, torch.randn(3, 8, 8, generator=generator).double(), players="grid(2, 2)")
    plan = Anti(tuple(Call("f", name) for name in names))
    text = f"{oracle.query(plan)} using exact()"
    pairs = count * (count - 1) // 2
    assert games(con, text) == pairs
    assert games(con, text, Strategy.AS_WRITTEN) == 2 * pairs
    found = con.sql(text)
    assert net.rows == found.stats.rows == pairs * 14 + count, "both ends of a pair are inputs, which others share"
    world = oracle.World(
        {"f": oracle.Net(nn.Sequential(*net.net, net.head))},
        {name: con._catalog.input(name).elements[0].tensor for name in names},
        {},
        {None: oracle.grid(2, 2)},
    )
    for a, wanted in zip(found, world.maps(plan), strict=True):
        assert close(a.map, wanted, 1e-9)
    written, other = session(1)
    for name in names:
        written.register_input(name, con._catalog.input(name).elements[0].tensor, players="grid(2, 2)")
    written.sql(text, strategy="AS_WRITTEN")
    assert other.rows >= 2 * pairs * 14


def test_under_a_window_both_directions_are_played() -> None:
    """Outside the window each side stays at the other input, so that neither is the other's dual."""
    case = worlds.case(seed=6)
    operands = tuple(Call("f", name) for name in ("x", "x'", "y"))
    plan = Where("w", Layer(2, Anti(operands)))
    text = f"{oracle.query(plan)} using exact()"
    assert games(case.con, text) == 6
    for a, wanted in zip(case.con.sql(text), case.world.maps(plan), strict=True):
        assert close(a.map, wanted, 1e-9)
