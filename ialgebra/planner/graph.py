"""The plan graph: one networkx graph of all plans of a query, which every step of planning reads.

In: plans. Out: their operators, each after its operands and each once; what is below an operator; what is shared. An
edge runs from an operator to each of its operands and carries the operand's positions, because operands are ordered and
one operand may stand at several. The graph grows: rewriting adds the operators that it makes, and plans as written and
their normal forms stand in it side by side. It knows no law, no catalog and no tensor; depth is no limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

import networkx as nx

from ..algebra.operators import Operator

_T = TypeVar("_T")


class Edge(NamedTuple):
    """One operand of an operator: `positions` are where it stands among the operands."""

    reader: Operator
    operand: Operator
    positions: tuple[int, ...]


class PlanGraph:
    """The operators of `plans`, by number the plans of a query, and of whatever is added later."""

    def __init__(self, plans: Iterable[Operator]) -> None:
        self.plans = tuple(plans)
        self._index: nx.DiGraph[Operator | tuple[Operator, ...]] = nx.DiGraph()
        self._repeating: set[Operator] = set()  # what reads one operand at several positions
        self._orders: dict[tuple[Operator, ...], tuple[Operator, ...]] = {}
        for plan in self.plans:
            self.add(plan)

    def __contains__(self, plan: Operator) -> bool:
        return plan in self._index

    def add(self, plan: Operator) -> None:
        """Add an operator and all that is below it; what is known is not looked at again."""
        if plan in self._index:
            return
        self._index.add_node(plan)
        new = [plan]
        while new:
            reader = new.pop()
            positions: dict[Operator, tuple[int, ...]] = {}
            for position, operand in enumerate(reader.operands):
                positions[operand] = (*positions.get(operand, ()), position)
            if len(positions) < len(reader.operands):
                self._repeating.add(reader)
            new.extend(operand for operand in positions if operand not in self._index)
            self._index.add_edges_from((reader, operand, {"positions": where}) for operand, where in positions.items())

    def operands(self, plan: Operator) -> tuple[Operator, ...]:
        """The operands of an operator, in their order."""
        below = tuple(self._index.successors(plan))  # in the order of their first positions
        if plan not in self._repeating:
            return below
        edges = self._index.adj[plan]
        placed = {position: operand for operand in below for position in edges[operand]["positions"]}
        return tuple(placed[position] for position in range(len(placed)))

    def order(self, plans: Iterable[Operator] | None = None) -> tuple[Operator, ...]:
        """The operators of some plans (those of the query, if left out) in topological order: each once, after its
        operands; the first plan's come first, and of operands the first."""
        asked = self.plans if plans is None else tuple(plans)
        if asked not in self._orders:
            # Several plans are read from one vertex above them, so that what they share is passed through once.
            top = asked[0] if len(asked) == 1 else asked
            if len(asked) != 1:
                self._index.add_node(top)
                self._index.add_edges_from((top, plan) for plan in asked)
            found = tuple(nx.dfs_postorder_nodes(self._index, top))
            self._orders[asked] = found if len(asked) == 1 else found[:-1]
        return self._orders[asked]

    def fold(
        self, function: Callable[[Operator, tuple[_T, ...]], _T], plans: Iterable[Operator] | None = None
    ) -> list[_T]:
        """For each of some plans (those of the query, if left out) what `function` makes of its last operator.

        It is handed each operator once, with its operands' results in their order.
        """
        asked = self.plans if plans is None else tuple(plans)
        results: dict[Operator, _T] = {}
        for each in self.order(asked):
            results[each] = function(each, tuple([results[operand] for operand in self.operands(each)]))
        return [results[plan] for plan in asked]

    def below(self, plan: Operator) -> set[Operator]:
        """The operators that a plan is made of, itself not among them."""
        found: set[Operator] = nx.descendants(self._index, plan)
        return found

    def edges(self, plans: Iterable[Operator] | None = None) -> Iterator[Edge]:
        """Every edge below some plans (those of the query, if left out), readers in topological order."""
        for reader in self.order(plans):
            for operand, edge in self._index.adj[reader].items():
                yield Edge(reader, operand, edge["positions"])

    def shared(self, plans: Iterable[Operator] | None = None) -> set[Operator]:
        """The operators that more than one operator below some plans, or more than one of the plans, reads."""
        asked = self.plans if plans is None else tuple(plans)
        order = self.order(asked)
        degrees: Mapping[Operator, int] = dict(self._index.subgraph(set(order)).in_degree())
        roots = dict.fromkeys(asked)
        return {each for each in order if degrees[each] + (each in roots) > 1}

    def branches(self, plan: Operator) -> Iterator[tuple[str, list[Operator]]]:
        """A plan as a tree, from the top, what is shared wherever it is read: how a line is indented, and the chain of
        operators with one operand each that stands on it."""
        stack = [(plan, "", "")]
        while stack:
            first, head, indent = stack.pop()
            chain = [first]
            while len(below := self.operands(chain[-1])) == 1:
                chain.append(below[0])
            yield head, chain
            last = len(below) - 1
            stack.extend(
                (operand, indent + ("└─ " if k == last else "├─ "), indent + ("   " if k == last else "│  "))
                for k, operand in reversed(list(enumerate(below)))
            )
