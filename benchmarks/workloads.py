"""What the strategies are compared on: networks with inputs and windows, and queries as analysts would type them.

In: a folder for trained heads, and sizes. Out: worlds (a network, a variant of it, photos or digits), each of which
opens fresh sessions, and the named workloads, which are scripts. Knows no strategy and measures nothing.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.apps import zoo


class Workload(NamedTuple):
    """Statements that are asked one after the other in one session."""

    name: str
    about: str
    statements: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class World:
    """A network `f`, a variant `f'` of the same form, inputs x and y, four references, and windows to look through.

    `layers` are three layers of f, early to late; `examples` (N, *shape) are what their heads are trained on, which
    happens when the world is made; `folder` keeps them.
    """

    name: str
    network: nn.Module
    variant: nn.Module
    x: Tensor
    y: Tensor
    references: Tensor
    examples: Tensor
    layers: tuple[int, int, int]
    windows: dict[str, str]
    players: str
    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._registered("cpu") as con:
            con.fit_heads("f", self.examples, layers=self.layers)
            con.save_heads("f", self._heads)

    def session(self, device: str = "cpu") -> ialgebra.Session:
        """A session that has paid for nothing yet."""
        con = self._registered(device)
        con.load_heads("f", self._heads)
        return con

    def runner_up(self) -> int:
        """The second most likely class of x: what else might it be?"""
        with torch.inference_mode():
            return int(self.network(self.x[None])[0].topk(2).indices[1])

    @property
    def _heads(self) -> Path:
        return self.folder / f"heads of {self.name}.safetensors"

    def _registered(self, device: str) -> ialgebra.Session:
        con = ialgebra.connect(progress=False)
        con.register_model("f", self.network, device=device)
        con.register_model("f'", self.variant, device=device)
        con.register_input("x", self.x, players=self.players)
        con.register_input("y", self.y, players=self.players)
        con.register_input("refs", self.references, players=self.players)
        for name, predicate in self.windows.items():
            con.register_window(name, predicate)
        return con


def photos(folder: Path) -> World:
    """EfficientNet-Lite0 with its ImageNet weights on photos of 224 × 224, in nine tiles each."""
    network = zoo.network()
    names = ("dalmatian", "mastiff", "eagle", "beetle", "jeep", "strawberries")
    x, y, *references = (zoo.photo(name) for name in names)
    return World(
        name="EfficientNet-Lite0",
        network=network,
        variant=perturbed(network, 0.02),
        x=x,
        y=y,
        references=torch.stack(references),
        examples=torch.cat([zoo.crops(name, 6) for name in names]),
        layers=(5, 10, 14),  # evenly spaced: the model's own output is layer 19
        windows={"middle": "box(56, 56, 168, 168)", "half": "col < 112", "detail": "box(84, 84, 140, 140)"},
        players="grid(3, 3)",
        folder=folder,
    )


def digits(folder: Path, steps: int = 120) -> World:
    """A CNN of three blocks, trained on scikit-learn's digits at 32 × 32, in nine tiles each."""
    images, labels = _digits()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Sequential(nn.Flatten(), nn.Linear(512, 10)),
        )
        _train(network, images[100:], labels[100:], steps)
    x, y, *references = images[:6]
    return World(
        name="CNN on digits",
        network=network,
        variant=perturbed(network, 0.02),
        x=x,
        y=y,
        references=torch.stack(references),
        examples=images[100:200],
        layers=(1, 2, 3),
        windows={"middle": "box(8, 8, 24, 24)", "half": "col < 16", "detail": "box(12, 12, 20, 20)"},
        players="grid(3, 3)",
        folder=folder,
    )


def workloads(world: World, rows: int) -> tuple[Workload, ...]:
    """The named workloads, with a budget of `rows` a game."""
    early, middle, late = world.layers
    levels = f"select {early}, {middle}, {late}, * from f(x)"
    other, end = world.runner_up(), f"budget {rows}"
    return (
        Workload("identity", "one map", (f"select * from f(x, players => grid(4, 4)) budget {2 * rows}",)),
        Workload(
            "drill-down",
            "four layers of the whole and of three windows",
            (f"{levels} {end}", *(f"{levels} where {window} {end}" for window in world.windows)),
        ),
        Workload(
            "comparative",
            "one input against four references, joined and anti-joined",
            tuple(f"select * from f(x) {kind} (select * from f(refs)) {end}" for kind in ("join", "left join")),
        ),
        Workload(
            "model comparison",
            "a network against a variant of it on one input",
            (f"select * from f(x) left join (select * from f'(x)) {end}",),
        ),
        Workload(
            "session",
            "ten queries of one analyst, in one session",
            (
                f"select * from f(x) {end}",
                f"{levels} {end}",
                f"select * from f(x, target => {other}) {end}",
                f"select * from f(x) budget {2 * rows}",
                f"select * from f(x) where middle {end}",
                f"select {late}, * from f(x) where middle {end}",
                f"select * from f(x) left join (select * from f(y)) {end}",
                f"select {late}, * from f(y) left join (select * from f(x)) {end}",
                f"select * from f(x, output => 'probability') {end}",
                "select * from f(x) error within 20%",
            ),
        ),
    )


def perturbed(network: nn.Module, share: float) -> nn.Module:
    """A copy whose every weight tensor has noise of `share` of its own spread."""
    made, generator = copy.deepcopy(network), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in made.parameters():
            if weight.dim() > 1:
                weight.add_(torch.randn(weight.shape, generator=generator) * weight.std() * share)
    return made


def _digits() -> tuple[Tensor, Tensor]:
    """Images (1797, 1, 32, 32) from 0 to 1, and their labels."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = torch.tensor(pixels / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    return nn.functional.interpolate(images, scale_factor=4.0), torch.tensor(labels)


def _train(network: nn.Module, images: Tensor, labels: Tensor, steps: int) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(steps):
        batch = torch.randint(len(images), (64,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    network.eval().requires_grad_(False)
