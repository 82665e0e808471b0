"""References to inputs: a registered name, for an element of a collection its place, and the edits made of it."""

from __future__ import annotations

from .interning import Node, node
from .windows import sql_name


class Edit(Node):
    """A change of an input before anything is explained: see `edits`."""

    def around(self, inner: str, *, whole: bool = False) -> str:
        """The modifier's text around that of its input; the `whole` text leaves nothing to a query's defaults."""
        raise NotImplementedError


@node
class Source(Node):
    """A registered input under a chain of edits; `index` picks one element of a collection (0-based)."""

    name: str
    index: int | None = None
    edits: tuple[Edit, ...] = ()

    def __str__(self) -> str:
        text = self.name.replace("\0", " ")  # an input's own baseline, registered with it
        text = text if self.index is None else f"{text}[{self.index}]"
        for edit in self.edits:
            text = edit.around(text)
        return text

    @property
    def text(self) -> str:
        """As a query would say it; one element of a collection is for reading only, the language has no word for it."""
        text = sql_name(self.name) if self.index is None else f"{sql_name(self.name)}[{self.index}]"
        for edit in self.edits:
            text = edit.around(text, whole=True)
        return text

    @property
    def collection(self) -> Source:
        """The collection that an element is of, under the same edits; an input of its own is itself."""
        return Source(self.name, None, self.edits)
