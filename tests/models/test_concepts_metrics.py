"""The figures of a dictionary are what ten lines of NumPy say."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from ialgebra.models.concepts import metrics

RNG = np.random.default_rng(0)
PHI = np.maximum(RNG.normal(size=(40, 6)), 0)
PHI[3] = 0  # an input without any active attribute
PHI[:, 5] = 0  # a dead attribute
WEIGHT = RNG.normal(size=(3, 6))
CLASSES = RNG.integers(0, 2, size=40)  # no input is of class 2


def _relevances() -> np.ndarray:
    found = np.zeros_like(PHI)
    for n in range(len(PHI)):
        share = [PHI[n, j] * WEIGHT[CLASSES[n], j] for j in range(6)]
        largest = max(abs(each) for each in share)
        for j in range(6):
            found[n, j] = share[j] / largest if largest else 0.0
    return found


def _tensors() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.from_numpy(PHI), torch.from_numpy(WEIGHT), torch.from_numpy(CLASSES)


def test_local_relevance_is_the_share_of_the_largest() -> None:
    np.testing.assert_allclose(metrics.relevance(*_tensors()).numpy(), _relevances(), atol=1e-12)


@pytest.mark.parametrize("tau", [1.5, 2, 5])
def test_conciseness_counts_what_is_above_one_over_tau(tau: float) -> None:
    expected = np.mean([sum(abs(r) > 1 / tau for r in row) for row in _relevances()])
    assert metrics.conciseness(metrics.relevance(*_tensors()), tau) == pytest.approx(expected)


def test_relevance_to_classes_is_a_mean_and_nan_without_inputs() -> None:
    found = metrics.relevance_to_classes(metrics.relevance(*_tensors()), torch.from_numpy(CLASSES), 3).numpy()
    expected = np.array([_relevances()[c == CLASSES].mean(axis=0) for c in range(2)])
    np.testing.assert_allclose(found[:2], expected, atol=1e-12)
    assert np.isnan(found[2]).all()


def test_counts_of_live_used_and_shared_attributes() -> None:
    attributes = torch.tensor([[1.0, 0, 2, 0], [0, 0, 1, 1]])
    to_class = torch.tensor([[0.9, 0.0, 0.3, 0.1], [0.0, 0.0, -0.4, 0.1], [math.nan] * 4])
    assert metrics.counts(attributes, to_class) == (3, 2, 1)


def test_r_squared_of_all_numbers_together() -> None:
    truth, guess = RNG.normal(size=(20, 3)), RNG.normal(size=(20, 3))
    expected = 1 - ((guess - truth) ** 2).sum() / ((truth - truth.mean(axis=0)) ** 2).sum()
    assert metrics.r_squared(torch.from_numpy(guess), torch.from_numpy(truth)) == pytest.approx(expected)
    assert metrics.r_squared(torch.ones(4, 2), torch.ones(4, 2)) == 0  # nothing varies
    assert math.isnan(metrics.r_squared(torch.ones(0, 2), torch.ones(0, 2)))


def test_logit_r_squared_leaves_out_what_all_classes_share() -> None:
    truth = torch.from_numpy(RNG.normal(size=(20, 3)))
    assert metrics.logit_r_squared(truth + torch.arange(20.0)[:, None], truth) == pytest.approx(1)
    assert metrics.logit_r_squared(truth[:, :1] + 1, truth[:, :1]) < 1


@pytest.mark.parametrize(("one", "other"), [(4, 4), (3, 5), (5, 3)])
def test_matching_is_the_best_of_all_matchings(one: int, other: int) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        a, b = rng.normal(size=(12, one)), rng.normal(size=(12, other))
        table = np.array([[np.corrcoef(a[:, i], b[:, j])[0, 1] for j in range(other)] for i in range(one)])
        few = min(one, other)
        best = max(
            sum(table[i, j] for i, j in zip(rows, columns, strict=True))
            for rows in itertools.combinations(range(one), few)
            for columns in itertools.permutations(range(other), few)
        )
        partner, found = metrics.matched(torch.from_numpy(a), torch.from_numpy(b))
        assert float(found.sum()) == pytest.approx(best)
        taken = [int(p) for p in partner if p >= 0]
        assert len(set(taken)) == len(taken) == few
        assert metrics.matched_correlation(torch.from_numpy(a), torch.from_numpy(b)) == pytest.approx(best / one)


def test_a_reordered_and_scaled_dictionary_is_the_same_one() -> None:
    a = torch.from_numpy(np.maximum(RNG.normal(size=(50, 8)), 0))
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    partner, found = metrics.matched(a, 3 * a[:, order])
    assert torch.equal(order[partner], torch.arange(8))
    assert float(found.min()) == pytest.approx(1)
    assert metrics.matched_correlation(a, torch.zeros_like(a)) == 0
