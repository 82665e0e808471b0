"""Paired regression on odd features: a ladder of surrogates, the rung chosen by leave-one-out error.

In: a design of pairs, then columns of its values. Out: Shapley values, influences, the rung's name. Knows nothing else.

A Shapley value sees only the odd part of a game, g(S) = (v(S) − v(N∖S)) / 2, so every feature here is odd. With
z_i = 1[i ∈ S] − ½ and t = (|S| − d/2) / (d/2):

    F0   z_i             the players' own effects; alone it is paired KernelSHAP (Covert & Lee, AISTATS 2021)
    F1   size profile    how many are absent, whoever they are: t³, t⁵, then a free step for every size
    F2   z_i t², z_i t⁴  effects that grow or fade with the size of the coalition
    zzt  z_i z_j t       pairs whose joint effect does; each the mean of all triples that contain the pair

F0, t³ and t⁵ are fitted freely, the others with a ridge penalty, one rung for each of its strengths. Weighted by
Shapley kernel / sampling rate, a fit that leaves F0 free is consistent whatever stands beside it, shrunk or not: the
others only take noise away. v(N) − v(∅) fixes the ends of the profile and so Σφ; F0, F2 and zzt tell players apart.
In an orthonormal basis a rung is a vector of factors from 0 to 1: one factorisation serves all rungs and columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ialgebra.kernels.coalitions import Design, Floats

STRENGTHS = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.0)  # ridge penalties, relative to the mean square of what they shrink

_SATURATED = 1e-8  # 1 − leverage below which no fit exists without the pair
_DEPENDENT = 1e-8  # square length of a direction, relative to the longest, below which it repeats others
_ROUNDING = 1e-13  # residuals, relative to the values, that are rounding and no reason to climb
_PAIRS_A_FEATURE = 1.75  # with fewer, leave-one-out errors are too noisy to choose by
_MOST = 400  # features or pairs whose spectrum takes a twentieth of a second


class Block(NamedTuple):
    """Features (pairs, p) of a name, and the Shapley values (d, p) of each feature's own game."""

    name: str
    features: Floats
    effects: Floats


class Fit(NamedTuple):
    """`values` (d,), `influence` (pairs, d) or, where the error is unknown, one row of +inf; the name of the `rung`."""

    values: Floats
    influence: Floats
    rung: str


class Ladder:
    """The regression of one design: factorised once, fitted to any number of columns.

    `basis` (pairs, b) is orthonormal and `effects` (b, d) are the Shapley values of its columns. The rungs, named in
    `rungs`, fit column j in the share `factors` (b, rungs); `gaps` (pairs, rungs) are 1 − leverage.
    """

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
        z, t = design.coalitions[2::2].astype(np.float64) - 0.5, self.tilt[:, None]
        self.free = self._weighted(_free(z, t))
        self.shrunk = self._weighted(_shrunk(z, t))
        self._climb()
        self._readings: dict[int, Floats] = {}

    def _weighted(self, blocks: Iterator[Block]) -> Block:
        names, features, effects = zip(*blocks, strict=True)
        weighted = np.concatenate(features, axis=1) * self.root_weight[:, None]
        return Block("+".join(names), weighted, np.concatenate(effects, axis=1))

    def _climb(self) -> None:
        """Rungs of free features first, as many as there are pairs for, then the ridge path above all of them."""
        pairs, width = self.free.features.shape
        q, r = np.linalg.qr(self.free.features)
        diagonal = np.square(np.diag(r))
        independent = int(np.append(diagonal > _DEPENDENT * diagonal.max(initial=0), False).argmin())
        names, d = self.free.name.split("+"), self.players
        widths = [w for w in range(d - 1, width + 1) if w <= independent and w <= max(d - 1, pairs / _PAIRS_A_FEATURE)]
        top = max(widths, default=0)
        self.rungs = ["+".join(names[: w - d + 2]) for w in widths]
        self.basis, self.factors = q[:, :top], (np.arange(top)[:, None] < np.array(widths, dtype=int)).astype(float)
        # φ = effects · R⁻¹ · Q'y, for all columns of Q at once.
        self.effects = np.linalg.solve(r[:top, :top].T, self.free.effects[:, :top].T)
        if top == width:
            self._shrink()
        self.gaps = 1 - np.square(self.basis) @ self.factors
        self.saturated = self.gaps <= _SATURATED

    def _shrink(self) -> None:
        """Adds what shrunk features have beyond the free ones: principal directions, scaled by ridge factors."""
        features, (pairs, free) = self.shrunk.features, self.basis.shape
        inner = self.basis.T @ features
        beyond = features - self.basis @ inner
        wide = pairs < features.shape[1]
        square, directions = np.linalg.eigh(beyond @ beyond.T if wide else beyond.T @ beyond)
        kept = square > _DEPENDENT * np.square(features).sum(axis=0).max(initial=0)
        square, directions = square[kept], directions[:, kept]
        if not kept.any():
            return
        if not wide:
            directions = beyond @ directions / np.sqrt(square)
        own = self.shrunk.effects.T - inner.T @ self.effects
        spare = pairs / _PAIRS_A_FEATURE >= free + len(square)
        strengths = np.array([strength for strength in STRENGTHS if strength > 0 or spare])
        ridge = square[:, None] / (square[:, None] + strengths * square.mean())
        stay = np.zeros((len(square), len(self.rungs)))
        self.rungs += [f"{self.free.name}+{self.shrunk.name}, ridge {strength:g}" for strength in strengths]
        self.factors = np.block([[self.factors, np.ones((free, len(strengths)))], [stay, ridge]])
        self.basis = np.concatenate([self.basis, directions], axis=1)
        self.effects = np.concatenate([self.effects, directions.T @ (beyond @ own) / square[:, None]])

    def press(self, target: Floats) -> tuple[Floats, Floats]:
        """Residuals (pairs, rungs) of `target` (pairs,), and PRESS, their leave-one-out squares (Allen, 1974)."""
        scores = self.basis.T @ target
        residuals = target[:, None] - self.basis @ (self.factors * scores[:, None])
        press = np.square(residuals / np.where(self.saturated, 1, self.gaps)).sum(axis=0)
        return residuals, np.where(self.saturated.any(axis=0), np.inf, press)

    def fit(self, column: Floats) -> Fit:
        """Shapley values of one column (rows,) by the rung of least PRESS; HC3 influences (MacKinnon & White, 1985)."""
        scale = np.abs(column).max() or 1.0
        column = column / scale
        gain = column[1] - column[0]
        target = self.root_weight * ((column[2::2] - column[3::2]) / 2 - gain * self.tilt / 2)
        even = np.full(self.players, gain / self.players)
        unknown = np.full((1, self.players), np.inf)
        if not self.rungs:
            own = slice(self.players - 1)
            least = self.free.effects[:, own] @ (np.linalg.pinv(self.free.features[:, own]) @ target)
            return Fit((even + least) * scale, unknown, "F0")
        residuals, press = self.press(target)
        best = int(np.maximum(press, len(target) * _ROUNDING**2).argmin())
        reading, saturated = self.reading(best), self.saturated[:, best]
        values = (even + target @ reading) * scale
        if (saturated & (self.unseen > 0)).any():
            return Fit(values, unknown, self.rungs[best])
        spread = np.sqrt(self.unseen) * residuals[:, best] / np.where(saturated, 1, self.gaps[:, best])
        # 1 / gap already pays for the fit's freedom; what is left to pay for is that few pairs tell the error.
        widening = student(max(len(target) - self.players, 1)) * scale
        return Fit(values, reading * (spread * widening)[:, None], self.rungs[best])

    def reading(self, rung: int) -> Floats:
        """(pairs, d): what one unit of each weighted pair adds to each player's value on a rung."""
        if rung not in self._readings:
            self._readings[rung] = self.basis @ (self.factors[:, rung, None] * self.effects)
        return self._readings[rung]


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


