"""Whether a text means something, by the language's own parser and binder and the planner's own checks.

In: a text, a catalog. Out: nothing, or the IalgebraError of its first fault, at its place. What only a run of a model
can tell is left open, so this runs no row and is cheap enough for each key. May not know: gestures, pages.
"""

from __future__ import annotations

from typing import Final

from ....algebra.windows import EVERYTHING, Window
from ....answering.bounds import Bounds
from ....catalog.catalog import Catalog
from ....errors import IalgebraError
from ....language import tree
from ....language.bind.models import NotKnownYet
from ....language.bind.predicates import bind_window
from ....language.bind.predict import bind_predict
from ....language.bind.query import bind
from ....language.reader import parse
from ....planner.check import check, check_size
from ....planner.graph import PlanGraph
from ....planner.meaning import check_meaning
from ....session.names import check_free, valid_name
from ....session.regions import check_region
from ....session.statements.describe import about
from ....session.statements.drop import dropped
from ....session.statements.set_option import setting

MOST_SAID: Final = 500
"""Characters of an error's sentence that a page shows; a name in it may be as long as a text."""


def said(error: IalgebraError) -> str:
    """An error's sentence, cut where it is too long to be read."""
    return error.message if len(error.message) <= MOST_SAID else error.message[:MOST_SAID] + "…"


def check_text(text: str, catalog: Catalog) -> None:
    """Raise the IalgebraError of the first fault of a script, with its place; windows and views that its statements
    make count in those after them."""
    known = catalog.snapshot()
    for statement in parse(text):
        try:
            _check(statement, text, known)
        except NotKnownYet:
            pass
        except IalgebraError as error:
            raise error.at(text, statement.span) from error.__cause__


def check_query(query: tree.Query, text: str, catalog: Catalog) -> None:
    """Raise the IalgebraError of a query that means nothing."""
    Bounds.of(query)
    bound = bind(query, text, catalog)
    graph = PlanGraph([each.plan for each in bound.wanted])
    check(graph, bound.places)
    check_meaning(graph, catalog.interpreter, bound.places)
    check_size(graph)


def _check(statement: tree.Statement, text: str, catalog: Catalog) -> None:
    match statement:
        case tree.Query():
            check_query(statement, text, catalog)
        case tree.Predict() | tree.Explain(tree.Predict()):
            predict = statement.query if isinstance(statement, tree.Explain) else statement
            assert isinstance(predict, tree.Predict)
            bind_predict(predict, text, catalog)
        case tree.Explain(tree.Query() as query):
            check_query(query, text, catalog)
        case tree.CreateView(name, query, words, replace):
            check_free("view", name, catalog.views, replace)
            check_query(query, text, catalog)
            catalog.views[valid_name("view", name.value)] = words
        case tree.CreateWindow(name, where, replace):
            check_free("window", name, catalog.windows, replace)
            if isinstance(where, tree.Region):
                check_region(where)
                check_query(where.query, text, catalog)
                window: Window = EVERYTHING  # until a run tells it
            else:
                window = bind_window(where, catalog.windows, None)
            catalog.windows[valid_name("window", name.value)] = window
        case tree.CreateAxis(name, generator, _, holding, replace):
            check_free("axis", name, catalog.axes, replace)
            catalog.generator(generator.value)
            for each in holding:
                catalog.axis(each.value)
        case tree.Drop():
            dropped(statement, catalog)
        case tree.Describe():
            about(statement, catalog)
        case tree.SetOption():
            setting(statement, catalog)
