"""The notebook's magics: after `%load_ext ialgebra`, `%ialgebra` is a statement and `%%ialgebra` a cell of statements.

In: a magic's line, a cell's text, and the names of a notebook. Out: the last answer, as the cell's value; earlier
answers are displayed. It does not import IPython: it uses only the object that `%load_ext` passes in.

    %ialgebra [-o name] [-s session] select * from f(x)
    %%ialgebra [-o name] [-s session]
    select * from f(x);
    show models
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..errors import BindError, IalgebraError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..results.relation import Relation

_USAGE = "%ialgebra [-o name] [-s session] statement, or %%ialgebra [-o name] [-s session] above statements"


class Notebook(Protocol):
    """The part of an IPython shell that this module uses."""

    user_ns: dict[str, object]

    def register_magic_function(self, func: Callable[..., object], magic_kind: str, magic_name: str) -> None: ...


class Wishes(NamedTuple):
    """What a magic's line says: the name for the answer, the name of the session, and the rest of the line."""

    output: str | None
    session: str
    rest: str


def load_ipython_extension(notebook: Notebook) -> None:
    """Called by `%load_ext ialgebra`: register the line magic and the cell magic."""

    def ialgebra(line: str, cell: str | None = None) -> Relation | None:
        return run_line(notebook.user_ns, line) if cell is None else run_cell(notebook.user_ns, line, cell)

    for kind in ("line", "cell"):
        notebook.register_magic_function(ialgebra, kind, "ialgebra")


def run_line(namespace: dict[str, object], line: str) -> Relation | None:
    """Run the statements of a line and return the last answer; raises IalgebraError."""
    with _Short():
        wishes = read(line)
        if not wishes.rest:
            raise BindError(f"no statement; write {_USAGE}")
        return _run(namespace, wishes, wishes.rest)


def run_cell(namespace: dict[str, object], line: str, cell: str) -> Relation | None:
    """Run a cell's statements and return the last answer; the line may also name the session alone (`%%ialgebra con2`).

    Raises IalgebraError.
    """
    with _Short():
        wishes = read(line)
        session = wishes.rest or wishes.session
        if not session.isidentifier():
            raise BindError(f"'{session}' is no name of a session; write {_USAGE}")
        return _run(namespace, wishes._replace(session=session), cell)


def read(line: str) -> Wishes:
    """The options at the beginning of a magic's line; BindError for one that is unknown or has no name after it."""
    output, session, rest = None, "con", line.strip()
    while rest.startswith("-") and not rest.startswith("--"):
        option, _, rest = rest.partition(" ")
        name, _, rest = rest.strip().partition(" ")
        rest = rest.strip()
        if option not in ("-o", "-s") or not name.isidentifier():
            raise BindError(f"'{option} {name}'".replace(" '", "'") + f" is no option; write {_USAGE}")
        output, session = (name, session) if option == "-o" else (output, name)
    return Wishes(output, session, rest)


def _run(namespace: dict[str, object], wishes: Wishes, statements: str) -> Relation | None:
    con = namespace.get(wishes.session)
    if not hasattr(con, "run"):
        raise IalgebraError(
            f"no session named '{wishes.session}' in this notebook; first run: {wishes.session} = ialgebra.connect()"
        )
    last: Relation | None = None
    for relation in con.run(statements):
        if last is not None:
            sys.displayhook(last)  # in a notebook, this is the rich display of a cell's value
        last = relation
    if wishes.output is not None:
        namespace[wishes.output] = last
    return last


class _Short:
    """Within this, errors of ours are shown in a notebook as their own words, without a traceback."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, IalgebraError):
            text = f"{type(error).__name__}: {error}"
            setattr(error, "_render_traceback_", lambda: text.split("\n"))  # noqa: B010 - IPython's hook for a report
