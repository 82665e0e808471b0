"""The networks of a style generator (Karras et al. 2020, without noise and discriminator), and an encoder.

In: latents, codes, pictures scaled to about 0 to 1. Out: codes, pictures, the mean and logarithm of the variance of
latents. A picture begins as a learned constant, to which a linear map of the first level adds where things are; two
convolutions at each size follow, whose style is one level of the code. Sizes are doubled by giving four channels the
places of one (Shi et al. 2016). Knows tensors only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SMALLEST = 7  # shorter side of the first picture, at most
_MAPPING, _HIDDEN = 96, 128  # units between latents and codes, and before the encoder's latents
_SLOPE = 0.2  # of the rectifiers, for negative numbers
_CHANNELS = ((8, 48), (32, 32))  # up to a shorter side, this many channels
_FEWEST_CHANNELS = 16
_TINY = 1e-8
_LOG_VARIANCES = -10.0, 5.0


class ModulatedConv(nn.Module):
    """A 3 × 3 convolution whose weights are scaled by a style s (n, width), for each input picture anew:
    w' = s_i w_oikl, and w'' = w' / √(Σ_ikl w'² + 1e-8), so that the outputs keep their size. Then a bias, and a leaky
    rectifier."""

    def __init__(self, width: int, taken: int, made: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(made, taken, 3, 3) / math.sqrt(9 * taken))
        self.bias = nn.Parameter(torch.zeros(made))
        self.style = nn.Linear(width, taken)
        with torch.no_grad():
            self.style.weight.mul_(0.3)
            self.style.bias.fill_(1.0)

    def forward(self, inside: Tensor, code: Tensor) -> Tensor:
        """Pictures (n, made, h, w) of pictures (n, taken, h, w) and one level of codes (n, width)."""
        style = self.style(code)
        length = style.square() @ self.weight.square().sum(dim=(2, 3)).T
        # Scaling what goes in and what comes out is scaling the weights, with one convolution for all pictures.
        drawn = F.conv2d(inside * style[:, :, None, None], self.weight, padding=1)
        drawn = drawn * torch.rsqrt(length + _TINY)[:, :, None, None] + self.bias[:, None, None]
        return F.leaky_relu(drawn, _SLOPE) * math.sqrt(2)


class Drawer(nn.Module):
    """Codes (n, levels, width) to pictures (n, channels, height, width)."""

    def __init__(self, shape: Sequence[int], width: int) -> None:
        super().__init__()
        channels, *self.size = shape
        self.sizes = sizes_of(self.size)
        wide = [_channels(min(size)) for size in self.sizes]
        self.constant = nn.Parameter(torch.randn(wide[0], *self.sizes[0]))
        self.start = nn.Linear(width, self.constant.numel(), bias=False)
        layers = []
        for taken, made in zip(wide, [*(4 * each for each in wide[1:]), wide[-1]], strict=True):
            layers += [ModulatedConv(width, taken, taken), ModulatedConv(width, taken, made)]
        self.layers = nn.ModuleList(layers)
        self.last = nn.Conv2d(wide[-1], 4 * channels, 3, padding=1)

    def forward(self, codes: Tensor) -> Tensor:
        drawn = self.constant + self.start(codes[:, 0]).reshape(-1, *self.constant.shape)
        drawn = drawn.contiguous(memory_format=torch.channels_last)
        for level, layer in enumerate(self.layers):
            drawn = layer(drawn, codes[:, level])
            if level % 2 and level < len(self.layers) - 1:
                drawn = _doubled(drawn, self.sizes[level // 2 + 1])
        return _doubled(self.last(drawn), self.size)


class Encoder(nn.Module):
    """Pictures (n, channels, height, width) to the mean and the log variance of latents, each (n, latents)."""

    def __init__(self, shape: Sequence[int], latents: int) -> None:
        super().__init__()
        channels, *size = shape
        sizes = sizes_of(size)
        layers: list[nn.Module] = []
        for number in range(len(sizes)):
            made = 32 if number == 0 else 64
            layers += [nn.Conv2d(channels, made, 3, stride=2, padding=1), nn.LeakyReLU(_SLOPE)]
            channels = made
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(channels * math.prod(sizes[0]), _HIDDEN),
            nn.LeakyReLU(_SLOPE),
            nn.Linear(_HIDDEN, 2 * latents),
        )

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        mean, spread = self.head(self.body(pictures).flatten(1)).chunk(2, dim=1)
        return mean, spread.clamp(*_LOG_VARIANCES)


class StyleNets(nn.Module):
    """The three networks: latents to codes, codes to pictures, pictures to latents."""

    def __init__(self, shape: Sequence[int], latents: int, width: int) -> None:
        super().__init__()
        self.latents, self.width = latents, width
        self.mapping = nn.Sequential(nn.Linear(latents, _MAPPING), nn.LeakyReLU(_SLOPE), nn.Linear(_MAPPING, width))
        self.drawer = Drawer(shape, width)
        self.encoder = Encoder(shape, latents)

    @property
    def levels(self) -> int:
        """How many styles draw a picture: two for each size."""
        return len(self.drawer.layers)

    def latents_of(self, pictures: Tensor) -> Tensor:
        """The means (n, latents) that the encoder tells of pictures."""
        mean: Tensor = self.encoder(pictures)[0]
        return mean

    def drawn(self, latents: Tensor) -> Tensor:
        """The pictures of latents (n, latents), every level of whose codes is the same."""
        drawn: Tensor = self.drawer(self.mapping(latents)[:, None].expand(-1, self.levels, -1))
        return drawn


def sizes_of(size: Sequence[int]) -> list[tuple[int, int]]:
    """The sizes (height, width) at which a picture is drawn, from small to half of its own."""
    found = [_half(size)]
    while min(found[0]) > _SMALLEST:
        found.insert(0, _half(found[0]))
    return found


def _half(size: Sequence[int]) -> tuple[int, int]:
    return -(-size[0] // 2), -(-size[1] // 2)


def _channels(side: int) -> int:
    return next((channels for largest, channels in _CHANNELS if side <= largest), _FEWEST_CHANNELS)


def _doubled(drawn: Tensor, size: Sequence[int]) -> Tensor:
    """Pictures (n, c, *size) of pictures (n, 4 c, …) of half the size."""
    return F.pixel_shuffle(drawn, 2)[:, :, : size[0], : size[1]]
