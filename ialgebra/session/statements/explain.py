"""`explain [analyze] query` tells how a query is, or was, answered. In: a query; out: its plan as text, as JSON or as a
drawing in DOT.
"""

from __future__ import annotations

from ...answering import explaining, predicting
from ...language import tree
from ...results.relation import Relation
from .kind import StatementContext, StatementKind


def _run(statement: tree.Explain, context: StatementContext) -> Relation:
    if isinstance(statement.query, tree.Predict):
        return _of_predict(statement, statement.query, context)
    request = context.request(statement.query)
    if statement.analyze:
        return explaining.drawn(context.answered(request, analyze=True), statement.format)
    return explaining.explained(request, context.catalog.snapshot(), statement.format)


def _of_predict(statement: tree.Explain, predict: tree.Predict, context: StatementContext) -> Relation:
    request = context.prediction(predict)
    if not statement.analyze:
        return predicting.explained(request, context.catalog.snapshot(), statement.format)
    return predicting.drawn(context.scored(request), statement.format)


EXPLAIN = StatementKind(
    tree.Explain,
    _run,
    keywords="explain analyze format",
    help=(
        ("explain analyze select * from f(x);", "the plan, its estimates and what was measured"),
        ("explain (format dot) select * from f(x);", "the plan as a drawing, or as JSON: format json"),
    ),
    query=lambda statement: statement.query if isinstance(statement.query, tree.Query) else None,
)
