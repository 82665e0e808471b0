"""How pictures look: themes, colours, and texts measured and cut to fit.

In: texts, sizes, colours. Out: constants, widths, shortened texts. May not know: maps.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator

from ...errors import BindError, did_you_mean

POINTS = 72
"""Points per inch."""

PAGE = 9.6
"""Inches: a picture is no wider, so that it fits a page and a notebook."""

WIDEST = 1e307
"""The largest value on an axis or a scale, whose length would be infinite for values of 1e308."""

STEPS = 257
"""Colours of a colour map; odd, so that zero has exactly the middle one."""


@dataclass(frozen=True)
class Theme:
    """Colours of paper and ink, the colours of values, and how much the details of a photo darken or lighten them.

    `grey` holds the factors of a photo's darkest and lightest details, so that zero is a grey copy of the photo.
    """

    paper: str
    ink: str
    faint: str
    line: str
    warn: str
    colours: Colormap
    grey: tuple[float, float]


LIGHT = Theme(
    paper="#ffffff",
    ink="#1d1e22",
    faint="#63666e",
    line="#cfd2d8",
    warn="#8a5a00",
    colours=LinearSegmentedColormap.from_list(
        "ialgebra",
        ["#1256b0", "#3f8ddb", "#a6cdf2", "#ffffff", "#fbc3ae", "#ee6a48", "#cc2114"],
        N=STEPS,
    ),
    grey=(0.58, 1.0),
)
DARK = Theme(
    paper="#15161a",
    ink="#eceae5",
    faint="#a6a7ad",
    line="#3c3e46",
    warn="#f0b95a",
    colours=LinearSegmentedColormap.from_list(
        "ialgebra dark",
        ["#6fb6ff", "#3f86d6", "#3d5a80", "#484a52", "#7f4a41", "#d65f48", "#ff8068"],
        N=STEPS,
    ),
    grey=(0.45, 1.3),
)


@dataclass(frozen=True)
class Look:
    """What all panels of a picture share: the scale of values, their colours, the theme, and the unit of the values
    ('' if it is unknown)."""

    scale: Normalize
    colours: Colormap
    theme: Theme
    unit: str = ""

    @property
    def measure(self) -> str:
        """What the scale measures."""
        return f"contribution, in {self.unit}" if self.unit else "contribution to the score"

    @property
    def limit(self) -> float:
        """The largest value of the scale, which is symmetric about zero."""
        return float(self.scale.vmax or 1.0)

    def colour(self, value: float) -> tuple[float, float, float]:
        red, green, blue, _ = self.colours(float(self.scale(value)))
        return red, green, blue

    def of_sign(self, value: float) -> tuple[float, float, float]:
        """The colour of whatever raises the score, or lowers it."""
        red, green, blue, _ = self.colours(0.86 if value > 0 else 0.14)
        return red, green, blue

    def ink_on(self, colour: tuple[float, float, float]) -> str:
        """Black or white, whichever is read more easily on a colour."""
        light = luminance(colour)
        return "#ffffff" if 1.05 / (light + 0.05) > (light + 0.05) / 0.06 else "#15161a"


def current_theme() -> Theme:
    """The theme of matplotlib's settings: dark where figures are, as after `style.use("dark_background")`."""
    return theme_on(matplotlib.rcParams["figure.facecolor"])


def theme_on(paper: object) -> Theme:
    """The theme for this colour of paper."""
    return DARK if luminance(to_rgb(paper)) < 0.2 else LIGHT  # type: ignore[arg-type]  # any colour of matplotlib


