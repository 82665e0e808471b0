"""One query from syntax tree to Relation: bind → compile → execute → maps. The only place where the rooms meet.

In: a parsed query, the session's catalog and store, a seed and a strategy. Out: a Relation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import cast

from ..algebra.operators import Identity, leaves
from ..algebra.windows import EVERYTHING, Columns, columns_of
from ..catalog.catalog import Catalog
from ..errors import BindError, BudgetError, IalgebraError, ModelError
from ..estimation.maps import EstimatedMap, Estimates
from ..execution.executor import Executor, Outcome, Progress, TimeUp
from ..execution.pace import Tape
from ..execution.store import Store
from ..language import syntax
from ..language.bind.query import Bound, Predicting, bind, unpredicted
from ..models.network import Network
from ..planner.compile import Wanted, compile_plan
from ..planner.explain import Details, explain, measured_of, text
from ..planner.games import Game, Predicted
from ..planner.physical import PhysicalPlan
from ..planner.sampling import Effort
from ..planner.spending import Spending
from ..planner.strategy import Strategy
from ..results.assemble import attribution, warn
from ..results.attribution import Attribution
from ..results.provenance import environment, provenance
from ..results.relation import Relation, Stats
from ..system.runtime import peak_memory
from .contest import Contest
from .rounds import PILOT, Bounds, Place, Policy, Rounds, Standing, Watch


@dataclass(frozen=True)
class Request:
    """A query to answer: its tree, the text that it stands in, and how."""

    query: syntax.Query
    text: str
    seed: int
    strategy: Strategy

    @property
    def own_text(self) -> str:
        """The query's own words within a script."""
        return self.text[self.query.span.start : self.query.span.end]


def _bounds(request: Request) -> Bounds:
    """The bounds that a query states; every error is placed in its text."""
    try:
        return Bounds.of(request.query)
    except BindError as fault:
        raise fault.at(request.text) from None


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
        with _placed(request):
            bound = bind(request.query, request.text, catalog, predicting=predicting)
        ranked, contest = bound.ranked, None
        if ranked is not None:

            def columns(place: int) -> Columns:
                (source,) = leaves(bound.maps[place].plan)[0].inputs
                entry, content = catalog.input(source.name), catalog.element(source).array
                return columns_of(entry.kind, content, entry.feature_names)

            contest = Contest(ranked.ranking, ranked.elements, _bounds(request).confidence, columns)
        return cls(request, catalog, bound, contest)

    @cached_property
    def _wanted(self) -> list[Wanted]:
        references = self.bound.ranked.references.values() if self.bound.ranked else ()
        return [*self.bound.maps, *(Wanted(plan, None, _UNSHOWN) for plans in references for plan in plans)]

    @property
    def shown(self) -> list[int]:
        """The numbers of the plans whose maps are the answer, in its order, as far as is known."""
        contest = self.contest
        places = range(len(self.bound.maps)) if contest is None else self._items(contest.answer())
        return list(places)

    def _items(self, places: Iterable[int]) -> list[int]:
        """The numbers of some elements' plans, those of each item of the select list together."""
        assert self.contest is not None
        count, places = self.contest.elements.count, list(places)
        return [first + place for first in range(0, len(self.bound.maps), count or 1) for place in places]

    @property
    def open(self) -> list[int]:
        """The numbers of the plans that a round is of: those of what may be in the answer, and what they are compared
        with."""
        if self.contest is None:
            return list(range(len(self._wanted)))
        running = self.contest.running.tolist()
        return self._items(running) + [number for each in self._others.values() for number in each]

    @property
    def _others(self) -> dict[str, list[int]]:
        """For each distance the numbers of the plans that it is measured from: one, or one a running element."""
        assert self.contest is not None
        assert self.bound.ranked is not None
        found, first = {}, len(self.bound.maps)
        for name, plans in self.bound.ranked.references.items():
            one = len(plans) == 1
            found[name] = [first] if one else [first + place for place in self.contest.running.tolist()]
            first += len(plans)
        return found

    def plan(self, strategy: Strategy, effort: Effort | None = None) -> PhysicalPlan:
        """The physical plan of the open plans, or of one round of them; every error is placed in the query's text."""
        with _placed(self.request):
            return compile_plan(
                [self._wanted[number] for number in self.open],
                self.catalog,
                strategy,
                self.request.seed,
                query=self.request.own_text,
                places=self.bound.places,
                effort=effort,
            )

    def judge(self, found: Mapping[Place, EstimatedMap], *, give_up: bool) -> dict[Place, EstimatedMap]:
        """Read a round's maps for the contest; those that are given up, because they cannot be in the answer."""
        if self.contest is None:
            return {}
        others = {name: [found[number, 0] for number in each] for name, each in self._others.items()}
        self.contest.read({place: found[place, 0] for place in self.contest.running.tolist()}, others)
        if give_up:
            self.contest.give_up()
        kept = set(self.open)
        return {place: each for place, each in found.items() if place[0] not in kept}

    def scores(self, number: int) -> dict[str, tuple[float, float]]:
        """What the ranking reads of the element that a plan is of, with standard errors."""
        return {} if self.contest is None else self.contest.about(number % self.contest.elements.count)

    @property
    def ranking(self) -> str | None:
        """The ranking in words, and among how many elements it chooses."""
        contest = self.contest
        return None if contest is None else f"{contest.ranking}, among {contest.elements.count:,} elements"


