"""Fusion: answers become jobs, and jobs become passes. In: answers and a strategy; out: what to run, shared as
allowed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

from ..algebra.operators import Estimation
from ..algebra.packings import packing_of
from ..catalog.catalog import Catalog
from ..interpreters.protocol import ModelInterpreter
from ..models.network import Network
from .cost import NOTHING, batch_size, cheapest, deepest, forward_cost, forward_costs, runs
from .games import Answer, Game, Hybrids, Predicted, game_key
from .physical import Cost, Job, Pass, Run, TermReading
from .sampling import ENDS, DesignSpec, Effort, seeds, spec
from .strategy import Strategy


class _JobKey(NamedTuple):
    """What games must have in common to be columns of one job; `apart` separates games that must not share rows."""

    hybrids: Hybrids
    design: DesignSpec
    estimation: Estimation | None  # the interpreter and its options, if it runs the model itself; else None
    apart: object


def fuse(
    answers: Sequence[Answer], strategy: Strategy, seed: int, catalog: Catalog, effort: Effort | None = None
) -> tuple[list[Job], list[tuple[TermReading, ...]]]:
    """The jobs that the answers need, and for each answer the places at which its terms are read.

    With `share`, games over the same hybrids and with the same design are columns of one job (D3). With `rewrite`
    alone, only equal games share a job. Without both, each term of each answer is a job of its own.
    """
    halves = {term.game for answer in answers for term in answer.terms if term.part != "shapley"}
    columns: dict[_JobKey, dict[Game, None]] = {}
    where: list[list[tuple[_JobKey, Game]]] = []
    own = seeds(answers, seed, effort)
    for number, answer in enumerate(answers):
        where.append([])
        for position, term in enumerate(answer.terms):
            game = term.game
            drawn = own.get(game.hybrids.key, seed)
            interpreter = catalog.interpreter(game.estimation.interpreter)
            design = spec(
                game,
                drawn,
                interpreter,
                halves=game in halves,
                predicted=_predicted(game, catalog),
                effort=effort,
            )
            apart = None if strategy.share else game if strategy.rewrite else (number, position)
            asked = game.estimation if design.method == ENDS else None
            place = _JobKey(game.hybrids, design, asked, apart)
            columns.setdefault(place, {})[game] = None
            where[-1].append((place, game))
    jobs = {
        place: Job(place.hybrids, place.design, tuple(sorted(games, key=game_key))) for place, games in columns.items()
    }
    ordered = sorted(jobs, key=lambda place: job_order(jobs[place])) if strategy.share else list(jobs)
    numbers = {place: number for number, place in enumerate(ordered)}
    readings = [
        tuple(TermReading(numbers[place], jobs[place].games.index(game)) for place, game in entries)
        for entries in where
    ]
    return [jobs[place] for place in ordered], readings


def _predicted(game: Game, catalog: Catalog) -> bool:
    """Whether a row that is neither x_∅ nor x_N predicts the class that a game reads: under a window, for example."""
    if not isinstance(game.target, Predicted):
        return False
    row = catalog.element_for(game.target.model, game.target.source).digest
    return row not in (game.hybrids.full, game.hybrids.empty)


def job_order(job: Job) -> tuple[object, ...]:
    """A sort key of jobs, made from their content only, so that the order does not depend on how a query is written."""
    return (job.models, job.hybrids.key, job.spec, min(game.estimation.key for game in job.games))


def form(job: Job) -> tuple[object, ...]:
    """What the inputs of two jobs must have in common, so that their rows fit into one batch."""
    row = job.hybrids.foreground
    packing = packing_of(row)
    return tuple(row.shape), row.dtype, None if packing is None else packing.key


def schedule(jobs: Sequence[Job], strategy: Strategy, catalog: Catalog, ways: Ways) -> list[Pass]:
    """The passes of the jobs, each with the way to run it (D1, D10), which `ways` tells.

    Jobs share batches (D6) if they run through the same models to the same depth, with inputs of one form.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for number, job in enumerate(jobs):
        if job.spec.method == ENDS:
            groups[(number, ENDS)] = [number]
            continue
        depths = tuple(deepest(job.layers(model)) for model in job.models)
        key: tuple[object, ...] = (job.models, depths, form(job)) if strategy.pack else (number,)
        groups.setdefault(key, []).append(number)

    passes = []
    for group in groups.values():
        members = [jobs[number] for number in group]
        first = members[0]
        layers = tuple(deepest(first.layers(model)) for model in first.models)
        rows = sum(max(0, job.spec.rows - 2) for job in members)
        chosen, cost, rejected = ways(first.models, layers, rows, first.hybrids.foreground.numel())
        if first.spec.method == ENDS:
            passes.append(_asked(first, group[0], chosen, catalog))
        else:
            passes.append(Pass(first.models, layers, tuple(group), rows, chosen, cost, rejected))
    return passes


def _asked(job: Job, number: int, run: Run, catalog: Catalog) -> Pass:
    """The pass of a job whose interpreter runs the models itself, once for each column."""
    shape, cost = tuple(job.hybrids.foreground.shape), NOTHING
    for game in job.games:
        network, interpreter = catalog.model(game.model), catalog.interpreter(game.estimation.interpreter)
        assert isinstance(interpreter, ModelInterpreter)
        rows = interpreter.rows(job.hybrids.players, shape, dict(game.estimation.options))
        cost += forward_cost([network], [game.layer], rows, run)._replace(seconds=None)
    layers = tuple(deepest(job.layers(model)) for model in job.models)
    return Pass(job.models, layers, (number,), cost.rows, run, cost, asked=str(job.games[0].estimation))


class _Way(NamedTuple):
    """How a pass is run, what that costs, and the other ways with their costs."""

    chosen: Run
    cost: Cost
    rejected: tuple[tuple[Run, Cost], ...]


Ways = Callable[[tuple[str, ...], tuple[int | None, ...], int, int], _Way]
"""How to run a pass, given its models, the layers at which they stop, its rows and the number of elements of a row."""


def ways(strategy: Strategy, catalog: Catalog) -> Ways:
    """A function that tells how to run a pass, with the batch sizes and modes that `strategy` allows.

    It remembers its answers, because most passes of the plans that are compared are alike.
    """

    @cache
    def way(models: tuple[str, ...], layers: tuple[int | None, ...], rows: int, elements: int) -> _Way:
        return _way([catalog.model(name) for name in models], layers, rows, elements, strategy, catalog)

    return way


def _way(
    networks: list[Network],
    layers: tuple[int | None, ...],
    rows: int,
    elements: int,
    strategy: Strategy,
    catalog: Catalog,
) -> _Way:
    usual = batch_size(elements, all(network.runs_on.type == "cpu" for network in networks))
    wished = [
        size for size in (strategy.batch_size, catalog.settings.batch_size, *(n.batch_size for n in networks)) if size
    ]
    options = runs(networks, layers, usual) if strategy.measured else [Run(usual, "eager")]
    if strategy.mode is not None:
        options = [run for run in options if run.mode == strategy.mode] or [Run(usual, strategy.mode)]
    if wished:
        options = list(dict.fromkeys(Run(wished[0], run.mode) for run in options))
    costs = forward_costs(networks, layers, rows, options)
    chosen = cheapest(costs)
    rejected = tuple((run, cost) for run, cost in costs.items() if run != chosen and cost.seconds is not None)
    explore = strategy.measured and not wished and strategy.mode is None
    return _Way(chosen._replace(explore=explore), costs[chosen], rejected)
