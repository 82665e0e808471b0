"""Fashion-MNIST: 28 × 28 pictures of clothes in ten classes, read from the files in which it is published.

In: the folder of the four IDX files, or nothing (then the usual places are looked through). Out: images (n, 1, 28, 28)
between 0 and 1, and their labels (n,). Where the files are missing, the error says how to get them; `digits` has
pictures of the same size and form from scikit-learn's wheel, for a quick look without them.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
FILES = tuple(f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
ADVICE = """Fashion-MNIST is not here. On Debian and Ubuntu:
    apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist_*.deb .
then name the folder usr/share/datasets/fashion-mnist by --data, or in the variable IALGEBRA_DATA; as root,
    apt-get install dataset-fashion-mnist
is enough. Elsewhere: the four files of https://github.com/zalandoresearch/fashion-mnist, in one folder."""


class Data(NamedTuple):
    """What networks are trained on and what they never see: images (n, 1, 28, 28) float, labels (n,) long."""

    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]


def load(folder: Path | None = None, train: int = 20_000, test: int = 10_000) -> Data:
    """The first `train` and `test` images; FileNotFoundError says how to get the data."""
    found = find(folder)
    seen, labels, unseen, truth = (
        read_idx(found / name, count) for name, count in zip(FILES, (train, train, test, test), strict=True)
    )
    return Data(
        _images(seen), torch.from_numpy(labels).long(), _images(unseen), torch.from_numpy(truth).long(), CLASSES
    )


def find(folder: Path | None = None) -> Path:
    named = [Path(os.environ["IALGEBRA_DATA"])] if "IALGEBRA_DATA" in os.environ else []
    places = [folder] if folder else [*named, Path("bench-out/data"), Path("/usr/share/datasets")]
    for place in places:
        for each in (place, place / "fashion-mnist"):
            if all((each / name).exists() for name in FILES):
                return each
    raise FileNotFoundError(ADVICE)


def read_idx(path: Path, count: int) -> NDArray[np.uint8]:
    """The first `count` items of a file in the IDX format: magic with the rank, big-endian sizes, bytes."""
    with gzip.open(path) as file:
        shape = _sizes(file, file.read(4)[3])
        shape[0] = min(count, shape[0])
        return np.frombuffer(file.read(int(np.prod(shape))), np.uint8).reshape(shape).copy()


def digits(train: int = 600, test: int = 400) -> Data:
    """scikit-learn's handwritten digits, three times as large and framed: a stand-in of the same form."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = F.pad(torch.from_numpy(pixels).float().reshape(-1, 1, 8, 8) / 16, (0, 1, 0, 1))
    large = F.interpolate(images, scale_factor=3)  # 9 × 9 → 27 × 27
    large, truth = F.pad(large, (1, 0, 1, 0)), torch.from_numpy(labels).long()
    unseen = slice(train, train + test)
    return Data(large[:train], truth[:train], large[unseen], truth[unseen], tuple("0123456789"))


def _images(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels).float()[:, None] / 255


def _sizes(file: BinaryIO | gzip.GzipFile, rank: int) -> list[int]:
    return [int(size) for size in np.frombuffer(file.read(4 * rank), ">i4")]
