"""A child that is forked while other threads are in queries answers its first query, and finds the models as their
owner left them. Other threads stand where the tests stop them: inside a pass, inside each lock, inside a frame.
"""

from __future__ import annotations

import ast
import os
import random
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.algebra.interning import _Interning
from ialgebra.kernels import forward
from ialgebra.models import identity, network, scalar, turns
from ialgebra.system import forking

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="takes a system that forks")
LIMIT = 60.0  # seconds after which a child that does not answer is ended


class Net(nn.Module):
    """A linear model with dropout. Where it is told to, it stops inside a pass."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU(inplace=True)
        self.linear = nn.Linear(3, 2, bias=False)
        self.linear.weight.data = torch.tensor([[1.0, 2.0, 4.0], [1.0, 1.0, 1.0]])
        self.drop = nn.Dropout(0.5)
        self.stops: list[Callable[[], None]] = []

    def forward(self, batch: Tensor) -> Tensor:
        for stop in self.stops:
            stop()
        out: Tensor = self.drop(self.linear(self.act(batch)))
        return out


@pytest.fixture
def net() -> Net:
    return Net().train()


@pytest.fixture
def con(net: Net) -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", net)
    con.register_input("x", torch.ones(3))
    con.register_input("y", torch.tensor([1.0, 1.0, 0.5]))
    return con


def in_child(act: Callable[[], None]) -> int:
    """Run `act` in a forked child; returns its exit status, 0 where it raised nothing and came to its end in time."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            act()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    latest = time.monotonic() + LIMIT
    while time.monotonic() < latest:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    raise AssertionError("the child does not answer")


@pytest.fixture
def elsewhere() -> Iterator[Callable[[Callable[[Callable[[], None]], object]], None]]:
    """Runs something in a thread until it calls what it is given; there it stops until the test ends."""
    threads: list[threading.Thread] = []
    go_on = threading.Event()

    def begin(act: Callable[[Callable[[], None]], object]) -> None:
        reached = threading.Event()

        def stop() -> None:
            if threading.current_thread() is thread:
                reached.set()
                assert go_on.wait(LIMIT)

        thread = threading.Thread(target=lambda: act(stop))
        threads.append(thread)
        thread.start()
        assert reached.wait(LIMIT)

    yield begin
    go_on.set()
    for each in threads:
        each.join()


def answers(con: ialgebra.Session, net: Net) -> Callable[[], None]:
    """The first query of a child; the model is as its owner left it, before and after."""

    def ask() -> None:
        for _ in range(2):
            assert all(module.training for module in net.modules())
            assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
            assert all(each.requires_grad and each.grad is None for each in net.parameters())
            assert net.act.inplace
            assert con.sql("select * from f(y, target => 0)")[0].values.tolist() == pytest.approx([1.0, 2.0, 2.0])
        assert torch.get_num_threads() == 1
        other = ialgebra.connect(progress=False)
        other.register_model("g", net)
        other.register_input("x", torch.ones(3))
        other.sql("create window w as feature < 1")
        assert other.sql("select * from g(x, target => 1) where w")[0].map.tolist() == pytest.approx([1.0, 0.0, 0.0])
        again: list[ialgebra.Relation] = []
        thread = threading.Thread(target=lambda: again.append(con.sql("select * from f(y, target => 1)")))
        thread.start()
        thread.join()
        assert again[0][0].values.tolist() == pytest.approx([1.0, 1.0, 0.5])
        assert len(con.history) >= 5

    return ask


def test_a_child_answers_while_another_thread_is_inside_a_pass(con, net, elsewhere):
    def query(stop: Callable[[], None]) -> None:
        net.stops.append(stop)
        con.sql("select * from f(x, target => 0)")

    elsewhere(query)
    assert not net.training
    torch.set_num_threads(2)  # a child has no second thread
    try:
        assert in_child(answers(con, net)) == 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert not net.training, "in the parent the pass goes on"


