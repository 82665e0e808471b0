"""The figures of a dictionary on test data.

In: a network, a dictionary of it, a `Sample`. Out: one number a figure (shares in per cent), and the attributes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ialgebra.models import Network
from ialgebra.models.concepts import Dictionary, activations_of
from ialgebra.models.concepts.figures import TAUS
from ialgebra.models.concepts.measuring import figures_of

from .samples import Sample


class Measured(NamedTuple):
    """Figures by name, and of the test inputs the attributes (N, J) and whether g gives the class that f gives (N,)."""

    figures: dict[str, float]
    attributes: Tensor
    agrees: Tensor


def rows_of(network: Network, inputs: Tensor) -> Tensor:
    """The outputs (N, K) of a network."""
    return torch.cat([network.forward(some, [None])[None] for some in torch.split(inputs, 500)])


@torch.no_grad()
def measured(network: Network, dictionary: Dictionary, sample: Sample) -> Measured:
    """What a dictionary of model 'f' is worth on the test data."""
    attributes = rows_of(activations_of("f", {"f": network}, dictionary), sample.test_inputs)
    f, truth = rows_of(network, sample.test_inputs), sample.test_labels
    seen = figures_of(dictionary, {"f": network}, attributes, {"f": f}, truth, fitted=len(sample.inputs)).of("f")
    assert seen.accuracy is not None
    assert seen.own_accuracy is not None
    agrees = dictionary.heads["f"](attributes).argmax(dim=1) == f.argmax(dim=1)
    wrong = f.argmax(dim=1) != truth
    figures = {
        "accuracy of f": 100 * seen.own_accuracy,
        "accuracy of g": 100 * seen.accuracy,
        "fidelity": 100 * seen.fidelity,
        "CNS(2)": seen.conciseness[TAUS.index(2.0)],
        "used": float(seen.used),
        "shared": float(seen.shared),
        "logits R²": seen.logits,
        "shuffled": 100 * seen.shuffled,
        "majority": 100 * seen.majority,
        "f errs where g differs": share(wrong[~agrees]),
        "f errs elsewhere": share(wrong[agrees]),
    }
    return Measured(figures, attributes, agrees)


def share(held: Tensor) -> float:
    """How often something holds (N,), in per cent; NaN of none."""
    return 100 * float(held.double().mean()) if len(held) else math.nan
