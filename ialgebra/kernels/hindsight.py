"""Errors as they are stated: what a fit says of itself, what its own history says of it, and what no pair has shown.

In: a design of pairs, and columns of its values. Out: Shapley values, and what each pair adds to their stated errors.
Knows designs and the ladder: no model, name, budget or plan.

Leave-one-out errors say how far a fit may be off, if its pairs are like those that are not in the design. Two things
they cannot say.

Whether the fit has chosen well. So the first half of the pairs is fitted too. Where a fit's errors are what it states,
E ‖φ̂ − φ̂_half‖² is the difference of their stated squares (Hausman, 1978). The square is multiplied by the ratio of
what is found to what was stated, with a prior that was measured.

And what lies in coalitions that no pair has met. So each pair is in doubt by a share of its own value as well. The
share is such that all pairs together are in doubt by as much as a part of one more pair would add, the largest that
was met. The part is larger for more coalitions unseen, and for a heavier tail of the values met (Hill, 1975).
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import numpy as np

from ..system.arrays import Floats, Ints
from ..system.threads import blas_on_one_thread, in_parts, threads
from .coalitions import Design, Pairs
from .estimators.estimate import ErrorSums, Estimate, Weighted
from .ladder import Ladder, Readings, factorised

_PRIOR, _PRIOR_FREEDOM = 0.75, 6.0  # true squared error / stated, if nothing is known; and how much that counts
_LEAST_MOVE = 0.3  # share of the half's squared error that it is expected to move by, at least
_MOST_RATIO = 4.0  # of what the half has moved to what was expected: more says no more
_LEAST_PAIRS = 1.5  # pairs a player that the half needs

# Pairs as large as the largest met that are taken to be unmet: for each time that all pairs must be halved to get as
# few as were met; if nothing at all is left over, so that nothing shows what they may be; and by a tail, of what it may
# hold beyond the largest met.
_UNMET, _UNMET_BY_LINEAR, _TAIL = 0.009, 1.2, 0.75
_MOST_HALVINGS = 50  # that count; what happens beyond was not measured
_FEWEST_IN_TAIL = 10  # values, or a tenth of all, from which the tail is estimated
_HEAVIEST = 0.9  # the largest tail index: from 1 on, the mean of what is unmet would be infinite
_NOTHING_LEFT = 1e-12  # squared error / squared values below which nothing is left over
_STACKS_TOGETHER = 4  # stacks of processes whose columns are read together, in one thread
_CHECKED = 1024  # pairs after which a game of which nothing is left over is taken to have no other


class Half(NamedTuple):
    """The first half of a design's pairs of each size, and the rows of the design that it holds."""

    design: Design
    rows: Ints


