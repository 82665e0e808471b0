"""How many rows each table of values needs until its maps are within a bound (D8), and how many in the next round.

In: estimated maps with their bounds, and how fast their errors have fallen. Out: a goal for each table, in rows, and
the rows of the next round. It plans nothing, runs nothing and has no state: the same maps give the same goals.
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

LEAST_GROWTH, MOST_GROWTH = 1.06, 2.0  # the factors by which a round may grow
_LEAST_STEP = 1.12  # the factor of a round that is not within the bound yet
# Above this many rows, an estimate takes more time than small steps save; the least growth is then larger.
_LARGE_GAME, _LEAST_GROWTH_OF_LARGE = 1024, 1.3
_STEP_TOWARDS_FORECAST = 0.8  # of the way, in logarithms; the next round corrects the forecast
_NEARLY_ALL = 0.6  # of all coalitions: if a forecast needs more than this, the exact answer is better
_TRUSTED_GROWTH = 4  # times the rows so far: a forecast beyond this does not decide for the exact answer


class TableKey(NamedTuple):
    """The key of a table of values: the hybrids and the design that its columns share."""

    hybrids: str
    design: tuple[str, int, int, int]


@dataclass
class TableGoal:
    """A table's `rows` now, all possible rows (`population`), the most that it may get (`cap`), the games that need
    more, and the rows that it should get (`goal`)."""

    rows: int
    population: float
    cap: float
    games: dict[Game, None]
    goal: float = 0.0

    @property
    def models(self) -> int:
        return len({game.model for game in self.games})

    def missing(self, goal: float | None = None) -> float:
        """How many more rows the models must evaluate to reach `goal` rows (default: the table's own goal)."""
        return ((self.goal if goal is None else goal) - self.rows) * self.models


Goals = dict[TableKey, TableGoal]


def a_row(game: Game) -> float:
    """The cost of a game's row relative to other games: 1 for all, if nothing better is known."""
    return 1.0


def learn(decays: dict[Place, Decay], place: Place, estimate: EstimatedMap, reached: float) -> None:
    """Add a map's bound `reached`, at its number of unseen rows, to the decay of its place."""
    designs = {(draw.game.hybrids.key, draw.design.key): draw.design for draw in estimate.draws}.values()
    rows, everything = sum(len(d.coalitions) for d in designs), sum(population(d.players) for d in designs)
    prior = min((reader_of(design).rate for design in designs), default=RATE_OF_REGRESSIONS)
    gap = unseen(rows, everything) if rows else 0.0  # no game was sampled, and the error is a model's noise
    decays.setdefault(place, Decay(prior)).learn(gap, reached)


@dataclass(frozen=True)
class Forecast:
    """Forecasts the rows that a relative `error` needs; `cost` is the cost of a game's row relative to other games."""

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
        """For each table, the rows with which all its maps are expected to be within the bound.

        `reached` are the bounds of the maps so far; `apart` says whether different hybrids draw their own coalitions.
        """
        goals: Goals = {}
        for place, estimate in maps.items():
            own: dict[TableKey, float] = {}
            for draw, share in estimate.shares(apart=apart):
                table = TableKey(draw.game.hybrids.key, draw.design.key)
                own[table] = own.get(table, 0.0) + share
                goals.setdefault(table, _no_goal(draw)).games[draw.game] = None
            if not own:  # its error is the noise of a random model, in exact values: more rows do not help
                continue
            known = math.isfinite(reached[place])
            strata = [
                Stratum(goals[t].rows, goals[t].cap, goals[t].population, share, self._row_cost(goals[t].games))
                for t, share in own.items()
            ]
            ratio = min(1.0, self.error / reached[place]) if known else 1 / MOST_GROWTH
            allocate = self.policy.allocate and known
            needed = rows_to(strata, ratio, decays[place].rate, allocate=allocate)
            for table, rows in zip(own, needed, strict=True):
                # A map that is within its bound needs another round to confirm that.
                again = LEAST_GROWTH * goals[table].rows if ratio == 1 else 0.0
                goals[table].goal = max(goals[table].goal, rows, again)
        return goals

    def _row_cost(self, games: Iterable[Game]) -> float:
        """The cost of a table's row: it goes once through each model, as deep as the deepest game of that model
        needs."""
        costs: dict[str, float] = {}
        for game in games:
            costs[game.model] = max(costs.get(game.model, 0.0), self.cost(game))
        return sum(costs.values())

    def step(self, table: TableKey, goal: TableGoal) -> tuple[float, Decision | None]:
        """The rows of the next round: part of the way to the goal, with a least step, and at most all rows there are.
        If the exact answer is chosen instead (D2), also that decision."""
        if goal.goal <= goal.rows:
            return goal.rows, None
        if self._better_exact(table, goal):
            sampled, exact = Alternative("sampled", goal.missing()), Alternative("exact", goal.missing(goal.population))
            about = f"{table.design[1]} players, {goal.rows:,} rows"
            return goal.population, Decision("D2", about, "exact", (exact, sampled))
        method, players, _, _ = table.design
        near = goal.goal <= LEAST_GROWTH * goal.rows
        smallest = LEAST_GROWTH if near else _LEAST_STEP if goal.rows <= _LARGE_GAME else _LEAST_GROWTH_OF_LARGE
        growth = max(smallest, (goal.goal / goal.rows) ** _STEP_TOWARDS_FORECAST)
        part: float = goal.rows * min(MOST_GROWTH, growth)
        estimator = find(method)
        least = LEAST_STEP if estimator is None else estimator.least_step(players)
        return min(max(part, goal.rows + least), goal.population), None

    def _better_exact(self, table: TableKey, goal: TableGoal) -> bool:
        """Whether to evaluate every coalition: the query names no method, and the forecast needs nearly all of them."""
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
