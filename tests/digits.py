"""A session of scikit-learn's digits: three small nets, a linear generator with axes, a model of texts beside them.

In: nothing. Out: a session that is the same each time. Names hold quotes and tags, as users' names may.
"""

from __future__ import annotations

import torch
from torch import nn

import ialgebra
from ialgebra.generators import LinearGenerator

LIGHT = 'it\'s "light" </script>'
MODELS = {"f": 16, "g": 32, "h": 24}
"""The models' names, and how many units each has."""


class Words(nn.Module):
    """Positive for a token 3, wherever it stands."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        good = (tokens == 3).float().sum(1)
        return torch.stack([good, -good], 1)


def session(levels: int = 4, components: int = 40) -> ialgebra.Session:
    from sklearn.datasets import load_digits

    digits = load_digits()
    xs = torch.tensor(digits.images, dtype=torch.float32)[:200, None] / 16
    labels = torch.tensor(digits.target[:200])
    torch.manual_seed(0)
    con = ialgebra.connect(progress=False)
    for name, width in MODELS.items():
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
        optimiser = torch.optim.Adam(net.parameters(), 0.01)
        for _ in range(60):
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(xs), labels).backward()
            optimiser.step()
        con.register_model(name, net.eval(), classes=[str(k) for k in range(10)])
    con.register_model("words", Words(), classes=["good", "bad"])
    con.register_input("x", xs[3])
    con.register_input("y", xs[8])
    con.register_input("xs", xs, labels=digits.target[:200])
    con.register_input("review", torch.tensor([1, 3, 4, 5, 2, 6]), kind="tokens")
    con.register_generator("G", LinearGenerator.fit(xs, components, levels=levels), collection="xs")
    con.sql("create axis eight on G as score(f, '8')")
    con.register_axis(LIGHT, lambda batch: batch.mean(dim=(1, 2, 3)))
    return con
