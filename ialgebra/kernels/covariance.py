"""Gaussian-process priors on the odd part of a game: what one coalition's value tells about another's.

In: coalitions as signs ±1, some of them "centres". Out: `Prior`s: covariances, and the Shapley values of the covariance
functions, in closed form. Knows neither weights nor what coalitions are worth.

A game drawn from a process with covariance k is a weighted sum of functions k(T, ·), T a centre (Rasmussen & Williams,
2006), so its Shapley values are the sum of their Shapley values with the same weights. All functions here are odd,
f(N∖S) = −f(S), and vanish at N: the gain v(N) − v(∅) is fitted elsewhere.

A prior may be a stack of several priors, over leading axes. Each is, bit for bit, the same as it would be alone.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..system.arrays import Floats, Ints

REACH = 7.0
"""Coalitions that differ in about this many players tell little about each other."""

_NODES = 32  # Gauss–Legendre nodes: exact up to 64 players, close beyond, where the integrands are smooth
_WAVES = 9  # Gauss–Hermite nodes, each a wave; together they approximate a Gaussian


class Prior(NamedTuple):
    """`covariance` (…, pairs, centres); `effects` (…, centres, d), Shapley values of the centres' functions."""

    covariance: Floats
    effects: Floats


def mixture(centres: Ints, *terms: tuple[float, Prior]) -> Prior:
    """The sum of independent priors, each scaled to a mean variance of its weight at the centres."""
    total: Prior | None = None
    for weight, each in terms:
        # Copied in memory order: a sum adds its terms in that order, which may differ in a stack.
        variance = np.ascontiguousarray(each.covariance[..., centres, np.arange(len(centres))]).mean(axis=-1)
        scale = (weight / np.where(variance == 0, 1.0, variance))[..., None, None]
        scaled = Prior(scale * each.covariance, scale * each.effects)
        total = scaled if total is None else Prior(*(_added(*both) for both in zip(total, scaled, strict=True)))
    assert total is not None, "a mixture has terms"
    return total


def _added(one: Floats, other: Floats) -> Floats:
    """The sum of two arrays; it is written over the `other`, if that has its shape."""
    if one.ndim > other.ndim:
        return one + other
    other += one
    return other


def relevant(values: Floats) -> Floats:
    """Rates r (…, d) by which players who differ part coalitions, from their Shapley `values` (…, d): those who matter
    part them more. Their mean is near `REACH` / d."""
    relevance: Floats = (np.abs(values) / np.abs(values).mean(axis=-1, keepdims=True)) ** 0.7
    rates: Floats = REACH / values.shape[-1] * relevance
    return rates


def distance(signs: Floats, centres: Ints, rates: Floats | None, index: Floats, width: float) -> Prior:
    """k(S, T) = exp(−Σ rates over S △ T − (u_S − u_T)² / width), made odd; u = Σ index over the members.

    A weighted Hamming distance: players of a large rate change what the others do. The Gaussian is a Gauss–Hermite
    sum of waves E cos ω(u_S − u_T), so that k is a sum of products over players, and the Shapley values of products are
    Owen's integrals (1972) of the multilinear extension, ∫ ∂_i f(q, …, q) dq, by Gauss–Legendre. Of an infinite width
    the index does not matter; `rates` None are 0 for all. Of rates and indices (…, d) the priors are a stack.
    """
    d = signs.shape[1]
    every, whole = np.concatenate([signs, np.ones((1, d))]), np.ones((1, d))
    some, here = np.concatenate([signs[centres], whole]), np.r_[centres, len(signs)]
    frequency, share = _waves(width)
    even: Floats | None = None
    odd: Floats | None = None
    if frequency.any():
        waves = (np.sqrt(share) * wave for wave in _cosine_and_sine(every @ (index / 2)[..., None] * frequency))
        even, odd = (wave @ np.take(wave, here, axis=-2).swapaxes(-1, -2) for wave in waves)
    covariance = odd if rates is None else _near(every, some, rates, even, odd)
    if covariance is None:
        raise ValueError("without rates a finite width is needed")
    effects = _owen(some, rates, index, frequency, share)
    # f − f(N) t for every f: the values at both ends are known, so a prior must not change the line between them.
    t = every.mean(axis=1)
    tilt, theirs = t[:-1, None], t[here[:-1], None]
    own, ends = covariance[..., -1:, :-1], covariance[..., -1:, -1:]
    rest = covariance[..., :-1, -1:] - ends * tilt
    left, right = np.empty((*rest.shape[:-1], 2)), np.empty((*own.shape[:-2], 2, own.shape[-1]))
    left[..., :1], left[..., 1:] = tilt, rest
    right[..., :1, :], right[..., 1:, :] = own, theirs.T
    lines = left @ right
    return Prior(
        np.subtract(covariance[..., :-1, :-1], lines, out=lines),
        effects[..., :-1, :] - own.swapaxes(-1, -2) * 2 / d - theirs * (effects[..., -1:, :] - ends * 2 / d),
    )