def test_a_child_answers_while_another_thread_registers_fits_streams_or_asks_an_interpreter(con, net, elsewhere):
    def register(stop: Callable[[], None]) -> None:
        other = Net()
        other.stops.append(stop)
        con.register_model("other", other, example=torch.ones(3))

    def view(stop: Callable[[], None]) -> None:  # the session's lock is held while a view is bound
        other = Net()
        other.stops.append(stop)
        con.register_model("another", other)
        con.sql("create view v as select * from another(x)")

    def fit(stop: Callable[[], None]) -> None:
        net.stops.append(stop)
        con.fit_heads("f", torch.rand(20, 3))

    for act in (register, view, fit):
        elsewhere(act)
        assert in_child(answers(con, net)) == 0


LOCKS: dict[str, Callable[[ialgebra.Session], AbstractContextManager[object]]] = {
    "session": lambda con: con._lock,
    "history": lambda con: con.history._lock,
    "store": lambda con: con._store.lock,
    "edited inputs": lambda con: con._catalog.kept._lock,
    "nodes": lambda con: _Interning._lock,
    "identity": lambda con: identity._lock,
    "profiles": lambda con: network._profiles,
    "generators": lambda con: scalar._generators,
    "turns": lambda con: turns._changed,
    "stances": lambda con: forward._stance_left,
    "fused path": lambda con: forward._fused_changed,
    "cached properties": lambda con: getattr(cached_property(len), "lock", threading.Lock()),
}


def test_a_child_answers_whatever_locks_others_hold(con, net, elsewhere):
    con.sql("select * from f(x, target => 0)")

    def hold(stop: Callable[[], None]) -> None:
        with ExitStack() as held:
            for lock in LOCKS.values():
                held.enter_context(lock(con))
            stop()

    elsewhere(hold)
    assert in_child(answers(con, net)) == 0


def test_a_child_finds_frames_of_other_threads_ended(con, net, elsewhere):
    con.sql("select * from f(x, target => 0)")
    before = (torch.get_rng_state(), np.random.get_state()[1], random.getstate())
    fused = torch.backends.mha.get_fastpath_enabled()

    def frames(stop: Callable[[], None]) -> None:
        with (
            turns.turn(net, priority=3),
            scalar.asking(con._catalog.model("f"), 1),
            forward.hooked([net.linear], lambda *given: None),
            forward.stance("force_eager"),
        ):
            stop()

    elsewhere(frames)
    assert torch.initial_seed() == 1

    def check() -> None:
        assert torch.equal(torch.get_rng_state(), before[0])
        assert (np.random.get_state()[1] == before[1]).all()
        assert random.getstate() == before[2]
        assert torch.backends.mha.get_fastpath_enabled() == fused
        assert not forward._stances
        answers(con, net)()

    assert in_child(check) == 0


def test_cached_properties_that_others_compute_are_computed_by_a_child(con, net, elsewhere):
    class Slow:
        stop: Callable[[], None] | None = None

        @cached_property
        def value(self) -> int:
            if self.stop is not None:
                self.stop()
            return 3

    def compute(stop: Callable[[], None]) -> None:
        slow = Slow()
        slow.stop = stop
        assert slow.value == 3

    def read() -> None:
        answers(con, net)()
        assert Slow().value == 3

    elsewhere(compute)
    assert in_child(read) == 0


def test_a_thread_that_forks_inside_its_own_query_goes_on_in_both(con, net):
    statuses: list[int] = []

    def fork() -> None:
        net.stops.clear()
        assert not net.training
        statuses.append(in_child(lambda: None))
        assert not net.training

    net.stops.append(fork)
    assert con.sql("select * from f(x, target => 0)")[0].values.tolist() == pytest.approx([1.0, 2.0, 4.0])
    assert statuses == [0]
    assert net.training


def test_every_lock_of_the_package_is_free_in_a_child():
    root = Path(ialgebra.__file__).parent
    made = set()
    for path in root.rglob("*.py"):
        calls = [each for each in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(each, ast.Call)]
        asked = {id(call.args[0]) for call in calls if ast.unparse(call.func) == "type"}  # type(threading.Lock())
        for call in calls:
            name = ast.unparse(call.func).removeprefix("threading.")
            if id(call) not in asked and (name in ("Lock", "RLock") or (name == "Condition" and not call.args)):
                made.add(path.relative_to(root).as_posix())
    assert made == {"system/forking.py"}, "make locks with forking.lock()"
    assert len(forking._frames) == 0
