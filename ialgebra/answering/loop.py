"""One query from syntax tree to relations: bind it, then plan, execute, estimate and judge, round by round.

In: a request, the session's catalog and store. Out: a relation for each finished round. It calls the planner, the
execution and the estimation in turn, and computes nothing itself; it may not know how rows are run, read or forecast.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, cast

from torch import Tensor

from ..algebra.elements import collection_of
from ..algebra.operators import Identity, leaves
from ..algebra.players import OfConcepts, OnePlayer
from ..algebra.rankings import ModelScore
from ..algebra.sources import Source
from ..catalog.catalog import Catalog
from ..errors import BudgetError, ModelError
from ..estimation.maps import EstimatedMap, Estimates, ValueTables
from ..execution.control import current
from ..execution.execution import Progress
from ..execution.store import Store
from ..execution.tables import Outcome
from ..execution.tape import Tape
from ..interpreters.trees import TreesRefused
from ..models.concepts.resuming import CHECKS, PASSES
from ..planner.codes import Code, CodeUse
from ..planner.compile import Wanted, compile_plan
from ..planner.explain import explain, measured_of, text
from ..planner.games import Answer, Game, Predicted
from ..planner.partial import read_slowly
from ..planner.physical import PhysicalPlan, PlanOutput
from ..planner.sampling import Effort
from ..planner.spending import Spending
from ..results.assemble import FoundMap, columns, heard, say, warn, warn_of_models
from ..results.provenance import provenance
from ..results.relation import Relation, Stats
from ..results.views import AttributionViews
from ..system.collector import resting
from ..system.runtime import peak_memory
from . import kept_answers
from .bounds import Policy
from .coding import codes_of_inputs
from .drawn_shares import warn_of_shares
from .early import Early, early
from .question import UNSHOWN, BoundQuery, Place, Request
from .rounds import Course, Round
from .running import Running, Standing, Watch
from .scoring import scores_of

_ENDS_ALONE = Effort(0)  # only v(∅) and v(N) of every game


def answered(
    request: Request, catalog: Catalog, store: Store, watch: Watch | None = None, *, analyze: bool = False
) -> Relation:
    """The answer to a query; with `analyze` the relation's text is the plan with its measurements."""
    *_, last = answers(request, catalog, store, watch, analyze=analyze)
    return last


def answers(
    request: Request, catalog: Catalog, store: Store, watch: Watch | None = None, *, analyze: bool = False
) -> Iterator[Relation]:
    """The answer to a query, after those of the rounds before it if it has bounds. To an unchanged question it is the
    kept one."""
    if not analyze and (known := kept_answers.find(request, catalog, store)) is not None:
        yield known
        return
    last: Relation | None = None
    with heard() as said:
        for last in refined(request, catalog, store, watch, analyze=analyze, at_once=not request.bounds.any):
            yield last
    if last is not None and not analyze and not said:  # what was warned of is answered anew, and warned of again
        kept_answers.keep(request, catalog, store, last)


def refined(
    request: Request,
    catalog: Catalog,
    store: Store,
    watch: Watch | None = None,
    *,
    analyze: bool = False,
    at_once: bool = False,
) -> Iterator[Relation]:
    """One answer per round, until the bounds hold or the budget is spent; each round has all rows of the rounds before.

    When time is up, the answer is that of the last finished round. With `at_once` (for queries without bounds) there
    is one round with the whole budget. `watch` is called after every batch.
    """
    if analyze:
        peak_memory(reset=True)
    alone = at_once and not request.strategy.pace.maps
    if not alone and request.strategy.reuse is False:  # rounds reuse each other's rows, but not the session's
        request, store = replace(request, strategy=replace(request.strategy, reuse=True)), Store()
    running = Running(catalog, store, Tape(request.strategy.batches), request.bounds.seconds, store.begin())
    question = BoundQuery.of(
        request,
        catalog,
        partial(_predicted, request, running),
        partial(_scored, request, running),
        partial(_coded, request, running),
    )
    try:
        for each in _rounds(question, running, watch, at_once=at_once):
            yield _relation(question, each, running, analyze=analyze)
    except TreesRefused as refused:  # in the first round, in which all trees are asked
        network = catalog.model(refused.model)
        if network.trees_refused or not question.chose_trees(refused.model):
            raise
        network.trees_refused = refused.message.partition("; ask")[0]
        yield from refined(request, catalog, store, watch, analyze=analyze, at_once=at_once)


