"""What every test may rely on: seeded generators, and pictures without a display."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("IALGEBRA_VERIFY", "1")  # every plan of every test is checked against itself
torch.set_num_threads(1)  # the nets of the tests are too small to share among threads


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A test finds no profile that others measured, and leaves none in the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("IALGEBRA_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def seeded() -> None:
    """A test finds the same random numbers alone and among others."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """A test in which torch has two threads, as on most machines."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
