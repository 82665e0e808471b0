"""Scalars of estimated maps, and which elements of a ranking are still in the running while rows come in.

In: a round's maps of the elements, and of the queries that distances are measured from. Out: scores with their errors,
and the elements that can still be in the answer; the others are given up (D4). It plans nothing and runs nothing.

Errors come from draws: values that the estimator could as well have found, normally distributed with its covariance.
Each scalar is read of every draw as it is read of the map. Intervals are so wide that all intervals of a ranking hold
at once with the confidence that the query asks for: with that confidence no element of the answer is given up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..algebra.rankings import (
    Argmax,
    Distance,
    Elements,
    Entropy,
    Interval,
    Mass,
    Ranking,
    Scalar,
    possible,
    ranked,
)
from ..algebra.windows import Columns, evaluate
from ..estimation.bound import reach
from ..estimation.maps import EstimatedMap
from ..system.arrays import Floats

_DRAWS = 32  # and as many mirrored ones: the mean of all differs from the map by how a scalar bends, not by chance
_NORMALS_KEPT = 8  # sets of normal numbers that are kept, by their count and seed


class Score(NamedTuple):
    """A scalar of a map: its value, standard error, and where it lies with the ranking's confidence."""

    value: float
    stderr: float
    low: float
    high: float


class _Cells(NamedTuple):
    """A map and its draws by cells, which are sets of features of equal value.

    `values` (1 + draws, cells) are those of one feature of a cell, `sizes` how many features a cell has, `where` the
    cell of every feature, flat, −1 for none. The covariance is factorᵀ factor, `factor` (n, cells); None: unknown.
    """

    values: Floats
    sizes: Floats
    where: NDArray[np.int64]
    factor: Floats | None


@lru_cache(maxsize=_NORMALS_KEPT)
def _normal(count: int, seed: int) -> Floats:
    half = np.random.default_rng(seed).standard_normal((_DRAWS, count))
    return np.concatenate([half, -half])


def _cells(found: EstimatedMap, seed: int = 0) -> _Cells:
    labels, influence = found.labels.ravel(), found.influence
    sizes = np.bincount(labels[labels >= 0], minlength=len(found.values)).astype(np.float64)
    spread: Floats | None = None
    if influence is not None:
        spread = np.asarray(np.linalg.qr(influence / np.maximum(sizes, 1), mode="r"), dtype=np.float64)
    values = found.values / np.maximum(sizes, 1)
    if found.asked is not None:  # each feature has a value of its own
        values = found.asked.ravel()[labels >= 0]
        spread = None if spread is None else spread[:, labels[labels >= 0]]
        labels = np.where(labels >= 0, np.cumsum(labels >= 0) - 1, -1)
        sizes = np.ones(len(values))
    draws = np.zeros((0, len(values))) if spread is None else _normal(len(spread), seed) @ spread
    return _Cells(np.concatenate([values[None], values + draws]), sizes, labels, spread)


def score(
    scalar: Scalar, found: EstimatedMap, columns: Columns, reach: float, other: EstimatedMap | None = None
) -> Score:
    """A scalar of a map over an input with these `columns`; the interval reaches `reach` standard errors."""
    cells = _cells(found)
    sampled, known = bool(found.stderr.any()), cells.factor is not None
    match scalar:
        case Mass(window):
            inside = np.bincount(
                cells.where[np.asarray(evaluate(window, columns)).ravel() & (cells.where >= 0)],
                minlength=len(cells.sizes),
            )
            size = np.abs(cells.values)
            values, limits = _ratio(size @ inside.astype(np.float64), size @ cells.sizes), (0.0, 1.0)
        case Entropy():
            size = np.abs(cells.values * cells.sizes) if found.asked is None else np.abs(found.values)[None]
            shares = _ratio(size, size.sum(axis=1, keepdims=True))
            values = -(shares * np.log2(np.where(shares > 0, shares, 1.0))).sum(axis=1)
            limits = (0.0, math.log2(max(1, size.shape[1])))
        case Distance():
            assert other is not None
            values, limits = _distances(cells, others := _cells(other, seed=1)), (0.0, math.inf)
            sampled, known = sampled or bool(other.stderr.any()), known and others.factor is not None
        case Argmax(axis):
            return _argmax(cells, np.broadcast_to(columns[axis], columns["value"].shape), reach, sampled=sampled)
    value = float(values[0])
    if not sampled:
        return Score(value, 0.0, value, value)
    if not known:
        return Score(value, math.inf, *limits)
    draws = np.zeros(len(values) - 1)
    np.subtract(values[1:], value, out=draws, where=values[1:] != value)  # ∞ − ∞ is 0 here: such a value is certain
    if not np.isfinite(draws).all():
        return Score(value, math.inf, *limits)
    mean = float(draws.mean())
    bend, spread = abs(mean), float(np.hypot.reduce(draws - mean)) / math.sqrt(len(draws))
    wide = reach * spread + bend
    return Score(value, math.hypot(bend, spread), max(limits[0], value - wide), min(limits[1], value + wide))


