"""The values that a lowered plan is made of: games over hybrids, and answers that are sums of them.

Frozen values only: `lower` makes answers of operators, `boards` makes boards and hybrids of tensors, `fuse` makes jobs
of games. Equal games are one here (L11), and a sum of zero drops out.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..algebra.baselines import Baseline, Given, Redrawn
from ..algebra.edits import Reconstructed
from ..algebra.operators import Estimation, OutputKind
from ..algebra.packings import packing_of
from ..algebra.players import Partition
from ..algebra.sources import Source
from ..algebra.windows import EVERYTHING, Window
from ..kernels.estimators.estimate import Part


@dataclass(frozen=True)
class Predicted:
    """The class that the full model predicts for an input, not known before a model runs."""

    model: str
    source: Source


Target = int | Predicted


@dataclass(frozen=True)
class Several:
    """The mean over these baselines (L18)."""

    baselines: tuple[Baseline, ...]


@dataclass(frozen=True)
class Leaf:
    """One φ of a plan, with everything that the operators above it ask for."""

    model: str
    source: Source
    baseline: Baseline | Several
    partition: Partition
    target: Target
    output: OutputKind
    estimation: Estimation
    depth: int | None
    window: Window = EVERYTHING
    layer: int | None = None  # None: the model itself

    def of(self, source: Source) -> Leaf:
        """The same φ of another input."""
        found = object.__new__(Leaf)  # of a collection there are many, of which the constructor would set every field
        found.__dict__.update(self.__dict__, source=source)
        if isinstance(self.target, Predicted):
            found.__dict__["target"] = Predicted(self.model, source)
        return found

    @property
    def against(self) -> tuple[str, ...]:
        """The baselines as people read them."""
        each = self.baseline.baselines if isinstance(self.baseline, Several) else (self.baseline,)
        return tuple(str(one.source if isinstance(one, Given) and one.source.edits else one) for one in each)

    @property
    def own_drawing(self) -> Source | None:
        """What the input is explained against, where that is its own drawing by a generator; else None."""
        if not isinstance(self.baseline, Redrawn):
            return None
        drawn = Reconstructed(self.baseline.generator, "", 1.0)
        return Source(self.source.name, self.source.index, (*self.source.edits, drawn))


class RowForm(NamedTuple):
    """What rows that share a batch have in common: shape, dtype, and the key of their packing."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    packing: Hashable

    @classmethod
    def of(cls, row: Tensor) -> RowForm:
        """The form of a row."""
        packing = packing_of(row)
        return cls(tuple(row.shape), row.dtype, None if packing is None else packing.key)


class ReadAgain(NamedTuple):
    """A row that is not held, and how to read it."""

    read: Callable[[], Tensor]
    form: RowForm


HeldRow = Tensor | ReadAgain


def _read(row: HeldRow) -> Tensor:
    return row.read() if isinstance(row, ReadAgain) else row


def inside(plays: Tensor, ends: tuple[HeldRow, HeldRow], found: Tensor) -> HeldRow:
    """The row `found`, which is the foreground where `plays` and the background elsewhere; held, if both are."""
    if not any(isinstance(each, ReadAgain) for each in ends):
        return found
    return ReadAgain(lambda: torch.where(plays, _read(ends[0]), _read(ends[1])).contiguous(), RowForm.of(found))


