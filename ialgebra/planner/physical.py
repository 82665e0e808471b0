"""The physical plan: which rows of which hybrids go through which models in which batches, and what is read from them.

Frozen values only; `fuse` builds them, `execution` runs them, `explain` prints them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

from ..algebra.operators import Operator
from ..models.profile import Mode
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
        return tuple(dict.fromkeys(game.model for game in self.games))

    def layers(self, model: str) -> tuple[int | None, ...]:
        """The layers that this job reads of `model`; None is the model itself."""
        return tuple(dict.fromkeys(game.layer for game in self.games if game.model == model))

    @property
    def predictions(self) -> tuple[Predicted, ...]:
        return tuple(dict.fromkeys(game.target for game in self.games if isinstance(game.target, Predicted)))


_CLEARLY_LESS = 0.95  # of another's seconds: a twentieth is noise


class Cost(NamedTuple):
    """`rows` through a model; `work`, the same in whole passes of one row, for a pass that stops at a layer takes its
    share; `seconds` of the passes, None where a model was not measured; `peak`, bytes of the largest batch."""

    rows: int
    work: float
    seconds: float | None
    peak: int

    def __add__(self, other: object) -> Cost:
        assert isinstance(other, Cost)
        seconds = None if self.seconds is None or other.seconds is None else self.seconds + other.seconds
        return Cost(self.rows + other.rows, self.work + other.work, seconds, max(self.peak, other.peak))

    def less(self, other: Cost) -> bool:
        """Whether this one is known to take clearly less time: a twentieth is noise."""
        known = self.seconds is not None and other.seconds is not None
        return known and cast(float, self.seconds) < _CLEARLY_LESS * cast(float, other.seconds)


class Run(NamedTuple):
    """How a pass is run: rows a batch and mode; `explore` where better ones may be found on the way."""

    batch_size: int
    mode: Mode
    explore: bool = False


@dataclass(frozen=True, eq=False)
class Pass:
    """Jobs whose rows share batches: each hybrid is composed once and goes through every model of the pass, as far as
    the deepest of its `layers` (None: to the end), one a model. `rejected` are other ways to run it."""

    models: tuple[str, ...]
    layers: tuple[int | None, ...]
    jobs: tuple[int, ...]
    rows: int  # hybrids, the ends apart
    run: Run
    cost: Cost
    rejected: tuple[tuple[Run, Cost], ...] = ()
    asked: str | None = None  # the interpreter that runs it by itself, in batches of its own, with its options


@dataclass(frozen=True)
class TermReading:
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
    graph: PlanGraph  # of all plans of the query, as written and in normal form, with what is between
    outputs: tuple[PlanOutput, ...]
    jobs: tuple[Job, ...]
    passes: tuple[Pass, ...]
    trace: tuple[RewriteStep, ...]
    game_laws: tuple[str, ...]
    cost: Cost  # coalitions and ends, as planned; predictions of windowed inputs and the store may change it
    overhead: float  # seconds beside those of the batches
    stages: tuple[tuple[str, Cost], ...]  # operator at a time, then after each thing that the plan shares
    decisions: tuple[Decision, ...]
    strategy: Strategy  # with every decision taken
    seed: int

    @property
    def rows(self) -> int:
        return self.cost.rows
