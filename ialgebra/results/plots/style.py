"""How pictures look: colours, sizes, and texts measured and cut to fit.

In: texts, sizes. Out: constants, widths, shortened texts. May not know: maps.
"""

from __future__ import annotations

import bisect
from functools import lru_cache

from matplotlib import font_manager
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.textpath import TextPath

INK, FAINT = "#222222", "#777777"
POINTS = 72
"""Points per inch."""

WIDEST = 1e307
"""The largest value on an axis or a scale, whose length would be infinite for values of 1e308."""

COLOURS = LinearSegmentedColormap.from_list(
    "ialgebra",
    ["#0b4fa8", "#4a90d9", "#b5d3f0", "#ffffff", "#f7c3b0", "#e4633f", "#b0120a"],
    N=257,  # odd, so that zero is exactly white
)


def fit(text: str, size: float, room: float) -> str:
    """The text, cut with an ellipsis to `room` points."""
    text = drawable(" ".join(text.split()))
    if width(text, size) <= room:
        return text
    fits = bisect.bisect(range(1, len(text)), room, key=lambda length: width(text[:length].rstrip() + "…", size))
    return text[:fits].rstrip() + "…"


def cut(text: str, length: int) -> str:
    """The text, cut with an ellipsis to `length` characters."""
    return text if len(text) <= length else text[: length - 1] + "…"


def drawable(text: str) -> str:
    """The text with a small box for each character that the font lacks, such as emoji, so that drawing does not
    fail."""
    return "".join(c if ord(c) in _glyphs() else "▯" for c in text)


@lru_cache(maxsize=4096)
def width(text: str, size: float) -> float:
    """The width of a text in points."""
    if not text.strip():
        return size / 3
    plain = text.replace("$", "S")  # a dollar sign would begin a formula; an S has the same width
    return 1.06 * float(TextPath((0.0, 0.0), plain, size=size).get_extents().width)  # hinting widens it on a screen


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    font = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
    return frozenset(font.get_charmap())
