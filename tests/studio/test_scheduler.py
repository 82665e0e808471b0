"""Which question of a page is asked when: with a session that answers only what a test tells it to. No clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import CancelledError

import pytest

from ialgebra.answering.running import Standing
from ialgebra.apps.studio import scheduler
from ialgebra.apps.studio.scheduler import AskedText, Scheduler
from ialgebra.apps.studio.scoring import WantedScores
from ialgebra.errors import BindError, ModelError
from ialgebra.results.relation import Relation
from tests.relations import attribution, relation

MAP = relation(attribution([1.0, 2.0]))


class Played:
    """A question to the session, which a test answers."""

    def __init__(self, text: str, purpose: str) -> None:
        self.text, self.purpose, self.cancelled = text, purpose, False
        self.progress: Standing | None = None
        self.warnings: tuple[str, ...] = ()
        self._answers: asyncio.Queue[Relation | BaseException | None] = asyncio.Queue()

    def cancel(self) -> bool:
        if not self.cancelled:
            self.cancelled = True
            self._answers.put_nowait(CancelledError())
        return True

    def answer(self, answer: Relation | BaseException | None) -> None:
        self._answers.put_nowait(answer)

    async def refinements(self) -> AsyncIterator[Relation]:
        while (answer := await self._answers.get()) is not None:
            if isinstance(answer, BaseException):
                raise answer
            yield answer


class World:
    """A scheduler, what it asked, and what it told."""

    def __init__(self) -> None:
        self.asked: list[Played] = []
        self.told: list[tuple[str, int, str | None]] = []
        self.shown: list[int] = []
        self.scored_ones: list[int] = []
        self.predict: str | None = None
        self.known: Relation | None = None  # its answer, where it is known
        self.next: tuple[str, ...] = ()
        self.scheduler = Scheduler(self.submit, self)

    def submit(self, text: str, purpose: str, seed: int | None) -> Played:
        self.asked.append(Played(text, purpose))
        return self.asked[-1]

    def standing(self, question, state, standing, answer, message) -> None:
        self.told.append((state, question.number, message))

    async def answered(self, question: AskedText, answer: Relation) -> None:
        self.shown.append(question.number)

    async def scored(self, question: AskedText, text: str, answer: Relation) -> None:
        self.scored_ones.append(question.number)

    async def likely(self, question: AskedText) -> tuple[str, ...]:
        return self.next

    async def scores_wanted(self, question: AskedText) -> WantedScores | None:
        return None if self.predict is None else WantedScores(self.predict, self.known)

    @property
    def states(self) -> list[str]:
        return [state for state, _, _ in self.told]

    async def settle(self) -> None:
        """Let all that can happen without news happen."""
        for _ in range(30):
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def no_clock(monkeypatch) -> None:
    monkeypatch.setattr(scheduler, "_IDLE_AFTER", 0)
    monkeypatch.setattr(scheduler, "_TOLD_EVERY", 0)
    monkeypatch.setattr(scheduler, "_RESTED", 0)
    monkeypatch.setattr(scheduler, "_MOVED", 1e9)
    monkeypatch.setattr(scheduler, "_SCORES_AFTER", 1e9)


def played(test: Callable[[World], Awaitable[None]]) -> Callable[[], None]:
    """A test that runs in an event loop, with a world."""

    def run() -> None:
        async def whole() -> None:
            world = World()
            await test(world)
            world.scheduler.close()
            await world.settle()
            assert not world.scheduler._tasks

        asyncio.run(whole())

    run.__name__ = test.__name__
    return run


@played
async def test_a_question_runs_is_shown_and_is_done(world):
    assert world.scheduler.ask("a") == 1
    await world.settle()
    world.asked[0].answer(MAP)
    world.asked[0].answer(MAP)
    await world.settle()
    assert (world.shown, world.states) == ([1, 1], ["running"])
    world.asked[0].answer(None)
    await world.settle()
    assert world.states == ["running", "done"]


@played
async def test_the_latest_wins_and_the_first_is_cancelled(world):
    for text in ("a", "b", "c"):
        world.scheduler.ask(text)
        await world.settle()
    assert [each.cancelled for each in world.asked] == [True, True, False]
    for each in world.asked:
        each.answer(MAP)
        each.answer(None)
    await world.settle()
    assert world.shown == [3]
    assert world.told == [("running", 1, None), ("running", 2, None), ("running", 3, None), ("done", 3, None)]


@played
async def test_an_answer_that_comes_too_late_is_not_shown(world):
    world.scheduler.ask("a")
    await world.settle()
    world.asked[0].answer(MAP)
    world.scheduler.ask("b")
    await world.settle()
    assert world.shown == []


@played
async def test_while_something_moves_each_coarse_map_is_shown_and_only_the_latest_waits(world):
    for text in ("a", "b", "c", "d"):
        world.scheduler.ask(text, moving=True)
        await world.settle()
    assert [each.text for each in world.asked] == ["a"]
    world.asked[0].answer(MAP)
    await world.settle()
    assert world.shown == [1]
    assert world.asked[0].cancelled  # finer maps are for what stands still
    assert [each.text for each in world.asked] == ["a", "d"]
    world.asked[1].answer(MAP)
    await world.settle()
    assert world.shown == [1, 4]
    assert world.states[-1] == "done"


@played
async def test_the_end_of_a_movement_does_not_wait(world):
    world.scheduler.ask("a", moving=True)
    world.scheduler.ask("b", moving=True)
    world.scheduler.ask("c")
    await world.settle()
    assert [(each.text, each.cancelled) for each in world.asked][-1] == ("c", False)
    assert "b" not in [each.text for each in world.asked]
    world.asked[-1].answer(MAP)
    world.asked[-1].answer(None)
    await world.settle()
    assert world.shown == [3]


@played
async def test_the_end_of_a_movement_keeps_what_runs_for_the_same_text(world):
    scheduler._SCORES_AFTER, world.predict = 0, "predict f from x"
    world.scheduler.ask("a", moving=True, seed=5)
    await world.settle()
    assert world.scheduler.ask("a", seed=5) == 2
    await world.settle()
    assert [(each.text, each.cancelled) for each in world.asked] == [("a", False), ("predict f from x", False)]
    for _ in range(2):  # it goes on to finer maps
        world.asked[0].answer(MAP)
        await world.settle()
    world.asked[0].answer(None)
    await world.settle()
    assert world.shown == [2, 2]
    assert world.told == [("running", 1, None), ("running", 2, None), ("done", 2, None)]


@played
async def test_what_runs_for_a_movement_is_asked_anew_where_names_or_the_seed_differ(world):
    for differs in ({"anew": True}, {"seed": 3}):
        world.scheduler.ask("a", moving=True)
        await world.settle()
        world.scheduler.ask("a", **differs)
        await world.settle()
        assert [each.cancelled for each in world.asked[-2:]] == [True, False]


@played
async def test_a_map_that_comes_as_the_movement_ends_is_shown_as_that_of_the_end(world):
    shown, answered = asyncio.Event(), world.answered

    async def slowly(question: AskedText, answer: Relation) -> None:
        await answered(question, answer)
        await shown.wait()

    world.scheduler._listener.answered = slowly
    world.scheduler.ask("a", moving=True)
    await world.settle()
    world.asked[0].answer(MAP)
    await world.settle()
    world.scheduler.ask("a")
    shown.set()
    await world.settle()
    assert world.shown == [1, 2]
    assert not world.asked[0].cancelled


@played
async def test_a_hand_that_moves_on_is_asked_only_where_it_rests(world):
    for text in ("a", "b", "c"):
        world.scheduler.ask(text, moving=True, rests=True)
        await asyncio.sleep(0)
    assert world.asked == []
    await world.settle()
    assert [each.text for each in world.asked] == ["c"]
    assert world.scheduler.question == AskedText(3, "c", True, None)


@played
async def test_a_hand_that_moves_for_long_is_asked_on_its_way(world):
    scheduler._MOVED = 0
    world.scheduler.ask("a", moving=True, rests=True)
    await asyncio.sleep(0)
    world.scheduler.ask("b", moving=True, rests=True)
    await world.settle()
    assert [(each.text, each.cancelled) for each in world.asked] == [("a", False)]
    world.asked[0].answer(MAP)
    await world.settle()
    assert [each.text for each in world.asked] == ["a", "b"]


@played
async def test_the_end_of_a_movement_does_not_wait_for_rest(world):
    world.scheduler.ask("a", moving=True, rests=True)
    world.scheduler.ask("a")
    await world.settle()
    assert [each.text for each in world.asked] == ["a"]
    assert world.scheduler.question == AskedText(2, "a", False, None)


@played
async def test_cancel_ends_a_movement_that_has_not_rested(world):
    world.scheduler.ask("a", moving=True, rests=True)
    world.scheduler.cancel()
    await world.settle()
    assert (world.asked, world.states) == ([], ["running", "cancelled"])


@played
async def test_cancel_stops_what_runs_and_what_waits_and_says_so_once(world):
    world.scheduler.ask("a", moving=True)
    await world.settle()
    world.scheduler.ask("b", moving=True)
    world.scheduler.cancel()
    world.scheduler.cancel()
    await world.settle()
    assert world.asked[0].cancelled
    assert [each.text for each in world.asked] == ["a"]
    assert world.states == ["running", "cancelled"]
    assert world.scheduler.ask("c") == 3
    await world.settle()
    assert world.scheduler.state == "running"


@played
async def test_a_failure_is_told_and_the_next_question_runs(world):
    for fault, words in [
        (ModelError("model 'f' raised"), "model 'f' raised"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
        (MemoryError(), "MemoryError: "),
    ]:
        world.scheduler.ask("a")
        await world.settle()
        world.asked[-1].answer(fault)
        await world.settle()
        assert world.told[-1][0] == "error"
        assert world.told[-1][2] == words
    world.scheduler.ask("b")
    await world.settle()
    world.asked[-1].answer(MAP)
    world.asked[-1].answer(None)
    await world.settle()
    assert world.states[-1] == "done"


@played
async def test_a_question_that_the_session_refuses_is_an_error(world):
    def refuse(text: str, purpose: str, seed: int | None) -> Played:
        raise BindError("the session is closed")

    world.scheduler._submit = refuse
    world.scheduler.ask("a")
    await world.settle()
    assert world.told[-1] == ("error", 1, "the session is closed")


@played
async def test_what_was_warned_of_is_told_with_the_answer(world):
    world.scheduler.ask("a")
    await world.settle()
    world.asked[0].warnings = ("it is odd.", "it is random.")
    world.asked[0].answer(MAP)
    world.asked[0].answer(None)
    await world.settle()
    assert world.told[-1] == ("done", 1, "it is odd. it is random.")


@played
async def test_progress_is_told_while_it_changes(world):
    world.scheduler.ask("a")
    await world.settle()
    for rows in (10, 20):
        world.asked[0].progress = Standing(rows, 100, 0.5, None, None)
        await world.settle()
    world.asked[0].answer(None)
    await world.settle()
    assert world.states == ["running", "running", "running", "done"]


@played
async def test_scores_belong_to_their_question(world):
    scheduler._SCORES_AFTER = 0
    world.predict = "predict f from x"
    world.scheduler.ask("a")
    await world.settle()
    assert sorted((each.text, each.purpose) for each in world.asked) == [("a", "map"), ("predict f from x", "scores")]
    scores = next(each for each in world.asked if each.purpose == "scores")
    world.scheduler.ask("b")
    await world.settle()
    assert scores.cancelled
    later = [each for each in world.asked if each.purpose == "scores"][-1]
    later.answer(MAP)
    await world.settle()
    assert world.scored_ones == [2]


@played
async def test_known_scores_are_told_at_once_and_asked_of_nobody(world):
    world.predict, world.known = "predict f from x", MAP
    world.scheduler.ask("a")
    await world.settle()
    assert [each.purpose for each in world.asked] == ["map"]
    assert world.scored_ones == [1]


@played
async def test_scores_of_other_rows_come_after_the_first_map(world):
    world.predict = "predict f from x"
    world.scheduler.ask("a")
    await world.settle()
    assert [each.purpose for each in world.asked] == ["map"]
    world.asked[0].answer(MAP)
    await world.settle()
    assert [each.purpose for each in world.asked] == ["map", "scores"]


@pytest.mark.parametrize("ends", [None, ModelError("it raised")])
def test_scores_do_not_wait_for_a_map_that_does_not_come(ends) -> None:
    @played
    async def whole(world):
        world.predict = "predict f from x"
        world.scheduler.ask("a")
        await world.settle()
        world.asked[0].answer(ends)
        await world.settle()
        assert [each.purpose for each in world.asked] == ["map", "scores"]

    whole()


@played
async def test_scores_do_not_wait_long_for_a_map(world):
    scheduler._SCORES_AFTER = 0
    world.predict = "predict f from x"
    world.scheduler.ask("a")
    await world.settle()
    assert [each.purpose for each in world.asked] == ["map", "scores"]


@played
async def test_scores_that_fail_leave_the_question_alone(world):
    world.predict = "predict f from x"
    world.scheduler.ask("a")
    await world.settle()
    for each in world.asked:
        each.answer(BindError("no probabilities") if each.purpose == "scores" else MAP)
        each.answer(None)
    await world.settle()
    assert (world.states[-1], world.shown) == ("done", [1])


@played
async def test_likely_questions_are_asked_when_idle_coarsely_and_given_up_at_once(world):
    world.next = ("n1", "n2", "n3")
    world.scheduler.ask("a")
    await world.settle()
    world.asked[0].answer(MAP)
    world.asked[0].answer(None)
    await world.settle()
    assert [(each.text, each.purpose) for each in world.asked[1:]] == [("n1", "likely")]
    world.asked[1].answer(MAP)  # a coarse map is enough
    await world.settle()
    assert world.asked[1].cancelled
    assert world.asked[2].text == "n2"
    assert world.shown == [1]
    assert world.scheduler.state == "done"
    world.scheduler.ask("b")
    await world.settle()
    assert world.asked[2].cancelled
    assert [each.text for each in world.asked] == ["a", "n1", "n2", "b"]


@played
async def test_a_likely_question_that_fails_is_passed_over(world):
    world.next = ("n1", "n2")
    world.scheduler.ask("a")
    await world.settle()
    world.asked[0].answer(None)
    await world.settle()
    world.asked[1].answer(BindError("nonsense"))
    await world.settle()
    assert [each.text for each in world.asked] == ["a", "n1", "n2"]


@played
async def test_nothing_is_prefetched_after_a_movement_or_a_failure(world):
    world.next = ("n1",)
    world.scheduler.ask("a", moving=True)
    await world.settle()
    world.asked[0].answer(MAP)
    await world.settle()
    world.scheduler.ask("b")
    await world.settle()
    world.asked[1].answer(BindError("nonsense"))
    await world.settle()
    assert [each.text for each in world.asked] == ["a", "b"]


def test_close_stops_everything() -> None:
    async def whole() -> None:
        world = World()
        world.predict = "p"
        world.scheduler.ask("a")
        await world.settle()
        world.scheduler.close()
        await world.settle()
        assert all(each.cancelled for each in world.asked)
        assert world.states == ["running"]

    asyncio.run(whole())
