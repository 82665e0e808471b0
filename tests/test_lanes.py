"""No answer depends on the order in which batches come back: lanes that reorder, delay, double and lose what they run.

Answers, what they took, their batches and the store behind them are compared bit for bit with those of the lane that
runs each batch at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import ialgebra
from ialgebra import Strategy
from ialgebra.answering import running
from ialgebra.errors import ModelError
from ialgebra.execution.control import Cancellation, Cancelled
from ialgebra.execution.execution import Executor
from ialgebra.execution.lanes import Arrival, Composer, Lane, Work, local, performed
from ialgebra.models import Head
from ialgebra.models.network import Network


class Disorder:
    """Runs any of the work that it has, when it likes, and hands it out later, again, or not at all."""

    def __init__(self, networks: Mapping[str, Network], rng: random.Random, width: int) -> None:
        self.networks, self.rng, self.width = networks, rng, width
        self.waiting: dict[int, Work] = {}
        self.arrived: list[Arrival] = []
        self.tickets = iter(rng.sample(range(1 << 20), 1 << 12))
        self.lost = self.doubled = self.reordered = 0

    def submit(self, work: Work) -> int:
        ticket = next(self.tickets)
        self.waiting[ticket] = work
        return ticket

    def wait(self) -> Arrival:
        while self.waiting and (not self.arrived or self.rng.random() < 0.5):
            ticket = self.rng.choice(list(self.waiting))
            self.reordered += ticket != next(iter(self.waiting))
            work = self.waiting.pop(ticket)
            if self.rng.random() < 0.2:
                self.lost += 1
                return Arrival(ticket, None)
            done = performed(work, self.networks[work.model], Composer())
            copies = self.rng.choice([1, 1, 2])
            self.doubled += copies - 1
            self.arrived += [Arrival(ticket, done)] * copies
        return self.arrived.pop(self.rng.randrange(len(self.arrived)))

    def give_way(self) -> bool:
        return False

    def drop(self) -> None:
        """What is not wanted may come all the same."""


class Threads:
    """Runs work in threads, which enter the models' frames themselves."""

    width = 4

    def __init__(self, networks: Mapping[str, Network], pool: ThreadPoolExecutor) -> None:
        self.networks, self.pool = networks, pool
        self.running: dict[Future[Arrival], int] = {}
        self.count = 0

    def submit(self, work: Work) -> int:
        self.count += 1
        self.running[self.pool.submit(self.run, work, self.count)] = self.count
        return self.count

    def run(self, work: Work, ticket: int) -> Arrival:
        network = self.networks[work.model]
        with network.running():
            return Arrival(ticket, performed(work, network, Composer()))

    def wait(self) -> Arrival:
        done, _ = wait(self.running, return_when=FIRST_COMPLETED)
        first = done.pop()
        del self.running[first]
        return first.result()

    def give_way(self) -> bool:
        return False

    def drop(self) -> None:
        """What runs goes on."""


def disorderly(seed: int, width: int, seen: list[Disorder]) -> Callable[[Mapping[str, Network]], object]:
    rng = random.Random(seed)

    @contextmanager
    def opened(networks: Mapping[str, Network]) -> Iterator[Lane]:
        with ExitStack() as frames:
            for network in networks.values():
                frames.enter_context(network.running())
            seen.append(Disorder(networks, rng, width))
            yield seen[-1]

    return opened


@contextmanager
def threads(networks: Mapping[str, Network]) -> Iterator[Lane]:
    with ThreadPoolExecutor(3) as pool:
        yield Threads(networks, pool)


class Narrow(nn.Sequential):
    """Has no memory for more than `most` rows."""

    most = 1 << 20

    def forward(self, batch: Tensor) -> Tensor:
        if len(batch) > self.most:
            raise MemoryError
        return super().forward(batch)


def session(batch_size: int, most: int = 1 << 20) -> ialgebra.Session:
    torch.manual_seed(0)
    con = ialgebra.connect(progress=False)
    for name in ("f", "g"):
        net = Narrow(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(64, 3))
        net.most = most
        con.register_model(name, net, batch_size=batch_size)
    for name in ("x", "y"):
        con.register_input(name, torch.randn(2, 4, 4))
    for name in ("f", "g"):
        network = con._catalog.model(name)
        network.probe(torch.zeros(2, 4, 4))
        layer = network.layers[1]
        network.heads[layer.index] = Head(torch.randn(3, layer.features), torch.randn(3), layer.pool)
    return con


def told(answer: ialgebra.Relation) -> object:
    """All that an answer says, but for its seconds."""
    maps = [
        (a.map.tobytes(), None if a.stderr is None else a.stderr.tobytes(), a.target, a.base_value, a.full_value)
        for a in answer
    ]
    stats, batches = answer.stats, answer.provenance["batches"]
    counts = (stats.rows, stats.batches, stats.reused_rows, stats.bound_met, stats.forecast_rows)
    return maps, counts, batches


def kept(con: ialgebra.Session) -> object:
    """All that the store knows, in its order."""
    return [
        (list(table.rows), [(str(name), column[: len(table.rows)].tobytes()) for name, column in table.columns.items()])
        for table in con._store.tables.values()
    ]


