"""What every test may rely on: seeded generators, and pictures without a display."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest
import torch

os.environ.setdefault("MPLBACKEND", "Agg")
torch.set_num_threads(1)  # the nets of the tests are too small to share among threads


@pytest.fixture(autouse=True)
def seeded() -> None:
    """A test finds the same random numbers alone and among others."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
