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
    """The operators of `plans`, which are the plans of a query by number, and of every plan that is added later."""

    def __init__(self, plans: Iterable[Operator]) -> None:
        self.plans = tuple(plans)
        self._index: nx.DiGraph[object] = nx.DiGraph()
        self._repeating: set[Operator] = set()  # operators that read one operand at several positions
        self._orders: dict[tuple[Operator, ...], tuple[Operator, ...]] = {}
        for plan in self.plans:
            self.add(plan)

    def __contains__(self, plan: Operator) -> bool:
        return plan in self._index

    def add(self, plan: Operator) -> None:
        """Add an operator and everything below it; operators that the graph already has are skipped."""
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
        """The operators of some plans (default: those of the query), each once, after its operands.

        The operators of the first plan come first, and below an operator those of its first operand.
        """
        asked = self.plans if plans is None else tuple(plans)
        if asked not in self._orders:
            # One extra vertex above all plans, so that operators which the plans share are visited once.
            top: object = asked[0] if len(asked) == 1 else object()
            if len(asked) != 1:
                self._index.add_node(top)
                self._index.add_edges_from((top, plan) for plan in asked)
            found = tuple(nx.dfs_postorder_nodes(self._index, top))
            if len(asked) != 1:
                self._index.remove_node(top)
            self._orders[asked] = found if len(asked) == 1 else found[:-1]
        return self._orders[asked]

    def fold(
        self, function: Callable[[Operator, tuple[_T, ...]], _T], plans: Iterable[Operator] | None = None
    ) -> list[_T]:
        """For each of some plans (default: those of the query), the result of `function` for its outermost operator.

        `function` is called once for each operator, operands first, with the operator and its operands' results.
        """
        asked = self.plans if plans is None else tuple(plans)
        results: dict[Operator, _T] = {}
        for each in self.order(asked):
            results[each] = function(each, tuple([results[operand] for operand in self.operands(each)]))
        return [results[plan] for plan in asked]

    def below(self, plan: Operator) -> set[Operator]:
        """The operators below a plan's outermost operator, which is left out."""
        found: set[Operator] = nx.descendants(self._index, plan)
        return found

    def edges(self, plans: Iterable[Operator] | None = None) -> Iterator[Edge]:
        """Every edge below some plans (default: those of the query); the reading operators are in topological order."""
        for reader in self.order(plans):
            for operand, edge in self._index.adj[reader].items():
                yield Edge(reader, operand, edge["positions"])

    def shared(self, plans: Iterable[Operator] | None = None) -> set[Operator]:
        """The operators that are read more than once: by several operators below some plans, or by several plans."""
        asked = self.plans if plans is None else tuple(plans)
        order = self.order(asked)
        degrees: Mapping[Operator, int] = dict(self._index.subgraph(set(order)).in_degree())
        roots = dict.fromkeys(asked)
        return {each for each in order if degrees[each] + (each in roots) > 1}

    def branches(self, plan: Operator) -> Iterator[tuple[str, list[Operator]]]:
        """A plan as the lines of a tree, from the top: the indent of each line, and the operators on it.

        A chain of operators with one operand each is one line. A shared operator appears wherever it is read.
        """
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