def asked(
    con: ialgebra.Session, texts: list[str], former: Sequence[tuple[int, str, int]] | None = None, **options: object
) -> object:
    """What the texts answer, the first of them in the batches of a `former` run, and what the store knows then."""
    strategies = [replace(Strategy.BEST, batches=former and tuple(former)), *[Strategy.BEST] * len(texts)]
    with mock.patch.object(running, "Executor", partial(Executor, **options)):
        pairs = zip(texts, strategies, strict=False)
        return [told(con.sql(text, strategy=strategy)) for text, strategy in pairs], kept(con)


TEXTS = [
    "select * from f(x) budget 60",
    "select 2, * from f(x) budget 40",
    "select * from f(x, players => tile(2)) using exact()",
    "select * from f(x) left join (select * from g(x)) budget 50",
    "select * from f(x) join (select * from f(y)) budget 60",
    "select * from f(x, players => grid(2, 4)) where row < 2 error within 30%",
    "select 2, * from f(x, players => grid(2, 4)) left join (select 2, * from g(y, players => grid(2, 4))) "
    "error within 40%",
    "select * from f(x) using permutations() budget 70",
]


@settings(max_examples=20, deadline=None)
@given(
    texts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3),
    seed=st.integers(0, 1 << 20),
    width=st.integers(1, 6),
    batch_size=st.sampled_from([3, 8, 32]),
    most=st.sampled_from([1 << 20, 5, 2]),
    former=st.lists(st.tuples(st.integers(1, 9), st.just("eager"), st.integers(1, 3)), max_size=8),
)
def test_the_order_of_arrival_changes_no_bit(texts, seed, width, batch_size, most, former):
    wanted = asked(session(batch_size, most), texts, former)
    found = asked(session(batch_size, most), texts, former, lane=disorderly(seed, width, []))
    assert found == wanted


def test_that_disorder_is_disorder():
    seen: list[Disorder] = []
    asked(session(3), TEXTS, lane=disorderly(0, 4, seen))
    assert min(sum(getattr(each, what) for each in seen) for what in ("lost", "doubled", "reordered")) > 10


def test_work_that_runs_in_threads_changes_no_bit():
    assert asked(session(8), TEXTS, lane=threads) == asked(session(8), TEXTS)


@pytest.mark.parametrize("lane", [local, disorderly(1, 4, []), threads])
def test_an_error_is_raised_in_the_order_of_submission_and_the_batches_before_it_are_kept(lane):
    """Of two rows at fault it is the first that is named, and every batch before it is in the store."""
    con, at = session(4), []

    def fail(_module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        at.append(len(inputs[0]))
        wrong = (inputs[0][:, 0, 3, 3] == 0) & (inputs[0][:, 0, 0, 0] != 0) & (inputs[0][:, 1, 2, 2] != 0)
        return output.masked_fill(wrong[:, None], float("nan"))

    con._catalog.model("f").module[3].register_forward_hook(fail)
    with mock.patch.object(running, "Executor", partial(Executor, lane=lane)), pytest.raises(ModelError) as fault:
        con.sql("select * from f(x, baseline => 0, target => 0) budget 60")
    other = session(4)
    other._catalog.model("f").module[3].register_forward_hook(fail)
    with pytest.raises(ModelError) as again:
        other.sql("select * from f(x, baseline => 0, target => 0) budget 60")
    assert fault.value.message == again.value.message
    assert kept(con) == kept(other)


@pytest.mark.parametrize("lane", [local, disorderly(2, 4, []), threads])
def test_a_cancelled_query_ends_before_its_next_batch_and_keeps_its_rows(lane):
    con, cancellation, batches = session(4), Cancellation(), []

    def count(_module: nn.Module, inputs: tuple[Tensor], _output: Tensor) -> None:
        batches.append(len(inputs[0]))
        if len(batches) == 5:
            cancellation.cancel()

    con._catalog.model("f").module.register_forward_hook(count)
    options = {"lane": lane, "cancellation": cancellation}
    with mock.patch.object(running, "Executor", partial(Executor, **options)), pytest.raises(Cancelled, match="kept"):
        con.sql("select * from f(x, target => 0) budget 400")
    assert len(batches) < 5 + 4 + 4, "what was under way, some of it again"
    (table,) = con._store.tables.values()
    assert len(table.rows) >= sum(batches[:4]) - 4
    assert len(con.sql("select * from f(x, target => 0) budget 400")) == 1


def test_work_that_is_wanted_no_more_is_not_run():
    """Out of memory in one model of a join halves the batch before the other has seen it."""

    class Counting(nn.Module):
        def __init__(self, most: int) -> None:
            super().__init__()
            self.linear = nn.Linear(6, 2)
            self._most, self._rows = most, 0

        def forward(self, batch: Tensor) -> Tensor:
            if len(batch) > self._most:
                raise MemoryError
            self._rows += len(batch)
            return self.linear(batch)

    small, large = Counting(20), Counting(1 << 20)
    con = ialgebra.connect(progress=False)
    con.register_model("f", small)
    con.register_model("g", large)
    con.register_input("x", torch.randn(6))
    found = con.sql("select * from f(x, target => 0) left join (select * from g(x, target => 0)) using exact()")
    assert small._rows == large._rows == 64 + 4  # four to examine each
    assert (found.stats.rows, found.stats.examined_rows) == (128, 8)
