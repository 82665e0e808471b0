"""`describe name` tells everything that a name is. In: a name; out: text. It changes nothing."""

from __future__ import annotations

from ...errors import BindError, did_you_mean, visible
from ...language import tree
from ...results.relation import Relation
from ..descriptions import input_text, model_text, window_text
from .kind import StatementContext, StatementKind


def _run(statement: tree.Describe, context: StatementContext) -> Relation:
    name, catalog = statement.name.value, context.catalog.snapshot()
    parts = []
    if name in catalog.models:
        parts.append(model_text(catalog.models[name]))
    if name in catalog.inputs:
        parts.append(input_text(catalog.inputs[name]))
    if name in catalog.windows:
        parts.append(visible(f"window {name}: {window_text(catalog.windows[name])}"))
    if name in catalog.views:
        parts.append(visible(f"view {name}: {' '.join(catalog.views[name].split())}"))
    if not parts:
        known = [*catalog.models, *catalog.visible, *catalog.windows, *catalog.views]
        raise BindError(f"nothing is called '{name}'{did_you_mean(name, known)}")
    return context.said(statement, "\n".join(parts))


DESCRIBE = StatementKind(
    tree.Describe,
    _run,
    keywords="describe",
    help=(("describe x;", "what x is: a model, an input, a window or a view"),),
    at_fault=lambda statement: statement.name.span,
)
