"""Normalisation: apply laws, operands first, until none applies. In: the plan graph, a tuple of laws; out: normal forms
and the laws that fired on the way to them.

Only joins of joins are flattened from the outside in: from the inside out, a chain of n joins would build n sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..algebra.operators import Operator, rebuilt
from .graph import PlanGraph
from .laws import LAWS, Law, flatten_join, formula


class RewriteStep(NamedTuple):
    """One law that fired: its formula, and the operator before and after."""

    law: str
    before: Operator
    after: Operator


class Rewriting:
    """Rewrites the operators of one graph by one tuple of laws. Each operator is rewritten once, also if several plans
    contain it, and the result is added to the graph.

    Every law moves operators towards the leaves, shrinks the plan or sorts it, so rewriting ends. The normal form does
    not depend on the order of the laws (a property test checks this).
    """

    def __init__(self, graph: PlanGraph, rules: Sequence[Law] = LAWS) -> None:
        self._graph = graph
        self._rules = tuple(rules)
        self._outermost = tuple(rule for rule in self._rules if rule is flatten_join)
        self._normal: dict[Operator, Operator] = {}
        self._becomes: dict[Operator, Operator] = {}  # each operator after one step of rewriting
        self._steps: dict[Operator, RewriteStep] = {}  # the step, where a law made it
        self._outside: set[Operator] = set()  # operators that a law changed before their operands were rewritten

    def normal(self, plan: Operator) -> Operator:
        """The normal form of a plan of the graph."""
        normal, becomes, operands = self._normal, self._becomes, self._graph.operands
        stack = [plan]
        while stack:
            each = stack[-1]
            if each in normal:
                stack.pop()
                continue
            if each not in becomes and self._rewrite(each, self._outermost):
                self._outside.add(each)
            below = (becomes[each],) if each in becomes else operands(each)
            pending = [other for other in below if other not in normal]
            if pending:
                stack.extend(reversed(pending))
            elif each in becomes:
                normal[each] = normal[becomes[each]]
            elif (current := rebuilt(each, tuple(normal[operand] for operand in below))) is not each:
                self._become(each, current)
            elif not self._rewrite(each, self._rules):
                normal[each] = each
        return normal[plan]

    def trace(self, plans: Iterable[Operator]) -> tuple[RewriteStep, ...]:
        """The laws that turn some plans into their normal forms. Each step is listed once, in the order in which these
        plans would be rewritten if there were no others."""
        fired: dict[RewriteStep, None] = {}
        met: set[Operator] = set()
        done: set[Operator] = set()
        stack = list(reversed(tuple(plans)))
        while stack:
            each = stack[-1]
            if each in done:
                stack.pop()
                continue
            outside, after = each in self._outside, self._becomes.get(each)
            if each not in met:
                met.add(each)
                if not outside and (below := self._graph.operands(each)):
                    stack.extend(reversed(below))
                    continue
            if each in self._steps:
                fired[self._steps[each]] = None
            done.add(each)
            if after is not None:
                stack[-1] = after
        return tuple(fired)

    def _rewrite(self, each: Operator, rules: Sequence[Law]) -> bool:
        for rule in rules:
            if (after := rule(each)) is not None:
                self._steps[each] = RewriteStep(formula(rule), each, after)
                self._become(each, after)
                return True
        return False

    def _become(self, each: Operator, after: Operator) -> None:
        self._becomes[each] = after
        self._graph.add(after)


def normalise(plan: Operator, rules: Sequence[Law] = LAWS) -> tuple[Operator, tuple[RewriteStep, ...]]:
    """The normal form of a single `plan` under `rules`, and the laws that fired, in order."""
    rewriting = Rewriting(PlanGraph([plan]), rules)
    return rewriting.normal(plan), rewriting.trace([plan])