def _rounds(question: BoundQuery, running: Running, watch: Watch | None, *, at_once: bool) -> Iterator[Round]:
    """The finished rounds of a query. If time ends a round early, the round before it comes again as the last one."""
    whole = question.plan() if question.request.bounds.error is None else None
    course = _course(question, whole, at_once=at_once)
    last: Round | None = None
    plan: PhysicalPlan | None = whole if at_once else question.plan(course.effort)
    for doubt in question.doubts():
        say(doubt)
    shows = question.request.strategy.pace.maps and question.contest is None
    while plan is not None:
        target, before = plan, None if last is None else last.plan

        def execute(each: PhysicalPlan, target: PhysicalPlan = target) -> Outcome | None:
            progress = _progress(watch, course, running, target.rows if shows else 0)
            return running.execute(each, progress, deadline=running.last_start(target), more=not at_once)

        for each in early(question, plan, before, running, execute) if shows else ():
            yield _shown(question, each, course, running)
        outcome = execute(plan)
        if outcome is None and last is not None:  # the rows of the unfinished round are too few for an answer
            yield replace(last, in_time=False)
            return
        if outcome is None:
            plan = question.plan(_ENDS_ALONE, plan.strategy)
            continue
        if shows and read_slowly(plan):
            yield _shown(question, Early(plan, outcome, "partial"), course, running)
        maps = _estimated(question, plan, outcome, course, running)
        _judge(question, course, plan, maps, running)
        following = _following(question, course, plan, whole, running)
        last = _round(question, course, plan, outcome, maps)
        contents = _contents(plan, outcome.contents, question.catalog) if following else {}
        if following is None and math.isinf(running.seconds_allowed):
            asked = [(leaf.model, leaf.inputs[0]) for each in question.bound.wanted for leaf in leaves(each.plan)]
            running.spending += warn_of_shares(asked, question.catalog)
        yield last
        if following:
            _check_unchanged(contents, following, question.catalog)
        plan = following


def _course(question: BoundQuery, whole: PhysicalPlan | None, *, at_once: bool) -> Course:
    request, catalog = question.request, question.catalog
    policy, rows = Policy.of(request.strategy), None if whole is None else whole.rows
    return Course(request.bounds, policy, rows, partial(_row_cost, catalog), at_once)


class _Map(NamedTuple):
    """One map of a round: its output and answer in the plan, and its estimate from this round or, if it is settled,
    from an earlier one."""

    output: PlanOutput
    answer: Answer
    estimate: EstimatedMap


_Maps = Mapping[Place, _Map]


def _shown(question: BoundQuery, each: Early, course: Course, running: Running) -> Round:
    """What is shown before a round is complete: its maps are read quickly, and not judged."""
    maps = _estimated(question, each.plan, each.outcome, course, running, quick=True)
    found = _round(question, course, each.plan, each.outcome, maps)
    return replace(found, stage=each.stage, bound_met=question.request.bounds.error is None)


