"""A text that prompts and notebooks show as it is, line by line, and not as a quoted string with \\n in it.

In: a text. Out: the same, as a `str`. May not know: what the text says.
"""

from __future__ import annotations

from ..system.markup import preformatted


class ShownText(str):
    """A text of several lines, whose `repr` is the text itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return preformatted(self)
