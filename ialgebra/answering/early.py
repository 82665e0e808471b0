"""What an interactive query shows before a round is complete: a coarse map first, then a map after every batch.

In: the plan of a round, and how plans are run. Out: smaller plans with their outcomes, one after the other. All their
rows are rows of the round's own games, and none is run twice. It estimates nothing, and decides by counts of rows
alone, so that equal queries over equal rows show equal maps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ..execution.tables import Outcome
from ..kernels.coalitions import Design
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
    """The smaller plans that come before `plan`, after that of the round `before`; none if the store has all rows. What
    it has of them is shown first, at once."""
    maps = sum(len(output.answers) for output in plan.outputs)
    batch = max(2, plan.passes[0].run.batch_size) * max(1, math.ceil(maps / _MAPS_A_BATCH))
    least, known = least_share(plan), 0 if before is None else before.rows
    if before is None:
        told, whole = running.known(plan)
        if whole:
            return
        known = 0 if least is None else _known(plan, told, running, batch, least)
        coarse = None if known else question.coarse(question.request.strategy.pace.coarse, plan)
        found = None if coarse is None else execute(coarse)
        if coarse is not None and found is not None:
            yield Early(coarse, found, "coarse")
    if least is None or plan.rows < 2:
        return
    rows = max(known, _up(least * plan.rows, batch))
    rows += batch if before is not None and rows == known else 0
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


def _up(rows: float, batch: int) -> int:
    """So many rows, or a few more, in whole batches."""
    return batch * max(1, math.ceil(rows / batch))


def _known(plan: PhysicalPlan, outcome: Outcome, running: Running, batch: int, least: float) -> int:
    """The most rows, in whole batches, of a smaller plan whose rows are all known; 0 if they tell no map."""
    rows = [
        set(map(bytes, np.packbits(design.coalitions[~np.isnan(values).any(axis=1)], axis=1)))
        for design, values in zip(outcome.designs, outcome.values, strict=True)
    ]

    def holds(count: int) -> bool:
        effort = partial(plan, count * batch / plan.rows)
        specs = [None if effort is None else effort.parts[job.games[0].key] for job in plan.jobs]
        return all(
            spec is not None and spec.rows <= len(own) + 2 and own.issuperset(_packed(running.design(spec)))
            for spec, own in zip(specs, rows, strict=True)
        )

    low, high = _up(least * plan.rows, batch) // batch, plan.rows // batch
    if low > high or not holds(low):
        return 0
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low * batch


def _packed(design: Design) -> Iterator[bytes]:
    """The coalitions of a design as bytes."""
    return map(bytes, np.packbits(design.coalitions, axis=1))
