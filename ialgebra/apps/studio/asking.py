"""One question to the session, seen from an event loop: refinements as they come, progress, and a way to stop.

In: a session and a text. Out: `Asked`. May not know: pages, or which question matters more.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import CancelledError

from ...answering.running import Standing
from ...language import reader, tree
from ...results.relation import Relation
from ...session.session import Session


class Asked:
    """A question that runs."""

    def __init__(self, con: Session, text: str, seed: int | None) -> None:
        self._con, self._text, self._seed = con, text, seed
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Relation | BaseException | None] = asyncio.Queue()
        self._stopped = threading.Event()
        threading.Thread(target=self._work, daemon=True).start()

    @property
    def progress(self) -> Standing | None:
        return None

    def cancel(self) -> bool:
        self._stopped.set()
        return True

    def _work(self) -> None:
        try:
            parsed = reader.parse(self._text)
            alone = len(parsed) == 1 and isinstance(parsed[0], tree.Query)
            run = self._con.stream if alone else self._con.run
            for answer in run(self._text, seed=self._seed):
                if self._stopped.is_set():
                    raise CancelledError
                self._put(answer)
            self._put(None)
        except BaseException as error:
            self._put(error)

    def _put(self, what: Relation | BaseException | None) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, what)

    async def refinements(self) -> AsyncGenerator[Relation, None]:
        while (what := await self._queue.get()) is not None:
            if isinstance(what, BaseException):
                raise what
            yield what


def submitted(con: Session, text: str, *, priority: int = 0, seed: int | None = None) -> Asked:
    """Ask a session a question; higher priorities go first."""
    return Asked(con, text, seed)
