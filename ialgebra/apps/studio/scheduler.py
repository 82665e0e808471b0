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
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from ...answering.running import Standing
from ...errors import IalgebraError
from ...results.relation import Relation
from ...session.submitted import Submitted
from .scoring import WantedScores

_TOLD_EVERY = 0.15  # seconds between two states of a running question
_RESTED = 0.09  # seconds without a movement after which a hand rests; a page tells of one every 0.07
_MOVED = 0.2  # seconds of movement after which a coarse map is asked for though the hand goes on
_SCORES_AFTER = 0.5  # seconds that class bars wait for a first map
_IDLE_AFTER = 0.25  # seconds after an answer, until likely questions are asked

QuestionState: TypeAlias = Literal["idle", "running", "done", "cancelled", "error"]

Purpose: TypeAlias = Literal["map", "scores", "panel", "likely"]
"""What a question is for: what a page shows, its class bars, a panel, or what nobody waits for."""

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
    async def scored(self, question: AskedText, text: str, answer: Relation) -> None: ...
    async def likely(self, question: AskedText) -> Iterable[str]: ...
    async def scores_wanted(self, question: AskedText) -> WantedScores | None: ...


@dataclass(eq=False)
class _QuestionRun:
    """One question while it runs, and after it was answered: `asked` is replaced where a movement goes on or ends.
    `submitted` is what runs for it, `beside` for its class bars, `likely` for what may come next."""

    asked: AskedText
    submitted: Submitted | None = None
    beside: Submitted | None = None
    likely: Submitted | None = None
    shown: asyncio.Event = field(default_factory=asyncio.Event)  # an answer was shown, or none will come
    stopped: bool = False
    ended: bool = False

    def stop(self) -> None:
        """Give up all that runs for it."""
        self.stopped = True
        for running in (self.submitted, self.beside, self.likely):
            if running is not None:
                running.cancel()


Submit: TypeAlias = Callable[[str, Purpose, int | None], Submitted]
"""Asks the session: text, purpose, seed."""


