"""`create axis name on generator as score(model, class)` names a direction along which something changes.

In: a score of a registered model, or `pca(k)`. Out: an axis in the catalog, fitted on the generator's collection.
"""

from __future__ import annotations

import torch

from ...algebra.windows import sql_name
from ...errors import BindError
from ...generators.axes import Axis
from ...language import tree
from ...language.bind.options import whole
from ...language.writer import write
from ...results.relation import Relation
from .. import generators
from ..descriptions import axis_line
from ..names import check_free, valid_name
from .kind import StatementContext, StatementKind

_AFTER = "an axis follows score(model, class), or pca(k), the k-th principal component of the codes"


def _run(statement: tree.CreateAxis, context: StatementContext) -> Relation:
    check_free("axis", statement.name, context.catalog.axes, statement.replace)
    axis = _fitted(statement, context)
    with context.lock:
        check_free("axis", statement.name, context.catalog.axes, statement.replace)  # scores took their time
        context.catalog.axes[axis.name] = axis
    return context.said(statement, f"axis created: {axis_line(axis)}")


def _fitted(statement: tree.CreateAxis, context: StatementContext) -> Axis:
    catalog, said = context.catalog.snapshot(), statement.of
    name = valid_name("axis", statement.name.value)
    generator = catalog.generator(statement.generator.value)
    holding = [each.value for each in statement.holding]
    match said.name.value.lower():
        case "pca" if len(said.arguments) == 1 and not said.options:
            if holding:
                raise BindError("a principal component holds no other axis", statement.holding[0].span)
            return generators.component_axis(catalog, name, generator, whole(said.arguments[0], "a component", 1))
        case "score" if 1 <= len(said.arguments) <= 2 and not said.options:
            scores = _scores(statement, context, generator.collection)
            words = context.text[said.span.start : said.span.end]
            return generators.scored_axis(catalog, name, generator, words, scores, holding, _model(said))
    raise BindError(_AFTER, said.span)


def _model(said: tree.CallExpr) -> str:
    """The name of the model whose score is followed."""
    first = said.arguments[0]
    return first.value if isinstance(first, tree.Name) else ""


def _scores(statement: tree.CreateAxis, context: StatementContext, collection: str | None) -> torch.Tensor:
    """The log-odds of a class, or the value of a regression, for every input of a collection: what PREDICT answers."""
    said = statement.of
    model, *target = said.arguments
    if not isinstance(model, tree.Name) or (target and not isinstance(target[0], tree.Text | tree.Name | tree.Number)):
        raise BindError(_AFTER, said.span)
    catalog = context.catalog
    if collection is None:
        raise BindError(
            f"an axis needs a collection to be fitted on; register generator '{statement.generator.value}' with "
            "collection='xs'",
            statement.generator.span,
        )
    network = catalog.model(model.value)
    if not network.probed:
        first = catalog.input(collection).sources[0]
        network.meet(catalog.element_for(model.value, first).tensor)
    options = [] if network.outputs.meaning == "values" else ["output => log_odds"]
    if not target and network.class_count > 1:
        raise BindError(f"say which class of '{model.value}': score({model.value}, 'class')", said.span)
    options.append(f"target => {write(target[0]) if target else 0}")
    scores = context.predicted(f"predict {write(model)}({', '.join(options)}) from {sql_name(collection)}")
    (found,) = scores.models
    return torch.from_numpy(found.target_scores[:, 0].copy())


CREATE_AXIS = StatementKind(
    tree.CreateAxis,
    _run,
    keywords="create or replace axis on as holding",
    help=(("create axis smile on G as score(f, 'smile');", "a direction of a generator along which a score grows"),),
    defines=lambda statement: ("axis", statement.name.value),
)
