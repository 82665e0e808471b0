"""What an analyst sees of pictures: their maps in several views, and how far these lie from benign ones.

In: a network, pictures that it is known to be right about, and pictures to judge. Out: a vector for each picture and
view, scaled to length 1; how far it lies from the benign ones' of the same class. Knows nothing of attacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

import ialgebra

Floats = NDArray[np.float64]

BUDGET = 128  # rows a game: 16 players take part in each
QUERIES = {
    # Every layer's view of the whole picture, in 16 tiles, from one set of forward passes.
    "whole": "select 1, 2, 3, 4, * from f(xs) budget {budget}",
    # The same of its centre, in 16 smaller tiles; what lies around stays at the baseline.
    "centre": "select 1, 2, 3, 4, * from f(xs, players => grid(4, 4)) where centre budget {budget}",
    # Other interpreters, two of which read gradients and not coalitions.
    "banzhaf": "select * from f(xs) using banzhaf() budget {budget}",
    "saliency": "select * from f(xs, players => tile(4)) using captum.Saliency()",
    "gradients": "select * from f(xs, players => tile(4)) using captum.IntegratedGradients(n_steps => 16)",
}


class Maps(NamedTuple):
    """Of n pictures: the class that each is taken for (n,), each view's vectors (n, cells), and what they took."""

    classes: NDArray[np.int64]
    views: Mapping[str, Floats]
    rows: int = 0
    seconds: float = 0.0


def session(net: nn.Module, classes: Sequence[str]) -> ialgebra.Session:
    """The analyst's session, without heads as yet."""
    con = ialgebra.connect(progress=False)
    con.register_model("f", net, classes=list(classes))
    con.register_window("centre", "box(7, 7, 21, 21)")
    return con


def maps(con: ialgebra.Session, images: Tensor, baseline: Tensor, budget: int = BUDGET) -> Maps:
    """All views of all pictures: one query, and so one plan, for each of `QUERIES`."""
    con.register_input("xs", images, baseline=baseline, players="tile(7)")
    views: dict[str, Floats] = {}
    rows, seconds = 0, 0.0
    for name, text in QUERIES.items():
        answer = con.sql(text.format(budget=budget))
        rows, seconds = rows + answer.stats.rows, seconds + answer.stats.seconds
        for item in range(len(answer) // len(images)):
            mine = [each for each in answer if each.item == item]
            views[f"{name} {mine[0].layer or '*'}"] = unit(np.array([each.values for each in mine]))
    return Maps(np.array([each.target for each in mine]), views, rows, seconds)


def unit(values: Floats) -> Floats:
    """Rows of length 1: what a map looks like, whatever the size of the logit that it explains."""
    return values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12)


def distances(maps: Maps, references: Maps, nearest: int = 5) -> Floats:
    """(n, views): how far a picture's map lies from the nearest references of the class that it is taken for."""
    far = np.empty((len(maps.classes), len(maps.views)))
    for column, (view, vectors) in enumerate(maps.views.items()):
        for label in np.unique(maps.classes):
            mine, theirs = maps.classes == label, references.classes == label
            gaps = np.linalg.norm(vectors[mine, None] - references.views[view][theirs], axis=-1)
            far[mine, column] = np.sort(gaps, axis=1)[:, :nearest].mean(axis=1)
    return far
