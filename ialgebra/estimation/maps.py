"""From values to maps: each answer's linear combination of estimates, with the standard error of the combination.

In: a plan's answers, and the tables of values that its execution filled. Out: players, values and standard errors of
each map. It may not know how the values were computed: it runs no model and reads no store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..catalog.catalog import Catalog
from ..interpreters.checked import estimated
from ..interpreters.protocol import GameInterpreter, ModelInterpreter
from ..interpreters.shipped import SHAPLEY, SHIPPED
from ..kernels.coalitions import Design
from ..kernels.estimators.estimate import Estimate, Part
from ..kernels.estimators.registry import complete, estimate, reader_of
from ..kernels.hindsight import quick
from ..models.noise import NoiseLevel
from ..planner.games import Answer, Game, GameTerm
from ..planner.physical import PhysicalPlan, TermReading
from ..planner.sampling import ENDS, DesignSpec
from ..system.arrays import Floats
from ..system.kept import Kept
from .bound import Draw, bound_by_sums, doubted, pooled, relative_bound, shares
from .noise import CarriedNoise, Read, carried, combined

ALL_COALITIONS = "all coalitions"
"""The method of exact values whose model is no function of the row."""

_VALUES_AT_ONCE = 1 << 20  # values (8 MiB) that are estimated together, of jobs with one design
_WORTH_KEEPING = 1e-4  # seconds that it takes to estimate a column, from which its estimate is kept
_SECONDS_A_STEP, _FEWEST_TOGETHER = 0.25, 8  # columns that are estimated together, and may not be interrupted
_BYTES_BESIDE = 1500  # of an estimate that is kept: its objects and its key
_READ_AGAIN = 8  # columns of a design whose values are read again with noise; others of the same design are alike


class ValueTables(NamedTuple):
    """The results of an execution, by job: the designs and their values (m, columns); and by (job, column) the
    input-shaped maps of interpreters that call the model themselves, and the noise of the values."""

    designs: Sequence[Design]
    values: Sequence[Floats]
    maps: Mapping[tuple[int, int], Floats]
    noise: Mapping[tuple[int, int], NoiseLevel] = MappingProxyType({})  # of columns of random models


@dataclass(frozen=True, eq=False)
class EstimatedMap:
    """One answer: `labels` (input-shaped), `values` (d,), v(∅) and v(N) of the combination, the methods used.

    `draws` are the games that were sampled, with their influences on the values. `noise` (n, d) are the influences of
    the noise of random models, beyond what the former hold.
    """

    labels: NDArray[np.int64]
    values: Floats
    draws: tuple[Draw, ...]
    base: float
    full: float
    method: str
    noise: Floats | None = None
    total: float | None = None  # what the model itself makes of the ends of a map that explains its surrogate
    asked: Floats | None = None  # input-shaped; not None if a term's map came from a ModelInterpreter

    @property
    def map(self) -> Floats:
        """The value of each feature, input-shaped: its own value if an interpreter gave one, otherwise the value of its
        player, spread evenly over the player's features."""
        if self.asked is not None:
            return self.asked
        sizes = np.bincount(self.labels[self.labels >= 0], minlength=len(self.values))
        spread: Floats = np.append(self.values / np.maximum(sizes, 1), 0.0)[self.labels]
        return spread

    @cached_property
    def influence(self) -> Floats | None:
        """(n, d): what each independent unit of the designs contributes to the errors; None if that is unknown."""
        return self._pooled(apart=False)

    def _pooled(self, *, apart: bool, doubt: float = 1.0) -> Floats | None:
        influence = pooled([doubted(draw, doubt) for draw in self.draws], len(self.values), apart=apart)
        return influence if influence is None or self.noise is None else np.concatenate([influence, self.noise])

    @cached_property
    def _alone(self) -> Draw | None:
        """The one game that causes all errors, if what its influences amount to is known without them."""
        if len(self.draws) != 1 or self.noise is not None or self.draws[0].sums is None:
            return None
        return self.draws[0]

    def shares(self, *, apart: bool = False) -> list[tuple[Draw, float]]:
        """The part of the squared error that each game causes; with `apart`, as if different hybrids shared no
        coalitions."""
        if self._alone is not None and self._alone.sums is not None and self._alone.sums.traces.any():
            return [(self._alone, 1.0)]
        return shares(self.draws, self.influence, apart=apart)

    @property
    def stderr(self) -> Floats:
        """The standard error of each value, (d,): 0 if it is exact, inf if it is unknown."""
        if not self.draws and self.noise is None:
            return np.zeros(len(self.values))
        if self._alone is not None and self._alone.stderr is not None:
            return self._alone.stderr
        if self.influence is None:  # players that are in no sampled game, such as null players, are still exact
            sampled = np.any([draw.influence.any(axis=0) for draw in self.draws], axis=0)
            return np.where(sampled, np.inf, 0.0)
        error: Floats = np.hypot.reduce(self.influence, axis=0)  # squares of huge or tiny values overflow or vanish
        return error

    def relative_bound(self, confidence: float, *, apart: bool = False, doubt: float = 1.0) -> float:
        """An upper bound of ‖φ̂ − φ‖₂ / ‖φ‖₂ with this confidence: 0 if the map is exact, inf if the error is unknown.
        With `apart`, as if different hybrids shared no coalitions. What no pair has met counts `doubt` times."""
        if not self.draws and self.noise is None:
            return 0.0
        if self._alone is not None and self._alone.sums is not None:
            return bound_by_sums(self.values, self._alone.sums, confidence, doubt)
        influence = self._pooled(apart=apart, doubt=doubt) if apart or doubt != 1 else self.influence
        return relative_bound(self.values, influence, confidence)


