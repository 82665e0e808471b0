"""What all pages of one server share. In: a session. Out: its works in threads, and files that wait to be fetched. May
not know: pages, sockets, HTTP.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from ...session.session import Session
from . import panels, shipped
from .messages import Said
from .sharing import SharedFile

_MOST_EXPORTS = 32  # files that wait to be fetched, of all pages

_T = TypeVar("_T")


@dataclass(eq=False)
class Workplace:
    """What all pages of one server share: the session, threads for short works, files that wait to be fetched."""

    con: Session
    opening: str
    about: Said = field(default_factory=dict)  # what the catalog says of the session: its title, whether it is the demo
    afterwards: Callable[[], object] | None = None  # what is done once, when the first question has its answer
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4, "ialgebra-studio"))
    exports: OrderedDict[str, SharedFile] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        for panel in shipped.SHIPPED:
            panels.PANELS.setdefault(panel.name, panel)

    async def work(self, function: Callable[..., _T], *arguments: object) -> _T:
        """Call a function in a thread, so that the event loop goes on."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, function, *arguments)

    def rest(self) -> None:
        """A question has its answer: begin what nobody waits for, the first time."""
        if self.afterwards is not None:
            self.threads.submit(self.afterwards)
            self.afterwards = None

    def offer(self, file: SharedFile) -> str:
        """The path under which a file can be fetched; the oldest are forgotten."""
        name = secrets.token_urlsafe(12)
        self.exports[name] = file
        while len(self.exports) > _MOST_EXPORTS:
            self.exports.popitem(last=False)
        return f"/export/{name}"
