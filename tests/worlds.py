"""Small random worlds, registered twice: in a session, and as the oracle sees them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.models import Head
from tests import oracle

Kind = Literal["image", "tabular", "tokens"]
SHAPES: dict[Kind, tuple[int, ...]] = {"image": (2, 6, 6), "tabular": (5,), "tokens": (5,)}
WORDS = ["the", "film", "was", "awful", "good", "not", "very"]


class MeanOverTime(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=1)


def network(kind: Kind, classes: int = 3) -> nn.Sequential:
    """A random net whose second layer is called `l`, as in the paper's statements, and whose last is its output."""
    parts: dict[Kind, list[tuple[str, nn.Module]]] = {
        "image": [
            ("conv1", nn.Conv2d(2, 4, 3, padding=1)),
            ("l", nn.Tanh()),
            ("conv2", nn.Conv2d(4, 6, 3, padding=1)),
            ("act2", nn.Tanh()),
            ("pool", nn.AdaptiveAvgPool2d(1)),
            ("flat", nn.Flatten()),
            ("head", nn.Linear(6, classes)),
        ],
        "tabular": [
            ("fc1", nn.Linear(5, 7)),
            ("l", nn.Tanh()),
            ("fc2", nn.Linear(7, 6)),
            ("act2", nn.Tanh()),
            ("head", nn.Linear(6, classes)),
        ],
        "tokens": [
            ("embedding", nn.Embedding(len(WORDS), 4)),
            ("l", nn.Tanh()),
            ("mean", MeanOverTime()),
            ("fc", nn.Linear(4, 6)),
            ("act", nn.Tanh()),
            ("head", nn.Linear(6, classes)),
        ],
    }
    net = nn.Sequential(OrderedDict(parts[kind]))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=1.0)
    return net.eval()


def sample(kind: Kind, dtype: torch.dtype = torch.float64, count: int | None = None) -> Tensor:
    shape = SHAPES[kind] if count is None else (count, *SHAPES[kind])
    if kind == "tokens":
        return torch.randint(1, len(WORDS), shape)
    return torch.randn(shape, dtype=dtype)


WINDOWS: dict[Kind, dict[str, str]] = {
    "image": {
        "w": "row < 3",
        "w2": "col between 1 and 4",
        "bright": "value > 0",
        "ring": "circle(2, 3, 2.5) and not box(2, 2, 4, 4)",
        "nothing": "row > 99",
    },
    "tabular": {"w": "feature in (0, 2, 3)", "w2": "feature > 0", "nothing": "feature > 99"},
    "tokens": {"w": "position < 4", "w2": "token <> 3", "nothing": "position > 99"},
}


_, _ROW, _COL = np.indices(SHAPES["image"])
_INDEX = np.arange(5)
PREDICATES: dict[Kind, dict[str, Callable[[Tensor], oracle.Bits]]] = {
    "image": {
        "w": lambda x: _ROW < 3,
        "w2": lambda x: (_COL >= 1) & (_COL <= 4),
        "bright": lambda x: x.numpy() > 0,
        "ring": lambda x: (
            ((_ROW - 2) ** 2 + (_COL - 3) ** 2 <= 2.5**2) & ~((_ROW >= 2) & (_ROW < 4) & (_COL >= 2) & (_COL < 4))
        ),
        "nothing": lambda x: _ROW > 99,
    },
    "tabular": {
        "w": lambda x: np.isin(_INDEX, [0, 2, 3]),
        "w2": lambda x: _INDEX > 0,
        "nothing": lambda x: _INDEX > 99,
    },
    "tokens": {"w": lambda x: _INDEX < 4, "w2": lambda x: x.numpy() != 3, "nothing": lambda x: _INDEX > 99},
}
"""The windows above, by hand."""

PARTITIONS: dict[Kind, dict[str | None, oracle.Partition]] = {
    "image": {
        None: oracle.grid(2, 2),
        "grid(2, 2)": oracle.grid(2, 2),
        "grid(1, 3)": oracle.grid(1, 3),
        "tile(4)": oracle.tile(4),
    },
    "tabular": {None: oracle.features},
    "tokens": {None: oracle.features},
}


@dataclass(frozen=True)
class Case:
    """A session, and the oracle's view of what is registered in it."""

    con: ialgebra.Session
    world: oracle.World


def with_random_heads(con: ialgebra.Session, model: str, example: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
    """Gives every layer of a model but its output a random head (training takes longer), and returns them."""
    known = con._catalog.model(model)
    known.probe(example)
    dtype = next(known.module.parameters()).dtype
    for layer in known.layers:
        if not layer.is_output:
            weight = torch.randn(known.class_count, layer.features, dtype=dtype)
            known.heads[layer.index] = Head(weight, torch.randn(known.class_count, dtype=dtype), layer.pool)
    return {index: (head.weight, head.bias) for index, head in known.heads.items()}


def case(
    kind: Kind = "image",
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    classes: int = 3,
    players: str | None = "grid(2, 2)",
) -> Case:
    """Models f, f' and g with heads at every layer, inputs x, x' and y, a collection xs, and the windows above."""
    torch.manual_seed(seed)
    con = ialgebra.connect(progress=False)
    inputs: dict[str, Tensor | list[Tensor]] = {name: sample(kind, dtype) for name in ("x", "x'", "y")}
    inputs["xs"] = list(sample(kind, dtype, count=3))
    for name, value in inputs.items():
        tensor = torch.stack(value) if isinstance(value, list) else value
        con.register_input(name, tensor, players=players if kind == "image" else None)
    nets = {}
    for name in ("f", "f'", "g"):
        module = network(kind, classes).to(dtype)
        con.register_model(name, module)
        nets[name] = oracle.Net(module, with_random_heads(con, name, sample(kind, dtype)))
    for name, text in WINDOWS[kind].items():
        con.register_window(name, text)
    depth = len(nets["f"].module)
    return Case(con, oracle.World(nets, inputs, PREDICATES[kind], PARTITIONS[kind], depth))


def close(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-5) -> bool:
    """Whether two maps agree, relative to the norm of what is expected; a zero map must be exactly zero."""
    error = float(np.linalg.norm(found - expected))
    return found.shape == expected.shape and error <= tolerance * float(np.linalg.norm(expected))