def _free(z: Floats, t: Floats) -> Iterator[Block]:
    """Features that no penalty touches: each adds a rung."""
    yield _slopes("F0", z, t, power=0)
    yield _profile("t³", z, t, slice(0, 1))
    yield _profile("t⁵", z, t, slice(1, 2))


def _shrunk(z: Floats, t: Floats) -> Iterator[Block]:
    """Features that share a ridge penalty, for as long as either they or the pairs are few enough to factorise."""
    pairs, d = z.shape
    yield _slopes("zt²", z, t, power=2)
    if min(pairs, 5 * d // 2) <= _MOST:
        yield _profile("F1", z, t, slice(2, None))
        yield _slopes("zt⁴", z, t, power=4)
    if min(pairs, d * (d + 4) // 2) <= _MOST:
        yield _pair_slopes("zzt", z, t)


def _contrasts(d: int) -> Floats:
    """(d, d − 1) orthonormal columns that sum to zero: a Householder reflection of the first axis onto the diagonal."""
    axis = np.full(d, d**-0.5)
    axis[0] -= 1
    reflection: Floats = np.eye(d) - 2 * np.outer(axis, axis) / (axis @ axis)
    return reflection[:, 1:]


def _profile(name: str, z: Floats, t: Floats, some: slice) -> Block:
    """Some of the orthonormal odd functions of |S| that vanish at ∅, half and N: t³ − t, t⁵ − t, then the others."""
    d = z.shape[1]
    sizes = np.arange(1, (d + 1) // 2)
    tilts = (sizes - d / 2) / (d / 2)
    by_size = np.zeros((d // 2 + 1, len(sizes)))
    by_size[sizes] = np.linalg.qr(np.column_stack([tilts**3 - tilts, tilts**5 - tilts, np.eye(len(sizes))]))[0]
    features = by_size[np.rint((t[:, 0] + 1) * d / 2).astype(np.int64), some]
    return Block(name, features, np.zeros((d, features.shape[1])))


def _slopes(name: str, z: Floats, t: Floats, power: int) -> Block:
    """z_i t^power in contrasts; its Shapley value for i exceeds that for any other player by a factor of its own."""
    d = z.shape[1]
    contrasts = _contrasts(d)
    tilts = (np.arange(d + 1) - d / 2) / (d / 2)
    here, after, place = tilts[:-1] ** power, tilts[1:] ** power, np.arange(d) / (d - 1) - 0.5
    excess = float(((here + after) / 2 - place * (after - here)).mean())
    return Block(name, z @ contrasts * t**power, contrasts * excess)


def _pair_slopes(name: str, z: Floats, t: Floats) -> Block:
    """z_i z_j t − t / 4, which vanishes at ∅ and N, for all pairs of players."""
    d = z.shape[1]
    i, j = np.triu_indices(d, 1)
    # On joining a of d − 1, any other player adds E[z_i z_j] (t(a + 1) − t(a)); i and j share the rest of Δ = 1/2.
    a = np.arange(d)
    other = float((0.25 - a * (d - 1 - a) / max((d - 1) * (d - 2), 1)).mean()) * 2 / d
    effects = np.full((d, len(i)), other - 0.5 / d)
    effects[[i, j], np.arange(len(i))] = (0.5 - (d - 2) * other) / 2 - 0.5 / d
    return Block(name, (z[:, i] * z[:, j] - 0.25) * t, effects)
