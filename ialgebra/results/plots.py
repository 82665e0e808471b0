"""Attribution maps as pictures: photos under a diverging map, signed bars, coloured text.

Comes in: Attributions. Goes out: matplotlib Figures and Axes, laid out in inches by hand, so that panels of one answer
are of one size and on one colour scale, symmetric about zero. May not know: sessions, plans or models. No global state
of matplotlib is touched except by `show`.

Red raises the target's output, blue lowers it (readable with the common colour blindnesses; zero is colourless, so
that the photo itself shows through). A player is painted in its whole value, not in its value per pixel, so that the
colour bar reads in units of the model's output. What lies outside the window is faded and outlined.
"""

from __future__ import annotations

import bisect
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..errors import IalgebraError
from ..system.arrays import Array, Floats, Ints
from .relation import Attribution, error_text

try:
    from matplotlib import font_manager
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize
    from matplotlib.figure import Figure
    from matplotlib.textpath import TextPath
except ImportError as cause:
    raise IalgebraError('this needs matplotlib, which is not installed; run: pip install "ialgebra[plot]"') from cause

INK, FAINT = "#222222", "#777777"
_NO_DISPLAY = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}
BARS = 20  # a tabular panel shows this many players, the largest
WORDS = 200  # a panel of a text shows this many tokens, those of the largest values
COLOURS = LinearSegmentedColormap.from_list(
    "ialgebra",
    ["#0b4fa8", "#4a90d9", "#b5d3f0", "#ffffff", "#f7c3b0", "#e4633f", "#b0120a"],
    N=257,  # odd, so that zero is exactly white
)

# Inches and points. A panel is a title above a body; the body's size depends on what is drawn.
_TITLE, _GAP, _MARGIN, _BAR_ROOM = 0.46, 0.20, 0.10, 0.95
_LINE, _SIZE = 19.0, 10.0  # the distance of two lines of tokens and their font size, in points


@dataclass(frozen=True)
class _Body:
    """The room that a panel's content takes, in inches; `left` is kept free for the names of bars."""

    width: float
    height: float
    left: float = 0.0
    below: float = 0.0


def figure(attributions: Sequence[Attribution], into: Figure | None = None) -> Figure:
    """All maps of one answer on one scale: a row per select item for anti-joins, otherwise rows of up to four panels.

    Draws into a Figure of its own, or `into` a given one, which it resizes.
    """
    rows = _rows(attributions)
    scale = _scale(attributions)
    bodies = {id(a): _body(a) for a in attributions}
    columns = max(len(row) for row in rows)
    width = max(body.left + body.width for body in bodies.values())
    heights = [max(bodies[id(a)].height + bodies[id(a)].below for a in row) + _TITLE for row in rows]
    coloured = any(a.kind != "tabular" for a in attributions)
    full_width = 2 * _MARGIN + columns * width + (columns - 1) * _GAP + (_BAR_ROOM if coloured else 0.0)
    full_height = max(2 * _MARGIN + sum(heights) + (len(rows) - 1) * _GAP, 1.7 if coloured else 0.0)
    picture = Figure() if into is None else into
    picture.set_size_inches(full_width, full_height)
    picture.set_facecolor("white")

    def axes(left: float, top: float, width: float, height: float) -> Axes:
        bottom = (full_height - top - height) / full_height
        return picture.add_axes((left / full_width, bottom, width / full_width, height / full_height))

    top = _MARGIN
    for row, height in zip(rows, heights, strict=True):
        for column, a in enumerate(row):
            body = bodies[id(a)]
            left = _MARGIN + column * (width + _GAP)
            _draw(a, axes(left + body.left, top + _TITLE, body.width, body.height), scale, body)
        top += height + _GAP
    if coloured:
        top = _MARGIN + _TITLE
        height = max(bodies[id(rows[0][0])].height, min(full_height - top - _MARGIN, 1.6))
        _colour_bar(axes(full_width - _BAR_ROOM + 0.02, top, 0.13, height), scale)
    return picture


