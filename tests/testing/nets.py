"""The networks whose laws are checked: small ones of every kind, registered with two inputs or three."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import ialgebra


class Residual(nn.Module):
    """A block with BatchNorm and a skip connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)
        self.conv2, self.norm2 = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.relu(self.norm1(self.conv1(x)))
        return self.relu(x + self.norm2(self.conv2(inner)))


class Transformer(nn.Module):
    """Two layers of self-attention over embedded tokens, and the mean over time."""

    def __init__(self, words: int = 8, width: int = 8, classes: int = 3) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        layers = [nn.TransformerEncoderLayer(width, 2, 16, dropout=0.1, batch_first=True) for _ in range(2)]
        self.first, self.second = layers
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(self.embedding(x))).mean(1))


def interacting(batch: Tensor) -> Tensor:
    """No module: products of neighbours, and a bounded sum."""
    return torch.stack([(batch * batch.roll(1, 1)).sum(1), batch.sum(1).tanh(), batch.prod(1)], dim=1)


def session(name: str, seed: int = 0) -> ialgebra.Session:
    """f and its inputs x, y, z (two of them for tables)."""
    torch.manual_seed(seed)
    con = ialgebra.connect(progress=False)
    match name:
        case "cnn":
            layers = [nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3, stride=2), nn.Tanh(), nn.Dropout(0.5)]
            net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4))
            inputs = torch.randn(3, 3, 12, 12)
        case "residual":
            net = nn.Sequential(nn.Conv2d(3, 6, 3), Residual(6), Residual(6), nn.AdaptiveAvgPool2d(1), nn.Flatten())
            net.append(nn.Linear(6, 4))
            inputs = torch.randn(3, 3, 10, 10)
            for module in net.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.running_mean.normal_(0, 0.5)
                    module.running_var.uniform_(0.5, 2)
        case "transformer":
            net, inputs = Transformer(), torch.randint(1, 8, (3, 7))
        case "mlp":
            net = nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 8), nn.ReLU(), nn.Dropout(0.5))
            net.append(nn.Linear(8, 3))
            inputs = torch.randn(2, 8)
        case "callable":
            net, inputs = interacting, torch.randn(2, 6)
    con.register_model("f", net)
    for letter, each in zip("xyz", inputs, strict=False):
        con.register_input(letter, each)
    return con
