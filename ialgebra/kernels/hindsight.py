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
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..system.arrays import Floats, Ints
from .coalitions import Design, Pairs
from .ladder import Fit, Reading, factorised

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
_CHECKED = 1024  # pairs after which a game of which nothing is left over is taken to have no other


class Half(NamedTuple):
    """The first half of a design's pairs of each size, and the rows of the design that it holds."""

    design: Design
    rows: Ints


def stated(design: Design, columns: Floats) -> list[Fit]:
    """Shapley values of each column (columns, rows), and what each pair adds to their errors."""
    largest = np.abs(columns).max(axis=1, keepdims=True)
    scale = np.where(largest == 0, 1.0, largest)
    columns = columns / scale
    whole = factorised(design)
    fits, half = whole.fit(columns), _half(design)
    if half is None:
        return [
            _stated(fit, None, whole.root_weight, unit) for fit, unit in zip(fits, scale[:, 0].tolist(), strict=True)
        ]
    earlier = factorised(half.design, whole.many).fit(columns[:, half.rows])
    together = zip(fits, earlier, scale[:, 0].tolist(), strict=True)
    return [_stated(fit, before, whole.root_weight, unit) for fit, before, unit in together]


@lru_cache(maxsize=6)
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


def _stated(whole: Reading, half: Reading | None, weight: Floats, scale: float) -> Fit:
    """The fit of one column, from its readings by all the pairs (of root weights `weight`) and by half of them."""
    if whole.reading is None or whole.errors is None or whole.targets is None:
        return Fit(whole.values * scale, np.full((1, len(whole.values)), np.inf), whole.rung)
    ratio = _PRIOR if half is None else _ratio(whole, half)
    each = np.concatenate([whole.errors * math.sqrt(ratio), whole.targets * _doubt(whole, weight)]) * scale
    return Fit(whole.values * scale, np.tile(whole.reading, (2, 1)) * each[:, None], whole.rung)


def _ratio(whole: Reading, half: Reading) -> float:
    """True squared error / stated squared error, as the move from the half's values to the whole's tells it."""
    before, freedom = _square(half)
    if not before > _NOTHING_LEFT * float(np.square(half.values).sum()):
        return _PRIOR
    before *= (whole.widening / half.widening) ** 2  # few pairs widen the half's more, and that is not what is judged
    expected = max(before - _square(whole)[0], _LEAST_MOVE * before)
    moved = float(np.square(whole.values - half.values).sum())
    found = freedom * min(moved / expected, _MOST_RATIO)
    return (_PRIOR_FREEDOM * _PRIOR + found) / (_PRIOR_FREEDOM + freedom)


def _square(fit: Reading) -> tuple[float, float]:
    """The stated squared error of a fit, Σ over players; and its degrees of freedom (Satterthwaite, 1946)."""
    if fit.reading is None or fit.errors is None:
        return 0.0, 0.0
    influence = fit.reading * fit.errors[:, None]
    gram = influence.T @ influence
    square = float(np.trace(gram))
    return square, square**2 / float(np.square(gram).sum()) if square**2 > 0 else 0.0


def _doubt(fit: Reading, weight: Floats) -> float:
    """The share of each pair's own value by which it is in doubt."""
    assert fit.reading is not None
    assert fit.targets is not None
    own = np.square(fit.reading).sum(axis=1) * np.square(fit.targets)
    whole = float(own.sum())
    nothing_left = not _square(fit)[0] > _NOTHING_LEFT * float(np.square(fit.values).sum())
    if whole == 0 or (nothing_left and len(own) >= _CHECKED):
        return 0.0
    index = min(_tail(np.abs(fit.targets / weight)), _HEAVIEST)
    halvings = min(max(0.0, len(fit.values) - 1 - math.log2(len(own))), _MOST_HALVINGS)
    unmet = _UNMET * halvings + _TAIL * index**3 / (1 - index)
    return (max(unmet, _UNMET_BY_LINEAR) if nothing_left else unmet) * math.sqrt(float(own.max()) / whole)


def _tail(sizes: Floats) -> float:
    """Hill's index of the tail of positive values: 0 where it ends at once, 1 where its mean is infinite."""
    ordered = np.sort(sizes[sizes > 0])[::-1]
    count = min(max(_FEWEST_IN_TAIL, len(ordered) // 10), len(ordered) - 1)
    return float(np.log(ordered[:count] / ordered[count]).mean()) if count > 2 else 0.0
