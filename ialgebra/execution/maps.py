"""From values to maps: each answer's linear combination of estimates, with the standard error of the combination.

In: a plan's answers and its outcome. Out: players, values and standard errors of each map. Games under one design share
their coalitions, so their errors are added before they are squared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ..kernels.estimate import Estimate, estimate
from ..planner.games import Answer, Part, Term
from ..planner.physical import PhysicalPlan, Reading
from .executor import Outcome

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EstimatedMap:
    """One answer: `labels` (input-shaped), `values` (d,), v(∅) and v(N) of the combination, the methods used.

    `influence` (n, d) holds what each independent unit of the designs contributes to the errors of the values; None
    where the errors cannot be known.
    """

    labels: NDArray[np.int64]
    values: Array
    influence: Array | None
    base: float
    full: float
    method: str

    @property
    def stderr(self) -> Array:
        """The standard error of each value, (d,): 0 where exact, inf where it cannot be known."""
        if self.influence is None:
            return np.full(len(self.values), np.inf)
        error: Array = np.sqrt(np.square(self.influence).sum(axis=0))
        return error

    def relative_bound(self, confidence: float) -> float:
        """What ‖φ̂ − φ‖₂ / ‖φ‖₂ stays below with this confidence: 0 where exact, inf where it cannot be known.

        ‖φ̂ − φ‖² is taken for a sum of weighted χ²₁, matched in mean and variance by one scaled χ² (Satterthwaite),
        whose quantile is Wilson and Hilferty's; ‖φ‖ is at least ‖φ̂‖ less that error.
        """
        if self.influence is None:
            return math.inf
        gram = (
            self.influence @ self.influence.T
            if len(self.influence) < len(self.values)
            else self.influence.T @ self.influence
        )
        mean = float(np.trace(gram))
        if mean == 0.0:
            return 0.0
        freedom = mean**2 / float(np.square(gram).sum())
        spread = 2.0 / (9.0 * freedom)
        quantile = (1.0 - spread + NormalDist().inv_cdf(confidence) * math.sqrt(spread)) ** 3
        error = math.sqrt(mean * quantile)
        size = float(np.linalg.norm(self.values)) - error
        return error / size if size > 0.0 else math.inf


class Estimates:
    """The estimates of a plan's columns, each computed once."""

    def __init__(self, plan: PhysicalPlan, outcome: Outcome) -> None:
        self.plan = plan
        self.outcome = outcome
        self._found: dict[tuple[int, Part], list[Estimate]] = {}

    def column(self, reading: Reading, part: Part) -> Estimate:
        place = (reading.job, part)
        if place not in self._found:
            self._found[place] = estimate(self.outcome.designs[reading.job], self.outcome.values[reading.job], part)
        return self._found[place][reading.column]

    def map(self, answer: Answer, readings: Sequence[Reading]) -> EstimatedMap:
        """The map of one answer; terms on other players meet on the common refinement of their partitions."""
        labels, spreads = _refined(answer)
        count = int(labels.max(initial=-1)) + 1
        values = np.zeros(count)
        errors: dict[tuple[object, ...], Array] = {}
        known = True
        base = full = 0.0
        methods: dict[str, None] = {}
        for term, reading, spread in zip(answer.terms, readings, spreads, strict=True):
            found = self.column(reading, term.part)
            share = float(-term.coefficient if term.board.swapped else term.coefficient)
            values += share * spread(found.values)
            if len(found.influence):
                known = known and bool(np.isfinite(found.influence).all())
                key = self.outcome.designs[reading.job].key
                contribution = share * spread(found.influence) if known else np.zeros((1, count))
                errors[key] = errors[key] + contribution if known and key in errors else contribution
            table = self.outcome.values[reading.job][:, reading.column]
            ends = (float(table[0]), float(table[min(1, len(table) - 1)]))
            low, high = reversed(ends) if term.board.swapped else ends
            base += float(term.coefficient) * low
            full += float(term.coefficient) * high
            methods[self._method(reading, found)] = None
        influence = np.concatenate([np.zeros((0, count)), *errors.values()]) if known else None
        return EstimatedMap(labels, values, influence, base, full, ", ".join(methods) or "exact")

    def _method(self, reading: Reading, found: Estimate) -> str:
        method = self.plan.jobs[reading.job].spec.method
        return method if found.rung == method else f"{method} {found.rung}"


class _Spread:
    """Carries a game's values (…, active players) to the cells of an answer's map (…, cells), spread evenly over
    features."""

    def __init__(self, term: Term, cells: NDArray[np.int64] | None, sizes: NDArray[np.int64] | None) -> None:
        board = term.board
        self.active = board.active
        self.count = board.count
        self.cells = cells
        if cells is not None and sizes is not None:
            features = np.bincount(board.labels[board.labels >= 0], minlength=board.count + 1)
            self.shares = sizes / np.maximum(features, 1)[cells]

    def __call__(self, values: Array) -> Array:
        whole = np.zeros((*values.shape[:-1], self.count + 1))  # cells outside the game's window read the last: 0
        whole[..., self.active] = values
        return whole[..., :-1] if self.cells is None else whole[..., self.cells] * self.shares


def _refined(answer: Answer) -> tuple[NDArray[np.int64], list[_Spread]]:
    """The players of the answer's map, and how each term's values get there."""
    boards = {id(term.board.labels): term.board.labels for term in answer.terms}
    first = next(iter(boards.values()), answer.board.labels)
    if all(np.array_equal(first, labels) for labels in boards.values()):
        return first, [_Spread(term, None, None) for term in answer.terms]
    stack = np.stack([labels.ravel() for labels in boards.values()])
    inside = (stack >= 0).any(axis=0)
    names, where, inverse, sizes = np.unique(
        stack[:, inside], axis=1, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(where)  # as a reader meets them, whatever the order of the terms
    names, sizes, inverse = names[:, order], sizes[order], np.argsort(order)[inverse.ravel()]
    labels = np.full(stack.shape[1], -1, dtype=np.int64)
    labels[inside] = inverse
    cells = dict(zip(boards, names, strict=True))
    return labels.reshape(first.shape), [_Spread(term, cells[id(term.board.labels)], sizes) for term in answer.terms]
