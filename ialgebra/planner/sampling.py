"""How many coalitions each game gets, by which method (decision D2), and which games share coalitions (D9).

In: a game's players and estimation, and a round's effort. Out: the spec of a design.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..errors import BudgetError
from ..interpreters.checked import chosen
from ..interpreters.protocol import GameInterpreter, ModelInterpreter
from ..interpreters.shipped import SHAPLEY
from ..kernels.estimators.registry import choose, complete
from .games import Answer, Game

ENDS = "ends"  # the design for interpreters that run the model themselves: only v(∅) and v(N), for the answer


class DesignSpec(NamedTuple):
    """What a coalition design is made from. Equal specs give equal designs, so games with equal specs share their
    coalitions."""

    method: str
    players: int
    rows: int  # v(∅) and v(N) included
    seed: int
    interpreter: str = SHAPLEY  # the interpreter that draws and reads the design

    def rows_of_passes(self, copies: int | None) -> int:
        """The rows of the passes of a game over so many backgrounds at once (None: one), without ends that are single
        rows, which other games may share."""
        return max(0, self.rows - 2) if copies is None else self.rows * copies


@dataclass(frozen=True)
class Effort:
    """What one round of an answer spends on a game: `a_player` rows for each player, or, if `rows` has an entry for the
    game's key, that number of rows.

    If `parts` has entries, they are the designs of all games, by key. Else a game's BUDGET caps its rows. With `apart`,
    games of one answer over different hybrids draw different coalitions, so that their errors are independent (D9).
    """

    a_player: float
    rows: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    apart: bool = False
    parts: Mapping[tuple[str, ...], DesignSpec] = field(default_factory=dict)

    def of(self, game: Game) -> int:
        """The most rows that the round spends on a game."""
        usual = int(self.a_player * game.hybrids.players)
        return self.rows.get(game.key, usual) if self.rows else usual


def spec(
    game: Game,
    seed: int,
    interpreter: GameInterpreter | ModelInterpreter,
    *,
    halves: bool,
    predicted: bool = False,
    effort: Effort | None = None,
) -> DesignSpec:
    """The spec of the design for a game; `halves` if E f(x_{S∪i}) and E f(x_S) are needed separately (the literal
    contrast).

    Without an `effort` the design spends the whole budget; one row less if `predicted`, which says that a row which is
    no hybrid of the game predicts its class. A larger design of the same seed contains the smaller one,
    so a later round finds the rows of earlier rounds in the store. Raises BudgetError for a budget below two rows, and
    for exact values of too many players.
    """
    if effort is not None and game.key in effort.parts:
        return effort.parts[game.key]
    players, method, budget = game.hybrids.players, game.estimation.method, game.estimation.budget
    if isinstance(interpreter, ModelInterpreter):
        return DesignSpec(ENDS, players, min(2, 1 << players), seed, game.estimation.interpreter)
    if players == 0:  # no players: every interpreter gives an empty map
        method, rows = choose(players, None)
        return DesignSpec(method, players, rows, seed)
    if predicted and budget is not None:
        if budget <= 2:
            raise BudgetError(
                f"a budget of {budget} rows is too small: v(∅), v(N) and the prediction of the class that is explained "
                "are three; name the class, f(x, target => …)"
            )
        budget -= 1
    if effort is not None:
        rows = effort.of(game)
        if rows == 0:  # v(∅) and v(N) alone, whatever the method: they tell only the total of all values
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
    """The seeds of sets of hybrids, by key; a set that is not listed uses the query's seed.

    Sets of hybrids that are added up in one answer get different seeds. The first of them, in the order of their
    content, keeps the query's seed. Means over backgrounds, which have no row in common, always do.
    """
    if effort is None or not effort.apart:
        return _of_means(answers, seed)
    meeting = {
        place
        for answer in answers
        if len(places := {(term.game.hybrids.players, term.game.hybrids.key) for term in answer.terms}) > 1
        for place in places
    }
    return _drawn_apart(meeting, seed)


def _of_means(answers: Sequence[Answer], seed: int) -> dict[str, int]:
    """Different seeds for the means over backgrounds within an answer, the same in every answer, so that many answers
    have few designs."""
    found: dict[str, int] = {}
    for answer in answers:
        means = {
            (term.game.hybrids.players, term.game.hybrids.key)
            for term in answer.terms
            if term.game.hybrids.copies is not None
        }
        found = (_drawn_apart(means, seed) if len(means) > 1 else {}) | found
    return found


def _drawn_apart(hybrids: Iterable[tuple[int, str]], seed: int) -> dict[str, int]:
    """Different seeds for sets of hybrids (players, key) of so many players, in the order of their content."""
    found: dict[str, int] = {}
    ranks: dict[int, int] = {}
    for players, key in sorted(hybrids):
        found[key] = seed + (ranks.setdefault(players, 0) << 32)
        ranks[players] += 1
    return found