@resting()
def _estimated(
    question: BoundQuery,
    plan: PhysicalPlan,
    outcome: Outcome,
    course: Course,
    running: Running,
    *,
    quick: bool = False,
) -> _Maps:
    """The maps of a round; settled maps are not estimated again."""
    entries = {
        Place(number, k): (output, answer, readings)
        for number, output in zip(question.open, plan.outputs, strict=True)
        for k, (answer, readings) in enumerate(zip(output.answers, output.readings, strict=True))
    }
    growing = {
        place: (answer, readings) for place, (_, answer, readings) in entries.items() if place not in course.settled
    }
    check = current().check
    check()
    tables = ValueTables(outcome.designs, outcome.values, outcome.maps, outcome.noise)
    kept = None if plan.strategy.reuse is False else running.store.estimates
    estimates = Estimates(plan, tables, question.catalog, growing.values(), kept, quick, check)
    running.spending += Spending(read_back=estimates.read_back)
    maps = {
        place: _Map(output, answer, course.settled.get(place) or estimates.map(answer, readings))
        for place, (output, answer, readings) in entries.items()
    }
    for output in plan.outputs:
        warn(output, outcome, question.catalog)
    warn_of_models(outcome.contents, plan.inputs, question.catalog)
    return maps


def _judge(question: BoundQuery, course: Course, plan: PhysicalPlan, maps: _Maps, running: Running) -> None:
    """Give up the maps that cannot be in the answer, and check the bounds of the others."""
    estimates = {place: each.estimate for place, each in maps.items()}
    lost = question.judge(estimates, give_up=course.may_give_up)
    kept = {place: estimate for place, estimate in estimates.items() if place not in lost}
    course.judge(plan, kept, running.affordable, lost)


def _following(
    question: BoundQuery, course: Course, plan: PhysicalPlan, whole: PhysicalPlan | None, running: Running
) -> PhysicalPlan | None:
    """The plan of the next round after `plan`; None if the course is done or time is up."""
    after = None if course.done else _larger(question, course, plan, whole)
    if running.late:
        course.time_up()
        return None
    return after


def _larger(
    question: BoundQuery, course: Course, plan: PhysicalPlan, whole: PhysicalPlan | None
) -> PhysicalPlan | None:
    """The plan of the course's effort; None if it has no row that `plan` did not have.

    It keeps the decisions of the first plan: an effort names the games of that plan, and other games would have to
    start without rows.
    """
    try:
        after = whole if whole and course.effort is None else question.plan(course.effort, plan.strategy)
    except BudgetError:
        course.exhaust()
        return None
    before = {(job.hybrids.key, job.spec) for job in plan.jobs}
    if all((job.hybrids.key, job.spec) in before for job in after.jobs):
        course.exhaust()
        return None
    return replace(after, decisions=plan.decisions)


@resting()
def _round(question: BoundQuery, course: Course, plan: PhysicalPlan, outcome: Outcome, maps: _Maps) -> Round:
    """A judged round, with the maps that answer the query so far."""
    places: dict[int, list[Place]] = {}
    for place in maps:
        places.setdefault(place.plan, []).append(place)
    shown = [
        FoundMap(*maps[place], question.scores(number)) for number in question.shown for place in places.get(number, ())
    ]
    return Round(
        plan=plan,
        outcome=outcome,
        answer=AttributionViews(columns(shown, outcome, question.catalog)),
        bound_met=course.met,
        ahead=course.ahead if course.number else None,
        settled=len(course.settled),
        given_up=course.given_up,
        decisions=tuple(course.decisions),
    )


@resting()
def _relation(question: BoundQuery, each: Round, running: Running, *, analyze: bool) -> Relation:
    """The answer of a round, with the cost of the query until now."""
    request, catalog, plan = question.request, question.catalog, each.plan
    spending, seconds = running.spending + Spending(rows=catalog.search_rows), running.seconds
    measured = measured_of(
        spending,
        seconds,
        peak=peak_memory() if analyze else None,
        decisions=[decision for decision in each.decisions if decision not in plan.decisions],
        errors=each.answer.columns.bounds,
    )
    details = explain(plan, catalog, measured, ranking=question.ranking, graph=analyze)
    words, ranked = text(details), question.bound.ranked
    # A ranking may have read models that no map needs.
    told = replace(
        each.outcome, contents=running.contents | each.outcome.contents, heads=running.heads | each.outcome.heads
    )
    nothing = f"no element is left by: {ranked.ranking}" if ranked and not each.answer else None
    return Relation(
        attributions=each.answer,
        stats=Stats.of(
            spending,
            seconds,
            bound_met=each.bound_met,
            forecast_rows=None if each.ahead is None else spending.rows + each.ahead,
            given_up=each.given_up,
        ),
        plan=words,
        details=cast("dict[str, object]", details),
        text=words if analyze else nothing,
        query=request.own_text,
        provenance=provenance(request.query, catalog, plan, told, running.tape.batches) | {"stage": each.stage},
    )


