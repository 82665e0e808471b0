"""Which batch size and mode the next batch of a pass gets: the planned ones, or, in a long pass, ones worth a trial.

In: a pass and its networks, whose profiles learn what every batch took. Out: how to run the next one. Trials spend the
query's own rows, so learning what a model's passes cost takes no row of its own. What was run is written down, for
batches decide the last bits of an answer: a query that is given those of a former run meets the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..models.network import Network
from ..planner.cost import cheapest, forward_cost, forward_costs, runs
from ..planner.physical import Pass, Run
from ..planner.strategy import Batches

_LONG = 2.0  # seconds of forward passes below which there is nothing to win by trials
_SHARE = 3  # a trial may take one part in so many of the rows that are left
_REPEATS = 2  # batches of a trial: the first of a kind pays for kernels being set up, and is not believed


class Tape:
    """The batches of one query, in order: those of a `former` run first, then as they are planned."""

    def __init__(self, former: Batches | None = None) -> None:
        self._former = iter([Run(size, mode) for size, mode, count in former or () for _ in range(count)])
        self._ran: list[tuple[Run, int]] = []

    def next(self, planned: Run) -> Run:
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


class Pace:
    """How the batches of one pass are run, one after the other."""

    def __init__(self, each: Pass, networks: Sequence[Network]) -> None:
        self.layers = each.layers
        self.networks = networks
        self.planned = self.run = each.run
        self._trials: Iterator[Run] | None = self._alternatives() if each.run.explore else None
        self._repeats = _REPEATS

    def next(self, left: int) -> Run:
        """How to run the next batch, where `left` rows are to go."""
        if self._trials is not None and self._repeats == 0:
            self._repeats = _REPEATS
            trial = next(self._trials, None) if self._long(left) else None
            if trial is not None and trial.batch_size * _REPEATS * _SHARE <= left:
                self.run = trial
            else:
                self._trials = None
                self.run = self._best(left)
        self._repeats = max(0, self._repeats - 1)
        return self.run

    def _long(self, left: int) -> bool:
        seconds = forward_cost(self.networks, self.layers, left, self.run).seconds
        return seconds is not None and seconds >= _LONG

    def _best(self, left: int) -> Run:
        options = runs(self.networks, self.layers, self.planned.batch_size)
        return cheapest(forward_costs(self.networks, self.layers, left, options))

    def _alternatives(self) -> Iterator[Run]:
        """Other modes at the planned batch size, then other sizes in the best of them; each only once a machine."""
        for mode in self.networks[0].modes(self.layers[0]):
            if mode != "compiled":  # whose price is known to be minutes
                yield from self._unknown(Run(self.planned.batch_size, mode))
        best = self._best(1 << 20)
        for size in (best.batch_size // 2, best.batch_size * 2):
            if size:
                yield from self._unknown(best._replace(batch_size=size))

    def _unknown(self, run: Run) -> Iterator[Run]:
        usable = all(run.mode in n.modes(layer) for n, layer in zip(self.networks, self.layers, strict=True))
        if usable and not all(run.batch_size in network.profile.sizes(run.mode) for network in self.networks):
            yield run
