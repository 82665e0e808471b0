"""The same maps without a query: Captum's `ShapleyValueSampling`, called by hand until it is as exact as our answer.

In: what a query says in one line, namely a function of batches, inputs, a baseline, players and classes; the exact
values to compare with; the error to reach. Out: the model rows and the seconds that Captum takes for it. It is given
its best settings: a batch of inputs at once, and as many coalitions a pass as it can use (those of one permutation).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from captum.attr import ShapleyValueSampling
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
MOST = 1024  # permutations that are waited for


class Cost(NamedTuple):
    """What a set of maps took, and the mean of their errors ‖φ̂ − φ‖ / ‖φ‖."""

    rows: int
    seconds: float
    error: float


@dataclass
class Counted:
    """A function of batches that counts the rows that it is given."""

    function: Callable[[Tensor], Tensor]
    rows: int = 0

    def __call__(self, batch: Tensor) -> Tensor:
        self.rows += len(batch)
        return self.function(batch)


def relative_error(values: Floats, exact: Floats) -> float:
    """The mean over maps (n, d) of ‖φ̂ − φ‖ / ‖φ‖."""
    return float(np.mean(np.linalg.norm(values - exact, axis=1) / np.linalg.norm(exact, axis=1)))


@torch.inference_mode()
def captum_values(
    function: Callable[[Tensor], Tensor],
    inputs: Tensor,
    baseline: Tensor | float,
    players: Tensor,
    targets: Tensor,
    permutations: int,
    seed: int = 0,
) -> Floats:
    """Shapley values (n, d) of the players, an integer mask (1, H, W), for one class of each input."""
    torch.manual_seed(seed)
    count = int(players.max()) + 1
    maps = ShapleyValueSampling(function).attribute(
        inputs,
        baseline,
        target=targets,
        feature_mask=players[None],
        n_samples=permutations,
        perturbations_per_eval=count,
    )
    first = [int((players.flatten() == player).nonzero()[0]) for player in range(count)]
    return maps.flatten(1)[:, first].double().numpy()  # Captum gives a player's value to each of its pixels


def captum_cost(
    function: Callable[[Tensor], Tensor],
    inputs: Tensor,
    baseline: Tensor | float,
    players: Tensor,
    targets: Tensor,
    exact: Floats,
    error: float,
    pilot: int = 8,
) -> Cost:
    """What it takes until the mean error of the maps is at most `error`.

    Errors fall with the root of the permutations, so a pilot says how many are needed; only the run with so many is on
    the clock, and a second one, with more, where the first misses. What needs more than `MOST` permutations is not
    waited for: its cost is that of `MOST`, and its error says that it did not arrive.
    """

    def cost(permutations: int) -> Cost:
        start, counted = time.perf_counter(), Counted(function)
        values = captum_values(counted, inputs, baseline, players, targets, permutations)
        return Cost(counted.rows, time.perf_counter() - start, relative_error(values, exact))

    permutations, found = pilot, cost(pilot)
    while found.error > error and permutations < MOST:
        needed = permutations * max(1.25, (found.error / error) ** 2)
        permutations = min(MOST, math.ceil(needed))
        found = cost(permutations)
    return found


def ratios(ours: Cost, theirs: Cost) -> str:
    """A sentence for the case's table."""
    return (
        f"{ours.rows:,} rows, {ours.seconds:.2f} s at an error of {ours.error:.1%}, by hand {theirs.rows:,} rows, "
        f"{theirs.seconds:.2f} s at {theirs.error:.1%}: {ours.rows / theirs.rows:.2g} of the rows, "
        f"{ours.seconds / theirs.seconds:.2g} of the seconds"
    )
