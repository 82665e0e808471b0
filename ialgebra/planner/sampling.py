"""How many coalitions each game plays, by which method (decision D2), and which games share them (D9). In: a game's
players and wishes, and a round's effort; out: a spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..interpreters.checked import chosen
from ..interpreters.protocol import GameInterpreter, ModelInterpreter
from ..interpreters.shipped import SHAPLEY
from ..kernels.estimators.registry import choose, complete
from .games import Answer, Game, game_key

ENDS = "ends"  # the design of what asks the model itself: v(∅) and v(N), for the answer's sake


class DesignSpec(NamedTuple):
    """What a coalition design is made from; equal specs are equal designs, so games of one spec share their
    coalitions."""

    method: str
    players: int
    rows: int  # v(∅) and v(N) included
    seed: int
    interpreter: str = SHAPLEY  # which draws it and reads it


@dataclass(frozen=True)
class Effort:
    """What one round of an answer spends: `a_player` rows a player on a game, or what `rows` says of its `game_key`.

    A game's BUDGET caps either. Where coalitions are `apart`, games of one answer over different hybrids draw their
    own, so that their errors are independent (D9).
    """

    a_player: float
    rows: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    apart: bool = False

    def of(self, game: Game) -> int:
        """The most rows that the round spends on a game."""
        return self.rows.get(game_key(game), int(self.a_player * game.hybrids.players))


def spec(
    game: Game,
    seed: int,
    interpreter: GameInterpreter | ModelInterpreter,
    *,
    halves: bool,
    effort: Effort | None = None,
) -> DesignSpec:
    """The design for a game; `halves` where E f(x_{S∪i}) and E f(x_S) are needed apart (the printed contrast).

    Without an `effort` it is that of the whole budget. Designs of one seed grow by adding rows, so that a later round
    finds an earlier one's rows in the store. Raises BudgetError for a budget below two rows, and where the exact value
    of too many players is asked for.
    """
    players, method, budget = game.hybrids.players, game.estimation.method, game.estimation.budget
    if isinstance(interpreter, ModelInterpreter):
        return DesignSpec(ENDS, players, min(2, 1 << players), seed, game.estimation.interpreter)
    if players == 0:  # no players: every interpreter gives an empty map
        method, rows = choose(players, None)
        return DesignSpec(method, players, rows, seed)
    if effort is not None:
        rows = effort.of(game)
        if rows == 0:  # the ends alone, whatever was asked for: they tell no more than what is to be shared out
            method, rows = choose(players, 2, None, halves)
            return DesignSpec(method, players, rows, seed)
        if not complete(method):
            budget = max(2, min(rows, budget or rows))
    if halves:
        method, rows = choose(players, budget, method, halves)
        return DesignSpec(method, players, rows, seed)
    named = game.estimation.interpreter
    method, rows = chosen(named, interpreter, players, budget, dict(game.estimation.options))
    return DesignSpec(method, players, rows, seed, named)


def seeds(answers: Sequence[Answer], seed: int, effort: Effort | None) -> dict[str, int]:
    """The seed of each set of hybrids, by its key, that does not use the query's own.

    Of the hybrids that meet in an answer the first, in the order of their content, keeps the query's seed.
    """
    if effort is None or not effort.apart:
        return {}
    meeting = {
        place
        for answer in answers
        if len(places := {(term.game.hybrids.players, term.game.hybrids.key) for term in answer.terms}) > 1
        for place in places
    }
    found: dict[str, int] = {}
    ranks: dict[int, int] = {}
    for players, key in sorted(meeting):
        found[key] = seed + (ranks.setdefault(players, 0) << 32)
        ranks[players] += 1
    return found
