"""Answers to a bound, in rounds: a pilot, a forecast, and steps towards it until every map is within its bound.

In: the maps that a round estimated, and the plan that they come from. Out: the effort of the next round, what is still
to pay, and what was decided on the way. It plans nothing and runs nothing.

A bound is believed once it has been looked at in two rounds: it must hold in a round that is not the first. Then its
map is settled: it stays as it is and pays for no more rows (D4). The others grow two thirds of the way, in logarithms,
to where the forecast says that they will be within the bound (D8), so that a forecast is corrected before it costs.
Nothing here depends on a clock but `WITHIN t SECONDS`, hence equal queries have equal rounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ..errors import BindError
from ..estimation.maps import Draw, EstimatedMap
from ..kernels.coalitions import MAX_EXACT_PLAYERS
from ..language import syntax
from ..planner.decisions import Alternative, Decision
from ..planner.games import Game, game_key
from ..planner.physical import PhysicalPlan
from ..planner.sampling import Effort, seeds
from ..planner.strategy import Strategy
from .allocation import Decay, Stratum, population, rows_to, unseen

PILOT = 8  # rows a player of the first round, whose errors can be trusted
FEWEST = 4  # rows a player of the first round where time is short; below, designs of another kind share no rows

_LEAST, _MOST = 1.06, 2.0  # how much a round may grow by
_MANY, _LEAST_OF_MANY = 4096, 1.3  # rows of a game whose estimate takes longer than small steps save
_WAY = 2 / 3  # of the way to the forecast, in logarithms
_WHOLE = 0.6  # of all coalitions: a forecast above this makes the exact answer the better one
_NEAR = 4  # times the rows so far: how far a forecast is trusted with that


@dataclass(frozen=True)
class Bounds:
    """What an answer must reach: a relative error with a confidence (fractions), and seconds for the whole query."""

    error: float | None
    confidence: float
    seconds: float

    @classmethod
    def of(cls, query: syntax.Query) -> Bounds:
        """The bounds that a query states; BindError for what is no bound."""
        error = _fraction(query.error, "an error bound", 1e6)
        confidence = _fraction(query.confidence, "a confidence", 1.0)
        seconds = math.inf if query.within is None else float(query.within.value)
        return cls(error, 0.95 if confidence is None else confidence, seconds)

    @property
    def any(self) -> bool:
        return self.error is not None or math.isfinite(self.seconds)


def _fraction(number: syntax.Number | None, what: str, below: float) -> float | None:
    if number is None:
        return None
    if not 0 < number.value < below:
        raise BindError(f"{what} must lie above 0% and below {below:.0%}, not at {number.text}", number.span)
    return float(number.value)


class Policy(NamedTuple):
    """Which decisions rounds may take: `retire` maps that are within their bound (D4), `allocate` rows among the games
    of a join (D8), draw `common` coalitions for its games or own ones (D9; None: whichever costs less), and go `exact`
    where that costs little more (D2)."""

    retire: bool = True
    allocate: bool = True
    common: bool | None = None
    exact: bool = True

    @classmethod
    def of(cls, strategy: Strategy) -> Policy:
        """What a strategy leaves open or asks for."""
        return cls(
            strategy.retire is not False, strategy.allocate is not False, strategy.common, strategy.exact is not False
        )


class Standing(NamedTuple):
    """How a query stands: rows and seconds so far, the rows forecast in all, the error reached and the one asked for
    (None where not known, or not asked)."""

    rows: int
    forecast: int | None
    seconds: float
    error: float | None
    asked: float | None


Watch = Callable[[Standing], None]
Place = tuple[int, int]
"""Where a map stands in its query: the number of its plan, and of its answer."""


class _TableKey(NamedTuple):
    """The columns of one job: the hybrids and the design that they share."""

    hybrids: str
    design: tuple[str, int, int, int]


@dataclass
class _TableGoal:
    """Where a table is to grow: its rows, how many there are and may be, the games that need more, and `goal` rows."""

    rows: int
    population: float
    cap: float
    games: dict[Game, None]
    goal: float = 0.0

    @property
    def models(self) -> int:
        return len({game.model for game in self.games})


def a_row(game: Game) -> float:
    """What a row of a game costs beside those of other games: alike, as long as nothing was measured."""
    return 1.0


@dataclass
class Rounds:
    """The course of one query: `effort` is what the next round spends; None is the whole budget of every game.

    `whole` is the rows of the whole budget, where that is what is asked for; `cost` what a row of a game costs.
    """

    bounds: Bounds
    policy: Policy = field(default_factory=Policy)
    whole: int | None = None
    cost: Callable[[Game], float] = a_row
    effort: Effort | None = field(init=False)
    number: int = field(default=0, init=False)  # rounds in which bounds were looked at
    settled: dict[Place, EstimatedMap] = field(default_factory=dict, init=False)
    error: float | None = field(default=None, init=False)  # the worst bound of the last round
    met: bool = field(default=False, init=False)
    done: bool = field(default=False, init=False)
    ahead: int = field(default=0, init=False)  # rows still to pay, as forecast
    decisions: list[Decision] = field(default_factory=list, init=False)
    count: int = field(default=1, init=False)  # maps of the query
    given_up: int = field(default=0, init=False)  # of these
    spared: float = field(default=0.0, init=False)  # rows that they would have taken to the bound
    _decays: dict[Place, Decay] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        first = PILOT if math.isinf(self.bounds.seconds) else FEWEST
        self.effort = Effort(first, apart=self.bounds.error is not None and self.policy.common is False)

    @property
    def trusted(self) -> bool:
        """Whether maps may be given up for their errors: on the way to a bound, and after rows enough."""
        return self.bounds.error is not None and self.effort is not None and self.effort.a_player >= PILOT

    def judge(
        self,
        plan: PhysicalPlan,
        maps: Mapping[Place, EstimatedMap],
        affordable: float = math.inf,
        lost: Mapping[Place, EstimatedMap] | None = None,
    ) -> None:
        """Learn from a round's maps, and choose the next round, of at most `affordable` more rows. Those of the round
        that are `lost` cannot be in the answer, and pay for no more (D4)."""
        self.count = max(self.count, len(maps) + len(lost or ()))  # bounds hold for those too that were lost before
        if lost:
            self._give_up(lost)
        reached = self._reached(maps)
        self.error, asked = max(reached.values(), default=0.0), self.bounds.error
        if asked is None:
            self._double(plan, affordable)
            return
        assert self.effort is not None
        if self.effort.a_player < PILOT and self.error > 0:
            self.effort = replace(self.effort, a_player=PILOT)
            return
        self.number += 1
        held = {i for i, bound in reached.items() if bound == 0 or (bound <= asked and self.number > 1)}
        if self.policy.retire:
            self.settled |= {i: maps[i] for i in held - self.settled.keys()}
        self.met = self.done = len(held) == len(maps)
        self.ahead = 0
        if not self.done:
            growing = {i: found for i, found in maps.items() if i not in self.settled}
            self._advance(plan, growing, reached, affordable)

    def _reached(self, maps: Mapping[Place, EstimatedMap], *, apart: bool = False) -> dict[Place, float]:
        """The bound of each map, such that all hold at once with the confidence asked for."""
        confidence = 1 - (1 - self.bounds.confidence) / self.count
        return {i: found.relative_bound(confidence, apart=apart) for i, found in maps.items()}

    def _give_up(self, maps: Mapping[Place, EstimatedMap]) -> None:
        assert self.effort is not None
        reached = self._reached({i: found for i, found in maps.items() if i not in self.settled})
        open_ = {i: maps[i] for i, bound in reached.items() if bound}  # what is exact takes no more rows
        for i, found in open_.items():
            self._learn(i, found, reached[i])
        goals = self._goals(open_, reached, apart=self.effort.apart).values()
        self.given_up += len(maps)
        self.spared += sum((goal.goal - goal.rows) * goal.models for goal in goals)
        refined = Alternative("refined to the bound", self.spared)
        chosen = Decision("D4", f"{self.count:,} maps", f"{self.given_up:,} given up", (refined,))
        self.decisions = [*(each for each in self.decisions if each.id != "D4"), chosen]

    def exhaust(self) -> None:
        """No more rows can be had: what holds now, holds."""
        self.met = self.met or (self.error or 0.0) <= (math.inf if self.bounds.error is None else self.bounds.error)
        self.done, self.ahead = True, 0

    def _double(self, plan: PhysicalPlan, affordable: float) -> None:
        """Without a bound on the error rounds double twice; the last is of the whole budget, if time allows."""
        self.met, self.ahead = True, max(0, (self.whole or 0) - plan.rows)
        growth = min(_MOST, 1 + affordable / max(1, plan.rows))
        if self.effort is None or self.error == 0 or growth < _LEAST:
            self.done, self.ahead = True, 0
        elif growth * plan.rows >= plan.rows + self.ahead or (
            self.effort.a_player >= 2 * PILOT and affordable >= self.ahead
        ):
            self.effort = None
        else:
            self.effort = replace(self.effort, a_player=growth * self.effort.a_player)

    def _advance(
        self, plan: PhysicalPlan, maps: Mapping[Place, EstimatedMap], reached: Mapping[Place, float], affordable: float
    ) -> None:
        """Set the effort of the next round: each table takes a step towards the rows that its maps are to need."""
        assert self.effort is not None
        for i, found in maps.items():
            self._learn(i, found, reached[i])
        goals = self._goals(maps, reached, apart=self.effort.apart)
        if self.number == 1 and self.policy.common is None:
            goals = self._drawn(plan, maps, goals)
        steps = {table: self._step(table, goal) for table, goal in goals.items()}
        more = sum((steps[table] - goal.rows) * goal.models for table, goal in goals.items())
        room = min(1.0, max(0.0, affordable) / more) if more else 1.0
        rows = {game_key(game): job.spec.rows for job in plan.jobs for game in job.games}
        for table, goal in goals.items():
            more_rows = math.ceil(room * (steps[table] - goal.rows))
            # A design may hold fewer rows than it was given: permutations meet coalitions twice.
            rows |= {key: max(rows.get(key, 0), goal.rows) + more_rows for key in map(game_key, goal.games)}
        self.effort = replace(self.effort, rows=rows)
        self.ahead += sum(math.ceil(max(goal.goal, steps[t]) - goal.rows) * goal.models for t, goal in goals.items())

    def _learn(self, i: Place, found: EstimatedMap, reached: float) -> None:
        """How fast a map's error falls with its unseen rows."""
        designs = {(draw.game.hybrids.key, draw.design.key): draw.design for draw in found.draws}.values()
        rows, everything = sum(len(each.coalitions) for each in designs), sum(population(d.players) for d in designs)
        slow = any(each.pairs is None for each in designs)  # means, which learn nothing from rows but their number
        self._decays.setdefault(i, Decay(0.5 if slow else 1.0)).learn(unseen(rows, everything), reached)

    def _goals(
        self, maps: Mapping[Place, EstimatedMap], reached: Mapping[Place, float], *, apart: bool
    ) -> dict[_TableKey, _TableGoal]:
        """The rows of each table with which all its maps are forecast to be within the bound."""
        assert self.bounds.error is not None
        goals: dict[_TableKey, _TableGoal] = {}
        for i, found in maps.items():
            own: dict[_TableKey, float] = {}
            for draw, share in found.shares(apart=apart):
                table = _TableKey(draw.game.hybrids.key, draw.design.key)
                own[table] = own.get(table, 0.0) + share
                goals.setdefault(table, _goal(draw)).games[draw.game] = None
            known = math.isfinite(reached[i])
            strata = [
                Stratum(goals[t].rows, goals[t].cap, goals[t].population, share, self._cost(goals[t].games))
                for t, share in own.items()
            ]
            ratio = min(1.0, self.bounds.error / reached[i]) if known else 1 / _MOST
            allocate = self.policy.allocate and known
            for table, rows in zip(own, rows_to(strata, ratio, self._decays[i].rate, allocate=allocate), strict=True):
                again = _LEAST * goals[table].rows if ratio == 1 else 0.0  # within its bound, but not believed yet
                goals[table].goal = max(goals[table].goal, rows, again)
        return goals

    def _cost(self, games: Iterable[Game]) -> float:
        """A row of a table goes once through each model, as deep as its deepest game."""
        costs: dict[str, float] = {}
        for game in games:
            costs[game.model] = max(costs.get(game.model, 0.0), self.cost(game))
        return sum(costs.values())

    def _step(self, table: _TableKey, goal: _TableGoal) -> float:
        """The rows of the next round: part of the way, at least a little more, or all there are if it comes to that."""
        if goal.goal <= goal.rows:
            return goal.rows
        method, players, _, _ = table.design
        free = all(game.estimation.method is None for game in goal.games)
        if (
            self.policy.exact
            and free
            and players <= MAX_EXACT_PLAYERS
            and _WHOLE * goal.population <= goal.goal
            and goal.population <= min(goal.cap, _NEAR * goal.rows)
        ):
            sampled = Alternative("sampled", (goal.goal - goal.rows) * goal.models)
            exact = Alternative("exact", (goal.population - goal.rows) * goal.models)
            self.decisions.append(Decision("D2", f"{players} players, {goal.rows:,} rows", "exact", (exact, sampled)))
            return goal.population
        smallest = _LEAST if goal.rows <= _MANY else _LEAST_OF_MANY
        part: float = goal.rows * min(_MOST, max(smallest, (goal.goal / goal.rows) ** _WAY))
        least = 2 * (players - 1) if method == "permutations" else 2  # a pair of chains, a pair of coalitions
        return min(max(part, goal.rows + least), goal.population)

    def _drawn(
        self, plan: PhysicalPlan, maps: Mapping[Place, EstimatedMap], goals: dict[_TableKey, _TableGoal]
    ) -> dict[_TableKey, _TableGoal]:
        """Whether games over different hybrids go on with common coalitions, or draw their own from here on (D9).

        Own ones cost the pilot's rows again, but for the hybrids that keep the query's seed.
        """
        assert self.effort is not None
        apart = replace(self.effort, apart=True)
        own = seeds([answer for output in plan.outputs for answer in output.answers], plan.seed, apart)
        drawn = {table for table in goals if own.get(table.hybrids, plan.seed) != plan.seed}
        if not drawn:
            return goals
        reached = self._reached(maps, apart=True)
        others = self._goals(maps, reached, apart=True)
        common = sum((goal.goal - goal.rows) * goal.models for goal in goals.values())
        again = sum((goal.goal - (t not in drawn) * goal.rows) * goal.models for t, goal in others.items())
        costs = (Alternative("common", common), Alternative("own", again))
        chosen = min(costs, key=lambda cost: cost.rows or 0.0)
        self.decisions.append(Decision("D9", f"coalitions of {len(goals)} games", chosen.what, costs))
        if chosen.what == "common":
            return goals
        self.effort, self._decays = apart, {}
        self.ahead += sum(others[table].rows * others[table].models for table in drawn)
        return others


def _goal(draw: Draw) -> _TableGoal:
    budget, everything = draw.game.estimation.budget, population(draw.design.players)
    return _TableGoal(len(draw.design.coalitions), everything, min(everything, budget or math.inf), {})
