"""Rows from pattern tables have the bits of full passes: of networks, batches, threads and players of many forms."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import ialgebra
from ialgebra import Strategy
from ialgebra.apps import zoo
from ialgebra.models.network import Network
from ialgebra.models.profile import Mode
from tests.models.graph.networks import NETWORKS, Case, Residual
from tests.models.zoo import seeded
from tests.test_tables import network, session, values
from tests.threads import threads

WHOLE = dataclasses.replace(Strategy.BEST, table=False, reuse=False)

LARGE = {name: Case(NETWORKS[name].build, (3, 64, 64)) for name in ("residual", "dense", "u-net", "convnext")}
SMALL = {name: NETWORKS[name] for name in ("vgg", "series", "volume", "words")}
PLAYERS = {
    **dict.fromkeys(LARGE, ("grid(4, 4)", "grid(8, 8)", "tile(20)", "slic(10)", "slic(20)", "slic(36)")),
    "vgg": ("grid(4, 4)", "grid(5, 3)", "tile(8)", "slic(30)"),
    "series": ("spans(10)", "spans(16)"),
    "volume": ("grid(4, 2, 1)", "grid(5, 1, 1)"),
    "words": ("tokens",),
}
BATCHES_AND_THREADS = ((4, 1), (7, 2), (32, 1), (64, 2))


def smooth(shape: tuple[int, ...]) -> torch.Tensor:
    """A picture with regions, which superpixels find."""
    coarse = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(4))
    return F.interpolate(coarse, shape[1:], mode="bilinear")[0]


@pytest.mark.parametrize("name", PLAYERS)
def test_rows_have_the_bits_of_full_passes(name: str) -> None:
    case = (LARGE | SMALL)[name]
    con = session(seeded(case.build), case)
    if name in LARGE:
        con.register_input("x", smooth(case.shape))
    mode: Mode = "channels-last" if len(case.shape) == 3 else "eager"
    begun = 0
    for number, players in enumerate(PLAYERS[name]):
        size, count = BATCHES_AND_THREADS[number % len(BATCHES_AND_THREADS)]
        query = f"select * from f(x, players => {players}) budget 130"
        way = dataclasses.replace(WHOLE, mode=mode, batch_size=size)
        with threads(count):
            made = network(con).tabling.made.rows
            found = values(con, query, dataclasses.replace(way, table=True))
            begun += network(con).tabling.made.rows > made
            assert np.array_equal(found, values(con, query, way)), (players, size, count)
    assert begun >= (len(PLAYERS[name]) + 1) // 2
    assert not network(con).tabling.refused


QUESTIONS = [
    "select * from f(x, players => grid(4, 4), target => 0) join f(x, players => grid(4, 4), target => 1) budget 100",
    "select * from f(brightness(x, 0.2), players => grid(4, 4)) budget 100",
    "select * from f(xs, players => grid(4, 4)) budget 60",
    "select * from f(x, players => grid(4, 4), baseline => xs) where row < 40 budget 60",
    "select * from f(x, players => grid(4, 4), baseline => xs) left join f(y, players => grid(4, 4)) budget 60",
]


@pytest.mark.parametrize("query", QUESTIONS)
def test_rows_of_several_games_lie_in_memory_as_in_full_passes(query: str) -> None:
    case = LARGE["residual"]
    con = session(seeded(lambda: Residual(16)), case)
    con.register_input("xs", torch.rand(9, *case.shape, generator=torch.Generator().manual_seed(5)))
    way = dataclasses.replace(WHOLE, mode="channels-last", batch_size=32)
    found = values(con, query, dataclasses.replace(way, table=True))
    assert network(con).tabling.made.rows > 0
    assert np.array_equal(found, values(con, query, way))


@pytest.mark.slow
@pytest.mark.parametrize("players", ["grid(4, 4)", "grid(3, 3)"])
@pytest.mark.parametrize("mode", ["channels-last", "folded"])
def test_an_efficientnet_gives_the_rows_of_full_passes(mode: Mode, players: str) -> None:
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", zoo.network())
        con.register_input("x", zoo.photo("coffee"))
        way = dataclasses.replace(WHOLE, mode=mode, batch_size=32)
        query = f"select * from f(x, players => {players}) budget 72"  # whose last batch has few rows
        found, whole = (values(con, query, dataclasses.replace(way, table=table)) for table in (True, False))
        assert con._catalog.model("f").tabling.made.rows > 0
        assert np.abs(np.subtract(found, whole)).max() <= (1e-6 * np.ptp(whole) if mode == "folded" else 0.0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("mode", ["eager", "channels-last", "folded"])
def test_tables_on_a_gpu_give_the_rows_of_full_passes(mode: Mode) -> None:
    case = LARGE["residual"]
    con = ialgebra.connect(progress=False)
    con.register_model("f", seeded(lambda: Residual(16)), device="cuda")
    con.register_input("x", smooth(case.shape))
    model: Network = network(con)
    way = dataclasses.replace(WHOLE, mode=mode, batch_size=32)
    query = "select * from f(x, players => grid(4, 4)) budget 100"
    found, whole = (values(con, query, dataclasses.replace(way, table=table)) for table in (True, False))
    assert np.allclose(found, whole, rtol=0, atol=1e-5 * np.ptp(whole))
    assert model.tabling.made.rows > 0 or model.tabling.refused
