"""One query from syntax tree to Relation: bind → compile → execute → maps. The only place where the rooms meet.

In: a parsed query, the session's catalog and store, a seed and a strategy. Out: a Relation.
"""

from __future__ import annotations

import hashlib
import math
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch

from .answers import attribution, warn
from .catalog import Catalog
from .errors import BindError, BudgetError, IalgebraError
from .execution.executor import Executor, Outcome, Progress, TimeUp
from .execution.maps import Estimates
from .execution.store import Store
from .language import syntax
from .language.binder import bind
from .models.network import Network
from .planner.compiler import compile_plan
from .planner.explain import Details, Measured, explain, text
from .planner.physical import PhysicalPlan
from .planner.strategy import Strategy
from .results import Attribution, Relation, Stats
from .runtime import peak_memory
from .version import __version__

_PILOT = 8  # rows a player of the first round, whose errors can be trusted
_FEWEST = 4  # rows a player of the first round where time is short; below, designs of another kind share no rows


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


@dataclass(frozen=True)
class Bounds:
    """What an answer must reach: a relative error with a confidence (fractions), and seconds for the whole query."""

    error: float | None
    confidence: float
    seconds: float

    @classmethod
    def of(cls, request: Request) -> Bounds:
        """The bounds that a query states; BindError for what is no bound."""
        query = request.query
        try:
            error = _fraction(query.error, "an error bound", 1e6)
            confidence = _fraction(query.confidence, "a confidence", 1.0)
        except BindError as fault:
            raise fault.at(request.text) from None
        seconds = math.inf if query.within is None else float(query.within.value)
        return cls(error, 0.95 if confidence is None else confidence, seconds)

    @property
    def any(self) -> bool:
        return self.error is not None or math.isfinite(self.seconds)


def _fraction(number: syntax.Number | None, what: str, below: float) -> float | None:
    if number is None:
        return None
    if not 0 < number.value < below:
        raise BindError(f"{what} must lie above 0% and below {below:.0%}, not at {number.text}", number.span)
    return float(number.value)


def plan(request: Request, catalog: Catalog, effort: int | None = None) -> PhysicalPlan:
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
        clause = request.query.using or request.query.budget if isinstance(error, BudgetError) else None
        raise error.at(request.text, clause.span if clause else None) from error.__cause__


def explained(request: Request, catalog: Catalog) -> Relation:
    """EXPLAIN: the plan of a query, which is not run."""
    first = _PILOT if Bounds.of(request).any else None
    details = explain(plan(request, catalog, first), catalog)
    return said(text(details), request.own_text, details)


def said(words: str, query: str, details: Details | None = None) -> Relation:
    """A relation without maps: what a statement other than a query answers."""
    stats = Stats(rows=0, seconds=0.0, bound_met=True, batches=0, forward_seconds=0.0, reused_rows=0)
    plain = cast("dict[str, object]", details or {})
    return Relation(attributions=(), stats=stats, plan=words, details=plain, text=words, query=query, provenance={})


def answered(
    request: Request, catalog: Catalog, store: Store, progress: Progress | None = None, *, analyze: bool = False
) -> Relation:
    """The answer to a query; with `analyze` the relation's text is the plan with what was measured."""
    rounds = Bounds.of(request).any
    *_, last = refined(request, catalog, store, progress, analyze=analyze, rounds=rounds)
    return last


