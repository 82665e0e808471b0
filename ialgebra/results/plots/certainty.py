"""What is known of the signs of a map's values, and how drawings say it in words.

In: a map. Out: which players have an unsure sign or an unknown error, and short texts. May not know: how they are
drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..shown import ShownMap
from ..table import error_text

UNSURE = "sign unsure at 95 %"
UNKNOWN = "error unknown"


def unsure(a: ShownMap) -> NDArray[np.bool_]:
    """Players whose 95 % interval has zero in it, `(d,)`; their errors are known, and not 0."""
    low, high = a.interval()
    known: NDArray[np.bool_] = np.isfinite(a.stderr) & (a.stderr > 0)
    return known & (low <= 0) & (high >= 0)


def unknown(a: ShownMap) -> NDArray[np.bool_]:
    """Players of whose errors nothing is known, `(d,)`; none if that is so of all of them, which a stamp says."""
    found: NDArray[np.bool_] = ~np.isfinite(a.stderr)
    return found & (not found.all())


def said(a: ShownMap) -> str:
    """A map's error in a few words: `exact`, `± 3 % at 95 %` or `error unknown`."""
    return error_text(a.bound, a.method, labelled=True)


def stamped(a: ShownMap) -> bool:
    """Whether the error of a whole map is unknown."""
    return not math.isfinite(a.bound)


def marks(maps: Iterable[ShownMap]) -> list[str]:
    """The marks that a legend has to explain."""
    found = [(bool(unsure(a).any()), bool(unknown(a).any())) for a in maps]
    needed = [any(each) for each in zip(*found, strict=True)]
    return [word for word, shown in zip((UNSURE, UNKNOWN), needed, strict=False) if shown]
