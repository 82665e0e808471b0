"""A process on the log-odds of a game whose values are probabilities: a surrogate that needs no model.

In: one coalition of each pair of a design, then a column strictly inside (0, 1) with a guess of its Shapley values.
Out: a surrogate, whose contributions of players are known anywhere, and the errors of pairs that it has not seen. Knows
neither weights nor other rungs.

A probability saturates: what a player changes depends on all others. Its log-odds η = log(v / (1 − v)) do so much less.
η is not odd, so both halves of a pair count. The covariance is a sum Σ θ_j k_j of a constant, a linear, a square and
three more functions of the players that differ. None changes if both coalitions are replaced by their complements, so
the even part of η, (η(S) + η(N∖S)) / 2, and its odd part are independent, each with a covariance of pairs. θ and the
variance of noise are those under which the values of some pairs are likeliest, found by a fixed point (Zhou, Hu, Qiao,
Cho & Zhou, 2016). The surrogate is û = 1 / (1 + exp(−η̂)).

Errors of pairs that are left out follow in closed form. With A the inverse of a part's covariance, the others predict
its value y_p as y_p − (A y)_p / A_pp (Rasmussen & Williams, 2006, 5.4.2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..system.arrays import Bools, Floats
from .covariance import relevant

Singles = NDArray[np.float32]
Numbers = TypeVar("Numbers", Floats, Singles)

_FEWEST_PLAYERS = 14  # below, the other rungs were measured to be as good
_MOST_PAIRS = 800  # of the design; beyond, it would take longer than all other rungs
_MOST_PLAYERS = 128  # with more, few contributions of a player would be known at each size of coalition
_MOST_EVIDENCE, _STEPS = 64, 6  # pairs by which θ is chosen, and steps of the fixed point
_FIRST = np.array([1.0, 1.0, 0.3, 0.3, 0.1, 0.1, 0.05])  # θ and, last, the noise at first, in variances of η
_LEAST_NOISE = 1e-4  # variance of noise / that of η
_FAR = 4.0  # the same of a function that treats players alike
_WIDTH = 0.5  # of a function of sizes
_INVERTED_AT_ONCE = 96  # rows of a matrix
_ASKED, _FEWEST_ASKED, _MOST_ASKED = 4, 512, 1024  # pairs for the values of û: for each of the design; bounds
_MANY_PLAYERS = 64  # beyond, the most pairs are asked for, so that each player and size is among them
_AT_ONCE = 128  # coalitions at which a surrogate is evaluated: their covariances fit into the CPU cache


class LogOdds(NamedTuple):
    """One column's `surrogate` û; its `gain` û(N) − û(∅); `odd` (pairs,), which is (û(S) − û(N∖S)) / 2 at the pairs of
    the design; and `missed` (pairs,), the error of the same difference where each pair is predicted from the others."""

    surrogate: LogOddsProcess
    gain: float
    odd: Floats
    missed: Floats


@dataclass(frozen=True, eq=False)
class LogOddsProcess:
    """û = 1 / (1 + exp(−η̂)), η̂ = mean + scale · (f ± g) at a coalition S and at its complement. The even part is
    f(S) = Σ_T even_T (k(S, T) + k(S, N∖T)) over the coalitions T (pairs, d) as signs ±1, the odd part is
    g(S) = Σ_T odd_T (k(S, T) − k(S, N∖T)), and k = Σ theta_j k_j."""

    pairs: Floats
    rates: Floats
    theta: Floats
    even: Floats
    odd: Floats
    mean: float
    scale: float

    def contributions(self, signs: Floats) -> Floats:
        """(n, d) for coalitions S (n, d) as signs ±1: û(S ∪ i) − û(S ∖ i), averaged over S and its complement."""
        polynomials = self._polynomials()
        pairs, even, odd = (each.astype(np.float32) for each in (self.pairs, self.even, self.odd))
        parts = [signs[first : first + _AT_ONCE] for first in range(0, len(signs), _AT_ONCE)]
        return np.concatenate([self._contributions(part, polynomials, pairs, even, odd) for part in parts])

    def _polynomials(self) -> tuple[float, Floats, Floats, Floats, Floats]:
        """What of η̂ is not exponential: its level, slopes (d,), squares (d, d), and its parts by size (d + 1,)."""
        d = self.pairs.shape[1]
        tilts = np.arange(d + 1)[:, None] * 2 / d - 1
        near, far = _of_sizes(tilts, self.pairs.mean(axis=1))
        return (
            2 * self.theta[0] * self.even.sum(),
            2 * self.theta[1] / d * (self.odd @ self.pairs),
            2 * self.theta[2] / d**2 * ((self.pairs.T * self.even) @ self.pairs),
            self.theta[5] * (near + far) @ self.even,
            self.theta[5] * (near - far) @ self.odd,
        )

    def _contributions(
        self,
        signs: Floats,
        polynomials: tuple[float, Floats, Floats, Floats, Floats],
        pairs: Singles,
        even: Singles,
        odd: Singles,
    ) -> Floats:
        """A player who joins or leaves changes Σ r over S △ T by ± r_i, and so multiplies exp(−Σ r) by e^{±r_i}. So the
        parts of η̂ at all d coalitions that differ from S in one player take one more product of matrices.

        Exponentials are single numbers: the errors of Shapley values from few coalitions are far larger."""
        (level, slope, square, even_of_size, odd_of_size), d = polynomials, signs.shape[1]
        size = np.rint((signs.sum(axis=1) + d) / 2).astype(int)[:, None]
        beside = np.where(signs > 0, size - 1, size + 1)
        inner = signs @ square
        f = level + (inner * signs).sum(axis=1, keepdims=True)
        next_f = f + 4 * (np.diag(square) - signs * inner) + even_of_size[beside]
        g = signs @ slope[:, None]
        next_g = g - 2 * signs * slope + odd_of_size[beside]
        f, g = f + even_of_size[size], g + odd_of_size[size]
        for share, (rates, near, far) in zip(self.theta[3:5], _exponentials(signs, pairs, self.rates), strict=True):
            both, gap = near + far, near - far
            here_f, here_g = (both @ even)[:, None], (gap @ odd)[:, None]
            f, g = f + share * here_f, g + share * here_g
            held, turned = share * np.cosh(rates), share * np.sinh(rates) * signs
            next_f += held * here_f - turned * ((gap * even) @ pairs)
            next_g += held * here_g - turned * ((both * odd) @ pairs)
        return signs * (self.half_gap(f, g) - self.half_gap(next_f, next_g))

    def half_gap(self, even: Floats, odd: Floats) -> Floats:
        """(û(S) − û(N∖S)) / 2 of pairs with these two parts of η̂."""
        one, other = ((self.mean + self.scale * each) / 2 for each in (even + odd, even - odd))
        found: Floats = (np.tanh(one) - np.tanh(other)) / 4
        return found


def suits(players: int, count: int) -> bool:
    """Whether a design of `count` pairs is fitted so: by its sizes, so that no answer depends on a clock."""
    return _FEWEST_PLAYERS <= players <= _MOST_PLAYERS and count <= _MOST_PAIRS


def asked_for(players: int, count: int) -> int:
    """The number of pairs by which û's own Shapley values are estimated, for a design of `count` pairs."""
    fewest = _FEWEST_ASKED if players <= _MANY_PLAYERS else _MOST_ASKED
    return min(_MOST_ASKED, max(fewest, _ASKED * (1 << (count - 1).bit_length())))


