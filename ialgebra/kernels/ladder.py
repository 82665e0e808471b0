"""Regression on pairs: a ladder of surrogates, mixed by leave-one-out error.

In: a design of pairs, then columns of its values. Out: Shapley values, influences, what was fitted. Knows nothing else.

A Shapley value sees only the odd part of a game, g(S) = (v(S) − v(N∖S)) / 2, so every feature here is odd. With
z_i = 1[i ∈ S] − ½ and t = (|S| − d/2) / (d/2):

    F0        z_i      the players' own effects; alone it is paired KernelSHAP (Covert & Lee, AISTATS 2021)
    t³, t⁵             how many are absent, whoever they are
    smooth             a Gaussian process: steps and slopes in size, pairs, and coalitions alike that differ in few
    learned            a Gaussian process whose weights of players and saturation come from the smooth fit
    threes             joint effects of three players, with prior variances from the smooth fit
    log-odds           of columns that are probabilities: a process on log(v / (1 − v)), see `log_odds`

F0, t³ and t⁵ are fitted without a penalty; a process is fitted with a ridge penalty, one rung for each strength.
Weighted by Shapley kernel / sampling rate, a fit with F0 unpenalised is consistent, whatever other features it has and
however strongly they are shrunk: the other features only reduce the noise. v(N) − v(∅) fixes the ends of the profile,
and so Σφ. In an orthonormal basis a rung is a vector of factors from 0 to 1. So one factorisation serves all the rungs
of a path, and all columns if the path does not depend on the column. Paths that depend on the column are computed for
many columns at once, as stacks of matrices over a leading axis.

The best rung of each path has the least sum of leave-one-out squares (PRESS; Allen, 1974). These rungs are mixed, with
the shares for which the mixture's own PRESS is least (stacking; Breiman, 1996). Given the shares, the values are linear
in the column, but for what the log-odds add.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from ..system.arrays import Bools, Floats, Ints
from ..system.kept import Kept
from ..system.threads import in_parts
from . import contributions, log_odds
from .coalitions import Design
from .complement import Complement
from .covariance import REACH, Prior, distance, mixture, pairs, relevant, sizes, slopes

STRENGTHS = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 1e-5)  # variance of noise / that of a process

_SATURATED = 1e-8  # 1 − leverage below which no fit exists without the pair
_DEPENDENT = 1e-8  # squared length of a free direction, relative to the longest, below which it repeats others
_NEGLIGIBLE = 1e-10  # squared length of a process's direction, relative to the longest, below which it is left out
_ROUNDING = 1e-13  # residuals / values below which residuals are rounding, and the free features are enough
PAIRS_A_FEATURE = 1.75  # with fewer, leave-one-out errors are too noisy to choose by
_UNFORESEEN = 0.3  # share of the smooth rung's errors that is added; without it, few spikes are off by ten errors
_MOST_CENTRES = 512  # centres of a process; to read a column by them takes a quarter of a second
_CENTRES_OF_MANY = 320  # centres if there are more pairs than MOST_THREES, which fit nearly as well
_MOST_COVARIANCES = 1 << 21  # of pairs and centres; with more pairs there are fewer centres
MOST_THREES = 1024  # pairs up to which the process `threes` is fitted too; with more it would take too long
_MOST_PLAYERS = 256  # players up to which processes are fitted
_STACKED = 1 << 17  # covariances in one stack, so that it fits into the CPU cache; other columns go into the next
_MOST_SHARE = 0.67  # of all pairs that a design holds: beyond it, those that are left are not taken to be more alike
_KEPT_BYTES = 64 << 20  # of factorised designs, for later queries
_CLEARLY = 0.8  # square of the log-odds / that of the others, below which `threes` is left out


def centres(pairs: int, many: bool = False) -> int:
    """The number of centres of a process, for a number of pairs. A part of a design that has `many` has fewer, too."""
    most = _CENTRES_OF_MANY if many or pairs > MOST_THREES else _MOST_CENTRES
    return min(pairs, most, _MOST_COVARIANCES // max(1, pairs))


class Block(NamedTuple):
    """Named features (pairs, p), and the Shapley values (d, p) of each feature as a game."""

    name: str
    features: Floats
    effects: Floats


class Path(NamedTuple):
    """Rungs over one orthonormal `basis` (…, pairs, b), whose columns have Shapley values `effects` (…, b, d).

    Rung k has the name `names[k]` and shrinks the basis by `factors[…, k]`; `gaps` (…, pairs, rungs) are 1 − leverage.
    Without leading axes the path serves all columns; with a leading axis it has one entry for each column.
    """

    names: tuple[str, ...]
    basis: Floats
    effects: Floats
    factors: Floats
    gaps: Floats

    def errors(self, targets: Floats) -> Floats:
        """(…, pairs, rungs) the error of each of `targets` (…, pairs), where each pair is predicted from the others."""
        scores = self.factors * (self.basis.swapaxes(-1, -2) @ targets[..., None])
        errors: Floats = (targets[..., None] - self.basis @ scores) / np.where(self.gaps > _SATURATED, self.gaps, 1)
        return errors

    def reading(self, rung: int | Ints) -> Floats:
        """(…, pairs, d): how much one unit of each weighted pair adds to each player's value, on the rung (…)."""
        rung = np.asarray(rung)
        factors = np.broadcast_to(self.factors, (*rung.shape, *self.factors.shape[-2:]))
        chosen = np.take_along_axis(factors, rung[..., None, None], axis=-1)
        return self.basis @ (chosen * self.effects)


