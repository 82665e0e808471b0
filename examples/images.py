"""What does each layer of a digit reader look at? A small CNN on scikit-learn's 8×8 digits, asked in queries.

    python examples/images.py [FOLDER]

Trains for a few seconds, fits a head on every layer, prints answers, and writes three pictures into FOLDER (default
./ialgebra-out).
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional as F

import ialgebra


def train(images: Tensor, labels: Tensor, epochs: int) -> nn.Module:
    """A network of images (1, 8, 8) → ten logits; its layers are the children that carry weights."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Sequential(nn.Flatten(), nn.Linear(128, 10)),
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.005)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
    return network.eval()


def main(out: Path, epochs: int = 8, budget: int = 1024) -> dict[str, ialgebra.Relation]:
    """Train, ask, print and draw; returns the answers by name."""
    out.mkdir(parents=True, exist_ok=True)
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32)[:, None] / 16
    seen, unseen, labels, truth = train_test_split(images, torch.tensor(data.target), test_size=0.3, random_state=0)
    network = train(seen, labels, epochs)
    with torch.inference_mode():
        outputs = network(unseen)
    right = (outputs.argmax(1) == truth).float().mean()
    print(f"accuracy on {len(unseen)} digits that training did not see: {right:.1%}")

    con = ialgebra.connect()
    con.register_model("f", network, classes=[f"a {digit}" for digit in "0123456789"])
    print(con.fit_heads("f", seen, labels))  # f_1, f_2 and f_3: the network cut after each layer, with a linear head
    for digit, name in ((3, "three"), (8, "eight")):
        clear = outputs[:, digit].masked_fill(truth != digit, -torch.inf).argmax()
        con.register_input(name, unseen[clear], players="tile(2)")  # 16 players of 2 × 2 pixels

    queries = {
        # Every layer's view of one digit, from one set of forward passes.
        "layers": f"select 1, 2, 3, * from f(eight) budget {budget}",
        # The left half only, pixel by pixel: drilling down.
        "half": f"select * from f(eight, players => pixels) where col < 4 budget {budget}",
        # What makes the eight no three, and the three no eight.
        "pair": f"select 2, * from f(eight) left join (select 2, * from f(three)) budget {budget}",
    }
    answers = {name: con.sql(query) for name, query in queries.items()}
    for name, answer in answers.items():
        path = out / f"images-{name}.png"
        answer.plot().savefig(path, dpi=120)
        print(f"\n{name}: {answer.query}\n{answer.text}\npicture: {path}")
    print("\n" + con.explain(queries["pair"]))
    return answers


if __name__ == "__main__":
    ialgebra.tune_process()
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "ialgebra-out"))
