"""Paired regression on odd features: a ladder of surrogates, the rung chosen by leave-one-out error.

In: a design of pairs, then columns of its values. Out: Shapley values, influences, the rung's name. Knows nothing else.

A Shapley value sees only the odd part of a game, g(S) = (v(S) − v(N∖S)) / 2, so every feature here is odd. With
z_i = 1[i ∈ S] − ½ and t = (|S| − d/2) / (d/2):

    F0   z_i            the players' own effects; alone it is paired KernelSHAP (Covert & Lee, AISTATS 2021)
    F1   size profile   how many are absent, whoever they are: t³, t⁵, then a free step for every size
    F2   z_i t²         effects that grow or fade with the size of the coalition; finer: z_i t⁴
    zzt  z_i z_j t      pairs whose joint effect does; each the mean of all triples that contain the pair

Weighted by Shapley kernel / sampling rate, a fit that contains F0 is consistent whatever else it contains: further
features only take noise away. v(N) − v(∅) fixes the ends of the profile and thereby Σφ; what is left to F0 and F2 are
differences between players: coefficients that sum to zero. Rungs are nested, so one QR factorisation serves them all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ialgebra.kernels.coalitions import Bools, Design, Floats

_SATURATED = 1e-8  # 1 − leverage below which no fit exists without the pair
_DEPENDENT = 1e-9  # |R_jj| relative to the largest, below which column j repeats earlier ones
_PAIRS_PER_FEATURE = 1.75  # with fewer, leave-one-out errors are too noisy to choose by
_MOST_FEATURES = 2048  # a factorisation is to stay a matter of seconds
_ROUNDING = 1e-13  # residuals relative to the values that are rounding, hence no reason to climb


class Block(NamedTuple):
    """Features (pairs, p) that join at a rung, and the Shapley values (d, p) of each one's own game."""

    rung: str
    features: Floats
    effects: Floats


class Rung(NamedTuple):
    """The first `width` columns of the factorisation; `gap` (pairs,) is 1 − leverage of each pair among them."""

    name: str
    width: int
    gap: Floats

    @property
    def saturated(self) -> Bools:
        """(pairs,) whether this rung cannot be fitted without the pair."""
        return self.gap <= _SATURATED


class Fit(NamedTuple):
    """`values` (d,), `influence` (pairs, d) or, where the error is unknown, one row of +inf; the name of the `rung`."""

    values: Floats
    influence: Floats
    rung: str


class Ladder:
    """The regression of one design: factorised once, fitted to any number of columns."""

    def __init__(self, design: Design) -> None:
        if design.pairs is None:
            raise TypeError(f"a ladder reads pairs; a design of '{design.method}' has none")
        d, size = design.players, design.pairs.size
        self.players = d
        self.tilt = np.asarray((size - d / 2) / (d / 2), dtype=np.float64)
        self.unseen = 1 - design.pairs.rate  # finite population: sizes that are in whole carry no error
        # Shapley kernel / rate = 1 / (C(d, s) s (d − s)) · C(d, s) / n_s, half of it for halves: large numbers cancel.
        shares = np.where(2 * size == d, 2, 1) * size * (d - size) * np.bincount(size, minlength=1)[size]
        self.root_weight = np.sqrt(shares.min(initial=1) / shares)
        blocks = list(_affordable(_features(design.coalitions[2::2], self.tilt), len(size)))
        self.weighted = np.concatenate([block.features for block in blocks], axis=1) * self.root_weight[:, None]
        self.q, r = np.linalg.qr(self.weighted)
        diagonal = np.abs(np.diag(r))
        independent = np.append(diagonal > _DEPENDENT * diagonal.max(initial=0), False).argmin()
        widths = np.cumsum([block.features.shape[1] for block in blocks])
        self.rungs = [
            Rung(block.rung, int(width), 1 - np.square(self.q[:, :width]).sum(axis=1))
            for block, width in zip(blocks, widths, strict=True)
            if width <= independent
        ]
        top = self.rungs[-1].width if self.rungs else 0
        # φ = effects · R⁻¹ · Q'y. R' is lower triangular, so the first rows of the solution are those of a lower rung.
        effects = np.concatenate([block.effects for block in blocks], axis=1)
        self.solved = np.linalg.solve(r[:top, :top].T, effects[:, :top].T)
        self._readings: dict[int, Floats] = {}

    def press(self, target: Floats) -> Iterator[tuple[Rung, Floats, float]]:
        """Each rung, its residuals of `target` (pairs,) and PRESS, their leave-one-out sum of squares (Allen, 1974)."""
        scores, residual, done = self.q.T @ target, target, 0
        for rung in self.rungs:
            residual = residual - self.q[:, done : rung.width] @ scores[done : rung.width]
            done = rung.width
            yield rung, residual, np.inf if rung.saturated.any() else float(np.square(residual / rung.gap).sum())

    def fit(self, column: Floats) -> Fit:
        """Shapley values of one column (rows,) by the rung of least PRESS; HC3 influences (MacKinnon & White, 1985)."""
        scale = np.abs(column).max() or 1.0
        column = column / scale
        gain = column[1] - column[0]
        target = self.root_weight * ((column[2::2] - column[3::2]) / 2 - gain * self.tilt / 2)
        even = np.full(self.players, gain / self.players)
        unknown = np.full((1, self.players), np.inf)
        if not self.rungs:
            contrasts = _contrasts(self.players)
            least = np.linalg.pinv(self.weighted[:, : self.players - 1]) @ target
            return Fit((even + contrasts @ least) * scale, unknown, "F0")
        floor = len(target) * _ROUNDING**2
        rung, residual, _ = min(self.press(target), key=lambda step: max(step[2], floor))
        reading = self.reading(rung)
        values = (even + target @ reading) * scale
        if (rung.saturated & (self.unseen > 0)).any():
            return Fit(values, unknown, rung.name)
        spread = np.sqrt(self.unseen) * residual / np.where(rung.saturated, 1, rung.gap)
        widening = student(max(len(target) - rung.width, 1)) * scale
        return Fit(values, reading * (spread * widening)[:, None], rung.name)

    def reading(self, rung: Rung) -> Floats:
        """(pairs, d): what one unit of each weighted pair adds to each player's value."""
        if rung.width not in self._readings:
            self._readings[rung.width] = self.q[:, : rung.width] @ self.solved[: rung.width]
        return self._readings[rung.width]


