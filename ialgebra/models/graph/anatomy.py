"""A graph and all that is known of its values: shapes, supports, the work of each step, and where it can be cut.

In: a graph, and one row, which goes through it once. Out: an `Anatomy`. A cut lies before a step: the values that later
steps read can be gathered there if their supports are known. Knows no players.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...kernels.forward import Tap
from ..folds.fused import FusedConvolution, FusedLinear
from .form import Graph, GraphStep, Ref
from .rules import FUNCTIONS, METHODS, MODULES, combined, convolution, elementwise, last_mixed, normalised, supports
from .supports import Support

_OPERATIONS, _BYTES = 5e10, 1e10  # a second, of one core; only their ratio counts
_A_PLACE = 1e-8  # seconds of that core to find a place of a table
_FRESH = {elementwise, combined, convolution, normalised, last_mixed}  # rules of steps that make tensors of their own
_SAME_TENSOR = (nn.Identity, nn.modules.dropout._DropoutNd)
_SIZES = {"size", "shape", "dim", "ndim", "numel"}


class GraphCut(NamedTuple):
    """A cut before step `end`: the values of the steps `gathered` are made for it, those of `again` are run anew."""

    end: int
    gathered: tuple[int, ...]
    again: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A graph, the shapes of its values in a pass of one row (None: no tensor), and their supports."""

    graph: Graph
    shapes: Mapping[int, object]
    supports: Mapping[int, Support]

    @classmethod
    def of(cls, graph: Graph, row: Tensor) -> Anatomy:
        """The anatomy of a graph, after one pass of `row` (1, *shape)."""
        shapes: dict[int, object] = {0: tuple(row.shape)}
        graph.run({0: row}, 1, len(graph.steps), after=lambda step, value: shapes.update({step.number: _shape(value)}))
        known = supports(graph, shapes)
        whole = {number: each for number, each in known.items() if isinstance(each, Support)}
        return cls(graph, shapes, whole)

    @cached_property
    def fed(self) -> frozenset[int]:
        """The steps whose values depend on the input."""
        found = {0}
        for step in self.graph.steps:
            if not found.isdisjoint(step.reads):
                found.add(step.number)
        return frozenset(found)

    @cached_property
    def work(self) -> tuple[float, ...]:
        """What each step costs a row, in units that are seconds of some machine."""
        return tuple(self._work(step) for step in self.graph.steps)

    def share(self, end: int) -> float:
        """The share of a pass that the steps before `end` take."""
        return sum(self.work[:end]) / (sum(self.work) or 1.0)

    def bytes_of(self, number: int) -> int:
        """The bytes of a row's value; numbers are taken to have four."""
        shape = self.shapes[number]
        return 4 * math.prod(shape) if isinstance(shape, tuple) and all(isinstance(n, int) for n in shape) else 0

    def gathering(self, cut: GraphCut) -> float:
        """What it costs to gather a row's values at a cut, in the units of `work`."""
        places = sum(
            math.prod(self.supports[number].shape[axis] for axis in self.supports[number].axes)
            for number in cut.gathered
        )
        return 2 * sum(map(self.bytes_of, cut.gathered)) / _BYTES + _A_PLACE * places

    def cuts(self, taps: Collection[Tap]) -> Iterator[GraphCut]:
        """The cuts at which every value that is read later, or by one of the taps, can be gathered; in order. `taps`
        are those that are read in a pass."""
        read = {tap: _first_ref(self.graph.calls.get(tap)) for tap in taps}
        if any(number is None for number in read.values()):
            return
        for end in range(2, self._trusted):
            if end - 1 not in self.fed or self.work[end - 1] == 0:
                continue
            tapped = {number for number in read.values() if number is not None and number < end}
            live = [number for number in self.graph.live(end - 1) if number in self.fed]
            tensors = [number for number in live if self.shapes[number] is not None]
            plain = self._plain([number for number in live if self.shapes[number] is None], end)
            gathered = tuple(sorted({*tensors, *tapped}))
            if plain is None or not all(number in self.supports for number in gathered):
                continue
            if not self._written_apart(tensors, end):
                continue
            yield GraphCut(end, gathered, tuple(sorted({*plain, *self._fixed(end)})))

    def stand_ins(self, cut: GraphCut, rows: int) -> dict[int, object]:
        """The values of the steps that are run anew at a cut, for a batch of so many rows. Tensors that these ask for
        their sizes are tensors without content."""
        values: dict[int, object] = {}
        for number in cut.again:
            step = self.graph.steps[number]
            for read in step.reads:
                shape = self.shapes[read]
                if read not in values and isinstance(shape, tuple):
                    values[read] = torch.empty((rows, *shape[1:]), device="meta")
            values[number] = step.run(values)
        return {number: values[number] for number in cut.again}

    def _fixed(self, end: int) -> Iterator[int]:
        """The steps before `end` that do not depend on the input, if a step after it needs one of them."""
        fixed = [number for number in range(end) if number not in self.fed]
        if any(self.graph.last_read[number] >= end for number in fixed):
            yield from fixed

    def _plain(self, live: Sequence[int], end: int) -> set[int] | None:
        """The steps to run anew for values that are no tensors; None where one asks for more than sizes."""
        found: set[int] = set()
        waiting = list(live)
        while waiting:
            number = waiting.pop()
            if number in found:
                continue
            step = self.graph.steps[number]
            tensors = [read for read in step.reads if read in self.fed and self.shapes[read] is not None]
            if tensors and not _asks_sizes(step):
                return None
            found.add(number)
            waiting += [read for read in step.reads if read in self.fed and self.shapes[read] is None]
        return found

    @cached_property
    def _origins(self) -> tuple[frozenset[int], ...]:
        """For each step the values of which its value may be a part."""
        found: list[frozenset[int]] = []
        for step in self.graph.steps:
            own = {step.number} if step.writes is None else {step.number, *found[step.writes]}
            if step.writes is None and not _fresh(step):
                own.update(*(found[number] for number in step.reads if number in self.fed))
            found.append(frozenset(own))
        return tuple(found)

    @cached_property
    def _trusted(self) -> int:
        """The first step before which no cut may lie any more, since a value was overwritten that is held elsewhere."""
        steps = self.graph.steps
        for step in steps:
            if step.writes is None:
                continue
            for number in range(step.number):
                later = self.graph.last_read[number] > step.number
                if later and self._origins[number] & self._origins[step.writes]:
                    return step.number
        return len(steps)

    def _written_apart(self, live: Sequence[int], end: int) -> bool:
        """Whether no step from `end` on overwrites a value that another live one shares."""
        written = [step.writes for step in self.graph.steps[end:] if step.writes is not None]
        for number in live:
            others = [other for other in live if other != number and self._origins[other] & self._origins[number]]
            if others and any(self._origins[place] & self._origins[number] for place in written):
                return False
        return True

    def _work(self, step: GraphStep) -> float:
        if step.number not in self.fed or step.number == 0:
            return 0.0
        numbers = sum(self.bytes_of(number) for number in (*step.reads, step.number) if number in self.fed)
        return numbers / _BYTES + 2 * self._products(step) / _OPERATIONS

    def _products(self, step: GraphStep) -> float:
        """How many products of two numbers a step adds up for a row."""
        made = self.bytes_of(step.number) / 4
        if step.kind == "module":
            weight = getattr(step.target, "weight", None)
            mixes = isinstance(step.target, nn.Linear | nn.modules.conv._ConvNd)
            return made * math.prod(weight.shape[1:]) if mixes and isinstance(weight, Tensor) else 0.0
        if step.kind == "function" and step.target in (F.conv1d, F.conv2d, F.conv3d, F.linear):
            shapes = [self.shapes[number] for number in step.reads if number not in self.fed]
            return made * math.prod(shapes[0][1:]) if shapes and isinstance(shapes[0], tuple) else 0.0
        if isinstance(step.target, FusedConvolution | FusedLinear):
            return made * math.prod(step.target.shape[1:])
        if step.kind == "function" and step.target in (torch.matmul, torch.bmm, F.scaled_dot_product_attention):
            shape = self.shapes[step.reads[0]]
            return made * (shape[-1] if isinstance(shape, tuple) else 1)
        return 0.0


def _shape(value: object) -> object:
    if isinstance(value, Tensor):
        return tuple(value.shape)
    if isinstance(value, tuple | list) and value and all(isinstance(each, Tensor) for each in value):
        return tuple(tuple(each.shape) for each in value)
    return None


def _first_ref(argument: object) -> int | None:
    return argument.step if isinstance(argument, Ref) else None


def _asks_sizes(step: GraphStep) -> bool:
    name = step.arguments[1] if step.target is getattr and len(step.arguments) > 1 else step.target
    return isinstance(name, str) and name in _SIZES


def _fresh(step: GraphStep) -> bool:
    """Whether a step makes a tensor of its own."""
    if isinstance(step.target, FusedConvolution | FusedLinear):
        return True
    if step.kind == "module":
        return MODULES.get(type(step.target)) in _FRESH and not isinstance(step.target, _SAME_TENSOR)
    return (METHODS if step.kind == "method" else FUNCTIONS).get(step.target) in _FRESH and step.target != "contiguous"
