"""The question that a query asks: its plans by number, and the contest between the elements that it ranks.

In: a parsed query with its text, the catalog. Out: a bound query, which is lowered once and sized for every round, of
those plans that are still open. Every error is placed in the query's text. It runs nothing but the
probe of a model that is not known yet; a query that filters by prediction is bound with a function that predicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ..algebra.kinds import columns_of
from ..algebra.operators import leaves
from ..algebra.windows import Columns
from ..catalog.catalog import Catalog
from ..errors import BindError, BudgetError, IalgebraError, ModelError
from ..estimation.maps import EstimatedMap
from ..language import tree
from ..language.bind.query import Bound
from ..planner.compile import Lowered, Wanted, lower, size
from ..planner.physical import PhysicalPlan
from ..planner.sampling import Effort
from ..planner.strategy import Strategy
from .binding import Predicting, bind, unpredicted
from .bounds import Bounds
from .contest import Contest

UNSHOWN = -1  # the item of a plan that the select list does not name


class Place(NamedTuple):
    """Where a map stands in its query: the number of its plan, and that of the plan's answer."""

    plan: int
    answer: int


@dataclass(frozen=True)
class Request:
    """A query to answer: its tree, the text that it stands in, and how."""

    query: tree.Query
    text: str
    seed: int
    strategy: Strategy

    @property
    def own_text(self) -> str:
        """The query's own words within a script."""
        return self.text[self.query.span.start : self.query.span.end]

    @property
    def bounds(self) -> Bounds:
        """The bounds that the query states; raises BindError, placed in its text, where a number is no bound."""
        with self.placing():
            return Bounds.of(self.query)

    @contextmanager
    def placing(self) -> Iterator[None]:
        """Within this, every error is placed in the query's text: at its own words, or at the clause at fault."""
        try:
            yield
        except IalgebraError as error:
            clause: tree.CallExpr | tree.Number | tree.Query | None = None
            if isinstance(error, BindError | BudgetError | ModelError):  # of a budget, or of an interpreter's options
                clause = self.query.using or self.query.budget
            if isinstance(error, ModelError):
                clause = clause or self.query
            raise error.at(self.text, clause.span if clause else None) from error.__cause__


@dataclass(frozen=True)
class BoundQuery:
    """A query that is bound: its plans, by number, of which the first are those of its maps and the others those that
    distances are measured from; and the contest between the elements that it ranks, if it does."""

    request: Request
    catalog: Catalog
    bound: Bound
    contest: Contest | None

    @classmethod
    def of(cls, request: Request, catalog: Catalog, predicting: Predicting = unpredicted) -> BoundQuery:
        """Bind a query; every error is placed in its text."""
        with request.placing():
            bound = bind(request.query, request.text, catalog, predicting=predicting)
        ranked, contest = bound.ranked, None
        if ranked is not None:

            def columns(element: int) -> Columns:
                (source,) = leaves(bound.maps[element].plan)[0].inputs
                entry, content = catalog.input(source.name), catalog.element(source).array
                return columns_of(entry.kind, content, entry.feature_names)

            contest = Contest(ranked.ranking, ranked.elements, request.bounds.confidence, columns)
        return cls(request, catalog, bound, contest)

    @cached_property
    def _wanted(self) -> list[Wanted]:
        references = self.bound.ranked.references.values() if self.bound.ranked else ()
        return [*self.bound.maps, *(Wanted(plan, None, UNSHOWN) for plans in references for plan in plans)]

    @property
    def shown(self) -> list[int]:
        """The numbers of the plans whose maps are the answer, in its order, as far as is known."""
        contest = self.contest
        return list(range(len(self.bound.maps))) if contest is None else self._items(contest.answer())

    def _items(self, elements: Iterable[int]) -> list[int]:
        """The numbers of some elements' plans, those of each item of the select list together."""
        assert self.contest is not None
        count, elements = self.contest.elements.count, list(elements)
        return [first + element for first in range(0, len(self.bound.maps), count or 1) for element in elements]

    @property
    def open(self) -> list[int]:
        """The numbers of the plans that a round is of: those of what may be in the answer, and what they are compared
        with."""
        if self.contest is None:
            return list(range(len(self._wanted)))
        running = self.contest.running.tolist()
        return self._items(running) + [number for each in self._references.values() for number in each]

    @property
    def _references(self) -> dict[str, list[int]]:
        """For each distance the numbers of the plans that it is measured from: one, or one a running element."""
        assert self.contest is not None
        assert self.bound.ranked is not None
        found, first = {}, len(self.bound.maps)
        for name, plans in self.bound.ranked.references.items():
            one = len(plans) == 1
            found[name] = [first] if one else [first + element for element in self.contest.running.tolist()]
            first += len(plans)
        return found

    @cached_property
    def _lowered(self) -> Lowered:
        """All plans of the query, checked and lowered to games: once, for what rounds change is their rows."""
        request = self.request
        places = self.bound.places
        return lower(self._wanted, self.catalog, request.strategy, query=request.own_text, places=places)

    def plan(self, effort: Effort | None = None, strategy: Strategy | None = None) -> PhysicalPlan:
        """The physical plan of the open plans, or of one round of them; every error is placed in the query's text.

        `strategy` is the request's, or that of a plan of this query, in which every decision is taken.
        """
        with self.request.placing():
            return size(self._lowered, self.request.seed, numbers=self.open, effort=effort, strategy=strategy)

    def judge(self, found: Mapping[Place, EstimatedMap], *, give_up: bool) -> dict[Place, EstimatedMap]:
        """Read a round's maps for the contest; those that are given up, because they cannot be in the answer."""
        if self.contest is None:
            return {}
        others = {name: [found[Place(number, 0)] for number in each] for name, each in self._references.items()}
        self.contest.read({element: found[Place(element, 0)] for element in self.contest.running.tolist()}, others)
        if give_up:
            self.contest.give_up()
        kept = set(self.open)
        return {place: each for place, each in found.items() if place.plan not in kept}

    def scores(self, number: int) -> dict[str, tuple[float, float]]:
        """What the ranking reads of the element that a plan is of, with standard errors."""
        return {} if self.contest is None else self.contest.about(number % self.contest.elements.count)

    @property
    def ranking(self) -> str | None:
        """The ranking in words, and among how many elements it chooses."""
        contest = self.contest
        return None if contest is None else f"{contest.ranking}, among {contest.elements.count:,} elements"
