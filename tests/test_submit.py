"""What is submitted: answered in another thread as `sql` answers it, cancelled within a batch, the most urgent first.

Events say who is where; no test depends on how fast the machine is. Models compute with whole numbers, so that rows are
the same bits in every batch.
"""

from __future__ import annotations

import asyncio
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.errors import BindError, IalgebraError, IalgebraWarning, ModelError
from ialgebra.interpreters.shapley import Shapley
from ialgebra.models import turns
from ialgebra.session.submitted import Submitted
from tests.unread import Unread

PATIENCE = 60.0  # seconds after which a test fails that would wait for ever
PLAYERS = 8


class Net(nn.Module):
    """Whole numbers in and out, with effects of pairs of features; its passes can be met one by one."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randint(-9, 9, (PLAYERS, 5), generator=generator).double())
        self.last = nn.Parameter(torch.randint(-9, 9, (5, 3), generator=generator).double())
        self._rows, self._meet = Unread(0), Unread(lambda: None)

    def forward(self, batch: Tensor) -> Tensor:
        self._meet.value()
        self._rows.value += len(batch)
        return torch.relu(batch @ self.weight) @ self.last

    @property
    def rows(self) -> int:
        return self._rows.value

    def each_pass(self, met: Callable[[], object]) -> None:
        self._meet.value = met


class Gate:
    """Passes wait at it, one after the other, until they are let through."""

    def __init__(self) -> None:
        self._come, self._leave = threading.Semaphore(0), threading.Semaphore(0)
        self._open = False

    def __call__(self) -> None:
        self._come.release()
        if not self._open:
            assert self._leave.acquire(timeout=PATIENCE)

    def wait(self) -> None:
        """Until a pass has come."""
        assert self._come.acquire(timeout=PATIENCE)

    def let_through(self) -> None:
        self._leave.release()

    def open(self) -> None:
        self._open = True
        self._leave.release(1000)


def session(*nets: nn.Module, batch_size: int = 8) -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    generator = torch.Generator().manual_seed(3)
    for name in ("x", "y"):
        con.register_input(name, torch.randint(1, 9, (PLAYERS,), generator=generator).double())
    for name, net in zip("fgh", nets, strict=False):
        con.register_model(name, net, batch_size=batch_size, example=torch.zeros(PLAYERS).double())
        con.sql(f"select * from {name}(x) budget 2")
    return con


def bits(answer: ialgebra.Relation) -> list[tuple[bytes, bytes, object]]:
    return [(each.values.tobytes(), each.stderr.tobytes(), each.target) for each in answer]


@contextmanager
def at_a_gate(con: ialgebra.Session, net: Net, text: str, priority: int = 0) -> Iterator[tuple[Submitted, Gate]]:
    """A query that is in the midst of a pass."""
    gate = Gate()
    net.each_pass(gate)
    submitted = con.submit(text, priority)
    try:
        gate.wait()
        yield submitted, gate
    finally:
        gate.open()
        wait([submitted], PATIENCE)
    assert submitted.done()


def waits_for_a_model(count: int) -> None:
    while len(turns._waiting) < count:
        time.sleep(0)


ASKED = "select * from f(x, target => 0) budget 100"
LONG = "select * from f(x, target => 0) using exact()"


@pytest.mark.parametrize(
    "text", [ASKED, LONG, "select * from f(x) error within 5%", "show models", f"create view v as {ASKED}; {ASKED}"]
)
def test_what_is_submitted_is_what_sql_answers(text):
    alone = session(Net())
    answer, con = alone.sql(text), session(Net())
    submitted = con.submit(text)
    found = submitted.result(PATIENCE)
    assert bits(found) == bits(answer)
    assert len(answer) > 0 or found.text == answer.text
    assert found.stats.rows == answer.stats.rows
    assert submitted.done()
    assert not submitted.cancel()
    assert submitted.exception() is None
    assert [step.text for step in con.history] == [step.text for step in alone.history]
    assert len(answer) == 0 or submitted.progress.rows == answer.stats.rows


def test_rounds_of_a_bound_are_updates_and_the_last_is_the_result():
    text = "select * from f(x) error within 1%"
    rounds = [bits(each) for each in session(Net()).stream(text)]
    con, told = session(Net()), []
    submitted = con.submit(text)
    submitted.add_done_callback(told.append)
    seen = [bits(each) for each in submitted.updates(PATIENCE)]
    assert seen[-1] == bits(submitted.result()) == rounds[-1]
    assert [each for each in rounds if each in seen] == seen, "in order, each at most once"
    assert told == [submitted]


def test_a_reader_that_is_slow_gets_the_latest_only():
    con = session(Net())
    submitted = con.submit("select * from f(x) error within 1%")
    submitted.result(PATIENCE)
    assert [bits(each) for each in submitted.updates()] == [bits(submitted.result())]


def test_a_query_can_be_awaited_and_iterated_in_a_loop_of_events():
    con = session(Net())

    async def main() -> tuple[list[ialgebra.Relation], ialgebra.Relation, list[object]]:
        first = con.submit("select * from f(x) error within 1%")
        rounds = [each async for each in first.refinements()]
        both = await asyncio.gather(con.submit(ASKED), con.submit("select * from nothing(x)"), return_exceptions=True)
        return rounds, await first, both

    rounds, last, (answer, error) = asyncio.run(main())
    assert bits(rounds[-1]) == bits(last)
    assert bits(answer) == bits(session(Net()).sql(ASKED))
    assert isinstance(error, BindError)
    assert error.column == 15


def test_a_task_that_is_cancelled_cancels_its_query():
    net = Net()
    con = session(net)

    async def main(submitted: Submitted) -> None:
        async def wait_for_it() -> None:
            await submitted

        task = asyncio.create_task(wait_for_it())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with at_a_gate(con, net, LONG) as (submitted, _):
        asyncio.run(main(submitted))
    assert submitted.cancelled()


def test_a_cancelled_query_ends_before_its_next_batch_and_its_rows_are_kept():
    net = Net()
    con = session(net)
    before = net.rows
    with at_a_gate(con, net, LONG) as (submitted, gate):
        gate.let_through()
        gate.wait()
        assert submitted.running()
        assert not submitted.done()
        assert submitted.cancel()
    assert submitted.cancelled()
    with pytest.raises(CancelledError):
        submitted.result()
    with pytest.raises(CancelledError):
        list(submitted.updates())
    assert net.rows - before == 16, "two batches"
    step = con.history[-1]
    assert (step.error, step.interrupted) == ("cancelled", True)
    again = con.sql(LONG)
    assert again.stats.rows == 2**PLAYERS - again.stats.reused_rows
    assert again.stats.reused_rows >= 16
    assert bits(again) == bits(session(Net()).sql(LONG))


def test_a_cancelled_query_does_not_wait_for_its_model():
    net = Net()
    con = session(net)
    with at_a_gate(con, net, LONG):
        other = con.submit(ASKED)
        waits_for_a_model(1)
        assert other.cancel()
        with pytest.raises(CancelledError):
            other.result(PATIENCE)
    assert not turns._waiting


def test_a_cancelled_query_estimates_nothing(monkeypatch):
    con, reached = session(Net()), []
    submitted: list[Submitted] = []

    def cancelling(*_: object) -> None:
        submitted[0].cancel()

    monkeypatch.setattr("ialgebra.answering.loop.Estimates", lambda *_: reached.append(1))
    monkeypatch.setattr("ialgebra.execution.execution.ask", cancelling)
    with con._workers._lock:
        submitted.append(con.submit(ASKED))
    with pytest.raises(CancelledError):
        submitted[0].result(PATIENCE)
    assert not reached


def test_many_maps_are_estimated_a_few_at_a_time_so_that_a_cancel_ends_the_rest(monkeypatch):
    con, columns = session(Net()), []
    con.register_input("xs", torch.randint(1, 9, (40, PLAYERS), generator=torch.Generator().manual_seed(5)).double())
    submitted: list[Submitted] = []
    before = Shapley.estimate

    def counting(self, design, values):
        columns.append(values.shape[1])
        if len(columns) == 2:
            submitted[0].cancel()
        return before(self, design, values)

    monkeypatch.setattr(Shapley, "estimate", counting)
    monkeypatch.setattr("ialgebra.estimation.maps._SECONDS_A_STEP", 0.0)
    with con._workers._lock:
        submitted.append(con.submit("select * from f(xs, target => 0) budget 100"))
    with pytest.raises(CancelledError):
        submitted[0].result(PATIENCE)
    assert columns == [8, 8]


def test_a_query_gives_way_to_its_equals_only_after_a_while(monkeypatch):
    monkeypatch.setattr("ialgebra.execution.lanes.TURN_SECONDS", math.inf)
    net, order = Net(), []
    con = session(net)
    with at_a_gate(con, net, LONG) as (first, gate):
        second = con.submit("select * from f(y, target => 1) budget 60")
        second.add_done_callback(lambda _: order.append("second"))
        first.add_done_callback(lambda _: order.append("first"))
        waits_for_a_model(1)
        gate.open()
        wait([first, second], PATIENCE)
    assert order == ["first", "second"]


def test_of_one_priority_four_are_computed_at_a_time_and_what_has_not_begun_is_cancelled_at_once():
    net = Net()
    con = session(net)
    with at_a_gate(con, net, LONG):
        first = [con.submit(ASKED) for _ in range(3)]
        fifth, sixth, urgent = con.submit(ASKED), con.submit(ASKED), con.submit(ASKED, 1)
        assert [each.running() for each in (*first, fifth, sixth, urgent)] == [True] * 3 + [False] * 2 + [True]
        assert sixth.cancel()
        assert sixth.cancelled()
    answers = [bits(each.result(PATIENCE)) for each in (*first, fifth, urgent)]
    assert answers == [bits(session(Net()).sql(ASKED))] * 5
    assert sum(step.text == ASKED for step in con.history) == 5, "what never began is no step"


@pytest.mark.parametrize("priority", [-1, 0, 7])
@pytest.mark.parametrize("sessions", [1, 2])
def test_an_urgent_query_starts_at_the_next_batch_of_a_less_urgent_one(priority, sessions):
    net = Net()
    con = session(net)
    other = con if sessions == 1 else session(net)
    net.each_pass(lambda: None)
    order: list[str] = []
    with at_a_gate(con, net, LONG, priority) as (low, gate):
        high = other.submit("select * from f(y, target => 1) budget 60", priority + 1)
        high.add_done_callback(lambda _: order.append("high"))
        low.add_done_callback(lambda _: order.append("low"))
        waits_for_a_model(1)
        rows = net.rows
        net.each_pass(lambda: None)
        gate.open()
        high.result(PATIENCE)
        assert high.result().stats.rows <= 60
        assert net.rows - rows >= 8
    assert order == ["high", "low"]
    assert bits(low.result()) == bits(session(Net()).sql(LONG))


def test_models_that_share_nothing_do_not_wait_for_one_another_and_the_catalog_is_read_at_any_time():
    f, g = Net(), Net(1)
    con, other = session(f), session(Net(2), g)
    with at_a_gate(con, f, LONG) as (submitted, _):
        assert other.submit(LONG.replace("f(", "g(")).result(PATIENCE)
        assert con.submit("show models").result(PATIENCE).text
        assert con.names()["models"] == ["f"]
        assert con.submit("describe x").result(PATIENCE).text
        assert submitted.running()


@pytest.mark.parametrize("waiting", [False, True])
def test_a_stream_that_another_thread_closes_ends_before_its_next_batch(waiting):
    net = Net()
    con = session(net)
    stream = con.stream("select * from f(x, target => 0, players => features) error within 1%")
    if waiting:
        next(stream)
        rows = net.rows
        stream.close()
        assert list(stream) == []
        assert net.rows == rows
        assert con.history[-1].error is None
        return
    gate = Gate()
    net.each_pass(gate)
    with ThreadPoolExecutor(1) as pool:
        answer: Future[ialgebra.Relation] = pool.submit(next, stream)
        gate.wait()
        rows = net.rows
        stream.close()
        gate.open()
        with pytest.raises(IalgebraError, match="cancelled"):
            answer.result(PATIENCE)
    assert net.rows - rows == 8, "the batch in progress"
    assert con.history[-1].interrupted


class Asking(nn.Module):
    """Asks about another model in every pass, by what it is told."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net
        self._ask = Unread(lambda: None)

    def forward(self, batch: Tensor) -> Tensor:
        self._ask.value()
        answer: Tensor = self.net(batch)
        return answer