@dataclass(frozen=True, eq=False)
class Hybrids:
    """The inputs x_S of a game: `foreground` on the segments of S, `background` elsewhere (Eq. 1).

    `segments` (int64, broadcastable to the input) numbers the players, −1 where every hybrid is the background. `key`
    names the hybrids by their content: equal hybrids have the same key, whatever window or edit they come from. `full`
    and `empty` name the rows x_N and x_∅, which other games may share.

    With `copies` there are so many backgrounds, on a first axis of all three arrays, and v(S) is the mean over them;
    `covering` says that x_N is the same against all of them.
    """

    ends: tuple[HeldRow, HeldRow]  # the foreground, the background
    segments: NDArray[np.int64]
    players: int
    key: str
    full: str
    empty: str
    copies: int | None = None
    covering: bool = True

    @property
    def rows(self) -> int:
        """The rows of one coalition."""
        return self.copies or 1

    @property
    def foreground(self) -> Tensor:
        """The foreground (*shape), read if it is not held."""
        return _read(self.ends[0])

    @property
    def background(self) -> Tensor:
        """The background (*shape), read if it is not held."""
        return _read(self.ends[1])

    @property
    def row(self) -> Tensor:
        """The foreground (*shape), against whatever background."""
        return self.foreground if self.copies is None else self.foreground[0]

    @cached_property
    def form(self) -> RowForm:
        """The form of the foreground, which is not read for it."""
        row = self.ends[0]
        return row.form if isinstance(row, ReadAgain) else RowForm.of(row)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        return self.form.shape if self.copies is None else self.form.shape[1:]

    @cached_property
    def first(self) -> Hybrids:
        """The hybrids of the first background alone."""
        if self.copies is None:
            return self
        foreground, background = self.ends
        assert isinstance(background, Tensor), "the backgrounds of one game are held together"
        held: HeldRow = ReadAgain(lambda: self.foreground[0], self.form._replace(shape=self.row_shape))
        if isinstance(foreground, Tensor):
            held = foreground[0]
        return Hybrids(
            (held, background[0]),
            self.segments[0],
            self.players,
            f"{self.key}[0]",
            f"{self.full}[0]",
            f"{self.empty}[0]",
        )


@dataclass(frozen=True)
class Game:
    """v(S): one scalar of one (truncated) model over the hybrids. Equal games are one."""

    model: str
    layer: int | None
    hybrids: Hybrids
    target: Target
    output: OutputKind
    estimation: Estimation

    @property
    def column(self) -> tuple[str, int | None, OutputKind]:
        """What it reads of a row, but for the class."""
        return self.model, self.layer, self.output

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The game's content: a total order of games, the same in every process."""
        if isinstance(self.target, Predicted):
            source = self.target.source
            target = f"{self.target.model}({source.whole_text or source.key})"
        else:
            target = f"{self.target:08d}"
        return (self.hybrids.key, self.model, f"{self.layer or 0:08d}", target, self.output, self.estimation.key)


@dataclass(frozen=True, eq=False)
class Board:
    """The players that a map is drawn on: `labels` is int64, input-shaped, and −1 outside the window. The players in
    `active` differ from the background; the others are null players."""

    labels: NDArray[np.int64]
    active: NDArray[np.int64]
    hybrids: Hybrids
    swapped: bool  # L13: foreground and background have changed places
    count: int  # players, null players included


@dataclass(frozen=True)
class GameTerm:
    """`coefficient` × the Shapley values (or one half of them) of a game, drawn on a board; swapped boards negate
    (L13)."""

    coefficient: Fraction
    game: Game
    board: Board
    part: Part


@dataclass(frozen=True, eq=False)
class Answer:
    """One map: the sum of its terms, possibly none (a zero map), drawn as `shown` says.

    `beside` are terms of one player each, whose sum is what the model itself makes of the ends of a map that explains
    its surrogate.
    """

    terms: tuple[GameTerm, ...]
    shown: tuple[Leaf, ...]
    board: Board
    baseline: str
    against: str  # the other inputs or models that an anti-join compares this one with
    component: int | None
    beside: tuple[GameTerm, ...] = ()

    @property
    def read(self) -> tuple[GameTerm, ...]:
        """All terms that are read: those of the map, then those beside it."""
        return self.terms + self.beside if self.beside else self.terms


def merged(terms: Iterable[GameTerm]) -> tuple[GameTerm, ...]:
    """The terms with equal games merged: coefficients of equal games add up, and a sum of zero drops out (L11, L12).

    The order of the terms does not depend on how the query is written.
    """
    sums: dict[tuple[Game, Board, Part], Fraction] = {}
    for term in terms:
        place = (term.game, term.board, term.part)
        sums[place] = sums.get(place, Fraction(0)) + term.coefficient
    kept = [GameTerm(share, *place) for place, share in sums.items() if share]
    return tuple(sorted(kept, key=lambda term: (term.game.key, term.part, term.board.swapped)))
