"""The planner's pipeline, in one place: check → meaning → laws → games → search over what is shared → passes.

In: plans as written, with their places in the text; the catalog; a strategy. Out: a physical plan. It runs no model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

from ..algebra.operators import Operator
from ..catalog.catalog import Catalog
from ..errors import Span
from .check import check, check_size
from .cost import overhead, plan_cost
from .fuse import fuse, schedule
from .games import Answer, Lowering
from .laws import flatten_join
from .meaning import check_meaning
from .physical import Cost, PhysicalPlan, PlanOutput
from .rewrite import RewriteStep, normalise
from .sampling import Effort
from .search import Sketch, search
from .strategy import Strategy

_MANY = 1000  # games of a query, whose plan shares what can be shared: to look at all others would take seconds


class Wanted(NamedTuple):
    """One map to answer: its plan as written, the query's label for it, and the select item that it belongs to."""

    plan: Operator
    label: str | None
    item: int


def compile_plan(
    wanted: Sequence[Wanted],
    catalog: Catalog,
    strategy: Strategy,
    seed: int,
    *,
    query: str = "",
    places: Mapping[Operator, Span] | None = None,
    effort: Effort | None = None,
) -> PhysicalPlan:
    """The physical plan of `wanted` under `strategy`, with the rows that a round's `effort` allows where that is given.

    Raises CompositionError where a plan is undefined, ShapeError where tensors do not fit, BudgetError where a budget
    cannot pay for what is asked, or nothing could.
    """
    for each in wanted:
        check(each.plan, places)
        check_meaning(each.plan, catalog.interpreter, places)
    check_size([each.plan for each in wanted])
    normal: list[Operator] = []
    trace: list[RewriteStep] = []
    for each in wanted:
        plan, steps = normalise(each.plan, strategy.rules) if strategy.rewrite else (each.plan, ())
        normal.append(plan)
        trace.extend(steps)
    lowering = Lowering(catalog)

    @cache
    def lowered(rewrite: bool, dual: bool) -> tuple[tuple[Answer, ...], ...]:
        # A chain of weights is one sum (L10) also as written: so read, it takes time in proportion to its length.
        plans = normal if rewrite else [normalise(each.plan, (flatten_join,))[0] for each in wanted]
        return tuple(tuple(lowering.answers(plan, merge=rewrite, dual=dual)) for plan in plans)

    @cache  # what the search looked at is asked for again, to tell what each thing shared saves
    def sketch(taken: Strategy) -> Sketch:
        answers = [answer for each in lowered(taken.rewrite, taken.dual is True) for answer in each]
        jobs, readings = fuse(answers, taken, seed, catalog, effort)
        passes = schedule(jobs, taken, catalog)
        cost = plan_cost(jobs, passes, catalog, share=taken.share is True)
        return Sketch(tuple(jobs), tuple(readings), tuple(passes), cost)

    terms = [term for each in lowered(strategy.rewrite, strategy.dual is not False) for a in each for term in a.terms]
    directions = [{term.game.hybrids for term in terms if term.board.swapped is each} for each in (True, False)]
    matters = {"dual"} if set.intersection(*directions) else set()
    games = len({term.game for term in terms})
    if games > 1:
        matters |= {"share", "pack"}
    if games > _MANY:
        matters = set()
    taken, best, decisions = search(strategy, matters, sketch)
    answers = lowered(taken.rewrite, taken.dual is True)
    remaining = iter(best.readings)
    outputs = tuple(
        PlanOutput(each.label, each.item, each.plan, plan, found, tuple(next(remaining) for _ in found))
        for each, plan, found in zip(wanted, normal, answers, strict=True)
    )
    return PhysicalPlan(
        query,
        outputs,
        best.jobs,
        best.passes,
        tuple(dict.fromkeys(trace)),
        tuple(lowering.fired[taken.dual is True]),
        best.cost,
        overhead(best.jobs, len(best.readings)),
        tuple(_stages(taken, best.cost, sketch)),
        decisions,
        taken,
        seed,
    )


def _stages(taken: Strategy, cost: Cost, sketch: Callable[[Strategy], Sketch]) -> Iterator[tuple[str, Cost]]:
    """What the plan would cost operator at a time, and then after each thing that it shares."""
    less = replace(taken, rewrite=False, dual=False, share=False, pack=False)
    yield "operator at a time", sketch(less).cost
    if taken.rewrite:
        less = replace(less, rewrite=True)
        yield "equal games are one", sketch(less).cost
    if taken.share:
        less = replace(less, share=True, pack=taken.pack)
        yield "one row for every layer, class and model that reads it", sketch(less).cost
    if taken.dual:
        yield "one game for both directions of an anti-join", cost
