"""What an interactive query shows before a round is complete: a coarse map first, then a map after every batch.

In: the plan of a round, and how plans are run. Out: smaller plans with their outcomes, one after the other. All their
rows are rows of the round's own games, and none is run twice. It estimates nothing, and decides by counts of rows
alone, so that equal queries over equal rows show equal maps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..execution.tables import Outcome
from ..planner.partial import least_share, partial
from ..planner.physical import PhysicalPlan
from .question import BoundQuery
from .rounds import Stage
from .running import Running

_MAPS_A_BATCH = 8  # to estimate and show more maps takes longer than a batch; then maps come after several batches

Execute = Callable[[PhysicalPlan], Outcome | None]
"""Runs a plan; None where time is up."""


class Early(NamedTuple):
    """A smaller plan that was run before the plan of a round."""

    plan: PhysicalPlan
    outcome: Outcome
    stage: Stage


def early(
    question: BoundQuery, plan: PhysicalPlan, before: PhysicalPlan | None, running: Running, execute: Execute
) -> Iterator[Early]:
    """The smaller plans that come before `plan`, after that of the round `before`. None if the store has all rows."""
    if before is None:
        if running.execute(plan, deadline=-math.inf) is not None:
            return
        coarse = question.coarse(question.request.strategy.pace.coarse, plan)
        outcome = None if coarse is None else execute(coarse)
        if coarse is not None and outcome is not None:
            yield Early(coarse, outcome, "coarse")
    least = least_share(plan)
    if least is None or plan.rows < 2:
        return
    maps = sum(len(output.answers) for output in plan.outputs)
    batch = max(2, plan.passes[0].run.batch_size) * max(1, math.ceil(maps / _MAPS_A_BATCH))
    known = 0 if before is None else before.rows
    rows = known + batch * max(1, math.ceil((least * plan.rows - known) / batch))
    step = batch
    while rows + batch / 2 < plan.rows:
        effort = partial(plan, rows / plan.rows)
        ran = running.spending.rows
        part = None if effort is None else question.plan(effort, plan.strategy)
        outcome = None if part is None else execute(part)
        if part is not None:
            if outcome is None:
                return
            yield Early(part, outcome, "partial")
        step = batch if running.spending.rows > ran else 2 * step
        rows += step