def are_probabilities(columns: Floats) -> Bools:
    """(columns,) whether all values of each of `columns` (columns, rows) have log-odds, and are not all the same."""
    within = ((columns > 0) & (columns < 1)).all(axis=1)
    return np.asarray(within & (columns != columns[:, :1]).any(axis=1))


def fitted(signs: Floats, column: Floats, guess: Floats) -> LogOdds:
    """The surrogate of one column (rows,), of which `signs` (pairs, d) hold the first coalition of each pair, ∅ and N
    the first of them; `guess` (d,) are roughly its Shapley values."""
    log_odds = np.log(column) - np.log1p(-column)
    mean, scale = float(log_odds.mean()), float(log_odds.std())
    eta = (log_odds - mean) / scale
    parts = (eta[::2] + eta[1::2]) / 2, (eta[::2] - eta[1::2]) / 2
    count = len(signs)
    rates = relevant(guess)
    some = np.arange(few := min(count, _MOST_EVIDENCE)) * count // few
    *theta, noise = _likeliest(list(kinds(signs[some], signs[some], rates)), [part[some] for part in parts])
    weights, fits, left_out = [], [], []
    for matrix, part in zip(covariances(signs, signs, rates, np.array(theta)), parts, strict=True):
        matrix[np.diag_indices(count)] += noise
        inverse = inverted(matrix)
        own = inverse @ part
        weights.append(own)
        fits.append(part - noise * own)
        left_out.append(part - own / np.diag(inverse))
    surrogate = LogOddsProcess(signs, rates, np.array(theta), weights[0], weights[1], mean, scale)
    missed = (column[2::2] - column[3::2]) / 2 - surrogate.half_gap(*left_out)[1:]
    gap = surrogate.half_gap(*fits)
    return LogOdds(surrogate, -2 * float(gap[0]), gap[1:], missed)


