"""A clock that tests move: what takes time says so, and how busy the machine is makes no difference."""

from __future__ import annotations

import time

import pytest

from tests.unread import Unread

_READING = 1e-6  # seconds that a look at the clock takes, so that no two moments are the same


class FakeClock:
    """Stands in for `time.perf_counter` while a test runs.

    The time is unread by fingerprints of models: a model that lets time pass would count as changed whenever anybody
    looks at the clock.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._time = Unread(1000.0)
        monkeypatch.setattr(time, "perf_counter", self.read)

    @property
    def now(self) -> float:
        return self._moved(0.0)

    def read(self) -> float:
        return self._moved(_READING)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self._moved(seconds)

    def _moved(self, seconds: float) -> float:
        return self._time.change(lambda now: now + seconds)
