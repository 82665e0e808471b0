"""A clock that tests move: what takes time says so, and how busy the machine is makes no difference."""

from __future__ import annotations

import threading
import time

import pytest

_READING = 1e-6  # seconds that a look at the clock takes, so that no two moments are the same


class FakeClock(threading.Event):
    """Stands in for `time.perf_counter` while a test runs.

    It is an event, because the fingerprint of a model reads what the model refers to, but nothing that only threads
    wait for: a model that lets time pass would count as changed whenever anybody looks at the clock.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.now = 1000.0
        monkeypatch.setattr(time, "perf_counter", self.read)

    def read(self) -> float:
        self.now += _READING
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
