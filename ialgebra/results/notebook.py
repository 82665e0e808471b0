"""Maps as HTML, for notebooks: a picture, or text where matplotlib is not installed.

Comes in: finished maps and a caption. Goes out: HTML. May not know: queries, plans or models.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

from ..errors import IalgebraError
from .shown import ShownMap

DRAWN = 24
"""A notebook draws at most this many maps without being asked."""


def preformatted(text: str) -> str:
    """Text in its own lines and columns."""
    return f"<pre>{html.escape(text)}</pre>"


def picture(maps: Sequence[ShownMap], caption: str) -> str:
    """An HTML figure with the maps as an inline PNG, or their table where matplotlib is absent."""
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
