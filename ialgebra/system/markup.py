"""Text as HTML for notebooks. In: a text. Out: HTML that shows it as it is. May not know: what the text says."""

from __future__ import annotations

import html


def preformatted(text: str) -> str:
    """Text as HTML that keeps its lines and columns."""
    return f"<pre>{html.escape(text)}</pre>"
