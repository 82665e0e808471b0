"""The Future of a statement that is answered in another thread: its result, its refinements, its progress.

In: answers, which a worker computes. Out: what `concurrent.futures` promises of a Future, for threads and for asyncio.
It may not know which thread computes, nor sessions or models.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

from ..answering.running import Standing
from ..errors import IalgebraError
from ..results.assemble import CallPlace, answers_for, heard
from ..results.relation import Relation
from ..system import forking
from ..system.arguments import checked
from .answers import Answering


class Submitted(Future[Relation]):
    """The answer to come of a text that was submitted; of a script, the last one.

    It is cancelled within a batch: `cancel` says so, and once the batch in progress has ended, `result` raises
    `concurrent.futures.CancelledError`. Rows that were evaluated are kept for later queries.
    """

    def __init__(self, query: str, answers: Answering) -> None:
        super().__init__()
        self.query = query
        self._place = CallPlace.of_this_call()
        self._answers = answers
        self._news = threading.Condition(forking.lock())
        self._begun = self._ended = False
        self._latest: Relation | None = None
        self._count = 0  # of answers so far
        self._said: list[str] = []
        self._listeners: list[Callable[[], None]] = []
        self.add_done_callback(lambda _: self._tell())

    def __repr__(self) -> str:
        ended = "cancelled" if self.cancelled() else "done"
        state = ended if self.done() else "running" if self._begun else "waiting"
        standing = "" if self.progress is None else f", {self.progress.rows:,} rows"
        return f"<Submitted {' '.join(self.query.split())[:60]!r}: {state}{standing}>"

    @property
    def priority(self) -> int:
        """Of queries that want one model, that of the highest priority is next."""
        return self._answers.priority

    @property
    def progress(self) -> Standing | None:
        """How the query stands after its last batch: rows so far and forecast, seconds, the error reached and the one
        asked for. None before the first batch."""
        return self._answers.progress

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was warned of so far, each sentence once."""
        return tuple(dict.fromkeys(self._said))

    def running(self) -> bool:
        """Whether a thread computes it."""
        return self._begun and not self.done()

    def cancel(self) -> bool:
        """End it before its next batch or estimate; whether it had not ended yet. If it had not begun, it has ended."""
        with self._news:
            if self._ended:
                return False
            self._answers.cancel()
            waiting = not self._begun
        if waiting:
            self.end()
        return True

    @checked
    def updates(self, timeout: float | None = None) -> Iterator[Relation]:
        """The answers as they come, each with all that was known before it; the last is the result.

        A reader that is slow gets the latest only. Raises what `result` raises, and TimeoutError if nothing comes for
        `timeout` seconds.
        """
        return self._updates(timeout)

    def _updates(self, timeout: float | None) -> Iterator[Relation]:
        seen = 0
        while True:
            with self._news:
                if not self._news.wait_for(partial(self._has_news, seen), timeout):
                    raise TimeoutError(f"no answer for {timeout} seconds")
                latest, seen = self._after(seen)
            if latest is None:
                self.result()
                return
            yield latest

    def _has_news(self, seen: int) -> bool:
        return self._count > seen or self.done()

    def _after(self, seen: int) -> tuple[Relation | None, int]:
        """The latest answer, unless it is among the first `seen`, and the number of answers."""
        with self._news:
            return self._latest if self._count > seen else None, self._count

    async def refinements(self) -> AsyncGenerator[Relation, None]:
        """What `updates` gives, for `async for`; a loop that is left early leaves the query running."""
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(news.set)

        with self._news:
            self._listeners.append(wake)
        try:
            seen = 0
            while True:
                news.clear()
                done = self.done()
                latest, seen = self._after(seen)
                if latest is not None:
                    yield latest
                elif done:
                    await self
                    return
                else:
                    await news.wait()
        finally:
            with self._news:
                self._listeners.remove(wake)

    def __await__(self) -> Generator[object, None, Relation]:
        return asyncio.wrap_future(self).__await__()

    # What the worker calls.

    def begin(self) -> bool:
        """Note that a thread has begun to compute it; False if it was cancelled before that."""
        with self._news:
            self._begun = not self._ended
            return self._begun

    def answer(self) -> None:
        """Compute it in this thread, to its end."""
        answers_for(self._place)
        try:
            with heard() as self._said:
                for answer in self._answers:
                    with self._news:
                        self._latest, self._count = answer, self._count + 1
                    self._tell()
            if self._latest is None:
                raise IalgebraError("a text without a statement has no answer")
        except BaseException as error:  # whatever a model raises belongs to the caller who waits
            self.end(error)
        else:
            self.end()

    def end(self, error: BaseException | None = None) -> None:
        """Settle it: as cancelled if somebody has cancelled it, with the error, or with the last answer."""
        with self._news:
            if self._ended:
                return
            self._ended = True
            cancelled = self._answers.cancelled
        if cancelled:
            super().cancel()
            self.set_running_or_notify_cancel()
        elif error is not None:
            self.set_exception(error)
        else:
            assert self._latest is not None
            self.set_result(self._latest)

    def _tell(self) -> None:
        with self._news:
            self._news.notify_all()
            listeners = tuple(self._listeners)
        for wake in listeners:
            wake()
