"""The physical plan: which rows of which hybrids go through which models in which batches, and what is read from them.

Frozen values only; `fuse` builds them, `execution` runs them, `explain` prints them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, cast

from ..algebra.operators import Operator, OutputKind, leaves
from ..models.profile import Mode
from ..models.tabling import TableOfGame
from .decisions import Decision
from .games import Answer, Game, Hybrids, Predicted
from .graph import PlanGraph
from .rewrite import RewriteStep
from .sampling import DesignSpec
from .strategy import Strategy


@dataclass(frozen=True, eq=False)
class Job:
    """One set of hybrids under one design, and the games that read them: the columns of its table of values."""

    hybrids: Hybrids
    spec: DesignSpec
    games: tuple[Game, ...]

    @property
    def models(self) -> tuple[str, ...]:
        if len(self.games) == 1:
            return (self.games[0].model,)
        return tuple(dict.fromkeys(game.model for game in self.games))

    @property
    def rows(self) -> int:
        """The rows of its passes."""
        return self.spec.rows_of_passes(self.hybrids.copies)

    def layers(self, model: str) -> tuple[int | None, ...]:
        """The layers that this job reads of `model`; None is the model itself."""
        return tuple(dict.fromkeys(game.layer for game in self.games if game.model == model))

    @property
    def predictions(self) -> tuple[Predicted, ...]:
        return tuple(dict.fromkeys(game.target for game in self.games if isinstance(game.target, Predicted)))


class JobFamily(NamedTuple):
    """Jobs by number that are alike but for their ends and classes: one design, and columns (model, layer, output)."""

    jobs: tuple[int, ...]
    spec: DesignSpec
    copies: int | None
    columns: tuple[tuple[str, int | None, OutputKind], ...]

    @property
    def models(self) -> tuple[str, ...]:
        """The models that its jobs run."""
        return tuple(dict.fromkeys(model for model, _, _ in self.columns))


_CLEARLY_LESS = 0.95  # one cost is less than another below this ratio of their seconds: 5 % is noise


class Cost(NamedTuple):
    """What passes cost. `rows` go through a model. `work` counts these rows as well, but a row that stops at a layer
    counts as the share of the network up to there. `seconds` are those of the passes, None where a model was not
    measured; `peak` is in bytes, of the largest batch."""

    rows: int
    work: float
    seconds: float | None
    peak: int

    def __add__(self, other: object) -> Cost:
        assert isinstance(other, Cost)
        seconds = None if self.seconds is None or other.seconds is None else self.seconds + other.seconds
        return Cost(self.rows + other.rows, self.work + other.work, seconds, max(self.peak, other.peak))

    def times(self, count: int) -> Cost:
        """The cost of so many passes that each cost this."""
        return Cost(
            self.rows * count, self.work * count, None if self.seconds is None else self.seconds * count, self.peak
        )

    def less(self, other: Cost) -> bool:
        """Whether this cost is known to take clearly less time than `other`: differences below 5 % are noise."""
        known = self.seconds is not None and other.seconds is not None
        return known and cast(float, self.seconds) < _CLEARLY_LESS * cast(float, other.seconds)


class Run(NamedTuple):
    """How a pass is run: rows a batch, mode, and whether its rows begin from pattern tables. With `explore` the
    execution may try other ways and keep a better."""

    batch_size: int
    mode: Mode
    explore: bool = False
    table: bool = False


@dataclass(frozen=True, eq=False)
class Pass:
    """Jobs whose rows share batches: each hybrid is composed once and goes through every model of the pass.

    `layers` has one entry for each model: the layer at which its pass stops (None: it runs to the end). `rejected` are
    the other ways to run the pass.
    """

    models: tuple[str, ...]
    layers: tuple[int | None, ...]
    jobs: tuple[int, ...]
    rows: int  # hybrids, without ends that are single rows
    run: Run
    cost: Cost
    rejected: tuple[tuple[Run, Cost], ...] = ()
    tables: Mapping[tuple[str, int], TableOfGame] = field(default_factory=dict)  # by model and job
    untabled: str = ""  # why a pass has no table that was asked for, or that could have paid
    asked: str | None = None  # the interpreter and its options, if it runs the models itself in its own batches


class TermReading(NamedTuple):
    """Where a term finds its estimate: a job, and a column of it."""

    job: int
    column: int


@dataclass(frozen=True, eq=False)
class PlanOutput:
    """One item of the select list for one input: the plan as written, its normal form, its answers and their
    readings."""

    label: str | None
    item: int
    written: Operator
    normal: Operator
    answers: tuple[Answer, ...]
    readings: tuple[tuple[TermReading, ...], ...]


@dataclass(frozen=True, eq=False)
class PhysicalPlan:
    """Everything that execution needs, and what EXPLAIN shows."""

    query: str
    graph: PlanGraph  # all plans of the query: as written, in normal form, and the steps between
    outputs: tuple[PlanOutput, ...]
    jobs: tuple[Job, ...]
    passes: tuple[Pass, ...]
    trace: tuple[RewriteStep, ...]
    game_laws: tuple[str, ...]
    cost: Cost  # planned coalitions and ends; the store and predictions of windowed inputs may change it
    overhead: float  # seconds that the query takes outside its batches
    stages: tuple[tuple[str, Cost], ...]  # costs as written, then after each kind of sharing
    decisions: tuple[Decision, ...]
    strategy: Strategy  # with every decision taken
    seed: int

    @cached_property
    def families(self) -> tuple[JobFamily, ...]:
        """Its jobs, those together that are alike, in the order of the first of each."""
        alike: dict[tuple[object, ...], list[int]] = {}
        for number, job in enumerate(self.jobs):
            columns: object = job.games[0].column
            if len(job.games) > 1:
                columns = tuple([game.column for game in job.games])
            alike.setdefault((job.spec, job.hybrids.copies, columns), []).append(number)
        first = [(self.jobs[numbers[0]], tuple(numbers)) for numbers in alike.values()]
        return tuple(
            JobFamily(numbers, job.spec, job.hybrids.copies, tuple([game.column for game in job.games]))
            for job, numbers in first
        )

    @property
    def models(self) -> tuple[str, ...]:
        """The models whose games it evaluates."""
        return tuple(dict.fromkeys(name for each in self.families for name in each.models))

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs that it explains."""
        plans = dict.fromkeys(output.written for output in self.outputs)
        calls = (leaf for plan in plans for leaf in leaves(plan))
        return tuple(dict.fromkeys(source.name for call in calls for source in call.inputs))

    @property
    def rows(self) -> int:
        return self.cost.rows

    def blocks(self, jobs: Sequence[int]) -> Iterator[Sequence[int]]:
        """These jobs, or places of jobs, in the blocks in which they are run."""
        size = self.strategy.block or max(1, len(jobs))
        for first in range(0, len(jobs), size):
            yield jobs[first : first + size]
