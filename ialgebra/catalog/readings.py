"""What generators, axes and models hold: names in; values out that change whenever one of them would draw or answer
otherwise.

To read a model takes a pass through its weights. So one statement, which has a snapshot of the catalog, also knows what
it read last: what was made before is found by that, and what is made is kept under what is read at that moment. May not
know: what is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..generators.axes import Axis
from ..generators.registered import RegisteredGenerator
from ..models.network import Network

DrawnBy = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""Names of generators, axes and models."""


@dataclass(eq=False)
class HeldContents:
    """Reads what names stand for; `known` is what one statement read last, by kind and name (None: nothing is kept)."""

    of_generator: Callable[[str], RegisteredGenerator]
    of_axis: Callable[[str], Axis]
    of_model: Callable[[str], Network]
    known: dict[tuple[str, str], object] | None = None

    def generator(self, name: str, *, anew: bool = False) -> object:
        """What a generator holds, with its encoder; as it was read last by this statement, or `anew`."""
        return self._read("generator", name, lambda: self.of_generator(name).content, anew)

    def model(self, name: str, *, anew: bool = False) -> object:
        """What a model and its heads hold, likewise."""
        return self._read("model", name, lambda: self.of_model(name).fingerprint(), anew)

    def note(self, name: str, content: object) -> None:
        """Note what a model and its heads were seen to hold, in the form of `Network.fingerprint`."""
        if self.known is not None:
            self.known["model", name] = content

    def content(self, names: DrawnBy, *, anew: bool = False) -> tuple[object, ...]:
        """What all of these generators, axes and models hold, likewise."""
        generators, axes, models = names
        return (
            *(self.generator(name, anew=anew) for name in generators),
            *(self.of_axis(name).key for name in axes),
            *(self.model(name, anew=anew) for name in models),
        )

    def knows(self, names: DrawnBy) -> bool:
        """Whether this statement has read all of these."""
        generators, _, models = names
        places = [*(("generator", name) for name in generators), *(("model", name) for name in models)]
        return self.known is not None and all(place in self.known for place in places)

    def _read(self, kind: str, name: str, read: Callable[[], object], anew: bool) -> object:
        if self.known is not None and not anew and (kind, name) in self.known:
            return self.known[kind, name]
        found = read()
        if self.known is not None:
            self.known[kind, name] = found
        return found
