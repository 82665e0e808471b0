"""What the optimizer decided and what it turned down, for EXPLAIN. Plain values; it knows no plan."""

from __future__ import annotations

from typing import NamedTuple


class Alternative(NamedTuple):
    """One way to take a decision, with the model rows and seconds that it costs (None: not known)."""

    what: str
    rows: float | None = None
    seconds: float | None = None


class Decision(NamedTuple):
    """Decision `id` (D1, D2, …) `about` something: what was `chosen`, and the alternatives with their costs."""

    id: str
    about: str
    chosen: str
    costs: tuple[Alternative, ...] = ()
