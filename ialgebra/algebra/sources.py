"""References to inputs: a registered name, for an element of a collection its position, and the edits made to it."""

from __future__ import annotations

from dataclasses import fields

from .interning import Node, node
from .windows import sql_name


class Edit(Node):
    """A change of an input before anything is explained: see `edits`. A query writes it as a call of its own name;
    the fields are the arguments, and the baseline, if there is one, is an option."""

    def around(self, inner: str, *, whole: bool = False) -> str:
        """The modifier's text around that of its input; `whole` also writes what is a query's default."""
        words, option = [inner], []
        for name in (field.name for field in fields(self)):  # type: ignore[arg-type]
            match name, getattr(self, name):
                case "baseline", baseline:
                    option = [f"baseline => {baseline}"] if whole else []
                case _, Source() as source:
                    words.append(source.text if whole else str(source))
                case _, tuple(several):
                    words += map(_argument, several)
                case _, value:
                    words.append(_argument(value))
        return f"{type(self).__name__.lower()}({', '.join(words + option)})"


def _argument(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


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
        """As a query writes it. The language cannot name one element of a collection: `x[2]` is for readers only."""
        text = sql_name(self.name) if self.index is None else f"{sql_name(self.name)}[{self.index}]"
        for edit in self.edits:
            text = edit.around(text, whole=True)
        return text

    @property
    def collection(self) -> Source:
        """The collection that an element belongs to, under the same edits; a single input is its own collection."""
        return Source(self.name, None, self.edits)
