"""What a repeated query spends on seeing that its model is the same.

    python -m benchmarks.sameness [times]

Asked is a query whose rows are all in the store, on EfficientNet-Lite0 and on a small net; timed are the functions that
read the model, within the query. Out: one line for each model, with the medians of the repetitions.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import wraps
from unittest import mock

import torch
from torch import nn

import ialgebra
from ialgebra.apps import zoo
from ialgebra.models import identity, network

TIMES = 100
MOST_MS = 3.0  # of the larger model
_READ = ((identity.Noticed, "read"), (network, "parameters"), (network, "buffers"), (network, "settings"))


@contextlib.contextmanager
def timed() -> Iterator[list[float]]:
    """The seconds of each call of a function that reads a model, while this is open."""
    seconds: list[float] = []

    def timing(function: Callable[..., object]) -> Callable[..., object]:
        @wraps(function)
        def call(*args: object) -> object:
            started = time.perf_counter()
            try:
                return function(*args)
            finally:
                seconds.append(time.perf_counter() - started)

        return call

    with contextlib.ExitStack() as patched:
        for home, name in _READ:
            patched.enter_context(mock.patch.object(home, name, timing(getattr(home, name))))
        yield seconds


def measured(model: nn.Module, x: object, times: int) -> tuple[float, float, float]:
    """Milliseconds of a repeated query: those that it spends on reading the model, in the median and at least, and the
    median of all."""
    con = ialgebra.connect(progress=False)
    con.register_model("f", model)
    con.register_input("x", x)
    read, whole = [], []
    for turn in range(times + 2):
        with timed() as seconds:
            started = time.perf_counter()
            answer = con.sql("select * from f(x, target => 0) budget 64")
            whole.append(1e3 * (time.perf_counter() - started))
        read.append(1e3 * sum(seconds))
        assert turn == 0 or answer.stats.rows == 0
    return statistics.median(read[2:]), min(read), statistics.median(whole[2:])


def main(arguments: list[str]) -> int:
    times = int(arguments[0]) if arguments else TIMES
    torch.manual_seed(0)
    mlp = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 3))
    median = 0.0
    for name, model, x in (
        ("small net", mlp, torch.randn(12)),
        ("EfficientNet-Lite0", zoo.network(), zoo.photo("dalmatian")),
    ):
        median, least, whole = measured(model, x, times)
        print(f"{name}: {median:.2f} ms (at least {least:.2f}) to see that it is the same, of {whole:.1f} ms a query")
    return int(median > MOST_MS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
