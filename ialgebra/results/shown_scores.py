"""The part of an answer to PREDICT that drawings and pages read, as a protocol. In: nothing. Out: `ShownScores`.

May not know: how scores are drawn or written.
"""

from __future__ import annotations

from typing import Protocol

from ..system.arrays import Floats, Ints
from .model_scores import ModelScores
from .scored_inputs import ScoredInputs


class ShownScores(Protocol):
    """Some of what `Scores` has; it says what every entry means."""

    @property
    def size(self) -> int: ...
    @property
    def query(self) -> str: ...
    @property
    def models(self) -> tuple[ModelScores, ...]: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...
    @property
    def places(self) -> Ints: ...
    @property
    def steps(self) -> Floats: ...
    @property
    def contents(self) -> ScoredInputs | None: ...
