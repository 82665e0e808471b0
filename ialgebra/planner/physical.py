"""The physical plan: which rows of which hybrids go through which models in which batches, and what is read from them.

Frozen values only; `fuse` builds them, `execution` runs them, `explain` prints them.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..algebra.operators import Operator
from .games import Answer, Game, Hybrids, Predicted
from .rewrite import Step
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


@dataclass(frozen=True, eq=False)
class Pass:
    """Jobs whose rows share batches: each hybrid is composed once and goes through every model of the pass."""

    models: tuple[str, ...]
    jobs: tuple[int, ...]
    batch_size: int


@dataclass(frozen=True)
class Reading:
    """Where a term finds its estimate: a job, and a column of it."""

    job: int
    column: int


@dataclass(frozen=True, eq=False)
class Output:
    """One item of the select list for one input: the plan as written, its normal form, its answers and their
    readings."""

    label: str | None
    item: int
    written: Operator
    normal: Operator
    answers: tuple[Answer, ...]
    readings: tuple[tuple[Reading, ...], ...]


@dataclass(frozen=True, eq=False)
class PhysicalPlan:
    """Everything that execution needs, and what EXPLAIN shows."""

    query: str
    outputs: tuple[Output, ...]
    jobs: tuple[Job, ...]
    passes: tuple[Pass, ...]
    trace: tuple[Step, ...]
    game_laws: tuple[str, ...]
    rows: int  # coalitions and ends, as planned; predictions of windowed inputs and the store may change it
    rows_as_written: int  # operator at a time, nothing shared
    strategy: Strategy
    seed: int
