"""What one page shows now: its steps, what is being dragged, its answer. Written by what the page does, read by what it
asks beside. May not know: sockets, or how questions are asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ...results.relation import Relation
from . import exploration, scoring
from .scheduler import AskedText


@dataclass(eq=False)
class ShownPage:
    """The state of one page; `answered` is the question that `answer` answers."""

    steps: exploration.Exploration
    moving: str | None = None  # the text of a gesture that has not ended
    seed: int | None = None
    answer: Relation | None = None
    answered: AskedText | None = None
    predicted: scoring.KnownScores | None = None
    settings: dict[str, str | int] = field(default_factory=lambda: {"tempo": "interactive"})  # heads the script

    @property
    def text(self) -> str:
        """The query that is seen: of the gesture that goes on, or of the document."""
        return self.steps.text if self.moving is None else self.moving
