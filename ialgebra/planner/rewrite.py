"""Normalisation: apply laws, operands first, until none applies. In: a plan, a tuple of laws; out: a plan and a
trace.

Only joins of joins are flattened from the outside: from the inside, a chain of n would pass through n sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..algebra.operators import Operator, rebuilt
from .laws import LAWS, Law, flatten_join


class RewriteStep(NamedTuple):
    """One law that fired: its formula, and the operator before and after."""

    law: str
    before: Operator
    after: Operator


def normalise(plan: Operator, rules: Sequence[Law] = LAWS) -> tuple[Operator, tuple[RewriteStep, ...]]:
    """The normal form of `plan` under `rules`, and the laws that fired, in order.

    Every law moves operators towards the leaves, shrinks the plan or sorts it, so this ends; the normal form does not
    depend on the order of the rules (a property test holds this).
    """
    trace: list[RewriteStep] = []
    normal: dict[Operator, Operator] = {}
    becomes: dict[Operator, Operator] = {}  # one step of rewriting
    stack = [plan]
    outermost = [rule for rule in rules if rule is flatten_join]

    def rewrite(each: Operator, rules: Sequence[Law]) -> bool:
        for rule in rules:
            if (after := rule(each)) is not None:
                trace.append(RewriteStep((rule.__doc__ or rule.__name__).strip(), each, after))
                becomes[each] = after
                return True
        return False

    while stack:
        each = stack[-1]
        if each not in normal and each not in becomes:
            rewrite(each, outermost)
        pending = [becomes[each]] if each in becomes else list(each.operands)
        pending = [other for other in pending if other not in normal]
        if each in normal:
            stack.pop()
        elif pending:
            stack.extend(reversed(pending))
        elif each in becomes:
            normal[each] = normal[becomes[each]]
        elif (current := rebuilt(each, tuple(normal[operand] for operand in each.operands))) is not each:
            becomes[each] = current
        elif not rewrite(each, rules):
            normal[each] = each
    return normal[plan], tuple(trace)
