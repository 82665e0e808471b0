"""Small networks of every kind of operation that a prefix may hold, for series, pictures and volumes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Case(NamedTuple):
    """A network, and the shape of one input."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]


class Of(nn.Module):
    """A network of one function of the input."""

    def __init__(self, run: Callable[..., Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x, *self.parts)


class Residual(nn.Module):
    """Bottlenecks with norms, in-place activations and sums, as ResNets have them."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 3, stride=2, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(4))
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(4))
        self.relu = nn.ReLU(inplace=True)
        self.down = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.head = nn.Linear(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(x))
        for k in (0, 2):
            y = self.norms[k + 1](self.convs[k + 1](self.relu(self.norms[k](self.convs[k](x)))))
            y += x
            x = self.relu(y)
        x = self.down(x)
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class Dense(nn.Module):
    """Layers that read all before them, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3 + 2 * k, 2, 3, padding=1) for k in range(4))
        self.pool = nn.AvgPool2d(2)
        self.last = nn.Conv2d(11, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, F.relu(layer(x))], 1)
        return self.head(self.last(self.pool(x)).mean((2, 3)))


class UNet(nn.Module):
    """Down, up by transposed and by interpolated steps, and side by side with what came before."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 6, 3, padding=1)
        self.third = nn.Conv2d(6, 6, 3, padding=1)
        self.up = nn.ConvTranspose2d(6, 6, 2, stride=2)
        self.fourth = nn.Conv2d(12, 4, 3, padding=1)
        self.last = nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.first(x))
        b = F.relu(self.second(F.max_pool2d(a, 2)))
        c = F.relu(self.third(F.max_pool2d(b, 2)))
        d = self.fourth(torch.cat([self.up(c), b], 1))
        e = F.interpolate(d, scale_factor=2, mode="bilinear", align_corners=False)
        return self.last(torch.cat([e, a], 1)).mean((2, 3))


class ConvNeXt(nn.Module):
    """Depthwise convolutions, then linear maps and norms of each place with the channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 2, stride=2)
        self.depth = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.norm = nn.LayerNorm(4)
        self.wide, self.narrow = nn.Linear(4, 8), nn.Linear(8, 4)
        self.gamma = nn.Parameter(torch.full((4,), 0.5))
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.norm(self.depth(x).permute(0, 2, 3, 1))
        y = self.gamma * self.narrow(F.gelu(self.wide(y)))
        x = x + y.permute(0, 3, 1, 2)
        return self.head(x.mean([-2, -1]))


class Words(nn.Module):
    """A convolutional network of token ids."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 5)
        self.convs = nn.ModuleList([nn.Conv1d(5, 6, 3, padding=1), nn.Conv1d(6, 6, 3, padding=2, dilation=2)])
        self.head = nn.Linear(6, 3)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.table(ids).transpose(1, 2)
        for conv in self.convs:
            x = F.relu(conv(x))
        return self.head(x.max(dim=2).values)


class Excited(nn.Module):
    """Squeeze and excitation: every place sees the whole picture after the first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.gate = nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        x = x * torch.sigmoid(self.gate(F.adaptive_avg_pool2d(x, 1)))
        return self.head(F.relu(self.second(x)).mean((2, 3)))


def series() -> nn.Module:
    return Of(
        lambda x, net: net(x.transpose(1, 2)),
        nn.Sequential(*_series()),
    )


def _series() -> Iterator[nn.Module]:
    yield from (
        nn.Conv1d(2, 4, 5, padding=2),
        nn.BatchNorm1d(4),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(4, 6, 3, padding=1, groups=2),
        nn.Tanh(),
        nn.AvgPool1d(3, stride=2, padding=1),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )


def volume() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(1, 3, 3, padding=1),
        nn.BatchNorm3d(3),
        nn.ReLU(inplace=True),
        nn.MaxPool3d(2),
        nn.Conv3d(3, 4, 3, padding=1),
        nn.SiLU(),
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


def vgg() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 6, 3, padding=1),
        nn.Flatten(),
        nn.Linear(6 * 6 * 6, 3),
    )


NETWORKS: dict[str, Case] = {
    "residual": Case(Residual, (3, 24, 24)),
    "dense": Case(Dense, (3, 20, 20)),
    "u-net": Case(UNet, (3, 24, 24)),
    "convnext": Case(ConvNeXt, (3, 20, 20)),
    "vgg": Case(vgg, (3, 24, 24)),
    "series": Case(series, (40, 2)),
    "volume": Case(volume, (1, 10, 10, 10)),
    "words": Case(Words, (16,)),
    "excited": Case(Excited, (3, 16, 16)),
}
"""Whole networks, whose first layers see little of the input."""


