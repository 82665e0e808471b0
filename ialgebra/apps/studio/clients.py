"""One page and what the server knows of it: its document, its questions, and what it has been sent.

In: requests of a page, answers of a session. Out: messages, numbered, for the socket that the page has now. A page that
comes back with its name and the last number that it saw is sent what it missed. May not know: HTTP, cookies, origins.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from ...answering.running import Standing
from ...catalog.catalog import Catalog
from ...errors import IalgebraError
from ...language import reader, tree
from ...results.relation import Relation
from ...results.scores import Scores
from ...session.session import Session
from ...session.submitted import Submitted
from ...version import __version__
from . import contents, described, exploration, frames, likely, panels, plan, scoring, sharing, shipped
from .document import completion, gestures, view
from .frames import AnswerFrame
from .messages import Hello, PageRequest, Said, frame, json_text, problem
from .outbox import Outbox, Outgoing, TooSlow
from .scheduler import AskedText, Purpose, QuestionState, Scheduler
from .sharing import SharedFile

_KNOWN_KEYS = 64  # parts that a page is taken to have still
_NOT_SENT = 2**62  # in the place of a serial
_MOST_EXPORTS = 32  # files that wait to be fetched, of all pages
_PRIORITY: dict[Purpose, int] = {"scores": 1, "map": 0, "panel": 0, "likely": -1}
_RESTLESS = ("window", "move", "edit")  # gestures of which only where they rest is asked
_MOST_LISTED = 60  # thumbnails, small multiples or classes of one answer

_log = logging.getLogger(__name__)
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


Handler: TypeAlias = Callable[[PageRequest], Awaitable[None]]


class StudioClient:
    """One page. It is used in one event loop."""

    def __init__(self, name: str, place: Workplace) -> None:
        self.name = name
        self.place = place
        self.outbox = Outbox()
        self.socket: object | None = None  # the socket that the page has now
        self._scheduler = Scheduler(self._submit, self)
        self._steps = exploration.begun(place.opening)
        self._moving: str | None = None  # the text of a gesture that has not ended
        self._seed: int | None = None
        self._serial = 0
        self._known: OrderedDict[str, int] = OrderedDict()  # keys of parts → the serials with which they were sent
        self._latest: OrderedDict[str, tuple[int, Outgoing]] = OrderedDict()  # by slot, as they were sent
        self._answer: Relation | None = None
        self._answered: AskedText | None = None
        self._predicted: scoring.KnownScores | None = None
        self._left_running = False
        self._ran: tuple[str, ...] = ()  # statements that were run for the latest question
        self._settings: dict[str, str | int] = {"tempo": "interactive"}  # at the head of the script
        self._batch_size: int | None = None  # that the script has said last
        self._mark: tuple[object, ...] = ()
        self._begun = False
        self._beside: dict[str, asyncio.Task[None]] = {}
        self._in_order: dict[str, Handler] = {
            "gesture": self._gesture,
            "text": self._text,
            "ask": self._ask,
            "undo": self._undo,
            "redo": self._redo,
            "goto": self._goto,
        }
        self._at_leisure: dict[str, Handler] = {
            "complete": self._complete,
            "predict": self._predict,
            "plan": self._plan,
            "thumbnails": self._thumbnails,
            "multiples": self._multiples,
            "classes": self._classes,
            "panel": self._panel,
            "export": self._export,
        }

    # What a page asks -------------------------------------------------------------------------------------------------

    async def hello(self, came: Hello) -> None:
        """A page comes, or comes back: send what it does not have."""
        resumed = self._begun and came.since > 0
        for key in [key for key, serial in self._known.items() if serial > came.since or not resumed]:
            del self._known[key]
        self.outbox.clear()
        welcome = {"type": "welcome", "client": self.name, "version": __version__, "resumed": resumed}
        self.outbox.put(welcome | _re(came))
        if not self._begun:
            self._begun = True
            self._open(came.url)
            await self.refresh_catalog()
            await self._show()
            return
        for slot in ("catalog", "document", "status", "answer", "scores", "map"):
            serial, message = self._latest.get(slot, (0, {}))
            if serial > came.since or (message and not resumed):
                self.outbox.put(message, slot)
        await self.refresh_catalog()
        if self._left_running:
            self._left_running = False
            await self._show()

    def leave(self) -> None:
        """The page is gone, perhaps for a moment: what runs for it is given up, and asked again when it comes back."""
        self._left_running = self._scheduler.state == "running"
        self._scheduler.cancel()
        for task in self._beside.values():
            task.cancel()
        self._beside.clear()

    def close(self) -> None:
        """The page will not come back."""
        self.leave()
        self._scheduler.close()
        self.outbox.clear()

    async def handle(self, asked: PageRequest) -> None:
        """Do what a page asks; whatever goes wrong is answered."""
        try:
            if asked.type == "ping":
                self.outbox.put({"type": "pong"} | _re(asked))
            elif asked.type == "cancel":
                self._scheduler.cancel()
            elif asked.type in self._in_order:
                await self._in_order[asked.type](asked)
            elif asked.type in self._at_leisure:
                self._begin(asked)
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
        self.outbox.put(problem(error, asked.id))

    def _begin(self, asked: PageRequest) -> None:
        """Answer beside what follows; a later request about the same takes the place of this one."""
        about = _about(asked)
        before = self._beside.pop(about, None)
        if before is not None:
            before.cancel()
        task = self._beside[about] = asyncio.create_task(self._answer_to(asked))
        task.add_done_callback(lambda ended: self._ended(asked, about, ended))

    async def _answer_to(self, asked: PageRequest) -> None:
        try:
            await self._at_leisure[asked.type](asked)
        except Exception as error:
            self._failed(asked, error)

    def _ended(self, asked: PageRequest, about: str, ended: asyncio.Task[None]) -> None:
        """A request has its answer, or was given up, perhaps before it was begun."""
        if self._beside.get(about) is ended:
            del self._beside[about]
        if ended.cancelled() and self.socket is not None:
            said = problem(IalgebraError("a later request took the place of this one"), asked.id)
            self.outbox.put(said | {"superseded": True})

    # The document -----------------------------------------------------------------------------------------------------

    def _open(self, url: str) -> None:
        """Begin with the query in the page's address, if there is one that can be read."""
        try:
            state = exploration.decoded(url)
        except IalgebraError as error:
            self.outbox.put(problem(error))
            return
        if state is not None:
            self._steps, self._seed = exploration.begun(state.text), state.seed

    async def _gesture(self, asked: PageRequest) -> None:
        gesture, text, catalog = asked.mapping("gesture"), self._steps.text, self.place.con.catalog()
        moving = asked.said.get("moving") is True
        if moving:
            gesture = await self.place.work(likely.on_lattice, gesture, text, catalog)
        change = await self.place.work(gestures.changed, gesture, text, catalog)
        if moving:
            self._moving = change.text
            await self._show(asked, moving=True, rests=gesture.get("do") in _RESTLESS)
            return
        await self._run(change.statements)
        self._take(change.text, change.statements, change.undo, str(gesture.get("do", "")))
        await self._show(asked, before=change.statements)

    def _take(self, text: str, statements: Sequence[str] = (), undo: Sequence[str] = (), label: str = "") -> None:
        self._moving = None
        self._steps = exploration.taken(self._steps, text, statements, undo, label)

    async def _text(self, asked: PageRequest) -> None:
        """The editor's text is only looked at."""
        text, catalog = asked.text("text"), self.place.con.catalog()
        found = await self._document(text, None, catalog)
        self.outbox.put(found | _re(asked))

    async def _ask(self, asked: PageRequest) -> None:
        text = asked.text("text", self._steps.text)
        if await self.place.work(_is_query, text):
            change = await self.place.work(_typed, text, self.place.con.catalog())
            await self._run(change.statements)
            self._take(change.text, change.statements, change.undo)
            await self._show(asked, before=change.statements)
            return
        document = await self._document(self._steps.text, self._scheduler.following, self.place.con.catalog())
        self.outbox.put(document | _re(asked))
        self._scheduler.ask(text, seed=self._seed)  # its text is the answer; the document stays

    async def _undo(self, asked: PageRequest) -> None:
        await self._go(asked, *exploration.undone(self._steps))

    async def _redo(self, asked: PageRequest) -> None:
        await self._go(asked, *exploration.redone(self._steps))

    async def _goto(self, asked: PageRequest) -> None:
        await self._go(asked, *exploration.gone(self._steps, asked.number("step", 0)))

    async def _go(self, asked: PageRequest, steps: exploration.Exploration, statements: Sequence[str]) -> None:
        await self._run(statements)
        self._steps, self._moving = steps, None
        await self._show(asked, before=statements)

    async def _run(self, statements: Sequence[str]) -> None:
        """Run statements that a query needs, such as CREATE WINDOW."""
        for statement in statements:
            try:
                async for _ in self._submit(statement, "map", self._seed).refinements():
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
        text, catalog = self._steps.text if self._moving is None else self._moving, self.place.con.catalog()
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
            self._put(document, "document")
        else:
            self.outbox.drop("document")
            self.outbox.put(document | _re(asked))
            self._keep(document, "document")
        if asks:
            self._scheduler.ask(text, moving=moving, seed=self._seed, rests=rests, anew=bool(before))

    async def _document(
        self, text: str, number: int | None, catalog: Catalog, *, moving: bool = False
    ) -> dict[str, object]:
        """What the page shows of a text: what the query says, and what is wrong with it."""
        query = await self.place.work(view.viewed, text, catalog)
        fault = await self.place.work(completion.problem, text, catalog) if text.strip() else None
        return {
            "type": "document",
            "text": text,
            **exploration.standing(self._steps),
            "query": query,
            "problem": None if fault is None else {"message": fault.message, "start": fault.start, "end": fault.end},
            "question": number,
            "moving": moving,
            "seed": self._seed,
        }

    # What a page asks beside ------------------------------------------------------------------------------------------

    async def _complete(self, asked: PageRequest) -> None:
        text, at = asked.text("text"), asked.number("at", 0)
        found = await self.place.work(completion.completed, text, at, self.place.con.catalog())
        options = [{"label": each.label, "kind": each.kind, "detail": each.detail} for each in found.options]
        self.outbox.put({"type": "completions", "from": found.start, "options": options} | _re(asked))

    async def _predict(self, asked: PageRequest) -> None:
        catalog, shown = self.place.con.catalog(), self._steps.text if self._moving is None else self._moving
        text: str | None = asked.text("text", "")
        own = not text  # of the document, and not of the page's own words
        if own:
            text = await self.place.work(scoring.prediction_text, shown, catalog)
        if text is None:
            raise IalgebraError("the query names no input whose classes could be told")
        wanted = asked.said.get("classes")
        running = self._submit(text, "scores", self._seed)
        try:
            async for answer in running.refinements():
                if not isinstance(answer, Scores):
                    raise IalgebraError("only PREDICT tells scores")
                classes = [each for each in wanted if isinstance(each, str)] if isinstance(wanted, list) else []
                self.outbox.put(scoring.scores_message(answer, classes) | _re(asked))
                if own:
                    self._predicted = await self.place.work(scoring.KnownScores.of, text, answer, catalog)
                return
        finally:
            running.cancel()

    async def _plan(self, asked: PageRequest) -> None:
        text = asked.text("text", self._steps.text)
        found = await self.place.work(self.place.con.sql, f"explain (format json) {text}")
        self.outbox.put(plan.planned(text, found.text) | _re(asked))

    async def _thumbnails(self, asked: PageRequest) -> None:
        first, past = _range(asked)
        catalog = self.place.con.catalog()
        said, rgb = await self.place.work(contents.thumbnails, catalog, asked.text("input"), first, past)
        self.outbox.put(AnswerFrame({"type": "thumbnails", **said} | _re(asked), (("rgb", rgb),)))

    async def _multiples(self, asked: PageRequest) -> None:
        first, past = _range(asked)
        if self._answer is None or self._answered is None:
            raise IalgebraError("there is no answer yet")
        catalog = self.place.con.catalog()
        made = await self.place.work(frames.multiples, self._answer, self._answered.number, catalog, first, past)
        self.outbox.put(AnswerFrame({**made.header} | _re(asked), made.arrays))

    async def _classes(self, asked: PageRequest) -> None:
        most = asked.number("most", _MOST_LISTED, 1000)
        catalog = self.place.con.catalog()
        found = await self.place.work(described.classes, catalog, asked.text("model"), asked.text("find", ""), most)
        self.outbox.put(found | _re(asked))

    async def _panel(self, asked: PageRequest) -> None:
        name = asked.text("panel")
        questions = panels.PanelQuestions(lambda text: self._submit(text, "panel", self._seed))
        page = panels.SeenPage(self.place.con, self._steps.text, self._answer, questions.ask)
        try:
            found = await self.place.work(panels.answered, name, page, asked.mapping("message"))
        finally:
            questions.end()
        head = {"type": "panel", "panel": name} | _re(asked)
        if isinstance(found, AnswerFrame):
            self.outbox.put(AnswerFrame(head | {"message": found.header}, found.arrays, found.parts))
        else:
            self.outbox.put(head | {"message": found})

    async def _export(self, asked: PageRequest) -> None:
        text = "" if self._answered is None else self._answered.text
        settings = self._settings if self._seed is None else {"seed": self._seed, **self._settings}
        given = asked.text("kind"), self.place.con, self._steps, settings, self._answer, text
        file = await self.place.work(sharing.shared, *given)
        self.outbox.put({"type": "exported", "name": file.name, "href": self.place.offer(file)} | _re(asked))

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
        self._put(found, "status")

    def _note(self, question: AskedText | None, answer: Relation | None = None) -> None:
        """Write a line of the script: what was run before a question, and the question itself if it is answered."""
        lines = list(self._ran)
        if question is not None and answer is not None and not question.moving:
            lines += [*self._sizes(answer), question.text]
        self._ran = ()
        self._steps = exploration.asked(self._steps, lines)

    def _sizes(self, answer: Relation) -> list[str]:
        """The statement that makes batches of the size of an answer's, on which the last bits of its rows depend; none
        where the script says so already."""
        passes = answer.provenance.get("passes")
        sizes = [each["batch_size"] for each in passes] if isinstance(passes, list) and len(answer) else []
        if not sizes or sizes[0] == self._batch_size:
            return []
        first, self._batch_size = self._batch_size is None, sizes[0]
        if first:
            self._settings["batch_size"] = sizes[0]
        return [] if first else [f"set batch_size = {sizes[0]}"]

    async def answered(self, question: AskedText, answer: Relation) -> None:
        """Send an answer to the page."""
        if answer.is_text:
            self._put({"type": "answer", "question": question.number, "text": answer.text}, "answer")
            await self.refresh_catalog()
            return
        catalog = self.place.con.catalog()
        made = await self.place.work(frames.map_frame, answer, question.number, catalog, question.text)
        if question is not self._scheduler.question:
            return
        self._answer, self._answered = answer, question
        self._put(made, "map")
        await self.refresh_catalog()  # the first pass of a model tells its layers and classes

    async def scored(self, question: AskedText, text: str, answer: Relation) -> None:
        """Send the class scores of a question's input."""
        if isinstance(answer, Scores):
            self._predicted = await self.place.work(scoring.KnownScores.of, text, answer, self.place.con.catalog())
            target = (view.viewed(question.text, self.place.con.catalog()) or {}).get("target")
            found = scoring.scores_message(answer, [target] if isinstance(target, str) else [])
            self._put(found | {"question": question.number}, "scores")

    async def likely(self, question: AskedText) -> Iterable[str]:
        """What may be asked next."""
        second = scoring.runner_up(None if self._predicted is None else self._predicted.scores)
        return await self.place.work(likely.next_questions, question.text, self.place.con.catalog(), second)

    async def scores_wanted(self, question: AskedText) -> scoring.WantedScores | None:
        """The statement that tells what the models predict for the question's input."""
        return await self.place.work(scoring.wanted, question.text, self.place.con.catalog(), self._predicted)

    async def refresh_catalog(self) -> None:
        """Send the catalog, if it has changed since it was sent."""
        catalog = self.place.con.catalog()
        mark = (*described.mark(catalog), *panels.PANELS)
        if mark != self._mark:
            self._mark = mark
            self._put(await self.place.work(self._catalog, catalog), "catalog")

    def _catalog(self, catalog: Catalog) -> Said:
        return {**described.described(catalog, panels.told(self.place.con)), **self.place.about}

    # What is sent -----------------------------------------------------------------------------------------------------

    async def next(self) -> list[str | bytes]:
        """What is to be sent now; waits for it. Parts that the page does not have come before what names them."""
        slot, message = await self.outbox.take()
        if not isinstance(message, AnswerFrame):
            self._serial += 1
            self._sent(slot, message)
            return [json_text({**message, "serial": self._serial})]
        sent: list[str | bytes] = []
        for part in message.parts:
            if part.key in self._known:
                continue
            self._serial += 1
            self._known[part.key] = self._serial
            while len(self._known) > _KNOWN_KEYS:
                self._known.popitem(last=False)
            sent.append(frame({**part.header, "key": part.key, "serial": self._serial}, part.arrays))
        self._serial += 1
        self._sent(slot, message)
        sent.append(frame({**message.header, "serial": self._serial}, message.arrays))
        return sent

    def _put(self, message: Outgoing, slot: str) -> None:
        """Send news, which take the place of older news in the slot, and are kept for a page that comes back."""
        self.outbox.put(message, slot)
        self._keep(message, slot)

    def _keep(self, message: Outgoing, slot: str) -> None:
        self._latest.pop(slot, None)
        self._latest[slot] = _NOT_SENT, message

    def _sent(self, slot: str | None, message: Outgoing) -> None:
        if slot is not None and self._latest[slot][1] is message:
            self._latest[slot] = self._serial, message


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


def _about(asked: PageRequest) -> str:
    """What a request is about: its type, and of a panel what that is to do."""
    message = asked.said.get("message")
    if asked.type != "panel" or not isinstance(message, Mapping):
        return asked.type
    return f"panel {asked.said.get('panel')} {message.get('do')}"


def _re(asked: PageRequest | Hello) -> dict[str, object]:
    return {} if asked.id is None else {"re": asked.id}


def _range(asked: PageRequest) -> tuple[int, int]:
    first = asked.number("from", 0)
    return first, min(asked.number("to", first + _MOST_LISTED), first + _MOST_LISTED)