def refined(
    request: Request,
    catalog: Catalog,
    store: Store,
    progress: Progress | None = None,
    *,
    analyze: bool = False,
    rounds: bool = True,
) -> Iterator[Relation]:
    """Answers of growing rounds, each with all rows of those before it, until the bounds hold or the budget is spent.

    A bound on the error is checked on two rounds before it is believed, unless the answer is exact. When time is up,
    the answer is that of the last round whose rows are in. Without `rounds` there is one, of the whole budget.
    """
    bounds = Bounds.of(request)
    spent = _Spent(time.perf_counter(), [network for network in catalog.models.values() if not network.probed])
    deadline = spent.started + bounds.seconds
    if rounds and request.strategy.reuse is False:  # rounds build on each other's rows, if not on the session's
        request, store = replace(request, strategy=replace(request.strategy, reuse=True)), Store()
    effort = None if not rounds else _PILOT if math.isinf(bounds.seconds) else _FEWEST
    rows = 0
    while True:
        try:
            physical = plan(request, catalog, effort)
        except BudgetError:
            if rows:
                return  # more rows than can be had: the last round's answer stands
            raise
        executor = Executor(catalog, store, progress, deadline)
        try:
            executor.run(physical)
        except TimeUp:
            if rows:
                return
            assert effort is not None
            effort = effort - 1 if effort > _FEWEST else 0  # a smaller round may be in already; the ends are
            continue
        finally:
            spent.add(executor.outcome)
        estimates = Estimates(physical, executor.outcome)
        found = [
            (output, answer, estimates.map(answer, readings))
            for output in physical.outputs
            for answer, readings in zip(output.answers, output.readings, strict=True)
        ]
        each = 1.0 - (1.0 - bounds.confidence) / len(found)  # all maps at once
        worst = max(estimate.relative_bound(each) for _, _, estimate in found) if rounds else 0.0
        met = bounds.error is None or worst == 0.0 or (rows > 0 and worst <= bounds.error)
        maps = [attribution(*parts, executor.outcome, catalog) for parts in found]
        for output in physical.outputs:
            warn(output, executor.outcome, catalog)
        met = met and time.perf_counter() < deadline
        yield _relation(request, catalog, physical, executor.outcome, maps, spent, met, analyze)
        final = effort is None or worst == 0.0 or physical.rows == rows or time.perf_counter() >= deadline
        if final or (met and bounds.error is not None):
            return
        rows = physical.rows
        effort = _next(effort, bounds.error, worst)


def _next(effort: int | None, error: float | None, worst: float) -> int | None:
    """The rows a player of the next round: small steps, for a round costs little beside its rows, and finds them again.

    Without a bound on the error rounds double until the last, which is of the whole budget (None).
    """
    assert effort is not None
    if error is None:
        return 2 * effort if effort < 2 * _PILOT else None
    growth = worst / error if math.isfinite(worst) else 2.0
    return math.ceil(effort * min(2.0, max(1.25, growth)))


@dataclass
class _Spent:
    """What the rounds of a query have taken together; a model's first row, which tells its layers, counts too."""

    started: float
    unknown: list[Network]
    rows: int = 0
    reused: int = 0
    batches: int = 0
    forward_seconds: float = 0.0

    def add(self, outcome: Outcome) -> None:
        self.reused = max(self.reused, outcome.reused - self.rows)  # rows of earlier rounds are not the session's
        self.rows += outcome.rows
        self.batches += outcome.batches
        self.forward_seconds += outcome.forward_seconds
        self.rows += sum(network.probed for network in self.unknown)
        self.unknown = [network for network in self.unknown if not network.probed]


def _relation(
    request: Request,
    catalog: Catalog,
    physical: PhysicalPlan,
    outcome: Outcome,
    maps: list[Attribution],
    spent: _Spent,
    met: bool,
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
        saved=[],
        errors=[(each.label, each.relative_error) for each in maps],
    )
    details = explain(physical, catalog, measured)
    words = text(details)
    return Relation(
        attributions=maps,
        stats=Stats(
            rows=spent.rows,
            seconds=seconds,
            bound_met=met,
            batches=spent.batches,
            forward_seconds=spent.forward_seconds,
            reused_rows=spent.reused,
        ),
        plan=words,
        details=cast("dict[str, object]", details),
        text=words if analyze else None,
        query=request.own_text,
        provenance=_provenance(request, catalog, physical, outcome),
    )


def _provenance(request: Request, catalog: Catalog, physical: PhysicalPlan, outcome: Outcome) -> dict[str, object]:
    """Enough to repeat a query: versions, contents by digest, seed and strategy."""
    leaves = {leaf for output in physical.outputs for answer in output.answers for leaf in answer.shown}
    return {
        "ialgebra": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "seed": request.seed,
        "strategy": request.strategy.name,
        "inputs": {str(leaf.source): catalog.element(leaf.source).digest for leaf in leaves},
        "models": {
            name: hashlib.blake2b(repr(content).encode(), digest_size=12).hexdigest()
            for name, content in sorted(outcome.fingerprints.items())
        },
    }
