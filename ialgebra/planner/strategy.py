"""A strategy is the list of the optimizer's decisions, as one frozen value. No strategy may change an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from . import laws


@dataclass(frozen=True)
class Strategy:
    """Which decisions a plan may take; the presets are what benchmarks compare and what EXPLAIN reports.

    `AS_WRITTEN` runs operator at a time and shares nothing, `LAWS` only rewrites, `FUSED` also shares hybrids and fills
    batches, `BEST` also reuses what the session has already paid for.
    """

    name: str
    rewrite: bool  # normalise by `rules`; equal games are one
    dual: bool  # D5: both directions of an anti-join from one game
    share: bool  # D3: one row serves every layer, class and model that reads its hybrid
    pack: bool  # D6: rows of different games fill one batch
    reuse: bool  # D7: rows in the session's store are not evaluated again
    batch_size: int | None = None  # D1: rows a batch; None chooses by the size of the input
    rules: tuple[laws.Law, ...] = laws.LAWS

    AS_WRITTEN: ClassVar[Strategy]
    LAWS: ClassVar[Strategy]
    FUSED: ClassVar[Strategy]
    BEST: ClassVar[Strategy]


Strategy.AS_WRITTEN = Strategy("AS_WRITTEN", rewrite=False, dual=False, share=False, pack=False, reuse=False)
Strategy.LAWS = Strategy("LAWS", rewrite=True, dual=True, share=False, pack=False, reuse=False)
Strategy.FUSED = Strategy("FUSED", rewrite=True, dual=True, share=True, pack=True, reuse=False)
Strategy.BEST = Strategy("BEST", rewrite=True, dual=True, share=True, pack=True, reuse=True)

PRESETS: dict[str, Strategy] = {
    each.name: each for each in (Strategy.AS_WRITTEN, Strategy.LAWS, Strategy.FUSED, Strategy.BEST)
}
