"""The planner's pipeline, in one place: check → laws → games → fusion → passes.

In: plans as written, with their places in the text; the catalog; a strategy. Out: a physical plan. It runs no model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..algebra.operators import Operator
from ..catalog import Catalog
from ..errors import Span
from .check import check
from .cost import rows
from .fuse import fuse, schedule
from .games import Lowering
from .physical import Output, PhysicalPlan
from .rewrite import Step, normalise
from .sampling import Effort
from .strategy import Strategy


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
    cannot pay for what is asked.
    """
    for each in wanted:
        check(each.plan, places)
    normal: list[Operator] = []
    trace: list[Step] = []
    for each in wanted:
        plan, steps = normalise(each.plan, strategy.rules) if strategy.rewrite else (each.plan, ())
        normal.append(plan)
        trace.extend(steps)
    lowering = Lowering(catalog, dual=strategy.dual)
    lowered = [lowering.answers(plan, merge=strategy.rewrite) for plan in normal]
    written = [answer for each in wanted for answer in lowering.answers(each.plan, merge=False)]
    flat = [answer for answers in lowered for answer in answers]
    jobs, readings = fuse(flat, strategy, seed, effort)
    remaining = iter(readings)
    outputs = tuple(
        Output(each.label, each.item, each.plan, plan, tuple(answers), tuple(next(remaining) for _ in answers))
        for each, plan, answers in zip(wanted, normal, lowered, strict=True)
    )
    return PhysicalPlan(
        query,
        outputs,
        tuple(jobs),
        tuple(schedule(jobs, strategy, catalog)),
        tuple(dict.fromkeys(trace)),
        tuple(lowering.fired),
        rows(jobs, share=strategy.share),
        rows(fuse(written, Strategy.AS_WRITTEN, seed, effort)[0], share=False),
        strategy,
        seed,
    )