def _comparable(known: NoiseLevel, level: NoiseLevel) -> bool:
    """Whether the noise of one column tells that of another: it is nowhere 0 where the other's is not."""
    pairs = ((known.empty, level.empty), (known.full, level.full), (known.between, level.between))
    return known.freedom == level.freedom and all(one > 0 or other == 0 for one, other in pairs)


def _parts(game: Game, noise: CarriedNoise) -> list[tuple[Hashable, Hashable, Floats]]:
    """A game's noise by draws: its ends are rows that other games of the model may share."""
    column = game.layer, game.target, game.output
    draws = game.hybrids.empty, game.hybrids.full, game.hybrids.key
    influences = noise.empty, noise.full, noise.rest
    return [((game.model, draw), column, each) for draw, each in zip(draws, influences, strict=True)]


def _summed(features: Floats, labels: NDArray[np.int64], count: int) -> Floats:
    """The values of `count` players: the sums over the values of their features."""
    labels = np.broadcast_to(labels, features.shape)
    inside = labels >= 0
    return np.bincount(labels[inside], features[inside], minlength=count).astype(np.float64)


class Estimates:
    """The estimates of some answers of a plan. Jobs with the same design are estimated together, each job once.

    An estimate is a function of the design, the column of values and the interpreter: where `kept` holds one, it is
    taken from there, and those that are made are kept. `read_back` counts the columns that were not estimated again.
    With `quick` regressions are read by their free features alone, which takes a hundredth of the time. `check` is
    called every now and then; it may raise, which ends the work.
    """

    def __init__(
        self,
        plan: PhysicalPlan,
        tables: ValueTables,
        catalog: Catalog,
        wanted: Iterable[tuple[Answer, Sequence[TermReading]]],
        kept: Kept[Estimate] | None = None,
        quick: bool = False,
        check: Callable[[], object] = lambda: None,
    ) -> None:
        self.quick = quick
        self.check = check
        self.plan = plan
        self.tables = tables
        self.catalog = catalog
        self.kept = kept
        self.read_back = 0
        self._estimates: dict[tuple[int, Part], list[Estimate]] = {}
        self._noise: dict[tuple[int, Part, int], CarriedNoise] = {}
        self._methods: dict[tuple[str, str, str, str], str] = {}
        jobs_by_design: dict[tuple[DesignSpec, Part], dict[int, None]] = {}
        for answer, readings in wanted:
            for term, reading in zip(answer.terms, readings, strict=not answer.beside):
                jobs_by_design.setdefault((plan.jobs[reading.job].spec, term.part), {})[reading.job] = None
        for (spec, part), jobs_of_design in jobs_by_design.items():
            jobs, together = list(jobs_of_design), max(1, _VALUES_AT_ONCE // max(1, spec.rows))
            for first in range(0, len(jobs), together):
                self._estimates |= self._estimated(spec, part, jobs[first : first + together])

    def _estimated(self, spec: DesignSpec, part: Part, jobs: Sequence[int]) -> dict[tuple[int, Part], list[Estimate]]:
        design, values = self.tables.designs[jobs[0]], [self.tables.values[job] for job in jobs]
        interpreter, table = self.catalog.interpreter(spec.interpreter), np.concatenate(values, axis=1)
        read: Read
        if part != "shapley":
            read = partial(estimate, design, part=part)
        elif isinstance(interpreter, GameInterpreter):
            read = partial(estimated, spec.interpreter, interpreter, design)
        else:
            return {(job, part): self._asked(job, interpreter) for job in jobs}
        # An interpreter of a user may answer otherwise the next time.
        repeatable = part != "shapley" or SHIPPED.get(spec.interpreter) is interpreter
        if self.quick and repeatable and design.method == "regression" and not self.tables.noise:
            columns = iter(quick(design, table))
        elif repeatable:
            columns = iter(self._remembered(read, (spec.interpreter, part), design, table))
        else:
            columns = iter(read(table))
        found = {(job, part): list(islice(columns, each.shape[1])) for job, each in zip(jobs, values, strict=True)}
        known: list[tuple[CarriedNoise, NoiseLevel]] = []
        for job, k in self.tables.noise:
            if (job, part) not in found:
                continue
            column, level = self.tables.values[job][:, k], self.tables.noise[job, k]
            like = next((each for each in known if _comparable(each[1], level)), None)
            if like is not None and len(known) >= _READ_AGAIN:
                self._noise[job, part, k] = like[0].scaled(like[1], level)
                continue
            self._noise[job, part, k] = carried(read, design, column, found[job, part][k], level)
            known.append((self._noise[job, part, k], level))
        return found

    def _remembered(self, read: Read, about: tuple[str, str], design: Design, table: Floats) -> Sequence[Estimate]:
        """What `read` gives for the columns of a table, of which those that are kept are not read again."""
        if self.kept is None or reader_of(design).seconds(design.players, len(table), 1) < _WORTH_KEEPING:
            return read(table)
        head = repr(about).encode() + design.content
        keys = [head + hashlib.blake2b(column, digest_size=16).digest() for column in np.ascontiguousarray(table.T)]
        found = self.kept.find_all(keys)
        fresh = [place for place, each in enumerate(found) if each is None]
        self.read_back += len(keys) - len(fresh)
        made = self._in_steps(read, design, table, fresh)
        for place, each in zip(fresh, made, strict=True):
            found[place] = each
            self.kept.keep(keys[place], each.alone(), each.nbytes + _BYTES_BESIDE)
        return [each for each in found if each is not None]

    def _in_steps(self, read: Read, design: Design, table: Floats, columns: Sequence[int]) -> list[Estimate]:
        """What `read` gives for these columns, a few at a time; `check` is called before each step."""
        seconds = reader_of(design).seconds(design.players, len(table), 1)
        step = max(_FEWEST_TOGETHER, int(_SECONDS_A_STEP / max(seconds, 1e-9)))
        found: list[Estimate] = []
        for first in range(0, len(columns), step):
            self.check()
            found += read(table[:, columns[first : first + step]])
        return found

    def _asked(self, job: int, interpreter: ModelInterpreter) -> list[Estimate]:
        players, count = self.plan.jobs[job].hybrids.first.segments, self.tables.designs[job].players
        found = []
        for k, game in enumerate(self.plan.jobs[job].games):
            known = not interpreter.sampled and not self.catalog.model(game.model).behaviour.random
            influence = np.zeros((0, count)) if known else np.full((1, count), np.inf)
            values = _summed(self.tables.maps[job, k], players, count)
            found.append(Estimate(values, influence, self.plan.jobs[job].spec.method))
        return found

    def map(self, answer: Answer, readings: Sequence[TermReading]) -> EstimatedMap:
        """The map of one answer. If its terms have different players, the map's players are the intersections of
        theirs."""
        labels, count, spreads = _refined(answer)
        values = np.zeros(count)
        asked: list[Floats] = []
        draws: list[Draw] = []
        noise: list[tuple[Hashable, Hashable, Floats]] = []
        base = full = 0.0
        methods: dict[str, None] = {}
        for term, reading, spread in zip(answer.terms, readings[: len(answer.terms)], spreads, strict=True):
            found = self._estimates[reading.job, term.part][reading.column]
            share = float(term.coefficient) * (-1 if term.board.swapped else 1)
            if (own := self.tables.maps.get((reading.job, reading.column))) is None:
                values += share * spread(found.values)
            else:
                asked.append(share * own)
            if found.sampled:
                draws.append(_draw(term.game, self.tables.designs[reading.job], found, share, spread))
            if (added := self._noise.get((reading.job, term.part, reading.column))) is not None:
                noise += _parts(term.game, added.of(share, spread))
            coefficient, ends = float(term.coefficient), self.tables.values[reading.job][:2, reading.column].tolist()
            low, high = (ends[-1], ends[0]) if term.board.swapped else (ends[0], ends[-1])
            base += coefficient * low
            full += coefficient * high
            methods[self._method(term, reading, found)] = None
        method = ", ".join(methods) or "exact"
        total = self._beside(answer, readings[len(answer.terms) :])
        noises = combined(noise) if noise else None
        found_map = EstimatedMap(labels, values, tuple(draws), base, full, method, noises, total=total)
        if not asked:
            return found_map
        own = np.sum(asked, axis=0)
        whole = own + found_map.map if len(asked) < len(answer.terms) else own
        return replace(found_map, values=values + _summed(own, labels, count), asked=whole)

    def _beside(self, answer: Answer, readings: Sequence[TermReading]) -> float | None:
        """What the models themselves make of the ends of a map of their surrogates."""
        if not answer.beside:
            return None
        total = 0.0
        for term, (job, column) in zip(answer.beside, readings, strict=True):
            values = self.tables.values[job][:, column]
            share = float(term.coefficient) * (-1 if term.board.swapped else 1)
            total += share * float(values[min(1, len(values) - 1)] - values[0])
        return total

    def _method(self, term: GameTerm, reading: TermReading, found: Estimate) -> str:
        """How a term's values were made. Of a model that is no function of the row nothing is called exact."""
        spec = self.plan.jobs[reading.job].spec
        place = spec.method, spec.interpreter, term.game.model, found.rung
        if (known := self._methods.get(place)) is None:
            known = self._methods[place] = self._named(*place)
        return known

    def _named(self, method: str, interpreter: str, model: str, read: str) -> str:
        words = self.catalog.model(model).behaviour.words
        if method == ENDS:
            named = interpreter
        else:
            rung = ALL_COALITIONS if words and complete(read) else read
            named = rung if method == read else f"{method} {rung}"
            named = named if interpreter == SHAPLEY else f"{interpreter} {named}"
        return ", ".join([named, *words])


def _draw(game: Game, design: Design, found: Estimate, share: float, spread: _Spread) -> Draw:
    """What `share` times an estimate adds to the errors of a map whose cells `spread` makes of its players."""
    few = found.in_few
    if few is not None and spread.cells is None:  # errors of players that are not active are 0
        sums = few.sums._replace(unit=few.sums.unit * abs(share))
        return Draw(game, design, lambda: share * spread(found.influence), abs(share) * spread(few.stderr), sums)
    influence = found.influence if found.known else np.full((1, found.influence.shape[1]), np.inf)
    return Draw(game, design, share * spread(influence))


class _Spread:
    """Converts a game's values (…, active players) to values of the cells of an answer's map (…, cells): a player's
    value is spread evenly over its features."""

    def __init__(self, term: GameTerm, cells: NDArray[np.int64] | None, sizes: NDArray[np.int64] | None) -> None:
        board = term.board
        self.active = board.active
        self.count = board.count
        self.cells = cells
        if cells is not None and sizes is not None:
            features = np.bincount(board.labels[board.labels >= 0], minlength=board.count + 1)
            self.shares = sizes / np.maximum(features, 1)[cells]

    def __call__(self, values: Floats) -> Floats:
        if self.cells is None and len(self.active) == self.count:
            return values
        whole = np.zeros((*values.shape[:-1], self.count + 1))  # the last is 0, for cells outside the game's window
        whole[..., self.active] = values
        return whole[..., :-1] if self.cells is None else whole[..., self.cells] * self.shares


def _refined(answer: Answer) -> tuple[NDArray[np.int64], int, list[_Spread]]:
    """The players of the answer's map, their number, and for each term the conversion of its values to these
    players."""
    if len(answer.terms) == 1:
        (term,) = answer.terms
        return term.board.labels, term.board.count, [_Spread(term, None, None)]
    boards = {id(term.board.labels): term.board.labels for term in answer.terms}
    first, *others = boards.values() or (answer.board.labels,)
    if all(np.array_equal(first, labels) for labels in others):
        count = answer.terms[0].board.count if answer.terms else answer.board.count
        return first, count, [_Spread(term, None, None) for term in answer.terms]
    stack = np.stack([labels.ravel() for labels in boards.values()])
    inside = (stack >= 0).any(axis=0)
    names, where, inverse, sizes = np.unique(
        stack[:, inside], axis=1, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(where)  # by their first feature, so that the order of the terms does not matter
    names, sizes, inverse = names[:, order], sizes[order], np.argsort(order)[inverse.ravel()]
    labels = np.full(stack.shape[1], -1, dtype=np.int64)
    labels[inside] = inverse
    cells = dict(zip(boards, names, strict=True))
    spreads = [_Spread(term, cells[id(term.board.labels)], sizes) for term in answer.terms]
    return labels.reshape(first.shape), len(sizes), spreads
