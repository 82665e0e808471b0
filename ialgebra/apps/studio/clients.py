"""One page: how its document changes, and how its questions stand.

In: requests of a page, answers of a session. Out: messages. What it asks beside is answered by `beside`; what it is
sent is numbered by `sender`. May not know: HTTP, cookies, origins.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import CancelledError

from ...answering.running import Standing
from ...catalog.catalog import Catalog
from ...errors import IalgebraError
from ...language import reader, tree
from ...results.relation import Relation
from ...results.scores import Scores
from ...session.submitted import Submitted
from ...version import __version__
from . import described, exploration, frames, likely, panels, scoring
from .beside import Beside, Handler
from .document import completion, gestures, view
from .messages import Hello, PageRequest, Said, problem
from .outbox import TooSlow
from .scheduler import AskedText, Purpose, QuestionState, Scheduler
from .sender import Sender
from .shown import ShownPage
from .workplace import Workplace

_PRIORITY: dict[Purpose, int] = {"scores": 1, "map": 0, "panel": 0, "likely": -1}
_RESTLESS = ("window", "move", "edit")  # gestures of which only where they rest is asked

_log = logging.getLogger(__name__)


class StudioClient:
    """One page. It is used in one event loop."""

    def __init__(self, name: str, place: Workplace) -> None:
        self.name = name
        self.place = place
        self.sender = Sender()
        self.socket: object | None = None  # the socket that the page has now
        self._scheduler = Scheduler(self._submit, self)
        self._shown = ShownPage(exploration.begun(place.opening))
        self._left_running = False
        self._ran: tuple[str, ...] = ()  # statements that were run for the latest question
        self._batch_size: int | None = None  # that the script has said last
        self._mark: tuple[object, ...] = ()
        self._begun = False
        self._beside = Beside(place, self._shown, self.sender, self._submit, self._failed)
        self._in_order: dict[str, Handler] = {
            "gesture": self._gesture,
            "text": self._text,
            "ask": self._ask,
            "undo": self._undo,
            "redo": self._redo,
            "goto": self._goto,
        }

    # What a page asks -------------------------------------------------------------------------------------------------

    async def hello(self, came: Hello) -> None:
        """A page comes, or comes back: send what it does not have."""
        resumed = self._begun and came.since > 0
        self.sender.begin(came.since)
        welcome = {"type": "welcome", "client": self.name, "version": __version__, "resumed": resumed}
        self.sender.put(welcome | came.re)
        if not self._begun:
            self._begun = True
            self._open(came.url)
            await self.refresh_catalog()
            await self._show()
            return
        self.sender.again(("catalog", "document", "status", "answer", "scores", "map"), came.since)
        await self.refresh_catalog()
        if self._left_running:
            self._left_running = False
            await self._show()

    def leave(self) -> None:
        """The page is gone, perhaps for a moment: what runs for it is given up, and asked again when it comes back."""
        self._left_running = self._scheduler.state == "running"
        self._scheduler.cancel()
        self._beside.cancel()

    def close(self) -> None:
        """The page will not come back."""
        self.leave()
        self._scheduler.close()
        self.sender.clear()

    async def handle(self, asked: PageRequest) -> None:
        """Do what a page asks; whatever goes wrong is answered."""
        try:
            if asked.type == "ping":
                self.sender.put({"type": "pong"} | asked.re)
            elif asked.type == "cancel":
                self._scheduler.cancel()
            elif asked.type in self._in_order:
                await self._in_order[asked.type](asked)
            elif asked.type in self._beside:
                self._beside.begin(asked)
            else:
                raise IalgebraError(f"there is no message '{asked.type}'")
        except TooSlow:
            raise
        except Exception as error:
            self._failed(asked, error)

    def _failed(self, asked: PageRequest, error: Exception) -> None:
        """Answer that a request failed; what is no error of the language is logged too."""
        if not isinstance(error, IalgebraError):
            _log.error("the message '%s' failed", asked.type, exc_info=error)
        self.sender.put(problem(error, asked.id))

    # The document -----------------------------------------------------------------------------------------------------

    def _open(self, url: str) -> None:
        """Begin with the query in the page's address, if there is one that can be read."""
        try:
            state = exploration.decoded(url)
        except IalgebraError as error:
            self.sender.put(problem(error))
            return
        if state is not None:
            self._shown.steps, self._shown.seed = exploration.begun(state.text), state.seed

    async def _gesture(self, asked: PageRequest) -> None:
        gesture, text, catalog = asked.mapping("gesture"), self._shown.steps.text, self.place.con.catalog()
        moving = asked.said.get("moving") is True
        if moving:
            gesture = await self.place.work(likely.on_lattice, gesture, text, catalog)
        change = await self.place.work(gestures.changed, gesture, text, catalog)
        if moving:
            self._shown.moving = change.text
            await self._show(asked, moving=True, rests=gesture.get("do") in _RESTLESS)
            return
        await self._run(change.statements)
        self._take(change.text, change.statements, change.undo, str(gesture.get("do", "")))
        await self._show(asked, before=change.statements)

    def _take(self, text: str, statements: Sequence[str] = (), undo: Sequence[str] = (), label: str = "") -> None:
        self._shown.moving = None
        self._shown.steps = exploration.taken(self._shown.steps, text, statements, undo, label)

    async def _text(self, asked: PageRequest) -> None:
        """The editor's text is only looked at."""
        text, catalog = asked.text("text"), self.place.con.catalog()
        found = await self._document(text, None, catalog)
        self.sender.put(found | asked.re)

    async def _ask(self, asked: PageRequest) -> None:
        text = asked.text("text", self._shown.steps.text)
        if await self.place.work(_is_query, text):
            change = await self.place.work(_typed, text, self.place.con.catalog())
            await self._run(change.statements)
            self._take(change.text, change.statements, change.undo)
            await self._show(asked, before=change.statements)
            return
        document = await self._document(self._shown.steps.text, self._scheduler.following, self.place.con.catalog())
        self.sender.put(document | asked.re)
        self._scheduler.ask(text, seed=self._shown.seed)  # its text is the answer; the document stays

    async def _undo(self, asked: PageRequest) -> None:
        await self._go(asked, *exploration.undone(self._shown.steps))

    async def _redo(self, asked: PageRequest) -> None:
        await self._go(asked, *exploration.redone(self._shown.steps))

    async def _goto(self, asked: PageRequest) -> None:
        await self._go(asked, *exploration.gone(self._shown.steps, asked.number("step", 0)))

    async def _go(self, asked: PageRequest, steps: exploration.Exploration, statements: Sequence[str]) -> None:
        await self._run(statements)
        self._shown.steps, self._shown.moving = steps, None
        await self._show(asked, before=statements)

    async def _run(self, statements: Sequence[str]) -> None:
        """Run statements that a query needs, such as CREATE WINDOW."""
        for statement in statements:
            try:
                async for _ in self._submit(statement, "map", self._shown.seed).refinements():
                    pass
            except (CancelledError, asyncio.CancelledError):
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise
                raise IalgebraError(f"`{statement}` was cancelled") from None
        if statements:
            await self.refresh_catalog()

    async def _show(
        self,
        asked: PageRequest | None = None,
        *,
        moving: bool = False,
        rests: bool = False,
        before: Sequence[str] = (),
    ) -> None:
        """Tell the page its document, and ask what it says, unless it means nothing; `before` is what was run for
        it."""
        text, catalog = self._shown.text, self.place.con.catalog()
        document = await self._document(text, None, catalog, moving=moving)
        last, asks = self._scheduler.question, bool(text.strip()) and document["problem"] is None
        if not moving:
            self._note(None)
            self._ran = tuple(before)
        if asks and moving and last is not None and last.moving and last.text == text:
            asks, document["question"] = False, last.number  # a shape that has not left its place on the lattice
        elif asks:
            document["question"] = self._scheduler.following
        if asked is None or asked.id is None:
            self.sender.news(document, "document")
        else:
            self.sender.answer(document | asked.re, document, "document")
        if asks:
            self._scheduler.ask(text, moving=moving, seed=self._shown.seed, rests=rests, anew=bool(before))

    async def _document(
        self, text: str, number: int | None, catalog: Catalog, *, moving: bool = False
    ) -> dict[str, object]:
        """What the page shows of a text: what the query says, and what is wrong with it."""
        query = await self.place.work(view.viewed, text, catalog)
        fault = await self.place.work(completion.problem, text, catalog) if text.strip() else None
        return {
            "type": "document",
            "text": text,
            **exploration.standing(self._shown.steps),
            "query": query,
            "problem": None if fault is None else {"message": fault.message, "start": fault.start, "end": fault.end},
            "question": number,
            "moving": moving,
            "seed": self._shown.seed,
        }

    # What the questions tell ------------------------------------------------------------------------------------------

    def _submit(self, text: str, purpose: Purpose, seed: int | None) -> Submitted:
        """Ask the session."""
        return self.place.con.submit(text, _PRIORITY[purpose], seed, interactive=True)

    def standing(
        self,
        question: AskedText | None,
        state: QuestionState,
        standing: Standing | None,
        answer: Relation | None,
        message: str | None,
    ) -> None:
        """Tell the page how its question stands."""
        found: dict[str, object] = {
            "type": "status",
            "state": state,
            "question": None if question is None else question.number,
            "moving": question is not None and question.moving,
            "rows": None if standing is None else standing.rows,
            "forecast": None if standing is None else standing.forecast,
            "seconds": None if standing is None else standing.seconds,
            "error": None if standing is None else standing.error,
            "asked": None if standing is None else standing.asked,
            "message": message,
        }
        if answer is not None and question is not None:
            self._note(question, answer)
            self.place.rest()
            found |= {"rows": answer.stats.rows, "reused": answer.stats.reused_rows, "seconds": answer.stats.seconds}
            found |= {"bound_met": answer.stats.bound_met}
            found |= {"relative_error": max((each.relative_error for each in answer[: frames.MOST_MAPS]), default=None)}
        self.sender.news(found, "status")

    def _note(self, question: AskedText | None, answer: Relation | None = None) -> None:
        """Write a line of the script: what was run before a question, and the question itself if it is answered."""
        lines = list(self._ran)
        if question is not None and answer is not None and not question.moving:
            lines += [*self._sizes(answer), question.text]
        self._ran = ()
        self._shown.steps = exploration.asked(self._shown.steps, lines)

    def _sizes(self, answer: Relation) -> list[str]:
        """The statement that makes batches of the size of an answer's, on which the last bits of its rows depend; none
        where the script says so already."""
        passes = answer.provenance.get("passes")
        sizes = [each["batch_size"] for each in passes] if isinstance(passes, list) and len(answer) else []
        if not sizes or sizes[0] == self._batch_size:
            return []
        first, self._batch_size = self._batch_size is None, sizes[0]
        if first:
            self._shown.settings["batch_size"] = sizes[0]
        return [] if first else [f"set batch_size = {sizes[0]}"]

    async def answered(self, question: AskedText, answer: Relation) -> None:
        """Send an answer to the page."""
        if answer.is_text:
            self.sender.news({"type": "answer", "question": question.number, "text": answer.text}, "answer")
            await self.refresh_catalog()
            return
        catalog = self.place.con.catalog()
        made = await self.place.work(frames.map_frame, answer, question.number, catalog, question.text)
        if question is not self._scheduler.question:
            return
        self._shown.answer, self._shown.answered = answer, question
        self.sender.news(made, "map")
        await self.refresh_catalog()  # the first pass of a model tells its layers and classes

    async def scored(self, question: AskedText, text: str, answer: Relation) -> None:
        """Send the class scores of a question's input."""
        if isinstance(answer, Scores):
            catalog = self.place.con.catalog()
            self._shown.predicted = await self.place.work(scoring.KnownScores.of, text, answer, catalog)
            target = (view.viewed(question.text, catalog) or {}).get("target")
            found = scoring.scores_message(answer, [target] if isinstance(target, str) else [])
            self.sender.news(found | {"question": question.number}, "scores")

    async def likely(self, question: AskedText) -> Iterable[str]:
        """What may be asked next."""
        second = scoring.runner_up(None if self._shown.predicted is None else self._shown.predicted.scores)
        return await self.place.work(likely.next_questions, question.text, self.place.con.catalog(), second)

    async def scores_wanted(self, question: AskedText) -> scoring.WantedScores | None:
        """The statement that tells what the models predict for the question's input."""
        return await self.place.work(scoring.wanted, question.text, self.place.con.catalog(), self._shown.predicted)

    async def refresh_catalog(self) -> None:
        """Send the catalog, if it has changed since it was sent."""
        catalog = self.place.con.catalog()
        mark = (*described.mark(catalog), *panels.PANELS)
        if mark != self._mark:
            self._mark = mark
            self.sender.news(await self.place.work(self._catalog, catalog), "catalog")

    def _catalog(self, catalog: Catalog) -> Said:
        return {**described.described(catalog, panels.told(self.place.con)), **self.place.about}


def _typed(text: str, catalog: Catalog) -> gestures.Change:
    """What was typed: its last query, and statements before it. A text that means nothing is the document as it is,
    beside which its fault is shown."""
    try:
        return gestures.typed(text, catalog)
    except IalgebraError:
        return gestures.Change(text)


def _is_query(text: str) -> bool:
    """Whether a text is a query, which may be the document; also one that cannot be read, whose fault is shown."""
    try:
        *_, statement = reader.parse(text)
    except IalgebraError:
        return True
    return isinstance(statement, tree.Query)