def _modes(mode: str) -> Case:
    return Case(lambda: Of(lambda x, c: c(x), nn.Conv2d(3, 4, 3, padding=2, padding_mode=mode)), (3, 9, 11))


OPERATIONS: dict[str, Case] = {
    "stride, dilation": Case(
        lambda: Of(lambda x, c: c(x), nn.Conv2d(3, 4, (3, 2), (2, 3), (1, 0), (2, 1))), (3, 13, 14)
    ),
    "groups": Case(lambda: Of(lambda x, c: c(x), nn.Conv2d(4, 8, 3, groups=4)), (4, 9, 9)),
    "same": Case(lambda: Of(lambda x, c: c(x), nn.Conv2d(3, 2, 4, padding="same", dilation=2)), (3, 12, 12)),
    "reflect": _modes("reflect"),
    "replicate": _modes("replicate"),
    "circular": _modes("circular"),
    "conv function": Case(
        lambda: Of(lambda x, c: F.conv2d(x, c.weight, None, (2, 1), 1), nn.Conv2d(3, 4, 3)), (3, 9, 9)
    ),
    "transposed": Case(lambda: Of(lambda x, c: c(x), nn.ConvTranspose2d(3, 2, 3, 2, 1, 1, dilation=2)), (3, 6, 7)),
    "max pool": Case(lambda: Of(lambda x, p: p(x), nn.MaxPool2d(3, 2, 1, dilation=2, ceil_mode=True)), (3, 12, 13)),
    "mean pool": Case(lambda: Of(lambda x: F.avg_pool2d(x, 3, stride=2, padding=1, ceil_mode=True)), (3, 10, 11)),
    "adaptive": Case(lambda: Of(lambda x: F.adaptive_avg_pool2d(x, (3, 5))), (2, 10, 12)),
    "adaptive max": Case(lambda: Of(lambda x, p: p(x), nn.AdaptiveMaxPool2d((4, 3))), (2, 10, 11)),
    "pads": Case(lambda: Of(lambda x: F.pad(F.pad(x, (1, 2, 0, 3)), (2, 2, 1, 1), mode="reflect")), (2, 6, 6)),
    "cropped": Case(lambda: Of(lambda x: F.pad(x, (-1, 0, 2, -2))), (2, 6, 7)),
    "pad modules": Case(
        lambda: Of(lambda x, a, b: b(a(x)), nn.ZeroPad2d((1, 0, 2, 1)), nn.CircularPad2d(2)), (2, 6, 7)
    ),
    "nearest": Case(lambda: Of(lambda x: F.interpolate(x, scale_factor=2.5)), (2, 6, 7)),
    "bilinear": Case(lambda: Of(lambda x, u: u(x), nn.Upsample(size=(13, 5), mode="bilinear")), (2, 6, 7)),
    "corners": Case(
        lambda: Of(lambda x: F.interpolate(x, size=(11, 4), mode="bilinear", align_corners=True)), (2, 6, 7)
    ),
    "bicubic": Case(lambda: Of(lambda x: F.interpolate(x, scale_factor=(1.7, 0.6), mode="bicubic")), (2, 8, 9)),
    "slices": Case(lambda: Of(lambda x: x[:, 1:, ::2, 3] * x[..., 1:2, ::2, 0]), (3, 8, 8)),
    "shifted": Case(lambda: Of(lambda x: x[:, :, 1:] - x[:, :, :-1]), (2, 7)),
    "split": Case(lambda: Of(lambda x: torch.cat([x.chunk(3, 2)[k] * (k + 1) for k in range(3)], 1)), (1, 9)),
    "joined": Case(lambda: Of(lambda x: torch.cat([x[:, :, 4:], x, x.mean(2, keepdim=True)], 2)), (2, 8)),
    "merged": Case(lambda: Of(lambda x, f: f(x.flatten(2).transpose(1, 2)), nn.Linear(3, 2)), (3, 4, 5)),
    "broadcast": Case(lambda: Of(lambda x: x + x.mean(3, keepdim=True) * x[:, :1]), (2, 5, 6)),
    "unsqueezed": Case(lambda: Of(lambda x, c: c(x.unsqueeze(1)), nn.Conv2d(1, 3, (2, 3))), (6, 8)),
    "norms": Case(lambda: Of(lambda x, a, b: b(a(x)), nn.BatchNorm2d(3), nn.LayerNorm(6)), (3, 5, 6)),
    "channels of their own": Case(
        lambda: Of(lambda x, n, p: p(F.relu(n(x))), nn.BatchNorm2d(3), nn.AvgPool2d(2)), (3, 6, 6)
    ),
}
"""Single operations, each with a rule of its own."""
