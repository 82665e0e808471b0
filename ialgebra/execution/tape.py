"""The batches of one query, recorded in order, so that a later run can use the same batches.

In: the batches of an earlier run, if there is one, and the planned way to run each next batch. Out: how to run it, and
the list of all batches that ran. Batches decide the last bits of an answer: a query with the batches of an earlier run
gets the same bits. It may know no model and no rows.
"""

from __future__ import annotations

from ..planner.physical import Run
from ..planner.strategy import Batches


class Tape:
    """The batches of one query, in order: first those of a `former` run, then the planned ones."""

    def __init__(self, former: Batches | None = None) -> None:
        self._former = iter(
            [Run(size, mode, table=bool(begun)) for size, mode, count, *begun in former or () for _ in range(count)]
        )
        self._ran: list[tuple[Run, int]] = []

    def next(self, planned: Run) -> Run:
        """How to run the next batch: as in the former run, else as `planned`."""
        return next(self._former, planned)

    def keep(self, run: Run) -> None:
        """Record a batch that was run."""
        run = run._replace(explore=False)
        count = self._ran.pop()[1] if self._ran and self._ran[-1][0] == run else 0
        self._ran.append((run, count + 1))

    @property
    def batches(self) -> Batches:
        """The batches that were run so far."""
        return tuple(
            (run.batch_size, run.mode, count, "table") if run.table else (run.batch_size, run.mode, count)
            for run, count in self._ran
        )
