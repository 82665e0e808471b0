"""What one query for the maps of all layers takes, beside the same maps made by hand with Captum, at the same errors.

By hand, every layer's network is a function of its own, cut where it ends; Captum explains one function at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

import ialgebra

from .. import byhand
from .views import QUERIES


def beside(
    con: ialgebra.Session,
    read: Callable[[Tensor, int], list[Tensor]],
    images: Tensor,
    baseline: Tensor,
    players: Tensor,
    budget: int,
    long: int,
) -> str:
    """A sentence for the report; `con` is fresh, `read(batch, l)` gives the logits of the first l layers.

    Errors are those against values of `long` rows a game.
    """
    con.register_input("xs", images, baseline=baseline, players=players[None])
    answer = con.sql(QUERIES["whole"].format(budget=budget), seed=1)
    truth = con.sql(QUERIES["whole"].format(budget=long))
    estimated, exact = (by_layer(relation) for relation in (answer, truth))
    targets = torch.tensor([each.target for each in answer[: len(images)]])
    ours, theirs = [], []
    for layer, (values, reference) in enumerate(zip(estimated, exact, strict=True), start=1):
        ours.append(byhand.relative_error(values, reference))

        def cut(batch: Tensor, layer: int = layer) -> Tensor:
            return read(batch, layer)[-1]

        theirs.append(byhand.captum_cost(cut, images, baseline[None], players[None], targets, reference, ours[-1]))
    by_hand = byhand.Cost(*(sum(each) for each in zip(*theirs, strict=True)))._replace(
        error=float(np.mean([each.error for each in theirs]))
    )
    said = byhand.ratios(byhand.Cost(answer.stats.rows, answer.stats.seconds, float(np.mean(ours))), by_hand)
    doubt = np.mean([each.relative_error for each in truth])
    return (
        f"The maps of {len(exact)} layers, of {len(images)} pictures: {said}. (Errors are against {long:,} "
        f"rows a game, which are themselves off by {doubt:.1%}.)\n"
    )


def by_layer(relation: ialgebra.Relation) -> list[np.ndarray]:
    """Values (pictures, players) of each item of the select list."""
    items = sorted({each.item for each in relation})
    return [np.array([each.values for each in relation if each.item == item]) for item in items]
