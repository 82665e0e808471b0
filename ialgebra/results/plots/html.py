"""Maps as HTML: a figure for each map, which wraps on narrow pages; words as words, all else as pictures.

In: maps. Out: HTML with everything in it: pictures of light and of dark colours, of which the page shows the one that
fits, each with a text that stands for it. May not know: plans, models, notebooks.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Colormap, to_hex
from matplotlib.figure import Figure

from ..columns import columns_of
from ..shown import ShownMap, WholeMap
from . import certainty, summaries
from .choice import drawing_for, usual
from .drawing import Drawing
from .figure import drawing_of, headlines, look_of, same_input
from .parts import in_parts
from .style import DARK, LIGHT, Look, plain, signed, ticks
from .text import PASSAGE, passage

_CSS_PIXELS, _SHARP = 100, 2
"""Pixels an inch on the page, and pixels of a picture for each of them."""

_ROOMS = {"photo": 2.35, "slices": 4.0, "bars": 4.0}
"""Inches for a panel of a drawing, if not six: two photos with their maps are side by side, and bars fit a phone."""

_STYLE = """<style>
.ialgebra{font:14px/1.45 system-ui,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;max-width:62rem}
.ialgebra .maps{display:flex;flex-wrap:wrap;gap:1.1rem 1.4rem;align-items:flex-start}
.ialgebra figure{margin:0;min-width:0;max-width:100%}
.ialgebra figcaption{margin:0 0 .35rem;max-width:46rem}
.ialgebra .what{font-weight:600;overflow-wrap:anywhere}
.ialgebra .about{opacity:.72;font-size:.88em}
.ialgebra .stamp{border:1px solid currentColor;border-radius:3px;padding:0 .3em;white-space:nowrap}
.ialgebra .pair{display:flex;gap:.35rem;align-items:flex-start}
.ialgebra .pair img{min-width:0;flex:0 1 auto}
.ialgebra img{max-width:100%;height:auto;border-radius:2px}
.ialgebra .words{line-height:2;max-width:44rem;overflow-wrap:anywhere}
.ialgebra .words span{padding:.14em .3em;border-radius:.3em;margin:0 .08em;color:var(--i);background:var(--c)}
.ialgebra .words .off{opacity:.5;background:none;color:inherit}
.ialgebra .words .unsure{outline:1px dashed currentColor;outline-offset:-1px}
.ialgebra .words .unknown{outline:1px dotted currentColor;outline-offset:-1px}
.ialgebra .scale{margin:.7rem 0 .2rem;max-width:20rem;font-size:.85em}
.ialgebra .scale .colours{height:.7rem;border-radius:2px;background:var(--c)}
.ialgebra .scale .ticks{position:relative;height:1.4em}
.ialgebra .scale .ticks span{position:absolute;transform:translateX(-50%)}
.ialgebra .foot{opacity:.72;font-size:.85em;margin:.5rem 0 0}
@media (prefers-color-scheme:dark){
.ialgebra.page .light{display:none!important}.ialgebra.page .dark{display:inline!important}
.ialgebra.page [style*="--dc"]{--c:var(--dc)!important;--i:var(--di)!important}}
[data-jp-theme-light="false"] .ialgebra .light,.vscode-dark .ialgebra .light{display:none!important}
[data-jp-theme-light="false"] .ialgebra .dark,.vscode-dark .ialgebra .dark{display:inline!important}
[data-jp-theme-light="false"] .ialgebra [style*="--dc"]{--c:var(--dc)!important;--i:var(--di)!important}
.vscode-dark .ialgebra [style*="--dc"]{--c:var(--dc)!important;--i:var(--di)!important}
</style>"""


def fragment(
    maps: Sequence[WholeMap],
    caption: str,
    kind: str | None = None,
    cmap: str | Colormap | None = None,
    most: int = 24,
    *,
    page: bool = False,
) -> str:
    """The maps as a piece of HTML; the first `most` of them, which the caption says. `page`: whether colours follow the
    reader's system, as those of a page of its own do; else those of the notebook."""
    kind = kind or usual(maps)
    if kind in ("beeswarm", "dependence") or (kind == "bar" and len(maps) > 1):
        body = _summary(maps, kind, cmap)
    else:
        drawing = drawing_for(kind)
        most = min(most, (drawing or drawing_of(maps[0])).most)
        if len(maps) > most:
            caption += f" (the first {most} of {len(maps):,} maps; answer[{most}:] has the others)"
        first = list(maps[:most])
        body = _panels(first if kind != "maps" else in_parts(first), drawing, cmap)
    foot = f'<p class="foot">{html.escape(caption)}</p>' if caption else ""
    return f'<div class="ialgebra{" page" if page else ""}">{_STYLE}{body}{foot}</div>'


def _panels(maps: Sequence[ShownMap], drawing: Drawing | None, cmap: str | Colormap | None) -> str:
    looks = [look_of(maps, cmap, theme) for theme in (LIGHT, DARK)]
    figures = []
    last: ShownMap | None = None
    for a, headline in zip(maps, headlines(maps), strict=True):
        figures.append(_figure(a, headline, drawing or drawing_of(a), looks, after=last))
        last = a
    coloured = any((drawing or drawing_of(a)).colour_bar for a in maps)
    marks = [_MARKS[word] for word in certainty.marks(maps)]
    explained = f'<p class="foot">{"; ".join(marks)}</p>' if marks else ""
    return f'<div class="maps">{"".join(figures)}</div>{_scale(looks) if coloured else ""}{explained}'