def _ratio(part: Floats, whole: Floats) -> Floats:
    """part / whole, and 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > 0)


def _distances(cells: _Cells, other: _Cells) -> Floats:
    """‖map − map'‖ / ‖map'‖ of the maps and of each pair of draws, on the common refinement of their cells."""
    pairs, counts = np.unique(np.stack([cells.where, other.where]), axis=1, return_counts=True)
    rows = max(len(cells.values), len(other.values))
    ours, theirs = (
        np.broadcast_to(np.pad(each.values, ((0, 0), (0, 1)))[:, cell], (rows, len(counts)))
        for each, cell in zip((cells, other), pairs, strict=True)
    )
    root = np.sqrt(counts)  # squares of huge or tiny values would not be numbers
    apart, size = np.hypot.reduce((ours - theirs) * root, axis=1), np.hypot.reduce(theirs * root, axis=1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(apart == 0, 0.0, apart / size)


def _argmax(cells: _Cells, position: NDArray[np.generic], reach: float, *, sampled: bool) -> Score:
    """The mean position of the features of the greatest value; the interval holds those of all cells that differ from
    the greatest by no more than the error of their difference."""
    inside = cells.where >= 0
    if not inside.any():
        return Score(math.nan, 0.0, math.nan, math.nan)
    sums = np.bincount(cells.where[inside], position.ravel()[inside].astype(np.float64), minlength=len(cells.sizes))
    best = cells.values == cells.values.max(axis=1, keepdims=True)
    found = (best @ sums) / (best @ cells.sizes)
    value = float(found[0])
    if not sampled:
        return Score(value, 0.0, value, value)
    middles, first = sums / cells.sizes, int(cells.values[0].argmax())
    if cells.factor is None:
        return Score(value, math.inf, float(middles.min()), float(middles.max()))
    error = np.hypot.reduce(cells.factor - cells.factor[:, [first]], axis=0)
    could = middles[cells.values[0, first] - cells.values[0] <= reach * error]
    stderr = math.sqrt(float(np.square(found[1:] - value).mean()))
    return Score(value, stderr, min(value, float(could.min())), max(value, float(could.max())))


@dataclass
class Contest:
    """The elements of one ranking, by number: `running` are those that may be in the answer, `scores` what their maps
    say so far, by scalar and element."""

    ranking: Ranking
    elements: Elements
    confidence: float
    columns: Callable[[int], Columns]  # of an element's features
    running: NDArray[np.intp] = field(init=False)
    scores: dict[str, dict[int, Score]] = field(init=False)

    def __post_init__(self) -> None:
        self.running = np.arange(self.elements.count)
        self.scores = {name: {} for name in self.ranking.scalars}
        self._read: dict[tuple[str, int], tuple[object, ...]] = {}

    def read(self, maps: Mapping[int, EstimatedMap], references: Mapping[str, Sequence[EstimatedMap]]) -> None:
        """Read the scalars of the running elements' maps, which are those of `maps`, and the others' in their order."""
        wide = reach(self.confidence, self.elements.count * len(self.scores))
        for name, scalar in self.ranking.scalars.items():
            others = references.get(name, ())
            for number, element in enumerate(self.running.tolist()):
                other = others[number if len(others) > 1 else 0] if others else None
                if self._read.get((name, element)) != (maps[element], other):  # settled maps are what they were
                    self.scores[name][element] = score(scalar, maps[element], self.columns(element), wide, other)
                    self._read[name, element] = (maps[element], other)

    def give_up(self) -> None:
        """Leave out the elements that cannot be in the answer."""
        kept = possible(self.ranking, self._scored(lambda score: (score.low, score.high)))
        self.running = self.running[kept]

    def answer(self) -> list[int]:
        """The answer's elements as the maps are, in their order."""
        exactly = self._scored(lambda score: (score.value, score.value))
        return [int(self.running[number]) for number in ranked(self.ranking, exactly)]

    def about(self, element: int) -> dict[str, tuple[float, float]]:
        """An element's index, and all numbers that the ranking reads of it: values and their standard errors."""
        known = {name: (float(each.low[element]), 0.0) for name, each in self.elements.numbers.items()}
        read = {"index"} | {name for name, (value, _) in known.items() if not math.isnan(value)} & self.ranking.columns
        return {name: known[name] for name in known if name in read} | {
            name: each[element][:2] for name, each in self.scores.items()
        }

    def _scored(self, interval: Callable[[Score], tuple[float, float]]) -> Elements:
        found = {
            name: Interval(*np.array([interval(each[element]) for element in self.running.tolist()]).reshape(-1, 2).T)
            for name, each in self.scores.items()
        }
        return self.elements.taken(self.running).joined(found)
