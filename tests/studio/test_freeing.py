"""What a page no longer wants ends within a batch: cancelled, overtaken, or its browser killed. No clock: a model waits
for the test."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from concurrent.futures import wait

import pytest
import torch

import ialgebra

pytest.importorskip("uvicorn")
pytest.importorskip("websockets")

from ialgebra.session.submitted import Submitted
from tests.studio import serving
from tests.studio.serving import PATIENCE


class Gate:
    """A model whose batches wait until the test opens it."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()
        self.rows = 0

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        self.rows += len(batch)
        self.entered.set()
        assert self.opened.wait(PATIENCE)
        return batch.flatten(1)[:, :2]


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def submitted(monkeypatch) -> list[Submitted]:
    """All that is submitted to any session, as it comes."""
    every: list[Submitted] = []
    usual = ialgebra.Session.submit

    def submit(self, *arguments: object, **options: object) -> Submitted:
        every.append(usual(self, *arguments, **options))
        return every[-1]

    monkeypatch.setattr(ialgebra.Session, "submit", submit)
    return every


@pytest.fixture
def con(gate, submitted) -> Iterator[ialgebra.Session]:
    with serving.session() as con:
        con.register_model("slow", gate, batch_size=4)
        gate.opened.set()
        con.sql("select * from slow(xs) budget 10")  # its first passes, in which it is examined
        gate.opened.clear()
        gate.entered.clear()
        yield con
        gate.opened.set()


def waits(page: serving.Page, gate: Gate) -> int:
    """Ask a question whose first batch waits; its number."""
    document = page.ask("ask", text="select * from slow(x) budget 200")
    assert gate.entered.wait(PATIENCE)
    return document["question"]


def test_cancel_ends_a_question_within_its_batch(con, gate, submitted):
    with serving.served(con) as running, serving.page(running.url) as page:
        page.hello()
        page.until_status("done")
        number = waits(page, gate)
        before = gate.rows
        page.say("cancel")
        assert page.until_status("cancelled")["question"] == number
        gate.opened.set()
        assert not wait(submitted, PATIENCE).not_done
        assert gate.rows <= before + 4
        document = page.ask("ask", text="select * from slow(x) budget 30")
        page.until_status("done", question=document["question"])


def test_a_new_question_overtakes_one_that_waits(con, gate, submitted):
    with serving.served(con) as running, serving.page(running.url) as page:
        page.hello()
        page.until_status("done")
        waits(page, gate)
        document = page.ask("ask", text="select * from f(x) where row < 5")
        page.until_status("done", question=document["question"])  # while the other one's batch still waits
        gate.opened.set()
        assert not wait(submitted, PATIENCE).not_done
        assert page.ask("ping")["type"] == "pong"
        assert all(each["question"] != document["question"] - 1 for each in page.of("map"))


def test_a_killed_browser_frees_its_work_and_finds_it_again(con, gate, submitted):
    with serving.served(con) as running:
        with serving.page(running.url) as page:
            page.hello("page-killed")
            page.until_status("done")
            waits(page, gate)
            seen = page.received[-1]["serial"]
            page.socket.socket.shutdown(2)  # no goodbye
        gate.opened.set()
        assert not wait(submitted, PATIENCE).not_done
        with serving.page(running.url) as page:
            assert page.hello("page-killed", since=seen)["resumed"] is True
            assert page.until_status("done")["rows"] > 0
            assert page.of("map")[-1]["text"] == "select * from slow(x) budget 200"


def test_closing_the_studio_ends_what_runs_and_leaves_the_session(con, gate, submitted):
    with serving.served(con) as running, serving.page(running.url) as page:
        page.hello()
        page.until_status("done")
        waits(page, gate)
        gate.opened.set()
        running.close()
        assert not running.open
    assert not wait(submitted, PATIENCE).not_done
    assert len(con.sql("select * from f(x)")) == 1


def test_two_pages_do_not_wait_for_one_another(con, gate):
    with serving.served(con) as running, serving.page(running.url) as one, serving.page(running.url) as other:
        one.hello("page-slow-one")
        one.until_status("done")
        waits(one, gate)
        other.hello("page-quick-one")
        assert other.until_status("done", "error")["state"] == "done"


@pytest.mark.slow
def test_memory_stays_flat_over_a_thousand_drags():
    """Half of them cost no more objects than the steps of the session's history take."""
    counts = []
    with (
        serving.session() as con,
        serving.served(con, opening="select * from f(x) budget 40") as running,
        serving.page(running.url) as page,
    ):
        page.hello()
        page.until_status("done")
        for number in range(1000):
            top, left = number % 5, number // 5 % 5
            shape = {"kind": "box", "at": [top, left, top + 3, left + 3]}
            gesture = {"do": "window", "shapes": [shape], "mode": "replace"}
            page.until_answered(page.say("gesture", gesture=gesture, moving=number % 20 != 19))
            page.received.clear()
            if number in (499, 999):
                gc.collect()
                counts.append(len(gc.get_objects()))
    assert counts[1] - counts[0] < 500 * 8
