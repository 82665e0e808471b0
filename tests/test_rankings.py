"""Rankings: which elements HAVING keeps, in what order ORDER BY has them, and what LIMIT and bounds leave out.

Scalars are compared with their definitions, written out here in NumPy over maps that the same session answers one by
one, exactly.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import ialgebra

SIDE = 6


class Counting(nn.Module):
    """A small net over images that counts the rows which it is given."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        conv = nn.Conv2d(1, 3, 3, padding=1)
        self.net = nn.Sequential(conv, nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(27, 3)).double()
        self.rows = 0

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.rows += len(batch)
        return self.net(batch)


def images(count: int, seed: int = 0) -> torch.Tensor:
    """Images of a bright blob each, somewhere."""
    random = torch.Generator().manual_seed(seed)
    places = torch.rand(count, 2, 1, 1, generator=random) * (SIDE - 1)
    row, col = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    blobs = torch.exp(-((row - places[:, 0]) ** 2 + (col - places[:, 1]) ** 2) / 3)
    return (blobs + 0.2 * torch.randn(count, SIDE, SIDE, generator=random))[:, None].double()


def session(count: int = 12, players: str = "grid(2, 3)") -> tuple[ialgebra.Session, Counting]:
    con, net = ialgebra.connect(progress=False), Counting()
    con.register_model("f", net, classes=["ant", "bee", "cow"])
    xs = images(count)
    con.register_input("xs", xs, labels=[k % 3 for k in range(count)], players=players)
    con.register_input("named", xs, labels=["bee" if k % 4 else "yak" for k in range(count)], players=players)
    con.register_input("ys", images(count, seed=1), players=players)
    con.register_input("x", xs[0], players=players)
    con.register_window("w", np.arange(SIDE * SIDE).reshape(1, SIDE, SIDE) % 5 < 2)
    return con, net


def places(relation: ialgebra.Relation) -> list[int]:
    """The elements of an answer, in its order."""
    return [int(a.input.split("[")[1].rstrip("]")) for a in relation]


def exact(con: ialgebra.Session, query: str) -> list[np.ndarray]:
    return [a.map for a in con.sql(f"{query} using exact()")]


def entropy(values: np.ndarray) -> float:
    shares = np.abs(values) / np.abs(values).sum()
    return float(-(shares * np.log2(shares, where=shares > 0, out=np.zeros_like(shares))).sum())


def definitions(con: ialgebra.Session) -> dict[str, list[float]]:
    """Every scalar of every element of xs, from exact maps, as the documentation defines it."""
    maps = exact(con, "select * from f(xs)")
    values = [a.values for a in con.sql("select * from f(xs) using exact()")]
    window = np.arange(SIDE * SIDE).reshape(1, SIDE, SIDE) % 5 < 2
    (own,), others = exact(con, "select * from f(x)"), exact(con, "select * from f(ys)")
    mean = np.mean(others, axis=0)

    def apart(one: np.ndarray, two: np.ndarray) -> float:
        return float(np.linalg.norm(one - two) / np.linalg.norm(two))

    rows, cols = (np.broadcast_to(each, (1, SIDE, SIDE)) for each in np.ogrid[:SIDE, :SIDE])
    return {
        "mass(w)": [float(np.abs(m[window]).sum() / np.abs(m).sum()) for m in maps],
        "mass(row < 2 or col > 3)": [float(np.abs(m[(rows < 2) | (cols > 3)]).sum() / np.abs(m).sum()) for m in maps],
        "entropy()": [entropy(v) for v in values],
        "argmax_row()": [float(rows[np.isclose(m, m.max(), rtol=1e-12)].mean()) for m in maps],
        "argmax_col()": [float(cols[np.isclose(m, m.max(), rtol=1e-12)].mean()) for m in maps],
        "distance((select * from f(x)))": [apart(m, own) for m in maps],
        "distance((select * from f(ys)))": [apart(m, other) for m, other in zip(maps, others, strict=True)],
        "distance((select * from f(ys) join f(ys)))": [apart(m, mean) for m in maps],
    }


@pytest.fixture(scope="module")
def known() -> tuple[ialgebra.Session, dict[str, list[float]]]:
    con, _ = session()
    return con, definitions(con)


@pytest.mark.parametrize("scalar", definitions(session()[0]))
def test_scalars_are_what_their_definitions_say(known, scalar):
    con, definition = known
    answer = con.sql(f"select * from f(xs) order by {scalar} desc using exact()")
    value = definition[scalar]
    (name,) = set(answer[0].scores) - {"index"}
    assert [a.scores[name] for a in answer] == [(pytest.approx(value[k], abs=1e-9), 0.0) for k in places(answer)]
    # ties keep the order of registration, and rounding may not break them
    assert places(answer) == sorted(range(12), key=lambda k: (-round(value[k], 9), k))
    assert [int(a.scores["index"][0]) for a in answer] == places(answer)
