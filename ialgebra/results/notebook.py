"""Maps as HTML, for notebooks: a picture, or text if matplotlib is not installed.

In: finished maps and a caption. Out: HTML. May not know: queries, plans or models.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

from ..errors import IalgebraError
from .shown import ShownMap

DRAWN = 24
"""The most maps that a notebook draws for an answer; plot() draws all."""


def preformatted(text: str) -> str:
    """Text as HTML that keeps its lines and columns."""
    return f"<pre>{html.escape(text)}</pre>"


def picture(maps: Sequence[ShownMap], caption: str) -> str:
    """An HTML figure with the maps as an inline PNG, or text if matplotlib is not installed."""
    try:
        from . import plots
    except IalgebraError:
        return preformatted("\n".join(repr(a) for a in maps))
    if len(maps) > DRAWN:
        caption += f" (the first {DRAWN} of {len(maps)} maps; plot() draws all)"
        maps = maps[:DRAWN]
    encoded = base64.b64encode(plots.png(plots.figure(maps))).decode("ascii")
    alt = html.escape("; ".join(repr(a) for a in maps), quote=True)
    return (
        f'<figure style="margin:0"><img style="max-width:100%" alt="{alt}" src="data:image/png;base64,{encoded}">'
        f'<figcaption style="color:#666;font-size:85%">{html.escape(caption)}</figcaption></figure>'
    )
