"""`create window w as …` names a part of an input: by a predicate, or by what one map says matters.

In: a predicate, or a region with its query. Out: a window in the catalog; of a region also the map, as the answer.
"""

from __future__ import annotations

from ...answering import explaining
from ...language import tree
from ...language.bind.predicates import bind_window
from ...results.relation import Relation
from ..descriptions import mask_text
from ..names import check_free, valid_name
from ..regions import check_region, region_of
from .kind import StatementContext, StatementKind


def _run(statement: tree.CreateWindow, context: StatementContext) -> Relation:
    windows = context.catalog.windows
    with context.lock:
        check_free("window", statement.name, windows, statement.replace)
        if not isinstance(statement.where, tree.Region):
            windows[valid_name("window", statement.name.value)] = bind_window(statement.where, windows, None)
    if isinstance(statement.where, tree.Region):
        return _from_answer(statement, statement.where, context)
    return context.said(statement, f"window {statement.name.value} created")


def _from_answer(statement: tree.CreateWindow, region: tree.Region, context: StatementContext) -> Relation:
    check_region(region)
    request = context.request(region.query)
    explaining.only_map(request, context.catalog.snapshot())
    answer = context.answered(request)
    mask = region_of(answer, region, valid_name("window", statement.name.value))
    with context.lock:
        check_free("window", statement.name, context.catalog.windows, statement.replace)  # the query took its time
        context.catalog.windows[mask.name] = mask
    return answer.told(f"window {mask.name} created: {mask_text(mask)}", context.words(statement))


def _query(statement: tree.CreateWindow) -> tree.Query | None:
    return statement.where.query if isinstance(statement.where, tree.Region) else None


CREATE_WINDOW = StatementKind(
    tree.CreateWindow,
    _run,
    keywords="create or replace window as top percent above",
    help=(("create window hot as top(10 percent, select * from f(x));", "where the map is highest, for `where hot`"),),
    defines=lambda statement: ("window", statement.name.value),
    query=_query,
)
