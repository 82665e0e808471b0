"""The gallery of a dictionary as a picture, and as HTML: a row for each attribute.

In: rows of inputs, maps and pictures. Out: a `Picture`, or HTML that fetches nothing. May not know: networks, models or
plans.
"""

from __future__ import annotations

import base64
import html
import itertools
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...system.arrays import Array
from ..attribute_rows import ActiveInput, AttributeRow, signed
from ..shown import WholeMap
from . import html as drawn_html
from .figure import drawing_of
from .image import bare
from .picture import Picture, img, png
from .style import Theme, current_theme, look

_CELL, _GAP, _NAME, _HEAD = (
    0.78,
    0.06,
    1.75,
    0.42,
)  # inches: of a picture, between two, of the names, above the first row
_WIDE = 4.6  # inches of a map that is no picture
_LINE = 0.2  # inches of a line of words

_RowCell = tuple[str, float, Callable[[Axes], None]]
"""The head of a column, the width of a cell in inches, and what draws it."""


def gallery_picture(title: str, rows: Sequence[AttributeRow], kind: str, scale: tuple[float, float]) -> Picture:
    """All rows below one another, in columns."""
    theme = current_theme()
    cells = [_cells(row, kind, scale, theme) for row in rows]
    heights = [_height(row, kind) for row in rows]
    width = _NAME + max((sum(each[1] + _GAP for each in row) for row in cells), default=1.0) + 0.1
    high = sum(heights) + _GAP * len(rows) + _HEAD + 0.3
    picture = Picture(figsize=(width, high), facecolor=theme.paper)
    picture.text(0.1 / width, 1 - 0.16 / high, title, fontsize=10, color=theme.ink, va="center", parse_math=False)
    top = high - _HEAD - 0.2
    for number, (row, held, tall) in enumerate(zip(rows, cells, heights, strict=True)):
        _draw_row(picture, row, held, top, tall, theme, headed=number == 0)
        top -= tall + _GAP
    picture.alt = f"{title}: " + "; ".join(f"{row.name} {row.meaning}" for row in rows[:30])
    return picture


def _draw_row(
    picture: Figure,
    row: AttributeRow,
    cells: Sequence[_RowCell],
    top: float,
    tall: float,
    theme: Theme,
    *,
    headed: bool,
) -> None:
    width, high = picture.get_figwidth(), picture.get_figheight()
    middle = (top - tall / 2) / high
    picture.text(0.1 / width, middle + 0.14 / high, row.name, fontsize=10, weight="bold", color=theme.ink, va="center")
    told = "\n".join(f"{label} {signed(value)}" for label, value in row.classes[:2]) or "no class"
    picture.text(0.1 / width, middle - 0.16 / high, told, fontsize=7, color=theme.faint, va="center", parse_math=False)
    left, before = _NAME, ""
    for head, wide, draw in cells:
        axes = picture.add_axes((left / width, (top - tall) / high, wide / width, tall / high))
        axes.set_facecolor(theme.paper)
        draw(axes)
        if headed and head != before:
            picture.text(left / width, (top + 0.05) / high, head, fontsize=7.5, color=theme.faint, va="bottom")
        left, before = left + wide + _GAP, head


def _height(row: AttributeRow, kind: str) -> float:
    if kind == "image":
        return _CELL
    maps = [drawing_of(a).measure(a, _WIDE).height + 0.2 for a in row.where[:1]]
    return max([_CELL, len(row.words) * _LINE, len(row.profile) * _LINE, *maps])


def _cells(row: AttributeRow, kind: str, scale: tuple[float, float], theme: Theme) -> list[_RowCell]:
    """The cells of a row, from left to right."""
    found: list[_RowCell] = []
    if kind == "image":
        found += [("most active", _CELL, _pictured(each, scale, theme)) for each in row.most]
        limit = max((float(np.abs(a.values).max(initial=0)) for a in row.where), default=1.0)
        found += [("where", _CELL, _mapped(a, limit, theme)) for a in row.where]
        found += [("least, same class", _CELL, _pictured(each, scale, theme)) for each in row.least]
        if row.maximum is not None:
            for head, content, active in zip(
                ("dimmed", "raised"),
                (row.maximum.before, row.maximum.after),
                row.maximum.activations,
                strict=True,
            ):
                found.append((head, _CELL, _pictured(ActiveInput(content, "", "", active), scale, theme)))
        return found
    if kind == "tokens":
        lines = [f"{signed(value)}  {word}   in “{near}”" for word, value, near in row.words]
        found.append(("words that activate it most", _WIDE, _listed(lines, theme)))
    if row.profile:
        found.append(("differs from all inputs, in sd", _WIDE / 1.6, _bars(row.profile, theme)))
    for a in row.where[:1]:
        limit = float(np.abs(a.values).max(initial=0))
        found.append(("where, in the most active", _WIDE, _mapped(a, limit, theme)))
    return found


def _pictured(each: ActiveInput, scale: tuple[float, float], theme: Theme) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        axes.imshow(_photo(each.content, scale), cmap="gray", vmin=0, vmax=1, aspect="equal")
        bare(axes)
        box = {"facecolor": theme.paper, "alpha": 0.75, "edgecolor": "none", "pad": 0.6}
        told = f"{each.activation:.2g}"
        axes.text(0.04, 0.05, told, fontsize=6, color=theme.ink, transform=axes.transAxes, bbox=box)

    return draw


