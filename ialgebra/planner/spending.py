"""What a query spends: rows and seconds, added up from single batches to the statistics of an answer.

In: what a batch ran, and what the store knew. Out: the sum over an execution and over all rounds of a query. It may
know no plan, no model and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Spending:
    """Model rows that were run, and rows that were found in the store; `+` adds two of these values."""

    rows: int = 0  # inputs pushed through a model
    batches: int = 0
    forward_seconds: float = 0.0  # seconds in the models' passes only
    hits: Mapping[str, int] = field(default_factory=dict)  # rows found in the store, by what they were run for
    checks: Mapping[str, int] = field(default_factory=dict)  # rows that were run to check others, by what was found
    examined: int = 0  # rows run to learn whether a model is a function of its row; they are not among `rows`
    read_back: int = 0  # columns whose estimates were kept from an earlier query, and not made again
    tabled: int = 0  # of `rows`, those whose passes began from pattern tables
    table_rows: int = 0  # rows run to make and to check such tables; they are not among `rows`
    table_seconds: float = 0.0  # seconds that these took

    @property
    def reused(self) -> int:
        """Rows that were not run, because the session or another game of the query had run them before."""
        return sum(self.hits.values())

    @property
    def batch_seconds(self) -> float:
        """The mean seconds of a batch; 0 before the first batch."""
        return self.forward_seconds / max(1, self.batches)

    def __add__(self, other: Spending) -> Spending:
        return Spending(
            self.rows + other.rows,
            self.batches + other.batches,
            self.forward_seconds + other.forward_seconds,
            _sum(self.hits, other.hits),
            _sum(self.checks, other.checks),
            self.examined + other.examined,
            self.read_back + other.read_back,
            self.tabled + other.tabled,
            self.table_rows + other.table_rows,
            self.table_seconds + other.table_seconds,
        )


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    found = dict(one)
    for kind, rows in other.items():
        if rows:
            found[kind] = found.get(kind, 0) + rows
    return found
