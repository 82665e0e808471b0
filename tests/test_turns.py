"""Threads: whoever runs a model has it for itself, nobody else waits, and no answer depends on who ran beside it.

Events say who is where; no test depends on how fast the machine is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.answering import running
from ialgebra.errors import ModelError
from ialgebra.execution import lanes
from ialgebra.execution.execution import Executor
from ialgebra.execution.lanes import local
from ialgebra.kernels import forward
from ialgebra.models import Head, turns
from ialgebra.models.turns import turn, wanted
from tests.test_lanes import told
from tests.unread import Unread

PATIENCE = 60.0  # seconds after which a test fails that would wait for ever


class Blocking(nn.Module):
    """While it is armed, a pass of it says that it has begun, and waits for leave to go on."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self._armed, self._begun, self._leave = Unread(False), threading.Event(), threading.Event()

    def forward(self, batch: Tensor) -> Tensor:
        if self._armed.value:
            self._begun.set()
            assert self._leave.wait(PATIENCE)
        return self.net(batch)


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    parts = nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(64, 3)
    return nn.Sequential(*parts).double().train()


def session(**models: nn.Module) -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    generator = torch.Generator().manual_seed(0)
    for name in ("x", "y"):
        con.register_input(name, torch.randn(2, 4, 4, generator=generator).double())
    for name, model in models.items():
        con.register_model(name, model, batch_size=8, example=torch.zeros(2, 4, 4).double())
    return con


def with_head(con: ialgebra.Session, name: str, seed: int = 0) -> ialgebra.Session:
    network = con._catalog.model(name)
    layer = network.layers[network.layer_index("0") - 1]
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(3, layer.features, generator=generator).double()
    network.attach({layer.name: Head(weight, torch.zeros(3).double(), layer.pool)})
    return con


@contextmanager
def blocked(con: ialgebra.Session, model: Blocking, text: str) -> Iterator[Future[ialgebra.Relation]]:
    """A frame in which a query is in the midst of a pass."""
    with ThreadPoolExecutor(1) as pool:
        model._armed.value = True
        try:
            answer = pool.submit(con.sql, text)
            assert model._begun.wait(PATIENCE)
            yield answer
            assert not answer.done()
        finally:
            model._armed.value = False
            model._leave.set()
        assert len(answer.result(PATIENCE)) == 1


def meanwhile(*calls: Callable[[], object]) -> list[object]:
    """What the calls answer in another thread, while this one's caller is blocked."""
    with ThreadPoolExecutor(1) as pool:
        return [pool.submit(call).result(PATIENCE) for call in calls]


TEXTS = ["select * from {}(x) budget 40", "select * from {}(x, target => 1) left join (select * from {}(y)) budget 40"]


@pytest.mark.parametrize("text", ["select * from f(x, target => 0) budget 40", "select 1 from f(x, target => 0)"])
def test_nothing_but_its_own_model_waits_for_a_query(text):
    """Names, SHOW, DESCRIBE, EXPLAIN, registrations, settings and queries of other models answer during a pass."""
    model = Blocking(net())
    con, other = session(f=model, g=net(1)), session(g=net(1))
    network = con._catalog.model("f")
    layer = network.layers[0]
    network.attach({layer.name: Head(torch.randn(3, layer.features).double(), torch.zeros(3).double(), layer.pool)})
    with blocked(con, model, text):
        names, models, f, x, plan, _, one, two, history = meanwhile(
            con.names,
            partial(con.sql, "show models"),
            partial(con.sql, "describe f"),
            partial(con.sql, "describe x"),
            partial(con.explain, "select * from f(x, target => 0)"),
            partial(con.register_input, "z", torch.randn(2, 4, 4).double()),
            partial(con.sql, "set budget = 30; create window w as row < 2; select * from g(z) where w"),
            partial(other.sql, "select * from g(x) budget 40"),
            partial(con.sql, "show history"),
        )
    assert names["models"] == ["f", "g"]
    assert len(models.text.splitlines()) == 2
    assert f.text
    assert x.text
    assert "f" in plan
    assert len(one) == len(two) == 1
    assert "set budget" in history.text
    steps = [step.text for step in con.history]
    assert steps.index("show models") < steps.index(text), "a step is listed when it ends"
    assert [step.number for step in con.history] == list(range(len(con.history)))


def test_a_query_is_over_what_names_meant_when_it_began():
    model = Blocking(net())
    con = session(f=model)
    wanted_map = session(f=net()).sql(TEXTS[0].format("f"))
    with blocked(con, model, TEXTS[0].format("f")) as answer:
        meanwhile(
            partial(con.register_model, "f", net(5)), partial(con.register_input, "x", torch.zeros(2, 4, 4).double())
        )
    assert told(answer.result()) == told(wanted_map)


