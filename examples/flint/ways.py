"""The ways in which a dictionary is learned: a network and a `Sample` in, what it is worth on the test data out.

Each is a function (network, sample, seed, size) → `Measured`. Figures have beside them R² of what the attributes are to
rebuild and the minutes of the CPU, with one thread.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence

import torch
from torch import nn

from ialgebra.models import Network
from ialgebra.models.concepts import Dictionary, Fitted, fit
from ialgebra.models.concepts.by_design import learn_by_design
from ialgebra.models.concepts.dictionary import ConceptKind
from ialgebra.models.concepts.learning import LOSSES, FlintLosses

from .measuring import Measured, measured
from .nets import LeNet
from .samples import Sample

Way = Callable[[nn.Module, Sample, int, int], Measured]

NO_WARM_START = FlintLosses(warm=0.0)


def paper_losses(sample: Sample) -> FlintLosses:
    """The weights of the authors' code for MNIST and Fashion-MNIST (github.com/jayneelparekh/FLINT), in our units: the
    input is rebuilt in units of its own variance here. Nothing there asks for logits, or for a warm start."""
    pixels = sample.inputs.flatten(1)
    variance = float((pixels - pixels.mean(dim=0)).square().mean())
    return FlintLosses(fidelity=0.5, logits=0.0, rebuilt=0.8 * variance, entropy=0.2, sparse=0.1, warm=0.0)


def post_hoc(
    kind: ConceptKind = "flint",
    layers: Sequence[int] | None = None,
    losses: Callable[[Sample], FlintLosses] = lambda _: LOSSES,
) -> Way:
    """A dictionary of a network as it is."""

    def way(net: nn.Module, sample: Sample, seed: int, size: int) -> Measured:
        network = Network("f", net)
        return _timed(
            network,
            sample,
            lambda: fit(
                *({"f": network}, sample.inputs, sample.labels, layers, size),
                kind=kind,
                seed=seed,
                losses=losses(sample),
            ),
        )

    return way


def by_design(epochs: int = 2) -> Way:
    """A dictionary of a copy of a network, which is trained further beside it."""

    def way(net: nn.Module, sample: Sample, seed: int, size: int) -> Measured:
        network = Network("f", copy.deepcopy(net))
        return _timed(
            network,
            sample,
            lambda: learn_by_design(network, sample.inputs, sample.labels, size=size, seed=seed, epochs=epochs),
        )

    return way


def from_scratch(epochs: int) -> Way:
    """By design, of a network that was not trained before, as the paper does."""

    def way(net: nn.Module, sample: Sample, seed: int, size: int) -> Measured:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            fresh = copy.deepcopy(net)
            for each in fresh.modules():
                if isinstance(each, nn.Conv2d | nn.Linear):
                    each.reset_parameters()
        return by_design(epochs)(fresh, sample, seed, size)

    return way


def _timed(network: Network, sample: Sample, learn: Callable[[], tuple[Dictionary, Fitted]]) -> Measured:
    started = time.process_time()
    dictionary, seen = learn()
    minutes = (time.process_time() - started) / 60
    found = measured(network, dictionary, sample)
    return found._replace(figures=found.figures | {"R²": seen.reconstruction, "CPU minutes": minutes})


DEFAULT, BY_DESIGN = "post-hoc", "by design"
WAYS: dict[str, Way] = {DEFAULT: post_hoc(), BY_DESIGN: by_design()}
"""What is measured of every network."""

ABLATIONS: dict[str, Way] = {
    "post-hoc, no warm start": post_hoc(losses=lambda _: NO_WARM_START),
    "post-hoc, convolution only": post_hoc(layers=[LeNet.CONVOLUTION]),
    "post-hoc, convolution only, the paper's weights": post_hoc(layers=[LeNet.CONVOLUTION], losses=paper_losses),
    "post-hoc, the paper's weights": post_hoc(losses=paper_losses),
    "by design, from an untrained net": from_scratch(epochs=4),
    "nonnegative directions of the last hidden layer (nmf)": post_hoc("nmf"),
    "sparse autoencoder of it (sae)": post_hoc("sae"),
}
"""What is measured of the LeNet on Fashion-MNIST too."""