def kinds(signs: Floats, pairs: Floats, rates: Floats) -> Iterator[tuple[Floats, Floats]]:
    """The functions k_j of coalitions as signs (n, d) and (pairs, d), in turn, as their even and odd parts (n, pairs):
    k(S, T) + k(S, N∖T) and k(S, T) − k(S, N∖T). Each k is 1 for equal coalitions."""
    alike = signs @ (pairs / pairs.shape[1]).T
    none = np.zeros_like(alike)
    yield np.full_like(alike, 2.0), none
    yield none, 2 * alike
    yield 2 * np.square(alike), none
    for _, near, far in _exponentials(signs, pairs, rates):
        yield near + far, near - far
    near, far = _of_sizes(signs.mean(axis=1)[:, None], pairs.mean(axis=1))
    yield near + far, near - far


def _exponentials(signs: Floats, pairs: Numbers, rates: Floats) -> Iterator[tuple[Floats, Numbers, Numbers]]:
    """exp(−Σ r over S △ T), and the same for N∖T, of the `rates` and of equal ones, as exact as `pairs`; each with its
    r."""
    for each in (rates, np.full(len(rates), _FAR / len(rates))):
        reach = float(each.sum()) / 2
        near = np.exp((signs * (each / 2)).astype(pairs.dtype) @ pairs.T - reach)
        yield each, near, math.exp(-2 * reach) / near


def _of_sizes(tilts: Floats, others: Floats) -> tuple[Floats, Floats]:
    """A function of sizes, as `tilts` (n, 1) from −1 to 1 and of `others` (pairs,); and the same for complements."""
    return np.exp(-np.square(tilts - others) / _WIDTH), np.exp(-np.square(tilts + others) / _WIDTH)


def covariances(signs: Floats, pairs: Floats, rates: Floats, theta: Floats) -> tuple[Floats, Floats]:
    """Σ θ_j k_j (n, pairs): its even and its odd part."""
    even, odd = np.zeros((2, len(signs), len(pairs)))
    for share, (one, other) in zip(theta.tolist(), kinds(signs, pairs, rates), strict=True):
        even += share * one
        odd += share * other
    return even, odd


def _likeliest(terms: list[tuple[Floats, Floats]], parts: list[Floats]) -> Floats:
    """θ of the `terms` (n, n) and, last, the variance of noise, under which both `parts` (n,) are likely."""
    count, one = len(parts[0]), np.eye(len(parts[0]))
    flat = [np.stack([*(term[k] for term in terms), one]).reshape(-1, count**2) for k in (0, 1)]
    theta, least = _FIRST, np.append(np.zeros(len(terms)), _LEAST_NOISE)
    for _ in range(_STEPS):
        found, expected = np.zeros((2, len(theta)))
        for each, part in zip(flat, parts, strict=True):
            inverse = inverted((theta @ each).reshape(count, count))
            weights = inverse @ part
            found += each @ np.outer(2 * weights, weights).ravel()  # a part's variance is half of that of η
            expected += each @ inverse.ravel()
        step = np.sqrt(np.maximum(found, 0.0) / np.maximum(expected, np.finfo(float).tiny))
        theta = np.maximum(theta * step, least)
    return theta


def inverted(matrix: Floats) -> Floats:
    """The inverse of a positive definite matrix (n, n), by halves: nearly all the work is products of matrices. Each
    half is made symmetric, without which rounding errors grow from level to level."""
    count, half = len(matrix), len(matrix) // 2
    if count <= _INVERTED_AT_ONCE:
        found = np.linalg.inv(matrix)
        return np.asarray((found + found.T) / 2)
    mixed = matrix[:half, half:]
    first = inverted(matrix[:half, :half])
    across = first @ mixed
    rest = matrix[half:, half:] - mixed.T @ across
    second = inverted((rest + rest.T) / 2)
    corner = across @ second
    found = np.block([[first + corner @ across.T, -corner], [-corner.T, second]])
    return np.asarray((found + found.T) / 2)
