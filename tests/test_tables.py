"""Passes that begin from pattern tables give the rows of full passes, and give way to full passes where they cannot."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import ialgebra
from ialgebra import Session, Strategy
from ialgebra.models import tabling
from ialgebra.models.graph import patterns, rules, sights, supports
from ialgebra.models.network import Network
from tests.models.graph.networks import NETWORKS, Case, Excited, Residual, vgg
from tests.models.zoo import seeded

TABLE = dataclasses.replace(Strategy.BEST, table=True)
WHOLE = dataclasses.replace(Strategy.BEST, table=False)


def drawn(case: Case, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    if len(case.shape) == 1:
        return torch.randint(1, 20, case.shape, generator=generator)
    return torch.rand(case.shape, generator=generator)


def session(model: nn.Module, case: Case) -> Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", model)
    for name, seed in (("x", 1), ("y", 2)):
        kind = {1: "tokens", 2: "series", 3: "image", 4: "volume"}[len(case.shape)]
        con.register_input(name, drawn(case, seed), kind=kind)
    return con


def network(con: Session) -> Network:
    return con._catalog.model("f")


def values(con: Session, query: str, strategy: Strategy) -> list[NDArray[np.float64]]:
    return [np.asarray(each.values) for each in con.sql(query, strategy=strategy, seed=3)]


PICTURES = [
    "select * from f(x, players => grid(4, 4)) budget 100",
    "select * from f(x, players => tile(8)) budget 90",
]
QUERIES: dict[str, list[str]] = {
    **dict.fromkeys(("residual", "dense", "u-net", "vgg"), PICTURES),
    "convnext": ["select * from f(x, players => grid(5, 5)) budget 120"],
    "series": ["select * from f(x) budget 100"],
    "volume": ["select * from f(x, players => grid(4, 2, 1)) budget 100"],
    "words": ["select * from f(x) budget 120"],
}


@pytest.mark.parametrize("mode", ["eager", "channels-last"])
@pytest.mark.parametrize("name", QUERIES)
def test_rows_from_tables_are_those_of_full_passes(name: str, mode: str) -> None:
    if mode == "channels-last" and name in ("series", "volume", "words"):
        pytest.skip("it has no pictures")
    for query in QUERIES[name]:
        con = session(seeded(NETWORKS[name].build), NETWORKS[name])
        ways = [dataclasses.replace(each, mode=mode, reuse=False, batch_size=32) for each in (TABLE, WHOLE)]
        begun, whole = (values(con, query, each) for each in ways)
        assert network(con).tabling.made.rows > 0, "no table was made"
        assert not network(con).tabling.refused
        assert np.array_equal(begun, whole)


ALGEBRA = [
    "select * from f(x, players => grid(4, 4)) left join f(y, players => grid(4, 4)) budget 100",
    "select * from f(x, players => grid(4, 4)) join f(y, players => grid(4, 4)) on weight = 0.3 budget 100",
    "select * from f(x, players => grid(4, 4)) where row < 12 budget 100",
    "select * from f(x, players => grid(4, 4), baseline => y) budget 100",
    "select * from f(x, players => grid(4, 4), target => 1, output => probability) budget 100",
    "select * from f(x, players => grid(4, 4)) using permutations() budget 100",
    "select 1, 2, * from f(x, players => grid(4, 4)) budget 100",
]


@pytest.mark.parametrize("query", ALGEBRA)
def test_every_operator_and_layer_reads_the_same_from_tables(query: str) -> None:
    case = NETWORKS["vgg"]
    con = session(seeded(case.build), case)
    con.register_input("xs", torch.rand(60, *case.shape, generator=torch.Generator().manual_seed(5)))
    con.fit_heads("f", "xs")
    whole = values(con, query, dataclasses.replace(WHOLE, reuse=False, mode="eager"))
    begun = values(con, query, dataclasses.replace(TABLE, reuse=False, mode="eager"))
    assert network(con).tabling.made.rows > 0
    assert np.array_equal(begun, whole)


FALLING_BACK: dict[str, Callable[[], nn.Module]] = {
    "squeeze and excitation": Excited,
    "hooks": lambda: hooked(vgg()),
    "state": lambda: Counting(),
    "branches": lambda: Branching(),
    "attention": lambda: Attending(),
    "tuple": lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 24, 3)),
}


class Counting(nn.Module):
    """Changes itself in every pass, which changes no answer."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.passes = vgg(), 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        return self.net(x)


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = vgg()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) if bool(x.abs().sum() > 0) else self.net(x) * 2


