"""What passes take in each mode, and what whole queries take with and without the modes that copy weights.

    python -m benchmarks.modes [--quick] [--rounds 5] [--only lite0,bert]

CPU seconds, in turns, medians of ratios. Passes: one batch through a registered model in each mode, copies made
before; their differences from eager passes as a share of the outputs' spread. Queries: in sessions of their own, with
profiles that were measured before, set-up included; 'as before' may not take the modes that copy weights.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ialgebra
from ialgebra.apps import zoo
from ialgebra.models import modes
from ialgebra.models.network import Network

from .report import Data, goal, machine, number, parser, publish, said, table

ERROR = 2.4e-6  # of the spread of the outputs, of folded passes
SECONDS = {"lite0": 0.65, "vit-ti": 0.65, "bert 6x384": 0.65}  # of the best mode as before, at most
OTHERS = 1.03


# --- Networks


class Block(nn.Module):
    """ResNet's basic block."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)])
        self.relu = nn.ReLU(inplace=True)
        apart = stride != 1 or inputs != outputs
        down = [nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)]
        self.down = nn.Sequential(*down) if apart else None

    def forward(self, x: Tensor) -> Tensor:
        found = self.norms[1](self.second(self.relu(self.norms[0](self.first(x)))))
        found += x if self.down is None else self.down(x)
        return self.relu(found)


def resnet(widths: Sequence[int], stem: nn.Module, blocks: int, classes: int) -> nn.Module:
    inputs, parts = widths[0], [stem]
    for place, width in enumerate(widths):
        for repeat in range(blocks):
            parts.append(Block(inputs, width, 2 if place and not repeat else 1))
            inputs = width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


def resnet18() -> nn.Module:
    stem = (nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(True), nn.MaxPool2d(3, 2, 1))
    return resnet((64, 128, 256, 512), nn.Sequential(*stem), 2, 1000)


def resnet20() -> nn.Module:
    stem = (nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(True))
    return resnet((16, 32, 64), nn.Sequential(*stem), 3, 10)


def vgg(widths: Sequence[int | None], side: int, hidden: int, classes: int) -> nn.Module:
    """Convolutions of these widths, and pools where None stands."""
    parts: list[nn.Module] = []
    inputs = 3
    for width in widths:
        if width is None:
            parts.append(nn.MaxPool2d(2))
        else:
            parts += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(True)]
            inputs = width
    wide = inputs * side * side
    head = (nn.Linear(wide, hidden), nn.ReLU(True), nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU(True))
    return nn.Sequential(*parts, nn.Flatten(), *head, nn.Dropout(), nn.Linear(hidden, classes))


def vgg11() -> nn.Module:
    return vgg((64, None, 128, None, 256, 256, None, 512, 512, None, 512, 512, None), 7, 4096, 1000)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.all, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        rows, length, width = x.shape
        each = self.all(x).reshape(rows, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(each[0], each[1], each[2])
        return self.out(found.transpose(1, 2).reshape(rows, length, width))


class Layer(nn.Module):
    """A transformer's layer, norms first."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norms[0](x))
        return x + self.mlp(self.norms[1](x))


class Vit(nn.Module):
    """ViT-Ti/16 with random weights."""

    def __init__(self, width: int = 192, heads: int = 3, depth: int = 12, patch: int = 16, side: int = 224) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.first = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, (side // patch) ** 2 + 1, width) * 0.02)
        self.layers = nn.Sequential(*(Layer(width, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 1000)

    def forward(self, x: Tensor) -> Tensor:
        each = self.patches(x).flatten(2).transpose(1, 2)
        each = torch.cat([self.first.expand(x.shape[0], -1, -1), each], 1) + self.places
        return self.head(self.norm(self.layers(each))[:, 0])


def bert() -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    sizes: Any = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    return BertForSequenceClassification(BertConfig(**sizes))


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(3072, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 9)
    )


class Case(NamedTuple):
    """A network, the shape of an input, rows a batch, and rows of a query and its players."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    batch: int
    rows: int
    players: str


CASES = {
    "lite0": Case(zoo.network, (3, 224, 224), 32, 256, "grid(4, 4)"),
    "vgg11": Case(vgg11, (3, 224, 224), 16, 64, "grid(4, 4)"),
    "resnet18": Case(resnet18, (3, 224, 224), 16, 128, "grid(4, 4)"),
    "vit-ti": Case(Vit, (3, 224, 224), 16, 128, "grid(4, 4)"),
    "bert 6x384": Case(bert, (64,), 32, 256, "tokens"),
    "resnet20": Case(resnet20, (3, 32, 32), 64, 1024, "grid(4, 4)"),
    "small vgg": Case(lambda: vgg((32, 32, None, 64, 64, None), 8, 128, 10), (3, 32, 32), 64, 1024, "grid(4, 4)"),
    "small vit": Case(lambda: Vit(64, 4, 4, 8, 32), (3, 32, 32), 64, 1024, "grid(4, 4)"),
    "mlp": Case(mlp, (3, 32, 32), 256, 4096, "grid(4, 4)"),
}
QUICK = ("resnet20", "mlp")


def seeded(case: Case) -> nn.Module:
    """The network, with batch statistics that are not the identity."""
    torch.manual_seed(0)
    module = case.build()
    for part in module.modules() if case.build is not zoo.network else ():
        if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None and part.running_var is not None:
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.5, 1.5)
    return module.eval()


