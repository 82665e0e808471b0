"""What the optimizer decided and what it turned down, for EXPLAIN. Plain values; it knows no plan."""

from __future__ import annotations

from typing import NamedTuple


class Cost(NamedTuple):
    """One alternative of a decision: model rows and seconds still to pay for it, None where nothing can tell."""

    alternative: str
    rows: float | None = None
    seconds: float | None = None


class Decision(NamedTuple):
    """Decision `id` (D1, D2, …) `about` something: the `chosen` alternative, and what each of them would cost."""

    id: str
    about: str
    chosen: str
    costs: tuple[Cost, ...]