class Attending(nn.Module):
    """Patches that attend to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 6, 6)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(self.patches(x).flatten(2).transpose(1, 2)).mean(1))


def hooked(model: nn.Sequential) -> nn.Sequential:
    model[0].register_forward_hook(lambda _module, _given, made: made * 2)
    return model


@pytest.mark.parametrize("name", FALLING_BACK)
def test_networks_without_a_prefix_give_the_same_answers(name: str) -> None:
    case = Case(FALLING_BACK[name], (3, 24, 24))
    con = session(seeded(case.build), case)
    whole = values(con, PICTURES[0], dataclasses.replace(WHOLE, reuse=False, mode="eager"))
    begun = values(con, PICTURES[0], dataclasses.replace(TABLE, reuse=False, mode="eager"))
    assert np.array_equal(begun, whole)


def test_a_changed_network_gets_another_table() -> None:
    case = NETWORKS["vgg"]
    model = seeded(case.build)
    con = session(model, case)
    strategy = dataclasses.replace(TABLE, mode="eager")
    before = values(con, PICTURES[0], strategy)
    rows = network(con).tabling.made.rows
    values(con, PICTURES[0].replace("100", "110"), strategy)
    assert network(con).tabling.made.rows == rows, "the table is kept"
    with torch.no_grad():
        model[0].weight.mul_(1.5)
    after = values(con, PICTURES[0], strategy)
    assert network(con).tabling.made.rows > rows
    whole = values(con, PICTURES[0], dataclasses.replace(WHOLE, mode="eager", reuse=False))
    assert np.array_equal(after, whole)
    assert not np.allclose(after, before)


def test_tables_are_kept_within_their_bytes() -> None:
    case = NETWORKS["vgg"]
    con = session(seeded(case.build), case)
    tables = network(con).tabling.kept
    for baseline in (0, 0.25, 0.5):
        query = f"select * from f(x, players => grid(4, 4), baseline => {baseline}) budget 100"
        values(con, query, dataclasses.replace(TABLE, mode="eager"))
    assert 0 < tables.nbytes <= tabling.KEPT_BYTES
    assert len(tables) == 3


def test_a_preset_that_decides_nothing_makes_no_table() -> None:
    case = NETWORKS["vgg"]
    con = session(seeded(case.build), case)
    values(con, PICTURES[0], Strategy.FUSED)
    assert network(con).tabling.made.rows == 0


# --- Faults on purpose: the check of four rows finds every one


def _narrow_windows(places: NDArray[np.int64], count: int, size: int, stride: int, dilation: int) -> NDArray[np.int64]:
    return slid(places, count, max(1, size - 1), stride, dilation)


def _no_dilation(places: NDArray[np.int64], count: int, size: int, stride: int, dilation: int) -> NDArray[np.int64]:
    return slid(places, count, size, stride, 1) if dilation > 1 else _narrow_windows(places, count, size, stride, 1)


def _shifted(places: NDArray[np.int64], count: int, size: int, stride: int, dilation: int) -> NDArray[np.int64]:
    return np.roll(slid(places, count, size, stride, dilation), 1, axis=0)


def _one_stride(places: NDArray[np.int64], count: int, size: int, stride: int, dilation: int) -> NDArray[np.int64]:
    return slid(places, count, size, 1 if stride > 1 else 2, dilation)


def _unpadded(size: int, before: int, after: int, mode: str) -> NDArray[np.int64] | None:
    return padded(size, 0, before + after, mode)


def _one_colour(sight: object) -> NDArray[np.int64]:
    return np.minimum(coloured(sight), 0)  # type: ignore[arg-type]


def _two_as_one(sight: object) -> NDArray[np.int64]:
    found = coloured(sight)  # type: ignore[arg-type]
    return np.where(found == found.max(), 0, found)


def _wrong_order(sight: object) -> NDArray[np.int64]:
    found = coloured(sight)  # type: ignore[arg-type]
    found[:2] = found[1::-1]
    return found


def _blind(sight: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    seen, which = distinct(sight)
    return seen & (np.cumsum(seen, axis=0) <= 1), which  # each place sees one player at most


def _mixed_up(sight: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    seen, which = distinct(sight)
    return seen, np.roll(which, 1)


slid, padded, coloured, distinct = supports.slid, supports.padded, sights.coloured, sights.distinct
MUTANTS: dict[str, tuple[object, str, object]] = {
    "windows that are too narrow": (rules, "slid", _narrow_windows),
    "windows of a wrong dilation": (rules, "slid", _no_dilation),
    "windows one place off": (rules, "slid", _shifted),
    "windows of a wrong stride": (rules, "slid", _one_stride),
    "padding on the wrong side": (rules, "padded", _unpadded),
    "one colour for all": (patterns, "coloured", _one_colour),
    "two colours as one": (patterns, "coloured", _two_as_one),
    "colours of other players": (patterns, "coloured", _wrong_order),
    "places that see one player": (patterns, "distinct", _blind),
    "places that see what others see": (patterns, "distinct", _mixed_up),
}


@contextmanager
def replaced(owner: object, name: str, other: object) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, other)
    try:
        yield
    finally:
        setattr(owner, name, before)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_fault_in_supports_or_colours_is_found_before_the_table_is_used(name: str) -> None:
    for seed in range(4):
        case = Case(Residual, (3, 32, 32))
        con = ialgebra.connect(progress=False)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            con.register_model("f", Residual().eval())
        con.register_input("x", drawn(case, seed))
        with replaced(*MUTANTS[name]):
            begun = values(con, PICTURES[0], dataclasses.replace(TABLE, mode="eager"))
        assert network(con).tabling.refused, (name, seed)
        whole = values(con, PICTURES[0], dataclasses.replace(WHOLE, mode="eager", reuse=False))
        assert np.array_equal(begun, whole)


# --- What is said of tables


def test_explain_says_what_a_table_is_and_what_it_took() -> None:
    case = NETWORKS["vgg"]
    con = session(seeded(case.build), case)
    details = con.sql(
        f"explain analyze {PICTURES[0]}", strategy=dataclasses.replace(TABLE, mode="eager", verify=True)
    ).details
    (line,) = [each for each in details["decisions"] if each["id"] == "D11"]
    assert line["chosen"].startswith("from a table of 16 rows")
    assert [what for what, _, _ in line["rejected"]] == ["whole"]
    begun, made, seconds = details["measured"]["tables"]
    assert 98 <= begun <= 100, "an end may be among the rows of a batch"
    assert made == 20
    assert seconds > 0
    assert details["measured"]["rows"] == 100


def test_explain_says_why_there_is_no_table() -> None:
    case = Case(FALLING_BACK["state"], (3, 24, 24))
    con = session(seeded(case.build), case)
    text = con.sql(f"explain {PICTURES[0]}", strategy=TABLE).text
    assert "b0 begins: whole: Counting: it keeps state between calls" in text


def test_folded_passes_begin_from_tables_of_the_folded_network() -> None:
    case = NETWORKS["residual"]
    con = session(seeded(case.build), case)
    ways = [dataclasses.replace(each, mode="folded", reuse=False, batch_size=32) for each in (WHOLE, TABLE)]
    whole, begun = (values(con, PICTURES[0], each) for each in ways)
    assert network(con).tabling.made.rows > 0
    assert not network(con).tabling.refused
    assert np.allclose(begun, whole, rtol=0, atol=1e-6)
