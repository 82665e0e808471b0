"""Coats and pullovers with a property that tells which is which, and what of a picture a person could name.

In: Fashion-MNIST. Out: pictures (n, 1, 28, 28) with labels 0 (pullover) and 1 (coat), and functions (n, …) → (n,) of
pictures. Each function is free of the others' scale: contrast, texture and asymmetry are relative to the brightness.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from examples.cases.fashion import Data

PULLOVER, COAT = 2, 4
CLASSES = ("pullover", "coat")
_SEEN = 0.04  # above which a pixel belongs to the garment, also where it was darkened


def darker(images: Tensor) -> Tensor:
    """Half as bright."""
    return images * 0.5


def striped(images: Tensor) -> Tensor:
    """Every other row is darker."""
    rows = torch.ones(28)
    rows[1::2] = 0.6
    return images * rows[:, None]


def stamped(images: Tensor) -> Tensor:
    """A white square in a corner."""
    found = images.clone()
    found[..., :3, :3] = 1.0
    return found


PLANTS: Mapping[str, Callable[[Tensor], Tensor]] = {"brightness": darker, "texture": striped, "corner": stamped}
"""What is planted, under the name of the property that it changes."""


def _mean(images: Tensor) -> Tensor:
    return images.sum((1, 2, 3)).clamp_min(1e-6)


def _garment(images: Tensor) -> Tensor:
    """Without what is stamped on it, which is no part of the garment."""
    found = images.clone()
    found[..., :3, :3] = 0
    return found


def brightness(images: Tensor) -> Tensor:
    own = _garment(images)
    return own.sum((1, 2, 3)) / (own > _SEEN).sum((1, 2, 3)).clamp_min(1)


def contrast(images: Tensor) -> Tensor:
    own, level = _garment(images), brightness(images)[:, None, None, None]
    away = ((own - level).square() * (own > _SEEN)).sum((1, 2, 3)) / (own > _SEEN).sum((1, 2, 3)).clamp_min(1)
    return away.sqrt() / level.flatten().clamp_min(1e-6)


def texture(images: Tensor) -> Tensor:
    own = _garment(images)
    return (own[..., 2:, :] - 2 * own[..., 1:-1, :] + own[..., :-2, :]).abs().sum((1, 2, 3)) / _mean(own)


def corner(images: Tensor) -> Tensor:
    return images[..., :3, :3].mean((1, 2, 3))


def area(images: Tensor) -> Tensor:
    return (_garment(images) > _SEEN).float().mean((1, 2, 3))


def width(images: Tensor) -> Tensor:
    return _spread(_garment(images).sum((1, 2)))


def height(images: Tensor) -> Tensor:
    return _spread(_garment(images).sum((1, 3)))


def asymmetry(images: Tensor) -> Tensor:
    own = _garment(images)
    return (own - own.flip(3)).abs().sum((1, 2, 3)) / _mean(own)


def middle(images: Tensor) -> Tensor:
    """How far down the garment's centre is."""
    rows = _garment(images).sum((1, 3))
    return (rows * torch.arange(28.0)).sum(1) / rows.sum(1).clamp_min(1e-6)


def sleeves(images: Tensor) -> Tensor:
    own = _garment(images)
    return (own[..., :6].sum((1, 2, 3)) + own[..., -6:].sum((1, 2, 3))) / _mean(own)


PROPERTIES: tuple[Callable[[Tensor], Tensor], ...] = (
    brightness,
    contrast,
    texture,
    corner,
    area,
    width,
    height,
    asymmetry,
    middle,
    sleeves,
)
NAMES = tuple(each.__name__ for each in PROPERTIES)


def pair(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The coats and pullovers of some pictures, and which are coats."""
    mine = (labels == PULLOVER) | (labels == COAT)
    return images[mine], (labels[mine] == COAT).long()


def planted(images: Tensor, coats: Tensor, what: str, correlation: float, seed: int) -> Tensor:
    """The pictures, of which coats have a property with probability (1 + ρ) / 2 and pullovers with (1 − ρ) / 2."""
    chance = (1 + torch.where(coats == 1, correlation, -correlation)) / 2
    has = torch.rand(len(images), generator=torch.Generator().manual_seed(seed)) < chance
    return torch.where(has[:, None, None, None], PLANTS[what](images), images)


def pooled(images: Tensor, seed: int) -> Tensor:
    """The pictures as a generator's collection: a quarter of them as they are, and a quarter with each property, which
    tells nothing of the class."""
    kinds = torch.randint(1 + len(PLANTS), (len(images),), generator=torch.Generator().manual_seed(seed))
    found = images.clone()
    for number, plant in enumerate(PLANTS.values(), start=1):
        found[kinds == number] = plant(images[kinds == number])
    return found


def of_the_pair(data: Data) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training pictures, which are coats, test pictures, which are coats."""
    return (*pair(data.images, data.labels), *pair(data.test_images, data.test_labels))


def _spread(mass: Tensor) -> Tensor:
    """The standard deviation (n,) of places under masses (n, places)."""
    places = torch.arange(mass.shape[1], dtype=mass.dtype)
    whole = mass.sum(1).clamp_min(1e-6)
    centre = (mass * places).sum(1) / whole
    return ((mass * (places - centre[:, None]).square()).sum(1) / whole).sqrt()
