"""Which measurements make a tumour malignant? A small network on scikit-learn's breast cancer data, asked in queries.

    python examples/tabular.py [FOLDER]

Trains for a few seconds, prints answers, and writes two pictures into FOLDER (default ./ialgebra-out).
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional as F

import ialgebra


def train(features: Tensor, labels: Tensor, epochs: int) -> nn.Module:
    """A network of 30 measurements → two logits, which standardises its inputs itself."""
    torch.manual_seed(0)
    scale = nn.BatchNorm1d(features.shape[1], affine=False, momentum=None)  # momentum None: the plain mean
    network = nn.Sequential(scale, nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=0.05)
    for _ in range(epochs):
        optimizer.zero_grad()
        F.cross_entropy(network(features), labels).backward()
        optimizer.step()
    return network.eval()


def main(out: Path, epochs: int = 80, budget: int = 2000) -> dict[str, ialgebra.Relation]:
    """Train, ask, print and draw; returns the answers by name."""
    out.mkdir(parents=True, exist_ok=True)
    data = load_breast_cancer()
    features = torch.tensor(data.data, dtype=torch.float32)
    seen, unseen, labels, truth = train_test_split(
        features, torch.tensor(data.target), test_size=0.3, random_state=0, stratify=data.target
    )
    network = train(seen, labels, epochs)
    with torch.inference_mode():
        outputs = network(unseen)
    right = (outputs.argmax(1) == truth).float().mean()
    print(f"accuracy on {len(unseen)} patients that training did not see: {right:.1%}")

    con = ialgebra.connect()
    con.register_model("f", network, classes=list(data.target_names))
    con.register_input("everyone", seen)  # a collection: its mean is the baseline, "a typical patient"
    sure = (outputs[:, 0] - outputs[:, 1]).argsort(descending=True)  # from clearly malignant to clearly benign
    patients = {"anna": sure[5], "berta": sure[10], "clara": sure[15], "dora": sure[-10]}
    for name, index in patients.items():
        con.register_input(name, unseen[index], baseline="mean(everyone)", feature_names=list(data.feature_names))

    queries = {
        # One patient: what her measurements add to the score of her own diagnosis, compared with a typical patient.
        "anna": f"select * from f(anna) budget {budget}",
        # Only what concerns the size of the cell nuclei plays; the rest stays typical.
        "size": "create window size as feature in ('worst radius', 'worst perimeter', 'worst area', 'mean radius', "
        f"'mean perimeter', 'mean area'); select * from f(anna) where size budget {budget}",
        # Several patients with one diagnosis: the mean of their maps is what speaks for malignancy in general.
        "three": f"select * from f(anna) join (select * from f(berta)) join (select * from f(clara)) budget {budget}",
        # Two patients, each explained against the other.
        "pair": f"select * from f(anna) left join (select * from f(dora)) budget {budget}",
    }
    answers = {name: con.sql(query) for name, query in queries.items()}
    for name, answer in answers.items():
        print(f"\n{name}: {answer.query}\n{answer.text}")
        for a in answer:
            largest = sorted(zip(a.values, a.player_names(), strict=True), key=lambda pair: -abs(pair[0]))[:4]
            print(f"  {a.target_name}: " + ", ".join(f"{feature} {value:+.2f}" for value, feature in largest))
    for name in ("three", "pair"):
        path = out / f"tabular-{name}.png"
        answers[name].plot().savefig(path, dpi=120)
        print(f"picture: {path}")
    return answers


if __name__ == "__main__":
    ialgebra.tune_process()
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "ialgebra-out"))
