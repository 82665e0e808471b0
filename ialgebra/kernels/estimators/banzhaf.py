"""Banzhaf values: coalitions drawn uniformly in pairs, and the best linear fit to their values.

In: a number of players, rows and a seed, then values of a design's coalitions, one column a scalar. Out: a `Design`,
and an `Estimate` for each column. Knows nothing of models, names, budgets or plans.

The Banzhaf value is the mean marginal contribution over all coalitions alike, β_i = 2 E[s_i v(S)] with s_i = 1 for
members and −1 for others, S uniform. Only the odd part of v counts, g(S) = (v(S) − v(N∖S)) / 2, so coalitions are drawn
in pairs {S, N∖S}, without replacement. ½ β are the coefficients of the least-squares fit of g by the s_i (Hammer &
Holzman, 1992); fitted to a sample of pairs, their error comes only from the part of g that is not linear. The error of
the plain mean of 2 s_i g (maximum sample reuse; Wang & Jia, AISTATS 2023) also comes from the effects of the other
players. The mean is used if there are too few pairs to fit, or if its error is smaller.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ...system.arrays import Bools, Floats
from ..coalitions import MAX_EXACT_PLAYERS, Design, only_distinct
from ..ladder import student
from .estimate import Estimate, Part
from .estimator import RATE_OF_MEANS, Estimator, seconds_of_means
from .exact import EXACT

_WIDE_GAME = 2048  # players above which a fit takes minutes
_SPARE_PAIRS = 8  # a fit needs one pair for each player, and this many more


def _suits(players: int, rows: int, halves: bool) -> bool:
    """Every game for which the rows are too few to evaluate all coalitions."""
    return True


def _rows(players: int, most: int) -> int:
    return 2 + 2 * ((most - 2) // 2)


def _draw(players: int, rows: int, seed: int) -> Design:
    """∅, N and (rows − 2) / 2 other pairs; a larger design contains a smaller one."""
    pairs = (rows - 2) // 2
    rng = np.random.default_rng([seed, players])
    smaller = _of_codes(players, pairs, rng) if players <= MAX_EXACT_PLAYERS else _endless(players, pairs, rng)
    smaller = np.concatenate([np.zeros((1, players), dtype=bool), smaller])
    coalitions = np.stack([smaller, ~smaller], axis=1).reshape(-1, players)
    return Design("uniform", players, seed, coalitions, ("uniform", players, len(coalitions), seed))


def _of_codes(players: int, pairs: int, rng: np.random.Generator) -> Bools:
    """The first `pairs` pairs in a random order of all, each as its coalition without the last player."""
    every = (1 << (players - 1)) - 1  # without the pair of ∅ and N
    codes = 1 + rng.permutation(every)[:pairs]
    masks: Bools = (codes[:, None] >> np.arange(players)) & 1 == 1
    return masks


def _endless(players: int, pairs: int, rng: np.random.Generator) -> Bools:
    """The first `pairs` distinct coalitions of an endless sequence of draws."""
    masks = np.zeros((1, players), dtype=bool)  # begins with ∅, so that it is not drawn again
    while len(masks) <= pairs:
        more = rng.random((pairs + 1 - len(masks), players)) < 0.5
        masks = only_distinct(np.concatenate([masks, more ^ more[:, -1:]]))
    return masks[1:]


def _read_all(design: Design, values: Floats, part: Part) -> list[Estimate]:
    return [_exact(design, np.ascontiguousarray(column)) for column in values.T]


def _read(design: Design, values: Floats, part: Part) -> list[Estimate]:
    """An Estimate for each column of `values` (m, k), in the unit of the values; unknown errors are +inf."""
    return [_sampled(design, np.ascontiguousarray(column)) for column in values.T]


def _exact(design: Design, column: Floats) -> Estimate:
    d = design.players
    signs = np.where(design.coalitions, 1.0, -1.0)
    return Estimate(2.0 * (column @ signs) / len(column), np.zeros((0, d)), "exact")


class _OddFit(NamedTuple):
    """The matrices of least squares over a design's pairs: signs (pairs, d), ∅ first, then each pair; their weights;
    the inverse (d, d) of their weighted squares; and the leverage of each pair (pairs,)."""

    signs: Floats
    weight: Floats
    inverse: Floats
    leverage: Floats


def _weights(players: int, drawn: int) -> tuple[Floats, float]:
    """The weight of each pair, with a sum of 1, the pair of ∅ first; and the finite-population factor of a variance."""
    unseen = 2.0 ** min(players - 1, 1023) - 1.0  # the pairs that were drawn from
    weight = np.full(drawn + 1, unseen / (unseen + 1.0) / max(drawn, 1))
    weight[0] = 1.0 / (unseen + 1.0)
    return weight, max(0.0, 1.0 - drawn / unseen)


@lru_cache(maxsize=2)
def _fit(design: Design) -> _OddFit | None:
    """The matrices of the fit, cached while the games of one query that share the design are read. None if there are
    too few pairs to separate all players."""
    d = design.players
    signs = np.where(design.coalitions[::2], 1.0, -1.0)
    if d > _WIDE_GAME or len(signs) < d + _SPARE_PAIRS:
        return None
    weight, _ = _weights(d, len(signs) - 1)
    gram = (signs * weight[:, None]).T @ signs
    if np.linalg.cond(gram) > 1e8:
        return None
    inverse = np.linalg.inv(gram).astype(np.float64)
    leverage = weight * np.einsum("pi,ij,pj->p", signs, inverse, signs, optimize=True)
    return _OddFit(signs, weight, inverse, leverage)


def _sampled(design: Design, column: Floats) -> Estimate:
    """The estimate of the fit or of the mean, whichever has the smaller estimated error."""
    scale = np.abs(column).max() or 1.0  # squares of huge or tiny values would not be numbers
    odd = (column[::2] - column[1::2]) / (2.0 * scale)
    found = [_mean(design, odd)]
    if (fit := _fit(design)) is not None:
        found.append(_fitted(fit, odd))
    best = min(found, key=lambda each: float(np.square(each.influence).sum()))
    return Estimate(best.values * scale, best.influence * scale, best.rung)


def _mean(design: Design, odd: Floats) -> Estimate:
    """2 E[s_i g]; the pair of ∅ and N has its own weight and adds no error."""
    n, d = len(odd) - 1, design.players
    signs = np.where(design.coalitions[::2], 1.0, -1.0)
    weight, missing = _weights(d, n)
    values = 2.0 * ((weight * odd) @ signs)
    if n < 2:
        return Estimate(values, np.full((1, d), np.inf), "mean")
    parts = 2.0 * signs[1:] * odd[1:, None]
    spread = (parts - parts.mean(axis=0)) / math.sqrt(n * (n - 1))
    return Estimate(values, spread * (math.sqrt(missing) * (1.0 - weight[0]) * student(n - 1)), "mean")


def _fitted(fit: _OddFit, odd: Floats) -> Estimate:
    """Least squares; a pair's influence is its leave-one-out error times its weight in each value (HC3)."""
    n, d = fit.signs.shape
    values = fit.inverse @ (fit.signs.T @ (fit.weight * odd))
    rest = (odd - fit.signs @ values) / np.maximum(1.0 - fit.leverage, 1e-6)
    influence = (fit.weight * rest)[1:, None] * (fit.signs[1:] @ fit.inverse)
    _, missing = _weights(d, n - 1)
    return Estimate(2.0 * values, influence * (2.0 * math.sqrt(missing) * student(n - 1 - d)), "least squares")


EVERY_COALITION = replace(EXACT, read=_read_all, halves=False)
UNIFORM = Estimator(
    name="uniform",
    suits=_suits,
    rows=_rows,
    draw=_draw,
    read=_read,
    seconds=seconds_of_means,
    rate=RATE_OF_MEANS,
)
