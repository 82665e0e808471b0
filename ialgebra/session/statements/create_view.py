"""`create view v as query` names a query, which other queries read. In: a query; out: its text in the catalog."""

from __future__ import annotations

from ...answering.binding import bind
from ...language import tree
from ...results.relation import Relation
from ..names import check_free, valid_name
from .kind import StatementContext, StatementKind


def _run(statement: tree.CreateView, context: StatementContext) -> Relation:
    name, catalog = statement.name.value, context.catalog
    with context.lock:
        check_free("view", statement.name, catalog.views, statement.replace)
        bind(statement.query, context.text, catalog, within=(name,))
        catalog.views[valid_name("view", name)] = statement.text
    return context.said(statement, f"view {name} created")


CREATE_VIEW = StatementKind(
    tree.CreateView,
    _run,
    keywords="create or replace view as",
    help=(("create view v as select 2 from f(x);", "a name for a query, which others read: select * from v"),),
    defines=lambda statement: ("view", statement.name.value),
)
