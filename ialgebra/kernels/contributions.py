"""Shapley values of a function that costs little to evaluate, from the contributions of all players at many coalitions.

In: a number of players and of pairs; then what each player contributes at each pair. Out: Shapley values, and the
square of their error. Knows nothing of models, or of the designs of queries.

A Shapley value is the mean over sizes s of the mean of v(S ∪ i) − v(S) over coalitions S of s other players (Eq. 2).
A pair {S, N∖S} tells of s = |S ∖ i| and of d − 1 − s. The pairs are balanced, so that errors fall faster than those of
independent ones: how far the values of the first half of the pairs are from those of all says what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..system.arrays import Bools, Floats, Ints
from . import pairs

_SEED = 20269  # of the pairs: an answer depends on no generator
_KEPT = 4  # samples in the cache


@dataclass(frozen=True, eq=False)
class Sample:
    """Coalitions as `signs` ±1 (pairs, d), one of each pair, ∅ the first; and the `weights` (pairs, d) by which
    contributions add up to Shapley values, of all pairs and of the first `half` of them."""

    signs: Floats
    weights: Floats
    half: Floats

    def values(self, contributions: Floats, gain: float) -> tuple[Floats, float]:
        """Shapley values (d,) of `contributions` (pairs, d), with the sum `gain`; and their squared error."""
        whole, before = ((each * contributions).sum(axis=0) for each in (self.weights, self.half))
        whole, before = (each + (gain - each.sum()) / len(each) for each in (whole, before))
        return whole, float(np.square(whole - before).sum())


@lru_cache(maxsize=_KEPT)
def sample(players: int, count: int) -> Sample:
    """A sample of `count` pairs beside {∅, N}, or of all pairs if these are fewer. Half of it tells of every player and
    size if there are many more pairs than players."""
    coalitions, found = pairs.draw(players, 2 + 2 * count, _SEED, independent=False)
    first, _ = pairs.draw(players, 2 + 2 * (count // 2), _SEED, independent=False)
    member = coalitions[::2]
    half = (member[:, None] == first[::2]).all(axis=2).any(axis=1)
    others = np.append(0, found.size)[:, None] - member
    sizes = np.minimum(others, players - 1 - others)  # pairs of one size and player tell of the same two sizes
    signs = 2 * member.astype(np.float64) - 1
    return Sample(signs, _weights(sizes, np.ones_like(half)), _weights(sizes, half))


def _weights(sizes: Ints, held: Bools) -> Floats:
    """The weights of the pairs that are `held` (pairs,), which tell of these `sizes` (pairs, d) of coalitions; 0 of the
    others. Those of one player and size share the size's weight."""
    players = sizes.shape[1]
    cells = sizes * players + np.arange(players)
    counts = np.bincount(cells.ravel(), np.repeat(held, players))
    share = np.where(2 * sizes == players - 1, 1, 2) / players
    return np.where(held[:, None], share / np.maximum(counts, 1)[cells], 0.0)
