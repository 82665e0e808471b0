"""Draws the pictures of docs/concepts.md: `python docs/draw_concepts.py`. Needs Fashion-MNIST and five minutes or so.

In: the pictures of clothes that `examples.cases.fashion` finds. Out: docs/images/concepts-gallery.png,
docs/images/concepts-report.png, and the text of the report on stdout.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
EPOCHS, BATCH = 6, 64
DPI = 96


class LeNet(nn.Sequential):
    """The network of the paper for pictures of 28 × 28."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(
            *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
            *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes)),
        )


def trained(images: Tensor, labels: Tensor) -> nn.Module:
    """A network that tells the classes of clothes; the same at each call."""
    torch.manual_seed(0)
    net = LeNet()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(net(images[rows]), labels[rows]).backward()
            optimizer.step()
    return net.eval()


def draw(figure: Figure, name: str) -> None:
    """Write a picture of at most 256 colours, which is a third of its size."""
    path = IMAGES / f"concepts-{name}.png"
    figure.savefig(path, dpi=DPI)
    Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)
    print(path)


def main() -> None:
    sys.path.insert(0, str(ROOT))
    import ialgebra
    from examples.cases import fashion
    from ialgebra.models.concepts.metrics import USED_ABOVE

    data = fashion.load(train=20_000, test=2_000)
    con = ialgebra.connect(progress=False)
    con.register_model("f", trained(data.images, data.labels), classes=data.classes)
    con.register_input("xs", data.test_images, labels=[data.classes[int(each)] for each in data.test_labels])
    report = con.fit_concepts("f", data.images, data.labels)
    print(report)
    draw(report.plot(), "report")
    gallery = con.gallery("f")
    print(gallery)
    used = [row.name for row in gallery if row.classes and abs(row.classes[0][1]) > USED_ABOVE]
    draw(con.gallery("f", attributes=used).plot(), "gallery")
    gallery.save(ROOT / "bench-out" / "concepts-gallery.html")


if __name__ == "__main__":
    main()
