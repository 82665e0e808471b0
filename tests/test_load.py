"""Load: many threads, many queries, many players, many inputs: bounded time and memory, and the same answers.

Seconds are those of the processor, and generous: what they are to catch grows with the square.
"""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

import ialgebra
from ialgebra import BindError, ModelError
from tests import oracle, worlds
from tests.faults import held_memory, in_child, same
from tests.oracle import Call
from tests.worlds import close


def net(features: int = 8) -> nn.Sequential:
    return nn.Sequential(nn.Linear(features, 8), nn.Tanh(), nn.Linear(8, 3)).double().eval()


def session(features: int = 8, **options: int) -> ialgebra.Session:
    torch.manual_seed(0)
    con = ialgebra.connect(progress=False, **options)
    con.register_model("f", net(features))
    con.register_input("x", torch.randn(features).double())
    con.register_input("y", torch.randn(features).double())
    return con


# --- threads


def test_eight_threads_answer_as_one():
    """They query, stream, register, drop, fit and explain at once; each has some names of its own."""
    queries = [
        "select * from f(x) budget 60",
        "select * from f(x) left join (select * from f(y)) budget 80",
        "select * from f(x) where feature < 5",
        "select * from f(y, target => 1) error within 30%",
    ]
    serial = session()
    wanted = [serial.sql(text) for text in queries]
    con = session(store_bytes=20_000)
    wrong: list[object] = []

    def work(number: int) -> None:
        try:
            own = torch.randn(8, generator=torch.Generator().manual_seed(number)).double()
            for turn in range(2):
                k = (number + turn) % len(queries)
                if not same(con.sql(queries[k]), wanted[k]):
                    wrong.append((number, queries[k]))
                con.register_input(f"x{number}", own + turn)
                con.register_window(f"w{number}", f"feature < {turn + 1}")
                (answer,) = con.sql(f"select * from f(x{number}, target => 0) where w{number} using exact()")
                if not np.array_equal(answer.content, (own + turn).numpy()) or answer.players.max() != turn:
                    wrong.append((number, answer))
                con.sql(f"create or replace view v{number} as select * from f(x{number})")
                *_, last = con.stream(f"select * from v{number} budget 100")
                if not np.array_equal(last[0].content, (own + turn).numpy()):
                    wrong.append((number, last))
                con.explain(queries[k])
                con.sql(f"drop view v{number}; drop window w{number}; show inputs")
                con.names()
                if number == 0:
                    con.register_model("f", serial._catalog.model("f").module)  # the same, anew
                if number == 1:
                    con.fit_heads("f", torch.randn(12, 8).double(), layers=[1])
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert con.names()["views"] == con.names()["windows"] == []


# --- streams


def test_a_stream_answers_what_was_asked_whatever_the_names_come_to_mean():
    wanted = list(session(12).stream("select * from f(x, target => 0) where feature > 1 budget 400"))
    assert len(wanted) > 1
    con = session(12)
    con.register_window("w", "feature > 1")
    found = []
    for answer in con.stream("select * from f(x, target => 0) where w budget 400"):
        found.append(answer)
        con.register_model("f", net(12))
        con.register_input("x", torch.randn(12).double())
        if len(found) == 1:
            con.sql("drop window w")
        con.sql("set baseline = 3")
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert same(one, other)
    con.close()


def test_a_model_that_is_trained_between_two_rounds_is_named():
    con = session(12)
    rounds = con.stream("select * from f(x, target => 0) budget 400")
    next(rounds)
    with torch.no_grad():
        con._catalog.model("f").module[0].weight[0, 0] += 1
    with pytest.raises(ModelError, match="model 'f' was changed between two rounds of a query; ask again"):
        list(rounds)
    (answer,) = con.sql("select * from f(x, target => 0) using exact()")
    world = oracle.World(
        {"f": oracle.Net(con._catalog.model("f").module)},
        {"x": con._catalog.input("x").elements[0].tensor},
        {},
        {None: oracle.features},
    )
    assert close(answer.map, world.maps(Call("f", "x", target=0))[0])


def test_a_stream_that_is_left_or_closed_under_leaves_nothing():
    con = session(12)
    for _ in con.stream("select * from f(x) budget 400"):
        break
    rounds = con.stream("select * from f(x) budget 400")
    next(rounds)
    con.close()
    assert list(rounds), "it goes on with what it was asked of"
    with pytest.raises(BindError):
        con.sql("select * from f(x)")


