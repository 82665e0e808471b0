"""Shapley values from antithetic permutations: unbiased, and good for few rows or very many players.

In: a number of players, rows and a seed, then values of a design's coalitions. Out: a `Design` of chains, each an order
of the players and its reverse, and an `Estimate` for each column. Knows nothing of models, names, budgets or plans.
"""

from __future__ import annotations

import math

import numpy as np

from ...system.arrays import Bools, Floats
from ..coalitions import Chains, Design, distinct
from ..ladder import student
from .estimate import Estimate, Part
from .estimator import RATE_OF_MEANS, TINY_GAME, Estimator, seconds_of_means

_WIDE_GAME = 1024  # players above which regression takes minutes, and is used only when a query names it
_FEW_ROWS = 4  # rows a player below which permutations are taken: their chains need no fit
_PRIOR_FREEDOM = 4  # degrees of freedom with which the mean variance of all players counts in each player's variance


def _suits(players: int, rows: int, halves: bool) -> bool:
    return halves or rows < _FEW_ROWS * players or players > _WIDE_GAME


def _rows(players: int, most: int) -> int:
    """The rows of the design; chains that visit a coalition twice need fewer than this."""
    return _chain_rows(players, *_affordable_chains(players, most))


def _least_step(players: int) -> int:
    """The rows of one more pair of chains."""
    return 2 * (players - 1)


def _draw(players: int, rows: int, seed: int) -> Design:
    coalitions, chains = _permutations(players, rows, seed)
    return Design("permutations", players, seed, coalitions, ("permutations", players, len(coalitions), seed), chains)


def _chain_rows(players: int, pairs: int, blocks: int) -> int:
    """Rows of `pairs` antithetic chains of `blocks` steps, at most.

    Whole chains share coalitions of one player and their complements: a pair of chains has two ends, and each new end
    adds two rows, once.
    """
    if blocks < players:
        return 2 + 2 * (blocks - 1) * pairs
    return 2 + 2 * min(2 * pairs, players) + 2 * (players - 3) * pairs


def _affordable_chains(players: int, rows: int) -> tuple[int, int]:
    """(antithetic pairs, blocks in each): whole chains, or, if rows are too few, one pair with as many blocks as they
    allow."""
    if rows < 2 * players:
        return 1, rows // 2
    pairs = (rows - 2) // (2 * (players - 1))
    while players > TINY_GAME and _chain_rows(players, pairs + 1, players) <= rows:
        pairs += 1
    return pairs, players


def _permutations(players: int, rows: int, seed: int) -> tuple[Bools, Chains]:
    """Orders of the players and their reverses; orders begin and end with players that no order before began or ended
    with, as long as there are any."""
    pairs, blocks = _affordable_chains(players, rows)
    rng = np.random.default_rng([seed, players])
    orders = np.empty((2 * pairs, players), dtype=np.int64)
    ends: list[int] = []
    for p in range(pairs):
        if len(ends) < 2:
            ends += [int(i) for i in rng.permutation(players) if i not in ends]
        first, last, *ends = ends
        middle = rng.permutation(players)
        orders[2 * p] = [first, *middle[(middle != first) & (middle != last)], last]
        orders[2 * p + 1] = orders[2 * p, ::-1]
    bounds = np.arange(blocks + 1) * players // blocks
    # A chain read backwards has its blocks in reverse order, so its coalitions are the complements.
    until = np.tile(np.stack([bounds, players - bounds[::-1]]), (pairs, 1))
    visited = np.argsort(orders, axis=1)[:, None, :] < until[:, :, None]
    ends_of_all = np.stack([np.zeros(players, dtype=bool), np.ones(players, dtype=bool)])
    masks = np.concatenate([ends_of_all, visited.reshape(-1, players)])
    kept, row_of = distinct(masks)
    chains = Chains(row_of[2:].reshape(until.shape), (~visited).sum(axis=1) - 1, np.diff(until, axis=1))
    return masks[kept], chains


def _read(design: Design, values: Floats, part: Part) -> list[Estimate]:
    if design.chains is None:
        raise TypeError(f"permutations are read by their chains; a design of '{design.method}' has none")
    return [_means(design.chains, np.ascontiguousarray(column), part) for column in values.T]


def _means(chains: Chains, column: Floats, part: Part) -> Estimate:
    """Means over antithetic pairs of chains (Mitchell et al., JMLR 2022); a block's gain is spread evenly over it."""
    scale = np.abs(column).max() or 1.0  # squares of huge or tiny values would not be numbers
    column = column / scale
    low, high = column[chains.rows[:, :-1]], column[chains.rows[:, 1:]]
    # Inside a block, a player's position is uniform, and the values are taken to lie on a line from low to high.
    step = (high - low) / chains.size
    middle, half = (low + high) / 2, step / 2
    level = {"shapley": step, "with": middle + half, "without": middle - half}[part]
    gains = np.take_along_axis(level, chains.block, axis=1)
    pairs = (gains[::2] + gains[1::2]) / 2
    n, d = pairs.shape
    mean = pairs.mean(axis=0) * scale
    if n < 2 or low.shape[1] < d:
        return Estimate(mean, np.full((1, d), np.inf), "permutations")
    # A player that is pivotal in no chain of the sample would have the variance 0. So variances are moderated: the
    # player's own counts n − 1 times, the mean of all players _PRIOR_FREEDOM times (Smyth, 2004).
    error = (pairs - pairs.mean(axis=0)) / math.sqrt(n * (n - 1))
    pooled = np.square(error).mean(axis=1, keepdims=True)
    freedom = n - 1 + _PRIOR_FREEDOM
    moderated = np.sqrt(((n - 1) * np.square(error) + _PRIOR_FREEDOM * pooled) / freedom)
    return Estimate(mean, np.copysign(moderated, error) * (student(freedom) * scale), "permutations")


PERMUTATIONS = Estimator(
    name="permutations",
    suits=_suits,
    rows=_rows,
    draw=_draw,
    read=_read,
    seconds=seconds_of_means,
    rate=RATE_OF_MEANS,
    halves=True,
    least_step=_least_step,
    form="chains",
)