def _mapped(a: WholeMap, limit: float, theme: Theme) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        drawing = drawing_of(a)
        body = drawing.measure(a, _WIDE)
        if body.left:
            box = axes.get_position()
            share = box.width * body.left / _WIDE
            axes.set_position((box.x0 + share, box.y0, box.width - share, box.height))
        drawing.draw(a, axes, look(limit, None, theme), body)
        axes.set_xticks([])
        axes.set_xlabel("")
        axes.spines["bottom"].set_visible(False)

    return draw


def _listed(lines: Sequence[str], theme: Theme) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        axes.axis("off")
        for number, text in enumerate(lines):
            place = 1 - (number + 0.5) / max(len(lines), 1)
            axes.text(0, place, text, fontsize=8, color=theme.ink, va="center", parse_math=False)

    return draw


def _bars(profile: Sequence[tuple[str, float]], theme: Theme) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        values = [value for _, value in profile]
        colours = [theme.colours(0.86 if value > 0 else 0.14) for value in values]
        axes.barh(range(len(values)), values, color=colours, height=0.7)
        axes.axvline(0, color=theme.line, linewidth=0.8)
        reach = 1.6 * max(map(abs, values), default=1.0)
        axes.set_xlim(-reach, reach)
        axes.invert_yaxis()
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
        for number, (name, value) in enumerate(profile):
            side = "left" if value <= 0 else "right"
            axes.text(0, number, f" {name} ", fontsize=7, ha=side, va="center", color=theme.ink, parse_math=False)

    return draw


def _photo(content: Array, scale: tuple[float, float]) -> Array:
    """A picture (C, H, W) as matplotlib draws it: (H, W), or (H, W, 3), between 0 and 1."""
    low, high = scale
    unit = np.clip((np.asarray(content, dtype=np.float64) - low) / max(high - low, 1e-9), 0, 1)
    if unit.shape[0] == 3:
        return np.asarray(unit.transpose(1, 2, 0))
    return np.asarray(unit[0] if unit.shape[0] == 1 else unit.mean(axis=0))


_RED, _BLUE = "#cc2114", "#1256b0"

_STYLE = """<style>
.concepts{font:14px/1.45 system-ui,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;color:#1d1e22;background:#fff}
.concepts table{border-collapse:collapse}
.concepts td,.concepts th{padding:.3rem .6rem;vertical-align:top;text-align:left;border-top:1px solid #cfd2d8}
.concepts .name{font-weight:600;font-size:1.1em}
.concepts .faint{color:#63666e;font-size:.85em}
.concepts .bar{display:inline-block;height:.7em;border-radius:2px}
.concepts pre{white-space:pre-wrap}
</style>"""


def gallery_html(title: str, about: str, rows: Sequence[AttributeRow], kind: str, scale: tuple[float, float]) -> str:
    """The gallery as a table: each attribute with its classes, and its pictures, words or profile."""
    body = [f'{_STYLE}<div class="concepts"><h1>{html.escape(title)}</h1>']
    if about:
        body.append(f"<pre>{html.escape(about)}</pre>")
    body.append("<table>")
    body += [f"<tr>{_named(row)}<td>{_shown(row, kind, scale)}</td></tr>" for row in rows]
    return "\n".join([*body, "</table></div>"])


def _named(row: AttributeRow) -> str:
    classes = "".join(
        f'<div><span class="bar" style="width:{abs(value) * 4:.2f}em;background:{_RED if value > 0 else _BLUE}"></span>'
        f" {html.escape(label)} {signed(value)}</div>"
        for label, value in row.classes
    )
    told = f'<div class="faint">active for {row.live:.0%} of inputs, at most {row.largest:.3g}</div>'
    return f'<td><div class="name">{html.escape(row.name)}</div>{classes}{told}</td>'


def _shown(row: AttributeRow, kind: str, scale: tuple[float, float]) -> str:
    """The pictures of a row, or its words and profile, and where the attribute is in the most activating inputs."""
    if kind == "image":
        cells = _cells(row, kind, scale, current_theme())
        strip = Picture(figsize=(sum(each[1] + _GAP for each in cells) + 0.05, _CELL + 0.28), facecolor="#ffffff")
        width, high, left = strip.get_figwidth(), strip.get_figheight(), 0.02
        for head, group in itertools.groupby(cells, key=lambda each: each[0]):
            strip.text(left / width, (_CELL + 0.06) / high, head, fontsize=7, color="#63666e", va="bottom")
            for _, wide, draw in group:
                draw(strip.add_axes((left / width, 0.0, wide / width, _CELL / high)))
                left += wide + _GAP
        alt = f"{row.name}: inputs that show most and least of it, and where"
        return img(base64.b64encode(png(strip, 200)).decode("ascii"), alt, round(width * 100))
    parts = []
    if row.words:
        listed = "".join(
            f"<li><b>{html.escape(word)}</b> {signed(value)} <span class='faint'>{html.escape(near)}</span></li>"
            for word, value, near in row.words
        )
        parts.append(f"words that activate it most<ul>{listed}</ul>")
    if row.profile:
        listed = "".join(f"<li>{html.escape(name)} {signed(value)} sd</li>" for name, value in row.profile)
        parts.append(f"the most active inputs differ from all by<ul>{listed}</ul>")
    if row.where:
        parts.append(
            drawn_html.fragment(list(row.where), "where it is, in the most active inputs", None, None, len(row.where))
        )
    return "".join(parts)
