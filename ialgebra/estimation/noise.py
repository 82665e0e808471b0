"""The noise of random models, carried through the weights of estimators into the errors of values.

In: a game's design, its values, its estimate, and how large the noise of the values is. Out: what the noise adds to the
errors, as rows of influence: those of v(∅) and v(N), which games may share, and those of all other rows. A value is
linear in the values of coalitions, given what an estimator fitted, so values that are read again with noise added tell
its weights. What an estimator takes for an error of sampling holds a part of the noise already: only the rest is added.
It knows numbers and designs; it may not know outcomes, the catalog or models.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..kernels.coalitions import Design
from ..kernels.estimators.estimate import Estimate
from ..kernels.estimators.registry import complete, reader_of
from ..kernels.ladder import student
from ..kernels.log_odds import are_probabilities
from ..models.noise import NoiseLevel
from ..system.arrays import Floats

Read = Callable[[Floats], Sequence[Estimate]]  # values (m, columns) to an estimate for each column

_DRAWS, _FEWEST_DRAWS = 48, 6  # times that values are read again with noise
_SECONDS = 1.0  # that this may take, unless the fewest draws take longer
_PRIOR_DRAWS = 16  # with which the mean variance of all players counts in each player's
_SEED = 20110  # of the noise that is added: an answer depends on no generator


@dataclass(frozen=True, eq=False)
class CarriedNoise:
    """What noise adds to the errors of a game's values: influences of v(∅) (d,), of v(N) (d,), and of the other rows
    (n, d)."""

    empty: Floats
    full: Floats
    rest: Floats

    def of(self, share: float, spread: Callable[[Floats], Floats]) -> CarriedNoise:
        """The noise of `share` times the values, which `spread` makes values of other cells of (rows of influence)."""
        empty, full = share * spread(np.stack([self.empty, self.full]))
        return CarriedNoise(empty, full, share * spread(self.rest))

    def scaled(self, known: NoiseLevel, level: NoiseLevel) -> CarriedNoise:
        """The noise of another column of the same design, whose values have another `level` than the `known` one."""
        pairs = ((level.empty, known.empty), (level.full, known.full), (level.between, known.between))
        empty, full, rest = (one / other if other else 0.0 for one, other in pairs)
        return CarriedNoise(self.empty * empty, self.full * full, self.rest * rest)


def carried(read: Read, design: Design, column: Floats, found: Estimate, level: NoiseLevel) -> CarriedNoise:
    """What noise of this `level` adds to the errors of `found`, the estimate of `column` (m,)."""
    added = np.zeros((len(column), 2))
    added[0, 0], added[min(1, len(column) - 1), 1] = level.empty, level.full
    empty, full = (each.values - found.values for each in read(_noisy(column, added)))
    widened = student(max(1, int(level.freedom)))  # since the noise was measured on few rows
    if complete(design.method):
        rest = level.between * _of_all_coalitions(read, design)
        return CarriedNoise(empty * widened, full * widened, rest * widened)
    again = read(_noisy(column, level.between * _draws(design)))
    rest = np.stack([each.values - found.values for each in again]) / math.sqrt(len(again))
    ends, whole = np.square(empty) + np.square(full), np.square(rest).sum(axis=0)
    # Few draws tell a player's variance badly, and designs treat all players alike.
    inner = (len(again) * whole + _PRIOR_DRAWS * whole.mean()) / (len(again) + _PRIOR_DRAWS)
    if len(found.influence) and all(each.known for each in (found, *again)):
        # The errors of sampling grow by a share of the noise that is added, which is the share that they hold.
        grown = np.mean([np.square(each.stderr) for each in again], axis=0) - np.square(found.stderr)
        inner = inner * (1 - np.clip(grown.sum() / max(inner.sum(), np.finfo(float).tiny), 0.0, 1.0))
    share = widened * np.sqrt((ends + inner) / np.where(ends + whole > 0, ends + whole, 1.0))
    return CarriedNoise(empty * share, full * share, rest * share)


def _noisy(column: Floats, noise: Floats) -> Floats:
    """A column with noise (rows, draws). Probabilities stay probabilities, so that they are read alike."""
    noisy: Floats = column[:, None] + noise
    if are_probabilities(column[None]).all():
        noisy = np.clip(noisy, column.min() / 2, (1 + column.max()) / 2)
    return noisy


def _draws(design: Design) -> Floats:
    """Noise (rows, draws) of variance 1 for all rows but ∅ and N; fewer draws, if to read a column takes long."""
    rows = len(design.coalitions)
    seconds = reader_of(design).seconds(design.players, rows, 1)
    count = int(np.clip(_SECONDS / max(seconds, 1e-9), _FEWEST_DRAWS, _DRAWS))
    noise = np.zeros((rows, count))
    noise[2:] = np.random.default_rng(_SEED).standard_normal((max(0, rows - 2), count))
    return noise


def _of_all_coalitions(read: Read, design: Design) -> Floats:
    """The influences (d, d) of noise of variance 1 in every row but ∅ and N, of a design with every coalition.

    Its players are all alike: a coalition of size s counts p_s for its members and q_s for others, which one coalition
    of each size tells. So the covariance of two players' values is b, and each player's variance a.
    """
    d, size = design.players, design.coalitions.sum(axis=1)
    a = b = 0.0
    for s in range(1, d):
        place = int(np.flatnonzero(size == s)[0])
        (response,) = read(np.eye(1, len(size), place).T)
        member = design.coalitions[place]
        p, q = response.values[member][0], response.values[~member][0]
        a += math.comb(d - 1, s - 1) * p**2 + math.comb(d - 1, s) * q**2
        if d > 1:
            both, one, none = (math.comb(d - 2, s - k) if s >= k else 0 for k in (2, 1, 0))
            b += both * p**2 + none * q**2 + 2 * one * p * q
    alike, mean = math.sqrt(max(0.0, a - b)), np.full((d, d), 1 / max(1, d))
    root: Floats = alike * (np.eye(d) - mean) + math.sqrt(max(0.0, a + (d - 1) * b)) * mean
    return root


def combined(parts: Iterable[tuple[Hashable, Hashable, Floats]]) -> Floats:
    """The influences (n, cells) of parts (draw, column, influence), each (n, cells) or (cells,).

    Parts of one draw, such as an end that two games share, are added where they read one column of it; of different
    columns it is unknown how they vary together, so that the worst is assumed. Other parts are independent.
    """
    draws: dict[Hashable, dict[Hashable, Floats]] = defaultdict(dict)
    for draw, column, influence in parts:
        rows = np.atleast_2d(influence)
        known = draws[draw].get(column)
        draws[draw][column] = rows if known is None or known.shape != rows.shape else known + rows
    return np.concatenate(
        [math.sqrt(len(columns)) * np.concatenate(list(columns.values())) for columns in draws.values()]
    )
