"""Fusion: answers become jobs, and jobs become passes. In: answers and a strategy; out: what to run, shared as allowed.

Games that differ in nothing but foreground, background and target are planned alike. So what a strategy would cost is
told by counting its jobs by their `Kind`; only the jobs of the strategy that is taken are built.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

from ..algebra.operators import Estimation
from ..catalog.catalog import Catalog
from ..interpreters.protocol import ModelInterpreter
from ..models.network import Network
from ..models.profile import Mode
from .cost import NOTHING, Ends, batch_size, cheapest, ends, forward_cost, forward_costs, plan_cost, reads, runs
from .games import Answer, Game, Hybrids, Predicted, RowForm
from .physical import Cost, Job, Pass, Run, TermReading
from .sampling import ENDS, DesignSpec, Effort, seeds, spec
from .search import Sketch
from .strategy import Strategy


@dataclass(frozen=True, eq=False)
class Kind:
    """What a job has in common with all jobs that are run in the same way and cost the same.

    `layers` has one entry for each model: the deepest layer that is read of it. `asked` are the models, layers and
    interpreters of the columns if an interpreter runs the models itself; else it is empty. Each is one object within
    the fusion that made it.
    """

    models: tuple[str, ...]
    layers: tuple[int | None, ...]
    spec: DesignSpec
    form: RowForm
    shape: tuple[int, ...]  # of one row
    asked: tuple[tuple[str, int | None, Estimation], ...]
    copies: int | None = None  # backgrounds of one game

    @cached_property
    def rows(self) -> int:
        """Rows of the passes of one job."""
        return self.spec.rows_of_passes(self.copies)

    @cached_property
    def batch(self) -> tuple[object, ...]:
        """Jobs for which this is equal share batches (D6)."""
        return self.models, self.layers, self.form


class Tally(NamedTuple):
    """Jobs that were counted instead of built: how many there are of each kind, and the ends that they need."""

    kinds: Counter[Kind]
    ends: Ends


class Fused(NamedTuple):
    """The jobs of some answers, the kind of each, and for each answer the places at which its terms are read."""

    jobs: tuple[Job, ...]
    kinds: tuple[Kind, ...]
    readings: tuple[tuple[TermReading, ...], ...]


class _Group(NamedTuple):
    """The games that are the columns of one job."""

    kind: Kind
    games: tuple[Game, ...]


class Fusion:
    """The answers of a query with the designs of their terms: their jobs, counted or built.

    With `share`, games over the same hybrids and with the same design are columns of one job (D3). With `rewrite`
    alone, only equal games share a job. Without both, each term of each answer is a job of its own.
    """

    def __init__(self, answers: Sequence[Answer], seed: int, catalog: Catalog, effort: Effort | None = None) -> None:
        self._answers = answers
        self._games = [term.game for answer in answers for term in answer.read]
        self._known: dict[tuple[object, ...], Kind] = {}
        self._kinds = self._of_games(seed, catalog, effort)
        self._apart = len({game.hybrids for game in self._games}) == len(self._games)  # nothing can be shared
        self._grouped: dict[tuple[bool, bool], tuple[list[_Group], Sequence[int]]] = {}
        self._tallies: dict[tuple[bool, bool], Tally] = {}

    def jobs(self, strategy: Strategy) -> Fused:
        """The jobs that the answers need."""
        groups, numbers = self._groups(strategy)
        made = [Job(games[0].hybrids, kind.spec, games) for kind, games in groups]
        order = None
        if strategy.share and strategy.block is None:  # else inputs are read in their own order
            order = sorted(range(len(made)), key=[job_order(job) for job in made].__getitem__)
        places = range(len(made)) if order is None else _inverse(order)
        games, read = iter(self._games), iter(numbers)

        def reading() -> TermReading:
            game, number = next(games), next(read)
            columns = made[number].games
            return TermReading(places[number], 0 if len(columns) == 1 else columns.index(game))

        readings = tuple([tuple([reading() for _ in answer.read]) for answer in self._answers])
        if order is None:
            return Fused(tuple(made), tuple([each.kind for each in groups]), readings)
        return Fused(tuple([made[k] for k in order]), tuple([groups[k].kind for k in order]), readings)

    def tally(self, strategy: Strategy) -> Tally:
        """The jobs that `jobs` would build, counted."""
        share = strategy.share is True
        if (share, strategy.rewrite) not in self._tallies:
            alike: dict[Kind, list[Hybrids]] = {}
            for kind, games in self._groups(strategy)[0]:
                alike.setdefault(kind, []).append(games[0].hybrids)
            whole = ends((((kind.models, kind.layers), each) for kind, each in alike.items()), share=share)
            counts = Counter({kind: len(each) for kind, each in alike.items()})
            self._tallies[share, strategy.rewrite] = Tally(counts, whole)
        return self._tallies[share, strategy.rewrite]

    def _groups(self, strategy: Strategy) -> tuple[list[_Group], Sequence[int]]:
        """The games of each job, and for each term the number of its job."""
        place = (False, False) if self._apart else (strategy.share is True, strategy.rewrite)
        if place not in self._grouped:
            self._grouped[place] = self._shared(*place)
        return self._grouped[place]

    def _shared(self, share: bool, rewrite: bool) -> tuple[list[_Group], Sequence[int]]:
        if not share and not rewrite:
            groups = [_Group(kind, (game,)) for game, kind in zip(self._games, self._kinds, strict=True)]
            return groups, range(len(groups))
        columns: dict[object, dict[Game, Kind]] = {}
        keys: list[object] = []
        for game, kind in zip(self._games, self._kinds, strict=True):
            key = (game.hybrids, kind.spec, game.estimation if kind.asked else None) if share else game
            columns.setdefault(key, {})[game] = kind
            keys.append(key)
        numbers = {key: number for number, key in enumerate(columns)}
        return [self._group(games) for games in columns.values()], [numbers[key] for key in keys]

    def _group(self, found: dict[Game, Kind]) -> _Group:
        first = next(iter(found.values()))
        if len(found) == 1:
            return _Group(first, tuple(found))
        games = tuple(sorted(found, key=lambda game: game.key))
        asked = tuple(each for game in games for each in found[game].asked)
        content = (reads(games), first.spec, first.form, asked)
        if content not in self._known:
            self._known[content] = Kind(*reads(games), first.spec, first.form, first.shape, asked, first.copies)
        return _Group(self._known[content], games)

    def _of_games(self, seed: int, catalog: Catalog, effort: Effort | None) -> list[Kind]:
        """The kind of the job of each game, if it were alone. It depends on a few values of the game, so few designs
        are specified."""
        halves = {term.game for answer in self._answers for term in answer.terms if term.part != "shapley"}
        drawn, known = seeds(self._answers, seed, effort), self._known

        def of(game: Game) -> Kind:
            hybrids = game.hybrids
            own = drawn.get(hybrids.key, seed) if drawn else seed
            both, predicted = bool(halves) and game in halves, _predicted(game, catalog)
            rows = None if effort is None else effort.parts.get(game.key) or effort.of(game)
            read = (game.model, game.layer, game.estimation, hybrids.players, own, both, predicted, rows)
            place = (*read, hybrids.form, hybrids.copies)
            if place not in known:
                interpreter = catalog.interpreter(game.estimation.interpreter)
                design = spec(game, own, interpreter, halves=both, predicted=predicted, effort=effort)
                asked = ((game.model, game.layer, game.estimation),) if design.method == ENDS else ()
                form = hybrids.form
                known[place] = Kind(
                    (game.model,), (game.layer,), design, form, hybrids.row_shape, asked, hybrids.copies
                )
            return known[place]

        return [of(game) for game in self._games]


def _inverse(order: Sequence[int]) -> list[int]:
    """The place of each number in an order of numbers."""
    places = [0] * len(order)
    for place, number in enumerate(order):
        places[number] = place
    return places


def _predicted(game: Game, catalog: Catalog) -> bool:
    """Whether a row that is neither x_∅ nor x_N predicts the class that a game reads: under a window, for example."""
    if not isinstance(game.target, Predicted) or game.hybrids.copies is not None:
        return False
    row = catalog.digest_for(game.target.model, game.target.source)
    return row not in (game.hybrids.full, game.hybrids.empty)


def job_order(job: Job) -> tuple[object, ...]:
    """A sort key of jobs, made from their content only, so that the order does not depend on how a query is written."""
    games = job.games
    first = games[0].estimation.key if len(games) == 1 else min(game.estimation.key for game in games)
    return (job.models, job.hybrids.key, job.spec, first)


def form(job: Job) -> RowForm:
    """What the inputs of two jobs must have in common, so that their rows fit into one batch."""
    return job.hybrids.form


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


def schedule(kinds: Sequence[Kind], strategy: Strategy, catalog: Catalog, ways: Ways) -> tuple[Pass, ...]:
    """The passes of jobs of these kinds, each with the way to run it (D1, D10), which `ways` tells.

    Jobs share batches (D6) if they run through the same models to the same depth, with inputs of one form.
    """
    groups: dict[object, list[int]] = {}
    for number, kind in enumerate(kinds):
        groups.setdefault(number if kind.asked or not strategy.pack else kind.batch, []).append(number)

    def passes() -> Iterator[Pass]:
        for group in groups.values():
            kind = kinds[group[0]]
            rows = sum([kinds[number].rows for number in group])
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
    usual = batch_size(elements, all(network.runs_on.type == "cpu" for network in networks), rows)
    wished = [
        size for size in (strategy.batch_size, catalog.settings.batch_size, *(n.batch_size for n in networks)) if size
    ]
    if strategy.pace.batch_seconds is not None and not wished:
        wished = [min(network.batch_within(strategy.pace.batch_seconds, usual) for network in networks)]
    modes: tuple[Mode, ...] | None = ("eager",) if strategy.mode == "eager" else None
    options = runs(networks, layers, usual, modes) if strategy.measured else [Run(usual, "eager")]
    if strategy.pace.filled:  # a row has other bits in another mode
        options = [Run(usual, "eager")]
    if strategy.mode is not None:
        options = [run for run in options if run.mode == strategy.mode] or [Run(usual, strategy.mode)]
    if wished:
        options = list(dict.fromkeys(Run(wished[0], run.mode) for run in options))
    costs = forward_costs(networks, layers, rows, options)
    chosen = cheapest(costs)
    rejected = tuple((run, cost) for run, cost in costs.items() if run != chosen and cost.seconds is not None)
    explore = strategy.measured and not wished and strategy.mode is None
    return _Way(chosen._replace(explore=explore), costs[chosen], rejected)
