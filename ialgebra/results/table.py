"""Maps as a table of text: one line per map, in aligned columns.

In: finished maps. Out: text. May not know: queries, plans, models, or how a map is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set

import numpy as np

from ..kernels.estimators.registry import find
from ..models.behaviour import said_in, words_in
from .columns import HasColumns
from .shown import ShownMap

LABEL_WIDTH, TARGET_WIDTH = 44, 24
"""The most characters of a label and of a target in a table; longer ones are cut."""

_ROWS_A_PLAYER = 4

LINES = 60
"""The most maps of a table."""


def error_text(bound: float, method: str = "", *, labelled: bool = False) -> str:
    """A map's error for people: `exact`, `± 3.1 %` or `error unknown`. Nothing is called exact where `method` says that
    the model is no function of the row."""
    if bound == 0.0 and not said_in(method):
        return "exact"
    said = " at 95 %" if labelled else ""
    percent = 100 * bound
    shown = f"{percent:.2g}" if percent < 99.5 else f"{percent:,.0f}" if percent < 1e6 else f"{percent:.2g}"
    return f"± {shown} %{said}" if math.isfinite(bound) else "error unknown"


def table(maps: Sequence[ShownMap], cost: str) -> str:
    """One line per map in aligned columns, then `cost`, the query's cost in words; `done` if there is no map. Of more
    than LINES maps the first are shown, and a line says where the others are.

    How a map was estimated is left to details; that its model is no function of the row stands beside the error.
    """
    if not maps:
        return "done"
    left = len(maps) - LINES
    rest = f"… and {left:,} more: answer[{LINES}:] prints the next, answer.to_pandas() has all" if left > 0 else ""
    head = ("map", "target", "v(∅)", "v(N)", "players", "error at 95 %")
    lines = [
        (
            shorten(a.label, LABEL_WIDTH),
            shorten(a.target_name, TARGET_WIDTH),
            f"{a.base_value:.4g}",
            f"{a.full_value:.4g}",
            f"{len(a.values):,}",
            ", ".join([error_text(a.bound, a.method), *words_in(a.method)]),
        )
        for a in maps[:LINES]
    ]
    shown = aligned([head, *lines], texts=2)
    return "\n".join([*shown, *(each for each in (rest, too_few(maps)) if each), cost])


def aligned(lines: Sequence[Sequence[str]], texts: int | Set[int]) -> list[str]:
    """Lines of equally many words in columns. The first `texts` columns, or those of these numbers, are texts, which
    begin together; the others are numbers, which end together."""
    left = set(range(texts)) if isinstance(texts, int) else texts
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [
        "  ".join(
            word.ljust(width) if column in left else word.rjust(width)
            for column, (word, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def too_few(maps: Sequence[ShownMap]) -> str:
    """Why errors are unknown, and the budget that tells them, where that is because of too few rows; empty elsewhere.

    Every method that draws coalitions tells errors from four rows a player.
    """
    if isinstance(maps, HasColumns):  # of thousands of maps none is made for this
        columns = maps.columns
        unknown = np.unique(columns.rows[np.isinf(columns.stderr)])
        drawn = np.array([_draws(method) for method in columns.method.table], dtype=bool)
        most = int(columns.counts[unknown[drawn[columns.method.codes[unknown]]]].max(initial=0))
    else:
        most = max((len(a.values) for a in maps if np.isinf(a.stderr).any() and _draws(a.method)), default=0)
    if most == 0:
        return ""
    return f"error unknown: too few rows to tell it; a budget of {_ROWS_A_PLAYER * most:,} or more does"


def _draws(method: str) -> bool:
    """Whether values of this method are estimates from coalitions that the engine drew."""
    return any(find(word) is not None for word in method.split(" "))


def shorten(text: str, width: int) -> str:
    """The text on one line, cut with an ellipsis to `width` characters."""
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"
