"""The document of a page, until gestures are written: its text, its steps, and what the query says.

In: texts. Out: texts, and what a page shows of them. May not know: sockets.
"""

from __future__ import annotations

from dataclasses import dataclass

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
