"""Case B from raw pictures to tables: attack a network and its explanation, then look at all views at once.

For each seed a network is trained and test pictures that it is right about are attacked in five ways. The analyst knows
benign training pictures of each class. A picture is suspicious in a view as far as its map lies from theirs, in
standard deviations of other benign pictures. The question is whether an attack that makes the map of one view look
benign can do so in all views.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from .. import nets
from ..command import Settings
from . import attacks, cost, pictures, ranked, report, views


class Sizes(NamedTuple):
    """How many pictures play which part; nobody plays two."""

    judged: int = 40  # test pictures, each judged as it is and attacked in every way
    calibrating: int = 40  # test pictures that say how far benign ones lie
    known: int = 20  # training pictures of each class that the analyst knows
    own: int = 20  # training pictures of each class that the adversary has
    epochs: int = 4
    steps: int = 50
    pairs: int = 23  # of coalitions that the adversary evaluates in each step
    budget: int = views.BUDGET
    priced: int = 8  # pictures for which the maps are also made by hand …
    long: int = 8192  # … and held against those of so many rows a game


QUICK = Sizes(judged=2, calibrating=2, known=1, own=1, epochs=12, steps=5, pairs=8, budget=20, priced=1, long=100)


def adversarial(settings: Settings) -> None:
    """All seeds; writes the tables and the pictures, and prints the tables."""
    sizes = QUICK if settings.smoke else Sizes()
    found, costs = [], ""
    for seed in range(settings.seeds):
        scene = Scene(settings, seed, sizes)
        found.append(judge(scene, settings.out / "b-maps.png" if seed == 0 else None))
        print(f"case B, seed {seed}: {found[-1].rows:,} rows in {found[-1].seconds:.0f} s of queries", flush=True)
        costs = costs or priced(scene)
    text = f"{report.report(found)}\n{costs}"
    (settings.out / "b.md").write_text(text)
    pictures.overview(report.apart(found), settings.out / "b-views.png")
    print(text)


# --- One seed


class Scene:
    """A network, its adversary's knowledge, and who plays which part."""

    def __init__(self, settings: Settings, seed: int, sizes: Sizes) -> None:
        self.data, self.sizes, self.seed = settings.images(), sizes, seed
        images, labels = self.data.images, self.data.labels
        self.net = nets.trained(nets.Residual, images, labels, seed, settings.nets, sizes.epochs)
        self.baseline = images.mean(0)
        self.con = views.session(self.net, self.data.classes)
        self.con.fit_heads("f", images[:4000], labels[:4000])
        self.heads = self.con.save_heads("f", settings.out / f"b-heads-{seed}.safetensors")
        self.read = truncated(self.net, self.heads)
        random = np.random.default_rng(seed)
        right = (nets.logits(self.net, self.data.test_images).argmax(1) == self.data.test_labels).numpy()
        tested = random.permutation(np.flatnonzero(right))[: sizes.judged + sizes.calibrating]
        self.judged, self.calibrating = tested[: sizes.judged], tested[sizes.judged :]
        taken = (nets.logits(self.net, images).argmax(1) == labels).numpy()
        each = [random.permutation(np.flatnonzero(taken & (labels.numpy() == label))) for label in range(10)]
        self.known = np.concatenate([found[: sizes.known] for found in each])
        self.own = np.concatenate([found[sizes.known : sizes.known + sizes.own] for found in each])
        self.wanted = (self.data.test_labels[self.judged] + torch.from_numpy(random.integers(1, 10, sizes.judged))) % 10

    def attacked(self) -> dict[str, Tensor]:
        """The judged pictures after each attack."""
        x, whole = self.data.test_images[self.judged], tiles(28, 4)
        centre = F.pad(tiles(14, 4), (7, 7, 7, 7), value=-1)

        def shapley(read: attacks.Reader, players: Tensor) -> attacks.Explanation:
            return attacks.Shapley(read, self.baseline, players, self.sizes.pairs, np.random.default_rng(self.seed))

        saliency = attacks.Saliency(self.net, 4)
        gradients = attacks.IntegratedGradients(self.net, self.baseline, 4)
        deceived: dict[str, list[attacks.Explanation]] = {
            "ADV² Shapley": [shapley(lambda batch: self.read(batch)[-1:], whole)],
            "ADV² saliency": [saliency],
            "ADV² layers": [shapley(self.read, whole)],
            "ADV² everything": [shapley(self.read, whole), shapley(self.read, centre), saliency, gradients],
        }
        found = {"PGD": attacks.pgd(self.net, x, self.wanted)}
        own, labels = self.data.images[self.own], self.data.labels[self.own]
        for name, explanations in deceived.items():
            aims = [attacks.benign(each, own, labels)[self.wanted] for each in explanations]
            found[name] = attacks.adv2(self.net, explanations, x, self.wanted, aims, self.sizes.steps)
        return found


