"""What a page asks beside its question: completions, class scores, plans, thumbnails, panels, files.

In: requests of a page. Out: their answers, whenever they are ready; a later request about the same takes the place of
an earlier one. May not know: the order of gestures, or how the document changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from ...errors import IalgebraError
from ...results.scores import Scores
from . import contents, described, frames, panels, plan, scoring, sharing
from .document import completion
from .frames import AnswerFrame
from .messages import PageRequest, problem
from .scheduler import Submit
from .sender import Sender
from .shown import ShownPage
from .workplace import Workplace

_MOST_LISTED = 60  # thumbnails, small multiples or classes of one answer

Handler: TypeAlias = Callable[[PageRequest], Awaitable[None]]


class Beside:
    """Answers beside the question of one page. It is used in one event loop.

    `submit` asks the session; `failed` answers that a request failed.
    """

    def __init__(
        self,
        place: Workplace,
        shown: ShownPage,
        sender: Sender,
        submit: Submit,
        failed: Callable[[PageRequest, Exception], None],
    ) -> None:
        self._place = place
        self._shown = shown
        self._sender = sender
        self._submit = submit
        self._failed = failed
        self._tasks: dict[str, asyncio.Task[None]] = {}  # by what they are about
        self._replaced: set[asyncio.Task[None]] = set()  # that are told so when they have ended
        self._handlers: dict[str, Handler] = {
            "complete": self._complete,
            "predict": self._predict,
            "plan": self._plan,
            "thumbnails": self._thumbnails,
            "multiples": self._multiples,
            "classes": self._classes,
            "panel": self._panel,
            "export": self._export,
        }

    def __contains__(self, name: str) -> bool:
        """Whether messages of this type are answered here."""
        return name in self._handlers

    def begin(self, asked: PageRequest) -> None:
        """Answer beside what follows; a later request about the same takes the place of this one."""
        about = _about(asked)
        before = self._tasks.pop(about, None)
        if before is not None:
            self._replaced.add(before)
            before.cancel()
        task = self._tasks[about] = asyncio.create_task(self._answer_to(asked))
        task.add_done_callback(lambda ended: self._ended(asked, about, ended))

    def cancel(self) -> None:
        """The page is gone: give up all answers."""
        tasks = tuple(self._tasks.values())
        self._tasks.clear()
        self._replaced.clear()
        for task in tasks:
            task.cancel()

    async def _answer_to(self, asked: PageRequest) -> None:
        try:
            await self._handlers[asked.type](asked)
        except Exception as error:
            self._failed(asked, error)

    def _ended(self, asked: PageRequest, about: str, ended: asyncio.Task[None]) -> None:
        """A request has its answer, or was given up, perhaps before it was begun."""
        if self._tasks.get(about) is ended:
            del self._tasks[about]
        replaced = ended in self._replaced
        self._replaced.discard(ended)
        if replaced and ended.cancelled():
            said = problem(IalgebraError("a later request took the place of this one"), asked.id)
            self._sender.put(said | {"superseded": True})

    async def _complete(self, asked: PageRequest) -> None:
        text, at = asked.text("text"), asked.number("at", 0)
        found = await self._place.work(completion.completed, text, at, self._place.con.catalog())
        options = [{"label": each.label, "kind": each.kind, "detail": each.detail} for each in found.options]
        self._sender.put({"type": "completions", "from": found.start, "options": options} | asked.re)

    async def _predict(self, asked: PageRequest) -> None:
        catalog = self._place.con.catalog()
        text: str | None = asked.text("text", "")
        own = not text  # of the document, and not of the page's own words
        if own:
            text = await self._place.work(scoring.prediction_text, self._shown.text, catalog)
        if text is None:
            raise IalgebraError("the query names no input whose classes could be told")
        wanted = asked.said.get("classes")
        running = self._submit(text, "scores", self._shown.seed)
        try:
            async for answer in running.refinements():
                if not isinstance(answer, Scores):
                    raise IalgebraError("only PREDICT tells scores")
                classes = [each for each in wanted if isinstance(each, str)] if isinstance(wanted, list) else []
                self._sender.put(scoring.scores_message(answer, classes) | asked.re)
                if own:
                    self._shown.predicted = await self._place.work(scoring.KnownScores.of, text, answer, catalog)
                return
        finally:
            running.cancel()

    async def _plan(self, asked: PageRequest) -> None:
        text = asked.text("text", self._shown.steps.text)
        found = await self._place.work(self._place.con.sql, f"explain (format json) {text}")
        self._sender.put(plan.planned(text, found.text) | asked.re)

    async def _thumbnails(self, asked: PageRequest) -> None:
        first, past = _range(asked)
        catalog = self._place.con.catalog()
        said, rgb = await self._place.work(contents.thumbnails, catalog, asked.text("input"), first, past)
        self._sender.put(AnswerFrame({"type": "thumbnails", **said} | asked.re, (("rgb", rgb),)))

    async def _multiples(self, asked: PageRequest) -> None:
        first, past = _range(asked)
        answer, question = self._shown.answer, self._shown.answered
        if answer is None or question is None:
            raise IalgebraError("there is no answer yet")
        catalog = self._place.con.catalog()
        made = await self._place.work(frames.multiples, answer, question.number, catalog, first, past)
        self._sender.put(AnswerFrame({**made.header} | asked.re, made.arrays))

    async def _classes(self, asked: PageRequest) -> None:
        most = asked.number("most", _MOST_LISTED, 1000)
        catalog = self._place.con.catalog()
        found = await self._place.work(described.classes, catalog, asked.text("model"), asked.text("find", ""), most)
        self._sender.put(found | asked.re)

    async def _panel(self, asked: PageRequest) -> None:
        name = asked.text("panel")
        questions = panels.PanelQuestions(lambda text: self._submit(text, "panel", self._shown.seed))
        page = panels.SeenPage(self._place.con, self._shown.steps.text, self._shown.answer, questions.ask)
        try:
            found = await self._place.work(panels.answered, name, page, asked.mapping("message"))
        finally:
            questions.end()
        head = {"type": "panel", "panel": name} | asked.re
        if isinstance(found, AnswerFrame):
            self._sender.put(AnswerFrame(head | {"message": found.header}, found.arrays, found.parts))
        else:
            self._sender.put(head | {"message": found})

    async def _export(self, asked: PageRequest) -> None:
        shown = self._shown
        text = "" if shown.answered is None else shown.answered.text
        settings = shown.settings if shown.seed is None else {"seed": shown.seed, **shown.settings}
        given = asked.text("kind"), self._place.con, shown.steps, settings, shown.answer, text
        file = await self._place.work(sharing.shared, *given)
        self._sender.put({"type": "exported", "name": file.name, "href": self._place.offer(file)} | asked.re)


def _about(asked: PageRequest) -> str:
    """What a request is about: its type, and of a panel what that is to do."""
    message = asked.said.get("message")
    if asked.type != "panel" or not isinstance(message, Mapping):
        return asked.type
    return f"panel {asked.said.get('panel')} {message.get('do')}"


def _range(asked: PageRequest) -> tuple[int, int]:
    first = asked.number("from", 0)
    return first, min(asked.number("to", first + _MOST_LISTED), first + _MOST_LISTED)