def _near(every: Floats, some: Floats, rates: Floats, even: Floats | None, odd: Floats | None) -> Floats:
    """exp(−Σ rates over S △ T) times an even and an odd function (…, every, some) of u_S − u_T, made odd. They are
    overwritten; None are 1 and 0."""
    alike = (every * (rates[..., None, :] / 2)) @ some.T
    most = rates.sum(axis=-1)[..., None, None] / 2
    near: Floats = alike - most
    far = np.negative(alike, out=alike)
    far -= most
    np.exp(near, out=near)
    np.exp(far, out=far)
    if even is not None and odd is not None:
        near *= even + odd
        far *= np.subtract(even, odd, out=even)
    near -= far
    near /= 2
    return near


@lru_cache(maxsize=8)
def _waves(width: float) -> tuple[Floats, Floats]:
    """Frequencies and shares of the waves that sum up to exp(−u² / width); of each pair −ω and ω, only one is kept."""
    if math.isinf(width):
        return np.zeros(1), np.ones(1)
    nodes, weights = np.polynomial.hermite_e.hermegauss(_WAVES)
    kept = nodes > -1e-9
    frequency, share = nodes[kept] * (2 / width) ** 0.5, weights[kept] / weights.sum()
    return frequency, np.where(frequency > 1e-9, 2, 1) * share


_legendre = lru_cache(maxsize=_NODES)(np.polynomial.legendre.leggauss)


def _cosine_and_sine(angle: Floats) -> tuple[Floats, Floats]:
    """Both from the tangent of half the angle, for which NumPy has vector instructions."""
    tangent = np.tan(angle / 2)
    square = np.square(tangent)
    scale = 1 / (1 + square)
    np.subtract(1, square, out=square)
    square *= scale
    tangent *= 2 * scale
    return square, tangent