def stated(design: Design, columns: Floats) -> list[Estimate]:
    """Shapley values of each column (columns, rows), and what each pair adds to their errors.

    Columns are read in stacks, which share the processor's cores. A column's answer depends on no other column.
    """
    half = _half(design)
    with blas_on_one_thread():
        whole = factorised(design)
        earlier = None if half is None else (factorised(half.design, whole.many), half.rows)
    together = max(1, min(_STACKS_TOGETHER * whole.stack, -(-len(columns) // threads())))
    stacks = [columns[first : first + together] for first in range(0, len(columns), together)]
    return [each for found in in_parts(partial(_stated, whole, earlier), stacks) for each in found]


def quick(design: Design, columns: Floats) -> list[Estimate]:
    """An estimate of each column of `columns` (rows, k) by the free features alone, in a hundredth of the time. Errors
    are those of the fit, as if nothing were known of earlier ones; inf where the pairs are too few to tell them."""
    with blas_on_one_thread():
        return _stated(factorised(design), None, np.ascontiguousarray(columns.T), quick=True)


def _stated(
    whole: Ladder, earlier: tuple[Ladder, Ints] | None, columns: Floats, *, quick: bool = False
) -> list[Estimate]:
    """The fits of one stack of columns, by the ladder of all the pairs and, if there are enough, by that of half."""
    largest = np.abs(columns).max(axis=1, keepdims=True)
    scale = np.where(largest == 0, 1.0, largest)
    columns = columns / scale
    fits, before = whole.fit(columns, quick=quick, units=scale), None
    if earlier is not None:
        half, rows = earlier
        before = half.fit(columns[:, rows])
    values = fits.values * scale
    if fits.reading is None or fits.errors is None or fits.targets is None:
        unknown = np.full((len(columns), 1, whole.players), np.inf)
        return list(map(Estimate, values, unknown, fits.rungs))
    covariance, square, _ = _squares(fits)
    ratio = _ratio(fits, square, before)
    doubt = _doubt(fits, square, whole.root_weight)
    weights = np.stack([fits.errors * np.sqrt(ratio)[:, None], fits.targets * doubt[:, None]], axis=1)
    doubted = fits.reading * weights[:, 1, :, None]
    sets = np.stack([covariance * ratio[:, None, None], doubted.swapaxes(-1, -2) @ doubted], axis=1)
    variances = np.diagonal(sets, axis1=-2, axis2=-1)
    stderr = np.sqrt(variances.sum(axis=1)) * scale
    entries = sets.reshape(len(columns), 2, -1)
    sums = map(ErrorSums, scale[:, 0].tolist(), variances.sum(axis=-1), entries @ entries.swapaxes(-1, -2))
    found = map(Weighted, fits.reading, weights * scale[..., None], stderr, sums)
    return list(map(Estimate.weighted, values, fits.rungs, found))


def _half(design: Design) -> Half | None:
    """The first half of a design; None if it would have too few pairs."""
    assert design.pairs is not None
    size = design.pairs.size
    order = np.argsort(size, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order)) - np.searchsorted(size[order], size[order])
    count = np.bincount(size)
    kept = rank < ((count + 1) // 2)[size]
    if kept.sum() < _LEAST_PAIRS * design.players:
        return None
    rows = np.flatnonzero(np.concatenate([[True, True], np.repeat(kept, 2)]))
    rate = design.pairs.rate * ((count + 1) // 2 / np.maximum(count, 1))[size]
    method, players, _, seed = design.key
    key = (method, players, len(rows), seed)
    return Half(Design(method, players, seed, design.coalitions[rows], key, pairs=Pairs(size[kept], rate[kept])), rows)


def _ratio(whole: Readings, square: Floats, half: Readings | None) -> Floats:
    """(columns,) true squared error / stated squared error, as the move from the half's values to the whole's tells it.
    `square` is what the whole states."""
    if half is None or half.widening is None or whole.widening is None:
        return np.full(len(square), _PRIOR)
    _, before, freedom = _squares(half)
    told = before > _NOTHING_LEFT * np.square(half.values).sum(axis=1)
    before = before * (whole.widening / half.widening) ** 2  # few pairs widen the half's more, which is not judged here
    expected = np.where(told, np.maximum(before - square, _LEAST_MOVE * before), 1.0)
    moved = np.square(whole.values - half.values).sum(axis=1)
    found = freedom * np.minimum(moved / expected, _MOST_RATIO)
    return np.where(told, (_PRIOR_FREEDOM * _PRIOR + found) / (_PRIOR_FREEDOM + freedom), _PRIOR)


def _squares(fits: Readings) -> tuple[Floats, Floats, Floats]:
    """The stated covariance of each fit (columns, d, d); its trace, the squared error (columns,); and the degrees of
    freedom of that (Satterthwaite, 1946)."""
    if fits.reading is None or fits.errors is None:
        count, d = fits.values.shape
        return np.zeros((count, d, d)), np.zeros(count), np.zeros(count)
    influence = fits.reading * fits.errors[..., None]
    covariance = influence.swapaxes(-1, -2) @ influence
    square, whole = np.trace(covariance, axis1=1, axis2=2), np.square(covariance).sum(axis=(1, 2))
    known = np.square(square) > 0
    return covariance, square, np.where(known, np.square(square) / np.where(known, whole, 1.0), 0.0)


def _doubt(fits: Readings, square: Floats, weight: Floats) -> Floats:
    """(columns,) the share of each pair's own value by which it is in doubt. `square` are the stated squared errors."""
    assert fits.reading is not None
    assert fits.targets is not None
    pairs, players = fits.reading.shape[1:]
    own = np.square(fits.reading).sum(axis=2) * np.square(fits.targets)
    whole = own.sum(axis=1)
    nothing_left = ~(square > _NOTHING_LEFT * np.square(fits.values).sum(axis=1))
    index = np.minimum(_tail(np.abs(fits.targets / weight)), _HEAVIEST)
    halvings = min(max(0.0, players - 1 - math.log2(pairs)), _MOST_HALVINGS)
    unmet = _UNMET * halvings + _TAIL * index**3 / (1 - index)
    unmet = np.where(nothing_left, np.maximum(unmet, _UNMET_BY_LINEAR), unmet)
    none = (whole == 0) | (nothing_left & (pairs >= _CHECKED))
    return np.where(none, 0.0, unmet * np.sqrt(own.max(axis=1) / np.where(whole == 0, 1.0, whole)))


def _tail(sizes: Floats) -> Floats:
    """(columns,) Hill's index of the tail of the positive values among `sizes` (columns, n): 0 where it ends at once,
    1 where its mean is infinite."""
    ordered = np.sort(sizes, axis=1)[:, ::-1]
    positive = (ordered > 0).sum(axis=1)
    count = np.minimum(np.maximum(_FEWEST_IN_TAIL, positive // 10), positive - 1)
    enough = count > 2
    last = np.take_along_axis(ordered, np.where(enough, count, 0)[:, None], axis=1)
    within = enough[:, None] & (np.arange(ordered.shape[1]) < count[:, None])
    logs = np.log(np.divide(ordered, last, out=np.ones(ordered.shape), where=within))
    return np.asarray(logs.sum(axis=1) / np.where(enough, count, 1))
