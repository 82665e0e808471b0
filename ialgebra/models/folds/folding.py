"""Folding: the graph of a network in; a graph of the same function with fewer and faster operations, out.

Batch norms become part of the weights before them, zero pads part of their convolutions, activations and residual sums
part of the kernel before them. What is not recognised stays as it was traced. Weights are written to new tensors; those
of the network are only read. Knows graphs and modules: no profile, no passes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

import torch
from torch.nn import functional as F

from ..graph import Graph, GraphStep, Ref
from ..graph.form import mapped, refs
from .fused import PLAIN, Activation, FusedConvolution, FusedLinear, Weights
from .steps import activation, is_identity, is_sum, norm, padding, scaled, weights

_MOST_TAPS = 2.0  # a kernel may grow by this factor to take in a pad that is not the same on both sides

Known = dict[tuple[int, ...], Weights]
"""Folded weights, by the steps that they stand for: several folds of one graph share them."""


@dataclass
class _Chain:
    """A convolution or linear map, and the steps after it that become part of it."""

    first: GraphStep
    held: Weights
    source: int  # the step whose value it reads
    last: int
    parts: list[int] = field(default_factory=list)  # the steps after the first
    pad: int | None = None
    norms: tuple[int, ...] = ()
    activation: Activation = PLAIN
    other: int | None = None  # the step whose value is added


def fold(graph: Graph, keep: Collection[int] = (), known: Known | None = None) -> Graph:
    """The folded graph. The values of the steps `keep` stay values of it. Calls of modules whose output is no value of
    it any more are left out of its `calls`."""
    return _Folding(graph, keep, {} if known is None else known).folded()


class _Folding:
    """One fold of one graph."""

    def __init__(self, graph: Graph, keep: Collection[int], known: Known) -> None:
        self.graph = graph
        self.known = known
        self.steps = {step.number: step for step in graph.steps}
        self.identities = {step.number: step for step in graph.steps if is_identity(step)}
        self.readers: dict[int, list[int]] = {step.number: [] for step in graph.steps}
        for step in graph.steps:
            for number in step.reads if step.number not in self.identities else ():
                self.readers[self._behind(number)].append(step.number)
        for number in (*refs(graph.output), *keep):
            self.readers[self._behind(number)].append(-1)  # whoever reads the output or the kept values

    def _behind(self, number: int) -> int:
        """The step whose value a step has, past those that return what they are given."""
        while number in self.identities:
            number = self.identities[number].reads[0]
        return number

    def folded(self) -> Graph:
        chains = {chain.first.number: chain for chain in self._chains()}
        gone = {number for chain in chains.values() for number in (chain.first.number, *chain.parts)}
        gone |= {chain.pad for chain in chains.values() if chain.pad is not None}
        # A sum must wait for its other operand. Everything else is computed where its convolution was, so that whatever
        # is written in place between the two is met as before.
        at = {chain.last if chain.other is not None else first: chain for first, chain in chains.items()}
        numbers: dict[int, int] = {}
        made: list[GraphStep] = []

        def new(number: int) -> Ref:
            return Ref(numbers[self._behind(number)])

        writing = any(step.writes is not None for step in self.graph.steps if step.number not in gone)
        for step in self.graph.steps:
            chain = at.get(step.number)
            if chain is not None:
                numbers[chain.last] = len(made)
                made.append(self._fused(chain, len(made), new))
            elif step.number not in gone and step.number not in self.identities:
                numbers[step.number] = len(made)
                made.append(_moved(step, len(made), new, reshapes=not writing))
        calls = {
            tap: mapped(held, new)
            for tap, held in self.graph.calls.items()
            if all(self._behind(number) in numbers for number in refs(held))
        }
        return _without_unread(Graph(tuple(made), mapped(self.graph.output, new), calls))

    def _fused(self, chain: _Chain, number: int, new: Callable[[int], Ref]) -> GraphStep:
        held = chain.held
        run = (FusedLinear if held.moves is None else FusedConvolution)(held, chain.activation)
        arguments = (new(chain.source),) if chain.other is None else (new(chain.source), new(chain.other))
        return GraphStep(number, "function", run.__name__, run, arguments=arguments)

    def _chains(self) -> list[_Chain]:
        """The longest chains of steps, none of which is in two."""
        found: list[_Chain] = []
        taken: set[int] = set()
        for step in self.graph.steps:
            held = None if step.number in taken else weights(step, self.graph)
            if held is None:
                continue
            chain = _Chain(step, held, self._behind(step.reads[0]), step.number)
            self._take_pad(chain)
            while (user := self._only_reader(chain.last)) is not None and self._takes(chain, self.steps[user], taken):
                chain.parts.append(user)
                chain.last = user
                if chain.activation != PLAIN:
                    break
            place = (step.number, -1 if chain.pad is None else chain.pad, *chain.norms)
            chain.held = self.known.setdefault(place, chain.held)
            taken |= {step.number, *chain.parts}
            found.append(chain)
        return found

    def _only_reader(self, number: int) -> int | None:
        readers = self.readers[number]
        return readers[0] if len(readers) == 1 and readers[0] >= 0 else None

    def _takes(self, chain: _Chain, user: GraphStep, taken: set[int]) -> bool:
        """Make a step part of the chain before it, if it can be."""
        if user.number in taken:
            return False
        moments = norm(user, self.graph) if chain.other is None else None
        if moments is not None and self._behind(user.arguments[0].step) == chain.last:
            chain.held, chain.norms = scaled(chain.held, *moments), (*chain.norms, user.number)
            return True
        found = activation(user)
        if found is not None:
            chain.activation = found
            return True
        if chain.other is not None or not is_sum(user):
            return False
        first, second = (self._behind(each.step) for each in user.arguments)
        other = second if first == chain.last else first
        written = user.writes is not None and self._behind(user.writes) != chain.last
        if first == second or written or not self._undisturbed(chain.first.number, user.number, chain.parts):
            return False
        chain.other = other
        return True

    def _undisturbed(self, first: int, last: int, own: Collection[int] = ()) -> bool:
        """Whether nothing between two steps writes in place, but for those of a chain."""
        between = self.graph.steps[first + 1 : last]
        return all(step.writes is None or step.number in own for step in between)

    def _take_pad(self, chain: _Chain) -> None:
        """Make a pad with zeros part of the convolution after it. oneDNN and torch pad both sides alike: where the pad
        does not, the kernel gets taps of weight zero on the shorter side, at most so many that it takes no longer."""
        pad, held, moves = self.steps[chain.source], chain.held, chain.held.moves
        if moves is None or self._only_reader(pad.number) is None:
            return
        sides = padding(pad, held.weight.dim() - 2)
        if sides is None or not self._undisturbed(pad.number, chain.first.number):
            return
        taps: list[int] = []
        pads: list[int] = []
        for (before, after), own, gap in zip(sides, moves.padding, moves.dilation, strict=True):
            most = max(before, after) + own
            missing = [most - before - own, most - after - own]
            if min(before, after) < 0 or any(each % gap for each in missing):
                return
            taps = [*(each // gap for each in missing), *taps]  # the last dimension comes first
            pads.append(most)
        weight = F.pad(held.weight, taps) if any(taps) else held.weight
        if math.prod(weight.shape[2:]) > _MOST_TAPS * math.prod(held.weight.shape[2:]):
            return
        chain.held = replace(held, weight=weight, moves=moves._replace(padding=tuple(pads)))
        chain.source, chain.pad = self._behind(pad.reads[0]), pad.number


def _moved(step: GraphStep, number: int, new: Callable[[int], Ref], *, reshapes: bool) -> GraphStep:
    """A step with another number. With `reshapes`, where nothing is written in place so that no view of a value can
    tell, a view is taken as a reshape, which serves values that are laid out channels-last, too."""
    target = step.target
    if reshapes and step.kind == "method" and target == "view":
        target = "view" if any(isinstance(each, torch.dtype) for each in step.arguments) else "reshape"
    writes = None if step.writes is None else new(step.writes).step
    arguments, keywords = mapped(step.arguments, new), mapped(dict(step.keywords), new)
    return replace(step, number=number, target=target, arguments=arguments, keywords=keywords, writes=writes)


def _without_unread(graph: Graph) -> Graph:
    """The graph without weights that nothing reads any more."""
    read = {number for step in graph.steps for number in step.reads} | {*refs(graph.output)}
    kept = [step for step in graph.steps if step.kind not in ("attribute", "constant") or step.number in read]
    numbers = {step.number: number for number, step in enumerate(kept)}

    def new(number: int) -> Ref:
        return Ref(numbers[number])

    calls = {tap: mapped(held, new) for tap, held in graph.calls.items() if all(n in numbers for n in refs(held))}
    steps = tuple(_moved(step, numbers[step.number], new, reshapes=False) for step in kept)
    return Graph(steps, mapped(graph.output, new), calls)
