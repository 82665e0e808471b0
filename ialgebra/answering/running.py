"""The executions of one query, one after the other: how long they may take, and what they have cost together.

In: physical plans. Out: their outcomes, and the sum of their costs. It decides nothing and estimates nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

from ..catalog.catalog import Catalog
from ..errors import ModelError
from ..execution.earlier import Earlier
from ..execution.execution import Execution, Executor, Progress, TimeUp
from ..execution.store import Store
from ..execution.tables import Outcome, ReadOtherwise
from ..execution.tape import Tape
from ..kernels.coalitions import Design
from ..models.network import Network
from ..planner.physical import PhysicalPlan
from ..planner.sampling import DesignSpec
from ..planner.spending import Spending
from ..results.assemble import say


class Standing(NamedTuple):
    """The progress of a query: rows and seconds so far, the forecast of all rows, the error reached (None: unknown) and
    the error asked for (None: no bound)."""

    rows: int
    forecast: int | None
    seconds: float
    error: float | None
    asked: float | None


Watch = Callable[[Standing], None]


class RunsRows(Protocol):
    """One run: of the games of a plan, or of whole inputs. `outcome` holds what it cost so far, also after an error."""

    @property
    def outcome(self) -> Outcome: ...

    def run(self) -> Outcome: ...


@dataclass
class Running:
    """One running query. The probe of a model, one row that shows its layers, counts as a row of the query that ran it
    if the query needs that row, and else among the rows that were examined."""

    catalog: Catalog
    store: Store
    tape: Tape
    seconds_allowed: float = math.inf
    now: float | None = None  # the store's time at which the query began
    started: float = field(init=False)
    spending: Spending = field(default_factory=Spending)
    contents: dict[str, tuple[object, ...]] = field(default_factory=dict)  # of each model that ran
    heads: dict[str, dict[int, tuple[int, int]]] = field(default_factory=dict)  # of each model that ran, by layer
    earlier: Earlier = field(default_factory=Earlier)  # what the runs so far have found
    _unknown: list[Network] = field(init=False)
    _examined: int = field(init=False)

    def __post_init__(self) -> None:
        self.started = time.perf_counter()
        self._unknown = [network for network in self.catalog.models.values() if not network.probed]
        self._examined = self._rows_examined()

    def execute(
        self,
        plan: PhysicalPlan,
        progress: Progress | None = None,
        *,
        deadline: float = math.inf,
        more: bool = True,
    ) -> Outcome | None:
        """Run a plan; None if `deadline` passed before all its rows were run. Its cost is counted also if it fails. If
        `more` runs may follow, they get what this one finds."""
        made: list[Execution] = []
        try:
            return self.performed(partial(self._execution, plan, made), plan.inputs, progress, deadline=deadline)
        finally:
            if more and made[-1].made is not None:
                self.earlier.take(made[-1].made)

    @staticmethod
    def _execution(plan: PhysicalPlan, made: list[Execution], executor: Executor) -> Execution:
        """A run of a plan, which is added to those that were `made`."""
        made.append(Execution(executor, plan))
        return made[-1]

    def performed(
        self,
        execution_of: Callable[[Executor], RunsRows],
        inputs: Iterable[str],
        progress: Progress | None = None,
        *,
        deadline: float = math.inf,
    ) -> Outcome | None:
        """Run an execution, which reads registered `inputs`, as `execute` runs that of a plan. It is made anew where a
        row shows that the outputs of a model are read otherwise."""
        how = Executor(self.catalog, self.store, self.tape, deadline, progress, now=self.now, earlier=self.earlier)
        execution = execution_of(how)
        try:
            return execution.run()
        except ReadOtherwise as found:
            self.earlier = Earlier()
            say(
                f"model '{found.model}' returned a row that is read otherwise than those before: its outputs are "
                f"{found.after.named} from now on, not {found.before.named}; ask earlier questions again, or say "
                "what it returns: register_model(…, outputs=…)"
            )
        except TimeUp:
            return None
        except ModelError as error:
            if error.row is None:
                error.message += self.catalog.how_read(inputs)
            raise
        finally:
            self._count(execution.outcome)
        return self.performed(execution_of, inputs, progress, deadline=deadline)

    def known(self, plan: PhysicalPlan) -> tuple[Outcome, bool]:
        """What the store knows of a plan: its tables, NaN where a row is not known, and whether they are whole. Only
        the ends of its games are run, if they must be."""
        made: list[Execution] = []
        whole = self.performed(partial(self._execution, plan, made), plan.inputs, deadline=-math.inf) is not None
        return made[-1].outcome, whole

    def design(self, spec: DesignSpec) -> Design:
        """The coalitions that a spec stands for."""
        return Executor(self.catalog, self.store, self.tape).design(spec)

    def last_start(self, plan: PhysicalPlan) -> float:
        """The latest time at which a batch of a plan may begin, so that the batch and the estimation after it end
        before the deadline."""
        return self.deadline - self.spending.batch_seconds - plan.overhead

    def _count(self, outcome: Outcome) -> None:
        probed = [network.name in outcome.probed for network in self._unknown if network.probed]
        self.contents |= outcome.contents
        self.heads |= outcome.heads
        self.spending += outcome.spending + Spending(rows=sum(probed), examined=len(probed) - sum(probed))
        self._unknown = [network for network in self._unknown if not network.probed]
        before, self._examined = self._examined, self._rows_examined()
        self.spending += Spending(examined=self._examined - before)

    def _rows_examined(self) -> int:
        return sum(network.behaviour.rows for network in self.catalog.models.values())

    @property
    def deadline(self) -> float:
        """When the query must end, in the time of `time.perf_counter`."""
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
