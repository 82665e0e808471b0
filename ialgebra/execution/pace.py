"""How the next batch of a pass is run: as planned, or, in a long pass, in another way that is worth a trial.

In: a pass, its networks, whose profiles learn what every batch took, and the tables that its rows could begin from.
Out: how to run the next batch: rows, mode, from a table or whole. Trials spend the query's own rows, so learning what a
model's passes cost takes no row of its own. It may see no value of a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..models.network import Network
from ..planner.cost import cheapest, forward_cost, forward_costs, runs
from ..planner.physical import Cost, Pass, Run
from ..planner.tabled import TablesOfPass

_WORTH_TRIALS = 2.0  # seconds that the rest of a pass must take; in shorter ones a trial costs more than it can save
_TRIAL_SHARE = 3  # a trial may take 1/3 of the rows that are left
_TRIAL_BATCHES = 2  # batches of a trial; the first also sets up kernels, and is not counted
_ALL_ROWS = 1 << 20  # rows for which ways to run a pass are compared if the number of rows left does not matter


class Pace:
    """How the batches of one pass are run, one after the other. With `tables`, whether they begin from them is decided
    for the rows that are left."""

    def __init__(self, each: Pass, networks: Sequence[Network], tables: TablesOfPass | None = None) -> None:
        self.layers = each.layers
        self.networks = networks
        self.rows = max(1, each.rows)
        self.planned = self.run = each.run
        self._tables = tables
        self._trials: Iterator[Run] | None = self._alternatives() if each.run.explore else None
        self._repeats = _TRIAL_BATCHES
        self._begun = False

    def next(self, left: int) -> Run:
        """How to run the next batch, when `left` rows are left."""
        if not self._begun and self._tables is not None and left < self.rows and self.planned.table:
            whole = self.planned._replace(table=False)
            self.run = self._cheapest({whole: forward_cost(self.networks, self.layers, left, whole)}, left)
        self._begun = True
        if self._trials is not None and self._repeats == 0:
            self._repeats = _TRIAL_BATCHES
            trial = next(self._trials, None) if self._long(left) else None
            if trial is not None and trial.batch_size * _TRIAL_BATCHES * _TRIAL_SHARE <= left:
                self.run = trial
            else:
                self._trials = None
                self.run = self._cheapest(self._whole(left), left)
        self._repeats = max(0, self._repeats - 1)
        return self.run

    def _long(self, left: int) -> bool:
        seconds = forward_cost(self.networks, self.layers, left, cheapest(self._whole(left))).seconds
        return seconds is not None and seconds >= _WORTH_TRIALS

    def _whole(self, left: int) -> dict[Run, Cost]:
        """The ways to run `left` rows whole, and what they cost."""
        options = runs(self.networks, self.layers, self.planned.batch_size)
        return forward_costs(self.networks, self.layers, left, options)

    def _cheapest(self, whole: Mapping[Run, Cost], left: int) -> Run:
        begun = {} if self._tables is None else self._tables.costs(whole, left / self.rows)
        return cheapest({**whole, **begun})

    def _alternatives(self) -> Iterator[Run]:
        """Other modes at the planned batch size, then other sizes in the best mode; only those never measured here."""
        for mode in self.networks[0].modes(self.layers[0]):
            if mode != "compiled":  # which would take minutes to compile
                yield from self._unknown(Run(self.planned.batch_size, mode))
        best = cheapest(self._whole(_ALL_ROWS))
        for size in (best.batch_size // 2, best.batch_size * 2):
            if size:
                yield from self._unknown(best._replace(batch_size=size))

    def _unknown(self, run: Run) -> Iterator[Run]:
        usable = all(run.mode in n.modes(layer) for n, layer in zip(self.networks, self.layers, strict=True))
        if usable and not all(run.batch_size in network.profile.sizes(run.mode) for network in self.networks):
            yield run
