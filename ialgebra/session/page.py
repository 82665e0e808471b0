"""The studio of a session, which lives in a room above this one and is looked up when it is wanted.

In: a session. Out: what `Session.studio` returns: a page that is served, or a widget. It imports nothing of the studio:
its packages are extras.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast


class OpenStudio(Protocol):
    """A page that is served for a session: its address with the token, and how it is closed.

    It is a context manager, which closes it.
    """

    @property
    def url(self) -> str: ...
    def browse(self) -> bool: ...
    def wait(self) -> None: ...
    def close(self) -> None: ...


class _StudioRoom(Protocol):
    def started(self, con: object, *, host: str, port: int) -> OpenStudio: ...
    def below_a_cell(self, con: object, answer: object | None = None) -> object: ...


def studio(con: object, host: str, port: int) -> OpenStudio:
    """A studio that serves from now on."""
    return _room().started(con, host=host, port=port)


def widget(con: object, answer: object | None = None) -> object:
    """A studio below a notebook's cell; it begins with an answer's query."""
    return _room().below_a_cell(con, answer)


def _room() -> _StudioRoom:
    return cast(_StudioRoom, import_module("ialgebra.apps.studio"))  # by name, since imports run one way
