"""Answers without a run: EXPLAIN, statements that answer with text, and whether a query has exactly one map.

In: a query, or a text. Out: a relation without maps, or nothing. It runs no model, except one row of a model whose
layers are not known yet.
"""

from __future__ import annotations

from typing import cast

from ..algebra.operators import Identity
from ..algebra.windows import EVERYTHING
from ..catalog.catalog import Catalog
from ..errors import BindError
from ..planner.explain import Details, explain
from ..planner.formats import PlanFormat, written_as
from ..planner.sampling import Effort
from ..planner.spending import Spending
from ..planner.whole_details import WholeDetails
from ..results.assemble import say
from ..results.provenance import environment
from ..results.relation import Relation, Stats
from .binding import unpredicted
from .question import BoundQuery, Request


def explained(request: Request, catalog: Catalog, form: PlanFormat = "text") -> Relation:
    """EXPLAIN: the plan of a query, without running it. If the query filters by prediction, all elements are
    planned."""
    first = Effort(request.strategy.pace.pilot) if request.bounds.any else None
    question = BoundQuery.of(request, catalog)
    plan = question.plan(first)
    for doubt in question.doubts():
        say(doubt)
    details = explain(plan, catalog, ranking=question.ranking, graph=True)
    return said(written_as(details, form), request.own_text, details)


def drawn(answer: Relation, form: PlanFormat) -> Relation:
    """The answer to EXPLAIN ANALYZE: the query's answer, with its plan in the format `form` as text."""
    return answer.told(written_as(cast("Details", answer.details), form), answer.query)


def only_map(request: Request, catalog: Catalog) -> None:
    """Raise BindError if it is known without running the query that its answer does not have exactly one map."""
    asked: list[Identity] = []

    def predicting(identity: Identity) -> list[None]:
        asked.append(identity)
        return unpredicted(identity)

    question = BoundQuery.of(request, catalog, predicting)
    count = sum(len(output.answers) for output in question.plan(Effort(0)).outputs)
    ranking = None if question.contest is None else question.contest.ranking
    if ranking is not None:
        count = min(count, ranking.limit or count)
    # Only a run shows how many maps remain.
    open_ = bool(asked) or (ranking is not None and ranking.having is not EVERYTHING)
    if count != 1 and not (count and open_):
        raise BindError(f"one map is needed here, and this query answers with {count}", request.query.span)


def said(words: str, query: str, details: Details | WholeDetails | None = None) -> Relation:
    """A relation without maps: the answer to a statement that is not a query, with `words` as its text."""
    return Relation(
        attributions=(),
        stats=Stats.of(Spending(), 0.0, bound_met=True),
        plan=words,
        details=cast("dict[str, object]", details or {}),
        text=words,
        query=query,
        provenance=environment(),
    )
