"""A bound query: its plans by number, and the contest between the elements that it ranks.

In: a parsed query with its text, the catalog. Out: a bound query. It is lowered once; each round then gets a physical
plan of those plans that are still open. Every error carries its position in the query's text. It runs only the probe of
a model whose layers are not known yet; for a query that filters by prediction, the caller passes a function that
predicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ..algebra.elements import collection_of
from ..algebra.operators import leaves
from ..algebra.players import OfConcepts
from ..algebra.rankings import Mass
from ..algebra.sources import Source
from ..algebra.windows import Columns
from ..catalog.catalog import Catalog
from ..errors import BindError, BudgetError, IalgebraError, IalgebraWarning, ModelError
from ..estimation.maps import EstimatedMap
from ..kernels.estimators.registry import complete
from ..language import tree
from ..language.bind.query import Bound
from ..planner.coarse import coarse
from ..planner.codes import Code, CodeUse
from ..planner.compile import Lowered, Wanted, lower, size
from ..planner.doubts import Use
from ..planner.graph import PlanGraph
from ..planner.lower import codes_of, drawn_on
from ..planner.physical import PhysicalPlan
from ..planner.sampling import Effort
from ..planner.strategy import Strategy
from ..planner.trees import BY_TREES
from ..system.collector import resting
from .binding import Predicting, Scoring, bind, unpredicted, unscored
from .bounds import Bounds
from .coding import Coding, find_codes, uncoded
from .contest import Contest

UNSHOWN = -1  # the item number of a plan that is not an item of the select list


class Place(NamedTuple):
    """The position of a map in its query: the number of its plan, and the number of the answer in that plan."""

    plan: int
    answer: int


@dataclass(frozen=True)
class Request:
    """A query to answer: its tree, the text that contains it, the seed and the strategy."""

    query: tree.Query
    text: str
    seed: int
    strategy: Strategy

    @property
    def own_text(self) -> str:
        """The part of the text that is this query."""
        return self.text[self.query.span.start : self.query.span.end]

    @property
    def bounds(self) -> Bounds:
        """The bounds that the query states; raises BindError, with its position in the text, if a number is
        outside a bound's range."""
        with self.placing():
            return Bounds.of(self.query)

    @contextmanager
    def placing(self) -> Iterator[None]:
        """Within this, every error gets its position in the query's text: its own words, or the clause that is
        wrong."""
        try:
            yield
        except IalgebraError as error:
            clause: tree.CallExpr | tree.Number | tree.Query | None = None
            if isinstance(error, BindError | BudgetError | ModelError):  # of the budget or an option
                clause = self.query.using or self.query.budget
            if isinstance(error, ModelError):
                clause = clause or self.query
            raise error.at(self.text, clause.span if clause else None) from error.__cause__


def _sources(bound: Bound) -> Sequence[Source]:
    """The inputs of the elements that a query ranks."""
    return collection.inputs if bound.wanted and (collection := collection_of(bound.wanted[0].plan)) else ()


def _codes(bound: Bound, catalog: Catalog) -> dict[str, dict[Code, CodeUse]]:
    """The codes that the plans of a query need."""
    references = bound.ranked.references.values() if bound.ranked else ()
    plans = [*(each.plan for each in bound.wanted), *(plan for each in references for plan in each)]
    if not any(isinstance(leaf.players, OfConcepts) for plan in plans for leaf in leaves(plan)):
        return {}
    return codes_of(PlanGraph(plans), catalog)


