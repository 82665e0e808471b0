"""Pictures moved along axes of a generator, and by edits of pixels; what the scores of networks do then.

In: generators, networks by name, pictures. Out: for each network and each property, by how many standard deviations of
its scores the coat's log-odds change along one standard deviation of the property's axis.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

import ialgebra
from examples.cases import nets

from .planted import CLASSES, NAMES, PROPERTIES

if TYPE_CHECKING:
    from ialgebra import Scores

Floats = NDArray[np.float64]

PIXEL_EDITS = {"brightness": "brightness(test, 0.6)", "contrast": "contrast(test, 0.6)", "texture": "blur(test, 1)"}
"""Edits of pixels, by the property that they name."""


class Swept:
    """A session with one generator, its axes, and networks."""

    def __init__(self, generator: object, pool: Tensor, test: Tensor, networks: Mapping[str, nn.Module]) -> None:
        self.names = list(networks)
        self.con = con = ialgebra.connect(progress=False)
        con.register_input("pool", pool)
        con.register_input("test", test)
        con.register_generator("G", generator, collection="pool")
        for each in PROPERTIES:
            con.register_axis(each.__name__, each)
        for name, net in networks.items():
            con.register_model(name, net, classes=CLASSES)
        spreads = [_log_odds(net, test).std().item() for net in networks.values()]
        self.spread = np.array(spreads)[:, None]

    def effects(self) -> Floats:
        """(networks, properties): the change of the coat's log-odds a step, over the spread of these log-odds."""
        found = self.con.cross_effects(list(NAMES), self.names, "test")
        coat = [found.scores.index(f"{name}: coat") for name in self.names]
        return found.effects[:, coat].T / self.spread

    def pixel_effects(self) -> Floats:
        """(networks, edits): the same of edits of pixels."""
        asked = ", ".join(f"{name}(target => coat, output => log_odds)" for name in self.names)

        def scores(source: str) -> Floats:
            answer = cast("Scores", self.con.sql(f"predict {asked} from {source}"))
            return np.stack([each.target_scores[:, 0] for each in answer.models])

        before = scores("test")
        moved = [(scores(edit) - before).mean(axis=1) for edit in PIXEL_EDITS.values()]
        return np.stack(moved, axis=1) / self.spread

    def kept(self) -> dict[str, float]:
        """For each network, the share of the variance of its scores that is left after pictures were drawn again: what
        DESCRIBE says, which warns below one half."""
        said = str(self.con.sql("describe G"))
        return {name: int(share) / 100 for name, share in re.findall(r"model (\w+) keeps (\d+)%", said)}

    def curve(self, axis: str, reach: float = 2.0, count: int = 9) -> tuple[Floats, Floats]:
        """Steps (steps,) along an axis, and the mean log-odds of a coat there, (networks, steps), over their spread."""
        asked = ", ".join(f"{name}(target => coat, output => log_odds)" for name in self.names)
        question = f"predict {asked} from latent(test, '{axis}', steps({-reach}, {reach}, {count}))"
        answer = cast("Scores", self.con.sql(question))
        steps = np.unique(answer.steps)
        means = [[each.target_scores[answer.steps == t, 0].mean() for t in steps] for each in answer.models]
        return steps, np.array(means) / self.spread


def _log_odds(net: nn.Module, images: Tensor) -> Tensor:
    out = nets.logits(net, images)
    return out[:, 1] - out[:, 0]
