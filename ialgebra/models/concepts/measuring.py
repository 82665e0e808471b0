"""Measuring a dictionary: attributes, outputs and labels of held-out inputs in; `ConceptFigures` out.

Knows tensors and readings of outputs, and what networks call their classes: no layers, no queries, nothing of how a
dictionary was found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ..goals import alike, explained, goal_of, held, most_frequent
from ..network import Network
from ..outputs import OutputReading
from . import metrics
from .dictionary import Dictionary
from .figures import TAUS, ConceptFigures, ConceptFit

_CONTROL_SEED = 0


def figures_of(
    dictionary: Dictionary,
    networks: Mapping[str, Network],
    codes: Tensor,
    outputs: Mapping[str, Tensor],
    truth: Tensor | None,
    *,
    fitted: int,
    reconstruction: float | None = None,
    seconds: float = math.nan,
) -> ConceptFigures:
    """The figures of a dictionary on held-out inputs: their attributes (N, J), each model's outputs (N, K), and labels
    as `fitting.known_truth` gives them."""
    fits = tuple(
        _fit_of(dictionary, networks[model], codes.float(), outputs[model], truth) for model in dictionary.models
    )
    return ConceptFigures(
        dictionary.name,
        dictionary.kind,
        read_from(dictionary),
        dictionary.names,
        fitted,
        len(codes),
        fits,
        reconstruction,
        seconds=seconds,
    )


def read_from(dictionary: Dictionary) -> str:
    """What the attributes are read from: 'conv2 and fc1 of f'."""
    return "; ".join(
        f"{' and '.join(layers)} of {model}" if layers else f"the input of {model}"
        for model, layers in dictionary.layers.items()
    )


def _fit_of(
    dictionary: Dictionary, network: Network, codes: Tensor, outputs: Tensor, truth: Tensor | None
) -> ConceptFit:
    head, reading = dictionary.heads[network.name], network.outputs
    outputs = outputs.cpu()
    guess = head(codes).to(outputs.dtype)
    chance = torch.randperm(len(codes), generator=torch.Generator().manual_seed(_CONTROL_SEED))
    regression = reading.meaning == "values"
    goal = goal_of(outputs, reading, None)
    classes, weight, repeated = _explained_classes(reading, outputs, head.weight.float(), codes)
    relevances = metrics.relevance(repeated, weight, classes)
    relevance = metrics.relevance_to_classes(relevances, classes, len(weight))
    counted = metrics.counts(codes, relevance)
    return ConceptFit(
        network.name,
        tuple(network.class_name(index) for index in range(network.class_count)),
        _agreement(guess, outputs, reading),
        0.0 if regression else most_frequent(held(outputs, reading)),
        _agreement(guess[chance], outputs, reading),
        None if truth is None else _agreement_with_truth(guess, truth, reading.head),
        None if truth is None else _agreement_with_truth(outputs, truth, reading),
        metrics.logit_r_squared(guess, outputs if goal.near is None else goal.near.to(guess.dtype)),
        tuple(metrics.conciseness(relevances, tau) for tau in TAUS),
        *counted,
        relevance.double().numpy(),
        regression,
    )


def _agreement(guess: Tensor, outputs: Tensor, reading: OutputReading) -> float:
    if reading.meaning == "values":
        return explained(guess, outputs)
    return alike(held(guess, reading.head), held(outputs, reading))


def _agreement_with_truth(outputs: Tensor, truth: Tensor, reading: OutputReading) -> float:
    if reading.meaning == "values":
        return explained(outputs, truth.to(outputs.dtype))
    found = held(outputs, reading)
    return alike(found, truth.long().reshape(found.shape) if truth.numel() == found.numel() else truth.argmax(dim=1))


def _explained_classes(
    reading: OutputReading, outputs: Tensor, weight: Tensor, codes: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The class that is explained of each input, a head's weight for each class, and the attributes: those of the
    predicted class. Outputs that are no alternatives are explained all, each input once for each."""
    if reading.classes == "pair":
        return reading.predictions(outputs), torch.cat([-weight, weight]), codes
    if reading.classes == "alternatives" and reading.meaning != "values":
        return outputs.argmax(dim=1), weight, codes
    every = torch.arange(outputs.shape[1]).repeat_interleave(len(codes))
    return every, weight, codes.repeat(outputs.shape[1], 1)