@dataclass(frozen=True)
class BoundQuery:
    """A bound query: its plans by number, and the contest between the elements that it ranks (None: it ranks nothing).

    The first plans are those of the query's maps; the others are those of the maps that distances are measured from."""

    request: Request
    catalog: Catalog
    bound: Bound
    contest: Contest | None

    @classmethod
    def of(
        cls,
        request: Request,
        catalog: Catalog,
        predicting: Predicting = unpredicted,
        scoring: Scoring = unscored,
        coding: Coding | None = None,
    ) -> BoundQuery:
        """Bind a query; every error carries its position in the text. `coding` finds the codes of its inputs, if it
        has games over attributes (None: the plan is not run, and any codes will do)."""
        with request.placing():
            bound = bind(request.query, request.text, catalog, predicting=predicting, scoring=scoring)
            find_codes(_codes(bound, catalog), catalog, coding or uncoded(catalog))
        ranked, contest = bound.ranked, None
        if ranked is not None:
            sources = _sources(bound)

            drawn = drawn_on(bound.wanted[0].plan, catalog) if sources else None

            def columns(element: int) -> Columns:
                assert drawn is not None, "an element is one of a collection"
                return catalog.columns(drawn(sources[element]))

            contest = Contest(ranked.ranking, ranked.elements, request.bounds.confidence, columns)
        return cls(request, catalog, bound, contest)

    @cached_property
    def _wanted(self) -> list[Wanted]:
        references = self.bound.ranked.references.values() if self.bound.ranked else ()
        return [*self.bound.wanted, *(Wanted(plan, None, UNSHOWN) for plans in references for plan in plans)]

    @cached_property
    def _count(self) -> int:
        """The number of the query's maps."""
        return sum(each.maps for each in self.bound.wanted)

    @property
    def shown(self) -> list[int]:
        """The numbers of the plans whose maps are the answer so far, in its order."""
        contest = self.contest
        return list(range(self._count)) if contest is None else self._items(contest.answer())

    def _items(self, elements: Iterable[int]) -> list[int]:
        """The numbers of the plans of these elements, grouped by the items of the select list."""
        assert self.contest is not None
        count, elements = self.contest.elements.count, list(elements)
        return [first + element for first in range(0, self._count, count or 1) for element in elements]

    @property
    def open(self) -> list[int]:
        """The numbers of the plans that a round computes: those of elements that may be in the answer, and those of
        maps that distances are measured from."""
        if self.contest is None:
            return list(range(self._count))
        running = self.contest.running.tolist()
        return self._items(running) + [number for each in self._references.values() for number in each]

    @property
    def _references(self) -> dict[str, list[int]]:
        """For each distance the numbers of the plans that it is measured from: one for all, or one per running
        element."""
        assert self.contest is not None
        assert self.bound.ranked is not None
        numbers, first = {}, self._count
        for name, plans in self.bound.ranked.references.items():
            one = len(plans) == 1
            numbers[name] = [first] if one else [first + element for element in self.contest.running.tolist()]
            first += len(plans)
        return numbers

    @cached_property
    def _lowered(self) -> Lowered:
        """All plans of the query, checked and lowered to games. This is done once: rounds differ only in their rows."""
        request = self.request
        places = self.bound.places
        means = request.bounds.error is None
        return lower(self._wanted, self.catalog, request.strategy, query=request.own_text, places=places, means=means)

    def chose_trees(self, model: str) -> bool:
        """Whether trees were chosen for a model without being named (D2)."""
        return any((each.about, each.chosen) == (model, BY_TREES) for each in self._lowered.decisions)

    def doubts(self) -> list[IalgebraWarning]:
        """What the query asks that is legal but rarely meant: windows that select nothing, and the like."""
        masses = []
        if self.bound.ranked is not None:
            sources = _sources(self.bound)
            windows = [each.window for each in self.bound.ranked.ranking.scalars.values() if isinstance(each, Mass)]
            drawn = drawn_on(self.bound.wanted[0].plan, self.catalog) if windows and sources else None
            masses = [Use(window, drawn(each), "its mass is 0") for window in windows for each in sources if drawn]
        return self._lowered.doubts(masses)

    def plan(self, effort: Effort | None = None, strategy: Strategy | None = None) -> PhysicalPlan:
        """The physical plan of the open plans: with `effort` of one round, without it of the whole budget.

        Every error carries its position in the query's text. `strategy` is that of an earlier plan of this query, whose
        decisions are then kept; by default it is the request's.
        """
        with self.request.placing(), resting():
            return size(self._lowered, self.request.seed, numbers=self.open, effort=effort, strategy=strategy)

    def coarse(self, rows: int, finer: PhysicalPlan) -> PhysicalPlan | None:
        """The physical plan of the query over a few blocks of players, all of whose coalitions are rows of the games of
        the `finer` plan, at most `rows` a game; None where that is not worth while, or where its rows would be more
        than the query may spend."""
        exact = all(complete(job.spec.method) for job in finer.jobs)
        budgets = [game.estimation.budget for job in finer.jobs for game in job.games]
        if not exact and any(budget is not None for budget in budgets):
            return None
        lowered = coarse(self._lowered, rows, finer.rows)
        if lowered is None:
            return None
        with self.request.placing(), resting():
            return size(lowered, self.request.seed, numbers=self.open, strategy=finer.strategy)

    def judge(self, maps: Mapping[Place, EstimatedMap], *, give_up: bool) -> dict[Place, EstimatedMap]:
        """Pass a round's maps to the contest; return those that are given up, because they cannot be in the answer."""
        if self.contest is None:
            return {}
        others = {name: [maps[Place(number, 0)] for number in each] for name, each in self._references.items()}
        self.contest.read({element: maps[Place(element, 0)] for element in self.contest.running.tolist()}, others)
        if give_up:
            self.contest.give_up()
        kept = set(self.open)
        return {place: estimate for place, estimate in maps.items() if place.plan not in kept}

    def scores(self, number: int) -> dict[str, tuple[float, float]]:
        """The numbers that the ranking reads of a plan's element, each with its standard error."""
        return {} if self.contest is None else self.contest.about(number % self.contest.elements.count)

    @property
    def ranking(self) -> str | None:
        """The ranking as query text, and the number of elements that it chooses from."""
        contest = self.contest
        return None if contest is None else f"{contest.ranking}, among {contest.elements.count:,} elements"
