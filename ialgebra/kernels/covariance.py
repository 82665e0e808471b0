"""Gaussian-process priors on the odd part of a game: what one coalition's value tells about another's.

In: coalitions as signs ±1, some of them "centres". Out: `Prior`s: covariances, and the Shapley values of the functions
that they stand for, in closed form. Knows neither values nor weights.

A game drawn from a process with covariance k is a sum of functions k(T, ·), T a centre (Rasmussen & Williams, 2006), so
its Shapley value is the same sum of theirs. All functions here are odd, f(N∖S) = −f(S), and vanish at N: the gain
v(N) − v(∅) is none of a prior's business.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ialgebra.kernels.coalitions import Floats, Ints

_NODES = 32  # of Gauss and Legendre: exact up to 64 players, and the integrands of more are smooth
_WAVES = 9  # of Gauss and Hermite, that make up a Gaussian


class Prior(NamedTuple):
    """`covariance` (pairs, centres); `effects` (centres, d), Shapley values of the centres' functions."""

    covariance: Floats
    effects: Floats


def mixture(centres: Ints, *terms: tuple[float, Prior]) -> Prior:
    """The sum of independent priors, each scaled to a mean variance of its weight at the centres."""
    scales = [weight / (float(np.diagonal(each.covariance[centres]).mean()) or 1.0) for weight, each in terms]
    covariance = sum((scale * each.covariance for scale, (_, each) in zip(scales, terms, strict=True)), np.zeros(()))
    effects = sum((scale * each.effects for scale, (_, each) in zip(scales, terms, strict=True)), np.zeros(()))
    return Prior(covariance, effects)


def distance(signs: Floats, centres: Ints, rates: Floats, index: Floats, width: float) -> Prior:
    """k(S, T) = exp(−Σ rates over S △ T − (u_S − u_T)² / width), made odd; u = Σ index over the members.

    A weighted Hamming distance: players of a large rate change what the others do. The Gaussian is a Gauss–Hermite
    sum of waves E cos ω(u_S − u_T), so that k is a sum of products over players, and the Shapley values of products are
    Owen's integrals (1972) of the multilinear extension, ∫ ∂_i f(q, …, q) dq, by Gauss–Legendre.
    """
    d = signs.shape[1]
    every, whole = np.concatenate([signs, np.ones((1, d))]), np.ones((1, d))
    some = np.concatenate([signs[centres], whole])
    nodes, weights = np.polynomial.hermite_e.hermegauss(_WAVES)
    waves = [(node * (2 / width) ** 0.5, weight) for node, weight in zip(nodes, weights / weights.sum(), strict=True)]
    # of −ω and ω one is enough
    waves = [(omega, share * (2 if omega > 1e-9 else 1)) for omega, share in waves if omega > -1e-9]
    frequency, share = np.array(waves).T
    near = np.exp((every * rates / 2) @ some.T - rates.sum() / 2)
    far = np.exp(-(every * rates / 2) @ some.T - rates.sum() / 2)
    cosine, sine = (np.sqrt(share) * wave(np.outer(every @ index / 2, frequency)) for wave in (np.cos, np.sin))
    here = np.r_[centres, len(signs)]
    even, odd = cosine @ cosine[here].T, sine @ sine[here].T
    covariance = (near * (even + odd) - far * (even - odd)) / 2
    effects = _owen(some, rates, index, frequency, share)
    # f − f(N) t for every f: the values at both ends are known, so that no prior has a say in the line between them.
    t = every.mean(axis=1)
    end, tilt = covariance[:-1, -1], t[:-1]
    own, theirs = covariance[-1, :-1], t[here[:-1]]
    rest = end - covariance[-1, -1] * tilt
    even = effects[-1] - covariance[-1, -1] * 2 / d
    return Prior(
        covariance[:-1, :-1] - np.outer(tilt, own) - np.outer(rest, theirs),
        effects[:-1] - own[:, None] * 2 / d - np.outer(theirs, even),
    )


def _owen(some: Floats, rates: Floats, index: Floats, frequency: Floats, share: Floats) -> Floats:
    """(centres, d) Shapley values of T ↦ k(S, T) for each centre S."""
    nodes, weights = np.polynomial.legendre.leggauss(min(some.shape[1] // 2 + 1, _NODES))
    q = (nodes + 1)[:, None, None] / 2
    turn = np.exp(-rates - 1j * np.outer(frequency, index))  # (waves, d): a member's factor where it is absent
    inside, outside = q + (1 - q) * turn, q * turn.conj() + 1 - q  # (nodes, waves, d), of members and of others
    members = (some > 0).astype(np.complex128)
    logs = np.log(inside), np.log(outside)
    whole = np.exp(np.tensordot(members, logs[0] - logs[1], axes=(1, 2)) + logs[1].sum(axis=2))
    whole *= np.outer(weights / 2, share)
    joining = (
        np.tensordot(whole, (1 - turn) / inside, axes=2).real,
        np.tensordot(whole, (turn.conj() - 1) / outside, 2).real,
    )
    effects: Floats = np.where(some > 0, *joining)
    return effects


def slopes(signs: Floats, centres: Ints, power: int) -> Prior:
    """Of z_i t^power with an independent coefficient for each player, less what all players share."""
    d = signs.shape[1]
    z = signs / 2
    t = z.sum(axis=1, keepdims=True) * 2 / d
    odd = (z - z.mean(axis=1, keepdims=True)) * t**power
    tilts = (np.arange(d + 1) - d / 2) / (d / 2)
    here, after, place = tilts[:-1] ** power, tilts[1:] ** power, np.arange(d) / (d - 1) - 0.5
    excess = float(((here + after) / 2 - place * (after - here)).mean())
    return Prior(odd @ odd[centres].T, odd[centres] * excess)


def sizes(signs: Floats, centres: Ints) -> Prior:
    """Of a free step at every size, whoever the members are; it tells no player from another."""
    d = signs.shape[1]
    size = signs.sum(axis=1)
    uneven = np.where((size == 0) | (np.abs(size) == d), np.nan, size)  # NaN equals nothing: halves and ends stay at 0
    covariance = (uneven[:, None] == size[centres]) * 1.0 - (uneven[:, None] == -size[centres])
    return Prior(covariance, np.zeros((covariance.shape[1], d)))


def pairs(signs: Floats, centres: Ints) -> Prior:
    """Of z_i z_j t − t / 4 with an independent coefficient for each pair: effects that two players have together."""
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