def _predicted(request: Request, running: Running, identity: Identity) -> list[int]:
    """The classes that an identity's model predicts for its inputs. Only the rows x_∅ and x_N of their games are
    run."""
    model, inputs = identity.model, identity.inputs
    players = OnePlayer() if isinstance(identity.players, OfConcepts) else identity.players
    asked = Identity(model, inputs, identity.baselines[:1], players, None, identity.output, identity.depth)
    wanted = Wanted(asked, None, UNSHOWN, each=collection_of(asked) is not None)
    plan = compile_plan([wanted], running.catalog, request.strategy, request.seed, effort=_ENDS_ALONE)
    outcome = running.execute(plan)
    assert outcome is not None, "an execution without a deadline always finishes"
    return [outcome.targets[Predicted(model, source)] for source in inputs]


def _scored(request: Request, running: Running, scores: Sequence[ModelScore], inputs: Sequence[Source]) -> list[float]:
    """What models answer for the inputs of a ranking."""
    return scores_of(scores, inputs, request.strategy, request.seed, running)


def _coded(request: Request, running: Running, model: str, codes: Mapping[Code, CodeUse]) -> Sequence[Tensor]:
    """The codes of a query's inputs by a model of attributes. Where the model itself is then run on from its layer for
    each input, these passes are counted too."""
    inputs = sum(use is CodeUse.RUN_ON for use in codes.values())
    running.spending += Spending(rows=PASSES * inputs, examined=CHECKS * inputs)
    return codes_of_inputs(model, list(codes), request.strategy, request.seed, running)


def _contents(plan: PhysicalPlan, names: Iterable[str], catalog: Catalog) -> dict[str, object]:
    """For each model of a plan its content and the heads that are read, as values that can be compared."""
    contents: dict[str, object] = {}
    for name in names:
        network = catalog.model(name)
        layers = {layer for job in plan.jobs for layer in job.layers(name)}
        heads = {layer: head for layer, head in network.heads_fingerprint().items() if layer in layers}
        contents[name] = (network.seen_changes(), heads)
    return contents


def _check_unchanged(contents: Mapping[str, object], plan: PhysicalPlan, catalog: Catalog) -> None:
    """Raise ModelError if a model has changed since the last round: settled maps belong to the old model, and later
    maps would belong to the new one."""
    for name, content in _contents(plan, contents, catalog).items():
        if content != contents[name]:
            raise ModelError(f"model '{name}' was changed between two rounds of a query; ask again")


def _row_cost(catalog: Catalog, game: Game) -> float:
    """The cost of a game's row relative to other games of its model: the share of the layers that it goes through.

    Layers are counted, not timed: this cost decides how rows are divided, and answers must not depend on a clock.
    """
    return 1.0 if game.layer is None else game.layer / len(catalog.model(game.model).layers)


def _progress(watch: Watch | None, course: Course, running: Running, rows: int) -> Progress | None:
    """A function for an execution to report its rows to; it tells `watch` how far the whole query is. The round has at
    least so many `rows`."""
    if watch is None:
        return None
    before = running.spending.rows

    def report(done: int, total: int) -> None:
        forecast = max(before + total, before + course.ahead, rows)
        watch(Standing(before + done, forecast, running.seconds, course.error, course.bounds.error))

    return report
