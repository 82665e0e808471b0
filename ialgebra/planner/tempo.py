"""A tempo says how soon the answers of a query come, and how often: the rows of its first rounds, and of its batches.

Frozen values only. No tempo changes what is estimated in the end from the rows that a query may use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import BindError, did_you_mean
from ..system.arguments import checked_fields
from ..system.checks import shown


@checked_fields
@dataclass(frozen=True)
class Tempo:
    """How soon answers come, and how often.

    `pilot`: rows a player of the first round, enough to trust its errors. `fewest`: those where time is limited; with
    fewer than 4 the design would be of another kind, and the next round could not reuse its rows. `batch_seconds`: what
    a batch may take at most, as the model's rows were measured (None: as long as is fastest). `coarse`: rows of a game
    of few players that is answered first (0: none). `maps`: whether there is a map after every batch. `filled`: whether
    every batch is filled up to its size, with copies that are not counted, so that a row has the same bits in whatever
    batch it is run.
    """

    pilot: int = 8
    fewest: int = 4
    batch_seconds: float | None = None
    coarse: int = 0
    maps: bool = False
    filled: bool = False

    def __post_init__(self) -> None:
        if self.pilot < 1 or self.fewest < 1 or self.coarse < 0:
            raise BindError(f"rows of a tempo are whole numbers of at least 1, and `coarse` may be 0, not {self}")
        if self.batch_seconds is not None and not self.batch_seconds > 0:
            raise BindError(f"a batch must be given more than 0 seconds, not {shown(self.batch_seconds)}")

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Tempo:
        """The tempo that was told as plain values; BindError for others."""
        unknown = sorted(told.keys() - cls.__dataclass_fields__.keys())
        if unknown:
            raise BindError(f"a tempo has no {unknown[0]!r}{did_you_mean(unknown[0], cls.__dataclass_fields__)}")
        return cls(**told)

    @property
    def told(self) -> dict[str, object]:
        """The tempo as plain values."""
        return asdict(self)


USUAL = Tempo()
INTERACTIVE = Tempo(batch_seconds=0.125, coarse=16, maps=True, filled=True)

TEMPOS: dict[str, Tempo] = {"usual": USUAL, "interactive": INTERACTIVE}
"""The tempos that have a name, for `SET tempo = …`."""
