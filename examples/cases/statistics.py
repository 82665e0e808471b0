"""How sure a figure is, and how it is written down.

In: figures of several seeds, or one outcome for each of many pictures. Out: a mean with its 95 % interval, the area
under a detector's ROC curve, and Markdown tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata, t


class Interval(NamedTuple):
    """A figure and its 95 % interval."""

    mean: float
    low: float
    high: float

    def __format__(self, sign: str) -> str:
        """The figure and its interval; with the sign '+', as a difference."""
        return f"{self.mean:{sign}.3f} [{self.low:{sign}.3f}, {self.high:{sign}.3f}]"

    def __str__(self) -> str:
        return format(self)


def over_seeds(figures: ArrayLike) -> Interval:
    """The mean over seeds with Student's interval: what another seed's mean may be expected to do."""
    values = np.asarray(figures, dtype=float)
    if len(values) < 2:
        return Interval(float(values.mean()), float("nan"), float("nan"))
    reach = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return Interval(float(values.mean()), float(values.mean() - reach), float(values.mean() + reach))


def share_over_seeds(figures: ArrayLike) -> Interval:
    """The same of shares, areas under curves and F1: the interval is cut at 0 and at 1."""
    mean, low, high = over_seeds(figures)
    return Interval(mean, *(float(np.clip(end, 0.0, 1.0)) for end in (low, high)))


def bootstrap(
    statistic: Callable[..., float], *samples: ArrayLike, groups: ArrayLike | None = None, rounds: int = 2000
) -> Interval:
    """`statistic(*samples)` and its percentile interval when the cases are drawn anew, each with all its samples.

    `samples`: arrays of equal length, one entry a case. `groups`: what to draw within (the seed of each case).
    """
    arrays = [np.asarray(each) for each in samples]
    of = np.zeros(len(arrays[0]), int) if groups is None else np.asarray(groups)
    members = [np.flatnonzero(of == group) for group in np.unique(of)]
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(rounds):
        chosen = np.concatenate([random.choice(each, len(each)) for each in members])
        drawn.append(statistic(*(each[chosen] for each in arrays)))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Interval(float(statistic(*arrays)), float(low), float(high))


def auc(scores: ArrayLike, positive: ArrayLike) -> float:
    """How often a positive case scores above a negative one; ties count half. NaN where one of them is missing."""
    hit = np.asarray(positive, dtype=bool)
    n, m = int(hit.sum()), int((~hit).sum())
    if not n * m:
        return float("nan")
    ranks: NDArray[np.float64] = rankdata(scores)
    return float((ranks[hit].sum() - n * (n + 1) / 2) / (n * m))


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; the first column is words, the others are figures."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"
