"""How wrong a map may be: errors of games that share coalitions, and bounds that hold with a confidence.

In: for each sampled game of a map its influences: what each unit of its design contributes to the errors of the map's
values. Out: the sums of influences, each game's share of the squared error, relative bounds. Games whose designs draw
from one sequence share coalitions, so their influences are added before they are squared. It knows numbers and designs;
it may not know outcomes, the catalog or models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ..kernels.coalitions import Design, units
from ..kernels.estimators.estimate import ErrorSums
from ..planner.games import Game
from ..system.arrays import Floats


@dataclass(frozen=True, eq=False)
class Draw:
    """What one game of a map adds to its errors: `influence` (units, cells), a row for each unit of its design.

    They may be `given` as a function, which is called when they are needed. `stderr` (cells,) and `sums` are what they
    amount to, where that is known without them.
    """

    game: Game
    design: Design
    given: Floats | Callable[[], Floats]
    stderr: Floats | None = None
    sums: ErrorSums | None = None

    @cached_property
    def influence(self) -> Floats:
        """(units, cells) the influences."""
        return self.given() if callable(self.given) else self.given


def doubted(draw: Draw, times: float) -> Draw:
    """A draw of which the second set of influences of its pairs, what no pair has met, counts so many `times`."""
    pairs = draw.design.pairs
    if pairs is None or len(draw.influence) != 2 * len(pairs.size):
        return draw
    kinds = np.repeat([1.0, times], len(pairs.size))
    return replace(draw, given=draw.influence * kinds[:, None], stderr=None, sums=None)


def pooled(draws: Sequence[Draw], cells: int, *, apart: bool = False) -> Floats | None:
    """The influences (n, cells) of all games, added for games that share coalitions; None if one is unknown.

    With `apart`, games over different hybrids count as sharing no coalitions.
    """
    if not all(np.isfinite(draw.influence).all() for draw in draws):
        return None
    return np.concatenate([np.zeros((0, cells)), *(_added(group)[0] for group in _groups(draws, apart))])


def shares(draws: Sequence[Draw], influence: Floats | None, *, apart: bool = False) -> list[tuple[Draw, float]]:
    """The part of the squared error, Σ stderr², that each game causes: its variance and half of its covariances.

    A part is negative if it cancels errors of other games. `influence` is the result of `pooled` for the whole map; if
    it is None, the errors are unknown and each game's part is 1.
    """
    if influence is None:
        return [(draw, 1.0) for draw in draws]
    scale = _largest(influence)
    parts = [
        (draw, float((draw.influence / scale * (total[units_of_game] / scale)).sum()))
        for group in _groups(draws, apart)
        for total, units_of_games in (_added(group),)
        for draw, units_of_game in zip(group, units_of_games, strict=True)
    ]
    whole = sum(part for _, part in parts) or 1.0
    return [(draw, part / whole) for draw, part in parts]


def relative_bound(values: Floats, influence: Floats | None, confidence: float) -> float:
    """An upper bound of ‖φ̂ − φ‖₂ / ‖φ‖₂ with this confidence: 0 if the map is exact, inf if the error is unknown.

    `values` (d,) are the estimates φ̂, `influence` (n, d) the parts of their errors. ‖φ̂ − φ‖² is modelled as a sum of
    weighted χ²₁ variables. One scaled χ² variable with the same mean and variance replaces the sum (Satterthwaite,
    1946); its quantile is that of Wilson and Hilferty (1931). ‖φ‖² is estimated by ‖φ̂‖² minus the mean of
    ‖φ̂ − φ‖², without bias, and taken to be at least (Σφ)² / d, which is known.
    """
    if influence is None:
        return math.inf
    scale = _largest(influence)
    influence = influence / scale
    wide = len(influence) < len(values)
    gram = influence @ influence.T if wide else influence.T @ influence
    mean = float(np.trace(gram))
    if mean == 0.0:
        return 0.0
    return _bound(values / scale, mean, float(np.square(gram).sum()), confidence)


def bound_by_sums(values: Floats, sums: ErrorSums, confidence: float, doubt: float = 1.0) -> float:
    """`relative_bound` of influences of which the sums are known; those of the sets after the first count `doubt`
    times. It is the same up to rounding."""
    times = np.full(len(sums.traces), doubt**2)
    times[:1] = 1.0
    largest = float(sums.traces.max(initial=0.0))
    if largest == 0.0:
        return 0.0
    mean, square = float(times @ sums.traces) / largest, float(times @ sums.products @ times) / largest / largest
    return _bound(values / (sums.unit * math.sqrt(largest)), mean, square, confidence)


def _bound(values: Floats, mean: float, square: float, confidence: float) -> float:
    """`relative_bound` of an error whose covariance has the trace `mean` and `square`, the sum of its squares."""
    spread = 2.0 / 9.0 * square / mean**2
    quantile = max(0.0, 1.0 - spread + _normal(confidence) * math.sqrt(spread)) ** 3
    with np.errstate(over="ignore", invalid="ignore"):  # values may be infinitely larger than errors
        size = max(float(values @ values) - mean, float(values.sum() ** 2) / len(values))
    return math.sqrt(mean * quantile / size) if size > 0.0 else math.inf


_normal = lru_cache(maxsize=64)(NormalDist().inv_cdf)


def simultaneous(confidence: float, count: int) -> float:
    """The confidence that each of `count` bounds needs, so that all hold at once with `confidence` (Bonferroni)."""
    return 1 - (1 - confidence) / count


def reach(confidence: float, count: int) -> float:
    """Half the width, in standard errors, of each of `count` two-sided intervals that all hold at once with
    `confidence`."""
    return NormalDist().inv_cdf(1 - (1 - confidence) / (2 * max(1, count)))


def _largest(influence: Floats) -> float:
    """The largest influence. Influences are divided by it before they are squared, because squares of huge or tiny
    values overflow or vanish."""
    return float(np.abs(influence).max(initial=0.0)) or 1.0


def _groups(draws: Iterable[Draw], apart: bool) -> Iterable[list[Draw]]:
    """Groups of games that draw from one sequence of coalitions; with `apart`, only games over the same hybrids."""
    groups: dict[object, list[Draw]] = {}
    for draw in draws:
        method, players, _, seed = draw.design.key
        groups.setdefault((method, players, seed, apart and draw.game.hybrids.key), []).append(draw)
    return groups.values()


def _units(draw: Draw) -> NDArray[np.void]:
    """A key for each row of a game's influence. What reads a design of pairs may give several rows to each: one set of
    pairs after another, of different kinds."""
    marks = units(draw.design)
    sets = 1 if draw.design.pairs is None else len(draw.influence) // max(1, len(marks))
    kinds = np.arange(max(1, sets), dtype=np.uint8)
    bytes_of = marks.view(np.uint8).reshape(len(marks), marks.dtype.itemsize)
    keys = np.column_stack([np.repeat(kinds, len(marks)), np.tile(bytes_of, (len(kinds), 1))])
    return np.ascontiguousarray(keys).view(f"V{keys.shape[1]}").ravel()


def _added(draws: Sequence[Draw]) -> tuple[Floats, list[NDArray[np.int64]]]:
    """The influences of games added unit by unit, (units, cells), and for each game the rows of its own units."""
    counts = [len(draw.influence) for draw in draws]
    if len({draw.design.key for draw in draws}) == len(set(counts)) == 1:
        every = np.arange(counts[0])
        return np.sum([draw.influence for draw in draws], axis=0), [every] * len(draws)
    known = [_units(draw) for draw in draws]
    if counts != [len(each) for each in known]:
        # An interpreter defines its own units here, so it is unknown which games share units. The errors of n games may
        # all have the same sign. Then the square of their sum is n times the sum of their squares: assume this worst
        # case.
        root = math.sqrt(len(draws))
        every = np.arange(sum(counts))
        return root * np.concatenate([draw.influence for draw in draws]), np.split(every, np.cumsum(counts)[:-1])
    _, position = np.unique(np.concatenate(known), return_inverse=True)
    total = np.zeros((int(position.max()) + 1, draws[0].influence.shape[1]))
    positions = np.split(position.ravel(), np.cumsum(counts)[:-1])
    for draw, here in zip(draws, positions, strict=True):
        total[here] += draw.influence
    return total, positions
