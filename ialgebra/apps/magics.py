"""The notebook magic: after `%load_ext ialgebra`, a cell that begins with `%%ialgebra` runs its statements.

In: a cell's text and the name of a session in the notebook (`%%ialgebra con2`; `con` if none is given). Out: the last
answer, as the cell's value; earlier answers are displayed. It does not import IPython: it uses only the object that
`%load_ext` passes in.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from ..errors import IalgebraError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..results.relation import Relation


class Notebook(Protocol):
    """The part of an IPython shell that this module uses."""

    user_ns: dict[str, object]

    def register_magic_function(self, func: Callable[..., object], magic_kind: str, magic_name: str) -> None: ...


def load_ipython_extension(notebook: Notebook) -> None:
    """Called by `%load_ext ialgebra`: register the cell magic."""

    def ialgebra(line: str, cell: str) -> Relation | None:
        return run_cell(notebook.user_ns, line, cell)

    notebook.register_magic_function(ialgebra, "cell", "ialgebra")


def run_cell(namespace: dict[str, object], line: str, cell: str) -> Relation | None:
    """Run a cell's statements in the session that `line` names and return the last answer; raises IalgebraError."""
    name = line.strip() or "con"
    con = namespace.get(name)
    last: Relation | None = None
    try:
        if not hasattr(con, "run"):
            raise IalgebraError(f"no session named '{name}' in this notebook; first run: {name} = ialgebra.connect()")
        for relation in con.run(cell):
            if last is not None:
                sys.displayhook(last)  # in a notebook, this is the rich display of a cell's value
            last = relation
    except IalgebraError as error:
        text = f"{type(error).__name__}: {error}"
        setattr(error, "_render_traceback_", lambda: text.split("\n"))  # noqa: B010 - IPython's hook for a short report
        raise
    return last
