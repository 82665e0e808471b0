"""The questions of one page: the latest wins, coarse maps while something is dragged, likely questions when idle.

In: texts that a page asks. Out: calls of a listener: how a question stands, and its answers. The session shares its
models fairly among pages, batch by batch; each page has at most one question that matters, one for the class bars, and
one that nobody waits for. May not know: sockets, frames, or how a text was made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import CancelledError
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from ...answering.running import Standing
from ...errors import IalgebraError
from ...results.relation import Relation
from ...session.submitted import Submitted

_TOLD_EVERY = 0.15  # seconds between two states of a running question
_IDLE_AFTER = 0.25  # seconds after an answer, until likely questions are asked

QuestionState: TypeAlias = Literal["idle", "running", "done", "cancelled", "error"]

Purpose: TypeAlias = Literal["map", "scores", "likely"]
"""What a question is for: what a page shows, its class bars, or what nobody waits for."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AskedText:
    """One question of a page: its number, counted up, and what it asks; `moving` while something is dragged."""

    number: int
    text: str
    moving: bool
    seed: int | None


class Listener(Protocol):
    """What is told of the questions. All is called in the event loop."""

    def standing(
        self,
        question: AskedText | None,
        state: QuestionState,
        standing: Standing | None,
        answer: Relation | None,
        message: str | None,
    ) -> None: ...
    async def answered(self, question: AskedText, answer: Relation) -> None: ...
    async def scored(self, question: AskedText, answer: Relation) -> None: ...
    async def likely(self, question: AskedText) -> Iterable[str]: ...
    async def scores_wanted(self, question: AskedText) -> str | None: ...


Submit: TypeAlias = Callable[[str, Purpose, int | None], Submitted]
"""Asks the session: text, purpose, seed."""


class Scheduler:
    """The questions of one page. It is used in one event loop."""

    def __init__(self, submit: Submit, listener: Listener) -> None:
        self._submit, self._listener = submit, listener
        self._count = 0
        self._current: AskedText | None = None  # the question that is running, or was answered last
        self._running: dict[Purpose, Submitted] = {}  # what runs for it
        self._waiting: AskedText | None = None  # a coarse question, until the one before it has its map
        self._tasks: set[asyncio.Task[None]] = set()
        self._state: QuestionState = "idle"

    @property
    def state(self) -> QuestionState:
        """How the latest question stands."""
        return self._state

    @property
    def question(self) -> AskedText | None:
        """The latest question that was begun."""
        return self._current

    @property
    def following(self) -> int:
        """The number that the next question will have."""
        return self._count + 1

    def ask(self, text: str, *, moving: bool = False, seed: int | None = None) -> int:
        """Ask; returns the question's number. A question that runs is given up, unless both are asked while something
        moves: then the new one waits for the coarse map, and takes the place of one that waits."""
        self._count += 1
        asked = AskedText(self._count, text, moving, seed)
        if moving and self._state == "running" and self._current is not None and self._current.moving:
            self._waiting = asked
            return asked.number
        self._begin(asked)
        return asked.number

    def cancel(self) -> None:
        """Give up what runs and what waits; rows that are finished stay in the session."""
        self._waiting = None
        self._stop()
        if self._state == "running":
            self._tell("cancelled")

    def close(self) -> None:
        """Give up everything and tell nothing more."""
        self._waiting, self._current, self._state = None, None, "idle"
        self._stop()
        for task in tuple(self._tasks):
            task.cancel()

    def _stop(self) -> None:
        for running in self._running.values():
            running.cancel()
        self._running.clear()

    def _begin(self, asked: AskedText) -> None:
        self._waiting = None
        self._stop()
        self._current = asked
        self._tell("running")
        self._spawn(self._answer(asked))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell(
        self,
        state: QuestionState,
        standing: Standing | None = None,
        answer: Relation | None = None,
        message: str | None = None,
    ) -> None:
        self._state = state
        self._listener.standing(self._current, state, standing, answer, message)

    async def _answer(self, asked: AskedText) -> None:
        """Run one question to its end, unless another one comes."""
        self._spawn(self._score(asked))
        last: Relation | None = None
        try:
            running = self._running["map"] = self._submit(asked.text, "map", asked.seed)
            self._spawn(self._watch(asked, running))
            async with aclosing(running.refinements()) as answers:
                async for answer in answers:
                    if asked is not self._current:
                        return
                    last = answer
                    await self._listener.answered(asked, answer)
                    if asked.moving:
                        running.cancel()
                        break
            if asked is self._current:
                self._tell("done", answer=last)
        except (CancelledError, asyncio.CancelledError):
            if asked is self._current and self._state == "running":
                self._tell("cancelled")
        except IalgebraError as error:
            self._failed(asked, str(error))
        except Exception as error:  # a bug of ours, or of a model: a page is told, and the server goes on
            _log.exception("a question failed: %s", asked.text)
            self._failed(asked, f"{type(error).__name__}: {error}")
        if asked is not self._current:
            return
        self._running.pop("map", None)
        if self._waiting is not None:
            self._begin(self._waiting)
        elif not asked.moving and self._state == "done":
            self._spawn(self._prefetch(asked))

    def _failed(self, asked: AskedText, message: str) -> None:
        if asked is self._current:
            self._tell("error", message=message)

    async def _watch(self, asked: AskedText, running: Submitted) -> None:
        """Tell how a question stands while it runs."""
        told: Standing | None = None
        while asked is self._current and self._running.get("map") is running:
            if running.progress is not None and running.progress != told:
                told = running.progress
                self._tell("running", told)
            await asyncio.sleep(_TOLD_EVERY)

    async def _score(self, asked: AskedText) -> None:
        """What the models predict for the input of a question: of a few rows, so it goes first."""
        try:
            text = await self._listener.scores_wanted(asked)
            if text is None or asked is not self._current:
                return
            running = self._running["scores"] = self._submit(text, "scores", asked.seed)
            async with aclosing(running.refinements()) as answers:
                async for answer in answers:
                    if asked is self._current:
                        await self._listener.scored(asked, answer)
        except (CancelledError, asyncio.CancelledError, IalgebraError):  # of which the question itself tells
            return
        except Exception:
            _log.exception("class scores failed: %s", asked.text)

    async def _prefetch(self, asked: AskedText) -> None:
        """Ask what is likely to be asked next, below everything that somebody waits for: the coarse maps, whose rows
        the finer ones begin with."""
        await asyncio.sleep(_IDLE_AFTER)
        for text in await self._listener.likely(asked):
            if asked is not self._current or self._state != "done":
                return
            running = self._running["likely"] = self._submit(text, "likely", asked.seed)
            try:
                async with aclosing(running.refinements()) as answers:
                    await anext(answers, None)
                running.cancel()
            except (CancelledError, asyncio.CancelledError):
                return
            except Exception:  # nobody asked for it
                _log.debug("a likely question failed: %s", text, exc_info=True)
        if asked is self._current:
            self._running.pop("likely", None)
