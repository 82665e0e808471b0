"""References to inputs: a registered name, an index for an element of a collection, and edits. In: names, edits. Out:
interned nodes. May not know: tensors, or what any edit does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import ClassVar, Self

from ..errors import BindError
from .interning import Node, fields_of, node, values_of
from .sweeps import Step, number_text
from .windows import MOST_WRITTEN, Window, sql_name, sql_text


class Edit(Node):
    """A change of an input before anything is explained: see `edits`. A query writes it as a call of its name, which
    is that of the class unless `called` says another: the fields are the arguments, and a field `baseline` is an
    option."""

    called: ClassVar[str] = ""
    options: ClassVar[Mapping[str, object]] = MappingProxyType({})  # fields that are written by name, unless as here
    implied: ClassVar[tuple[str, ...]] = ()  # those of them that only the whole text writes

    @classmethod
    def word(cls) -> str:
        """Its name in a query."""
        return cls.called or cls.__name__.lower()

    @cached_property
    def step(self) -> Step | None:
        """The number of a sweep that it has, or that another input which it reads has; None if there is none."""
        return next((each for value in values_of(self) for each in _steps(value)), None)

    @property
    def unswept(self) -> Self:
        """The edit with its whole sweep in the place of one step."""
        if self.step is None:
            return self
        return type(self)(*map(_unswept, values_of(self)))

    def around(self, inner: str, *, whole: bool = False) -> str:
        """The edit's text around its input's text; `whole` also writes what a query may leave out."""
        words, option = [inner], []
        for name, of_field in fields_of(self):
            match name, of_field:
                case "baseline", baseline:
                    option = [f"baseline => {baseline.text}"] if whole else []
                case _, value if name in self.options:
                    if value != self.options[name] and (whole or name not in self.implied):
                        option.append(f"{name} => {_option(value)}")
                case _, Source() as source:
                    words.append(source.text if whole else str(source))
                case _, Window() as window:
                    words.append(window.text if whole else str(window))
                case _, tuple(several):
                    words += map(_argument, several)
                case _, value:
                    words.append(_argument(value))
        return f"{self.word()}({', '.join(words + option)})"


def _option(value: object) -> str:
    """The value of an option as query text: a word is a name."""
    match value:
        case str():
            return sql_name(value)
        case tuple(several):
            return f"({', '.join(map(_argument, several))})"
    return _argument(value)


def _argument(value: object) -> str:
    match value:
        case Step():
            return value.words
        case float():
            return number_text(value)
        case str():
            return sql_text(value)
    return str(value)


def _steps(value: object) -> Iterator[Step]:
    """The steps in a field's value, of which an edit has one at most."""
    match value:
        case Step():
            yield value
        case tuple(several):
            yield from (each for each in several if isinstance(each, Step))
        case Source(step=Step() as step):
            yield step


def _at_step(edit: Edit, step: Step) -> Edit:
    """The edit with another step of the sweep that it has."""
    if edit.step is None:
        return edit
    return type(edit)(*(_stepped(value, step) for value in values_of(edit)))


def _stepped(value: object, step: Step) -> object:
    match value:
        case Step():
            return step
        case tuple(several):
            return tuple(_stepped(each, step) for each in several)
        case Source(step=Step()):
            return value.at_step(step)
    return value


def _unswept(value: object) -> object:
    match value:
        case Step():
            return value.whole
        case tuple(several):
            return tuple(map(_unswept, several))
        case Source(name, index, edits):
            return Source(name, index, tuple(each.unswept for each in edits))
    return value


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
        """The collection or the sweep that an element belongs to, with the same edits; a single input counts as its own
        collection."""
        return Source(self.name, None, tuple(each.unswept for each in self.edits))

    def at_step(self, step: Step) -> Source:
        """The element of the same sweep at another step."""
        return Source(self.name, self.index, tuple(_at_step(each, step) for each in self.edits))

    @cached_property
    def step(self) -> Step | None:
        """The number of the sweep that it is an element of, or None."""
        return next((each.step for each in self.edits if each.step is not None), None)

    @property
    def is_element(self) -> bool:
        """Whether it is one of several: of a collection, or of a sweep."""
        return self.index is not None or self.step is not None


def families(sources: Sequence[Source]) -> Iterator[Source]:
    """The collections and sweeps that sources belong to, each once."""
    edited = dict.fromkeys((source.name, source.edits) for source in sources)
    yield from dict.fromkeys(Source(name, None, edits).collection for name, edits in edited)


def texts(sources: Sequence[Source]) -> Iterator[str]:
    """The texts of sources that `str` gives; what stands around inputs of the same edits is written once."""
    around: dict[tuple[Edit, ...], tuple[str, str]] = {}
    for source in sources:
        if source.edits not in around:
            before = "".join(f"{edit.word()}(" for edit in reversed(source.edits))
            whole = str(Source("", None, source.edits))
            around[source.edits] = before, whole[len(before) :]
        before, after = around[source.edits]
        yield f"{before}{Source(source.name, source.index) if source.edits else source}{after}"
