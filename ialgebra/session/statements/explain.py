"""`explain [analyze] query` tells how a query is, or was, answered. In: a query; out: its plan as text."""

from __future__ import annotations

from ...answering import explaining
from ...language import tree
from ...results.relation import Relation
from .kind import StatementContext, StatementKind


def _run(statement: tree.Explain, context: StatementContext) -> Relation:
    request = context.request(statement.query)
    if statement.analyze:
        return context.answered(request, analyze=True)
    return explaining.explained(request, context.catalog)


EXPLAIN = StatementKind(
    tree.Explain,
    _run,
    keywords="explain analyze",
    help=(("explain analyze select * from f(x);", "the plan, its estimates and what was measured"),),
    query=lambda statement: statement.query,
)
