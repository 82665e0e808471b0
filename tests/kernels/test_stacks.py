"""Columns that are estimated together, compared with each column by the definitions, one at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ialgebra.kernels.complement import Complement
from ialgebra.kernels.covariance import Prior, distance, mixture
from ialgebra.kernels.estimators.registry import design, estimate
from ialgebra.kernels.hindsight import _half, stated
from ialgebra.kernels.ladder import STRENGTHS, Ladder, Path
from ialgebra.system.arrays import Floats


def games(coalitions: np.ndarray, count: int, seed: int) -> Floats:
    """Smooth games of all kinds: linear, products, thresholds, nothing at all; (rows, count)."""
    rng, inside = np.random.default_rng(seed), coalitions.astype(float)
    d = inside.shape[1]
    kinds = (
        lambda: np.tanh(inside @ rng.normal(size=(d, 6)) / 2).sum(axis=1),
        lambda: inside @ rng.normal(size=d),
        lambda: np.prod(1 + inside * rng.normal(size=d) / 5, axis=1),
        lambda: inside[:, :3].all(axis=1) + inside @ rng.normal(size=d) / 10,
        lambda: np.zeros(len(inside)),
        lambda: (inside @ rng.normal(size=d)).astype(np.float32).astype(float),
    )
    return np.stack([kinds[k % len(kinds)]() for k in range(count)], axis=1)


def test_the_complement_is_orthonormal_and_orthogonal_to_the_columns() -> None:
    rng = np.random.default_rng(0)
    for n, p in ((9, 4), (30, 1), (40, 39)):
        features = rng.normal(size=(n, p))
        found = Complement(features)
        basis = found.beyond(np.eye(n - p))
        np.testing.assert_allclose(basis.T @ basis, np.eye(n - p), atol=1e-13)
        np.testing.assert_allclose(features.T @ basis, 0, atol=1e-12)
        matrices = rng.normal(size=(3, n, n))
        matrices = matrices + matrices.swapaxes(-1, -2)
        np.testing.assert_allclose(found.within(matrices), basis.T @ matrices @ basis, atol=1e-11)


def test_a_column_that_is_zero_below_needs_no_reflection() -> None:
    features = np.eye(6)[:, :2]
    basis = Complement(features).beyond(np.eye(4))
    np.testing.assert_allclose(np.abs(basis[2:]), np.eye(4), atol=1e-15)
    np.testing.assert_allclose(basis[:2], 0, atol=1e-15)


def test_no_rates_are_rates_of_zero() -> None:
    rng = np.random.default_rng(1)
    signs = np.sign(rng.normal(size=(20, 7)))
    index, centres = rng.normal(size=(3, 7)), np.arange(0, 20, 2)
    found, expected = (distance(signs, centres, rates, index, 1.0) for rates in (None, np.zeros((3, 7))))
    np.testing.assert_allclose(found.covariance, expected.covariance, atol=1e-14)
    np.testing.assert_allclose(found.effects, expected.effects, atol=1e-14)
    with pytest.raises(ValueError, match="without rates a finite width is needed"):
        distance(signs, centres, None, index, math.inf)


def test_a_mixture_leaves_its_priors_as_they_were() -> None:
    rng = np.random.default_rng(2)
    flat = Prior(rng.random((4, 4)), rng.random((4, 3)))
    deep = Prior(rng.random((2, 4, 4)), rng.random((2, 4, 3)))
    before = [each.copy() for each in (*flat, *deep)]
    for terms in ((flat, deep), (deep, flat), (flat, flat), (deep, deep)):
        found = mixture(np.arange(4), *((0.5, each) for each in terms))
        scaled = [
            each.covariance * (0.5 / np.diagonal(each.covariance, axis1=-2, axis2=-1).mean(axis=-1))[..., None, None]
            for each in terms
        ]
        np.testing.assert_allclose(found.covariance, scaled[0] + scaled[1], rtol=1e-14)
    assert all((one == other).all() for one, other in zip(before, (*flat, *deep), strict=True))


def path_of(ladder: Ladder, prior: Prior, target: Floats) -> list[tuple[Floats, Floats]]:
    """For each strength the leave-one-out errors of a process and the readings of the pairs, by projections and the
    inverse of the whole covariance: the definition."""
    weight, free = ladder.root_weight, ladder.features
    covariance = weight[:, None] * prior.covariance * weight
    beyond = np.eye(len(free)) - free @ np.linalg.pinv(free)
    typical = np.trace(beyond @ covariance @ beyond) / len(free)
    root = (ladder.effects @ np.linalg.pinv(free)).T
    found = []
    for strength in STRENGTHS:
        noise = strength * typical
        left = beyond @ np.linalg.inv(beyond @ covariance @ beyond + noise * np.eye(len(free))) @ beyond
        smooth = left @ (weight[:, None] * prior.effects)
        rest = left @ covariance @ root
        found.append(((left @ target) / np.diagonal(left), root + smooth - rest))
    return found


@pytest.mark.parametrize(("players", "rows"), [(6, 50), (9, 120), (12, 130)])
def test_the_path_of_a_process_is_that_of_its_covariance(players: int, rows: int) -> None:
    made = design("regression", players, rows, 4)
    ladder, rng = Ladder(made), np.random.default_rng(players)
    values, target = rng.normal(size=players), rng.normal(size=(rows - 2) // 2)
    rates = 7 / players * (np.abs(values) / np.abs(values).mean()) ** 0.7
    signs, centres = ladder.signs, ladder.centres
    index = values / np.sqrt(np.square(values).sum())
    learned = mixture(
        centres,
        (0.1, ladder.terms),
        (1.0, distance(signs, centres, rates, index, 1.0)),
        (2.0, distance(signs, centres, 0 * rates, index, 1.0)),
    )
    threes = distance(signs, centres, rates / 8, index, math.inf)
    assert ladder.smooth is not None
    cases: list[tuple[Path, Prior]] = [
        (ladder.smooth, ladder.plain()),
        (ladder.learned(values), learned),
        (ladder.threes(values), threes),
    ]
    for path, prior in cases:
        for rung, (errors, reading) in enumerate(path_of(ladder, prior, target)):
            if STRENGTHS[rung] < 1e-3:  # where rounding is a part of the directions that are left out
                continue
            scale = np.abs(errors).max()
            np.testing.assert_allclose(path.errors(target)[:, rung], errors, atol=1e-6 * scale)
            np.testing.assert_allclose(path.reading(rung), reading, atol=1e-6 * np.abs(reading).max())


@pytest.mark.parametrize(("players", "rows", "count"), [(6, 50, 70), (9, 100, 90), (16, 128, 150)])
@pytest.mark.usefixtures("two_threads")
def test_a_column_of_many_is_bit_for_bit_what_it_is_alone(players: int, rows: int, count: int) -> None:
    """Over several stacks and two threads."""
    made = design("regression", players, rows, 1)
    values = games(made.coalitions, count, players)
    together = estimate(made, values)
    for k in (*range(7), count // 2, count - 2, count - 1):
        (alone,) = estimate(made, values[:, [k]])
        assert alone.rung == together[k].rung
        assert (alone.values == together[k].values).all()
        assert (alone.influence == together[k].influence).all()


def literally_stated(made_rows: int, players: int, whole: dict[str, Floats], half: dict[str, Floats] | None) -> Floats:
    """What each pair adds to the stated errors of one column: by its own error, and by what no pair has shown."""
    influence = whole["reading"] * whole["errors"][:, None]
    square = float(np.square(influence).sum())
    ratio = 0.75
    if half is not None:
        own = half["reading"] * half["errors"][:, None]
        gram = own.T @ own
        before = float(np.trace(gram))
        if before > 1e-12 * float(np.square(half["values"]).sum()):
            freedom = before**2 / float(np.square(gram).sum())
            before *= (float(whole["widening"]) / float(half["widening"])) ** 2
            moved = float(np.square(whole["values"] - half["values"]).sum())
            found = freedom * min(moved / max(before - square, 0.3 * before), 4.0)
            ratio = (6 * 0.75 + found) / (6 + freedom)
    sizes = np.square(whole["reading"]).sum(axis=1) * np.square(whole["targets"])
    linear = not square > 1e-12 * float(np.square(whole["values"]).sum())
    doubt = 0.0
    if sizes.sum() > 0 and not (linear and made_rows >= 1024):
        ordered = np.sort(np.abs(whole["targets"] / whole["weight"]))[::-1]
        ordered = ordered[ordered > 0]
        count = min(max(10, len(ordered) // 10), len(ordered) - 1)
        tail = float(np.log(ordered[:count] / ordered[count]).mean()) if count > 2 else 0.0
        tail = min(tail, 0.9)
        unmet = 0.009 * min(max(0.0, players - 1 - math.log2(len(sizes))), 50) + 0.75 * tail**3 / (1 - tail)
        unmet = max(unmet, 1.2) if linear else unmet
        doubt = unmet * math.sqrt(sizes.max() / sizes.sum())
    each = np.concatenate([whole["errors"] * math.sqrt(ratio), whole["targets"] * doubt])
    return np.tile(whole["reading"], (2, 1)) * each[:, None]


@pytest.mark.parametrize(("players", "rows"), [(5, 24), (8, 40), (10, 120), (16, 128)])
def test_stated_errors_of_a_stack_are_those_of_the_definition(players: int, rows: int) -> None:
    made = design("regression", players, rows, 2)
    values = games(made.coalitions, 12, 3).T.copy()
    assert made.pairs is not None
    size = made.pairs.size
    kept = np.zeros(len(size), dtype=bool)  # the first half of the pairs of each size
    for s in np.unique(size):
        of_size = np.flatnonzero(size == s)
        kept[of_size[: (len(of_size) + 1) // 2]] = True
    ladder = Ladder(made)
    scale = np.abs(values).max(axis=1, keepdims=True)
    scale[scale == 0] = 1
    found, fits = stated(made, values), ladder.fit(values / scale)
    parts = None
    if kept.sum() >= 1.5 * players:
        half = _half(made)
        assert half is not None
        assert len(half.rows) == 2 + 2 * kept.sum()
        parts = Ladder(half.design).fit((values / scale)[:, half.rows])

    def column(of: object, k: int) -> dict[str, Floats]:
        names = ("values", "reading", "errors", "targets", "widening")
        return {name: np.asarray(getattr(of, name)[k]) for name in names}

    for k, each in enumerate(found):
        whole = column(fits, k) | {"weight": ladder.root_weight}
        expected = literally_stated(len(size), players, whole, None if parts is None else column(parts, k)) * scale[k]
        np.testing.assert_allclose(each.values, fits.values[k] * scale[k], rtol=1e-15)
        np.testing.assert_allclose(each.influence, expected, rtol=1e-11, atol=1e-15 * np.abs(expected).max(initial=0))


@pytest.mark.parametrize("players", [1, 2, 5, 9])
def test_exact_values_of_a_stack_are_bit_for_bit_sums_over_each_player(players: int) -> None:
    made = design("exact", players, 1 << players, 0)
    values = np.random.default_rng(players).normal(size=(1 << players, 40)) ** 3
    size = made.coalitions.sum(axis=1)
    share = [1 / (players * math.comb(players - 1, s)) for s in range(players)]
    for part in ("shapley", "with", "without"):
        for column, found in zip(values.T, estimate(made, values, part), strict=True):  # type: ignore[arg-type]
            weighted = np.ascontiguousarray(column)
            a = np.array([(weighted * np.r_[0, share][size])[m].sum() for m in made.coalitions.T])
            b = np.array([(weighted * np.r_[share, 0][size])[~m].sum() for m in made.coalitions.T])
            assert (found.values == {"shapley": a - b, "with": a, "without": b}[part]).all()
