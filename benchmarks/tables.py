"""What pattern tables save: CPU seconds of whole queries with a table, set-up included, as a share of those without.

    python -m benchmarks.tables              four networks, some minutes on a quiet core
    python -m benchmarks.tables --rounds 5   more rounds; the median counts

Networks: EfficientNet-Lite0 with ImageNet's weights, VGG-11 and ResNet-18 with random ones (their seconds are the
same), and one with squeeze and excitation, which has no table that pays. Each round asks one network in every way, in
turn, in sessions of their own whose passes were measured before. Per network, game and mode: the ratio, the
median of the rounds, beside channels-last passes without a table; and the largest difference of the two answers of one
mode. Out: printed. Knows ialgebra's public names only.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ialgebra
from ialgebra import Strategy
from ialgebra.apps import zoo

from .modes import resnet18, vgg11

PHOTO = "coffee"
MODES = ("channels-last", "folded")


class Excited(nn.Module):
    """Squeeze and excitation after every convolution: each place sees the whole picture from the first layer on."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [(3, 32, 2), (32, 64, 2), (64, 128, 2), (128, 128, 1), (128, 256, 2)]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, stride, 1) for a, b, stride in sizes)
        self.gates = nn.ModuleList(nn.Conv2d(b, b, 1) for _, b, _ in sizes)
        self.head = nn.Linear(256, 1000)

    def forward(self, x: Tensor) -> Tensor:
        for conv, gate in zip(self.convs, self.gates, strict=True):
            x = F.relu(conv(x))
            x = x * torch.sigmoid(gate(F.adaptive_avg_pool2d(x, 1)))
        return self.head(x.mean((2, 3)))


CASES: dict[str, tuple[Callable[[], nn.Module], int, int]] = {
    "EfficientNet-Lite0, 4 × 4, 256 rows": (zoo.network, 4, 256),
    "EfficientNet-Lite0, 7 × 7, 784 rows": (zoo.network, 7, 784),
    "VGG-11, 4 × 4, 256 rows": (vgg11, 4, 256),
    "ResNet-18, 4 × 4, 256 rows": (resnet18, 4, 256),
    "squeeze and excitation, 4 × 4, 256 rows": (Excited, 4, 256),
}


def asked(model: nn.Module, tiles: int, rows: int, strategy: Strategy) -> tuple[float, np.ndarray[Any, Any]]:
    """The CPU seconds of one query in a session of its own, and its values."""
    con = ialgebra.connect(progress=False)
    con.register_model("f", model)
    con.register_input("x", zoo.photo(PHOTO))
    con.sql("select * from f(x, players => grid(2, 2)) budget 4", strategy=replace(strategy, table=False))
    query = f"select * from f(x, players => grid({tiles}, {tiles})) budget {rows}"
    started = time.process_time()
    answer = con.sql(query, strategy=strategy)
    return time.process_time() - started, np.asarray(answer[0].values)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="a part of a network's name")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    ialgebra.tune_process()
    for name, (build, tiles, rows) in CASES.items():
        if options.only not in name:
            continue
        torch.manual_seed(0)
        model = build().eval()
        ways = [(mode, table) for mode in MODES for table in (False, True)]
        seconds: dict[tuple[str, bool], list[float]] = {way: [] for way in ways}
        values: dict[tuple[str, bool], np.ndarray[Any, Any]] = {}
        for _ in range(options.rounds):
            for way in ways:
                strategy = replace(Strategy.BEST, mode=way[0], table=way[1], batch_size=32)  # type: ignore[arg-type]
                taken, values[way] = asked(model, tiles, rows, strategy)
                seconds[way].append(taken)
        base = seconds["channels-last", False]
        for mode, table in ways:
            ratio = statistics.median(one / other for one, other in zip(seconds[mode, table], base, strict=True))
            apart = np.abs(values[mode, table] - values[mode, False]).max() / np.ptp(values[mode, False])
            told = f"{name:<42} {mode + (' + table' if table else ''):<22}"
            print(
                f"{told} {statistics.median(seconds[mode, table]):7.2f} s  × {ratio:.2f}  apart {apart:.0e}", flush=True
            )


if __name__ == "__main__":
    main()
