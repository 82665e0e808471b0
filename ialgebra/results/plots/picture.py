"""A `Picture`: a matplotlib Figure that is shown as the value of a notebook's cell, without pyplot.

In: what a Figure takes, and a text that says what is to be seen. Out: the figure, and its PNG for notebooks, with that
text as its alternative. May not know: maps.
"""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ...errors import IalgebraError

_SHARP = 2.0
"""Pixels of a PNG for each CSS pixel of a notebook, so that it is sharp on fine screens."""

_DPI = 100
"""CSS pixels an inch."""


class Picture(Figure):
    """A Figure whose `alt` says in words what it shows."""

    alt: str = ""

    def _repr_mimebundle_(self, **kwargs: object) -> tuple[dict[str, Any], dict[str, Any]]:
        """The picture as a notebook wants it: PNG, and HTML that has the alternative text."""
        content = png(self, int(_DPI * _SHARP))
        width = round(self.get_figwidth() * _DPI)
        encoded = base64.b64encode(content).decode("ascii")
        return (
            {
                "image/png": encoded,
                "text/html": img(encoded, self.alt, width),
                "text/plain": f"<Picture: {self.alt}>",
            },
            {"image/png": {"width": width, "alt": self.alt}},
        )


def img(encoded: str, alt: str, width: int, kind: str = "png") -> str:
    """An HTML image of base64 bytes, never wider than its place."""
    return (
        f'<img alt="{html.escape(alt, quote=True)}" width="{width}" style="max-width:100%;height:auto" '
        f'src="data:image/{kind};base64,{encoded}">'
    )


def png(picture: Figure, dpi: int = 110) -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    picture.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def save(picture: Figure, path: Path, dpi: int = 150) -> None:
    """Write a figure to a file, whose ending says the format; IalgebraError where that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.savefig(path, dpi=dpi)
    except (OSError, ValueError) as cause:  # such as a folder that may not be written, or an unknown format
        reason = getattr(cause, "strerror", None) or cause
        raise IalgebraError(f"cannot write the picture '{path}': {reason}") from cause
