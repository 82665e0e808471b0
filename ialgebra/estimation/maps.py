"""From values to maps: each answer's linear combination of estimates, with the standard error of the combination.

In: a plan's answers and its outcome. Out: players, values and standard errors of each map. Games whose designs draw
from one sequence share coalitions, so their errors are added before they are squared.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..catalog.catalog import Catalog
from ..execution.executor import Outcome
from ..interpreters.checked import estimated
from ..interpreters.protocol import GameInterpreter, ModelInterpreter
from ..interpreters.shipped import SHAPLEY
from ..kernels.coalitions import Design, units
from ..kernels.estimators.estimate import Estimate, Part, estimate
from ..planner.games import Answer, Game, GameTerm
from ..planner.physical import PhysicalPlan, TermReading
from ..planner.sampling import ENDS, DesignSpec
from ..system.arrays import Floats

_TABLE = 1 << 20  # values of a design that are estimated at once, of more than one job


class Draw(NamedTuple):
    """What one game of a map adds to its errors: `influence` (units, cells), a row for each unit of its design."""

    game: Game
    design: Design
    influence: Floats


@dataclass(frozen=True, eq=False)
class EstimatedMap:
    """One answer: `labels` (input-shaped), `values` (d,), v(∅) and v(N) of the combination, the methods used.

    `draws` are the games that were sampled, with their influences on the values.
    """

    labels: NDArray[np.int64]
    values: Floats
    draws: tuple[Draw, ...]
    base: float
    full: float
    method: str
    asked: Floats | None = None  # the value of each feature, where some did not come from their player's

    @property
    def map(self) -> Floats:
        """The value of each feature, input-shaped: its player's, spread evenly over the player's features, if not its
        own."""
        if self.asked is not None:
            return self.asked
        sizes = np.bincount(self.labels[self.labels >= 0], minlength=len(self.values))
        spread: Floats = np.append(self.values / np.maximum(sizes, 1), 0.0)[self.labels]
        return spread

    @cached_property
    def influence(self) -> Floats | None:
        """(n, d): what each independent unit of the designs contributes to the errors; None where that is unknown."""
        return self.pooled()

    def pooled(self, *, apart: bool = False) -> Floats | None:
        """The influences, added up where games share coalitions; `apart` as if different hybrids shared none."""
        if not all(np.isfinite(draw.influence).all() for draw in self.draws):
            return None
        return np.concatenate([np.zeros((0, len(self.values))), *(_added(group)[0] for group in self._groups(apart))])

    def shares(self, *, apart: bool = False) -> list[tuple[Draw, float]]:
        """What part of the squared error, Σ stderr², each game brings: its own and half its covariances with others;
        negative where it cancels theirs; 1 for each where the errors are unknown."""
        if self.influence is None:
            return [(draw, 1.0) for draw in self.draws]
        scale = float(np.abs(self.influence).max(initial=0.0)) or 1.0
        found = [
            (draw, float((draw.influence / scale * (total[place] / scale)).sum()))
            for group in self._groups(apart)
            for total, places in (_added(group),)
            for draw, place in zip(group, places, strict=True)
        ]
        whole = sum(part for _, part in found) or 1.0
        return [(draw, part / whole) for draw, part in found]

    def _groups(self, apart: bool) -> Iterable[list[Draw]]:
        """The games that draw from one sequence of coalitions."""
        groups: dict[object, list[Draw]] = {}
        for draw in self.draws:
            method, players, _, seed = draw.design.key
            groups.setdefault((method, players, seed, apart and draw.game.hybrids.key), []).append(draw)
        return groups.values()

    @property
    def stderr(self) -> Floats:
        """The standard error of each value, (d,): 0 where exact, inf where it cannot be known."""
        if self.influence is None:  # players that no sampled game has are exact all the same: null ones, above all
            sampled = np.any([draw.influence.any(axis=0) for draw in self.draws], axis=0)
            return np.where(sampled, np.inf, 0.0)
        error: Floats = np.hypot.reduce(self.influence, axis=0)  # squares of huge or tiny values would not be numbers
        return error

    def relative_bound(self, confidence: float, *, apart: bool = False) -> float:
        """What ‖φ̂ − φ‖₂ / ‖φ‖₂ stays below with this confidence: 0 where exact, inf where it cannot be known.

        ‖φ̂ − φ‖² is taken for a sum of weighted χ²₁, matched in mean and variance by one scaled χ² (Satterthwaite,
        1946), whose quantile is Wilson and Hilferty's (1931); ‖φ‖² for ‖φ̂‖² less the mean of that, which is unbiased,
        and is at least (Σφ)² / d, which is known.
        """
        influence = self.pooled(apart=True) if apart else self.influence
        if influence is None:
            return math.inf
        scale = float(np.abs(influence).max(initial=0.0)) or 1.0
        influence = influence / scale
        wide = len(influence) < len(self.values)
        gram = influence @ influence.T if wide else influence.T @ influence
        mean = float(np.trace(gram))
        if mean == 0.0:
            return 0.0
        freedom = mean**2 / float(np.square(gram).sum())
        spread = 2.0 / (9.0 * freedom)
        quantile = max(0.0, 1.0 - spread + NormalDist().inv_cdf(confidence) * math.sqrt(spread)) ** 3
        with np.errstate(over="ignore", invalid="ignore"):  # of values that are infinitely larger errors are nothing
            values = self.values / scale
            size = max(float(values @ values) - mean, float(values.sum() ** 2) / len(values))
        return math.sqrt(mean * quantile / size) if size > 0.0 else math.inf


def _added(draws: Sequence[Draw]) -> tuple[Floats, list[NDArray[np.int64]]]:
    """Influences that are added unit by unit, (units, cells), and where the units of each game are among them."""
    counts = [len(draw.influence) for draw in draws]
    if len({draw.design.key for draw in draws}) == len(set(counts)) == 1:
        every = np.arange(counts[0])
        return np.sum([draw.influence for draw in draws], axis=0), [every] * len(draws)
    known = [units(draw.design) for draw in draws]
    if counts != [len(each) for each in known]:
        # An interpreter's own units, which no design tells: of n errors that may all go together, the squares sum to
        # at most n times their squares' sum.
        root = math.sqrt(len(draws))
        every = np.arange(sum(counts))
        return root * np.concatenate([draw.influence for draw in draws]), np.split(every, np.cumsum(counts)[:-1])
    _, place = np.unique(np.concatenate(known), return_inverse=True)
    total = np.zeros((int(place.max()) + 1, draws[0].influence.shape[1]))
    places = np.split(place.ravel(), np.cumsum(counts)[:-1])
    for draw, here in zip(draws, places, strict=True):
        total[here] += draw.influence
    return total, places


def _summed(found: Floats, labels: NDArray[np.int64], count: int) -> Floats:
    """The values of `count` players: the sums over their features."""
    labels = np.broadcast_to(labels, found.shape)
    inside = labels >= 0
    return np.bincount(labels[inside], found[inside], minlength=count).astype(np.float64)


class Estimates:
    """The estimates of some answers of a plan: those of one design are made together, each once."""

    def __init__(
        self,
        plan: PhysicalPlan,
        outcome: Outcome,
        catalog: Catalog,
        wanted: Iterable[tuple[Answer, Sequence[TermReading]]],
    ) -> None:
        self.plan = plan
        self.outcome = outcome
        self.catalog = catalog
        self._found: dict[tuple[int, Part], list[Estimate]] = {}
        alike: dict[tuple[DesignSpec, Part], dict[int, None]] = {}
        for answer, readings in wanted:
            for term, reading in zip(answer.terms, readings, strict=True):
                alike.setdefault((plan.jobs[reading.job].spec, term.part), {})[reading.job] = None
        for (spec, part), places in alike.items():
            jobs, together = list(places), max(1, _TABLE // max(1, spec.rows))
            for first in range(0, len(jobs), together):
                self._found |= self._estimated(spec, part, jobs[first : first + together])

    def _estimated(self, spec: DesignSpec, part: Part, jobs: Sequence[int]) -> dict[tuple[int, Part], list[Estimate]]:
        design, values = self.outcome.designs[jobs[0]], [self.outcome.values[job] for job in jobs]
        interpreter, table = self.catalog.interpreter(spec.interpreter), np.concatenate(values, axis=1)
        if part != "shapley":
            found = estimate(design, table, part)
        elif isinstance(interpreter, GameInterpreter):
            found = estimated(spec.interpreter, interpreter, design, table)
        else:
            return {(job, part): self._asked(job, interpreter) for job in jobs}
        columns = iter(found)
        return {(job, part): list(islice(columns, each.shape[1])) for job, each in zip(jobs, values, strict=True)}

    def _asked(self, job: int, interpreter: ModelInterpreter) -> list[Estimate]:
        players, count = self.plan.jobs[job].hybrids.segments, self.outcome.designs[job].players
        unknown = np.full((1, count), np.inf) if interpreter.sampled else np.zeros((0, count))
        maps = [self.outcome.maps[job, k] for k in range(self.outcome.values[job].shape[1])]
        return [Estimate(_summed(each, players, count), unknown, self.plan.jobs[job].spec.method) for each in maps]

    def map(self, answer: Answer, readings: Sequence[TermReading]) -> EstimatedMap:
        """The map of one answer; terms on other players meet on the common refinement of their partitions."""
        labels, spreads = _refined(answer)
        count = int(labels.max(initial=-1)) + 1
        values = np.zeros(count)
        asked: list[Floats] = []
        draws: list[Draw] = []
        base = full = 0.0
        methods: dict[str, None] = {}
        for term, reading, spread in zip(answer.terms, readings, spreads, strict=True):
            found = self._found[reading.job, term.part][reading.column]
            share = float(-term.coefficient if term.board.swapped else term.coefficient)
            if (own := self.outcome.maps.get((reading.job, reading.column))) is None:
                values += share * spread(found.values)
            else:
                asked.append(share * own)
            if len(found.influence):
                known = np.isfinite(found.influence).all()
                influence = share * spread(found.influence if known else np.full((1, found.influence.shape[1]), np.inf))
                draws.append(Draw(term.game, self.outcome.designs[reading.job], influence))
            table = self.outcome.values[reading.job][:, reading.column]
            ends = (float(table[0]), float(table[min(1, len(table) - 1)]))
            low, high = reversed(ends) if term.board.swapped else ends
            base += float(term.coefficient) * low
            full += float(term.coefficient) * high
            methods[self._method(reading, found)] = None
        found_map = EstimatedMap(labels, values, tuple(draws), base, full, ", ".join(methods) or "exact")
        if not asked:
            return found_map
        own = np.sum(asked, axis=0)
        whole = own + found_map.map if len(asked) < len(answer.terms) else own
        return replace(found_map, values=values + _summed(own, labels, count), asked=whole)

    def _method(self, reading: TermReading, found: Estimate) -> str:
        method, interpreter = self.plan.jobs[reading.job].spec.method, self.plan.jobs[reading.job].spec.interpreter
        if method == ENDS:
            return interpreter
        named = method if found.rung == method else f"{method} {found.rung}"
        return named if interpreter == SHAPLEY else f"{interpreter} {named}"


class _Spread:
    """Carries a game's values (…, active players) to the cells of an answer's map (…, cells), spread evenly over
    features."""

    def __init__(self, term: GameTerm, cells: NDArray[np.int64] | None, sizes: NDArray[np.int64] | None) -> None:
        board = term.board
        self.active = board.active
        self.count = board.count
        self.cells = cells
        if cells is not None and sizes is not None:
            features = np.bincount(board.labels[board.labels >= 0], minlength=board.count + 1)
            self.shares = sizes / np.maximum(features, 1)[cells]

    def __call__(self, values: Floats) -> Floats:
        whole = np.zeros((*values.shape[:-1], self.count + 1))  # cells outside the game's window read the last: 0
        whole[..., self.active] = values
        return whole[..., :-1] if self.cells is None else whole[..., self.cells] * self.shares


def _refined(answer: Answer) -> tuple[NDArray[np.int64], list[_Spread]]:
    """The players of the answer's map, and how each term's values get there."""
    boards = {id(term.board.labels): term.board.labels for term in answer.terms}
    first = next(iter(boards.values()), answer.board.labels)
    if all(np.array_equal(first, labels) for labels in boards.values()):
        return first, [_Spread(term, None, None) for term in answer.terms]
    stack = np.stack([labels.ravel() for labels in boards.values()])
    inside = (stack >= 0).any(axis=0)
    names, where, inverse, sizes = np.unique(
        stack[:, inside], axis=1, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(where)  # as a reader meets them, whatever the order of the terms
    names, sizes, inverse = names[:, order], sizes[order], np.argsort(order)[inverse.ravel()]
    labels = np.full(stack.shape[1], -1, dtype=np.int64)
    labels[inside] = inverse
    cells = dict(zip(boards, names, strict=True))
    return labels.reshape(first.shape), [_Spread(term, cells[id(term.board.labels)], sizes) for term in answer.terms]
