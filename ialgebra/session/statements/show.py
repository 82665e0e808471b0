"""`show models | inputs | windows | views | concepts | history` lists what there is.

In: the catalog and the history; out: lines. It changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from ...errors import in_lines
from ...language import tree
from ...results.relation import Relation
from ..descriptions import axis_line, concepts_line, generator_line, input_line, model_line, window_text
from .kind import StatementContext, StatementKind

# What SHOW can list, and its lines.
LISTS: dict[tree.Shown, Callable[[StatementContext], Iterable[str]]] = {
    "models": lambda context: map(model_line, context.catalog.models.values()),
    "inputs": lambda context: map(input_line, context.catalog.visible.values()),
    "windows": lambda context: (f"{name}: {window_text(each)}" for name, each in context.catalog.windows.items()),
    "views": lambda context: (f"{name}: {' '.join(query.split())}" for name, query in context.catalog.views.items()),
    "concepts": lambda context: (concepts_line(key, each) for key, each in context.catalog.concepts.items()),
    "generators": lambda context: map(generator_line, context.catalog.generators.values()),
    "axes": lambda context: map(axis_line, context.catalog.axes.values()),
    "history": lambda context: context.history.lines(),
}
_EMPTY: dict[tree.Shown, str] = {"history": "no steps"}  # what is said where there is nothing, if not "no models"


def _run(statement: tree.Show, context: StatementContext) -> Relation:
    kind, context = statement.kind, replace(context, catalog=context.catalog.snapshot())
    return context.said(statement, in_lines(LISTS[kind](context)) or _EMPTY.get(kind, f"no {kind}"))


SHOW = StatementKind(
    tree.Show,
    _run,
    keywords=" ".join(("show", *LISTS)),
    help=(("   ".join(f"show {kind};" for kind in LISTS), ""),),
)