def judge(scene: Scene, picture: Path | None) -> report.Judged:
    """Attacks the scene's pictures and looks at all of them in all views; draws one of them."""
    sets = {"benign": scene.data.test_images[scene.judged], **scene.attacked()}
    maps = {name: views.maps(scene.con, each, scene.baseline, scene.sizes.budget) for name, each in sets.items()}
    calibrating, known = (
        views.maps(scene.con, images, scene.baseline, scene.sizes.budget)
        for images in (scene.data.test_images[scene.calibrating], scene.data.images[scene.known])
    )
    far = views.distances(calibrating, known)
    suspicion = {name: (views.distances(each, known) - far.mean(0)) / far.std(0) for name, each in maps.items()}
    outputs = {name: nets.logits(scene.net, each) for name, each in sets.items()}
    if picture is not None:
        pictures.maps([expected(scene, known), *lines(scene, sets, maps)], picture)
    deceived = {name: (outputs[name].argmax(1) == scene.wanted).numpy() for name in suspicion if name != "benign"}
    everything = [*maps.values(), calibrating, known]
    return report.Judged(
        list(known.views),
        suspicion.pop("benign"),
        suspicion,
        deceived,
        {name: each.softmax(1).amax(1).double().numpy() for name, each in outputs.items()},
        in_order(scene, sets["benign"], sets["ADV² Shapley"], deceived["ADV² Shapley"]),
        sum(each.rows for each in everything),
        sum(each.seconds for each in everything),
    )


def in_order(scene: Scene, benign: Tensor, attacked: Tensor, deceived: NDArray[np.bool_]) -> dict[str, float]:
    """Benign and attacked pictures ranked by queries; their rows have been paid for by the views."""
    suspects = torch.cat([benign, attacked[deceived]])
    known, labels = scene.data.images[scene.known], scene.data.labels[scene.known]
    scene.con.register_input("known", known, baseline=scene.baseline, players="tile(7)", labels=labels)
    scene.con.register_input("suspects", suspects, baseline=scene.baseline, players="tile(7)")
    taken = {int(label): scene.data.classes[label] for label in scene.wanted[deceived].unique()}
    return ranked.ranked(scene.con, taken, len(benign), scene.sizes.budget)


def expected(scene: Scene, known: views.Maps) -> pictures.Line:
    """The mean benign picture, and maps, of the class for which the first judged picture is to be taken."""
    label = int(scene.wanted[0])
    image = scene.data.images[scene.data.labels == label].mean(0)
    means = {view: views.unit(each[known.classes == label].mean(0)) for view, each in known.views.items()}
    return pictures.Line(f"usual:\n{scene.data.classes[label]}", image, means)


def lines(scene: Scene, sets: dict[str, Tensor], maps: dict[str, views.Maps]) -> list[pictures.Line]:
    """The first judged picture as it is and after each attack."""
    first = [(name, each.classes[0], {view: of[0] for view, of in each.views.items()}) for name, each in maps.items()]
    return [
        pictures.Line(f"{name}:\n{scene.data.classes[label]}", sets[name][0], vectors) for name, label, vectors in first
    ]


def truncated(net: nn.Module, path: Path) -> Callable[..., list[Tensor]]:
    """A network and its heads, as anyone can write them down: a batch → the logits of f_1 … f_l (None: and of f)."""
    heads = load_file(path)

    def read(batch: Tensor, layers: int | None = None) -> list[Tensor]:
        found = []
        for name, stage in list(net.named_children())[:layers]:
            batch = stage(batch)
            weight, bias = (heads.get(f"{name}.{part}") for part in ("weight", "bias"))
            found.append(batch if weight is None else F.linear(batch.mean((2, 3)), weight, bias))
        return found

    return read


def tiles(side: int, across: int) -> Tensor:
    """The player of every pixel, (side, side), counted row by row."""
    place = torch.arange(side) * across // side
    return across * place[:, None] + place


def priced(scene: Scene) -> str:
    """What a few pictures' maps take, beside the same by hand."""
    x = scene.data.test_images[scene.calibrating[: scene.sizes.priced]]
    fresh = views.session(scene.net, scene.data.classes)  # which has paid for nothing yet
    fresh.load_heads("f", scene.heads)
    return cost.beside(fresh, scene.read, x, scene.baseline, tiles(28, 4), scene.sizes.budget, scene.sizes.long)
