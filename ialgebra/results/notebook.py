"""Maps as HTML, for notebooks and for files: pictures, words and captions; or text if matplotlib is not installed.

In: finished maps and a caption. Out: HTML that fetches nothing. May not know: queries, plans or models.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import IalgebraError
from ..system import disk
from ..system.markup import preformatted
from .shown import WholeMap

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

DRAWN = 24
"""The most maps that a notebook draws for an answer; plot() draws all."""


def picture(maps: Sequence[WholeMap], caption: str, kind: str | None = None, cmap: str | Colormap | None = None) -> str:
    """The maps as HTML, in light colours or dark ones as the page is, or text if matplotlib is not installed."""
    try:
        from .plots import html as drawn
    except IalgebraError:
        return preformatted("\n".join(repr(a) for a in maps))
    return drawn.fragment(maps, caption, kind, cmap, DRAWN)


def write(path: Path, maps: Sequence[WholeMap], caption: str, kind: str | None, cmap: str | Colormap | None) -> None:
    """Write the maps as a page of their own; IalgebraError if the file cannot be written."""
    from .plots import html as drawn

    body = drawn.fragment(maps, caption, kind, cmap, DRAWN, page=True)
    title = html.escape(", ".join(dict.fromkeys(a.label for a in maps[:3])))
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{title}</title>\n</head>\n'
        f'<body style="margin:1.5rem">\n{body}\n</body>\n</html>\n'
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        disk.write(path, page.encode())
    except (OSError, ValueError) as cause:
        raise IalgebraError(f"cannot write the page '{path}': {getattr(cause, 'strerror', None) or cause}") from cause