def luminance(colour: Sequence[float]) -> float:
    """The relative luminance of a colour, 0 to 1, as WCAG defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def look(limit: float, cmap: str | Colormap | None, theme: Theme, unit: str = "") -> Look:
    """The look of a picture whose values reach from −limit to limit. BindError for an unknown colour map."""
    limit = min(limit, WIDEST) if limit > 0 else 1.0
    colours = theme.colours
    if isinstance(cmap, str):
        if cmap not in matplotlib.colormaps:
            raise BindError(f"unknown colour map '{cmap}'{did_you_mean(cmap, matplotlib.colormaps)}")
        colours = matplotlib.colormaps[cmap].resampled(STEPS)
    elif cmap is not None:
        colours = cmap
    return Look(Normalize(-limit, limit), colours, theme, unit)


def common_unit(units: Iterable[str]) -> str:
    """The unit of several maps; nothing if they do not agree."""
    found = set(units)
    return found.pop() if len(found) == 1 else ""


def ticks(limit: float, most: int = 4) -> list[float]:
    """Round numbers from −limit to limit, symmetric, with 0."""
    steps = MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10], symmetric=True).tick_values(-limit, limit)
    inside = [float(step) for step in steps if abs(step) <= limit * (1 + 1e-9)]
    return inside if len(inside) >= 3 else [-limit, 0.0, limit]


def signed(value: float) -> str:
    """A number with its sign: +2, −0.5, 0."""
    return f"{value:+.3g}".replace("-", "−") if value else "0"


def plain(value: float) -> str:
    """A number without a plus: 2, −0.5, 1970."""
    short = f"{value:.0f}" if 1e3 <= abs(value) < 1e7 else f"{value:.3g}"
    return short.replace("-", "−")


def fit(text: str, size: float, room: float) -> str:
    """The text, cut in its middle with an ellipsis to `room` points."""
    text = drawable(" ".join(text.split()))
    if width(text, size) <= room:
        return text
    fits = bisect.bisect(range(1, len(text)), room, key=lambda length: width(middle(text, length), size))
    return middle(text, max(fits, 1))


def middle(text: str, length: int) -> str:
    """The text, cut in its middle with an ellipsis to `length` characters."""
    if len(text) <= length:
        return text
    end = (length - 1) // 2
    return text[: length - 1 - end].rstrip() + "…" + (text[-end:].lstrip() if end else "")


def shortened(names: Sequence[str], length: int) -> list[str]:
    """The names, each cut to `length` characters so that different names stay different.

    A long name is cut in its middle. Names that become equal by that lose what all of them begin and end with; if they
    are equal even then, they are numbered.
    """
    shown = [middle(name, length) for name in names]
    for short in {each for each in shown if shown.count(each) > 1}:
        alike = [i for i, each in enumerate(shown) if each == short and len(names[i]) > length]
        if len({names[i] for i in alike}) < 2:
            continue
        start, end = _shared([names[i] for i in alike])
        for number, i in enumerate(alike, start=1):
            core = names[i][start : len(names[i]) - end]
            cut = ("…" if start else "") + core + ("…" if end else "")
            shown[i] = cut if len(cut) <= length else f"{middle(core, length - 5)} #{number}"
    return shown


def _shared(names: Sequence[str]) -> tuple[int, int]:
    """How many characters all names begin with, and end with."""
    shortest = min(map(len, names))
    start = next((k for k in range(shortest) if len({name[k] for name in names}) > 1), shortest)
    left = shortest - start
    end = next((k for k in range(left) if len({name[-1 - k] for name in names}) > 1), left)
    return max(start - 2, 0), max(end - 2, 0)  # two characters more, so that a number is not torn apart


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


def stripes(shape: tuple[int, int], period: float) -> np.ndarray:
    """Diagonal stripes, `(H, W)` in [0, 1], with soft edges; `period` in pixels."""
    row, col = np.ogrid[: shape[0], : shape[1]]
    wave = np.sin(2 * math.pi * (row + col) / max(period, 2.0))
    return np.clip(0.5 + wave * max(period, 2.0) / 6, 0.0, 1.0)


def dots(shape: tuple[int, int], period: float) -> np.ndarray:
    """A pattern of dots, `(H, W)` in [0, 1], with soft edges; `period` in pixels."""
    period = max(period, 3.0)
    row, col = np.ogrid[: shape[0], : shape[1]]
    odd = (row // period) % 2
    y = row % period - period / 2
    x = (col + odd * period / 2) % period - period / 2
    return np.clip(0.23 * period - np.hypot(y, x) + 0.5, 0.0, 1.0)
