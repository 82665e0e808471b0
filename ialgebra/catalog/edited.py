"""Edited inputs: sources in, their elements after all edits out. Each is made once, and kept while there is room.

Inputs that a generator draws are drawn together, and are kept under what drew them. Other inputs, their names and what
draws come from a catalog. May not know: queries and plans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ..algebra.edits import LatentEdit, edited, registered
from ..algebra.kinds.naming import TextNames
from ..algebra.sources import Edit, Source
from ..system.kept import Kept
from .drawing import Drawings, read_by
from .inputs import Element, Entry
from .readings import DrawnBy, HeldContents

KEPT_BYTES = 128 << 20  # of edited inputs, so that a query makes each edited input once
_AHEAD = 256  # inputs that are drawn together

Alike = tuple[str, tuple[Edit, ...]]
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
    def readings(self) -> HeldContents: ...


@dataclass(eq=False)
class Edited:
    """The edited inputs of the catalog `of`. What was made is `kept`, also for other catalogs; `drawn_by` is what was
    found to draw the inputs of one query."""

    of: Registered
    kept: Kept[Element]
    drawn_by: dict[Alike, ReadBy]

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
            last = _drawn_edits(some[0])
            known = self.of.readings.known is not None
            drawn = self._drawn_together([_cut(each, last) for each in some]) if last and known else {}
            found += [drawn[each] if each in drawn else self.element(each) for each in some]
        return found

    def _drawn_together(self, sources: Sequence[Source]) -> dict[Source, Element]:
        """Those of some inputs that are like the first one, whose last edit is one of codes."""
        names, read = self._read_by(sources[0])
        known = self.of.readings.knows(names)
        key = (*read, self.of.readings.content(names))
        families = {(each.name, each.edits): each for each in sources}
        alike = {family for family, each in families.items() if self._read_by(each) == (names, read)}
        wanted = [each for each in sources if (each.name, each.edits) in alike]
        kept = dict(zip(wanted, self.kept.find_all((each, *key) for each in wanted), strict=True))
        missing = [each for each, element in kept.items() if element is None]
        if missing and known and (*read, self.of.readings.content(names, anew=True)) != key:
            return self._drawn_together(sources)
        found = {each: element for each, element in kept.items() if element is not None}
        size = max(1, KEPT_BYTES // 4 // max(1, self.of.input(sources[0].name).example.tensor.nbytes))
        for first in range(0, len(missing), size):
            some = missing[first : first + size]
            found |= self._made(some[0], key, some)
        return found

    def _drawn(self, source: Source) -> Element:
        """An input whose last edit is one of codes, from the cache if possible; its block is drawn with it."""
        names, read = self._read_by(source)
        known = self.of.readings.knows(names)
        key = (*read, self.of.readings.content(names))
        made = self.kept.find((source, *key))
        if made is None and known:
            key = (*read, self.of.readings.content(names, anew=True))
            made = self.kept.find((source, *key))
        return self._made(source, key)[source] if made is None else made

    def _made(self, source: Source, key: tuple[object, ...], block: Sequence[Source] = ()) -> dict[Source, Element]:
        """An input that is drawn, with its block or the one that is given; `key` is what they are read and drawn by."""
        drawn = {each: Element(tensor) for each, tensor in self.of.drawings.drawn(source, block).items()}
        for each, element in drawn.items():
            self.kept.keep((each, *key), element, element.tensor.nbytes)
        return drawn

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
        made = Element(tensor)
        self.kept.keep(key, made, tensor.nbytes)
        return made


def _drawn_edits(source: Source) -> int:
    """How many edits of a source there are until the last one of codes."""
    return max((number for number, edit in enumerate(source.edits, 1) if isinstance(edit, LatentEdit)), default=0)


def _cut(source: Source, count: int) -> Source:
    """A source with its first edits only."""
    return source if count == len(source.edits) else Source(source.name, source.index, source.edits[:count])