@pytest.mark.parametrize("how", ["sql", "submit"])
def test_a_model_may_ask_in_its_passes_and_what_it_asks_ends_with_it(how):
    inner, model = Net(5), Asking(Net())
    con = session(model, inner)
    other = session(Net(), inner)
    asked = "select * from g(y, target => 0) using exact()"

    def ask() -> None:
        if how == "sql":
            other.sql(asked)
        else:
            other.submit(asked).result(PATIENCE)

    model._ask.value = ask
    assert bits(con.submit(ASKED, 3).result(PATIENCE)) == bits(session(Net()).sql(ASKED))
    other = session(Net(), inner)
    gate = Gate()
    inner.each_pass(gate)
    submitted = con.submit(LONG.replace("(x", "(y"))
    gate.wait()
    assert submitted.cancel()
    rows = inner.rows
    gate.open()
    with pytest.raises(CancelledError):
        submitted.result(PATIENCE)
    assert inner.rows - rows == 8


def test_a_session_that_is_closed_cancels_what_it_was_asked():
    net = Net()
    con = session(net)
    gate = Gate()
    net.each_pass(gate)
    running = con.submit(LONG)
    gate.wait()
    waiting = [con.submit(ASKED) for _ in range(5)]
    with ThreadPoolExecutor(1) as pool:
        closed = pool.submit(con.close)
        while not running._answers.cancelled:
            pass
        assert not closed.done()
        gate.open()
        closed.result(PATIENCE)
    assert all(each.cancelled() for each in (running, *waiting))
    assert con.names()["models"] == []
    assert not con._workers._running


