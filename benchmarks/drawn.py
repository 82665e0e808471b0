"""Games whose Shapley values are known in closed form, or by enumeration, drawn anew for every seed.

In: a seed. Out: a game of the family: its players, the value of any coalition, its Shapley values. The families
are those on which a stated error is most easily wrong: products, teams of nearly all players, thresholds, spikes,
regions that a sample hardly meets. Knows nothing of ialgebra's estimators, so that its values are its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Values = Callable[[Bools], Floats]


class Drawn(NamedTuple):
    """One game: `values` (m, players) bool → (m,), and its Shapley values (players,)."""

    players: int
    values: Values
    shapley: Floats


Family = Callable[[int], Drawn]


# --- Shapley values


def enumerated(players: int, values: Values) -> Drawn:
    """A game of few players: Eq. 2 over all coalitions."""
    codes = np.arange(1 << players)
    masks: Bools = (codes[:, None] >> np.arange(players)) & 1 == 1
    table, size = np.asarray(values(masks), dtype=np.float64), masks.sum(axis=1)
    weight = np.array([1 / (players * math.comb(players - 1, s)) for s in range(players)])
    present, absent = table * np.append(0.0, weight)[size], table * np.append(weight, 0.0)[size]
    return Drawn(players, values, masks.T @ present - (~masks).T @ absent)


def nodes(players: int) -> tuple[Floats, Floats]:
    """Gauss–Legendre on [0, 1], exact for Owen's integral ∫ ∂_i f(q, …, q) dq of any game of so many players."""
    q, weight = np.polynomial.legendre.leggauss(players // 2 + 1)
    return (q + 1) / 2, weight / 2


def product(factors: Floats) -> Floats:
    """Shapley values of v(S) = Π factors over the members: ∫ (a_i − 1) Π_{j≠i} (q a_j + 1 − q) dq."""
    q, weight = nodes(len(factors))
    each = q[:, None] * factors + 1 - q[:, None]
    return weight @ (each.prod(axis=1, keepdims=True) / each * (factors - 1))


def ridge(weights: NDArray[np.int64], bend: Callable[[Floats], Floats]) -> Floats:
    """Shapley values of v(S) = bend(Σ weights over the members), for whole weights.

    The sum over a random coalition takes whole values, so its distribution is a product of characteristic functions
    e^{iωw}, one factor a player; the player's own factor is left out by prefix and suffix products.
    """
    low, high = int(np.minimum(weights, 0).sum()), int(np.maximum(weights, 0).sum())
    count = 1 << (high - low + 1).bit_length()
    points = np.arange(count)
    bent = bend(np.where(points <= high, points, points - count).astype(np.float64))
    wave = np.fft.rfft(bent).conj() / count
    wave[1:-1] *= 2
    turn = np.exp(-2j * np.pi * np.outer(weights, np.arange(count // 2 + 1)) / count)
    values = np.zeros(len(weights))
    for q, weight in zip(*nodes(len(weights)), strict=True):
        factors = 1 - q + q * turn
        one = np.ones((1, factors.shape[1]))
        before = np.concatenate([one, np.cumprod(factors[:-1], axis=0)])
        after = np.concatenate([np.cumprod(factors[:0:-1], axis=0)[::-1], one])
        values += weight * ((before * after * (turn - 1)) @ wave).real
    return values


def team(players: int, members: NDArray[np.int64]) -> Floats:
    """Shapley values of the game that is worth 1 if all `members` are present."""
    values = np.zeros(players)
    values[members] = 1 / len(members)
    return values


# --- Families


def products(players: int, spread: float, seed: int) -> Drawn:
    weights = spread * np.random.default_rng([seed, players]).normal(size=players)
    return Drawn(players, lambda masks: np.exp(masks @ weights), product(np.exp(weights)))


def nearly_all(players: int, either: bool, seed: int) -> Drawn:
    """A team of all but two players, or if `either` one of whom any will do, and a linear game as large."""
    rng = np.random.default_rng([seed, players, 1])
    members, linear = rng.permutation(players)[2:], rng.normal(size=players) / players

    def values(masks: Bools) -> Floats:
        theirs = masks[:, members]
        found: Floats = (theirs.any(axis=1) if either else theirs.all(axis=1)) + masks @ linear
        return found

    return Drawn(players, values, team(players, members) + linear)


def voting(players: int, seed: int) -> Drawn:
    """Weights from 1 to 20; a majority of the sum decides."""
    weights = np.random.default_rng([seed, players, 2]).integers(1, 21, size=players)
    quota = weights.sum() // 2 + 1
    return Drawn(
        players, lambda masks: (masks @ weights >= quota).astype(float), ridge(weights, lambda x: (x >= quota) * 1.0)
    )


def sigmoids(players: int, steepness: float, seed: int) -> Drawn:
    """σ(steepness · (w·z − half of Σ w)), with weights of mean square 1 / players."""
    rng = np.random.default_rng([seed, players, 3])
    weights = np.rint(16 * rng.normal(size=players)).astype(np.int64)
    scale, shift = steepness / (16 * math.sqrt(players)), weights.sum() / 2 + 8 * rng.normal()

    def bend(x: Floats) -> Floats:
        found: Floats = 0.5 + 0.5 * np.tanh(scale * (x - shift) / 2)
        return found

    return Drawn(players, lambda masks: bend((masks @ weights).astype(np.float64)), ridge(weights, bend))


def best_and_worst(players: int, seed: int) -> Drawn:
    """A sum of largest and of smallest features, over random groups of players."""
    rng = np.random.default_rng([seed, players, 4])
    worth, signs = rng.uniform(0.2, 1, size=(8, players)), rng.normal(size=8)
    groups = [rng.permutation(players)[: rng.integers(2, players + 1)] for _ in range(8)]

    def values(masks: Bools) -> Floats:
        each = [
            sign * ((own * masks)[:, group].max(axis=1) if k % 2 else (own * masks)[:, group].min(axis=1))
            for k, (sign, own, group) in enumerate(zip(signs, worth, groups, strict=True))
        ]
        return np.sum(each, axis=0)

    shapley = np.zeros(players)
    for k, (sign, own, group) in enumerate(zip(signs, worth, groups, strict=True)):
        if k % 2:  # the k-th smallest step is shared by all whose worth is as large
            order = group[np.argsort(own[group])]
            steps = np.diff(own[order], prepend=0) / np.arange(len(order), 0, -1)
            shapley[order] += sign * np.cumsum(steps)
        else:
            shapley[group] += sign * own[group].min() / len(group)
    return Drawn(players, values, shapley)


def spikes(players: int, seed: int) -> Drawn:
    """Spikes where one random quarter is present and another absent, of either sign, and a linear game."""
    rng = np.random.default_rng([seed, players, 5])
    quarter = players // 4
    orders = [rng.permutation(players) for _ in range(4)]
    worth, linear = 4 * rng.normal(size=4), rng.normal(size=players) / players

    def values(masks: Bools) -> Floats:
        met = [masks[:, o[:quarter]].all(axis=1) & ~masks[:, o[quarter : 2 * quarter]].any(axis=1) for o in orders]
        found: Floats = np.stack(met, axis=1) @ worth + masks @ linear
        return found

    shapley = linear.copy()
    own = math.factorial(quarter - 1) * math.factorial(quarter) / math.factorial(2 * quarter)  # ∫ q^(k−1) (1−q)^k dq
    for order, size in zip(orders, worth, strict=True):
        shapley[order[:quarter]] += size * own
        shapley[order[quarter : 2 * quarter]] -= size * own
    return Drawn(players, values, shapley)


def half_spike(players: int, seed: int) -> Drawn:
    """1 where one half is present and the other absent, but for at most one player, and a linear game."""
    rng = np.random.default_rng([seed, players, 11])
    half, linear = np.isin(np.arange(players), rng.permutation(players)[: players // 2]), rng.normal(size=players) / 10
    return enumerated(players, lambda masks: ((masks != half).sum(axis=1) <= 1) * 1.0 + masks @ linear)


def parity(players: int, seed: int) -> Drawn:
    """(−1)^|S ∩ T| of an odd team T, and a linear game."""
    rng = np.random.default_rng([seed, players, 6])
    size = int(rng.choice(np.arange(3, players + 1, 2)))
    members, linear = rng.permutation(players)[:size], rng.normal(size=players) / math.sqrt(players)
    shapley = linear.copy()
    shapley[members] -= 2 / size
    return Drawn(players, lambda masks: 1.0 - 2 * (masks[:, members].sum(axis=1) % 2) + masks @ linear, shapley)


def relu_net(players: int, seed: int) -> Drawn:
    """A hidden layer of sixteen units with whole weights and thresholds of random size."""
    rng = np.random.default_rng([seed, players, 7])
    weights, out = rng.integers(-6, 7, size=(16, players)), rng.normal(size=16)
    shift = weights.sum(axis=1) / 2 + rng.normal(size=16) * 2 * math.sqrt(players)
    shapley = np.zeros(players)
    for unit, share, off in zip(weights, out, shift, strict=True):
        shapley += share * ridge(unit, lambda x, off=off: np.maximum(x - off, 0))  # type: ignore[misc]
    return Drawn(players, lambda masks: np.maximum(masks @ weights.T - shift, 0) @ out, shapley)


def iid(players: int, seed: int) -> Drawn:
    """A table of independent normal values."""
    table = np.random.default_rng([seed, players, 8]).normal(size=1 << players)
    return enumerated(players, lambda masks: table[masks @ (1 << np.arange(players))])


def rare(players: int, share: float, seed: int) -> Drawn:
    """1 on a random `share` of all coalitions, and a small linear game."""
    rng = np.random.default_rng([seed, players, 9])
    region, linear = rng.random(1 << players) < share, rng.normal(size=players) / 40

    return enumerated(players, lambda masks: region[masks @ (1 << np.arange(players))] + masks @ linear)


def rare_block(players: int, inside: int, outside: int, seed: int) -> Drawn:
    """1 where `inside` players are present and `outside` others absent, and a small linear game."""
    rng = np.random.default_rng([seed, players, 10])
    order, linear = rng.permutation(players), rng.normal(size=players) / 40
    present, absent = order[:inside], order[inside : inside + outside]

    def values(masks: Bools) -> Floats:
        found: Floats = masks[:, present].all(axis=1) * (~masks[:, absent]).all(axis=1) + masks @ linear
        return found

    return enumerated(players, values)


FAMILIES: Mapping[str, Family] = {
    **{f"product {d}, σ {s:g}": partial(products, d, s) for d in (12, 20, 30, 40) for s in (0.3, 0.5, 0.6, 1.0)},
    **{f"team of {d - 2} of {d}": partial(nearly_all, d, False) for d in (16, 24, 30, 40)},
    **{f"any of {d - 2} of {d}": partial(nearly_all, d, True) for d in (16, 24, 30, 40)},
    **{f"voting {d}": partial(voting, d) for d in (12, 20, 40)},
    **{f"sigmoid {d}, × {k}": partial(sigmoids, d, k) for d in (12, 24) for k in (8, 30, 100)},
    **{f"max and min {d}": partial(best_and_worst, d) for d in (12, 24)},
    **{f"half spikes {d}": partial(spikes, d) for d in (12, 24)},
    "half spike 14": partial(half_spike, 14),
    **{f"parity {d}": partial(parity, d) for d in (12, 24)},
    **{f"ReLU net {d}": partial(relu_net, d) for d in (12, 24, 40, 60)},
    "iid table 12": partial(iid, 12),
}
"""Families on which a bound of 95 % should hold 95 times in 100."""

RARE: Mapping[str, Family] = {
    **{f"rare region {d}, {share:.2%}": partial(rare, d, share) for d in (12, 14) for share in (0.003, 0.0065, 0.01)},
    **{f"rare block 14, {a} of {a + b}": partial(rare_block, 14, a, b) for a, b in ((3, 4), (2, 5), (4, 4))},
}
"""Regions that a sample may not meet at all."""
