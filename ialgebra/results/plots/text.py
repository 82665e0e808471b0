"""Texts: the words themselves, each on the colour of its player's value.

In: maps of token sequences. Out: the drawing "passage", and the words for other ways to show them. May not know: other
drawings, or how panels are laid out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from ...algebra.kinds.naming import CONTINUES
from ..shown import ShownMap
from . import certainty
from .drawing import Body, Drawing
from .style import POINTS, Look, drawable, middle, width

WORDS = 200
"""A panel shows at most this many tokens, those with the largest values."""

WORD_LENGTH = 40
"""The longest word in characters."""

PANEL_WIDTH = 6.6
"""Inches."""

LINE_HEIGHT, FONT_SIZE = 20.0, 10.5
"""The distance of two lines of tokens and their font size, in points."""


def _measured(a: ShownMap, room: float) -> Body:
    wide = min(PANEL_WIDTH, max(room, 3.0))
    _, lines = _flow([drawable(word) for word, _ in passage(a)], wide * POINTS)
    return Body(wide, (lines + 0.3) * LINE_HEIGHT / POINTS)


def _drawn(a: ShownMap, ax: Axes, look: Look, body: Body) -> None:
    """The text itself, each token on the colour of its player's value; tokens outside the window are faint."""
    words = [(drawable(word), player) for word, player in passage(a)]
    places, _ = _flow([word for word, _ in words], body.width * POINTS)
    ax.set_xlim(0, body.width * POINTS)
    ax.set_ylim(body.height * POINTS, 0)
    ax.axis("off")
    unsure, unknown = certainty.unsure(a), certainty.unknown(a)
    for (word, player), (x, line) in zip(words, places, strict=True):
        text = ax.text(
            x + 3, (line + 0.5) * LINE_HEIGHT, word, fontsize=FONT_SIZE, va="center_baseline", parse_math=False
        )
        if player < 0:
            text.set_color("#a0a2a8")
            continue
        colour = look.colour(a.values[player])
        text.set_color(look.ink_on(colour))
        box = {"boxstyle": "round,pad=0.2", "facecolor": colour, "edgecolor": "none", "linewidth": 0.0}
        if unsure[player] or unknown[player]:
            box |= {"edgecolor": look.theme.line, "hatch": "/////" if unsure[player] else "..", "linewidth": 0.4}
        text.set_bbox(box)


def passage(a: ShownMap) -> list[tuple[str, int]]:
    """The words that are drawn, each with its player; tokens that continue a word of the same player are one with it.
    Of a long text, only the words with the largest values; … for the others."""
    words, players = _words(a), a.players.ravel()
    sizes = np.append(np.abs(a.values), -1.0)[players]
    drawn: list[tuple[str, int]] = []
    last = -1
    for position in [*sorted(np.argsort(-sizes, kind="stable")[:WORDS].tolist()), len(words)]:
        if position > last + 1:
            drawn.append(("…", -1))
        if position < len(words):
            word, player = words[position], int(players[position])
            if word.startswith(CONTINUES) and position and last == position - 1 and drawn[-1][1] == player:
                drawn[-1] = drawn[-1][0] + word.removeprefix(CONTINUES), player
            else:
                drawn.append((word, player))
        last = position
    return drawn


def _words(a: ShownMap) -> list[str]:
    names = a.feature_names if a.feature_names is not None else [str(token) for token in a.content.ravel()]
    return [middle(name, WORD_LENGTH) or "␣" for name in names]


def _flow(words: Sequence[str], room: float) -> tuple[list[tuple[float, int]], int]:
    """Where each word of a text that is `room` points wide begins: its x and its line; and the number of lines."""
    places: list[tuple[float, int]] = []
    x, line = 0.0, 0
    for word in words:
        advance = width(word, FONT_SIZE) + 9.0
        if x and x + advance > room:
            x, line = 0.0, line + 1
        places.append((x, line))
        x += advance
    return places, line + 1


PASSAGE = Drawing("passage", side_by_side=1, colour_bar=True, measure=_measured, draw=_drawn, most=12)
