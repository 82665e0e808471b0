"""How many rows each table of values needs until its maps are within a bound (D8), and the next step there.

In: estimated maps with their bounds, and how fast their errors have fallen. Out: a goal for each table, in rows, and
the rows of the next round. It plans nothing, runs nothing and keeps nothing: the same maps give the same goals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ..estimation.bound import Draw
from ..estimation.maps import EstimatedMap
from ..kernels.coalitions import MAX_EXACT_PLAYERS
from ..kernels.estimators.estimator import LEAST_STEP, RATE_OF_REGRESSIONS
from ..kernels.estimators.registry import find, reader_of
from ..planner.decisions import Alternative, Decision
from ..planner.games import Game
from .allocation import Decay, Stratum, population, rows_to, unseen
from .bounds import Policy
from .question import Place

LEAST_GROWTH, MOST_GROWTH = 1.06, 2.0  # how much a round may grow by
_LARGE_GAME, _LEAST_GROWTH_OF_LARGE = 4096, 1.3  # rows from which an estimate takes longer than small steps save
_STEP_TOWARDS_FORECAST = 2 / 3  # of the way, in logarithms: a forecast is corrected before all of it is paid for
_NEARLY_ALL = 0.6  # of all coalitions: where a forecast is above this, the exact answer is the better one
_TRUSTED_GROWTH = 4  # times the rows so far: the exact answer is not chosen on a forecast that reaches further


class TableKey(NamedTuple):
    """The columns of one job: the hybrids and the design that they share."""

    hybrids: str
    design: tuple[str, int, int, int]


@dataclass
class TableGoal:
    """Where a table is to grow: its `rows`, how many there are and may be, the games that need more, and the `goal`."""

    rows: int
    population: float
    cap: float
    games: dict[Game, None]
    goal: float = 0.0

    @property
    def models(self) -> int:
        return len({game.model for game in self.games})

    def missing(self, goal: float | None = None) -> float:
        """Model rows that are still to pay for `goal` rows; for the table's own goal where none is given."""
        return ((self.goal if goal is None else goal) - self.rows) * self.models


Goals = dict[TableKey, TableGoal]


def a_row(game: Game) -> float:
    """What a row of a game costs beside those of other games: alike, as long as nothing was measured."""
    return 1.0


def learn(decays: dict[Place, Decay], place: Place, found: EstimatedMap, reached: float) -> None:
    """Note how far a map's bound has fallen, at its share of unseen rows."""
    designs = {(draw.game.hybrids.key, draw.design.key): draw.design for draw in found.draws}.values()
    rows, everything = sum(len(each.coalitions) for each in designs), sum(population(d.players) for d in designs)
    prior = min((reader_of(each).rate for each in designs), default=RATE_OF_REGRESSIONS)
    decays.setdefault(place, Decay(prior)).learn(unseen(rows, everything), reached)


@dataclass(frozen=True)
class Forecast:
    """Foretells rows to a relative `error`; `cost` is what a row of a game costs beside those of others."""

    error: float
    policy: Policy
    cost: Callable[[Game], float]

    def goals(
        self,
        maps: Mapping[Place, EstimatedMap],
        reached: Mapping[Place, float],
        decays: Mapping[Place, Decay],
        *,
        apart: bool,
    ) -> Goals:
        """The rows of each table with which all its maps are forecast to be within the bound.

        `reached` are the bounds of the maps so far; `apart` tells whether different hybrids draw their own coalitions.
        """
        goals: Goals = {}
        for place, found in maps.items():
            own: dict[TableKey, float] = {}
            for draw, share in found.shares(apart=apart):
                table = TableKey(draw.game.hybrids.key, draw.design.key)
                own[table] = own.get(table, 0.0) + share
                goals.setdefault(table, _no_goal(draw)).games[draw.game] = None
            known = math.isfinite(reached[place])
            strata = [
                Stratum(goals[t].rows, goals[t].cap, goals[t].population, share, self._row_cost(goals[t].games))
                for t, share in own.items()
            ]
            ratio = min(1.0, self.error / reached[place]) if known else 1 / MOST_GROWTH
            allocate = self.policy.allocate and known
            needed = rows_to(strata, ratio, decays[place].rate, allocate=allocate)
            for table, rows in zip(own, needed, strict=True):
                again = LEAST_GROWTH * goals[table].rows if ratio == 1 else 0.0  # within its bound, not yet believed
                goals[table].goal = max(goals[table].goal, rows, again)
        return goals

    def _row_cost(self, games: Iterable[Game]) -> float:
        """A row of a table goes once through each model, as deep as its deepest game."""
        costs: dict[str, float] = {}
        for game in games:
            costs[game.model] = max(costs.get(game.model, 0.0), self.cost(game))
        return sum(costs.values())

    def step(self, table: TableKey, goal: TableGoal) -> tuple[float, Decision | None]:
        """The rows of the next round: part of the way, at least a little more, or all there are if it comes to that;
        and the decision for the exact answer (D2), where it is taken."""
        if goal.goal <= goal.rows:
            return goal.rows, None
        if self._better_exact(table, goal):
            sampled, exact = Alternative("sampled", goal.missing()), Alternative("exact", goal.missing(goal.population))
            about = f"{table.design[1]} players, {goal.rows:,} rows"
            return goal.population, Decision("D2", about, "exact", (exact, sampled))
        method, players, _, _ = table.design
        smallest = LEAST_GROWTH if goal.rows <= _LARGE_GAME else _LEAST_GROWTH_OF_LARGE
        growth = max(smallest, (goal.goal / goal.rows) ** _STEP_TOWARDS_FORECAST)
        part: float = goal.rows * min(MOST_GROWTH, growth)
        estimator = find(method)
        least = LEAST_STEP if estimator is None else estimator.least_step(players)
        return min(max(part, goal.rows + least), goal.population), None

    def _better_exact(self, table: TableKey, goal: TableGoal) -> bool:
        """Whether every coalition is to be evaluated: the choice is free, and the forecast asks for nearly all."""
        free = all(game.estimation.method is None for game in goal.games)
        return (
            self.policy.exact
            and free
            and table.design[1] <= MAX_EXACT_PLAYERS
            and _NEARLY_ALL * goal.population <= goal.goal
            and goal.population <= min(goal.cap, _TRUSTED_GROWTH * goal.rows)
        )


def _no_goal(draw: Draw) -> TableGoal:
    budget, everything = draw.game.estimation.budget, population(draw.design.players)
    return TableGoal(len(draw.design.coalitions), everything, min(everything, budget or math.inf), {})
