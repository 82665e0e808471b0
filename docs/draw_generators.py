"""Draws the picture of docs/generators.md: `python -m docs.draw_generators`. Needs Fashion-MNIST, and the generator and
networks that `python -m benchmarks.generators` leaves in bench-out; without them some minutes.

In: pictures of clothes that no network was trained on. Out: docs/images/generators-style.png.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import torch
from matplotlib import pyplot
from PIL import Image
from torch import Tensor, nn

import ialgebra
from benchmarks.generators import OUT, asked, made
from examples.cases import fashion
from examples.cases.nets import Vgg, trained
from ialgebra.generators import StyleGenerator

PICTURE = Path(__file__).resolve().parent / "images" / "generators-style.png"
DPI, COUNT = 96, 10


def main() -> None:
    matplotlib.use("agg")
    torch.set_num_threads(1)
    data = fashion.load()
    generator, _ = made(data, quick=False, keep=True)
    assert isinstance(generator, StyleGenerator)
    net = trained(Vgg, data.images, data.labels, 1, OUT / "nets")
    chosen = torch.tensor([int((data.test_labels == each).nonzero()[3]) for each in range(COUNT)])
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", net, classes=data.classes)
        con.register_model("pixels", nn.Flatten(), outputs="values")
        con.register_input("xs", data.images[:1000])
        con.register_input("shown", data.test_images[chosen])
        con.register_input("x", data.test_images[chosen[6]])
        con.register_input("y", data.test_images[chosen[4]])
        con.register_generator("G", generator, collection="xs", block=64)
        con.register_axis("light", lambda batch: batch.mean(dim=(1, 2, 3)))

        def drawn(text: str) -> Tensor:
            answer = asked(con, f"predict pixels(target => all) from {text}")
            return torch.from_numpy(answer.models[0].target_scores).reshape(-1, *data.images.shape[2:])

        rows = {
            "inputs": data.test_images[chosen][:, 0],
            "reconstruct": drawn("reconstruct(shown)"),
            "refined": torch.zeros(0),
            "light, −3 to 3": drawn("latent(x, 'light', steps(-3, 3, 10))"),
            "mix, p 0 to 1": drawn("mix(x, y, p => steps(0, 1, 10))"),
            "as a bag": drawn("counterfactual(shown, target => 'bag', model => f, margin => 3)"),
            "samples": generator.synthesis(generator.samples(COUNT, seed=1))[:, 0],
        }
        con.register_generator("G", generator, collection="xs", block=64, refine=50)
        rows["refined"] = drawn("reconstruct(shown)")
    figure, axes = pyplot.subplots(len(rows), COUNT, figsize=(COUNT * 0.72 + 1.2, len(rows) * 0.74))
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        for axis, picture in zip(line, pictures, strict=True):
            axis.imshow(picture, cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            for edge in axis.spines.values():
                edge.set_visible(False)
    figure.subplots_adjust(left=0.16, right=0.995, top=0.995, bottom=0.005, wspace=0.04, hspace=0.04)
    figure.savefig(PICTURE, dpi=DPI)
    Image.open(PICTURE).convert("L").quantize(64).save(PICTURE, optimize=True)
    print(PICTURE)


if __name__ == "__main__":
    main()
