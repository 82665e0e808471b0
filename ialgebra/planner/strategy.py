"""A strategy is the list of the optimizer's decisions, as one frozen value. No strategy may change an answer.

A decision left at None is open: the planner takes it by cost. A value forces it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

from ..errors import BindError, did_you_mean
from ..models.profile import MODES, Mode
from ..system.arguments import checked_fields
from ..system.checks import shown, whole
from . import laws
from .tempo import USUAL, Tempo

Batches = tuple[tuple[int, Mode, int] | tuple[int, Mode, int, Literal["table"]], ...]
"""The batches of a query in order, as groups: rows a batch, mode, and the number of such batches; with 'table' those
that began from pattern tables."""


@checked_fields
@dataclass(frozen=True)
class Strategy:
    """Which decisions a plan may take; the presets are what benchmarks compare and what EXPLAIN reports.

    `AS_WRITTEN` runs operator at a time and shares nothing, `LAWS` only rewrites, `FUSED` also shares hybrids and fills
    batches, `BEST` leaves every decision to the optimizer. `dataclasses.replace(Strategy.BEST, dual=False)` forces one.
    """

    name: str
    rewrite: bool = True  # normalise by `rules`, and merge equal games
    exact: bool | None = None  # D2: run every coalition, if sampling to a bound would need most of them
    share: bool | None = None  # D3: a hybrid is one row for every layer, class and model that reads it
    retire: bool | None = None  # D4: maps whose bound holds get no more rows, and passes stop at the layers still read
    dual: bool | None = None  # D5: both directions of an anti-join from one game
    pack: bool | None = None  # D6: rows of different games fill one batch
    reuse: bool | None = None  # D7: rows in the session's store are not evaluated again
    keep_rows: bool | None = None  # D7: rows of very many games are kept one by one; if not, games are kept as a whole
    allocate: bool | None = None  # D8: rows to a bound go to a join's games by their variance (Neyman, 1934)
    common: bool | None = None  # D9: the games of one answer use the same coalitions
    batch_size: int | None = None  # D1: rows a batch
    block: int | None = None  # D1: games that are run one after the other, of inputs that are read when they are needed
    mode: Mode | None = None  # D10: how a pass is run
    table: bool | None = None  # D11: passes begin from pattern tables
    tempo: Tempo | Mapping[str, object] | None = (
        None  # how soon answers come, and how large batches are (None: as SET tempo says, or usual)
    )
    batches: Batches | None = None  # D1, D10: run these batches first, in this order (those of an earlier run)
    measured: bool = True  # whether open decisions may look at what passes were measured to cost
    verify: bool | None = None  # check that every plan is consistent; finds faults of the planner and decides nothing
    rules: tuple[laws.Law, ...] = laws.LAWS

    def __post_init__(self) -> None:
        if self.mode is not None and self.mode not in MODES:
            raise BindError(
                f"no mode {self.mode!r}{did_you_mean(str(self.mode), MODES)}; it is one of {', '.join(MODES)}"
            )
        if isinstance(self.tempo, Mapping):  # as provenance tells it
            object.__setattr__(self, "tempo", Tempo.of(self.tempo))
        if self.batch_size is not None:
            whole("batch_size", self.batch_size, 1)
        if self.block is not None:
            whole("block", self.block, 1)
        wanted = f"batches are rows, mode and how many, as in ((32, 'eager', 4),), not {shown(self.batches)}"
        try:
            batches = None if self.batches is None else tuple(map(_batches, self.batches))
        except (TypeError, ValueError, OverflowError):
            raise BindError(wanted) from None
        object.__setattr__(self, "batches", batches)
        if not isinstance(self.rules, tuple) or not all(map(callable, self.rules)):
            raise BindError(f"rules are a tuple of laws, not {shown(self.rules)}")

    @property
    def pace(self) -> Tempo:
        """The tempo in force."""
        return self.tempo if isinstance(self.tempo, Tempo) else USUAL

    AS_WRITTEN: ClassVar[Strategy]
    LAWS: ClassVar[Strategy]
    FUSED: ClassVar[Strategy]
    BEST: ClassVar[Strategy]


def _batches(told: Sequence[object]) -> tuple[int, Mode, int] | tuple[int, Mode, int, Literal["table"]]:
    """One group of `Batches`, as provenance tells it; ValueError or TypeError for what is none."""
    rows, mode, count, *begun = cast("tuple[int, Mode, int, *tuple[str, ...]]", told)
    rows, count = int(rows), int(count)
    if rows < 1 or count < 1 or mode not in MODES or begun not in ([], ["table"]):
        raise ValueError(told)
    return (rows, mode, count, "table") if begun else (rows, mode, count)


def _preset(name: str, rewrite: bool, dual: bool, share: bool) -> Strategy:
    """A strategy with no open decision but the batch size, which then depends on the size of the input."""
    return Strategy(
        name,
        rewrite=rewrite,
        exact=False,
        share=share,
        retire=False,
        dual=dual,
        pack=share,
        reuse=False,
        keep_rows=True,
        allocate=False,
        common=True,
        mode="eager",
        table=False,
        measured=False,
    )


Strategy.AS_WRITTEN = _preset("AS_WRITTEN", rewrite=False, dual=False, share=False)
Strategy.LAWS = _preset("LAWS", rewrite=True, dual=True, share=False)
Strategy.FUSED = _preset("FUSED", rewrite=True, dual=True, share=True)
Strategy.BEST = Strategy("BEST")

PRESETS: dict[str, Strategy] = {
    each.name: each for each in (Strategy.AS_WRITTEN, Strategy.LAWS, Strategy.FUSED, Strategy.BEST)
}