def _owen(some: Floats, rates: Floats | None, index: Floats, frequency: Floats, share: Floats) -> Floats:
    """(…, centres, d) Shapley values of T ↦ k(S, T) for each centre S."""
    nodes, weights = _legendre(min(some.shape[1] // 2 + 1, _NODES))
    q = (nodes + 1)[:, None, None] / 2
    # Complex numbers as two arrays, for which NumPy has vector instructions.
    # A member's factor where it is absent: a + b i, (…, 1, waves, d).
    a, b = _cosine_and_sine(frequency[:, None] * -index[..., None, None, :])
    if rates is not None:
        near = np.exp(-rates)[..., None, None, :]
        a, b = near * a, near * b
    # A member's factor at each node, q + (1 − q) (a + b i): (…, nodes, waves, d). Those of others are its conjugates at
    # the node 1 − q, as nodes are symmetric about ½.
    real, imaginary = q + (1 - q) * a, (1 - q) * b
    square = np.square(real) + np.square(imaginary)
    # a member's derivative by its factor, (1 − a − b i) / (real + imaginary i)
    joining = ((1 - a) * real - b * imaginary) / square, -((1 - a) * imaginary + b * real) / square
    flat = (*square.shape[:-3], -1, some.shape[1])  # of nodes and waves together
    members = (some > 0).astype(np.float64)

    def of_others(of_members: Floats) -> Floats:
        return np.flip(of_members, axis=-3)

    def over_players(of_members: Floats, of_others: Floats) -> Floats:
        """(…, centres, nodes · waves) sums."""
        sums: Floats = members @ (of_members - of_others).reshape(flat).swapaxes(-1, -2)
        sums += of_others.reshape(flat).sum(axis=-1)[..., None, :]
        return sums

    # Products over players as size and angle: complex exponentials take three times as long.
    size, angle = np.log(square) / 2, np.arctan2(imaginary, real)
    sizes = over_players(size, of_others(size))
    np.exp(sizes, out=sizes)
    sizes *= np.outer(weights / 2, share).ravel()
    cosine, sine = _cosine_and_sine(over_players(angle, -of_others(angle)))
    cosine *= sizes
    sine *= sizes
    for_members, for_others = joining, (-of_others(joining[0]), of_others(joining[1]))
    effects: Floats = np.where(
        some > 0, *(cosine @ x.reshape(flat) - sine @ y.reshape(flat) for x, y in (for_members, for_others))
    )
    return effects


def slopes(signs: Floats, centres: Ints, power: int) -> Prior:
    """The prior of Σ_i c_i z_i t^power, with independent c_i, without the part that all players share."""
    d = signs.shape[1]
    z = signs / 2
    t = z.sum(axis=1, keepdims=True) * 2 / d
    odd = (z - z.mean(axis=1, keepdims=True)) * t**power
    tilts = (np.arange(d + 1) - d / 2) / (d / 2)
    here, after, place = tilts[:-1] ** power, tilts[1:] ** power, np.arange(d) / (d - 1) - 0.5
    excess = float(((here + after) / 2 - place * (after - here)).mean())
    return Prior(odd @ odd[centres].T, odd[centres] * excess)


def sizes(signs: Floats, centres: Ints) -> Prior:
    """The prior of an independent step at every coalition size; it does not depend on which players are members."""
    d = signs.shape[1]
    size = signs.sum(axis=1)
    uneven = np.where((size == 0) | (np.abs(size) == d), np.nan, size)  # NaN equals nothing: halves and ends stay at 0
    covariance = (uneven[:, None] == size[centres]) * 1.0 - (uneven[:, None] == -size[centres])
    return Prior(covariance, np.zeros((covariance.shape[1], d)))


def pairs(signs: Floats, centres: Ints) -> Prior:
    """The prior of Σ c_ij (z_i z_j t − t / 4), with an independent c_ij for each pair: joint effects of two players."""
    d = signs.shape[1]
    z = signs / 2
    total = z.sum(axis=1)
    t = total * 2 / d
    own = (np.square(total) - d / 4) / 2  # Σ z_i z_j over pairs
    both = (np.square(z @ z[centres].T) - d / 16) / 2
    inner = both - (own[:, None] + own[centres]) / 4 + d * (d - 1) / 32
    # On joining a of d − 1, any other player adds E[z_i z_j] (t(a + 1) − t(a)); i and j share the rest of Δ = 1/2.
    a = np.arange(d)
    other = float((0.25 - a * (d - 1 - a) / max((d - 1) * (d - 2), 1)).mean()) * 2 / d
    theirs, rest = (0.5 - (d - 2) * other) / 2 - 0.5 / d, other - 0.5 / d
    joint = (z * (total[:, None] - z) - (d - 1) / 4)[centres]  # Σ over the pairs of one player
    every = (own - d * (d - 1) / 8)[centres, None]
    effects = t[centres, None] * (rest * every + (theirs - rest) * joint)
    return Prior(np.outer(t, t[centres]) * inner, effects)
