"""All statements of the language, in the order in which the shell's help lists them.

In: a statement's syntax tree. Out: its kind, and its answer. The words that a shell completes are read from here too.
"""

from __future__ import annotations

from typing import Any

from ...errors import IalgebraError
from ...language import tree
from ...results.relation import Relation
from .create_axis import CREATE_AXIS
from .create_view import CREATE_VIEW
from .create_window import CREATE_WINDOW
from .describe import DESCRIBE
from .drop import DROP
from .explain import EXPLAIN
from .kind import StatementContext, StatementKind
from .predict import PREDICT
from .query import QUERY
from .set_option import SET_OPTION
from .show import SHOW

STATEMENTS: tuple[StatementKind[Any], ...] = (
    QUERY,
    PREDICT,
    EXPLAIN,
    CREATE_WINDOW,
    CREATE_VIEW,
    CREATE_AXIS,
    DROP,
    SHOW,
    DESCRIBE,
    SET_OPTION,
)
_BY_NODE: dict[type, StatementKind[Any]] = {each.node: each for each in STATEMENTS}


def kind_of_statement(statement: tree.Statement) -> StatementKind[Any]:
    """What a statement is to the session."""
    return _BY_NODE[type(statement)]


def keywords() -> tuple[str, ...]:
    """The words of all statements, each once: what a shell completes beside the registered names."""
    return tuple(dict.fromkeys(word for kind in STATEMENTS for word in kind.keywords.split()))


def run(statement: tree.Statement, context: StatementContext) -> Relation:
    """Answer a statement; every error is an IalgebraError placed in the text."""
    kind = kind_of_statement(statement)
    try:
        return kind.run(statement, context)
    except IalgebraError as error:
        raise error.at(context.text, kind.at_fault(statement)) from error.__cause__
