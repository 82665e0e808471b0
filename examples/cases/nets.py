"""Two kinds of networks for 28 × 28 pictures, and their training: the same seed gives the same network.

In: `fashion.Data`. Out: networks (B, 1, 28, 28) → logits (B, 10) in evaluation mode. What was trained on the same
pictures in the same way is read from a folder, so that the cases of one run share their networks.
"""

from __future__ import annotations

import math
import time
from hashlib import sha256
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F


def convolution(wide: int, out: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(wide, out, 3, stride, padding=1, bias=False), nn.BatchNorm2d(out)]


class Stage(nn.Sequential):
    """Two convolutions and a pooling, as in VGG."""

    def __init__(self, wide: int, out: int) -> None:
        super().__init__(*convolution(wide, out), nn.ReLU(), *convolution(out, out), nn.ReLU(), nn.MaxPool2d(2))


class Vgg(nn.Sequential):
    """Three stages of convolutions and a linear layer over all that is left of the picture: 4 layers."""

    def __init__(self) -> None:
        super().__init__(Stage(1, 8), Stage(8, 16), Stage(16, 32), nn.Sequential(nn.Flatten(), nn.Linear(288, 10)))


class Block(nn.Module):
    """Two convolutions beside a shortcut, as in a residual network."""

    def __init__(self, wide: int, out: int, stride: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(*convolution(wide, out, stride), nn.ReLU(), *convolution(out, out))
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(wide, out, 1, stride)

    def forward(self, inside: Tensor) -> Tensor:
        return F.relu(self.shortcut(inside) + self.inner(inside))


class Residual(nn.Sequential):
    """A stem, three blocks, and a linear layer over the mean of the picture: 5 layers."""

    def __init__(self, channels: int = 1) -> None:
        stem = nn.Sequential(*convolution(channels, 16, stride=2), nn.ReLU())
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
        super().__init__(stem, Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2), head)


def train(kind: type[nn.Module], images: Tensor, labels: Tensor, seed: int, epochs: int = 4) -> nn.Module:
    """A new network of a kind: SGD on a one-cycle schedule, in batches of 128."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = kind().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
        steps = epochs * math.ceil(len(images) / 128)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)
        for _ in range(epochs):
            for batch in torch.randperm(len(images)).split(128):
                optimizer.zero_grad()
                F.cross_entropy(net(images[batch]), labels[batch]).backward()
                optimizer.step()
                schedule.step()
    return net.to(memory_format=torch.contiguous_format).eval().requires_grad_(False)


def trained(
    kind: type[nn.Module], images: Tensor, labels: Tensor, seed: int, folder: Path, epochs: int = 4
) -> nn.Module:
    """`train`, or the same network from `folder` if it was trained before on the same pictures and labels."""
    content = sha256(images.numpy().tobytes() + labels.numpy().tobytes() + f"{kind()} {epochs}".encode())
    path = folder / f"{kind.__name__.lower()}-{seed}-{content.hexdigest()[:12]}.safetensors"
    if path.exists():
        net = kind()
        net.load_state_dict(load_file(path))
        return net.eval().requires_grad_(False)
    start = time.perf_counter()
    net = train(kind, images, labels, seed, epochs)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, path)
    print(f"{kind.__name__} trained on {len(images):,} images, seed {seed}: {time.perf_counter() - start:.0f} s")
    return net


@torch.inference_mode()
def logits(net: nn.Module, images: Tensor) -> Tensor:
    """(n, 10), in batches."""
    return torch.cat([net(batch) for batch in images.split(512)])


def accuracy(net: nn.Module, images: Tensor, labels: Tensor) -> float:
    return float((logits(net, images).argmax(1) == labels).float().mean())
