"""Passes of a folded network: a batch in; what it computed at the taps, and its raw output, out.

A folded network belongs to the weights and settings of the moment in which it was made. What fuses several modules has
no value at a tap between them: there is one fold for each set of taps, and they share their weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from ...kernels.forward import Tap, TapError, first_tensor
from ..graph import Graph, GraphStep, traced
from ..graph.form import filled, refs
from .folding import Known, fold

_MOST_FOLDS = 8  # of one network, for different taps


class Folded:
    """A module folded, as it is now; `content` names what it is now. Raises ValueError where it has no graph."""

    def __init__(self, module: nn.Module, content: object) -> None:
        graph = traced(module)
        if isinstance(graph, str):
            raise ValueError(f"it cannot be traced: {graph}")
        self.content = content
        self._graph = graph
        self._known: Known = {}
        self._folds: dict[frozenset[Tap], Graph] = {}

    def serves(self, taps: Sequence[Tap]) -> bool:
        """Whether it has a value at each of these taps."""
        return all(tap in self._graph.calls for tap in taps)

    def of(self, taps: Sequence[Tap]) -> Graph:
        """The folded graph that has values at these taps; it serves them."""
        return self._folded(frozenset(taps))

    def tapped(
        self, batch: Tensor, taps: Sequence[Tap], output: bool, read: Sequence[Callable[[Tensor], Tensor]]
    ) -> tuple[list[Tensor], object | None]:
        """One pass, as `kernels.forward.tapped` makes it; it serves these taps."""
        graph = self._folded(frozenset(taps))
        at: dict[int, list[int]] = {}  # the taps to read after each step
        for place, tap in enumerate(taps):
            at.setdefault(max(refs(graph.calls[tap]), default=0), []).append(place)
        found: dict[int, Tensor] = {}
        values: dict[int, object] = {0: batch}

        def after(step: GraphStep, _value: object) -> None:
            for place in at.get(step.number, ()):
                tensor = first_tensor(filled(graph.calls[taps[place]], values))
                if tensor is None:
                    raise TapError(f"a tapped {type(taps[place].module).__name__} returned no tensor")
                found[place] = read[place](tensor)

        end = len(graph.steps) if output else 1 + max(at, default=0)
        after(graph.steps[0], batch)
        graph.run(values, 1, end, [number for tap in taps for number in refs(graph.calls[tap])], after)
        return [found[place] for place in range(len(taps))], filled(graph.output, values) if output else None

    def _folded(self, taps: frozenset[Tap]) -> Graph:
        if taps not in self._folds:
            keep = {number for tap in taps for number in refs(self._graph.calls[tap])}
            if len(self._folds) >= _MOST_FOLDS:
                del self._folds[next(iter(self._folds))]
            self._folds[taps] = fold(self._graph, keep, self._known)
        return self._folds[taps]
