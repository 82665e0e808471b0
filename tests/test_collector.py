"""The collector of cycles rests while plans and answers are made, and never longer."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest
import torch
from torch import nn

import ialgebra
from ialgebra.system.collector import resting


@pytest.fixture(autouse=True)
def _collecting() -> Iterator[None]:
    gc.enable()
    yield
    gc.enable()


def test_it_rests_until_the_last_frame_ends():
    with resting():
        assert not gc.isenabled()
        with resting():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyboardInterrupt), resting():
        raise KeyboardInterrupt
    assert gc.isenabled()


def test_frames_of_threads_are_counted_together():
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with resting():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait()
    with resting():
        pass
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()


def test_a_collector_that_the_user_switched_off_stays_off():
    gc.disable()
    with resting():
        pass
    assert not gc.isenabled()


def test_models_run_while_it_collects():
    seen: list[bool] = []

    def model(batch: torch.Tensor) -> torch.Tensor:
        seen.append(gc.isenabled())
        return batch[:, :2]

    con = ialgebra.connect(progress=False)
    con.register_model("f", model, outputs="logits")
    con.register_model("g", nn.Linear(4, 2).eval())
    con.register_input("xs", torch.randn(5, 4))
    con.sql("select * from f(xs); select * from g(xs) error within 10%")
    assert seen
    assert all(seen)
    assert gc.isenabled()


def test_what_a_frame_made_is_old_when_it_ends_and_what_the_user_froze_stays_frozen():
    gc.collect()
    with resting():
        made = [[] for _ in range(10)]
    assert any(each is made for each in gc.get_objects(generation=2))
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with resting():
            pass
        assert gc.get_freeze_count() >= frozen - 100  # some of the frozen are let go by their owners
    finally:
        gc.unfreeze()
