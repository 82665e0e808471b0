"""Checks that the parts of a physical plan agree with each other. If they do not, the planner has a fault.

In: a physical plan. Out: nothing, or an InternalError that says which two parts disagree. It reads the plan only: it
looks up no names and no tensors, and decides nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ..algebra.operators import AntiJoin
from ..errors import InternalError
from ..interpreters.shipped import SHAPLEY
from .cost import deepest, ends, reads
from .fuse import form, job_order
from .games import Answer
from .physical import Job, Pass, PhysicalPlan, TermReading
from .sampling import ENDS


def verify(plan: PhysicalPlan) -> None:
    """Raise InternalError where the parts of `plan` do not agree with each other."""
    for fault in _faults(plan):
        raise InternalError(f"the plan contradicts itself: {fault}; this is a fault of ialgebra, please report it")


def _faults(plan: PhysicalPlan) -> Iterator[str]:
    for number, job in enumerate(plan.jobs):
        yield from (f"job {number} {fault}" for fault in _job(job))
    yield from _readings(plan)
    yield from _jobs(plan)
    for number, each in enumerate(plan.passes):
        yield from (f"pass {number} {fault}" for fault in _pass(each, plan))
    yield from _passes(plan)
    yield from _whole(plan)


def _job(job: Job) -> Iterator[str]:
    method, players, rows, _, interpreter = job.spec
    if not job.games:
        yield "has no game"
    if len(set(job.games)) < len(job.games):
        yield "has one game twice"
    if any(game.hybrids is not job.hybrids for game in job.games):
        yield "has a game over other hybrids"
    if players != job.hybrids.players:
        yield f"is designed for {players} players and has {job.hybrids.players}"
    if not 1 <= rows <= 1 << players:
        yield f"asks for {rows} rows of the {1 << players} that there are"
    for game in job.games:
        wish = game.estimation
        if interpreter not in (SHAPLEY, wish.interpreter):
            yield f"is designed by {interpreter} for a game that {wish.interpreter} explains"
        if wish.budget is not None and method != ENDS and rows > max(2, wish.budget):
            yield f"asks for {rows} rows where the budget is {wish.budget}"


def _readings(plan: PhysicalPlan) -> Iterator[str]:
    read: set[int] = set()
    for output in plan.outputs:
        if len(output.answers) != len(output.readings):
            yield f"{len(output.answers)} answers have {len(output.readings)} readings"
        if output.written not in plan.graph or output.normal not in plan.graph:
            yield "a map's plan is not in the graph"
        for answer, readings in zip(output.answers, output.readings, strict=False):
            yield from _answer(plan, answer, readings)
            read.update(reading.job for reading in readings)
        terms = (sum(term.coefficient for term in answer.terms) for answer in output.answers)
        if not any(isinstance(each, AntiJoin) for each in plan.graph.order([output.written])):
            yield from (f"the weights of a map add up to {total}" for total in terms if total != 1)
    yield from (f"job {number} is read by no answer" for number in range(len(plan.jobs)) if number not in read)


def _answer(plan: PhysicalPlan, answer: Answer, readings: tuple[TermReading, ...]) -> Iterator[str]:
    if len(answer.read) != len(readings):
        yield f"{len(answer.read)} terms have {len(readings)} readings"
    for term, (job, column) in zip(answer.read, ((each.job, each.column) for each in readings), strict=False):
        if not 0 <= job < len(plan.jobs) or not 0 <= column < len(plan.jobs[job].games):
            yield f"a term reads column {column} of job {job}, which is not there"
            continue
        if plan.jobs[job].games[column] != term.game:
            yield f"a term reads column {column} of job {job}, which is another game's"
        if term.part != "shapley" and plan.jobs[job].spec.method in ("regression", "unbiased"):
            yield f"one half of a contrast is read from job {job}, which tells both halves together"
        if term.board.hybrids is not term.game.hybrids or len(term.board.active) != term.game.hybrids.players:
            yield "a term's board has other players than its game"
    if plan.strategy.rewrite:
        order = [(term.game.key, term.part, term.board.swapped) for term in answer.terms]
        if order != sorted(order):
            yield "the terms of an answer are not in the order of their content"
        if any(term.coefficient == 0 for term in answer.terms):
            yield "a term of an answer counts for nothing"


def _jobs(plan: PhysicalPlan) -> Iterator[str]:
    strategy = plan.strategy
    if strategy.dual is None or strategy.share is None or strategy.pack is None:
        yield "a decision on what is shared is still open"
    if strategy.share and strategy.block is None:
        keys = [job_order(job) for job in plan.jobs]
        if keys != sorted(keys):
            yield "jobs are not in the order of their content"
        asked = [job.games[0].estimation if job.spec.method == ENDS else None for job in plan.jobs]
        same = Counter((job.hybrids, job.spec, wish) for job, wish in zip(plan.jobs, asked, strict=True))
        yield from (f"{count} jobs are of one design over one set of hybrids" for count in same.values() if count > 1)
    if strategy.rewrite:
        games = Counter((game, job.spec) for job in plan.jobs for game in job.games)
        yield from (f"one game is a column of {count} jobs of one design" for count in games.values() if count > 1)


def _pass(each: Pass, plan: PhysicalPlan) -> Iterator[str]:
    if not each.jobs or not all(0 <= number < len(plan.jobs) for number in each.jobs):
        yield f"is of jobs {each.jobs}, and there are {len(plan.jobs)}"
        return
    jobs = [plan.jobs[number] for number in each.jobs]
    if any(job.models != each.models for job in jobs):
        yield f"goes through {', '.join(each.models)}, and a job of it through others"
    elif any(tuple(deepest(job.layers(model)) for model in each.models) != each.layers for job in jobs):
        yield f"stops at {each.layers}, and a job of it elsewhere"
    if len({form(job) for job in jobs}) > 1:
        yield "has inputs of several forms"
    if (each.asked is not None) != any(job.spec.method == ENDS for job in jobs):
        yield "mixes what an interpreter asks for itself with batches"
    if each.asked is None:
        rows = sum(job.rows for job in jobs)
        if rows != each.rows:
            yield f"has {each.rows} rows, and its jobs {rows}"
        if each.cost.rows != each.rows * len(each.models):
            yield f"costs {each.cost.rows} rows through {len(each.models)} models, and has {each.rows}"
    elif len(jobs) > 1:
        yield "is asked for by several jobs"
    if any(model not in each.models or number not in each.jobs for model, number in each.tables):
        yield "has a table for a game that is not its own"
    if any(len(t.planned.colouring.colours) != plan.jobs[n].spec.players for (_, n), t in each.tables.items()):
        yield "has a table for other players than a job's"
    if each.run.batch_size < 1 or any(run == each.run for run, _ in each.rejected):
        yield f"is run as {each.run}, and the same was rejected"


def _passes(plan: PhysicalPlan) -> Iterator[str]:
    member = Counter(number for each in plan.passes for number in each.jobs)
    for number in range(len(plan.jobs)):
        if member[number] != 1:
            yield f"job {number} is in {member[number]} passes"
    if plan.strategy.pack:
        keys = Counter((p.models, p.layers, form(plan.jobs[p.jobs[0]])) for p in plan.passes if p.asked is None)
        yield from (f"{count} passes go equally deep through one set of models" for count in keys.values() if count > 1)
    elif any(len(each.jobs) > 1 for each in plan.passes):
        yield "jobs share batches that may not"


def _whole(plan: PhysicalPlan) -> Iterator[str]:
    whole = ends(((reads(job.games), [job.hybrids]) for job in plan.jobs), share=plan.strategy.share is True)
    rows = sum(map(len, whole.values())) + sum(each.cost.rows for each in plan.passes)
    if plan.cost.rows != rows:
        yield f"it costs {plan.cost.rows} rows, and its passes and ends {rows}"