class Rungs(NamedTuple):
    """One rung fitted to each of some columns: `errors` (columns, pairs) are leave-one-out errors, `press` (columns,)
    the sums of their squares, or inf.

    `reading` (columns, pairs, d) is how much one unit of each weighted pair adds to each player's value. `learned` is
    the number of parameters of the process that were learned from the column itself. A rung that is not linear in the
    column has values `beside` (columns, d) what is read, whose own squared error is `doubt` (columns,).
    """

    names: list[str]
    errors: Floats
    press: Floats
    reading: Floats
    learned: int
    beside: Floats | None = None
    doubt: Floats | None = None

    @property
    def further(self) -> Floats:
        """(columns,) the `doubt` in multiples of the squared error that the `errors` of pairs show."""
        known = _square(self.reading, self.errors)
        return np.zeros(len(known)) if self.doubt is None else self.doubt / np.where(known > 0, known, 1.0)

    def of(self, columns: Ints) -> Rungs:
        """The rungs of some columns."""
        names = [self.names[column] for column in columns]
        beside, doubt = (None if each is None else each[columns] for each in (self.beside, self.doubt))
        found = self.errors[columns], self.press[columns], self.reading[columns]
        return Rungs(names, *found, self.learned, beside, doubt)


def _concatenated(parts: Sequence[Rungs]) -> Rungs:
    """One for all columns, of those of some columns each."""
    if len(parts) == 1:
        return parts[0]
    errors, press, reading = (np.concatenate([each[k] for each in parts]) for k in (1, 2, 3))
    return Rungs([name for each in parts for name in each.names], errors, press, reading, parts[0].learned)


class Readings(NamedTuple):
    """Some fitted columns: `values` (columns, d), the names of the `rungs`, and for each pair what its error would do.

    `reading` (columns, pairs, d) is how much one unit of each weighted pair adds to each player's value; it is 0 where
    the design holds every pair of a size. `errors` (columns, pairs) are leave-one-out errors of the weighted pairs,
    multiplied by `widening` (columns,) because the pairs are few; `targets` (columns, pairs) what was fitted. Without
    enough pairs to leave one out, these four are None: the errors are unknown.
    """

    values: Floats
    rungs: list[str]
    reading: Floats | None = None
    errors: Floats | None = None
    targets: Floats | None = None
    widening: Floats | None = None