class Scheduler:
    """The questions of one page. It is used in one event loop."""

    def __init__(self, submit: Submit, listener: Listener) -> None:
        self._submit, self._listener = submit, listener
        self._count = 0
        self._run: _QuestionRun | None = None  # of the question that is running, or was answered last
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
        return None if self._run is None else self._run.asked

    @property
    def following(self) -> int:
        """The number that the next question will have."""
        return self._count + 1

    def ask(
        self, text: str, *, moving: bool = False, seed: int | None = None, rests: bool = False, anew: bool = False
    ) -> int:
        """Ask; returns the question's number. A question that runs is given up, with two exceptions. While something
        moves, the new one waits for the coarse map, and takes the place of one that waits; with `rests` it also waits
        until the hand rests for a moment. At the end of a movement, what runs for the same text goes on, to its finest
        map, unless names mean something else since (`anew`)."""
        self._count += 1
        asked = AskedText(self._count, text, moving, seed)
        run = self._run if self._state == "running" else None
        if run is not None and run.asked.moving:
            if moving and run.submitted is not None:
                self._waiting = asked
                return asked.number
            alike = run.submitted is not None and (run.asked.text, run.asked.seed) == (text, seed)
            if moving or (alike and not anew):
                self._waiting, run.asked = None, asked
                self._tell("running")
                return asked.number
        self._begin(asked, rests=rests and moving)
        return asked.number

    def cancel(self) -> None:
        """Give up what runs and what waits; rows that are finished stay in the session."""
        self._stop()
        if self._state == "running":
            self._tell("cancelled")

    def close(self) -> None:
        """Give up everything and tell nothing more."""
        self._stop()
        self._run, self._state = None, "idle"
        for task in tuple(self._tasks):
            task.cancel()

    def _stop(self) -> None:
        self._waiting = None
        if self._run is not None:
            self._run.stop()

    def _begin(self, asked: AskedText, *, rests: bool = False) -> None:
        self._stop()
        self._run = run = _QuestionRun(asked)
        self._tell("running")
        self._spawn(self._answer(run, rests=rests))

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
        self._listener.standing(self.question, state, standing, answer, message)

    def _runs(self, run: _QuestionRun) -> bool:
        """Whether a run is that of the page's question, and was not given up."""
        return run is self._run and not run.stopped

    async def _answer(self, run: _QuestionRun, *, rests: bool) -> None:
        """Run one question to its end, unless another one comes."""
        last: Relation | None = None
        try:
            if rests:
                await self._rest(run)
            if not self._runs(run):
                return
            running = run.submitted = self._submit(run.asked.text, "map", run.asked.seed)
            self._spawn(self._score(run))
            self._spawn(self._watch(run, running))
            async with aclosing(running.refinements()) as answers:
                async for last in answers:
                    if not await self._show(run, last):
                        return
                    run.shown.set()
                    if run.asked.moving:
                        running.cancel()
                        break
            if self._runs(run):
                self._tell("done", answer=last, message=" ".join(running.warnings) or None)
        except (CancelledError, asyncio.CancelledError):
            if run is self._run and self._state == "running":
                self._tell("cancelled")
        except IalgebraError as error:
            self._failed(run, str(error))
        except Exception as error:  # a bug of ours, or of a model: a page is told, and the server goes on
            _log.exception("a question failed: %s", run.asked.text)
            self._failed(run, f"{type(error).__name__}: {error}")
        finally:
            run.shown.set()
        if run is not self._run:
            return
        run.ended = True
        if self._waiting is not None:
            self._begin(self._waiting)
        elif not run.asked.moving and self._state == "done":
            self._spawn(self._prefetch(run))

    async def _rest(self, run: _QuestionRun) -> None:
        """Return when a movement rests, or has lasted: until then a map would be of what is past."""
        left = _MOVED
        while left > 0 and self._runs(run):
            seen, pause = run.asked, min(_RESTED, left)
            await asyncio.sleep(pause)
            left -= pause
            if run.asked is seen:
                return

    async def _show(self, run: _QuestionRun, answer: Relation) -> bool:
        """Show an answer; whether its question is still the page's. A movement may end, and change its number, while
        the answer is being shown."""
        shown: AskedText | None = None
        while self._runs(run) and shown is not run.asked:
            shown = run.asked
            await self._listener.answered(shown, answer)
        return self._runs(run)

    def _failed(self, run: _QuestionRun, message: str) -> None:
        if run is self._run:
            self._tell("error", message=message)

    async def _watch(self, run: _QuestionRun, running: Submitted) -> None:
        """Tell how a question stands while it runs."""
        told: Standing | None = None
        while self._runs(run) and not run.ended:
            if running.progress is not None and running.progress != told:
                told = running.progress
                self._tell("running", told)
            await asyncio.sleep(_TOLD_EVERY)

    async def _score(self, run: _QuestionRun) -> None:
        """What the models predict for the input of a question. What is known already comes at once; for other rows the
        first map goes first, unless it takes long."""
        try:
            wanted = await self._listener.scores_wanted(run.asked)
            if wanted is None:
                return
            if wanted.answer is not None:
                await self._listener.scored(run.asked, wanted.text, wanted.answer)
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(run.shown.wait(), _SCORES_AFTER)
            if not self._runs(run):
                return
            running = run.beside = self._submit(wanted.text, "scores", run.asked.seed)
            async with aclosing(running.refinements()) as answers:
                async for answer in answers:
                    if self._runs(run):
                        await self._listener.scored(run.asked, wanted.text, answer)
        except (CancelledError, asyncio.CancelledError, IalgebraError):  # of which the question itself tells
            return
        except Exception:
            _log.exception("class scores failed: %s", run.asked.text)

    async def _prefetch(self, run: _QuestionRun) -> None:
        """Ask what is likely to be asked next, below everything that somebody waits for: the coarse maps, whose rows
        the finer ones begin with."""
        await asyncio.sleep(_IDLE_AFTER)
        for text in await self._listener.likely(run.asked):
            if not self._runs(run) or self._state != "done":
                return
            running = run.likely = self._submit(text, "likely", run.asked.seed)
            try:
                async with aclosing(running.refinements()) as answers:
                    await anext(answers, None)
                running.cancel()
            except (CancelledError, asyncio.CancelledError):
                return
            except Exception:  # nobody asked for it
                _log.debug("a likely question failed: %s", text, exc_info=True)
