"""References to inputs: a registered name, an index for an element of a collection, and edits. In: names, edits. Out:
interned nodes. May not know: tensors, or what any edit does."""

from __future__ import annotations

from dataclasses import fields
from functools import cached_property

from ..errors import BindError
from .interning import Node, node
from .windows import MOST_WRITTEN, Window, sql_name


class Edit(Node):
    """A change of an input before anything is explained: see `edits`. A query writes it as a call of its own name:
    the fields are the arguments, and a field `baseline` is an option."""

    def around(self, inner: str, *, whole: bool = False) -> str:
        """The edit's text around its input's text; `whole` also writes what a query may leave out."""
        words, option = [inner], []
        for name in (field.name for field in fields(self)):  # type: ignore[arg-type]
            match name, getattr(self, name):
                case "baseline", baseline:
                    option = [f"baseline => {baseline.text}"] if whole else []
                case _, Source() as source:
                    words.append(source.text if whole else str(source))
                case _, Window() as window:
                    words.append(window.text if whole else str(window))
                case _, tuple(several):
                    words += map(_argument, several)
                case _, value:
                    words.append(_argument(value))
        return f"{type(self).__name__.lower()}({', '.join(words + option)})"


def _argument(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


@node
class Source(Node):
    """A registered input after a chain of edits; `index` picks one element of a collection (0-based)."""

    name: str
    index: int | None = None
    edits: tuple[Edit, ...] = ()

    def __str__(self) -> str:
        text = self.name.replace("\0", " ")  # a hidden name, such as an input's own baseline
        text = text if self.index is None else f"{text}[{self.index}]"
        for edit in self.edits:
            text = edit.around(text)
        return text

    @cached_property
    def text(self) -> str:
        """Its text in a query; BindError if it would be too long. But a query cannot name one element of a collection:
        `x[2]` is only for people to read."""
        text = sql_name(self.name) if self.index is None else f"{sql_name(self.name)}[{self.index}]"
        for edit in self.edits:
            text = edit.around(text, whole=True)
            if len(text) > MOST_WRITTEN:  # baselines may name edited inputs, whose baselines name others, and so on
                raise BindError(f"an input with its edits cannot be written in {MOST_WRITTEN:,} characters: {self}")
        return text

    @property
    def whole_text(self) -> str | None:
        """Its text in a query; None if it would be too long."""
        try:
            return self.text
        except BindError:
            return None

    @property
    def collection(self) -> Source:
        """The collection that an element belongs to, with the same edits; a single input counts as its own
        collection."""
        return Source(self.name, None, self.edits)