def example(case: Case) -> Tensor:
    drawn = torch.Generator().manual_seed(1)
    if len(case.shape) == 1:
        return torch.randint(1000, 30000, case.shape, generator=drawn)
    return torch.rand(case.shape, generator=drawn)


# --- Passes


def passes(case: Case, rounds: int) -> Data:
    """CPU seconds of one batch by mode, ratios to the best of eager and channels-last, and differences from eager."""
    network = Network("f", seeded(case))
    one = example(case)
    batch = one[None].repeat(case.batch, *[1] * one.dim())
    if batch.is_floating_point():
        batch *= torch.rand(case.batch, *[1] * one.dim(), generator=torch.Generator().manual_seed(2))
    else:
        batch[torch.arange(case.batch), torch.arange(case.batch) % one.numel()] = 1
    batch = network.whole(batch)
    network.probe(batch[0])
    seconds: dict[str, list[float]] = {}
    found = {}
    with network.running():
        every = [mode for mode in network.modes(None) if mode != "compiled"]
        for turn in range(rounds + 2):
            for mode in every:
                started = time.process_time()
                found[mode] = network.forward(batch, [None], mode)[None]
                if turn > 1:
                    seconds.setdefault(mode, []).append(time.process_time() - started)
    usual = [seconds[mode] for mode in ("eager", "channels-last") if mode in seconds]
    best = [min(each) for each in zip(*usual, strict=True)]
    spread = float(found["eager"].max() - found["eager"].min())
    return {
        "seconds": {mode: statistics.median(each) for mode, each in seconds.items()},
        "ratios": {
            mode: statistics.median(mine / least for mine, least in zip(each, best, strict=True))
            for mode, each in seconds.items()
        },
        "errors": {mode: float((each - found["eager"]).abs().max()) / spread for mode, each in found.items()},
        "refused": dict(network.profile.unusable),
        "making": {str(mode): each for mode, each in network.profile.making.items()},
    }


# --- Queries


def queries(case: Case, rounds: int) -> Data:
    """CPU seconds of a query in a session of its own, as before and with every mode, and the ratio of the two."""
    module, x = seeded(case), example(case)
    text = f"select * from f(x, players => {case.players}) budget {case.rows}"
    taken: dict[str, list[float]] = {"before": [], "now": []}
    chosen = ""

    def ask() -> str:
        with ialgebra.connect(progress=False) as con:
            con.register_model("f", module)
            con.register_input("x", x, **({"baseline": 0} if x.is_floating_point() else {"kind": "tokens"}))
            answer = con.sql(text)
            told: Any = answer.details["batches"]
            return str(told[0]["mode"])

    with ialgebra.connect(progress=False) as con:
        con.register_model("f", module)
        con.register_input("x", x, **({"baseline": 0} if x.is_floating_point() else {"kind": "tokens"}))
        con.calibrate("f", "x")
    for turn in range(rounds + 1):
        for way in ("before", "now"):
            before = mock.patch.dict(modes.COPYING, clear=way == "before")
            started = time.process_time()
            with before:
                mode = ask()
            if turn:
                taken[way].append(time.process_time() - started)
            chosen = mode if way == "now" else chosen
    ratios = [now / before for before, now in zip(taken["before"], taken["now"], strict=True)]
    return {
        "mode": chosen,
        "seconds": {way: statistics.median(each) for way, each in taken.items()},
        "ratio": statistics.median(ratios),
    }


# --- Report


def markdown(data: Data) -> str:
    rows = []
    for name, each in data["cases"].items():
        found, asked = each["passes"], each["queries"]
        cells = [number(found["seconds"].get(mode)) for mode in ("eager", "channels-last")]
        cells += [number(found["ratios"].get(mode)) for mode in ("folded", "onednn")]
        error = found["errors"].get("folded")
        cells += ["–" if error is None else f"{error:.1e}" if error <= ERROR else f"**{error:.1e}**"]
        cells += [asked["mode"], goal(asked["ratio"], SECONDS.get(name, OTHERS))]
        rows.append([name, *cells])
    head = [
        "network",
        "eager, s",
        "channels-last, s",
        "folded",
        "onednn",
        "error folded",
        "a query takes",
        "its seconds",
    ]
    return f"""CPU seconds of one batch; folded and onednn as a share of the better of these two, copies made before;
the difference of folded outputs from eager ones as a share of their spread (≤ {ERROR:.1e}). A query in a session of
its own, copies and checks included, as a share of the same query without these modes.

{table(head, rows)}
"""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--only", default="", help="names of networks, with commas")
    given = arguments.parse_args(argv)
    ialgebra.tune_process()
    warnings.simplefilter("ignore")
    names = given.only.split(",") if given.only else QUICK if given.quick else tuple(CASES)
    rounds = 1 if given.quick else given.rounds
    data: Data = {"machine": machine(), "cases": {}}
    for name in names:
        case = CASES[name]
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {"IALGEBRA_CACHE": folder}):
            data["cases"][name] = {"passes": passes(case, rounds), "queries": queries(case, rounds)}
        print(name, data["cases"][name], file=sys.stderr, flush=True)
    publish("modes", data, f"# Modes of passes\n\n{markdown(data)}\n{said(data['machine'])}\n", None, given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
