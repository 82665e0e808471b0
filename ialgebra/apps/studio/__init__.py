"""The studio: a page on which explanations are drawn, dragged and refined, with the query that each gesture means.

What lives here: the server that the page talks to (`server`, guarded by `security`), what it knows of each page
(`clients`, `beside`), which questions are asked when (`scheduler`), and how answers and the catalog are sent
(`frames`, `described`, `sender`). In: a session. Out: an address for a browser. Rows are run by the session only. The
built page is in `assets/`; its sources are in `page/` at the root of the repository.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..packages import needed

if TYPE_CHECKING:
    from ...results.relation import Relation
    from ...session.session import Session
    from .opening import Example
    from .studio import Studio
    from .widget import StudioWidget


def started(
    con: Session,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    opening: str | None = None,
    shown: Example | None = None,
) -> Studio:
    """A studio for a session, which serves from now on; `port` 0 takes a free one.

    `opening` is the first query (None: one that fits what is registered); `shown` is what `example` registered.
    Raises IalgebraError where a package of the `studio` extra is missing, and for a host or a port that cannot be had.
    """
    _check_packages()
    from . import studio

    return studio.Studio(con, host=host, port=port, opening=opening, shown=shown)


def below_a_cell(con: Session, answer: Relation | None = None) -> StudioWidget:
    """The studio of a session as the output of a notebook's cell; it begins with the query of an answer (None: one that
    fits what is registered).

    Raises IalgebraError where a package of the `notebook` extra is missing.
    """
    needed("anywidget", "the studio in a notebook", "notebook")
    from . import opening, widget

    return widget.StudioWidget(con, opening.first_query(con) if answer is None else answer.query, answer)


def example(con: Session) -> Example:
    """Register something to look at in a session: the demo's network and photos, or else digits.

    Raises IalgebraError where a package of the `studio` extra is missing.
    """
    _check_packages()
    from . import opening

    return opening.register_example(con)


def _check_packages() -> None:
    """Raise IalgebraError where a package of the `studio` extra is missing."""
    for module in ("starlette", "uvicorn", "websockets"):
        needed(module, "the studio", "studio")