def test_a_registration_that_fails_leaves_what_was_there():
    """Also the tensors of its baseline and its players."""
    con = session()
    x, baseline = torch.randn(8).double(), torch.randn(8).double()
    con.register_input("z", x, baseline=baseline, players=torch.arange(8) // 2)
    before = con.sql("select * from f(z, target => 0) using exact()")
    zeros = torch.zeros(8)
    for baselines, players in ((zeros, "grid(2, 2)"), (torch.zeros(9), None), (zeros, torch.zeros(3))):
        with pytest.raises(ialgebra.IalgebraError):
            con.register_input("z", torch.zeros(8), baseline=baselines, players=players)
        assert same(con.sql("select * from f(z, target => 0) using exact()"), before)


# --- processes


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_answers_as_its_parent():
    con = session(12)
    wanted = con.sql("select * from f(x) budget 200")

    def task() -> None:
        assert same(con.sql("select * from f(x) budget 200"), wanted)
        assert con.sql("select * from f(y) budget 200").stats.rows > 0

    assert in_child(task) == 0
    assert same(con.sql("select * from f(x) budget 200"), wanted)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a file struck as it was opened
def test_ctrl_c_in_the_middle_of_a_query_leaves_it_to_be_asked_again(request):
    """The signal itself, from outside, at moments that nobody chose."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background ignores it
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    con, wanted = session(12), session(12).sql("select * from f(x) error within 1%")
    rng, struck = np.random.default_rng(0), 0
    for _ in range(15):
        con.register_input("x", con._catalog.input("y").elements[0].tensor + len(con.names()))
        timer = threading.Timer(rng.uniform(0, 0.05), os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            con.sql("select * from f(x) error within 1%", seed=int(rng.integers(100)))
            time.sleep(10)  # which the signal ends, where the query was faster
        except KeyboardInterrupt:
            struck += 1
    assert struck == 15
    con.register_input("x", session(12)._catalog.input("x").elements[0].tensor)
    assert same(con.sql("select * from f(x) error within 1%"), wanted)


# --- queries in a row


def many(con: ialgebra.Session, count: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(count):
        call = f"f(x, target => {number % 3}, baseline => {rng.random():.6f})"
        con.sql(f"select * from {call} where feature < {4 + number % 5} budget 24")
        if number % 50 == 0:
            con.register_input("x", torch.randn(8).double())


def test_many_queries_take_no_memory():
    con = session(store_bytes=200_000)
    many(con, 60)
    with held_memory(5):
        many(con, 250)
    assert sum(table.nbytes for table in con._store.tables.values()) <= 200_000


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ten_thousand_queries_take_no_memory():
    con = session(store_bytes=4 << 20)
    many(con, 1000)
    with held_memory(20):
        many(con, 10_000)


# --- large games


def test_four_hundred_players():
    con = session(400)
    started = time.process_time()
    with held_memory():
        (answer,) = con.sql("select * from f(x, target => 0)")
    assert time.process_time() - started < 60
    assert len(answer.values) == 400
    assert answer.values.sum() == pytest.approx(answer.full_value - answer.base_value, rel=1e-6)
    assert 0 < answer.relative_error < 1


# --- large collections


def collection(count: int) -> ialgebra.Session:
    con = session()
    con.register_input("xs", torch.randn(count, 8).double())
    con.register_input("ys", torch.randn(count, 8).double())
    return con


def seconds(function, *arguments: object) -> float:
    started = time.process_time()
    function(*arguments)
    return time.process_time() - started


@pytest.mark.parametrize("join", ["", " join (select * from f(ys))"])
def test_a_collection_takes_time_in_proportion_to_its_length(join):
    text = f"select * from f(xs){join} budget 16"
    few, many_ = collection(40), collection(320)
    few.sql("select * from f(x)")
    many_.sql("select * from f(x)")
    for ask in ("explain", "sql"):
        one = min(seconds(getattr(few, ask), text) for _ in range(2))
        assert seconds(getattr(many_, ask), text) < 3 * 8 * max(one, 0.02)


def test_each_map_of_a_collection_is_that_of_its_element():
    con = collection(100)
    found = con.sql("select * from f(xs, target => 1) using exact()")
    world = oracle.World({"f": oracle.Net(con._catalog.model("f").module)}, {}, {}, {None: oracle.features})
    for index in (0, 50, 99):
        world.inputs["z"] = con._catalog.input("xs").elements[index].tensor
        assert close(found[index].map, world.maps(Call("f", "z", target=1))[0])


def test_rows_that_are_listed_a_few_at_a_time_are_the_same(monkeypatch):
    wanted = collection(20).sql("select * from f(xs) left join (select * from f(y)) budget 40")
    monkeypatch.setattr("ialgebra.execution.batches.ROWS_LISTED", 50)
    monkeypatch.setattr("ialgebra.execution.coalitions.ROWS_LISTED", 50)
    found = collection(20).sql("select * from f(xs) left join (select * from f(y)) budget 40")
    assert same(found, wanted)
    assert found.stats.rows == wanted.stats.rows


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_thousand_inputs():
    con = session(20)
    with held_memory(50):
        con.register_input("xs", torch.randn(10_000, 20).double())
        assert seconds(con.explain, "select * from f(xs) budget 64") < 300
    with held_memory(400):  # the answer, and what the store keeps
        found = con.sql("select * from f(xs) budget 64")
    assert len(found) == 10_000
    assert all(len(a.values) == 20 for a in found)
    del found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_antijoin_of_collections_is_explained():
    con = collection(200)
    assert seconds(con.explain, "select * from f(xs) left join (select * from f(ys)) budget 16") < 240


def test_a_long_text_is_drawn_where_it_matters():
    con = session()
    con.register_model("t", nn.Sequential(nn.Embedding(50, 4), nn.Flatten(), nn.Linear(8000, 2)).eval())
    con.register_input("text", torch.randint(0, 50, (2000,)))
    answer = con.sql("select * from t(text, target => 0) budget 20")
    assert seconds(answer._repr_html_) < 60
    drawn = {text.get_text() for text in answer.plot().axes[0].texts}
    assert "…" in drawn
    largest = int(np.abs(answer[0].values).argmax())
    assert str(answer[0].content[largest]) in drawn
    short = worlds.case("tokens").con.sql("select * from f(x)")
    assert len(short.plot().axes[0].texts) >= 5