_UNSHOWN = -1  # the item of a plan that the select list does not name


@contextmanager
def _placed(request: Request) -> Iterator[None]:
    """Every error is placed in the query's text."""
    try:
        yield
    except IalgebraError as error:
        clause: syntax.CallExpr | syntax.Number | syntax.Query | None = None
        if isinstance(error, BindError | BudgetError | ModelError):  # of a budget, or of an interpreter's options
            clause = request.query.using or request.query.budget
        if isinstance(error, ModelError):
            clause = clause or request.query
        raise error.at(request.text, clause.span if clause else None) from error.__cause__


def explained(request: Request, catalog: Catalog) -> Relation:
    """EXPLAIN: the plan of a query, which is not run; what it filters by prediction is planned whole."""
    first = Effort(PILOT) if _bounds(request).any else None
    question = BoundQuery.of(request, catalog)
    details = explain(question.plan(request.strategy, first), catalog, ranking=question.ranking)
    return said(text(details), request.own_text, details)


def only_map(request: Request, catalog: Catalog) -> None:
    """Raise BindError, before anything is run, where it is known that a query has not one map to answer with."""
    asked: list[Identity] = []

    def predicting(identity: Identity) -> list[None]:
        asked.append(identity)
        return unpredicted(identity)

    question = BoundQuery.of(request, catalog, predicting)
    count = sum(len(output.answers) for output in question.plan(request.strategy, Effort(0)).outputs)
    ranking = None if question.contest is None else question.contest.ranking
    if ranking is not None:
        count = min(count, ranking.limit or count)
    if count != 1 and not (count and (asked or (ranking is not None and ranking.having is not EVERYTHING))):
        raise BindError(f"one map is needed here, and this query answers with {count}", request.query.span)


def said(words: str, query: str, details: Details | None = None) -> Relation:
    """A relation without maps: what a statement other than a query answers."""
    stats = Stats.of(Spending(), 0.0, bound_met=True)
    plain = cast("dict[str, object]", details or {})
    return Relation(
        attributions=(), stats=stats, plan=words, details=plain, text=words, query=query, provenance=environment()
    )


def answered(
    request: Request, catalog: Catalog, store: Store, watch: Watch | None = None, *, analyze: bool = False
) -> Relation:
    """The answer to a query; with `analyze` the relation's text is the plan with what was measured."""
    rounds = _bounds(request).any
    *_, last = refined(request, catalog, store, watch, analyze=analyze, rounds=rounds)
    return last


