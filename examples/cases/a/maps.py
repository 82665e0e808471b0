"""What the analyst asks: each network's own map, and the anti-join of the two.

In: a panel. Out: the maps of every picture, and what the queries took.

    select * from f(x)                                        what speaks for f's class, in the eyes of f
    select * from f'(x)                                       what speaks for the class of f', in the eyes of f'
    select * from f(x) left join (select * from f'(x))        what f sees for its class that f' does not see, and
                                                              what f' sees for its own that f does not
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import ialgebra

from .panels import Panel

Floats = NDArray[np.float64]


class Maps(NamedTuple):
    """One map for either network: `values` (n, 2, d) of the players, `pixels` (n, 2, 28, 28) the same spread out."""

    values: Floats
    pixels: Floats


class Answers(NamedTuple):
    """Both kinds of maps and the mean of their relative errors, the player of every pixel, what all queries took."""

    alone: Maps
    anti: Maps
    players: NDArray[np.int64]
    rows: int
    seconds: float
    errors: tuple[float, float]


def session(panel: Panel) -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", panel.models[0])
    con.register_model("f'", panel.models[1])
    return con


def anti_join(output: str, rest: str) -> str:
    return f"select * from f(x, output => '{output}') left join (select * from f'(x, output => '{output}')) {rest}"


def ask(con: ialgebra.Session, panel: Panel, players: str, output: str, budget: int) -> Answers:
    """All maps of a panel. The anti-joins come last and find every row that they need already paid for."""
    con.register_input("xs", panel.images, players=players)
    own = [con.sql(f"select * from {name}(xs, output => '{output}') budget {budget}") for name in ("f", "f'")]
    against = []
    for image in panel.images:
        con.register_input("x", image, players=players)
        against.append(con.sql(anti_join(output, f"budget {budget}")))
    spent = [answer.stats for answer in (*own, *against)]
    return Answers(
        _maps([*zip(*own, strict=True)]),
        _maps(against),
        own[0][0].players[0],
        sum(each.rows for each in spent),
        sum(each.seconds for each in spent),
        (_error(own), _error(against)),
    )


def _error(answers: list[ialgebra.Relation]) -> float:
    return float(np.mean([a.relative_error for answer in answers for a in answer if a.values.any()]))


def _maps(pairs: Sequence[Sequence[ialgebra.Attribution]]) -> Maps:
    return Maps(
        np.stack([[a.values for a in pair] for pair in pairs]), np.stack([[a.map[0] for a in pair] for pair in pairs])
    )
