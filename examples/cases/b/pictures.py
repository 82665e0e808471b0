"""The pictures of case B: what an attack does to the maps, and which views see it.

In: finished numbers. Out: files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from torch import Tensor

from .views import Floats

SHOWN = ("whole 1", "whole 2", "whole 3", "whole *", "centre *", "saliency *")


class Line(NamedTuple):
    """A picture (1, 28, 28) and its vectors, by view."""

    title: str
    image: Tensor
    vectors: Mapping[str, Floats]


def maps(lines: Sequence[Line], path: Path) -> None:
    """Pictures with their maps: red speaks for the class that a picture is taken for, blue against it."""
    across = 1 + len(SHOWN)
    figure, axes = plt.subplots(len(lines), across, figsize=(1.3 * across, 1.6 * len(lines)))
    figure.subplots_adjust(0.02, 0.02, 0.98, 0.95, hspace=0.4, wspace=0.1)
    for axes_of, (title, image, vectors) in zip(axes, lines, strict=True):
        axes_of[0].imshow(image[0].numpy(), cmap="gray", vmin=0, vmax=1)
        axes_of[0].set_title(title, fontsize=8)
        for axis, view in zip(axes_of[1:], SHOWN, strict=True):
            side = round(len(vectors[view]) ** 0.5)
            axis.imshow(vectors[view].reshape(side, side), cmap="RdBu_r", vmin=-0.7, vmax=0.7)
            axis.set_title(view, fontsize=8)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    figure.savefig(path, dpi=110)
    plt.close(figure)


def overview(auc: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """How well each view alone tells each attack from benign pictures."""
    attacks, views = list(auc), list(next(iter(auc.values())))
    values = np.array([[auc[attack][view] for view in views] for attack in attacks])
    figure, axis = plt.subplots(figsize=(0.6 * len(views) + 1.5, 0.5 * len(attacks) + 1.3), layout="constrained")
    axis.imshow(values, cmap="RdYlGn", vmin=0.3, vmax=1, aspect="auto")
    for (row, place), value in np.ndenumerate(values):
        axis.text(place, row, f"{value:.2f}", ha="center", va="center", fontsize=8)
    axis.set_xticks(range(len(views)), views, rotation=45, ha="right", fontsize=8)
    axis.set_yticks(range(len(attacks)), attacks, fontsize=8)
    axis.set_title("AUC of one view alone", fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)