def refined(
    request: Request,
    catalog: Catalog,
    store: Store,
    watch: Watch | None = None,
    *,
    analyze: bool = False,
    rounds: bool = True,
) -> Iterator[Relation]:
    """Answers of growing rounds, each with all rows of those before it, until the bounds hold or the budget is spent.

    When time is up, the answer is that of the last round whose rows are in. Without `rounds` there is one, of the whole
    budget. `watch` hears of every batch.
    """
    bounds = _bounds(request)
    unknown = [network for network in catalog.models.values() if not network.probed]
    spent = _Spent(time.perf_counter(), unknown, Tape(request.strategy.batches))
    deadline = spent.started + bounds.seconds
    policy = Policy.of(request.strategy)
    if analyze:
        peak_memory(reset=True)
    if rounds and request.strategy.reuse is False:  # rounds build on each other's rows, if not on the session's
        request, store = replace(request, strategy=replace(request.strategy, reuse=True)), Store()
    store.begin()
    question = BoundQuery.of(request, catalog, partial(_predicted, request, catalog, store, spent))
    whole = question.plan(request.strategy) if not rounds or bounds.error is None else None
    course = Rounds(bounds, policy, None if whole is None else whole.rows, partial(_a_row, catalog))
    first = whole if whole and not rounds else question.plan(request.strategy, course.effort)
    # What rounds share is decided once: an effort names the games of that plan, and another would start from nothing.
    strategy = first.strategy
    physical: PhysicalPlan | None = first
    last: tuple[PhysicalPlan, Outcome, list[Attribution], list[float]] | None = None
    left: dict[str, object] = {}
    while physical is not None:
        for name, content in left.items():  # some maps may be final, and the others would be of another model
            if _content(name, physical, catalog) != content:
                raise ModelError(f"model '{name}' was changed between two rounds of a query; ask again")
        # A batch that begins later would end too late, and the estimate of what is in takes its time too.
        a_batch = spent.spending.batch_seconds
        executor = Executor(
            catalog, store, _told(watch, course, spent), deadline - a_batch - physical.overhead, spent.tape
        )
        in_time = True
        try:
            executor.run(physical)
        except TimeUp:
            in_time = False
        finally:
            spent.add(executor.outcome)
        if rounds:
            left = {name: _content(name, physical, catalog) for name in executor.outcome.contents}
        if not in_time:
            if last is not None:  # rows were paid for since, which are too few for another answer
                yield _relation(question, *last, spent, course, analyze)
                return
            physical = question.plan(strategy, Effort(0))  # the ends are in
            continue
        places = {
            (number, k): (output, answer, readings)
            for number, output in zip(question.open, physical.outputs, strict=True)
            for k, (answer, readings) in enumerate(zip(output.answers, output.readings, strict=True))
        }
        growing = {place: each[1:] for place, each in places.items() if place not in course.settled}
        estimates = Estimates(physical, executor.outcome, catalog, growing.values())
        found = {place: course.settled.get(place) or estimates.map(*growing[place]) for place in places}
        for output in physical.outputs:
            warn(output, executor.outcome, catalog)
        lost = question.judge(found, give_up=policy.retire and course.trusted)
        if rounds:
            course.judge(physical, {i: found[i] for i in found if i not in lost}, spent.affordable(deadline), lost)
            following = _following(question, strategy, course, physical, whole)
        else:
            course.exhaust()
            following = None
        if time.perf_counter() >= deadline:
            course.met, following = False, None
        shown = [place for number in question.shown for place in places if place[0] == number]
        maps = [
            attribution(output, answer, found[place], executor.outcome, catalog, question.scores(place[0]))
            for place in shown
            for output, answer, _ in (places[place],)
        ]
        last = (physical, executor.outcome, maps, [found[place].relative_bound(0.95) for place in shown])
        yield _relation(question, *last, spent, course, analyze)
        physical = following


def _predicted(request: Request, catalog: Catalog, store: Store, spent: _Spent, identity: Identity) -> list[int]:
    """The classes that an identity's model predicts for its inputs: of their games the rows x_∅ and x_N, no more."""
    model, inputs = identity.model, identity.inputs
    rest = (identity.baselines[:1], identity.players, None, identity.output, identity.depth)
    wanted = [Wanted(Identity(model, (source,), *rest), None, _UNSHOWN) for source in inputs]
    executor = Executor(catalog, store, tape=spent.tape)
    try:
        executor.run(compile_plan(wanted, catalog, request.strategy, request.seed, effort=Effort(0)))
    finally:
        spent.add(executor.outcome)
    return [executor.outcome.targets[Predicted(model, source)] for source in inputs]


