"""What a query takes, in one value that is counted up from a batch to the statistics of an answer.

In: what a batch ran, and what the store knew. Out: their sum, over an execution and over all rounds of a query. It may
know no plan, no model and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Spending:
    """Model rows that were run, and rows that the store knew; two of them add up."""

    rows: int = 0  # inputs pushed through a model
    batches: int = 0
    forward_seconds: float = 0.0  # of the models' passes alone
    hits: Mapping[str, int] = field(default_factory=dict)  # rows found in the store, by what they were evaluated for

    @property
    def reused(self) -> int:
        """Rows that were not run, because the session or another game of the query had paid for them."""
        return sum(self.hits.values())

    @property
    def batch_seconds(self) -> float:
        """What a batch took on average; 0 before the first."""
        return self.forward_seconds / max(1, self.batches)

    def __add__(self, other: Spending) -> Spending:
        hits = dict(self.hits)
        for kind, rows in other.hits.items():
            if rows:
                hits[kind] = hits.get(kind, 0) + rows
        return Spending(
            self.rows + other.rows,
            self.batches + other.batches,
            self.forward_seconds + other.forward_seconds,
            hits,
        )
