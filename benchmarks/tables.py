"""What pattern tables save: CPU seconds of whole queries with and without them, set-up included.

    python -m benchmarks.tables                     both parts, some minutes on a quiet core
    python -m benchmarks.tables --rounds 5          more rounds; the median counts
    python -m benchmarks.tables --only VGG,forced   parts of names, or a part: forced, default

Each round asks one network in every way, in turn, in sessions of their own whose passes were measured before.

* forced: with a table and without, channels-last and folded, as a share of channels-last passes without a table; and
  the largest difference of the two answers of one mode as a share of their spread.
* default: what the optimizer takes, as a share of what it takes where tables are forbidden, and of channels-last passes
  (eager ones for series and volumes). No network may take more than 1.03 of the first.

Weights are random but for EfficientNet-Lite0; seconds do not hang on them. Out: printed. Knows ialgebra's public names
only.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ialgebra
from ialgebra import Strategy
from ialgebra.apps import zoo
from ialgebra.models.profile import Mode

from . import modes
from .modes import resnet18, resnet20, vgg11
from .report import goal

PHOTO = "coffee"
MOST = 1.03
GOALS = {"EfficientNet-Lite0, 4 × 4": 0.45, "EfficientNet-Lite0, 7 × 7": 0.5, "VGG-11": 0.5, "ResNet-18": 0.7}
"""Of channels-last passes without a table, by default."""

Values = np.ndarray[Any, Any]


# --- Networks


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


class Dense(nn.Module):
    """Two blocks of layers that each read all before them, as in DenseNets."""

    def __init__(self, growth: int = 16, layers: int = 5) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, 1, 1)
        wide, blocks = 32, []
        for _ in range(2):
            blocks.append(nn.ModuleList(nn.Conv2d(wide + k * growth, growth, 3, 1, 1) for k in range(layers)))
            wide += layers * growth
        self.blocks, self.head = nn.ModuleList(blocks), nn.Linear(wide, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.stem(x), 2)
        for block in self.blocks:
            for layer in cast(nn.ModuleList, block):
                x = torch.cat([x, layer(F.relu(x))], 1)
            x = F.avg_pool2d(x, 2)
        return self.head(x.mean((2, 3)))


class UNet(nn.Module):
    """Down twice and up again, beside what came before; its answer is the mean of its map."""

    def __init__(self, wide: int = 16) -> None:
        super().__init__()
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, 1, 1) for a, b in ((3, wide), (wide, 2 * wide)))
        self.low = nn.Conv2d(2 * wide, 4 * wide, 3, 1, 1)
        self.up = nn.ModuleList(nn.Conv2d(a, b, 3, 1, 1) for a, b in ((6 * wide, 2 * wide), (3 * wide, wide)))
        self.last = nn.Conv2d(wide, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for down in self.down:
            x = F.relu(down(x))
            kept.append(x)
            x = F.max_pool2d(x, 2)
        x = F.relu(self.low(x))
        for up in self.up:
            x = F.relu(up(torch.cat([F.interpolate(x, scale_factor=2.0), kept.pop()], 1)))
        return self.last(x).mean((2, 3))


def series() -> nn.Module:
    parts = [(8, 32), (32, 64), (64, 64), (64, 64)]
    layers = [each for a, b in parts for each in (nn.Conv1d(a, b, 5, padding=2), nn.ReLU())]
    return nn.Sequential(Swapped(), *layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(64, 6))


class Swapped(nn.Module):
    """Series have their channels last."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


def volume() -> nn.Module:
    parts = [(1, 16, 1), (16, 32, 2), (32, 32, 2)]
    layers = [each for a, b, step in parts for each in (nn.Conv3d(a, b, 3, step, 1), nn.ReLU())]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(32, 4))


class Case(NamedTuple):
    """A network, an input, its players and the rows of a query, and rows a batch."""

    build: Callable[[], nn.Module]
    x: Callable[[], Any]
    players: str
    rows: int
    batch: int = 32
    said: Mapping[str, Any] = {}  # what is said of the input

    @classmethod
    def of(cls, case: modes.Case) -> Case:
        """A case of `modes`."""
        said: dict[str, Any] = {"kind": "tokens"} if len(case.shape) == 1 else {"baseline": 0}
        return cls(case.build, lambda: modes.example(case), case.players, case.rows, case.batch, said)


def photo() -> Any:
    return zoo.photo(PHOTO)


