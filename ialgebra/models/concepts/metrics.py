"""Figures that tell how good a dictionary is: attributes, heads and outputs in; shares and numbers out.

Each is a small pure function of tensors. R² of numbers and shares of agreement stand in `models.goals`, since heads use
them too. Knows no network, no dictionary and no report.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

USED_ABOVE = 0.2  # the mean relevance for a class above which an attribute counts as used for it
LIVE_SHARE = 1e-3  # the share of inputs that an attribute has to be above 0 for, to count as live


def relevance(attributes: Tensor, weight: Tensor, classes: Tensor) -> Tensor:
    """Local relevance (N, J) of attributes (N, J) for the class (N,) of each input, by a head's `weight` (C, J):
    r_j = α_j / max |α|, α_j = φ_j · w_{c,j} (Parekh et al., Eq. 5). An input without any active attribute has zeros."""
    share = attributes * weight.to(attributes.dtype)[classes]
    largest = share.abs().amax(dim=1, keepdim=True)
    return torch.where(largest > 0, share / torch.where(largest > 0, largest, torch.ones_like(largest)), 0.0)


def relevance_to_classes(relevances: Tensor, classes: Tensor, count: int) -> Tensor:
    """Global relevance (C, J): the mean of local ones (N, J) over the inputs of each class (N,). NaN for a class that
    no input has."""
    total = torch.zeros(count, relevances.shape[1], dtype=relevances.dtype).index_add(0, classes, relevances)
    return total / torch.bincount(classes, minlength=count).to(relevances.dtype)[:, None]


def conciseness(relevances: Tensor, tau: float) -> float:
    """CNS(τ): how many attributes of an input have |r| above 1/τ, the mean over inputs (N, J). NaN of none."""
    return float((relevances.abs() > 1 / tau).sum(dim=1).double().mean()) if len(relevances) else float("nan")


class AttributeCounts(NamedTuple):
    """How many attributes are above 0 for some inputs; matter to some class; matter to several."""

    live: int
    used: int
    shared: int


def counts(attributes: Tensor, relevance_to_class: Tensor) -> AttributeCounts:
    """Counts of attributes (N, J) by their mean relevance to classes (C, J): see `USED_ABOVE` and `LIVE_SHARE`."""
    live = (attributes > 0).double().mean(dim=0) > LIVE_SHARE
    classes = (relevance_to_class.nan_to_num().abs() > USED_ABOVE).sum(dim=0)
    return AttributeCounts(int(live.sum()), int((classes > 0).sum()), int((classes > 1).sum()))


def r_squared(guess: Tensor, truth: Tensor) -> float:
    """R² of all numbers (N, …) together: 1 − Σ(guess − truth)² / Σ(truth − its mean over inputs)². NaN of none, and 0
    of numbers that do not vary."""
    if not len(truth):
        return float("nan")
    spread = float((truth - truth.mean(dim=0)).double().square().sum())
    return 1 - float((guess - truth).double().square().sum()) / spread if spread > 0 else 0.0


def logit_r_squared(guess: Tensor, truth: Tensor) -> float:
    """`r_squared` of logits (N, C) that count up to a number of each row: what is the same for all classes is left
    out. One column is taken as it is."""
    if truth.shape[1] == 1:
        return r_squared(guess, truth)
    return r_squared(*(each - each.mean(dim=1, keepdim=True) for each in (guess, truth)))


def matched(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """For the columns of `one` (N, J), the column of `other` (N, J′) that each is matched with (J,), and the
    correlation of both (J,); each column is matched once, so that the sum of correlations is largest. Columns beyond
    the smaller number have −1 and 0. A column that does not vary correlates with none."""
    scores = _correlations(one.double(), other.double())
    partner = torch.full((len(scores),), -1)
    found = torch.zeros(len(scores), dtype=torch.float64)
    for row, column in _assignment(scores):
        partner[row], found[row] = column, scores[row, column]
    return partner, found


def matched_correlation(one: Tensor, other: Tensor) -> float:
    """The mean of `matched` correlations: how far two dictionaries' attributes (N, J) of the same inputs, or two sets
    of directions as columns, are the same up to their order. Columns of zeros, dead attributes, count as 0."""
    return float(matched(one, other)[1].mean())


def _correlations(one: Tensor, other: Tensor) -> Tensor:
    centred = [each - each.mean(dim=0) for each in (one, other)]
    lengths = [each.norm(dim=0) for each in centred]
    scaled = [each / torch.where(norm > 0, norm, 1.0) for each, norm in zip(centred, lengths, strict=True)]
    return scaled[0].T @ scaled[1]


def _assignment(scores: Tensor) -> list[tuple[int, int]]:
    """Pairs (row, column), each row and column once at most, of the largest sum of scores: the Hungarian method with
    potentials, row by row."""
    if scores.shape[0] > scores.shape[1]:
        return [(row, column) for column, row in _assignment(scores.T)]
    rows, columns = scores.shape
    cost = (-scores).tolist()
    row_price, column_price = [0.0] * rows, [0.0] * columns
    holder = [-1] * columns  # the row that holds each column
    for row in range(rows):
        best, came_from = [float("inf")] * columns, [-1] * columns
        visited = [False] * columns
        current, last = row, -1
        while True:
            step, nearest = float("inf"), -1
            for column in range(columns):
                if visited[column]:
                    continue
                reduced = cost[current][column] - row_price[current] - column_price[column]
                if reduced < best[column]:
                    best[column], came_from[column] = reduced, last
                if best[column] < step:
                    step, nearest = best[column], column
            row_price[row] += step
            for column in range(columns):
                if visited[column]:
                    row_price[holder[column]] += step
                    column_price[column] -= step
                else:
                    best[column] -= step
            visited[nearest], last = True, nearest
            if holder[nearest] == -1:
                break
            current = holder[nearest]
        while last != -1:  # each column on the way passes to the row that reached it
            before = came_from[last]
            holder[last] = row if before == -1 else holder[before]
            last = before
    return [(row, column) for column, row in enumerate(holder) if row >= 0]
