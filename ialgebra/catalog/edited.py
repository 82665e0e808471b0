"""Edited inputs: sources in, their elements after all edits out. Each is made once, and kept while there is room.

Inputs that a generator draws are drawn together, and are kept under what drew them. Other inputs, their names and what
draws come from a catalog. May not know: queries and plans.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ..algebra.edits import LatentEdit, edited, registered
from ..algebra.kinds.naming import TextNames
from ..algebra.sources import Edit, Source
from ..system import forking
from .drawing import Drawings, read_by
from .inputs import Element, Entry
from .readings import DrawnBy, Readings

_BYTES = 128 << 20  # of edited inputs that are kept, so that a query makes each edited input once
_AHEAD = 256  # inputs that are drawn together

lock = forking.lock()  # one for all, because catalogs and their snapshots share edited inputs

_Key = tuple[object, ...]

Family = tuple[str, tuple[Edit, ...]]
"""An input's name and edits: what is drawn alike, but for the element."""

ReadBy = tuple[DrawnBy, tuple[Entry, ...]]
"""What draws such inputs, and the entries that they read."""


class Registered(Protocol):
    """What edits read of a catalog."""

    def input(self, name: str) -> Entry: ...
    def element(self, source: Source) -> Element: ...
    def names(self, source: Source) -> Sequence[str] | TextNames | None: ...
    def tensors(self, name: str) -> Sequence[Tensor]: ...
    @property
    def drawings(self) -> Drawings: ...
    @property
    def readings(self) -> Readings: ...


class KeptElements:
    """Elements by all that decides what they are; those that were used last are kept, up to `_BYTES`."""

    def __init__(self) -> None:
        self._made: OrderedDict[_Key, Element] = OrderedDict()

    def find(self, key: _Key) -> Element | None:
        """An element, if it is kept."""
        with lock:
            made = self._made.get(key)
            if made is not None:
                self._made.move_to_end(key)
            return made

    def missing(self, keys: Mapping[_Key, Source]) -> list[Source]:
        """The sources whose elements are not kept."""
        with lock:
            return [source for key, source in keys.items() if key not in self._made]

    def keep(self, key: _Key, made: Mapping[_Key, Element]) -> Element:
        """Keep elements of one size; one that is kept already stays. Returns that of `key`."""
        with lock:
            for each, element in made.items():
                self._made.setdefault(each, element)
            found = self._made[key]
            while len(self._made) * found.tensor.nbytes > _BYTES and len(self._made) > len(made):
                self._made.popitem(last=False)
            return found


@dataclass(eq=False)
class Edited:
    """The edited inputs of the catalog `of`. What was made is `kept`, also for other catalogs; `drawn_by` is what was
    found to draw the inputs of one query."""

    of: Registered
    kept: KeptElements
    drawn_by: dict[Family, ReadBy]

    def element(self, source: Source) -> Element:
        """The input that `source` names, one of its input's elements, after its edits."""
        entry, first = self.of.input(source.name), _drawn_edits(source)
        element = self._drawn(_cut(source, first)) if first else entry.elements[source.index or 0]
        for number, edit in enumerate(source.edits[first:], start=first):
            element = self._edited(element, edit, entry, _cut(source, number))
        return element

    def elements(self, sources: Sequence[Source]) -> list[Element]:
        """The inputs that sources name, after their edits. Those that are edited in a space of codes are drawn
        together, as far as they are like the first one but for their step and element."""
        found: list[Element] = []
        for first in range(0, len(sources), _AHEAD):
            some = sources[first : first + _AHEAD]
            if _drawn_edits(some[0]) and self.of.readings.known is not None:
                self._draw_ahead(some)
            found += map(self.element, some)
        return found

    def _draw_ahead(self, sources: Sequence[Source]) -> None:
        """Draw inputs together, and not block by block, as far as they fit into the cache."""
        last = _drawn_edits(sources[0])
        ahead = [_cut(each, last) for each in sources]
        self._drawn(ahead[0])
        names, read = self._read_by(ahead[0])
        key = (*read, self.of.readings.content(names))
        families = {(each.name, each.edits): each for each in ahead}
        alike = {family for family, each in families.items() if self._read_by(each) == (names, read)}
        missing = self.kept.missing({(each, *key): each for each in ahead if (each.name, each.edits) in alike})
        size = max(1, _BYTES // 4 // max(1, self.of.input(ahead[0].name).example.tensor.nbytes))
        for first in range(0, len(missing), size):
            some = missing[first : first + size]
            self._drawn(some[0], some)

    def _drawn(self, source: Source, ahead: Sequence[Source] = ()) -> Element:
        """An input whose last edit is one of codes, from the cache if possible; its block is drawn with it, or those
        that are given."""
        names, read = self._read_by(source)
        if self.of.readings.knows(names):
            made = self.kept.find((source, *read, self.of.readings.content(names)))
            if made is not None:
                return made
        content = self.of.readings.content(names, anew=True)  # before anything is drawn
        key = (source, *read, content)
        if (made := self.kept.find(key)) is not None:
            return made
        drawn = self.of.drawings.drawn(source, ahead)
        return self.kept.keep(key, {(each, *key[1:]): Element(tensor) for each, tensor in drawn.items()})

    def _read_by(self, source: Source) -> ReadBy:
        """What a source is drawn by, and the inputs that it reads."""
        place = source.name, source.edits
        found = self.drawn_by.get(place)
        if found is None:
            found = read_by(source), tuple(self.of.input(name) for name in registered([source]))
            if self.of.readings.known is not None:  # the inputs of a snapshot stay what they are
                self.drawn_by[place] = found
        return found

    def _edited(self, x: Element, edit: Edit, entry: Entry, before: Source) -> Element:
        """`x` after one edit, from the cache if possible. The cache key contains the inputs that the edit reads."""
        read = (self.of.input(name) for name in registered([Source(entry.name, None, (edit,))]))
        key = (x, edit, *read)
        made = self.kept.find(key)
        if made is not None:
            return made
        tensor = edited(
            x.tensor,
            edit,
            entry.kind,
            self.of.names(before),
            lambda source: self.of.element(source).tensor,
            self.of.tensors,
            lambda: entry.scale,
        )
        return self.kept.keep(key, {key: Element(tensor)})


def _drawn_edits(source: Source) -> int:
    """How many edits of a source there are until the last one of codes."""
    return max((number for number, edit in enumerate(source.edits, 1) if isinstance(edit, LatentEdit)), default=0)


def _cut(source: Source, count: int) -> Source:
    """A source with its first edits only."""
    return source if count == len(source.edits) else Source(source.name, source.index, source.edits[:count])
