"""Rows, rounds and processor seconds of answers to a bound, beside those of another checkout of this project.

`measured(checkout, seeds)` asks the same questions of both, in turn, each in a process of its own: the ten exact games
of `benchmarks.estimators`, and ten pictures of a small convolutional net. In: the folder of another checkout. Out: for
each question the medians of both and their ratios. The games are built here, so that both meet the same ones.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import ialgebra

from .estimators import games

Floats = NDArray[np.float64]

HERE = Path(__file__).parents[1]
BOUNDS = (10, 5)  # percent
PICTURES = 10
# The worker imports the engine of one checkout, and the questions of this one.
_WORKER = (
    "import sys; sys.path.insert(0, sys.argv[1]); import ialgebra; sys.path[0] = sys.argv[2]; "
    "from benchmarks import beside; beside.answer()"
)


class Asked(TypedDict):
    """What one query took."""

    rows: int
    rounds: int
    seconds: float


def convolutional() -> tuple[nn.Module, Tensor]:
    """A smooth net (B, 3, 32, 32) → (B, 5), and ten pictures (10, 3, 32, 32)."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU()]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 5)).eval()
    return net, torch.rand(PICTURES, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def table_model(values: Floats) -> tuple[nn.Module, Tensor]:
    """A stored game as a model, and the input of all its players."""
    players = len(values).bit_length() - 1
    table, bits = torch.from_numpy(values), 2 ** torch.arange(players)

    class Table(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            return table[(batch.round().long() * bits).sum(dim=1)][:, None]

    return Table(), torch.ones(players)


def questions() -> Iterator[tuple[str, nn.Module, Tensor, str]]:
    """(name, model, input, query) of each question."""
    net, pictures = convolutional()
    query = "select * from f(x, target => 0, players => grid(4, 4)) error within 5%"
    yield "ten pictures at once, 5 %", net, pictures, query
    for k, picture in enumerate(pictures):
        yield f"picture {k}, 5 %", net, picture, query
    for percent in BOUNDS:
        for name, values in games().items():
            yield f"{name}, {percent} %", *table_model(values), f"select * from f(x) error within {percent}%"


def answer() -> None:
    """The worker: for each line of its input, a number and a seed, it writes what that question took."""
    known = list(questions())
    for line in sys.stdin:
        number, seed = map(int, line.split())
        _, model, x, text = known[number]
        con = ialgebra.connect(progress=False)
        con.register_model("f", model)
        con.register_input("x", x)
        con.sql("select * from f(x, target => 0) budget 2")
        started = time.process_time()
        found = list(con.stream(text, seed=seed))
        took = Asked(rows=found[-1].stats.rows, rounds=len(found), seconds=time.process_time() - started)
        print(json.dumps(took), flush=True)


def measured(checkout: Path, seeds: int) -> dict[str, dict[str, float]]:
    """For each question: the medians of rows, rounds and processor seconds `here` and `there`, over the seeds."""
    names = [name for name, *_ in questions()]
    workers = {place: _worker(path) for place, path in (("here", HERE), ("there", checkout))}
    found: dict[str, dict[str, float]] = {}
    for number, name in enumerate(names):
        asked: dict[str, list[Asked]] = {place: [] for place in workers}
        for seed in range(seeds):
            for place, worker in workers.items():
                assert worker.stdin is not None
                assert worker.stdout is not None
                worker.stdin.write(f"{number} {seed}\n")
                worker.stdin.flush()
                asked[place].append(json.loads(worker.stdout.readline()))
        found[name] = {
            f"{what} {place}": statistics.median(one[what] for one in each)  # type: ignore[literal-required]
            for place, each in asked.items()
            for what in ("rows", "rounds", "seconds")
        }
        print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    for worker in workers.values():
        worker.communicate()
    return found


def _worker(checkout: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _WORKER, str(checkout), str(HERE)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def markdown(data: Mapping[str, Mapping[str, float]]) -> str:
    """A table of all questions, with the median ratio of each column."""
    lines = [
        "# Answers to a bound, beside another checkout (here / there)",
        "",
        "| question | rows | rounds | processor seconds | rows ÷ | seconds ÷ |",
        "|---|---|---|---|---|---|",
    ]
    for name, of in data.items():
        pairs = " | ".join(
            f"{of[f'{what} here']:.4g} / {of[f'{what} there']:.4g}" for what in ("rows", "rounds", "seconds")
        )
        ratios = " | ".join(f"{of[f'{what} here'] / of[f'{what} there']:.2f}" for what in ("rows", "seconds"))
        lines.append(f"| {name} | {pairs} | {ratios} |")
    middle = [
        statistics.median(of[f"{what} here"] / of[f"{what} there"] for of in data.values())
        for what in ("rows", "seconds")
    ]
    return "\n".join([*lines, f"| median | | | | {middle[0]:.2f} | {middle[1]:.2f} |"])
