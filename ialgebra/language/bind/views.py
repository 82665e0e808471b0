"""Views: a name in FROM that stands for a query.

In: the name, its place, and the function that binds a query inside another query. Out: the plans of the view's query.

A view is expanded once in a query, however often the query and other views read it. This module may not know what the
clauses of a query mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from ...algebra.operators import Contrast, Estimation, Operator
from ...errors import BindError, IalgebraError, Span
from .. import reader, tree
from .plans import OperandPlans
from .scope import Inherited, Scope

MOST_NESTED: Final = 50
"""The deepest nesting of views: each level takes several of the 1000 frames that Python allows."""


BindInner = Callable[[tree.Query, Scope, Inherited], OperandPlans]
"""Binds a query inside another query."""


class _ViewUse(NamedTuple):
    """A view, and everything else that its plans depend on."""

    name: str
    estimation: Estimation
    contrast: Contrast


class _Expansion(NamedTuple):
    """The plans of a view, and all operators in them."""

    plans: OperandPlans
    operators: tuple[Operator, ...]


@dataclass(frozen=True)
class Views:
    """The views that one query reads, each with its plans once they are known."""

    expanded: dict[_ViewUse, _Expansion] = field(default_factory=dict)

    def read(self, name: str, span: Span, scope: Scope, inherited: Inherited, bind: BindInner) -> OperandPlans:
        """The plans of a view; `bind` binds its query, and all its operators get the place `span`.

        Raises BindError for a name that is not a view, and for views that read themselves or are nested too deeply.
        """
        catalog = scope.catalog
        with scope.at(span):
            if name not in catalog.views and (name in catalog.models or name in catalog.inputs):
                what = "model" if name in catalog.models else "input"
                raise BindError(f"'{name}' is a registered {what}; FROM needs model(input), a subquery or a view")
            if name in inherited.views:
                raise BindError(f"view '{name}' is defined by itself")
            use = _ViewUse(name, inherited.estimation, inherited.contrast)
            if use not in self.expanded:
                if len(inherited.views) == MOST_NESTED:
                    raise BindError(f"views are nested too deeply: at most {MOST_NESTED} read one another")
                self.expanded[use] = _expansion(name, scope, inherited, bind)
            plans, operators = self.expanded[use]
            for operator in operators:
                scope.placed(operator, span)
            return plans


def _expansion(name: str, scope: Scope, inherited: Inherited, bind: BindInner) -> _Expansion:
    text = scope.catalog.view(name)
    (statement,) = reader.parse(text)
    assert isinstance(statement, tree.Query)
    inner = replace(scope, text=text, places={})
    try:
        plans = bind(statement, inner, replace(inherited, views=(*inherited.views, name)))
    except IalgebraError as error:
        said = error.message if error.message.startswith("in view '") else f"in view '{name}': {error.message}"
        raise type(error)(said) from error
    return _Expansion(plans, tuple(inner.places))
