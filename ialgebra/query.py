"""One query from syntax tree to Relation: bind → compile → execute → maps. The only place where the rooms meet.

In: a parsed query, the session's catalog and store, a seed and a strategy. Out: a Relation.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

from .answers import attribution, warn
from .catalog import Catalog
from .errors import BindError, BudgetError, IalgebraError, ModelError
from .execution.executor import Executor, Outcome, Progress, TimeUp
from .execution.maps import Estimates
from .execution.store import Store
from .language import syntax
from .language.binder import bind
from .models.network import Network
from .planner.compiler import compile_plan
from .planner.explain import Details, Measured, decision_lines, explain, text
from .planner.games import Game
from .planner.physical import PhysicalPlan
from .planner.sampling import Effort
from .planner.strategy import Strategy
from .provenance import environment, provenance
from .results import Attribution, Relation, Stats
from .rounds import PILOT, Bounds, Policy, Rounds, Standing, Watch
from .runtime import peak_memory


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


def plan(request: Request, catalog: Catalog, effort: Effort | None = None) -> PhysicalPlan:
    """The physical plan of a query, or of one round of it; every error is placed in its text."""
    try:
        bound = bind(request.query, request.text, catalog)
        return compile_plan(
            bound.maps,
            catalog,
            request.strategy,
            request.seed,
            query=request.own_text,
            places=bound.places,
            effort=effort,
        )
    except IalgebraError as error:
        clause: syntax.Call | syntax.Number | syntax.Query | None = None
        if isinstance(error, BindError | BudgetError | ModelError):  # of a budget, or of an interpreter's options
            clause = request.query.using or request.query.budget
        if isinstance(error, ModelError):
            clause = clause or request.query
        raise error.at(request.text, clause.span if clause else None) from error.__cause__


def explained(request: Request, catalog: Catalog) -> Relation:
    """EXPLAIN: the plan of a query, which is not run."""
    first = Effort(PILOT) if _bounds(request).any else None
    details = explain(plan(request, catalog, first), catalog)
    return said(text(details), request.own_text, details)


def only_map(request: Request, catalog: Catalog) -> None:
    """Raise BindError, before anything is run, where a query has not one map to answer with."""
    count = sum(len(output.answers) for output in plan(request, catalog, Effort(0)).outputs)
    if count != 1:
        raise BindError(f"one map is needed here, and this query answers with {count}", request.query.span)


def said(words: str, query: str, details: Details | None = None) -> Relation:
    """A relation without maps: what a statement other than a query answers."""
    stats = Stats(rows=0, seconds=0.0, bound_met=True, batches=0, forward_seconds=0.0, reused_rows=0)
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
    spent = _Spent(time.perf_counter(), [network for network in catalog.models.values() if not network.probed])
    deadline = spent.started + bounds.seconds
    if analyze:
        peak_memory(reset=True)
    if rounds and request.strategy.reuse is False:  # rounds build on each other's rows, if not on the session's
        request, store = replace(request, strategy=replace(request.strategy, reuse=True)), Store()
    store.begin()
    whole = plan(request, catalog) if not rounds or bounds.error is None else None
    course = Rounds(
        bounds, Policy.of(request.strategy), None if whole is None else whole.rows, partial(_a_row, catalog)
    )
    first = whole if whole and not rounds else plan(request, catalog, course.effort)
    # What rounds share is decided once: an effort names the games of that plan, and another would start from nothing.
    request = replace(request, strategy=first.strategy)
    physical: PhysicalPlan | None = first
    last: tuple[PhysicalPlan, Outcome, list[Attribution], list[float]] | None = None
    left: dict[str, object] = {}
    while physical is not None:
        for name, content in left.items():  # some maps may be final, and the others would be of another model
            if _content(name, physical, catalog) != content:
                raise ModelError(f"model '{name}' was changed between two rounds of a query; ask again")
        # A batch that begins later would end too late, and the estimate of what is in takes its time too.
        a_batch = spent.forward_seconds / max(1, spent.batches)
        executor = Executor(catalog, store, _told(watch, course, spent), deadline - a_batch - physical.overhead)
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
                yield _relation(request, catalog, *last, spent, course, analyze)
                return
            physical = plan(request, catalog, Effort(0))  # the ends are in
            continue
        estimates = Estimates(physical, executor.outcome, catalog)
        places = [
            (output, answer, readings)
            for output in physical.outputs
            for answer, readings in zip(output.answers, output.readings, strict=True)
        ]
        found = [
            course.settled.get(number) or estimates.map(answer, readings)
            for number, (_, answer, readings) in enumerate(places)
        ]
        for output in physical.outputs:
            warn(output, executor.outcome, catalog)
        if rounds:
            course.judge(physical, found, spent.affordable(deadline))
            following = _following(request, catalog, course, physical, whole)
        else:
            course.exhaust()
            following = None
        if time.perf_counter() >= deadline:
            course.met, following = False, None
        maps = [
            attribution(output, answer, estimate, executor.outcome, catalog)
            for (output, answer, _), estimate in zip(places, found, strict=True)
        ]
        last = (physical, executor.outcome, maps, [estimate.relative_bound(0.95) for estimate in found])
        yield _relation(request, catalog, *last, spent, course, analyze)
        physical = following


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
    request: Request, catalog: Catalog, course: Rounds, physical: PhysicalPlan, whole: PhysicalPlan | None
) -> PhysicalPlan | None:
    """The plan of the round after `physical`, None where there is none, or where no more rows can be had."""
    if course.done:
        return None
    try:
        after = whole if whole and course.effort is None else plan(request, catalog, course.effort)
        after = replace(after, decisions=physical.decisions)
    except BudgetError:
        after = physical
    if [job.spec for job in after.jobs] == [job.spec for job in physical.jobs]:
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
    hits: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    batches: int = 0
    forward_seconds: float = 0.0

    def affordable(self, deadline: float) -> float:
        """How many more rows fit before `deadline`, if they take as long as those so far."""
        now = time.perf_counter()
        return (deadline - now) * self.rows / (now - self.started) if self.rows else math.inf

    def add(self, outcome: Outcome) -> None:
        self.hits.update(outcome.hits)
        self.rows += outcome.rows
        self.batches += outcome.batches
        self.forward_seconds += outcome.forward_seconds
        self.rows += sum(network.probed for network in self.unknown)
        self.unknown = [network for network in self.unknown if not network.probed]

    @property
    def reused(self) -> int:
        """Rows that the session's store knew, or that another game of the query had paid for."""
        return self.hits.total()


