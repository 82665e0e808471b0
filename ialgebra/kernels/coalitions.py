"""Coalition designs: which rows of a game to evaluate.

In: a number of players, a budget of rows and a seed. Out: distinct coalitions, ∅ and N first, and how an estimator
reads them (chains of permutations, or pairs and their sampling rates). Knows nothing of models, values, names or plans.

A design depends on (method, players, rows, seed) alone, so that equal queries meet equal coalitions. Sampled designs
are closed under complement, S with N∖S, because a Shapley value sees v(S) − v(N∖S) only.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ialgebra.errors import BindError, BudgetError, did_you_mean

from ..system.arrays import Bools, Floats, Ints

METHODS = ("exact", "permutations", "regression", "unbiased")
MAX_EXACT_PLAYERS = 20  # 2^20 rows: 20 MiB of masks and 8 MiB a column; one more player doubles both

_SMALL_GAME = 1024  # rows up to which nobody wants an approximation
_WIDE_GAME = 1024  # players above which a regression takes minutes, and is only run where it is asked for by name
_MOST_ROWS = 1 << 20  # of a design, which is what exact values of the most players take
_MOST_MASKS = 1 << 28  # bytes of coalitions that a design may take: one a player and row
_CANDIDATES = 32  # coalitions that are compared for each pair that is drawn
_MOST_BALANCED = 2048  # pairs up to which designs are balanced: a tenth of a millisecond each
_MOST_PRODUCTS = 1 << 20  # multiplications that a pair may cost
_KEPT = 64  # sequences of pairs that are kept
_SHORT = 1 << 17  # bytes of each
_FEW_PAIRS = 32  # that are drawn at least: they take a millisecond
_TINY_GAME = 3  # players up to which a budget for every row is exact whatever the method: sampling would repeat rows


@dataclass(frozen=True, eq=False)
class Chains:
    """Paths from ∅ to N; chain 2p + 1 is chain 2p walked backwards, through the complements.

    `rows` (chains, blocks + 1) numbers the coalitions along each path; `block` (chains, players) says in which step of
    the path a player joins, `size` (chains, blocks) how many join in that step: one, unless rows were too few.
    """

    rows: Ints
    block: Ints
    size: Ints


@dataclass(frozen=True, eq=False)
class Pairs:
    """Rows 2 + 2p and 3 + 2p are pair p: S, not larger than its complement, and N∖S.

    `size` (pairs,) is |S|; `rate` (pairs,) in (0, 1] is the share of all the pairs of that size that the design holds.
    """

    size: Ints
    rate: Floats


@dataclass(frozen=True, eq=False)
class Design:
    """Coalitions to evaluate: `coalitions` (m, players) bool, distinct, row 0 is ∅, row 1 is N (no players: one row).

    Equal `key`s mean equal designs, hence errors of estimates that may be added influence by influence.
    """

    method: str
    players: int
    seed: int
    coalitions: Bools
    key: tuple[str, int, int, int]
    chains: Chains | None = field(default=None, repr=False)
    pairs: Pairs | None = field(default=None, repr=False)


def choose(players: int, budget: int | None, method: str | None = None, literal: bool = False) -> tuple[str, int]:
    """The method, and the number of rows with ∅ and N, that a game of `players` gets for `budget` rows.

    A named `method` is obeyed. `literal` asks for the means of v(S ∪ i) and of v(S) apart: not by regression.
    Permutations that meet a coalition twice need fewer rows than said. Raises BindError for an unknown method and
    BudgetError where the budget cannot pay (exact needs 2^players rows, every design needs ∅ and N) or memory cannot.
    """
    _known(method or METHODS[0])
    if literal and method in ("regression", "unbiased"):
        raise BudgetError(f"{method} cannot give the literal contrast's two parts; use exact or permutations")
    if budget is not None and budget < 2:
        raise BudgetError(f"a budget of {budget} rows is too small; ∅ and N alone need 2")
    everything = 1 << players
    if players <= 1:
        return "exact", everything
    if method == "exact":
        if players > MAX_EXACT_PLAYERS:
            raise BudgetError(
                f"exact values of {players} players need 2^{players} rows; the most is {MAX_EXACT_PLAYERS} players"
            )
        if budget is not None and budget < everything:
            raise BudgetError(f"exact values of {players} players need {everything} rows; the budget is {budget}")
        return "exact", everything
    if budget is None:
        small = method is None and everything <= _SMALL_GAME
        budget = everything if small else max(min(32 * players, 2048), 8 * players)
    rows = min(budget, everything)
    most = min(_MOST_ROWS, _MOST_MASKS // players)
    if rows > most:
        raise BudgetError(
            f"{rows:,} rows are too many for {players:,} players, for which a design holds at most {most:,}; "
            "use fewer players or a smaller budget"
        )
    if rows == everything and (players <= _TINY_GAME or (method is None and players <= MAX_EXACT_PLAYERS)):
        return "exact", everything
    few = rows < 4 * players or players > _WIDE_GAME
    if method == "permutations" or (method is None and (literal or few)):
        return "permutations", _chain_rows(players, *_affordable_chains(players, rows))
    least = 2 + 2 * _least_pairs(players)
    if method == "unbiased" and rows < least:
        raise BudgetError(f"unbiased values of {players} players need {least} rows at least; the budget is {budget}")
    return method or "regression", 2 + 2 * ((rows - 2) // 2)


def design(method: str, players: int, rows: int, seed: int) -> Design:
    """The design of at most `rows` rows, as `choose` counts them: a function of its four arguments alone.

    Raises BindError for an unknown method, BudgetError for too few rows.
    """
    _known(method)
    if method == "exact" or players <= 1:
        if players > MAX_EXACT_PLAYERS or rows < 1 << players:
            raise BudgetError(f"exact values of {players} players need 2^{players} rows, not {rows}")
        return Design("exact", players, seed, _every_coalition(players), ("exact", players, 1 << players, 0))
    if rows < 2:
        raise BudgetError(f"a budget of {rows} rows is too small; ∅ and N alone need 2")
    chains, pairs = None, None
    if method == "permutations":
        coalitions, chains = _permutations(players, rows, seed)
    else:
        coalitions, pairs = _pairs(players, rows, seed, method == "unbiased")
    return Design(method, players, seed, coalitions, (method, players, len(coalitions), seed), chains, pairs)


def units(design: Design) -> NDArray[np.void]:
    """What tells the independent units of a design apart, (units,) bytes: its pairs, or its antithetic pairs of chains.

    Designs of one method, number of players and seed that differ in rows have some units in common.
    """
    chains = design.chains
    marks = np.packbits(design.coalitions[2::2], axis=1) if chains is None else np.ascontiguousarray(chains.block[::2])
    return marks.view(f"V{marks.shape[1] * marks.itemsize}").ravel()


def _known(method: str) -> None:
    if method not in METHODS:
        raise BindError(f"no method '{method}'{did_you_mean(method, METHODS)}")


# ── exact ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _every_coalition(players: int) -> Bools:
    """∅, N, then the integers between them in ascending order, bit i for player i."""
    last = (1 << players) - 1
    codes = np.concatenate([np.unique([0, last]), np.arange(1, last)])
    masks: Bools = (codes[:, None] >> np.arange(players)) & 1 == 1
    return masks


# ── antithetic permutations ────────────────────────────────────────────────────────────────────────────────────────


def _chain_rows(players: int, pairs: int, blocks: int) -> int:
    """Rows of `pairs` antithetic chains of `blocks` steps, at most.

    Whole chains share singletons and their complements: each pair has two ends, and a new end costs two rows, once.
    """
    if blocks < players:
        return 2 + 2 * (blocks - 1) * pairs
    return 2 + 2 * min(2 * pairs, players) + 2 * (players - 3) * pairs


def _affordable_chains(players: int, rows: int) -> tuple[int, int]:
    """(antithetic pairs, blocks of each): whole chains, or a single pair as fine as the rows allow."""
    if rows < 2 * players:
        return 1, rows // 2
    pairs = (rows - 2) // (2 * (players - 1))
    while players > _TINY_GAME and _chain_rows(players, pairs + 1, players) <= rows:
        pairs += 1
    return pairs, players


def _permutations(players: int, rows: int, seed: int) -> tuple[Bools, Chains]:
    """Orders of the players and their reverses; consecutive orders begin and end with players not yet used so."""
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
    # A chain walked backwards has its blocks in reverse, so that its coalitions are the complements.
    until = np.tile(np.stack([bounds, players - bounds[::-1]]), (pairs, 1))
    visited = np.argsort(orders, axis=1)[:, None, :] < until[:, :, None]
    ends_of_all = np.stack([np.zeros(players, dtype=bool), np.ones(players, dtype=bool)])
    masks = np.concatenate([ends_of_all, visited.reshape(-1, players)])
    kept, row_of = _distinct(masks)
    chains = Chains(row_of[2:].reshape(until.shape), (~visited).sum(axis=1) - 1, np.diff(until, axis=1))
    return masks[kept], chains


def _distinct(masks: Bools) -> tuple[Ints, Ints]:
    """(rows that are the first of their kind, in order; for every row the place of its kind among them)."""
    packed = np.ascontiguousarray(np.packbits(masks, axis=1))
    _, first, kind = np.unique(packed.view(f"V{packed.shape[1]}").ravel(), return_index=True, return_inverse=True)
    order = np.argsort(first)
    return first[order], np.argsort(order)[kind.ravel()]


# ── pairs, stratified by size ──────────────────────────────────────────────────────────────────────────────────────


def _pairs(players: int, rows: int, seed: int, unbiased: bool) -> tuple[Bools, Pairs]:
    """Pairs of every size, each size sampled without replacement; of one seed, more rows contain fewer.

    For `unbiased` estimates each pair is drawn without regard to others, and every size at least twice.
    """
    wanted = max(_least_pairs(players) if unbiased else 0, (rows - 2) // 2)
    enough = max(_FEW_PAIRS, 1 << (wanted - 1).bit_length())
    turns, drawn = (
        _in_turn(players, enough, seed, unbiased)
        if players * enough <= _SHORT
        else _in_turn.__wrapped__(players, wanted, seed, unbiased)
    )
    turns, drawn = turns[:wanted], drawn[:wanted]
    order = np.argsort(turns, kind="stable")
    smaller = np.concatenate([np.zeros((1, players), dtype=bool), drawn[order]])
    coalitions = np.stack([smaller, ~smaller], axis=1).reshape(-1, players)
    rates = [count / _pairs_of(players, size) for size, count in enumerate(np.bincount(turns).tolist()) if size]
    return coalitions, Pairs(turns[order], np.array([0.0, *rates])[turns[order]])


@lru_cache(maxsize=_KEPT)
def _in_turn(players: int, pairs: int, seed: int, unbiased: bool) -> tuple[Ints, Bools]:
    """The size of each pair in turn, and the pairs' smaller coalitions (pairs, players).

    The first are those of a design of fewer, so that one sequence serves the rounds of a query, and the next query.
    """
    available = [_pairs_of(players, size) for size in range(1, players // 2 + 1)]
    turns = _turns(players, available, pairs, least=2 if unbiased else 0)
    place = np.arange(len(turns))
    most = np.where(place < (0 if unbiased else _MOST_BALANCED), _CANDIDATES, 1)
    looks = np.clip(_MOST_PRODUCTS // (players * (place + 1)), 1, most)
    enough = np.bincount(turns, weights=looks, minlength=len(available) + 1)[1:]
    orders = [
        _coalitions_of(players, size, min(int(count), every), np.random.default_rng([seed, players, size]))
        for size, (count, every) in enumerate(zip(enough, available, strict=True), start=1)
    ]
    return turns, _balanced(turns, looks, orders)


def _balanced(turns: Ints, looks: Ints, orders: list[Bools]) -> Bools:
    """(pairs, players): at each turn, of a size's next few coalitions, the one least like those taken so far.

    Least Σ (x·y)^8 over the pairs y taken, both as signs ±1. Σ (x·y)^4 over a whole design is how far it lets joint
    effects of three players pass for effects of one; higher powers look at joint effects of more. The rule treats all
    players alike, so every coalition of a size remains as likely as any other. Coalitions passed over wait at the end
    of their order.
    """
    queues = [deque(range(len(order))) for order in orders]
    most, players = int((looks > 1).sum()), orders[0].shape[1]
    signs = [(2 * order.astype(np.float32) - 1) / np.float32(math.sqrt(players)) for order in orders]
    taken = np.empty((players, most), dtype=np.float32)
    picked = np.empty((len(turns), players), dtype=bool)
    for turn, (size, look) in enumerate(zip((turns - 1).tolist(), looks.tolist(), strict=True)):
        queue = queues[size]
        some = [queue.popleft() for _ in range(min(look, len(queue)))]
        if turn < most:
            alike = signs[size][some] @ taken[:, :turn]
            alike *= alike
            alike *= alike
            some.insert(0, some.pop(int(np.einsum("cp,cp->c", alike, alike).argmin())))
            taken[:, turn] = signs[size][some[0]]
        picked[turn] = orders[size][some[0]]
        queue.extend(some[1:])
    return picked


def _pairs_of(players: int, size: int) -> int:
    """How many pairs {S, N∖S} have |S| = size ≤ players / 2."""
    every = math.comb(players, size)
    return every // 2 if 2 * size == players else every


def _least_pairs(players: int) -> int:
    """Of an unbiased design: two of every size, where there are two."""
    return sum(min(2, _pairs_of(players, size)) for size in range(1, players // 2 + 1))


def _turns(players: int, available: list[int], pairs: int, least: int) -> Ints:
    """The size s = 1, 2, … of each pair in turn, in proportion to (s (d − s))^−½ and half of that for halves.

    Between leverage scores, equal for all sizes (Musco & Witter, ICLR 2025), and the Shapley kernel (Lundberg & Lee,
    NeurIPS 2017). Handed out one at a time to the size furthest behind its share (Sainte-Laguë): more pairs only add.
    Before that, every size gets its `least`.
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
    """The first `count` coalitions of a random order of those of `size`; of halves, only those with player 0.

    The first half of the order is drawn until distinct, so that a few of very many cost little; the rest is shuffled.
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
        rest = rng.spawn(1)[0]  # whose order does not depend on how many were drawn before
        masks = only_distinct(np.concatenate([masks, rest.permutation(_of_members(members, players))]))
    return masks[:count]


def _of_members(members: Ints, players: int) -> Bools:
    """(n, players) masks of coalitions that are given by their members (n, size)."""
    masks = np.zeros((len(members), players), dtype=bool)
    np.put_along_axis(masks, members, True, axis=1)
    return masks


def only_distinct(masks: Bools) -> Bools:
    """The rows of `masks` (n, players) that are the first of their kind, in order."""
    return masks[_distinct(masks)[0]]
