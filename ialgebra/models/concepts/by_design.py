"""FLINT by design: a module, inputs and labels in; the same module, trained further beside its interpreter, and the
dictionary, out.

The interpreter is learned post-hoc first. Then the module's own weights are trained too, by its labels and by how near
the head is to it; the module of the best epoch stays. It changes the module, in place. Knows networks and tensors: no
session.
"""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import BindError, IalgebraWarning
from ...kernels.forward import tapped, uncompiled
from ...system.stages import FittingProgress
from ..adapters import results
from ..fitting import HeadLabels, known_truth, split
from ..goals import alike, explained, goal_of, held
from ..network import Network
from ..outputs import OutputReading
from ..reading import Batch
from ..regression import Goal
from ..turns import turn
from .dictionary import Dictionary
from .fitting import Fitted, check_arguments, finished, lessons_of, of_interpreter
from .hidden import HiddenOfInputs, read_hidden
from .learning import (
    LOSSES,
    FlintLosses,
    FlintNets,
    Lessons,
    batches_in_order,
    fidelity_of,
    learned_post_hoc,
    total_loss,
)

_RATE_OF_MODEL, _RATE_OF_INTERPRETER = 3e-4, 1e-3
_LOSSES_TOGETHER = FlintLosses(fidelity=0.5, logits=0.0, entropy=0.1)
_MAY_LOSE = 0.003  # of the share of labels that the model predicts


def learn_by_design(
    network: Network,
    inputs: Iterable[Batch] | Tensor,
    labels: HeadLabels | None = None,
    layers: Sequence[int | str] | None = None,
    size: int = 25,
    name: str = "concepts",
    seed: int = 0,
    holdout: float = 0.2,
    epochs: int = 2,
    progress: FittingProgress | None = None,
) -> tuple[Dictionary, Fitted]:
    """Learns a dictionary of the network's module, which is trained by it for some `epochs`, in place.

    Takes what `fit` takes. Of the epochs that one stays which does best by the sum of the head's fidelity and the
    share of labels that the module predicts, on a part of the inputs that are not held out; it loses no more than .3 %
    of the labels that the module predicted before. Where no epoch does so, the module is as it was, which a warning
    says. Ctrl-C keeps the best so far. Raises BindError for a model that is no torch module and without labels, and
    what `fit` raises.
    """
    started = time.perf_counter()
    check_arguments(size, "flint", seed, holdout)
    module = uncompiled(network.module)
    if not isinstance(module, nn.Module) or not any(each.is_floating_point() for each in module.parameters()):
        raise BindError("to learn by design a torch.nn.Module with weights is needed; fit_concepts learns of any model")
    by_model = None if layers is None else {network.name: layers}
    hidden = read_hidden({network.name: network}, inputs, by_model, "flint", progress=progress)
    truth = known_truth(network, hidden.labels if labels is None else labels, len(hidden))
    if truth is None:
        raise BindError("to learn by design labels are needed; give labels=")
    aside, checked = split(torch.arange(len(hidden)), holdout, seed)
    lessons = lessons_of(hidden, aside, size, seed, progress)
    part = (~aside & ~checked, checked)
    nets, interrupted = learned_post_hoc(hidden, lessons, *part, size, seed, LOSSES, progress)
    if not interrupted:
        interrupted = _together(network, module, hidden, lessons, nets, truth, *part, seed, epochs, progress)
        again = {network.name: [layer.number for layer in hidden.layers]}
        hidden = read_hidden({network.name: network}, hidden.inputs, again, "flint", progress=progress)
        lessons = replace(lessons, outputs=hidden.outputs)
    learned = of_interpreter(hidden, nets, lessons, aside, interrupted=interrupted)
    return finished(hidden, learned, aside, truth, name, "flint", time.perf_counter() - started)


@dataclass(eq=False)
class _BestOfBoth:
    """The numbers of a model and its interpreter that did best so far, and how well: fidelity and accuracy added."""

    module: nn.Module
    nets: FlintNets
    score: float
    least: float  # the share of labels that the model has to predict

    kept: bool = False  # whether any epoch was good enough

    def __post_init__(self) -> None:
        self._keep()

    def see(self, score: float, accuracy: float) -> None:
        if accuracy >= self.least and score + accuracy >= self.score:
            self.score, self.kept = score + accuracy, True
            self._keep()

    def restore(self) -> None:
        self.module.load_state_dict(self.states[0])
        self.nets.load_state_dict(self.states[1])

    def _keep(self) -> None:
        self.states = copy.deepcopy(self.module.state_dict()), copy.deepcopy(self.nets.state_dict())