def test_an_error_of_a_model_is_that_of_sql_and_the_session_goes_on():
    net = Net()
    con = session(net)

    def fail() -> None:
        raise ValueError("no")

    net.each_pass(fail)
    with pytest.raises(ModelError, match="raised ValueError: no"):
        con.submit("select * from f(x, target => 0) budget 30").result(PATIENCE)
    net.each_pass(lambda: None)
    with pytest.raises(IalgebraError) as error:
        con.submit("show models;\nselect * from f(x, target => 99)").result(PATIENCE)
    assert error.value.line == 2
    assert con.submit(ASKED).result(PATIENCE)


def test_a_warning_names_the_line_that_submitted():
    con = session(Net())
    with pytest.warns(IalgebraWarning, match="more than the budget") as said:
        wait(submitted := [con.submit("select * from f(x, target => 1) budget 3")])
    (found,) = said
    assert submitted[0].warnings == (str(found.message),)
    assert found.filename == __file__
    assert "con.submit(" in Path(__file__).read_text().splitlines()[found.lineno - 1]


def test_a_reader_that_waits_too_long_is_told():
    net = Net()
    con = session(net)
    with at_a_gate(con, net, LONG) as (submitted, _), pytest.raises(TimeoutError, match=r"0\.01 seconds"):
        next(submitted.updates(0.01))


