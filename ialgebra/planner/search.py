"""The search for the cheapest plan: tries every combination of the open decisions on sharing, and compares the costs.

In: a strategy with open decisions, and a function that makes a sketch (the cost) from a strategy without open
decisions. Out: the cheapest sketch and its strategy, and for EXPLAIN the rejected alternatives of each decision. Knows
no operators and no tensors.

Only the decisions on sharing (D3, D5, D6) are tried here. How a pass is run (D1, D10) and which estimator a game gets
(D2) are chosen for each pass and each game, while the sketch is made. D4, D7, D8 and D9 are decided while the query
runs, so to leave them open costs nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from ..interpreters.shipped import SHAPLEY
from ..kernels.coalitions import MAX_EXACT_PLAYERS
from ..kernels.estimators.estimator import TINY_GAME
from ..kernels.estimators.exact import EXACT
from ..kernels.estimators.registry import choose, complete
from ..kernels.estimators.regression import REGRESSION
from .decisions import Alternative, Decision
from .physical import Cost, Job, Pass
from .strategy import Strategy


class Sketch(NamedTuple):
    """What a strategy would cost, and in how many passes."""

    cost: Cost
    passes: int


class _Choice(NamedTuple):
    field: str
    id: str
    about: str
    yes: str
    no: str


_SHARED = (
    _Choice("dual", "D5", "anti-joins", "one game for both directions", "a game for each direction"),
    _Choice("share", "D3", "hybrids", "one row for all that read it", "rows for each map"),
    _Choice("pack", "D6", "batches", "rows of several games in one", "each game its own"),
)


def search(
    strategy: Strategy, matters: Container[str], sketch: Callable[[Strategy], Sketch]
) -> tuple[Strategy, Sketch, tuple[Decision, ...]]:
    """The cheapest way to take the open decisions of `strategy`; of equally cheap ones, the one that shares most.

    Plans are compared by their work: the number of rows, each weighted by the share of the network that it goes
    through. Measured seconds play no part, so a query runs the same rows on a fast and on a slow machine.

    `matters` are the decisions on sharing that can make a difference to this query; the others are not tried.
    """
    options = [_options(getattr(strategy, choice.field), choice.field in matters) for choice in _SHARED]
    found: dict[tuple[bool, ...], tuple[Strategy, Sketch]] = {}
    for dual, share, pack in itertools.product(*options):
        candidate = replace(_while_running(strategy), dual=dual, share=share, pack=pack)
        found[dual, share, pack] = (candidate, sketch(candidate))
    least = min(each.cost.work for _, each in found.values())
    # The first of the cheapest shares most. The tolerance is for sums in another order, which differ in the last bits.
    best = next(values for values, (_, each) in found.items() if each.cost.work <= least * (1 + 1e-9))
    chosen, cheapest = found[best]
    return chosen, cheapest, tuple(_turned_down(best, {values: each for values, (_, each) in found.items()}))


def decided_alone(jobs: Sequence[Job], passes: Sequence[Pass], block: int | None = None) -> Iterator[Decision]:
    """The decisions that were taken for each pass and each game by itself, with what was rejected; and that games are
    run in blocks, if they are."""
    yield from _how_passes_run(passes)
    if block is not None:
        count = -(-max((len(each.jobs) for each in passes), default=0) // block)
        yield Decision("D1", "inputs that are read when they are needed", f"{count:,} blocks of {block:,} games")
    yield from _estimators(jobs)


def _options(wish: bool | None, matters: bool) -> tuple[bool, ...]:
    return (wish,) if wish is not None else (True, False) if matters else (True,)


def _while_running(strategy: Strategy) -> Strategy:
    """The strategy with the decisions allowed that are taken while the query runs, unless it forbids them."""
    return replace(
        strategy,
        exact=strategy.exact is not False,
        retire=strategy.retire is not False,
        reuse=strategy.reuse is not False,
        allocate=strategy.allocate is not False,
    )


def _turned_down(best: tuple[bool, ...], found: dict[tuple[bool, ...], Sketch]) -> Iterator[Decision]:
    """Decisions that made a difference, each with the best plan under the other choice."""
    own = found[best]
    for place, choice in enumerate(_SHARED):
        other = found.get((*best[:place], not best[place], *best[place + 1 :]))
        if other is not None and other != own:
            yes, no = (choice.yes, choice.no) if best[place] else (choice.no, choice.yes)
            yield Decision(choice.id, choice.about, yes, (Alternative(no, other.cost.rows, other.cost.seconds),))


def _how_passes_run(passes: Sequence[Pass]) -> Iterator[Decision]:
    for number, each in enumerate(passes):
        for id, about, attribute in (("D1", "batches of", "batch_size"), ("D10", "mode", "mode")):
            others: dict[object, Cost] = {}
            for run, cost in sorted(each.rejected, key=lambda option: option[1].seconds or math.inf):
                others.setdefault(getattr(run, attribute), cost)
            others.pop(getattr(each.run, attribute), None)
            if each.rows and others:
                costs = tuple(Alternative(str(value), cost.rows, cost.seconds) for value, cost in others.items())
                yield Decision(id, f"b{number} {about}", str(getattr(each.run, attribute)), costs[:3])
        yield from _begins(number, each)


def _begins(number: int, each: Pass) -> Iterator[Decision]:
    """How the rows of a pass begin, if any begin from a table."""
    if each.untabled:
        yield Decision("D11", f"b{number} begins", f"whole: {each.untabled}")
    if not each.tables:
        return
    first = next(iter(each.tables.values())).planned
    rows = [table.planned.rows * table.copies for table in each.tables.values()]
    size = sum(table.planned.bytes for table in each.tables.values())
    told = f"from {len(rows)} tables" if len(rows) > 1 else "from a table"
    told += f" of {sum(rows):,} rows with {first.before:.0%} of a pass, {size / 2**20:.1f} MiB"
    told += f"; pays from {first.worth:,.0f} rows on"
    others = [cost for run, cost in each.rejected if run.table != each.run.table]
    best = min(others, key=lambda cost: math.inf if cost.seconds is None else cost.seconds, default=each.cost)
    chosen, other = (told, "whole") if each.run.table else ("whole", told)
    yield Decision("D11", f"b{number} begins", chosen, (Alternative(other, best.rows, best.seconds),))


def _estimators(jobs: Sequence[Job]) -> Iterator[Decision]:
    """The choice between exact and sampled values; there is none for a game with too many players to be exact."""
    for spec in dict.fromkeys(job.spec for job in jobs if job.spec.interpreter == SHAPLEY):
        about, exact = f"{spec.players} players", complete(spec.method)
        sampled = choose(spec.players, None, REGRESSION.name) if exact and spec.players > TINY_GAME else None
        if sampled is not None and sampled[1] < spec.rows:
            yield Decision("D2", about, spec.method, (Alternative(*sampled),))
        elif not exact and spec.players <= MAX_EXACT_PLAYERS:
            yield Decision("D2", about, spec.method, (Alternative(EXACT.name, 1 << spec.players),))
