"""Answers to a bound, in rounds: a pilot, a forecast, and steps towards it until every map is within its bound.

In: the maps that a round estimated, and their plan. Out: the effort of the next round, the rows that are still to come,
and the decisions. It plans nothing and runs nothing.

A bound is trusted only if it holds in a round that is not the first. Then its map is settled: it does not change and
gets no more rows (D4). The other maps get rows for part of the way to their forecast (D8), so that a wrong forecast is
corrected before all its rows are run. Nothing here depends on a clock except `WITHIN t SECONDS`, so equal queries have
equal rounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from ..estimation.bound import simultaneous
from ..estimation.maps import EstimatedMap
from ..execution.tables import Outcome
from ..planner.decisions import Alternative, Decision
from ..planner.games import Game
from ..planner.physical import PhysicalPlan
from ..planner.sampling import Effort, seeds
from ..results.views import AttributionViews
from .allocation import Decay
from .bounds import Bounds, Policy
from .forecast import LEAST_GROWTH, MOST_GROWTH, Forecast, Goals, TableKey, a_row, learn
from .question import Place

# A stop takes the first round that looks good enough, which is often a lucky one, or one that has not met what is rare.
# It is paid for: as if there were twice as many bounds, and as if twice as much were unmet.
_PRICE = 2


Stage = Literal["coarse", "partial", "whole"]
"""What a round's maps are: of blocks of players; of all players, read quickly from the rows so far; or as they are at
their best from these rows."""


@dataclass(frozen=True, eq=False)
class Round:
    """One round of a query: its plan and outcome, the answer so far, and how far the query is after it."""

    plan: PhysicalPlan
    outcome: Outcome
    answer: AttributionViews
    bound_met: bool
    ahead: int | None  # the forecast of model rows still to come; None if no bound was checked yet
    settled: int  # maps that are final
    given_up: int  # maps that cannot be in the answer of a ranking, of this round and earlier ones
    decisions: tuple[Decision, ...]  # taken between rounds
    in_time: bool = True  # False: time ended the round after this one, which gave no answer
    stage: Stage = "whole"

    @property
    def errors(self) -> list[float]:
        """The relative bound at 95 % of each map of the answer."""
        return [bound for _, bound in self.answer.columns.bounds]


@dataclass
class Course:
    """The course of one query: `effort` is the effort of the next round; None is the whole budget of every game.

    `whole` is the number of rows of the whole budget, for queries without a bound on the error; `cost` is the cost of a
    game's row. With `at_once` the first round spends the whole budget and is the last.
    """

    bounds: Bounds
    policy: Policy = field(default_factory=Policy)
    whole: int | None = None
    cost: Callable[[Game], float] = a_row
    at_once: bool = False
    effort: Effort | None = field(init=False)
    number: int = field(default=0, init=False)  # rounds in which bounds were checked
    settled: dict[Place, EstimatedMap] = field(default_factory=dict, init=False)
    error: float | None = field(default=None, init=False)  # the worst bound of the last round
    met: bool = field(default=False, init=False)
    done: bool = field(default=False, init=False)
    ahead: int = field(default=0, init=False)  # the forecast of model rows still to come
    decisions: list[Decision] = field(default_factory=list, init=False)
    count: int = field(default=1, init=False)  # maps of the query
    given_up: int = field(default=0, init=False)  # maps that cannot be in the answer
    spared: float = field(default=0.0, init=False)  # rows that the maps given up would have needed
    _decays: dict[Place, Decay] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        tempo = self.policy.tempo
        first = tempo.pilot if math.isinf(self.bounds.seconds) else tempo.fewest
        apart = self.bounds.error is not None and self.policy.common is False
        self.effort = None if self.at_once else Effort(first, apart=apart)

    @property
    def may_give_up(self) -> bool:
        """Whether maps may be given up: only in a query with a bound, and after enough rows to trust their errors."""
        enough = self.effort is not None and self.effort.a_player >= self.policy.tempo.pilot
        return self.policy.retire and self.bounds.error is not None and enough

    def judge(
        self,
        plan: PhysicalPlan,
        maps: Mapping[Place, EstimatedMap],
        affordable: float = math.inf,
        lost: Mapping[Place, EstimatedMap] | None = None,
    ) -> None:
        """Check a round's maps, and choose the effort of the next round, at most `affordable` more rows. `lost` are the
        maps of this round that cannot be in the answer; they get no more rows (D4)."""
        if self.at_once:
            self.exhaust()
            return
        # All bounds hold at once, also those of maps that were given up earlier.
        self.count = max(self.count, len(maps) + len(lost or ()))
        if lost:
            self._give_up(lost)
        reached = self._reached(maps)
        self.error = max(reached.values(), default=0.0)
        if self.bounds.error is None:
            self._double(plan, affordable)
            return
        assert self.effort is not None
        if self.effort.a_player < self.policy.tempo.pilot and self.error > 0:
            self.effort = replace(self.effort, a_player=self.policy.tempo.pilot)
            return
        self.number += 1
        self._settle(maps, reached, self.bounds.error)
        if not self.done:
            growing = {place: found for place, found in maps.items() if place not in self.settled}
            self._advance(plan, growing, reached, affordable)

    def exhaust(self) -> None:
        """No more rows are possible: the query ends with the bounds reached so far."""
        self.met = self.met or (self.error or 0.0) <= (math.inf if self.bounds.error is None else self.bounds.error)
        self.done, self.ahead = True, 0

    def time_up(self) -> None:
        """Time is up before the next round: the bounds count as not met."""
        self.met, self.done = False, True

    def _reached(self, maps: Mapping[Place, EstimatedMap], *, apart: bool = False) -> dict[Place, float]:
        """The bound of each map, so wide that all bounds hold at once with the confidence asked for."""
        confidence = simultaneous(self.bounds.confidence, _PRICE * self.count)
        return {place: found.relative_bound(confidence, apart=apart, doubt=_PRICE) for place, found in maps.items()}

    def _settle(self, maps: Mapping[Place, EstimatedMap], reached: Mapping[Place, float], asked: float) -> None:
        """Settle the maps whose bound holds and is trusted."""
        held = {place for place, bound in reached.items() if bound == 0 or (bound <= asked and self.number > 1)}
        if self.policy.retire:
            self.settled |= {place: maps[place] for place in held - self.settled.keys()}
        self.met = self.done = len(held) == len(maps)
        self.ahead = 0

    def _give_up(self, maps: Mapping[Place, EstimatedMap]) -> None:
        """Record the decision to give maps up (D4): how many, and how many rows that saves."""
        assert self.effort is not None
        reached = self._reached({place: found for place, found in maps.items() if place not in self.settled})
        sampled = {place: maps[place] for place, bound in reached.items() if bound}  # exact maps need no more rows
        for place, found in sampled.items():
            learn(self._decays, place, found, reached[place])
        goals = self._goals(sampled, reached, apart=self.effort.apart)
        self.given_up += len(maps)
        self.spared += sum(goal.missing() for goal in goals.values())
        refined = Alternative("refined to the bound", self.spared)
        chosen = Decision("D4", f"{self.count:,} maps", f"{self.given_up:,} given up", (refined,))
        self.decisions = [*(each for each in self.decisions if each.id != "D4"), chosen]

    def _double(self, plan: PhysicalPlan, affordable: float) -> None:
        """Without a bound on the error, rounds double twice; then comes the whole budget, if time allows."""
        self.met, self.ahead = True, max(0, (self.whole or 0) - plan.rows)
        growth = min(MOST_GROWTH, 1 + affordable / max(1, plan.rows))
        if self.effort is None or self.error == 0 or growth < LEAST_GROWTH:
            self.done, self.ahead = True, 0
        elif growth * plan.rows >= plan.rows + self.ahead or (
            self.effort.a_player >= 2 * self.policy.tempo.pilot and affordable >= self.ahead
        ):
            self.effort = None
        else:
            self.effort = replace(self.effort, a_player=growth * self.effort.a_player)

    def _advance(
        self, plan: PhysicalPlan, maps: Mapping[Place, EstimatedMap], reached: Mapping[Place, float], affordable: float
    ) -> None:
        """Set the effort of the next round: each table takes a step towards the rows that its maps need."""
        assert self.effort is not None
        for place, found in maps.items():
            learn(self._decays, place, found, reached[place])
        goals = self._goals(maps, reached, apart=self.effort.apart)
        if self.number == 1 and self.policy.common is None:
            goals = self._drawn(plan, maps, goals)
        steps = {table: self._forecast.step(table, goal) for table, goal in goals.items()}
        self.decisions += [decision for _, decision in steps.values() if decision is not None]
        self._spend(plan, goals, {table: rows for table, (rows, _) in steps.items()}, affordable)

    def _spend(self, plan: PhysicalPlan, goals: Goals, steps: Mapping[TableKey, float], affordable: float) -> None:
        """Set the rows of each game for the next round: its table's step, or as much of it as is affordable."""
        assert self.effort is not None
        more = sum(goal.missing(steps[table]) for table, goal in goals.items())
        room = min(1.0, max(0.0, affordable) / more) if more else 1.0
        rows = {game.key: job.spec.rows for job in plan.jobs for game in job.games}
        for table, goal in goals.items():
            more_rows = math.ceil(room * (steps[table] - goal.rows))
            # A design may hold fewer rows than it was given: permutations visit some coalitions twice.
            rows |= {key: max(rows.get(key, 0), goal.rows) + more_rows for key in (game.key for game in goal.games)}
        self.effort = replace(self.effort, rows=rows)
        self.ahead += sum(math.ceil(max(goal.goal, steps[t]) - goal.rows) * goal.models for t, goal in goals.items())

    @property
    def _forecast(self) -> Forecast:
        assert self.bounds.error is not None
        return Forecast(self.bounds.error, self.policy, self.cost)

    def _goals(self, maps: Mapping[Place, EstimatedMap], reached: Mapping[Place, float], *, apart: bool) -> Goals:
        return self._forecast.goals(maps, reached, self._decays, apart=apart)

    def _drawn(self, plan: PhysicalPlan, maps: Mapping[Place, EstimatedMap], goals: Goals) -> Goals:
        """Whether games over different hybrids go on with common coalitions, or draw their own from here on (D9).

        Own coalitions cost the rows of the pilot again, except for hybrids that keep the query's seed.
        """
        assert self.effort is not None
        apart = replace(self.effort, apart=True)
        own = seeds([answer for output in plan.outputs for answer in output.answers], plan.seed, apart)
        drawn = {table for table in goals if own.get(table.hybrids, plan.seed) != plan.seed}
        if not drawn:
            return goals
        others = self._goals(maps, self._reached(maps, apart=True), apart=True)
        common = sum(goal.missing() for goal in goals.values())
        again = sum((goal.goal - (t not in drawn) * goal.rows) * goal.models for t, goal in others.items())
        costs = (Alternative("common", common), Alternative("own", again))
        chosen = min(costs, key=lambda cost: cost.rows or 0.0)
        self.decisions.append(Decision("D9", f"coalitions of {len(goals)} games", chosen.what, costs))
        if chosen.what == "common":
            return goals
        self.effort, self._decays = apart, {}
        self.ahead += sum(others[table].rows * others[table].models for table in drawn)
        return others
