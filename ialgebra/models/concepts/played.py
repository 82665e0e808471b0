"""The head of a dictionary as a network of its own, which games over attributes are played on.

In: a registered model and a dictionary. Out: a network of codes (B, J) that gives the logits of the surrogate. Knows no
query and no registered input.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..network import Network
from .dictionary import ConceptHead, Dictionary


class PlayedHead(nn.Module):
    """Logits (B, C) of codes (B, J)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, head: ConceptHead) -> None:
        super().__init__()
        self.register_buffer("weight", head.weight)
        self.register_buffer("bias", head.bias)

    def forward(self, codes: Tensor) -> Tensor:
        """The logits of codes, row by row the same in any batch."""
        return ConceptHead(self.weight, self.bias)(codes)


class PlayedNetwork(Network):
    """A network of codes, and the model and the dictionary that it was made of."""

    made_of: tuple[Dictionary, Network]


def head_of(name: str, network: Network, dictionary: Dictionary) -> PlayedNetwork:
    """The head of a model on a dictionary, as a network `name` with the classes of the model. The model has to be
    probed."""
    classes = tuple(network.class_name(index) for index in range(network.class_count))
    meaning = network.outputs.meaning
    outputs = meaning if meaning in ("values", "multilabel") else "logits"
    head = dictionary.heads[network.name]
    made = PlayedNetwork(name, PlayedHead(head), None, classes, outputs=outputs)
    made.made_of = dictionary, network
    made.probe(torch.zeros(dictionary.size, dtype=head.weight.dtype))
    return made
