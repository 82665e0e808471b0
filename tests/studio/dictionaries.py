"""A session whose models have dictionaries of concepts: pictures, texts, tables, hostile names, none at all.

In: nothing. Out: a session. Its dictionaries are given, not learned, so that their numbers are known.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

import ialgebra

CLASSES = ("tabby", "lynx", "it's")
NAMES = ("legs", "a'1", 'the "2"', "</script>", "a \\ b", "in", "ß 東京")
SIZE = 8
MANY = tuple(f"m{k}" for k in range(200))


def head(classes: int, size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A linear head (classes, size) of chance."""
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(classes, size, generator=chance), torch.randn(classes, generator=chance)


def columns(batch: Tensor) -> Tensor:
    """Attributes of pictures: the mean of each column of pixels but the last."""
    return batch.mean(dim=(1, 2))[:, : len(NAMES)]


class Words(nn.Module):
    """The mean of the embedding of the tokens, read by a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.linear = nn.Embedding(30, 4), nn.Linear(4, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        found: Tensor = self.linear(self.embedding(tokens).mean(1).relu())
        return found


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(SIZE * SIZE, 16), nn.ReLU(), nn.Linear(16, len(CLASSES))).eval()


def pictures(count: int = 12) -> Tensor:
    return torch.rand(count, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(3))


def session() -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        con.register_model("f", net(), classes=list(CLASSES))
        con.register_model("bare", net(1), classes=list(CLASSES))
        con.register_model("two", net(2), classes=list(CLASSES))
        con.register_model("many", net(3), classes=list(CLASSES))
        xs = pictures()
        con.register_input("x", xs[0])
        con.register_input("y", xs[1])
        con.register_input("xs", xs, labels=[CLASSES[k % 3] for k in range(len(xs))])
        con.sql("predict f, bare, two, many from x")
        con.register_concepts("f", columns, list(NAMES), head=head(3, len(NAMES)))
        con.register_concepts("two", columns, [f"a{k}" for k in range(len(NAMES))], head=head(3, len(NAMES), 1))
        con.register_concepts("two", "1", [f"n{k}" for k in range(16)], head=head(3, 16, 2), name="motifs")
        con.register_concepts("many", lambda batch: batch.mean(dim=(1, 2)).repeat(1, 25), list(MANY), head=head(3, 200))
        con.register_model("words", Words().eval(), classes=["bad", "good"])
        con.register_input("review", torch.tensor([1, 3, 4, 5, 2, 6]), kind="tokens", feature_names=list("abcdef"))
        con.register_input(
            "reviews", torch.randint(30, (5, 6), generator=torch.Generator().manual_seed(0)), kind="tokens"
        )
        con.sql("predict words from review")
        con.register_concepts("words", "embedding", ["w0", "w1", "w2", "w3"], head=head(2, 4))
        con.register_model(
            "t", nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)).eval(), classes=["no", "yes"]
        )
        con.register_input("person", torch.tensor([1.5, 2.0, -0.25]), feature_names=["age", "income", "debt"])
        con.register_input("people", torch.rand(6, 3), feature_names=["age", "income", "debt"])
        con.sql("predict t from person")
        con.register_concepts("t", "1", [f"t{k}" for k in range(5)])
    return con