def _relation(
    request: Request,
    catalog: Catalog,
    physical: PhysicalPlan,
    outcome: Outcome,
    maps: list[Attribution],
    errors: list[float],
    spent: _Spent,
    course: Rounds,
    analyze: bool,
) -> Relation:
    seconds = time.perf_counter() - spent.started
    measured = Measured(
        rows=spent.rows,
        reused=spent.reused,
        batches=spent.batches,
        seconds=seconds,
        forward_seconds=spent.forward_seconds,
        peak=peak_memory() if analyze else None,
        saved=sorted(spent.hits.items()),
        decisions=decision_lines([each for each in course.decisions if each not in physical.decisions]),
        errors=[(each.label, error) for each, error in zip(maps, errors, strict=True)],
    )
    details = explain(physical, catalog, measured)
    words = text(details)
    return Relation(
        attributions=maps,
        stats=Stats(
            rows=spent.rows,
            seconds=seconds,
            bound_met=course.met,
            batches=spent.batches,
            forward_seconds=spent.forward_seconds,
            reused_rows=spent.reused,
            forecast_rows=spent.rows + course.ahead if course.number else None,
        ),
        plan=words,
        details=cast("dict[str, object]", details),
        text=words if analyze else None,
        query=request.own_text,
        provenance=provenance(request.query, catalog, physical, outcome),
    )
