"""How many coalitions each game plays, and by which method (decision D2). In: a game's players and wishes; out: a
spec."""

from __future__ import annotations

from typing import NamedTuple

from ..algebra.operators import Estimation
from ..kernels.coalitions import choose


class DesignSpec(NamedTuple):
    """What a coalition design is made from; equal specs are equal designs, so games of one spec share their
    coalitions."""

    method: str
    players: int
    rows: int  # v(∅) and v(N) included
    seed: int


def spec(players: int, estimation: Estimation, seed: int, *, halves: bool) -> DesignSpec:
    """The design for a game; `halves` where E f(x_{S∪i}) and E f(x_S) are needed apart (the printed contrast of
    models).

    Raises BudgetError for a budget below two rows, and where the exact value of too many players is asked for.
    """
    method, rows = choose(players, estimation.budget, estimation.method, halves)
    return DesignSpec(method, players, rows, seed)
