"""The document of a page, until gestures are written: its text, its steps, and what the query says.

In: texts. Out: texts, and what a page shows of them. May not know: sockets.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...catalog.catalog import Catalog
from ...errors import IalgebraError
from .document.meaning import check_text


@dataclass(frozen=True)
class FaultShim:
    message: str
    start: int | None
    end: int | None


def problem(text: str, catalog: Catalog) -> FaultShim | None:
    try:
        check_text(text, catalog)
    except IalgebraError as error:
        span = error.span
        return FaultShim(error.message, span and span.start, span and span.end)
    return None


@dataclass(frozen=True)
class StateShim:
    text: str
    seed: int | None


def decoded(url: str) -> StateShim:
    raw = url.removeprefix("#").removeprefix("q=")
    said = json.loads(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)))
    return StateShim(said["text"], said.get("seed"))


@dataclass(frozen=True)
class ExplorationShim:
    texts: tuple[str, ...]
    step: int = 0

    @property
    def text(self) -> str:
        return self.texts[self.step]


def begun(text: str) -> ExplorationShim:
    return ExplorationShim((text,))


def taken(e: ExplorationShim, text: str, statements: Sequence[str] = (), label: str = "") -> ExplorationShim:
    return e if text == e.text else ExplorationShim((*e.texts[: e.step + 1], text), e.step + 1)


def gone(e: ExplorationShim, step: int) -> tuple[ExplorationShim, tuple[str, ...]]:
    if not 0 <= step < len(e.texts):
        raise IalgebraError(f"there is no step {step}")
    return replace(e, step=step), ()


def undone(e: ExplorationShim) -> tuple[ExplorationShim, tuple[str, ...]]:
    return gone(e, max(0, e.step - 1))


def redone(e: ExplorationShim) -> tuple[ExplorationShim, tuple[str, ...]]:
    return gone(e, min(len(e.texts) - 1, e.step + 1))


def asked(e: ExplorationShim, ran: Sequence[str]) -> ExplorationShim:
    return e


def standing(e: ExplorationShim) -> dict[str, object]:
    steps = [{"n": n, "parent": n - 1 if n else None, "text": text, "label": ""} for n, text in enumerate(e.texts)]
    return {
        "step": e.step,
        "steps": steps,
        "can_undo": e.step > 0,
        "can_redo": e.step < len(e.texts) - 1,
        "branches": [],
    }
