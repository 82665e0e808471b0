"""The document of a page, until gestures are written: its text, its steps, and what the query says.

In: texts. Out: texts, and what a page shows of them. May not know: sockets.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...catalog.catalog import Catalog
from ...errors import IalgebraError
from ...language import reader, tree


def viewed(text: str, catalog: Catalog) -> dict[str, object]:
    """What a query says."""
    (statement, *_) = reader.parse(text)
    if not isinstance(statement, tree.Query):
        return {}
    return {"models": [], "input": None, "shapes": [], "layers": []}


def gestured(text: str, gesture: Mapping[str, object], catalog: Catalog) -> str:
    raise IalgebraError("gestures are not there yet")


class Exploration:
    """The steps of one page."""

    def __init__(self, text: str) -> None:
        self.texts, self.step = [text], 0
        self.text = text

    def write(self, text: str, moving: bool = False) -> None:
        self.text = text
        if not moving and text != self.texts[self.step]:
            self.texts = [*self.texts[: self.step + 1], text]
            self.step += 1

    def goto(self, step: int) -> None:
        if not 0 <= step < len(self.texts):
            raise IalgebraError(f"there is no step {step}")
        self.step, self.text = step, self.texts[step]

    def undo(self) -> None:
        self.goto(max(0, self.step - 1))

    def redo(self) -> None:
        self.goto(min(len(self.texts) - 1, self.step + 1))

    def standing(self) -> dict[str, object]:
        steps = [
            {"n": n, "parent": n - 1 if n else None, "text": text, "label": ""} for n, text in enumerate(self.texts)
        ]
        return {
            "step": self.step,
            "steps": steps,
            "can_undo": self.step > 0,
            "can_redo": self.step < len(self.texts) - 1,
            "branches": [],
        }


def state_of(url: str) -> tuple[str, int | None] | None:
    return None
