"""Files that a page shares: its script in SQL, the session's steps in Python, one page of HTML.

In: steps, answers, a session. Out: files that a browser may fetch. May not know: sockets.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...errors import BindError, IalgebraError
from ...results import exploration_page
from ...results.relation import Relation
from ...session.session import Session
from . import axes, exploration


@dataclass(frozen=True)
class SharedFile:
    """A file that a page may fetch."""

    name: str
    media_type: str
    content: bytes


def shared(
    kind: str,
    con: Session,
    steps: exploration.Exploration,
    settings: Mapping[str, str | int],
    answer: Relation | None,
    text: str,
) -> SharedFile:
    """The file of a kind: 'sql' asks all again that a page has asked, under these settings; 'py' all that the session
    was told and asked, with the tensors that were registered; 'html' shows the answer to `text`, and 'axes' its input
    along every axis. Raises BindError for another kind, IalgebraError where there is nothing to show."""
    match kind:
        case "sql":
            return SharedFile("script.sql", "application/sql", exploration.script(steps, settings).encode())
        case "py":
            return _python(con)
        case "html":
            if answer is None:
                raise IalgebraError("there is no map to share yet")
            return SharedFile("map.html", "text/html", exploration.page(answer, text, steps).encode())
        case "axes":
            explored = exploration_page.page(axes.exploration(con, steps.text))
            return SharedFile("explored.html", "text/html", explored.encode())
    raise BindError(f"what is shared is 'sql', 'py', 'html' or 'axes', not '{kind:.40}'")


def _python(con: Session) -> SharedFile:
    """The history of the session as a script; in an archive, where tensors go with it."""
    with tempfile.TemporaryDirectory() as folder:
        con.history.export(Path(folder) / "analysis.py")
        files = sorted(Path(folder).iterdir())
        if len(files) == 1:
            return SharedFile("analysis.py", "text/x-python", files[0].read_bytes())
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for each in files:
                archive.write(each, each.name)
    return SharedFile("analysis.zip", "application/zip", packed.getvalue())
