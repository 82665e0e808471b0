"""Pairs {S, N∖S}, stratified by size, each size sampled without replacement.

In: a number of players, a number of rows and a seed. Out: the coalitions of a design, and which of them form a pair.
For one seed, a larger design contains a smaller one. Knows nothing of values, models, names or plans.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from functools import lru_cache

import numpy as np

from ..system.arrays import Bools, Ints
from .coalitions import Pairs, only_distinct

_CANDIDATES = 32  # coalitions that are compared to choose one pair of a balanced design
_MOST_BALANCED = 2048  # the first pairs of a design, which are balanced; each takes 0.1 ms
_MOST_PRODUCTS = 1 << 20  # multiplications to choose one pair; fewer candidates are compared beyond it
_KEPT_SEQUENCES = 64  # sequences of pairs in the cache
_LARGEST_KEPT = 1 << 17  # bytes of the largest sequence in the cache
_FEW_PAIRS = 32  # pairs that a sequence has at least; they take a millisecond


def draw(players: int, rows: int, seed: int, independent: bool) -> tuple[Bools, Pairs]:
    """Pairs of every size, each size sampled without replacement; for one seed, a larger design contains a smaller one.

    If `independent`, each pair is drawn without comparing it to others, and every size is drawn at least twice.
    """
    wanted = max(least(players) if independent else 0, (rows - 2) // 2)
    enough = max(_FEW_PAIRS, 1 << (wanted - 1).bit_length())
    turns, drawn = (
        _in_turn(players, enough, seed, independent)
        if players * enough <= _LARGEST_KEPT
        else _in_turn.__wrapped__(players, wanted, seed, independent)
    )
    turns, drawn = turns[:wanted], drawn[:wanted]
    order = np.argsort(turns, kind="stable")
    smaller = np.concatenate([np.zeros((1, players), dtype=bool), drawn[order]])
    coalitions = np.stack([smaller, ~smaller], axis=1).reshape(-1, players)
    rates = [count / _pairs_of(players, size) for size, count in enumerate(np.bincount(turns).tolist()) if size]
    return coalitions, Pairs(turns[order], np.array([0.0, *rates])[turns[order]])


@lru_cache(maxsize=_KEPT_SEQUENCES)
def _in_turn(players: int, pairs: int, seed: int, independent: bool) -> tuple[Ints, Bools]:
    """The size of each pair in turn, and the pairs' smaller coalitions (pairs, players).

    A longer sequence begins with the shorter one, so one sequence serves all rounds of a query, and later queries.
    """
    available = [_pairs_of(players, size) for size in range(1, players // 2 + 1)]
    turns = _turns(players, available, pairs, least=2 if independent else 0)
    place = np.arange(len(turns))
    most = np.where(place < (0 if independent else _MOST_BALANCED), _CANDIDATES, 1)
    looks = np.clip(_MOST_PRODUCTS // (players * (place + 1)), 1, most)
    enough = np.bincount(turns, weights=looks, minlength=len(available) + 1)[1:]
    orders = [
        _coalitions_of(players, size, min(int(count), every), np.random.default_rng([seed, players, size]))
        for size, (count, every) in enumerate(zip(enough, available, strict=True), start=1)
    ]
    return turns, _balanced(turns, looks, orders)


def _balanced(turns: Ints, looks: Ints, orders: list[Bools]) -> Bools:
    """(pairs, players): at each turn, the least similar to the coalitions taken so far, among the next few of the size.

    The least similar x has the smallest Σ (x·y)^8 over the pairs y taken, both as signs ±1. Σ (x·y)^4 over a whole
    design measures how much joint effects of three players are mistaken for effects of single players; higher powers
    measure the same for more players. The rule treats all players alike, so all coalitions of a size remain equally
    likely. Candidates that are not taken go to the end of the queue of their size.

    The terms are rounded to whole numbers whose sums are below 2^53, so that a sum is exact in any order: processors
    add in different orders, and a design must not depend on the processor.
    """
    queues = [deque(range(len(order))) for order in orders]
    most, players = int((looks > 1).sum()), orders[0].shape[1]
    signs = [2 * order.astype(np.float32) - 1 for order in orders]
    unit = 2.0**52 / _MOST_BALANCED / 2.0 ** (8 * math.ceil(math.log2(players)))  # a power of two
    taken = np.empty((players, most), dtype=np.float32)
    picked = np.empty((len(turns), players), dtype=bool)
    for turn, (size, look) in enumerate(zip((turns - 1).tolist(), looks.tolist(), strict=True)):
        queue = queues[size]
        some = [queue.popleft() for _ in range(min(look, len(queue)))]
        if turn < most:
            alike = (signs[size][some] @ taken[:, :turn]).astype(np.float64)
            for _ in range(3):
                alike *= alike
            alike *= unit
            some.insert(0, some.pop(int(np.rint(alike, out=alike).sum(axis=1).argmin())))
            taken[:, turn] = signs[size][some[0]]
        picked[turn] = orders[size][some[0]]
        queue.extend(some[1:])
    return picked


def _pairs_of(players: int, size: int) -> int:
    """How many pairs {S, N∖S} have |S| = size ≤ players / 2."""
    every = math.comb(players, size)
    return every // 2 if 2 * size == players else every


def least(players: int) -> int:
    """The fewest pairs of an unbiased design: two of every size, or one where the size has only one."""
    return sum(min(2, _pairs_of(players, size)) for size in range(1, players // 2 + 1))


def _turns(players: int, available: list[int], pairs: int, least: int) -> Ints:
    """The size s = 1, 2, … of each pair in turn, in proportion to (s (d − s))^−½, and half of that for s = d / 2.

    These shares are between leverage scores, which are equal for all sizes (Musco & Witter, ICLR 2025), and the Shapley
    kernel (Lundberg & Lee, NeurIPS 2017). First every size gets its `least`. Then each pair goes to the size that is
    furthest behind its share (Sainte-Laguë), so a longer sequence begins with the shorter one.
    """
    counts = [min(least, every) for every in available]
    turns = [h + 1 for h, count in enumerate(counts) for _ in range(count)]
    share = [(0.5 if 2 * s == players else 1) / math.sqrt(s * (players - s)) for s in range(1, len(available) + 1)]
    queue = [((counts[h] + 0.5) / share[h], h) for h in range(len(available)) if counts[h] < available[h]]
    heapq.heapify(queue)
    for _ in range(min(pairs, sum(available)) - len(turns)):
        h = heapq.heappop(queue)[1]
        turns.append(h + 1)
        counts[h] += 1
        if counts[h] < available[h]:
            heapq.heappush(queue, ((counts[h] + 0.5) / share[h], h))
    return np.array(turns, dtype=np.int64)


def _coalitions_of(players: int, size: int, count: int, rng: np.random.Generator) -> Bools:
    """The first `count` coalitions of `size` in a random order; for size = players / 2, only those with player 0.

    The first half of the order is drawn until the coalitions are distinct, so that a few among very many cost little.
    The rest is listed and shuffled.
    """
    every = _pairs_of(players, size)
    masks = np.empty((0, players), dtype=bool)
    while len(masks) < min(count, every // 2):
        drawn = _of_members(rng.random((count, players)).argsort(axis=1)[:, :size], players)
        if 2 * size == players:
            drawn ^= ~drawn[:, :1]
        masks = only_distinct(np.concatenate([masks, drawn]))
    masks = masks[: every // 2]
    if len(masks) < count:
        members = np.array(list(itertools.combinations(range(players), size)))[:every]
        rest = rng.spawn(1)[0]  # its own generator: the order does not depend on how many were drawn before
        masks = only_distinct(np.concatenate([masks, rest.permutation(_of_members(members, players))]))
    return masks[:count]


def _of_members(members: Ints, players: int) -> Bools:
    """(n, players) masks of coalitions that are given by their members (n, size)."""
    masks = np.zeros((len(members), players), dtype=bool)
    np.put_along_axis(masks, members, True, axis=1)
    return masks