EXACT_TEXTS = (
    "select * from f(x, target => 0) budget 90",
    "select * from f(y) budget 60",
    "select * from f(x) error within 5%",
    "select * from f(x, target => 1) using exact()",
    "select * from f(x) anti join f(y) budget 120",
    "select * from g(x) budget 70",
    "select * from g(y, target => 2) where feature < 5",
)


def test_interleavings_of_asking_cancelling_and_priorities_change_no_bit():
    """Whatever is submitted, in whatever order and urgency, and whatever is cancelled: what is answered is answered as
    if it were asked alone, and of the rows that were evaluated none is evaluated again."""
    alone = {text: bits(session(Net(), Net(1)).sql(text)) for text in EXACT_TEXTS}
    rng = random.Random(0)
    for _ in range(8):
        nets = Net(), Net(1)
        con = session(*nets, batch_size=rng.choice([3, 8, 17]))
        turn = threading.Event()
        submitted: list[tuple[str, Submitted]] = []
        for net in nets:
            net.each_pass(lambda turn=turn: turn.wait(0.0005))  # lets other threads run
        for _ in range(10):
            text = rng.choice(EXACT_TEXTS)
            submitted.append((text, con.submit(text, rng.choice([-1, 0, 0, 1]))))
            if rng.random() < 0.4:
                rng.choice(submitted)[1].cancel()
            if rng.random() < 0.3:
                turn.wait(0.002)
        wait([each for _, each in submitted], PATIENCE)
        for text, each in submitted:
            if not each.cancelled():
                assert bits(each.result()) == alone[text]
        examined = 2 * 4 + 2 * 1  # rows alone and in company, and the row that probed the model
        evaluated = sum(net.rows for net in nets) - examined
        known = sum(len(table.rows) for table in con._store.tables.values())
        assert known >= 0.95 * evaluated, "what one query has evaluated, no other evaluates again"
