"""Fusion: answers become jobs, and jobs become passes. In: answers and a strategy; out: what to run, shared as allowed.

Games that differ in nothing but foreground, background and target are planned alike. So what a strategy would cost is
told by counting its jobs by their `Kind`; only the jobs of the strategy that is taken are built.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from ..algebra.operators import Estimation
from ..algebra.packings import packing_of
from ..catalog.catalog import Catalog
from ..interpreters.protocol import ModelInterpreter
from ..models.network import Network
from .cost import NOTHING, Ends, batch_size, cheapest, ends, forward_cost, forward_costs, plan_cost, reads, runs
from .games import Answer, Game, Hybrids, Predicted
from .physical import Cost, Job, Pass, Run, TermReading
from .sampling import ENDS, DesignSpec, Effort, seeds, spec
from .search import Sketch
from .strategy import Strategy


class _JobKey(NamedTuple):
    """What games must have in common to be columns of one job; `apart` separates games that must not share rows."""

    hybrids: Hybrids
    design: DesignSpec
    estimation: Estimation | None  # the interpreter and its options, if it runs the model itself; else None
    apart: object


class Kind(NamedTuple):
    """What a job has in common with all jobs that are run in the same way and cost the same.

    `layers` has one entry for each model: the deepest layer that is read of it. `asked` are the models, layers and
    interpreters of the columns if an interpreter runs the models itself; else it is empty.
    """

    models: tuple[str, ...]
    layers: tuple[int | None, ...]
    spec: DesignSpec
    form: tuple[object, ...]
    shape: tuple[int, ...]  # of one row
    asked: tuple[tuple[str, int | None, Estimation], ...]

    @property
    def rows(self) -> int:
        """Rows of one job, without the ends x_∅ and x_N."""
        return max(0, self.spec.rows - 2)

    @property
    def batch(self) -> tuple[object, ...]:
        """Jobs for which this is equal share batches (D6)."""
        return self.models, self.layers, self.form


class Tally(NamedTuple):
    """Jobs that were counted instead of built: how many there are of each kind, and the ends that they need."""

    kinds: Counter[Kind]
    ends: Ends


class Fusion:
    """The answers of a query with the designs of their terms: their jobs, counted or built.

    With `share`, games over the same hybrids and with the same design are columns of one job (D3). With `rewrite`
    alone, only equal games share a job. Without both, each term of each answer is a job of its own.
    """

    def __init__(self, answers: Sequence[Answer], seed: int, catalog: Catalog, effort: Effort | None = None) -> None:
        self._answers = answers
        self._designs = _designs(answers, seed, catalog, effort)
        self._tallies: dict[tuple[bool, bool], Tally] = {}

    def jobs(self, strategy: Strategy) -> tuple[tuple[Job, ...], tuple[tuple[TermReading, ...], ...]]:
        """The jobs that the answers need, and for each answer the places at which its terms are read."""
        columns: dict[_JobKey, dict[Game, None]] = {}
        where: list[list[tuple[_JobKey, Game]]] = []
        for number, (answer, designs) in enumerate(zip(self._answers, self._designs, strict=True)):
            where.append([])
            for position, (term, design) in enumerate(zip(answer.terms, designs, strict=True)):
                game = term.game
                apart = None if strategy.share else game if strategy.rewrite else (number, position)
                key = _job_key(game, design, apart)
                columns.setdefault(key, {})[game] = None
                where[-1].append((key, game))
        jobs = {key: Job(key.hybrids, key.design, _ordered(games)) for key, games in columns.items()}
        ordered = sorted(jobs, key=lambda key: job_order(jobs[key])) if strategy.share else list(jobs)
        numbers = {key: number for number, key in enumerate(ordered)}
        readings = [
            tuple([TermReading(numbers[key], _column(jobs[key], game)) for key, game in entries]) for entries in where
        ]
        return tuple([jobs[key] for key in ordered]), tuple(readings)

    def tally(self, strategy: Strategy) -> Tally:
        """The jobs that `jobs` would build, counted."""
        share, rewrite = strategy.share is True, strategy.rewrite
        if (share, rewrite) not in self._tallies:
            kinds: Counter[Kind] = Counter()
            read: list[tuple[Kind, Hybrids]] = []
            for games, design in self._groups(share, rewrite):
                hybrids = games[0].hybrids
                kind = _kind(hybrids, design, games)
                kinds[kind] += 1
                read.append((kind, hybrids))
            found = ends((((kind.models, kind.layers), hybrids) for kind, hybrids in read), share=share)
            self._tallies[share, rewrite] = Tally(kinds, found)
        return self._tallies[share, rewrite]

    def _groups(self, share: bool, rewrite: bool) -> Iterable[tuple[Sequence[Game], DesignSpec]]:
        """The games and the design of each job."""
        terms = (
            (term.game, design)
            for answer, designs in zip(self._answers, self._designs, strict=True)
            for term, design in zip(answer.terms, designs, strict=True)
        )
        if share:
            columns: dict[_JobKey, dict[Game, None]] = {}
            for game, design in terms:
                columns.setdefault(_job_key(game, design, None), {})[game] = None
            return ((tuple(games), key.design) for key, games in columns.items())
        found = dict(terms).items() if rewrite else terms
        return (((game,), design) for game, design in found)


def _job_key(game: Game, design: DesignSpec, apart: object) -> _JobKey:
    return _JobKey(game.hybrids, design, game.estimation if design.method == ENDS else None, apart)


def _ordered(games: Iterable[Game]) -> tuple[Game, ...]:
    several = tuple(games)
    return several if len(several) == 1 else tuple(sorted(several, key=lambda game: game.key))


def _column(job: Job, game: Game) -> int:
    return 0 if len(job.games) == 1 else job.games.index(game)


def _designs(answers: Sequence[Answer], seed: int, catalog: Catalog, effort: Effort | None) -> list[list[DesignSpec]]:
    """The design of each term of each answer. It depends on a few values of a game, so few designs are specified."""
    halves = {term.game for answer in answers for term in answer.terms if term.part != "shapley"}
    own, known = seeds(answers, seed, effort), dict[tuple[object, ...], DesignSpec]()

    def of(game: Game) -> DesignSpec:
        hybrids, drawn = game.hybrids, own.get(game.hybrids.key, seed) if own else seed
        both, predicted = bool(halves) and game in halves, _predicted(game, catalog)
        rows = None if effort is None else effort.of(game)
        place = (game.estimation, hybrids.players, drawn, both, predicted, rows)
        if place not in known:
            interpreter = catalog.interpreter(game.estimation.interpreter)
            known[place] = spec(game, drawn, interpreter, halves=both, predicted=predicted, effort=effort)
        return known[place]

    return [[of(term.game) for term in answer.terms] for answer in answers]


def _predicted(game: Game, catalog: Catalog) -> bool:
    """Whether a row that is neither x_∅ nor x_N predicts the class that a game reads: under a window, for example."""
    if not isinstance(game.target, Predicted):
        return False
    row = catalog.element_for(game.target.model, game.target.source).digest
    return row not in (game.hybrids.full, game.hybrids.empty)


def job_order(job: Job) -> tuple[object, ...]:
    """A sort key of jobs, made from their content only, so that the order does not depend on how a query is written."""
    games = job.games
    first = games[0].estimation.key if len(games) == 1 else min(game.estimation.key for game in games)
    return (job.models, job.hybrids.key, job.spec, first)


def form(job: Job) -> tuple[object, ...]:
    """What the inputs of two jobs must have in common, so that their rows fit into one batch."""
    return _form(job.hybrids)


def _form(hybrids: Hybrids) -> tuple[object, ...]:
    row = hybrids.foreground
    packing = packing_of(row)
    return tuple(row.shape), row.dtype, None if packing is None else packing.key


def _kind(hybrids: Hybrids, design: DesignSpec, games: Sequence[Game]) -> Kind:
    models, layers = reads(games)
    each = games if design.method == ENDS else ()
    asked = tuple([(game.model, game.layer, game.estimation) for game in each])
    return Kind(models, layers, design, _form(hybrids), tuple(hybrids.foreground.shape), asked)


def sketched(tally: Tally, strategy: Strategy, catalog: Catalog, ways: Ways) -> Sketch:
    """The cost of counted jobs, and the number of their passes."""
    packed: dict[tuple[object, ...], tuple[Kind, int]] = {}
    costs: list[Cost] = []
    passes = 0
    for kind, count in tally.kinds.items():
        if kind.asked or not strategy.pack:
            costs.append(_alone(kind, catalog, ways).times(count))
            passes += count
        else:
            first, rows = packed.get(kind.batch, (kind, 0))
            packed[kind.batch] = (first, rows + count * kind.rows)
    costs += [_way_of(kind, rows, ways).cost for kind, rows in packed.values()]
    return Sketch(plan_cost(costs, tally.ends, catalog), passes + len(packed))


def _alone(kind: Kind, catalog: Catalog, ways: Ways) -> Cost:
    """The cost of a pass of one job alone."""
    way = _way_of(kind, kind.rows, ways)
    return _cost_of_asking(kind, way.chosen, catalog) if kind.asked else way.cost


def _way_of(kind: Kind, rows: int, ways: Ways) -> _Way:
    return ways(kind.models, kind.layers, rows, math.prod(kind.shape))


def schedule(jobs: Sequence[Job], strategy: Strategy, catalog: Catalog, ways: Ways) -> tuple[Pass, ...]:
    """The passes of the jobs, each with the way to run it (D1, D10), which `ways` tells.

    Jobs share batches (D6) if they run through the same models to the same depth, with inputs of one form.
    """
    kinds = [_kind(job.hybrids, job.spec, job.games) for job in jobs]
    groups: dict[object, list[int]] = {}
    for number, kind in enumerate(kinds):
        groups.setdefault(number if kind.asked or not strategy.pack else kind.batch, []).append(number)

    def passes() -> Iterator[Pass]:
        for group in groups.values():
            kind = kinds[group[0]]
            rows = sum(kinds[number].rows for number in group)
            chosen, cost, rejected = _way_of(kind, rows, ways)
            if kind.asked:
                cost, said = _cost_of_asking(kind, chosen, catalog), str(kind.asked[0][2])
                yield Pass(kind.models, kind.layers, tuple(group), cost.rows, chosen, cost, asked=said)
            else:
                yield Pass(kind.models, kind.layers, tuple(group), rows, chosen, cost, rejected)

    return tuple(passes())


def _cost_of_asking(kind: Kind, run: Run, catalog: Catalog) -> Cost:
    """The cost of a pass of a job whose interpreter runs the models itself, once for each column."""
    cost = NOTHING
    for model, layer, estimation in kind.asked:
        network, interpreter = catalog.model(model), catalog.interpreter(estimation.interpreter)
        assert isinstance(interpreter, ModelInterpreter)
        rows = interpreter.rows(kind.spec.players, kind.shape, dict(estimation.options))
        cost += forward_cost([network], [layer], rows, run)._replace(seconds=None)
    return cost


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