def attribution(a: Attribution, ax: Axes | None = None) -> Axes:
    """One map, into `ax` or the first axes of a figure of its own."""
    if ax is None:
        return figure([a]).axes[0]
    body = _body(a)
    _draw(a, ax, _scale([a]), body)
    return ax


def png(picture: Figure, dpi: int = 110) -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    picture.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def show(attributions: Sequence[Attribution]) -> bool:
    """Show the maps in a window or a notebook; False where matplotlib has no display."""
    from matplotlib import pyplot

    if pyplot.get_backend().lower() in _NO_DISPLAY:
        return False
    figure(attributions, pyplot.figure())
    pyplot.show()
    return True


def _rows(attributions: Sequence[Attribution]) -> list[list[Attribution]]:
    """Which panels stand side by side: the parts of one anti-join, or up to four maps of a plain select list."""
    if not attributions:
        raise IalgebraError("there is no map to plot")
    if any(a.component is not None for a in attributions):
        items: dict[int, list[Attribution]] = {}
        for a in attributions:
            items.setdefault(a.item, []).append(a)
        return list(items.values())
    most = 4 if attributions[0].kind == "image" else 2 if attributions[0].kind == "tabular" else 1
    count = -(-len(attributions) // most)
    each = -(-len(attributions) // count)
    return [list(attributions[i : i + each]) for i in range(0, len(attributions), each)]


def _scale(attributions: Iterable[Attribution]) -> Normalize:
    """The shared scale: as far as the largest |value| goes, both ways."""
    largest = max((float(np.abs(a.values).max(initial=0.0)) for a in attributions), default=0.0)
    return Normalize(-(largest or 1.0), largest or 1.0)


def _body(a: Attribution) -> _Body:
    if a.kind == "image":
        high, wide = a.map.shape[-2:]
        return _Body(2.6, float(np.clip(2.6 * high / wide, 0.5, 6.0)))
    if a.kind == "tabular":
        names = a.player_names()
        shown = _largest_first(a)[:BARS]
        left = 0.12 + max((_width(_cut(names[player], 28), 8.5) for player in shown), default=0.0) / 72
        return _Body(2.8, 0.23 * max(1, len(shown)) + 0.1, left, 0.62 if len(names) > BARS else 0.45)
    _, lines = _flow([word for word, _ in _passage(a)], 5.6 * 72)
    return _Body(5.6, (lines + 0.3) * _LINE / 72)


def _draw(a: Attribution, ax: Axes, scale: Normalize, body: _Body) -> None:
    room = (body.left + body.width) * 72
    ax.set_title("")
    start = {"xy": (0.0, 1.0), "xycoords": "axes fraction", "textcoords": "offset points", "parse_math": False}
    left = -body.left * 72
    ax.annotate(_fit(a.label, 10.0, room), xytext=(left, 20), fontsize=10, color=INK, **start)  # type: ignore[arg-type]
    second = _fit(f"{a.target_name} · {error_text(a.relative_error)}", 8.5, room)
    ax.annotate(second, xytext=(left, 7), fontsize=8.5, color=FAINT, **start)  # type: ignore[arg-type]
    if a.kind == "image":
        _image(a, ax, scale)
    elif a.kind == "tabular":
        _bars(a, ax, scale)
    else:
        _tokens(a, ax, scale, body)


def _image(a: Attribution, ax: Axes, scale: Normalize) -> None:
    """The photo in grey, multiplied by the colour of its player's value; faded where no player is."""
    outside = np.all(a.players.reshape(-1, *a.players.shape[-2:]) < 0, axis=0)
    position = np.asarray(scale(_painted(a)))
    contrast = 0.65 - 0.40 * np.abs(2 * position - 1)  # a strong colour must not drown in a dark photo
    photo = 1.0 - np.where(outside, 0.25, contrast) * (1.0 - _grey(a.content))
    colour = np.asarray(COLOURS(position))[..., :3]
    ax.imshow(photo[..., None] * colour)
    if outside.any() and not outside.all():
        ax.contour(outside, levels=[0.5], colors=[INK], linewidths=0.7)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)


def _painted(a: Attribution) -> Floats:
    """Every pixel's players' values, `(H, W)`: a player that takes several channels of a pixel counts once."""
    players = a.players.reshape(-1, *a.players.shape[-2:])
    values = np.append(a.values, 0.0)  # the last is for −1, outside the window
    painted = np.zeros(players.shape[1:])
    for channel, labels in enumerate(players):
        painted += np.where((players[:channel] == labels).any(axis=0), 0.0, values[labels])
    return painted


def _grey(content: Array) -> Floats:
    """A photo of any range and number of channels as luminance in [0, 1]; a flat one is white."""
    channels = content.reshape(-1, *content.shape[-2:]).astype(np.float64)
    weights = np.array([0.299, 0.587, 0.114]) if len(channels) == 3 else np.full(len(channels), 1 / len(channels))
    grey: Floats = np.tensordot(weights, channels, axes=1)
    low, high = np.percentile(grey, [0.5, 99.5])
    if high <= low:  # a sparse drawing: nearly every pixel is background
        low, high = grey.min(), grey.max()
    return np.clip((grey - low) / (high - low), 0.0, 1.0) if high > low else np.ones_like(grey)


def _bars(a: Attribution, ax: Axes, scale: Normalize) -> None:
    """Signed bars with 95 % intervals, largest first; what does not fit is summed up in one line below."""
    order = _largest_first(a)
    shown, rest = order[:BARS], order[BARS:]
    low, high = a.interval()
    names = a.player_names()
    y = np.arange(len(shown))
    ax.barh(y, a.values[shown], height=0.68, color=[COLOURS(0.86 if value > 0 else 0.14) for value in a.values[shown]])
    known = np.isfinite(a.stderr[shown]) & (a.stderr[shown] > 0)
    ax.hlines(y[known], low[shown][known], high[shown][known], colors=INK, linewidths=1.0)
    ax.set_yticks(y, [_drawable(_cut(names[player], 28)) for player in shown], fontsize=8.5, color=INK)
    for label in ax.get_yticklabels():
        label.set_parse_math(False)
    reach = 1.06 * max(abs(float(scale.vmin or 0.0)), abs(float(scale.vmax or 0.0)))
    widest = max((abs(float(end)) for side in (low, high) for end in side[shown][known]), default=0.0)
    ax.set_xlim(-max(reach, 1.03 * widest), max(reach, 1.03 * widest))
    ax.set_ylim(max(len(shown), 1) - 0.4, -0.6)
    ax.axvline(0.0, color=FAINT, linewidth=0.8)
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=7.5, colors=FAINT, length=2)
    ax.locator_params(axis="x", nbins=5)
    for side in ("left", "right", "top"):
        ax.spines[side].set_visible(False)
    ax.spines["bottom"].set_color("#cccccc")
    ax.set_xlabel("contribution to the target", fontsize=8, color=FAINT, labelpad=2)
    if len(rest):
        total = float(a.values[rest].sum())
        ax.annotate(
            f"and {len(rest)} smaller, together {total:+.2g}".replace("-", "−"),
            xy=(1.0, 0.0), xycoords="axes fraction", xytext=(0, -36), textcoords="offset points",
            ha="right", fontsize=8, color=FAINT,
        )  # fmt: skip