def _together(
    network: Network,
    module: nn.Module,
    hidden: HiddenOfInputs,
    lessons: Lessons,
    nets: FlintNets,
    truth: Tensor,
    fitted: Tensor,
    checked: Tensor,
    seed: int,
    epochs: int,
    progress: FittingProgress | None,
) -> bool:
    """Trains the module and the interpreter together. Whether Ctrl-C ended it."""
    name, reading = network.name, network.outputs
    # Also on those that epochs are chosen by: the module knows them already, and would forget them.
    rows, checked_rows = (fitted | checked).nonzero()[:, 0], checked.nonzero()[:, 0]
    order = torch.Generator().manual_seed(seed)
    accuracy = _accuracy(hidden.outputs[name][checked_rows], truth[checked_rows], reading)
    # The post-hoc interpreter is most faithful to the module as it was: any epoch that may be kept is better by design.
    best = _BestOfBoth(module, nets, -math.inf, accuracy - _MAY_LOSE)
    called = network.called(module)
    taps = [network.layers[layer.number - 1].tap for layer in hidden.layers if layer.number]
    groups = [
        {"params": [each for each in module.parameters() if each.is_floating_point()], "lr": _RATE_OF_MODEL},
        {"params": list(nets.parameters()), "lr": _RATE_OF_INTERPRETER},
    ]
    steps, done = epochs * math.ceil(len(rows) / 128), 0
    try:
        with turn(module), torch.random.fork_rng():
            torch.manual_seed(seed)  # what dropout draws
            for _ in range(epochs):
                with _training(module):
                    if done == 0:
                        optimizer = torch.optim.Adam(groups)
                        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
                    for some in batches_in_order(rows, order):
                        batch = network.ready(hidden.inputs[some])
                        optimizer.zero_grad()
                        found, raw = tapped(called, batch, taps, output=True, read=[lambda value: value] * len(taps))
                        outputs = results.logits(raw, len(some)).float()
                        goal = goal_of(outputs.detach(), reading, None)
                        codes, logits, rebuilt = nets(found or [batch.float()])
                        loss = _of_labels(outputs, truth[some], reading)
                        loss = loss + total_loss(
                            _LOSSES_TOGETHER, codes, logits, rebuilt, {name: goal}, lessons.target[some]
                        )
                        loss.backward()  # type: ignore[no-untyped-call]
                        optimizer.step()
                        schedule.step()
                        done += 1
                        if progress is not None:
                            progress("by design", done, steps)
                now = read_hidden(
                    {name: network},
                    hidden.inputs[checked_rows] if len(checked_rows) > 1 else hidden.inputs[:2],
                    {name: [layer.number for layer in hidden.layers if layer.number]},
                    "flint",
                )
                everything = torch.arange(len(now))
                score = fidelity_of(nets, now, replace(lessons, outputs=now.outputs), everything)
                best.see(score, _accuracy(now.outputs[name], truth[checked_rows], reading))
    except KeyboardInterrupt:
        best.restore()
        return True
    best.restore()
    if not best.kept:
        warnings.warn(
            "no epoch by design kept the accuracy of the module, which is as it was; its dictionary is that of a "
            "module that was not trained further: train with fewer or more epochs, or first by the labels alone",
            IalgebraWarning,
            stacklevel=2,
        )
    return False


@contextmanager
def _training(module: nn.Module) -> Iterator[None]:
    """A frame in which a module is trained. Afterwards its modes, its flags and its gradients are as before."""
    modes = [(each, each.training) for each in module.modules()]
    flags = [(each, each.requires_grad, each.grad) for each in module.parameters()]
    try:
        with torch.enable_grad():
            module.train()
            for each, _, _ in flags:
                each.grad = None
                if each.is_floating_point():
                    each.requires_grad_(True)
            yield
    finally:
        for part, mode in modes:
            part.training = mode
        for each, flag, gradient in flags:
            each.requires_grad_(flag)
            each.grad = gradient


def _of_labels(outputs: Tensor, truth: Tensor, reading: OutputReading) -> Tensor:
    """How far the model's outputs (B, K) are from the labels."""
    goal: Goal = goal_of(outputs, reading, truth)
    if goal.soft is None:
        assert goal.near is not None
        return (outputs - goal.near).square().mean()
    if reading.meaning in ("probabilities", "log_probabilities"):
        logs = outputs if reading.meaning == "log_probabilities" else outputs.clamp(min=1e-7).log()
        return -(goal.soft * logs).sum(dim=1).mean()
    if goal.independent or outputs.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(outputs, goal.soft.to(outputs.dtype))
    return -(goal.soft * torch.log_softmax(outputs, dim=1)).sum(dim=1).mean()


def _accuracy(outputs: Tensor, truth: Tensor, reading: OutputReading) -> float:
    """The share of labels that outputs agree with; of values R². Of none, 0."""
    if not len(outputs) or len(outputs) != len(truth):
        return 0.0
    if reading.meaning == "values":
        return explained(outputs, truth.to(outputs.dtype))
    found = held(outputs, reading)
    return alike(found, truth.long().reshape(found.shape))