def at_once(*calls: Callable[[], object]) -> list[object]:
    """The calls' answers, which begin together."""
    start = threading.Barrier(len(calls))

    def begin(call: Callable[[], object]) -> object:
        start.wait(PATIENCE)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result(PATIENCE) for each in [pool.submit(begin, call) for call in calls]]


@pytest.fixture
def short_turns(monkeypatch):
    """Queries give way between any two batches."""
    monkeypatch.setattr(lanes, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(lanes, "TURN_WORTH", 0.0)


def as_it_was(model: nn.Module) -> bool:
    return all(
        part.training == model.training and not part._forward_hooks and not part._forward_pre_hooks
        for part in model.modules()
    ) and all(parameter.requires_grad for parameter in model.parameters())


def alike(found: ialgebra.Relation, wanted_answer: ialgebra.Relation) -> bool:
    """Whether answers are equal but for rounding: other threads' rows were run in other batches."""
    return all(
        a.target == b.target and np.allclose(a.values, b.values, rtol=0, atol=1e-8)
        for a, b in zip(found, wanted_answer, strict=True)
    )


@pytest.mark.parametrize("sessions", [1, 2])
@pytest.mark.parametrize("shared", ["model", "backbone", "closure"])
def test_threads_on_one_model_take_turns_between_batches_and_answer_as_alone(short_turns, sessions, shared):
    """The parts that two models share are in one thread's frame at a time: dropout stays off, taps see their own."""
    texts = [
        "select * from {}(x) budget 120",
        "select 1, * from {}(y) budget 120",
        "select * from {}(x) left join (select * from {}(y)) budget 100",
        "select * from {}(y, players => tile(2)) using exact()",
    ]

    def made() -> tuple[dict[str, object], nn.Module]:
        body = net().train(shared != "closure")  # a callable is not set to eval mode
        others = {
            "model": lambda: body,
            "backbone": lambda: nn.Sequential(*body, nn.Identity()),
            "closure": lambda: lambda batch: body(batch),
        }
        return {"f": body, "g": others[shared]()}, body

    def opened() -> tuple[list[ialgebra.Session], nn.Module]:
        models, body = made()
        found = []
        for _ in range(sessions):
            con = session(**models)
            with_head(con, "f")
            if shared != "closure":
                with_head(con, "g")
            found.append(con)
        return found, body

    asked = [text.replace("{}", "fg"[k % 2]) for k, text in enumerate(texts)]
    asked = [text if shared != "closure" else text.replace("select 1, *", "select *") for text in asked]
    (alone, *_), _ = opened()
    wanted_answers = [alone.sql(text) for text in asked]
    cons, body = opened()
    found = at_once(*(partial(cons[k % sessions].sql, text) for k, text in enumerate(asked * 2)))
    assert all(map(alike, found, wanted_answers * 2))
    assert as_it_was(body)
    assert torch.backends.mha.get_fastpath_enabled()


class Counting(nn.Module):
    """Counts its passes in a buffer, as running statistics do."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.net = net()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, batch: Tensor) -> Tensor:
        self.calls += 1
        answer: Tensor = self.net(batch)
        return answer


def test_a_buffer_that_passes_write_to_is_no_change_for_those_who_share_the_model(short_turns):
    text = "select * from f(x, players => tile(1), target => 0) error within 5%"
    wanted_answer = session(f=Counting()).sql(text)
    model = Counting()
    con = session(f=model)
    con.sql("select * from f(x, target => 0) budget 2")
    found = at_once(
        *(partial(con.sql, text, strategy=replace(ialgebra.Strategy.BEST, reuse=False, batch_size=8)) for _ in range(4))
    )
    assert all(alike(each, wanted_answer) for each in found)
    assert model.calls > 4


def test_a_buffer_that_somebody_else_writes_to_during_a_turn_is_a_change(short_turns):
    model = Blocking(Counting())
    con = session(f=model)

    def written() -> None:
        with turns.turn(model):
            model.net.calls += 1

    with ThreadPoolExecutor(2) as pool:
        model._armed.value = True
        answer = pool.submit(con.sql, "select * from f(x, target => 0) budget 100")
        assert model._begun.wait(PATIENCE)
        writing = pool.submit(written)
        while not turns._waiting:
            pass
        model._leave.set()
        with pytest.raises(ModelError, match="changed while a query ran it"):
            answer.result(PATIENCE)
        writing.result(PATIENCE)


def test_a_model_that_is_another_after_a_turn_fails_its_query(short_turns):
    model = Blocking(net())
    con = session(f=model)
    layer = con._catalog.model("f").layers[0]
    head = Head(torch.randn(3, layer.features).double(), torch.zeros(3).double(), layer.pool)
    con._catalog.model("f").attach({layer.name: head})
    with ThreadPoolExecutor(2) as pool:
        model._armed.value = True
        answer = pool.submit(con.sql, "select 1 from f(x, target => 0) budget 100")
        assert model._begun.wait(PATIENCE)
        attached = pool.submit(
            con._catalog.model("f").attach, {layer.name: Head(head.weight * 2, head.bias, layer.pool)}
        )
        while not turns._waiting:
            pass
        model._leave.set()
        with pytest.raises(ModelError, match="changed while a query ran it"):
            answer.result(PATIENCE)
        attached.result(PATIENCE)
    assert con.sql("select 1 from f(x, target => 0) budget 100")[0].values.any()


def test_no_row_is_kept_for_heads_that_were_changed_before_the_query_had_its_model(monkeypatch):
    con = with_head(session(f=net()), "f")
    text = "select 1 from f(x, target => 0) budget 40"

    @contextmanager
    def late(networks):
        with_head(con, "f", 1)
        with local(networks) as lane:
            yield lane

    with monkeypatch.context() as patched:
        patched.setattr(running, "Executor", partial(Executor, lane=late))
        con.sql(text)
    wanted_map = with_head(session(f=net()), "f").sql(text)
    with_head(con, "f")
    assert alike(con.sql(text), wanted_map)


def test_nothing_waits_for_a_registration_that_waits_for_its_model():
    model = Blocking(net())
    con = session(f=model)
    with ThreadPoolExecutor(1) as pool:
        with blocked(con, model, TEXTS[0].format("f")):
            example = torch.zeros(2, 4, 4).double()
            registered = pool.submit(con.register_model, "again", model, example=example)
            while not turns._waiting:
                pass
            other = torch.randn(2, 4, 4).double()
            meanwhile(partial(con.register_input, "z", other), partial(con.sql, "set budget = 30"))
            assert not registered.done()
        registered.result(PATIENCE)
    assert con.names()["models"] == ["f", "again"]


def test_a_turn_is_of_a_thread_and_of_all_models_at_once():
    f, g = net(), net(1)
    with turn(f, g), turn(f), turn(g):
        pass
    order: list[str] = []
    waiting = []

    def take(name: str, priority: int, *models: nn.Module) -> None:
        with turn(*models, priority=priority):
            order.append(name)

    with ThreadPoolExecutor(4) as pool, turn(f) as claim:
        assert not wanted(claim)
        for count, (name, priority, *models) in enumerate(
            [("low", 0, f, g), ("late", 0, f), ("high", 1, f[0]), ("free", 0, nn.Identity())], 1
        ):
            waiting.append(pool.submit(take, name, priority, *models))
            while name != "free" and len(turns._waiting) < count:
                pass
        waiting[-1].result(PATIENCE)
        assert order == ["free"], "who shares no part does not wait"
        assert wanted(claim)
    assert order[1] == "high"
    assert sorted(order) == ["free", "high", "late", "low"]


def test_the_compiler_s_stance_outlives_the_first_of_two_threads_that_share_it():
    import torch._dynamo.eval_frame as frames

    entered, left = threading.Event(), threading.Event()

    def share() -> str:
        with forward.stance("force_eager"):
            entered.set()
            assert left.wait(PATIENCE)
            return str(frames._stance.stance)

    with ThreadPoolExecutor(1) as pool:
        with forward.stance("force_eager"):
            other = pool.submit(share)
            assert entered.wait(PATIENCE)
        left.set()
        assert other.result(PATIENCE) == "force_eager"
    assert frames._stance.stance == "default"


@pytest.mark.parametrize(("priority", "last"), [(1, "long"), (0, "long"), (-1, "short")])
def test_a_query_gives_way_between_batches_to_one_of_no_lower_priority(short_turns, priority, last):
    model, passes = Blocking(net()), []
    con, other = session(f=model), session(f=model)
    opened = {"long": local, "short": partial(local, priority=priority)}

    def ask(name: str, asked: ialgebra.Session, budget: int) -> None:
        lane.name = name
        asked.sql(f"select * from f(x, target => 0) budget {budget}")

    lane = threading.local()
    model.net.register_forward_hook(lambda *_: passes.append(lane.name))
    chosen = partial(Executor, lane=lambda networks: opened[lane.name](networks))
    with mock.patch.object(running, "Executor", chosen), ThreadPoolExecutor(2) as pool:
        model._armed.value = True
        asked = [pool.submit(ask, "long", con, 400)]
        assert model._begun.wait(PATIENCE)
        asked.append(pool.submit(ask, "short", other, 8))
        while not turns._waiting:
            pass
        model._armed.value = False
        model._leave.set()
        for each in asked:
            each.result(PATIENCE)
    assert passes[-1] == last, "whose batches come last"
