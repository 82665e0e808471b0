"""Models that are affine in their input, as far as that can be read from them: a network in, its weights out.

Knows networks and tensors: no query, no plan, no registered input.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from ..kernels.forward import uncompiled
from .concepts import PlayedHead
from .network import Network
from .outputs import column


def is_affine(network: Network, output: str) -> bool:
    """Whether what is explained, as the kind `output` says, is known to be affine in the rows of a table."""
    module = uncompiled(network.module)
    if not isinstance(module, PlayedHead | nn.Linear) or network.preprocess is not None or network.reduce is not None:
        return False
    reading = network.outputs
    if network.behaviour.words or reading.meaning not in ("logits", "multilabel", "values"):
        return False
    return output == "logit" or (output == "log_odds" and reading.classes in ("pair", "independent"))


def weights_of(network: Network, target: int, output: str) -> Tensor:
    """What a unit of each feature adds to what is explained, (D,) float64, of a network that `is_affine`."""
    weight = cast(Tensor, uncompiled(network.module).weight)  # type: ignore[union-attr]
    columns = weight.detach().cpu().double().T
    return column(columns, target, output, network.outputs) - column(
        torch.zeros_like(columns[:1]), target, output, network.outputs
    )
