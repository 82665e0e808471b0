"""The batches of one query, written down in order, so that another run can be given the same ones.

In: the batches of a former run, if there is one, and how each next batch is planned. Out: how to run it, and the list
of all that ran. Batches decide the last bits of an answer: a query that is given those of a former run has its bits.
It may know no model and no rows.
"""

from __future__ import annotations

from ..planner.physical import Run
from ..planner.strategy import Batches


class Tape:
    """The batches of one query, in order: those of a `former` run first, then as they are planned."""

    def __init__(self, former: Batches | None = None) -> None:
        self._former = iter([Run(size, mode) for size, mode, count in former or () for _ in range(count)])
        self._ran: list[tuple[Run, int]] = []

    def next(self, planned: Run) -> Run:
        """How to run the next batch, which is `planned` in this way."""
        return next(self._former, planned)

    def keep(self, run: Run) -> None:
        """Write down a batch that was run."""
        run = run._replace(explore=False)
        count = self._ran.pop()[1] if self._ran and self._ran[-1][0] == run else 0
        self._ran.append((run, count + 1))

    @property
    def batches(self) -> Batches:
        """What was run so far."""
        return tuple((run.batch_size, run.mode, count) for run, count in self._ran)
