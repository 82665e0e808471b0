"""References to registered inputs: a name, and for an element of a collection its place."""

from __future__ import annotations

from .interning import Node, node
from .windows import sql_name


@node
class Source(Node):
    """A registered input; `index` picks one element of a collection (0-based)."""

    name: str
    index: int | None = None

    def __str__(self) -> str:
        name = self.name.replace("\0", " ")  # an input's own baseline, registered with it
        return name if self.index is None else f"{name}[{self.index}]"

    @property
    def text(self) -> str:
        """As a query would say it; one element of a collection is for reading only, the language has no word for it."""
        return sql_name(self.name) if self.index is None else f"{sql_name(self.name)}[{self.index}]"
