"""How wrong a map may be: errors of games that share coalitions, and bounds that hold with a confidence.

In: for each sampled game of a map its influences, which are what each unit of its design contributes to the errors of
the map's values. Out: influences added up, each game's share of the squared error, relative bounds. Games whose designs
draw from one sequence share coalitions, so their influences are added before they are squared. It may know numbers and
designs, and no outcome, no catalog and no model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels.coalitions import Design, units
from ..planner.games import Game
from ..system.arrays import Floats


class Draw(NamedTuple):
    """What one game of a map adds to its errors: `influence` (units, cells), a row for each unit of its design."""

    game: Game
    design: Design
    influence: Floats


def pooled(draws: Sequence[Draw], cells: int, *, apart: bool = False) -> Floats | None:
    """The influences (n, cells) of all games, added up where games share coalitions; None where one is unknown.

    With `apart` games over different hybrids are taken to share none.
    """
    if not all(np.isfinite(draw.influence).all() for draw in draws):
        return None
    return np.concatenate([np.zeros((0, cells)), *(_added(group)[0] for group in _groups(draws, apart))])


def shares(draws: Sequence[Draw], influence: Floats | None, *, apart: bool = False) -> list[tuple[Draw, float]]:
    """What part of the squared error, Σ stderr², each game brings: its own and half its covariances with others.

    A part is negative where it cancels those of others. `influence` is that of the whole map, as `pooled` tells it;
    where it is None, the errors are unknown and each game's part is 1.
    """
    if influence is None:
        return [(draw, 1.0) for draw in draws]
    scale = _largest(influence)
    found = [
        (draw, float((draw.influence / scale * (total[place] / scale)).sum()))
        for group in _groups(draws, apart)
        for total, places in (_added(group),)
        for draw, place in zip(group, places, strict=True)
    ]
    whole = sum(part for _, part in found) or 1.0
    return [(draw, part / whole) for draw, part in found]


def relative_bound(values: Floats, influence: Floats | None, confidence: float) -> float:
    """What ‖φ̂ − φ‖₂ / ‖φ‖₂ stays below with this confidence: 0 where exact, inf where it cannot be known.

    `values` (d,) are the estimates φ̂, `influence` (n, d) their errors' parts. ‖φ̂ − φ‖² is taken for a sum of weighted
    χ²₁, matched in mean and variance by one scaled χ² (Satterthwaite, 1946), whose quantile is Wilson and Hilferty's
    (1931); ‖φ‖² for ‖φ̂‖² less the mean of that, which is unbiased, and is at least (Σφ)² / d, which is known.
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
    freedom = mean**2 / float(np.square(gram).sum())
    spread = 2.0 / (9.0 * freedom)
    quantile = max(0.0, 1.0 - spread + NormalDist().inv_cdf(confidence) * math.sqrt(spread)) ** 3
    with np.errstate(over="ignore", invalid="ignore"):  # beside values that are infinitely larger, errors are nothing
        scaled = values / scale
        size = max(float(scaled @ scaled) - mean, float(scaled.sum() ** 2) / len(scaled))
    return math.sqrt(mean * quantile / size) if size > 0.0 else math.inf


def simultaneous(confidence: float, count: int) -> float:
    """The confidence that each of `count` bounds needs, so that all hold at once with `confidence` (Bonferroni)."""
    return 1 - (1 - confidence) / count


def reach(confidence: float, count: int) -> float:
    """How many standard errors each of `count` two-sided intervals reaches, so that all hold at once with
    `confidence`."""
    return NormalDist().inv_cdf(1 - (1 - confidence) / (2 * max(1, count)))


def _largest(influence: Floats) -> float:
    """The unit in which influences are squared: squares of huge or tiny values would not be numbers."""
    return float(np.abs(influence).max(initial=0.0)) or 1.0


def _groups(draws: Iterable[Draw], apart: bool) -> Iterable[list[Draw]]:
    """The games that draw from one sequence of coalitions."""
    groups: dict[object, list[Draw]] = {}
    for draw in draws:
        method, players, _, seed = draw.design.key
        groups.setdefault((method, players, seed, apart and draw.game.hybrids.key), []).append(draw)
    return groups.values()


def _added(draws: Sequence[Draw]) -> tuple[Floats, list[NDArray[np.int64]]]:
    """Influences that are added unit by unit, (units, cells), and where the units of each game are among them."""
    counts = [len(draw.influence) for draw in draws]
    if len({draw.design.key for draw in draws}) == len(set(counts)) == 1:
        every = np.arange(counts[0])
        return np.sum([draw.influence for draw in draws], axis=0), [every] * len(draws)
    known = [units(draw.design) for draw in draws]
    if counts != [len(each) for each in known]:
        # The units are an interpreter's own, which no design knows. Errors of n games may all go the same way, and then
        # the square of their sum is n times the sum of their squares; so much is assumed.
        root = math.sqrt(len(draws))
        every = np.arange(sum(counts))
        return root * np.concatenate([draw.influence for draw in draws]), np.split(every, np.cumsum(counts)[:-1])
    _, position = np.unique(np.concatenate(known), return_inverse=True)
    total = np.zeros((int(position.max()) + 1, draws[0].influence.shape[1]))
    positions = np.split(position.ravel(), np.cumsum(counts)[:-1])
    for draw, here in zip(draws, positions, strict=True):
        total[here] += draw.influence
    return total, positions