def _content(name: str, plan: PhysicalPlan, catalog: Catalog) -> object:
    """What a plan computes with of a model, as a value that can be compared: the model, and the heads that it reads."""
    network = catalog.model(name)
    heads, layers = network.heads_fingerprint(), {layer for job in plan.jobs for layer in job.layers(name)}
    return network.content(), {layer: head for layer, head in heads.items() if layer in layers}


def _a_row(catalog: Catalog, game: Game) -> float:
    """What a row of a game costs beside those of other games of its model: the share of the layers it goes through.

    Layers are counted, not timed, because rows are divided by this: answers may not hang on the clock.
    """
    return 1.0 if game.layer is None else game.layer / len(catalog.model(game.model).layers)


def _following(
    question: BoundQuery, strategy: Strategy, course: Rounds, physical: PhysicalPlan, whole: PhysicalPlan | None
) -> PhysicalPlan | None:
    """The plan of the round after `physical`, None where there is none, or where no more rows can be had."""
    if course.done:
        return None
    try:
        after = whole if whole and course.effort is None else question.plan(strategy, course.effort)
        after = replace(after, decisions=physical.decisions)
    except BudgetError:
        course.exhaust()
        return None
    before = {(job.hybrids.key, job.spec) for job in physical.jobs}
    if all((job.hybrids.key, job.spec) in before for job in after.jobs):
        course.exhaust()
        return None
    return after


def _told(watch: Watch | None, course: Rounds, spent: _Spent) -> Progress | None:
    """What hears of an execution's rows, for a `watch` that is told how the whole query stands."""
    if watch is None:
        return None

    def told(done: int, total: int) -> None:
        forecast = spent.rows + max(total, course.ahead)
        seconds = time.perf_counter() - spent.started
        watch(Standing(spent.rows + done, forecast, seconds, course.error, course.bounds.error))

    return told


@dataclass
class _Spent:
    """What the rounds of a query have taken together; a model's first row, which tells its layers, counts too."""

    started: float
    unknown: list[Network]
    tape: Tape
    spending: Spending = field(default_factory=Spending)

    @property
    def rows(self) -> int:
        return self.spending.rows

    def affordable(self, deadline: float) -> float:
        """How many more rows fit before `deadline`, if they take as long as those so far."""
        now = time.perf_counter()
        return (deadline - now) * self.rows / (now - self.started) if self.rows else math.inf

    def add(self, outcome: Outcome) -> None:
        self.spending += outcome.spending + Spending(rows=sum(network.probed for network in self.unknown))
        self.unknown = [network for network in self.unknown if not network.probed]


def _relation(
    question: BoundQuery,
    physical: PhysicalPlan,
    outcome: Outcome,
    maps: list[Attribution],
    errors: list[float],
    spent: _Spent,
    course: Rounds,
    analyze: bool,
) -> Relation:
    request, catalog, seconds = question.request, question.catalog, time.perf_counter() - spent.started
    measured = measured_of(
        spent.spending,
        seconds,
        peak=peak_memory() if analyze else None,
        decisions=[each for each in course.decisions if each not in physical.decisions],
        errors=[(each.label, error) for each, error in zip(maps, errors, strict=True)],
    )
    details = explain(physical, catalog, measured, ranking=question.ranking)
    words = text(details)
    nothing = f"no element is left by: {question.bound.ranked.ranking}" if question.bound.ranked and not maps else None
    return Relation(
        attributions=maps,
        stats=Stats.of(
            spent.spending,
            seconds,
            bound_met=course.met,
            forecast_rows=spent.rows + course.ahead if course.number else None,
            given_up=course.given_up,
        ),
        plan=words,
        details=cast("dict[str, object]", details),
        text=words if analyze else nothing,
        query=request.own_text,
        provenance=provenance(request.query, catalog, physical, outcome, spent.tape.batches),
    )
