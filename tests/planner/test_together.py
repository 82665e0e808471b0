"""Boards that are built together are those that are built one at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import ialgebra
from ialgebra.algebra.baselines import Blur, Constant, Given, Mean
from ialgebra.algebra.operators import Estimation
from ialgebra.algebra.players import Features, Grid, Pixels, Slic, Tokens
from ialgebra.algebra.sources import Source
from ialgebra.planner import together
from ialgebra.planner.boards import Boards
from ialgebra.planner.games import Board, Leaf
from ialgebra.planner.together import build_together, built_in_one_go

LEAF = Leaf("f", Source("xs", 0), Constant(0.0), Features(), 0, "logit", Estimation(), None)


def session(xs: torch.Tensor, **more: object) -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda rows: rows.flatten(1)[:, :2].float())
    con.register_input("xs", xs, **more)  # type: ignore[arg-type]
    con.register_input("b", xs[0] / 2 + 1)
    return con


def content(board: Board) -> object:
    hybrids = board.hybrids
    return (
        (
            board.labels.tolist(),
            board.active.tolist(),
            board.count,
            board.swapped,
            board.labels.dtype,
            board.active.dtype,
        ),
        (hybrids.key, hybrids.full, hybrids.empty, hybrids.players, hybrids.segments.tolist(), hybrids.copies),
        (hybrids.foreground.tolist(), hybrids.background.tolist()),
    )


def compare(con: ialgebra.Session, leaf: Leaf, together_: int, prune: bool = True, dual: bool = True) -> None:
    """The boards of all elements, of which so many are built together."""
    catalog = con._catalog
    leaves = [replace(leaf, source=source) for source in catalog.input("xs").sources]
    one, other = Boards(catalog), Boards(catalog)
    assert len(built_in_one_go(one, leaves, prune, dual)) == together_
    every = build_together(one, leaves, prune=prune, dual=dual)
    for each, found in zip(leaves, every, strict=True):
        expected = other.board(each, prune=prune, dual=dual)
        assert one.board(each, prune=prune, dual=dual).hybrids is found.hybrids
        assert repr(content(found)) == repr(content(expected))  # as text, in which NaN equals NaN


ROWS = torch.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, 1.0], [4.0, 5.0, 6.0], [torch.nan, 1.0, 2.0], [0.0, 0.0, 0.0]])


def test_rows_of_a_table_of_which_some_have_null_players() -> None:
    con = session(ROWS)
    compare(con, LEAF, 5)
    compare(con, replace(LEAF, baseline=Constant(1.0)), 5)
    compare(con, LEAF, 5, prune=False)
    compare(session(ROWS[:3].double()), replace(LEAF, baseline=Mean("xs")), 3)


def test_foreground_and_background_change_places_by_content() -> None:
    con = session(torch.randn(20, 3))
    compare(con, replace(LEAF, baseline=Given(Source("b"))), 20)
    boards = Boards(con._catalog)
    leaves = [replace(LEAF, source=each, baseline=Given(Source("b"))) for each in con._catalog.input("xs").sources]
    build_together(boards, leaves, prune=True, dual=True)
    assert {board.swapped for board in boards.boards.values()} == {True, False}
    compare(con, replace(LEAF, baseline=Given(Source("b"))), 20, dual=False)


def test_what_is_missing_in_both_is_the_same() -> None:
    rows = torch.tensor([[1.0, torch.nan], [2.0, 3.0]])
    con = session(rows)
    con.register_input("gap", torch.tensor([5.0, torch.nan]))
    compare(con, replace(LEAF, baseline=Given(Source("gap"))), 2)


@pytest.mark.parametrize("partition", [Pixels(), Grid(2, 2), Grid(1, 3)])
def test_images_and_windows(partition: Any) -> None:
    images = torch.rand(6, 3, 4, 6)
    images[1, 0] = images[2, :, :2] = images[3, :, :, 5] = images[4] = 0.0
    con = session(images)
    con.register_window("half", np.arange(24).reshape(4, 6) % 2 == 0)
    window = con._catalog.windows["half"]
    for leaf in (LEAF, replace(LEAF, window=window)):
        for prune in (True, False):
            compare(con, replace(leaf, partition=partition), 6, prune=prune)
            compare(con, replace(leaf, partition=partition, baseline=Given(Source("b"))), 6, prune=prune)


def test_what_depends_on_the_input_itself_is_built_one_at_a_time() -> None:
    con = session(torch.rand(4, 1, 6, 6))
    for leaf in (replace(LEAF, partition=Slic(3)), replace(LEAF, partition=Pixels(), baseline=Blur(None, 2.0))):
        compare(con, leaf, 0)
    con.register_window("bright", "value > 0.5")
    compare(con, replace(LEAF, partition=Pixels(), window=con._catalog.windows["bright"]), 0)
    compare(session(torch.rand(4, 1, 6, 6).bfloat16()), replace(LEAF, partition=Pixels()), 4)
    compare(session(torch.randint(1, 9, (4, 5))), replace(LEAF, partition=Tokens()), 0)


def test_blocks_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for most in (1, 7, 1000):
        monkeypatch.setattr(together, "_MOST_STACKED", most)
        compare(session(ROWS), LEAF, 5)
