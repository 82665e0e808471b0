"""`describe name` tells everything that a name is. In: a name; out: text. It changes nothing."""

from __future__ import annotations

from ...catalog.catalog import Catalog
from ...errors import BindError, did_you_mean, visible
from ...language import tree
from ...results.relation import Relation
from ..descriptions import axis_line, concepts_text, generator_line, input_text, model_text, window_text
from ..generators import losses
from .kind import StatementContext, StatementKind


def about(statement: tree.Describe, catalog: Catalog) -> list[str]:
    """What a name is: a text for each thing that it names. BindError for a name of nothing."""
    name, parts = statement.name.value, []
    if name in catalog.models:
        parts.append(model_text(catalog.models[name]))
    if name in catalog.inputs:
        parts.append(input_text(catalog.inputs[name]))
    if name in catalog.windows:
        parts.append(visible(f"window {name}: {window_text(catalog.windows[name])}"))
    if name in catalog.views:
        parts.append(visible(f"view {name}: {' '.join(catalog.views[name].split())}"))
    parts += [concepts_text(key, each) for key, each in catalog.concepts.items() if name in (key, each.name)]
    if name in catalog.generators:
        parts.append(visible(f"generator {generator_line(catalog.generators[name])}"))
    if name in catalog.axes:
        parts.append(visible(f"axis {axis_line(catalog.axes[name])}"))
    if not parts:
        dictionaries = [each.name for each in catalog.concepts.values()]
        known = [*catalog.models, *catalog.visible, *catalog.windows, *catalog.views, *dictionaries]
        known += [*catalog.generators, *catalog.axes]
        raise BindError(f"nothing is called '{name}'{did_you_mean(name, known)}", statement.name.span)
    return parts


def _run(statement: tree.Describe, context: StatementContext) -> Relation:
    catalog = context.catalog.snapshot()
    parts = about(statement, catalog)
    if statement.name.value in catalog.generators:
        parts += losses(catalog, catalog.generators[statement.name.value])
    return context.said(statement, "\n".join(parts))


DESCRIBE = StatementKind(
    tree.Describe,
    _run,
    keywords="describe",
    help=(("describe x;", "what x is: a model, an input, a window, a view or a dictionary of concepts"),),
    at_fault=lambda statement: statement.name.span,
)
