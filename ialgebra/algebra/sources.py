"""References to registered inputs: a name, and for an element of a collection its place."""

from __future__ import annotations

from .interning import Node, node


@node
class Source(Node):
    """A registered input; `index` picks one element of a collection (0-based)."""

    name: str
    index: int | None = None

    def __str__(self) -> str:
        return self.name if self.index is None else f"{self.name}[{self.index}]"
