"""The executions of one query, one after the other: what they may take, and what they have taken together.

In: physical plans. Out: their outcomes, the sum of what they took, and for watchers how the query stands, batch by
batch. It decides nothing and estimates nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from ..catalog.catalog import Catalog
from ..execution.execution import Execution, Executor, Progress, TimeUp
from ..execution.store import Store
from ..execution.tables import Outcome
from ..execution.tape import Tape
from ..models.network import Network
from ..planner.physical import PhysicalPlan
from ..planner.spending import Spending


class Standing(NamedTuple):
    """How a query stands: rows and seconds so far, the rows forecast in all, the error reached and the one asked for
    (None where not known, or not asked)."""

    rows: int
    forecast: int | None
    seconds: float
    error: float | None
    asked: float | None


Watch = Callable[[Standing], None]


@dataclass
class Running:
    """One query under way. A model's first row, which tells its layers, is counted with the query that ran it."""

    catalog: Catalog
    store: Store
    tape: Tape
    seconds_allowed: float = math.inf
    now: float | None = None  # when it began, as the store counts
    started: float = field(init=False)
    spending: Spending = field(default_factory=Spending)
    _unknown: list[Network] = field(init=False)

    def __post_init__(self) -> None:
        self.started = time.perf_counter()
        self._unknown = [network for network in self.catalog.models.values() if not network.probed]

    def execute(
        self, plan: PhysicalPlan, progress: Progress | None = None, *, deadline: float = math.inf
    ) -> Outcome | None:
        """Run a plan, and count what it takes even where it fails; None where `deadline` passed before its rows were
        in."""
        executor = Executor(self.catalog, self.store, self.tape, deadline, progress, now=self.now)
        execution = Execution(executor, plan)
        try:
            return execution.run()
        except TimeUp:
            return None
        finally:
            self._count(execution.outcome)

    def last_start(self, plan: PhysicalPlan) -> float:
        """When the last batch of a plan must begin: one that begins later would end too late, and the estimate of what
        is in takes its time too."""
        return self.deadline - self.spending.batch_seconds - plan.overhead

    def _count(self, outcome: Outcome) -> None:
        self.spending += outcome.spending + Spending(rows=sum(network.probed for network in self._unknown))
        self._unknown = [network for network in self._unknown if not network.probed]

    @property
    def deadline(self) -> float:
        """A time of `time.perf_counter`."""
        return self.started + self.seconds_allowed

    @property
    def seconds(self) -> float:
        """Seconds since the query began."""
        return time.perf_counter() - self.started

    @property
    def late(self) -> bool:
        return time.perf_counter() >= self.deadline

    @property
    def affordable(self) -> float:
        """How many more rows fit before the deadline, if they take as long as those so far."""
        now = time.perf_counter()
        rows = self.spending.rows
        return (self.deadline - now) * rows / (now - self.started) if rows else math.inf