class Ladder:
    """The regression of one design: factorised once, fitted to any number of columns."""

    def __init__(self, design: Design, many: bool = False) -> None:
        """`many`: the design is a part of one with so many pairs that it is fitted with less work."""
        if design.pairs is None:
            raise TypeError(f"a ladder reads pairs; a design of '{design.method}' has none")
        d, size = design.players, design.pairs.size
        self.players = d
        self.tilt = np.asarray((size - d / 2) / (d / 2), dtype=np.float64)
        self.unseen = 1 - design.pairs.rate  # finite population: a size with all its pairs in the design has no error
        # A balanced design takes the pairs that are unlike those taken. Once it holds many, those left are alike, and
        # what is left over of a fit errs there in one way.
        share = min(len(size) / 2.0 ** min(d - 1, 1000), _MOST_SHARE)
        self.alike = 2 * (share / (1 - share)) ** 2
        # Shapley kernel / rate = 1 / (C(d, s) s (d − s)) · C(d, s) / n_s, halved for s = d / 2: C(d, s) cancels.
        shares = np.where(2 * size == d, 2, 1) * size * (d - size) * np.bincount(size, minlength=1)[size]
        self.root_weight = np.sqrt(shares.min(initial=1) / shares)
        self.signs = 2 * design.coalitions[2::2].astype(np.float64) - 1
        self.links = log_odds.suits(d, len(size))
        self.many = many or len(size) > MOST_THREES
        some = centres(len(size), many)
        self.centres = np.arange(some) * len(size) // max(1, some)  # all, or an equal share of every size
        self.stack = max(1, _STACKED // max(1, len(size) * some))  # columns whose processes are computed together
        blocks = list(_free(self.signs / 2, self.tilt[:, None]))
        self.width = sum(block.features.shape[1] for block in blocks)
        self.free = self._free_path(blocks)

    @property
    def nbytes(self) -> int:
        """About the bytes of the factorised design, with those that are computed when they are needed."""
        pairs, centres = len(self.signs), len(self.centres)
        return 8 * pairs * (2 * centres + 10 * self.players)

    @cached_property
    def _complement(self) -> Complement:
        """The directions without the free features."""
        return Complement(self.features)

    @cached_property
    def smooth(self) -> Path | None:
        """The path of the smooth process, which all columns share; None for too few pairs, or too many players."""
        enough = self.free.basis.shape[1] == self.width
        return self.process("smooth", self.plain()) if enough and 3 < self.players <= _MOST_PLAYERS else None

    def _free_path(self, blocks: Sequence[Block]) -> Path:
        """The path of the free features, as many as the pairs allow; no rung if there are too few pairs for F0."""
        self.features = np.concatenate([block.features for block in blocks], axis=1) * self.root_weight[:, None]
        self.effects = np.concatenate([block.effects for block in blocks], axis=1)
        pairs, d = len(self.features), self.players
        q, r = np.linalg.qr(self.features)
        diagonal = np.square(np.diag(r))
        independent = int(np.append(diagonal > _DEPENDENT * diagonal.max(initial=0), False).argmin())
        widths = list(itertools.accumulate(block.features.shape[1] for block in blocks))
        widths = [w for w in widths if w <= independent and w <= max(d - 1, pairs / PAIRS_A_FEATURE)]
        top = max(widths, default=0)
        names = list(itertools.accumulate((block.name for block in blocks), "{}+{}".format))
        factors = (np.arange(top)[:, None] < np.array(widths, dtype=int)).astype(np.float64)
        # φ = effects · R⁻¹ · Q'y, for all columns of Q at once.
        own = np.linalg.solve(r[:top, :top].T, self.effects[:, :top].T)
        return Path(tuple(names[: len(widths)]), q[:, :top], own, factors, 1 - np.square(q[:, :top]) @ factors)

    def plain(self) -> Prior:
        """The prior under which coalitions have similar values if they differ in few players and little in size."""
        d = self.players
        near = distance(self.signs, self.centres, np.full(d, REACH / d), np.full(d, 2 / d), 0.5)
        return mixture(self.centres, (1.0, self.terms), (0.3, near))

    @cached_property
    def terms(self) -> Prior:
        """The prior of steps and slopes in size, and of pairs: effects of masking that do not depend on the place."""
        signs, centres = self.signs, self.centres
        return mixture(
            centres,
            (0.65, sizes(signs, centres)),
            (0.1, slopes(signs, centres, 2)),
            (0.02, slopes(signs, centres, 4)),
            (0.23, pairs(signs, centres)),
        )

    def learned(self, values: Floats) -> Path:
        """A process in which a player with a large value (`values` (…, d)) also changes the effects of others more, and
        the sum of effects saturates."""
        signs, centres = self.signs, self.centres
        index = values / np.sqrt(np.square(values).sum(axis=-1, keepdims=True))
        rates = relevant(values)
        prior = mixture(
            centres,
            (0.1, self.terms),
            (1.0, distance(signs, centres, rates, index, 1.0)),
            (2.0, distance(signs, centres, None, index, 1.0)),
        )
        return self.process("learned", prior)

    def threes(self, values: Floats) -> Path:
        """Joint effects of three players, with prior variances from their `values` (…, d). In an odd game, effects of
        three are the smallest beyond those of single players."""
        rates = relevant(values) / 8
        return self.process("threes", distance(self.signs, self.centres, rates, 0 * values, math.inf))

    def process(self, name: str, prior: Prior) -> Path:
        """The path of the free features and a process: the process's principal directions, without the free features,
        scaled by ridge factors."""
        free, root = self.free.basis, self.free.effects
        square, directions, further = self._principal(prior)
        noise = np.array(STRENGTHS) * square.sum(axis=-1)[..., None, None] / len(free)
        ridge = square[..., None] / np.where(square[..., None] > 0, square[..., None] + noise, 1.0)
        stack = square.shape[:-1]

        def beside(shared: Floats, each: Floats, axis: int) -> Floats:
            return np.concatenate([np.broadcast_to(shared, (*stack, *shared.shape)), each], axis=axis)

        basis = beside(free, directions, -1)
        factors = beside(np.ones((free.shape[1], len(STRENGTHS))), ridge, -2)
        names = tuple(f"{name}, ridge {strength:g}" for strength in STRENGTHS)
        return Path(names, basis, beside(root, further, -2), factors, 1 - np.square(basis) @ factors)

    def _principal(self, prior: Prior) -> tuple[Floats, Floats, Floats]:
        """The principal directions of a process without the free features: their squared lengths (…, b), 0 for those
        that are left out; the directions (…, pairs, b), of length one; and their Shapley values (…, b, d).

        If there are very many pairs, only some are centres, and the process is projected on these (Nyström).
        """
        weight, free, root = self.root_weight[:, None], self.free.basis, self.free.effects
        covariance = weight * prior.covariance
        if len(self.centres) == len(weight):  # the covariance of the weighted pairs themselves
            square, turn = np.linalg.eigh(self._complement.within(covariance * weight[:, 0]))
            kept, scale = _lengths(square)
            directions = self._complement.beyond(np.where(kept[..., None, :], turn, 0.0))
            own = prior.effects - covariance.swapaxes(-1, -2) @ (free @ root)
            return (
                np.where(kept, square, 0.0),
                directions,
                (weight * directions).swapaxes(-1, -2) @ own / (scale[..., None] ** 2),
            )
        centred = np.take(prior.covariance, self.centres, axis=-2)
        nugget = _NEGLIGIBLE * np.trace(centred, axis1=-2, axis2=-1)[..., None, None] * np.eye(centred.shape[-1])
        whiten = np.linalg.inv(np.linalg.cholesky(centred + nugget))
        features, effects = covariance @ whiten.swapaxes(-1, -2), whiten @ prior.effects
        inner = free.T @ features
        beyond, own = features - free @ inner, effects - inner.swapaxes(-1, -2) @ root
        square, turn = np.linalg.eigh(beyond.swapaxes(-1, -2) @ beyond)
        kept, scale = _lengths(square)
        turn = np.where(kept[..., None, :], turn / scale[..., None, :], 0.0)
        return np.where(kept, square, 0.0), beyond @ turn, turn.swapaxes(-1, -2) @ own

    def best(self, path: Path, targets: Floats, learned: int = 0) -> Rungs:
        """The rung with the least PRESS for each column; if several fit up to rounding, the first."""
        errors = path.errors(targets)
        press = np.maximum(np.square(errors).sum(axis=1), targets.shape[1] * _ROUNDING**2)
        press[np.broadcast_to((path.gaps <= _SATURATED).any(axis=-2), press.shape)] = np.inf
        rung = press.argmin(axis=1)
        each = np.arange(len(targets))
        names = [path.names[k] for k in rung]
        return Rungs(names, errors[each, :, rung], press[each, rung], path.reading(rung), learned)

    def fit(self, columns: Floats, *, quick: bool = False, units: Floats | None = None) -> Readings:
        """Shapley values of each column (columns, rows), and what each pair adds to their errors; `quick` fits the free
        features alone. `units` (columns, 1) are what the columns were divided by: a column is fitted by its log-odds
        too where it is known to have been probabilities.

        A pair's error is its leave-one-out error, as in HC3 (MacKinnon & White, 1985), widened for few pairs. HC3
        ignores that the learned process has seen the pair that is left out, which makes the error too small; a factor
        corrects this. A share of the smooth rung's errors is added, for kinds of coalitions that are not in the sample.

        Each column is fitted, bit for bit, as it would be alone.
        """
        largest = np.abs(columns).max(axis=1, keepdims=True)
        scale = np.where(largest == 0, 1.0, largest)
        columns = columns / scale
        gain = columns[:, 1:2] - columns[:, :1]
        targets = self.root_weight * ((columns[:, 2::2] - columns[:, 3::2]) / 2 - gain * self.tilt / 2)
        even = np.repeat(gain / self.players, self.players, axis=1)
        if not self.free.names:
            own = slice(self.players - 1)
            reading = (self.effects[:, own] @ np.linalg.pinv(self.features[:, own])).T
            return Readings((even + _read(targets, reading)) * scale, ["F0"] * len(columns))
        free = self.best(self.free, targets)
        totals = None if units is None or not self.links else scale * units
        every = np.arange(len(targets))
        rungs = [(every, [free])] if quick else self._rungs(free, targets, even, columns, totals)
        found = [(some, self._mixed(each, targets[some], even[some], scale[some])) for some, each in rungs]
        return found[0][1] if len(found) == 1 else _in_order(found)

    def _rungs(
        self, free: Rungs, targets: Floats, even: Floats, columns: Floats, totals: Floats | None
    ) -> Iterator[tuple[Ints, list[Rungs]]]:
        """The best rung of each path. Columns that the free features explain up to rounding get no other rung, and
        `threes` is left out if there are very many pairs. Columns that are probabilities, times their `totals`, get a
        rung of their log-odds."""
        climbing = np.zeros(len(targets), dtype=bool)
        if self.smooth is not None:
            smooth = self.best(self.smooth, targets)
            guess = even + _read(targets, smooth.reading)
            unexplained = free.press > targets.shape[1] * _ROUNDING**2
            climbing = unexplained & np.isfinite(smooth.press) & guess.any(axis=1)
        if len(some := np.flatnonzero(~climbing)):
            yield some, [free.of(some)]
        linked = np.zeros(len(targets), dtype=bool)
        if totals is not None:
            linked = climbing & log_odds.are_probabilities(columns * totals)
        if len(some := np.flatnonzero(climbing & ~linked)):
            yield some, [free.of(some), smooth.of(some), *self._processes(some, guess, targets, self._kinds)]
        if totals is not None and len(some := np.flatnonzero(linked)):
            rungs = [free.of(some), smooth.of(some), *self._processes(some, guess, targets, self._kinds[:1])]
            link, sure = self._link(rungs, guess[some], columns[some] * totals[some], totals[some])
            if len(here := np.flatnonzero(sure)):
                yield some[here], [each.of(here) for each in (*rungs, link)]
            if len(here := np.flatnonzero(~sure)):
                others = self._processes(some[here], guess, targets, self._kinds[1:])
                yield some[here], [*(each.of(here) for each in rungs), *others, link.of(here)]

    @property
    def _kinds(self) -> list[Callable[[Floats], Path]]:
        """The processes that depend on the column."""
        return [self.learned] if self.many else [self.learned, self.threes]

    def _processes(
        self, some: Ints, guess: Floats, targets: Floats, kinds: Sequence[Callable[[Floats], Path]]
    ) -> list[Rungs]:
        """The best rung of some kinds of processes, for `some` of the columns with their values by a `guess`."""
        stacks = [some[first : first + self.stack] for first in range(0, len(some), self.stack)]

        def best(kind: Callable[[Floats], Path], each: Ints) -> Rungs:
            return self.best(kind(guess[each]), targets[each], self.players)

        if self.stack == 1:
            found = [in_parts(partial(best, each=stack), kinds) for stack in stacks]
        else:
            found = [[best(kind, stack) for kind in kinds] for stack in stacks]
        return list(map(_concatenated, zip(*found, strict=True)))

    def _link(self, rungs: Sequence[Rungs], guess: Floats, chances: Floats, totals: Floats) -> tuple[Rungs, Bools]:
        """The rung of the log-odds, for some columns that are probabilities (`chances`, (columns, rows)), with their
        other `rungs`, the learned one last; and where it predicts so much better than these that no other is needed.
        Its press is inf where it does not predict better than all of them.

        The surrogate û is a control variate: the learned rung reads what it leaves over, g − ĝ. Its own Shapley values
        are those of a sample of pairs that no model is asked for.
        """
        reading, least = rungs[-1].reading, np.min([each.press for each in rungs], axis=0) * np.square(totals[:, 0])
        firsts = np.concatenate([np.full((1, self.players), -1.0), self.signs])
        own = contributions.sample(self.players, log_odds.asked_for(self.players, len(self.signs)))

        def linked(column: int) -> tuple[Floats, Floats, float, float]:
            found = log_odds.fitted(firsts, chances[column], guess[column])
            errors = self.root_weight * found.missed
            press, none = float(errors @ errors), np.zeros(self.players)
            if not press < least[column]:
                return none, errors, math.inf, 0.0
            values, doubt = own.values(found.surrogate.contributions(own.signs), found.gain)
            read = (self.root_weight * (found.odd - found.gain * self.tilt / 2)) @ reading[column]
            return values - found.gain / self.players - read, errors, press, doubt

        parts = in_parts(linked, range(len(chances)))
        beside, errors = (np.stack([part[k] for part in parts]) / totals for k in (0, 1))
        press, doubt = (np.array([part[k] for part in parts]) / np.square(totals[:, 0]) for k in (2, 3))
        link = Rungs(["log-odds"] * len(parts), errors, press, reading, self.players, beside, doubt)
        return link, press * (1 + link.further) < _CLEARLY * least / np.square(totals[:, 0])

    def _mixed(self, rungs: Sequence[Rungs], targets: Floats, even: Floats, scale: Floats) -> Readings:
        """The mixture of some rungs for each column, the free ones first, then the smooth ones."""
        press, further = np.stack([each.press for each in rungs], axis=1), np.zeros((len(targets), len(rungs)))
        if (last := rungs[-1]).doubt is not None:
            further[:, -1] = last.further
            # It learned most from the column, so it has a share only where it predicts best.
            best = last.press * (1 + last.further) < press[:, :-1].min(axis=1)
            press[:, -1] = np.where(best, press[:, -1], np.inf)
        shares = _shares(np.stack([each.errors for each in rungs], axis=1), press, further)

        def mixed(parts: Iterable[Floats | int]) -> Floats:
            shared = zip(shares.T, map(np.asarray, parts), strict=True)
            return sum((share.reshape(-1, *[1] * (part.ndim - 1)) * part for share, part in shared), np.zeros(()))

        reading, errors = mixed(each.reading for each in rungs), mixed(each.errors for each in rungs)
        if len(rungs) > 1:  # a share of the smooth errors, so that an overfitted learned process is not trusted
            errors = np.copysign(np.hypot(errors, _UNFORESEEN * rungs[1].errors), errors)
        # Leave-one-out errors already allow for the fit's parameters; `student` allows for errors from few pairs.
        learned = mixed(each.learned for each in rungs)
        pairs = targets.shape[1]
        left = np.square(errors).sum(axis=1) / np.maximum(np.square(targets).sum(axis=1), np.finfo(float).tiny)
        alike = np.sqrt(1 + self.alike * np.minimum(left, 1))
        widening = (1 + learned / pairs) * student(max(pairs - self.players, 1))
        values = even + _read(targets, reading)
        share = shares[:, -1:]
        if last.beside is not None and last.doubt is not None:
            values = values + share * last.beside
            # What its own values may be off by is added, as if the errors of all pairs were larger.
            known = _square(reading, errors)
            errors = errors * np.sqrt(1 + np.square(share[:, 0]) * last.doubt / np.where(known > 0, known, 1))[:, None]
        values = values * scale
        names = [
            " & ".join(each.names[column] for share, each in zip(row, rungs, strict=True) if share > 0)
            for column, row in enumerate(shares.tolist())
        ]
        if not np.isfinite(rungs[0].press).all() and self.unseen.any():  # of one column as of all: it is the design's
            return Readings(values, names)
        reading = reading * np.sqrt(self.unseen)[:, None] * alike.reshape(-1, 1, 1)
        return Readings(values, names, reading, errors * widening[:, None] * scale, targets * scale, widening)


_kept: Kept[Ladder] = Kept(_KEPT_BYTES)


def factorised(design: Design, many: bool = False) -> Ladder:
    """The factorised regression of a design. It is kept for later columns and queries, within a bound on its bytes."""
    key = design.content, many
    found = _kept.find(key)
    if found is None:
        found = Ladder(design, many)
        _kept.keep(key, found, found.nbytes)
    return found


def _in_order(parts: Sequence[tuple[Ints, Readings]]) -> Readings:
    """One for all columns, of those of some columns each. The errors of either all or none are known."""
    order = np.argsort(np.concatenate([some for some, _ in parts]))
    names = [name for _, each in parts for name in each.rungs]

    def together(arrays: Iterable[Floats | None]) -> Floats | None:
        known = [each for each in arrays if each is not None]
        return np.concatenate(known)[order] if known else None

    each = [fits for _, fits in parts]
    return Readings(
        np.concatenate([fits.values for fits in each])[order],
        [names[place] for place in order],
        together(fits.reading for fits in each),
        together(fits.errors for fits in each),
        together(fits.targets for fits in each),
        together(fits.widening for fits in each),
    )


def _lengths(square: Floats) -> tuple[Bools, Floats]:
    """Which directions of squared lengths `square` (…, b) are not negligible, and their lengths; 1 for the others."""
    kept = square > _NEGLIGIBLE * square.max(axis=-1, keepdims=True)
    return kept, np.sqrt(np.where(kept, square, 1.0))


def _square(reading: Floats, errors: Floats) -> Floats:
    """(columns,) the squared error of the values: Σ (errors · reading)² over pairs and players."""
    found: Floats = (np.square(reading).sum(axis=-1) * np.square(errors)).sum(axis=-1)
    return found


def _read(targets: Floats, reading: Floats) -> Floats:
    """(columns, d): a reading (…, pairs, d) applied to targets (columns, pairs), each column by itself."""
    read: Floats = (targets[:, None, :] @ reading)[:, 0, :]
    return read


def _shares(errors: Floats, press: Floats, further: Floats | None = None) -> Floats:
    """(columns, rungs) the shares of a mixture, ≥ 0 and with sum one, for which the mixed `errors` (columns, rungs,
    pairs) have the least squares; `further` (columns, rungs) are independent squares that errors do not show, in
    multiples of a rung's own. A rung with infinite `press` (columns, rungs) gets 0, unless it is the only one."""
    usable = np.isfinite(press)
    usable[:, 0] |= ~usable.any(axis=1)
    gram = errors @ errors.swapaxes(-1, -2)
    if further is not None:
        gram = gram * (1 + further[..., None] * np.eye(further.shape[1]))
    trace = np.trace(gram, axis1=1, axis2=2)
    gram = gram / np.where(trace == 0, 1.0, trace)[:, None, None] + 1e-9 * np.eye(errors.shape[1])
    rungs = usable.shape[1]
    found, left = [np.zeros((len(gram), 0, rungs))], [np.zeros((len(gram), 0))]
    for count in range(1, rungs + 1):  # all mixtures of so many rungs at once
        some = np.array(list(itertools.combinations(range(rungs), count)))
        solved = np.linalg.solve(gram[:, some[:, :, None], some[:, None, :]], np.ones((count, 1)))[..., 0]
        possible = (solved >= 0).all(axis=-1) & usable[:, some].all(axis=-1)
        squares = 1 / solved.sum(axis=-1)
        mixtures = np.zeros((len(gram), len(some), rungs))
        np.put_along_axis(mixtures, np.broadcast_to(some, solved.shape), solved * squares[..., None], axis=-1)
        found.append(mixtures)
        left.append(np.where(possible, squares, math.inf))
    best = np.concatenate(left, axis=1).argmin(axis=1)
    shares: Floats = np.concatenate(found, axis=1)[np.arange(len(gram)), best]
    return shares


def student(freedom: int) -> float:
    """t quantile / normal quantile at 97.5 % (Abramowitz & Stegun 26.7.5): widens an error estimated from few units."""
    z = 1.959963984540054
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return 1 + math.fsum(term / float(freedom) ** power for power, term in enumerate(terms, start=1)) / z


def _free(z: Floats, t: Floats) -> Iterator[Block]:
    """The features that are fitted without a penalty; each adds a rung."""
    contrasts = _contrasts(z.shape[1])
    yield Block("F0", z @ contrasts, contrasts)
    yield _profile("t³", z, t, slice(0, 1))
    yield _profile("t⁵", z, t, slice(1, 2))


def _contrasts(d: int) -> Floats:
    """(d, d − 1) orthonormal columns that sum to zero: a Householder reflection of the first axis onto the diagonal."""
    axis = np.full(d, d**-0.5)
    axis[0] -= 1
    reflection: Floats = np.eye(d) - 2 * np.outer(axis, axis) / (axis @ axis)
    return reflection[:, 1:]


def _profile(name: str, z: Floats, t: Floats, some: slice) -> Block:
    """Some of the odd functions of |S| that vanish at ∅, half and N: t³ − t, and the part of t⁵ − t that is new."""
    d = z.shape[1]
    sizes = np.arange(1, (d + 1) // 2)
    tilts = (sizes - d / 2) / (d / 2)
    by_size = np.zeros((d // 2 + 1, min(2, len(sizes))))
    by_size[sizes] = np.linalg.qr(np.column_stack([tilts**3 - tilts, tilts**5 - tilts]))[0]
    features = by_size[np.rint((t[:, 0] + 1) * d / 2).astype(np.int64), some]
    return Block(name, features, np.zeros((d, features.shape[1])))
