"""`drop window | view | axis name` forgets a name. In: a kind and a name; out: the catalog without it."""

from __future__ import annotations

from ...algebra.windows import Window
from ...catalog.catalog import Catalog
from ...errors import BindError, did_you_mean
from ...generators.axes import Axis
from ...language import tree
from ...results.relation import Relation
from .kind import StatementContext, StatementKind


def dropped(statement: tree.Drop, catalog: Catalog) -> None:
    """Forget a name of a catalog; BindError for one that is not there."""
    kind, name = statement.kind, statement.name.value
    places: dict[str, dict[str, Window] | dict[str, str] | dict[str, Axis]] = {
        "window": catalog.windows,
        "view": catalog.views,
        "axis": catalog.axes,
    }
    known = places[kind]
    if name not in known:
        raise BindError(f"unknown {kind} '{name}'{did_you_mean(name, known)}", statement.name.span)
    del known[name]


def _run(statement: tree.Drop, context: StatementContext) -> Relation:
    with context.lock:
        dropped(statement, context.catalog)
    return context.said(statement, f"{statement.kind} {statement.name.value} dropped")


DROP = StatementKind(
    tree.Drop,
    _run,
    keywords="drop window view axis",
    help=(("drop window hot;   drop view v;", "forget a name"),),
    defines=lambda statement: (statement.kind, statement.name.value),
)