def _largest_first(a: Attribution) -> Ints:
    return np.argsort(-np.abs(a.values), kind="stable")


def _tokens(a: Attribution, ax: Axes, scale: Normalize, body: _Body) -> None:
    """The text itself, each token on the colour of its player's value; tokens outside the window are grey."""
    passage = _passage(a)
    places, _ = _flow([word for word, _ in passage], body.width * 72)
    ax.set_xlim(0, body.width * 72)
    ax.set_ylim(body.height * 72, 0)
    ax.axis("off")
    for (word, player), (x, line) in zip(passage, places, strict=True):
        text = ax.text(x + 3, (line + 0.5) * _LINE, word, fontsize=_SIZE, va="center_baseline", parse_math=False)
        if player < 0:
            text.set_color("#aaaaaa")
            continue
        red, green, blue, _ = COLOURS(float(scale(a.values[player])))
        text.set_color("white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.55 else INK)
        text.set_bbox({"boxstyle": "round,pad=0.18", "facecolor": (red, green, blue), "edgecolor": "none"})


def _passage(a: Attribution) -> list[tuple[str, int]]:
    """The words that are drawn, each with its player: of a long text those of the largest values, … for the others."""
    words, players = _words(a), a.players.ravel()
    sizes = np.append(np.abs(a.values), -1.0)[players]
    drawn: list[tuple[str, int]] = []
    last = -1
    for place in [*sorted(np.argsort(-sizes, kind="stable")[:WORDS].tolist()), len(words)]:
        if place > last + 1:
            drawn.append(("…", -1))
        if place < len(words):
            drawn.append((words[place], int(players[place])))
        last = place
    return drawn


def _words(a: Attribution) -> list[str]:
    names = a.feature_names if a.feature_names is not None else [str(token) for token in a.content.ravel()]
    return [_drawable(_cut(name, 40)) or "␣" for name in names]


def _flow(words: Sequence[str], width: float) -> tuple[list[tuple[float, int]], int]:
    """Where each word of a text that is `width` points wide begins: its x and its line; and the number of lines."""
    places: list[tuple[float, int]] = []
    x, line = 0.0, 0
    for word in words:
        advance = _width(word, _SIZE) + 8.0
        if x and x + advance > width:
            x, line = 0.0, line + 1
        places.append((x, line))
        x += advance
    return places, line + 1


def _colour_bar(ax: Axes, scale: Normalize) -> None:
    bar = ax.figure.colorbar(ScalarMappable(scale, COLOURS), cax=ax)
    bar.outline.set_visible(False)
    ax.set_label("<colorbar>")
    limit = float(scale.vmax or 1.0)
    bar.set_ticks([-limit, 0.0, limit], labels=[f"−{limit:.2g}", "0", f"+{limit:.2g}"])
    ax.tick_params(labelsize=8, colors=INK, length=0)
    ax.annotate(
        "contribution\nto the target", xy=(0.0, 0.5), xycoords="axes fraction", xytext=((_BAR_ROOM - 0.1) * 72, 0),
        textcoords="offset points", rotation=90, ha="right", va="center", ma="center", fontsize=8, color=FAINT,
    )  # fmt: skip


def _fit(text: str, size: float, room: float) -> str:
    """The text, cut with an ellipsis to `room` points."""
    text = _drawable(" ".join(text.split()))
    if _width(text, size) <= room:
        return text
    fits = bisect.bisect(range(1, len(text)), room, key=lambda length: _width(text[:length].rstrip() + "…", size))
    return text[:fits].rstrip() + "…"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _drawable(text: str) -> str:
    """The text with what the font lacks (emoji, say) as a small box, so that drawing neither warns nor fails."""
    return "".join(c if ord(c) in _glyphs() else "▯" for c in text)


@lru_cache(maxsize=4096)
def _width(text: str, size: float) -> float:
    """The width of a text in points."""
    if not text.strip():
        return size / 3
    plain = text.replace("$", "S")  # a dollar would begin a formula; an S is as wide
    return 1.06 * float(TextPath((0.0, 0.0), plain, size=size).get_extents().width)  # hinting widens it on a screen


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    font = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
    return frozenset(font.get_charmap())
