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


def spec(players: int, estimation: Estimation, seed: int, *, halves: bool, effort: int | None = None) -> DesignSpec:
    """The design for a game; `halves` where E f(x_{S∪i}) and E f(x_S) are needed apart (the printed contrast).

    `effort` caps the rows at so many a player: the rounds of an answer that is refined until its bound holds. Designs
    of one seed grow by adding rows, so that a later round finds an earlier one's rows in the store. Raises BudgetError
    for a budget below two rows, and where the exact value of too many players is asked for.
    """
    method, budget = estimation.method, estimation.budget
    if effort == 0:  # the ends alone, whatever was asked for
        method, budget = None, 2
    elif effort is not None and method != "exact":
        budget = min(effort * players, budget or effort * players)
    method, rows = choose(players, budget if budget is None else max(2, budget), method, halves)
    return DesignSpec(method, players, rows, seed)
