"""What the optimizer decided, and what it turned down: the record that EXPLAIN shows. Knows no plan."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Decision:
    """One decision: its number, what it is about, what was `chosen`, and the `costs` of the alternatives turned down:
    (alternative, model rows, seconds), None where not known."""

    id: str
    about: str
    chosen: str
    costs: tuple[tuple[str, float | None, float | None], ...] = ()