def student(freedom: int) -> float:
    """t over normal quantile at 97.5 % (Abramowitz & Stegun 26.7.5): widens an error that few units tell."""
    z = 1.959963984540054
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return 1 + math.fsum(term / float(freedom) ** power for power, term in enumerate(terms, start=1)) / z


def _features(halves: Bools, tilt: Floats) -> Iterator[Block]:
    """The ladder, from the lowest rung up, for pairs whose smaller halves are `halves` (pairs, d)."""
    d = halves.shape[1]
    contrasts = _contrasts(d)
    z = (halves - 0.5) @ contrasts
    profile = _profile(d)[np.rint((tilt + 1) * d / 2).astype(np.int64)]
    nobody = np.zeros((d, profile.shape[1]))
    t = tilt[:, None]
    yield Block("F0", z, contrasts)
    yield Block("F0+t³", profile[:, :1], nobody[:, :1])
    yield Block("F0+t³+t⁵", profile[:, 1:2], nobody[:, 1:2])
    yield Block("F0+t³+t⁵+F2", z * t**2, contrasts * _own_effect(d, lambda u: u**2))
    yield Block("F0+F1+F2", profile[:, 2:], nobody[:, 2:])
    if d > 3:
        yield Block("F0+F1+F2+zzt", *_pair_slopes(halves, tilt))
    yield Block("F0+F1+F2+zzt+zt⁴", z * t**4, contrasts * _own_effect(d, lambda u: u**4))


def _affordable(blocks: Iterator[Block], pairs: int) -> Iterator[Block]:
    """F0, then blocks while there are enough pairs a feature; those that few players leave empty are skipped."""
    width = 0
    for block in blocks:
        width += block.features.shape[1]
        if block.rung != "F0" and width > min(pairs / _PAIRS_PER_FEATURE, _MOST_FEATURES):
            return
        if block.features.shape[1]:
            yield block


def _contrasts(d: int) -> Floats:
    """(d, d − 1) orthonormal columns that sum to zero: a Householder reflection of the first axis onto the diagonal."""
    axis = np.full(d, d**-0.5)
    axis[0] -= 1
    reflection: Floats = np.eye(d) - 2 * np.outer(axis, axis) / (axis @ axis)
    return reflection[:, 1:]


def _profile(d: int) -> Floats:
    """(d // 2 + 1, sizes) orthonormal odd functions of |S| that vanish at ∅, half and N: t³ − t, t⁵ − t, the rest."""
    sizes = np.arange(1, (d + 1) // 2)
    t = (sizes - d / 2) / (d / 2)
    profile = np.zeros((d // 2 + 1, len(sizes)))
    profile[sizes] = np.linalg.qr(np.column_stack([t**3 - t, t**5 - t, np.eye(len(sizes))]))[0]
    return profile


def _pair_slopes(halves: Bools, tilt: Floats) -> tuple[Floats, Floats]:
    """z_i z_j t − t/4, which vanishes at ∅ and N, and its Shapley values, for d (d − 3) / 2 of the pairs of players.

    The other d pairs, {0, j} and {1, 2}, repeat F1 and F2: Σ_j z_i z_j t is z_i t² and a function of size.
    """
    d = halves.shape[1]
    i, j = np.triu_indices(d, 1)
    new = (i > 0) & (i + j > 3)
    i, j = i[new], j[new]
    z = halves - 0.5
    # Any other player adds E[z_i z_j] (t(a + 1) − t(a)) on joining a of d − 1; i and j share the rest of Δ = 1/2 evenly.
    a = np.arange(d)
    other = float((0.25 - a * (d - 1 - a) / ((d - 1) * (d - 2))).mean()) * 2 / d
    effects = np.full((d, len(i)), other - 0.5 / d)
    effects[[i, j], np.arange(len(i))] = (0.5 - (d - 2) * other) / 2 - 0.5 / d
    return z[:, i] * z[:, j] * tilt[:, None] - tilt[:, None] / 4, effects


def _own_effect(d: int, shape: Callable[[Floats], Floats]) -> float:
    """φ_i − φ_j of the game z_i · shape(t): what its Shapley value leaves for i beyond what any other player j gets."""
    a = np.arange(d, dtype=np.float64)
    here, after = shape((a - d / 2) / (d / 2)), shape((a + 1 - d / 2) / (d / 2))
    return float(((here + after) / 2 - (a / (d - 1) - 0.5) * (after - here)).mean())
