"""Scalars of estimated maps, and which elements of a ranking are still in the running while rows come in.

In: a round's maps of the elements, and the maps that distances are measured from. Out: scores with their errors, and
the elements that can still be in the answer; the others are given up (D4). It plans nothing and runs nothing.

Errors come from draws: random values around the map, normally distributed with the estimator's covariance. Each scalar
is computed for every draw, as for the map. Intervals are so wide that all intervals of a ranking hold at once with the
confidence that the query asks for: with that confidence, no element of the answer is given up.
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
    Relevance,
    Scalar,
    possible,
    ranked,
)
from ..algebra.windows import Columns, evaluate
from ..estimation.bound import reach
from ..estimation.maps import EstimatedMap
from ..system.arrays import Floats

# Each draw also has a mirrored one. So the mean of the draws is the map itself, and the mean of a scalar over the draws
# differs from the scalar of the map only because the scalar is not linear.
_DRAWS = 32
_NORMALS_KEPT = 8  # sets of normal random numbers that are cached, by count and seed


class Score(NamedTuple):
    """A scalar of a map: its value, its standard error, and the interval (low, high) that holds it with the ranking's
    confidence."""

    value: float
    stderr: float
    low: float
    high: float


class _Cells(NamedTuple):
    """A map and its draws, by cells. A cell is a set of features that have the same value.

    `values` (1 + draws, cells) are the values of one feature of each cell: first the map's, then each draw's. `sizes`
    (cells,) are the numbers of features. `where` (flat) is the cell of every feature, −1 for none. The covariance is
    factorᵀ factor with `factor` (n, cells); None if it is unknown.
    """

    values: Floats
    sizes: Floats
    where: NDArray[np.int64]
    factor: Floats | None


@lru_cache(maxsize=_NORMALS_KEPT)
def _normal(count: int, seed: int) -> Floats:
    half = np.random.default_rng(seed).standard_normal((_DRAWS, count))
    return np.concatenate([half, -half])


def _cells(estimate: EstimatedMap, seed: int = 0) -> _Cells:
    labels, influence = estimate.labels.ravel(), estimate.influence
    sizes = np.bincount(labels[labels >= 0], minlength=len(estimate.values)).astype(np.float64)
    spread: Floats | None = None
    if influence is not None:
        spread = np.asarray(np.linalg.qr(influence / np.maximum(sizes, 1), mode="r"), dtype=np.float64)
    values = estimate.values / np.maximum(sizes, 1)
    if estimate.asked is not None:  # each feature has a value of its own
        values = estimate.asked.ravel()[labels >= 0]
        spread = None if spread is None else spread[:, labels[labels >= 0]]
        labels = np.where(labels >= 0, np.cumsum(labels >= 0) - 1, -1)
        sizes = np.ones(len(values))
    draws = np.zeros((0, len(values))) if spread is None else _normal(len(spread), seed) @ spread
    return _Cells(np.concatenate([values[None], values + draws]), sizes, labels, spread)


def score(
    scalar: Scalar, estimate: EstimatedMap, columns: Columns, reach: float, other: EstimatedMap | None = None
) -> Score:
    """A scalar of a map over an input with these `columns`; the interval reaches `reach` standard errors."""
    cells = _cells(estimate)
    sampled, known = bool(estimate.stderr.any()), cells.factor is not None
    match scalar:
        case Mass(window):
            inside = np.bincount(
                cells.where[np.asarray(evaluate(window, columns)).ravel() & (cells.where >= 0)],
                minlength=len(cells.sizes),
            )
            size = np.abs(cells.values)
            values, limits = _ratio(size @ inside.astype(np.float64), size @ cells.sizes), (0.0, 1.0)
        case Relevance(index):
            place = int(cells.where[index]) if index < len(cells.where) else -1
            found = cells.values[:, place] if place >= 0 else np.zeros(len(cells.values))
            most = np.abs(cells.values).max(axis=1, initial=0.0)
            values = np.divide(found, most, out=np.zeros(len(found)), where=most > 0)
            limits = (-1.0, 1.0)
        case Entropy():
            size = np.abs(cells.values * cells.sizes) if estimate.asked is None else np.abs(estimate.values)[None]
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
    np.subtract(values[1:], value, out=draws, where=values[1:] != value)  # equal values differ by 0, also ∞ − ∞
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
    """‖map − map'‖ / ‖map'‖ of the maps and of each pair of draws. It is computed on the intersections of their
    cells."""
    pairs, counts = np.unique(np.stack([cells.where, other.where]), axis=1, return_counts=True)
    rows = max(len(cells.values), len(other.values))
    ours, theirs = (
        np.broadcast_to(np.pad(each.values, ((0, 0), (0, 1)))[:, cell], (rows, len(counts)))
        for each, cell in zip((cells, other), pairs, strict=True)
    )
    root = np.sqrt(counts)  # weights for hypot, which needs no squares: those of huge or tiny values overflow or vanish
    apart, size = np.hypot.reduce((ours - theirs) * root, axis=1), np.hypot.reduce(theirs * root, axis=1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(apart == 0, 0.0, apart / size)


def _argmax(cells: _Cells, position: NDArray[np.generic], reach: float, *, sampled: bool) -> Score:
    """The mean position of the features that have the greatest value. The interval contains the positions of all cells
    whose distance to the greatest value is no more than the error of that distance."""
    inside = cells.where >= 0
    if not inside.any():
        return Score(math.nan, 0.0, math.nan, math.nan)
    sums = np.bincount(cells.where[inside], position.ravel()[inside].astype(np.float64), minlength=len(cells.sizes))
    best = cells.values == cells.values.max(axis=1, keepdims=True)
    positions = (best @ sums) / (best @ cells.sizes)  # of the map and of each draw
    value = float(positions[0])
    if not sampled:
        return Score(value, 0.0, value, value)
    middles, first = sums / cells.sizes, int(cells.values[0].argmax())
    if cells.factor is None:
        return Score(value, math.inf, float(middles.min()), float(middles.max()))
    error = np.hypot.reduce(cells.factor - cells.factor[:, [first]], axis=0)
    could = middles[cells.values[0, first] - cells.values[0] <= reach * error]
    stderr = math.sqrt(float(np.square(positions[1:] - value).mean()))
    return Score(value, stderr, min(value, float(could.min())), max(value, float(could.max())))


@dataclass
class Contest:
    """The elements of one ranking, by number. `running` are those that may still be in the answer; `scores` are the
    scalars of their maps so far, by scalar and element."""

    ranking: Ranking
    elements: Elements
    confidence: float
    columns: Callable[[int], Columns]  # the columns of an element's features
    running: NDArray[np.intp] = field(init=False)
    scores: dict[str, dict[int, Score]] = field(init=False)

    def __post_init__(self) -> None:
        self.running = np.arange(self.elements.count)
        self.scores = {name: {} for name in self.ranking.scalars}
        self._read: dict[tuple[str, int], tuple[object, ...]] = {}

    def read(self, maps: Mapping[int, EstimatedMap], references: Mapping[str, Sequence[EstimatedMap]]) -> None:
        """Compute the scalars of the running elements from their maps, `maps`. `references` has for each distance the
        map that it is measured from: one for all, or one for each running element in order."""
        wide = reach(self.confidence, self.elements.count * len(self.scores))
        for name, scalar in self.ranking.scalars.items():
            others = references.get(name, ())
            for number, element in enumerate(self.running.tolist()):
                other = others[number if len(others) > 1 else 0] if others else None
                if self._read.get((name, element)) != (maps[element], other):
                    # A settled map is the same object as before, and keeps its score.
                    self.scores[name][element] = score(scalar, maps[element], self.columns(element), wide, other)
                    self._read[name, element] = (maps[element], other)

    def give_up(self) -> None:
        """Remove the elements that cannot be in the answer from `running`."""
        kept = possible(self.ranking, self._scored(lambda score: (score.low, score.high)))
        self.running = self.running[kept]

    def answer(self) -> list[int]:
        """The elements of the answer, in its order, if the maps' values are taken as exact."""
        exactly = self._scored(lambda score: (score.value, score.value))
        return [int(self.running[number]) for number in ranked(self.ranking, exactly)]

    def about(self, element: int) -> dict[str, tuple[float, float]]:
        """An element's index and all numbers that the ranking reads of it, each with its standard error."""
        known = {name: (float(each.low[element]), 0.0) for name, each in self.elements.numbers.items()}
        read = {"index"} | {name for name, (value, _) in known.items() if not math.isnan(value)} & self.ranking.columns
        return {name: known[name] for name in known if name in read} | {
            name: each[element][:2] for name, each in self.scores.items()
        }

    def _scored(self, interval: Callable[[Score], tuple[float, float]]) -> Elements:
        intervals = {
            name: Interval(*np.array([interval(each[element]) for element in self.running.tolist()]).reshape(-1, 2).T)
            for name, each in self.scores.items()
        }
        return self.elements.taken(self.running).joined(intervals)