_MARKS = {
    certainty.UNSURE: "striped, or in a dashed frame: the sign is unsure at 95 %",
    certainty.UNKNOWN: "dotted: the error is unknown",
}


def _figure(a: ShownMap, headline: str, drawing: Drawing, looks: Sequence[Look], after: ShownMap | None) -> str:
    said = html.escape(certainty.said(a))
    error = f'<span class="stamp">{said}</span>' if certainty.stamped(a) or said == "exact" else said
    about = f"{html.escape(a.target_name)} · {error} · v(∅) = {plain(a.base_value)} → v(N) = {plain(a.full_value)}"
    about += "" if a.unexplained is None else f" · unexplained {signed(a.unexplained)}"
    caption = (
        f'<figcaption><div class="what">{html.escape(headline)}</div><div class="about">{about}</div></figcaption>'
    )
    if drawing is PASSAGE:
        return f"<figure>{caption}{_words(a, looks)}</figure>"
    if drawing.beside is not None:
        photo = ""
        if (after is None or not same_input(after, a)) and drawing.beside(a, None):
            photo = _image(_body(a, drawing, looks[0], photo=True), f"the input {a.input}", "jpeg")
        drawn = _image(_body(a, drawing, looks[0]), repr(a), "jpeg")
        return f'<figure>{caption}<div class="pair">{photo}{drawn}</div></figure>'
    return f"<figure>{caption}{_both([_body(a, drawing, look) for look in looks], repr(a))}</figure>"


def _body(a: ShownMap, drawing: Drawing, look: Look, *, photo: bool = False) -> Figure:
    """The content of one panel, without a title."""
    body = drawing.measure(a, _ROOMS.get(drawing.name, 6.0))
    wide, high = body.left + body.width, body.height + body.below + (0.06 if body.below else 0.0)
    made = Figure(figsize=(wide, high), facecolor=look.theme.paper)
    ax = made.add_axes(
        (body.left / wide, 1 - body.height / high, body.width / wide, body.height / high), facecolor="none"
    )
    if photo and drawing.beside is not None:
        drawing.beside(a, ax)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            drawing.draw(a, ax, look, body)
    return made


def _image(made: Figure, alt: str, kind: str = "png", attributes: str = "") -> str:
    buffer = io.BytesIO()
    made.savefig(buffer, format=kind, dpi=_CSS_PIXELS * _SHARP)
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    width = round(made.get_figwidth() * _CSS_PIXELS)
    return (
        f'<img alt="{html.escape(alt, quote=True)}" width="{width}"{attributes} '
        f'src="data:image/{kind};base64,{encoded}">'
    )


def _both(pictures: Sequence[Figure], alt: str) -> str:
    """One picture in light colours and one in dark ones, of which one is shown."""
    light, dark = pictures
    hidden = ' class="dark" style="display:none"'
    return _image(light, alt, attributes=' class="light"') + _image(dark, alt, attributes=hidden)


def _summary(maps: Sequence[WholeMap], kind: str, cmap: str | Colormap | None) -> str:
    columns = columns_of(maps)
    light, dark = (summaries.picture(columns, kind, cmap, theme) for theme in (LIGHT, DARK))
    return f"<figure>{_both([light, dark], light.alt)}</figure>"


def _words(a: ShownMap, looks: Sequence[Look]) -> str:
    unsure, unknown = certainty.unsure(a), certainty.unknown(a)
    low, high = a.interval()
    pieces = []
    for word, player in passage(a):
        shown = html.escape(word)
        if player < 0:
            pieces.append(f'<span class="off">{shown}</span>')
            continue
        colours = [look.colour(a.values[player]) for look in looks]
        inks = [look.ink_on(colour) for look, colour in zip(looks, colours, strict=True)]
        mark = " unsure" if unsure[player] else " unknown" if unknown[player] else ""
        value = signed(float(a.values[player]))
        told = (
            f"{value}, error unknown"
            if unknown[player]
            else f"{value} ({signed(low[player])} to {signed(high[player])})"
        )
        style = f"{_colours([to_hex(c) for c in colours], inks)};background:var(--c,{to_hex(colours[0])})"
        pieces.append(
            f'<span class="word{mark}" title="{html.escape(told, quote=True)}" style="{style}">{shown}</span>'
        )
    return f'<div class="words">{" ".join(pieces)}</div>'


def _colours(papers: Sequence[str], inks: Sequence[str]) -> str:
    return f"--c:{papers[0]};--i:{inks[0]};--dc:{papers[1]};--di:{inks[1]}"


def _scale(looks: Sequence[Look]) -> str:
    """The colour scale, with round numbers."""
    limit = looks[0].limit
    gradients = []
    for look in looks:
        stops = [to_hex(look.colour(limit * share)) for share in np.linspace(-1, 1, 9)]
        gradients.append(f"linear-gradient(90deg,{','.join(stops)})")
    numbers = "".join(
        f'<span style="left:{50 + 50 * step / limit:.3g}%">{signed(step)}</span>' for step in ticks(limit)
    )
    return (
        f'<div class="scale"><div class="colours" style="{_colours(gradients, ["#000", "#fff"])}"></div>'
        f'<div class="ticks">{numbers}</div>{html.escape(looks[0].measure)}</div>'
    )