def drawn(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.rand(shape, generator=torch.Generator().manual_seed(1))


FORCED = {
    "EfficientNet-Lite0, 4 × 4": Case(zoo.network, photo, "grid(4, 4)", 256),
    "EfficientNet-Lite0, 7 × 7": Case(zoo.network, photo, "grid(7, 7)", 784),
    "VGG-11": Case(vgg11, photo, "grid(4, 4)", 256),
    "ResNet-18": Case(resnet18, photo, "grid(4, 4)", 256),
    "squeeze and excitation": Case(Excited, photo, "grid(4, 4)", 256),
}
DEFAULT = FORCED | {
    "ResNet-20": Case(resnet20, drawn(3, 32, 32), "grid(4, 4)", 1024),
    "small VGG": Case.of(modes.CASES["small vgg"]),
    "U-Net": Case(UNet, drawn(3, 96, 96), "grid(4, 4)", 256),
    "DenseNet-like": Case(Dense, drawn(3, 64, 64), "grid(4, 4)", 512),
    "ViT-Ti": Case.of(modes.CASES["vit-ti"]),
    "BERT, 6 × 384": Case.of(modes.CASES["bert 6x384"]),
    "1-D CNN": Case(series, drawn(512, 8), "spans(16)", 1024, 64, {"kind": "series"}),
    "3-D CNN": Case(volume, drawn(1, 24, 24, 24), "grid(2, 2, 2)", 254, 32, {"kind": "volume"}),
    "small MLP": Case.of(modes.CASES["mlp"]),
}


# --- Queries


def asked(model: nn.Module, case: Case, x: Any, strategy: Strategy) -> tuple[float, Values, bool]:
    """The CPU seconds of one query in a session of its own, its values, and whether any row began from a table."""
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", model)
        con.register_input("x", x, **case.said)
        con.sql("select * from f(x) budget 4", strategy=replace(strategy, table=False, mode="eager"))
        query = f"select * from f(x, players => {case.players}) budget {case.rows}"
        started = time.process_time()
        answer = con.sql(query, strategy=strategy)
        seconds = time.process_time() - started
        told = cast("list[list[object]]", answer.provenance["batches"])
        return seconds, np.asarray(answer[0].values), any("table" in each for each in told)


def measured(model: nn.Module, case: Case, x: Any) -> None:
    """Passes of the network, so that its profile knows every mode."""
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", model)
        con.register_input("x", x, **case.said)
        for mode in cast("tuple[Mode, ...]", ("eager", "channels-last", "folded", "onednn")):
            way = replace(Strategy.BEST, mode=mode, table=False, reuse=False, batch_size=case.batch)
            query = f"select * from f(x, players => {case.players}) budget {3 * case.batch + 2}"
            con.sql(query, strategy=way)


class Found(NamedTuple):
    """The seconds of one way in all rounds, its values, and whether rows began from tables."""

    seconds: list[float]
    values: Values
    begun: bool


def in_turn(case: Case, ways: Mapping[str, Strategy], rounds: int) -> dict[str, Found]:
    """What was found of each way."""
    torch.manual_seed(0)
    model, x = case.build().eval(), case.x()
    found: dict[str, list[tuple[float, Values, bool]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["IALGEBRA_CACHE"] = folder
        measured(model, case, x)
        for turn in range(rounds):
            for way, strategy in list(ways.items())[:: -1 if turn % 2 else 1]:
                found[way].append(asked(model, case, x, replace(strategy, batch_size=case.batch)))
    return {way: Found([seconds for seconds, _, _ in each], *each[-1][1:]) for way, each in found.items()}


def ratio(one: list[float], other: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def forced(name: str, case: Case, rounds: int) -> None:
    """Print what tables save in each mode."""
    ways = {
        f"{mode}{', table' if table else ''}": replace(Strategy.BEST, mode=mode, table=table)
        for mode in cast("tuple[Mode, ...]", ("channels-last", "folded"))
        for table in (False, True)
    }
    found = in_turn(case, ways, rounds)
    for way, (seconds, values, _) in found.items():
        base = found[way.removesuffix(", table")].values
        apart = np.abs(values - base).max() / np.ptp(base)
        share = ratio(seconds, found["channels-last"].seconds)
        print(f"{name:<26} {way:<22} {statistics.median(seconds):7.2f} s  × {share:.2f}  apart {apart:.0e}", flush=True)


def by_default(name: str, case: Case, rounds: int) -> None:
    """Print what the optimizer's choice saves."""
    pictures = len(np.shape(case.x())) == 3
    ways = {
        "default": Strategy.BEST,
        "no table": replace(Strategy.BEST, table=False),
        "as before": replace(Strategy.BEST, table=False, mode="channels-last" if pictures else "eager"),
    }
    found = in_turn(case, ways, rounds)
    seconds, _, begun = found["default"]
    none, before = ratio(seconds, found["no table"].seconds), ratio(seconds, found["as before"].seconds)
    bound = next((bound for part, bound in GOALS.items() if part in name), None)
    told = f"{before:.2f}" if bound is None else goal(before, bound)
    table = "from a table" if begun else "whole"
    print(
        f"{name:<26} default, {table:<12} {statistics.median(seconds):7.2f} s  × {goal(none, MOST)} of no table, "
        f"{told} of whole passes as before",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="parts of networks' names, or forced or default; with commas")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    ialgebra.tune_process()
    only = [part for part in options.only.split(",") if part]
    parts = [part for part in ("forced", "default") if part in only or not {"forced", "default"} & set(only)]
    names = [part for part in only if part not in ("forced", "default")]
    for part, cases, measure in (("forced", FORCED, forced), ("default", DEFAULT, by_default)):
        for name, case in cases.items() if part in parts else ():
            if not names or any(each in name for each in names):
                measure(name, case, options.rounds)


if __name__ == "__main__":
    main()
