"""FLINT (Parekh, Mozharovskyi and d'Alché-Buc, NeurIPS 2021): how an encoder, heads and a decoder are trained.

In: the hidden outputs of models, what the heads are to be near to. Out: the trained parts. The models are frozen here
(`by_design` trains them too). Losses: heads near the models' outputs; inputs rebuilt from the attributes; few
attributes active for an input, and different ones for different inputs. Ψ begins as an imitation of a nonnegative code
of the last hidden layer. Knows tensors and modules: nothing of files, reports or sessions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...system.stages import FittingProgress
from ..best import Best
from ..goals import alike, explained, held
from ..outputs import OutputReading
from ..regression import Goal, fit
from .encoders import Arm, JoinedArms, parts_of
from .factors import nmf, nonnegative_codes
from .hidden import HiddenOfInputs

_BATCH = 128
_WARM_STEPS, _STEPS, _FEWEST_EPOCHS = 300, 1000, 2
_LEARNING_RATE = 3e-3
_CHECKED_AT_MOST = 2_000  # inputs by which the best epoch is chosen
_NMF_ROWS = 8_000
_REBUILT_AT_MOST = 4_096  # numbers of an input up to which it is rebuilt; else the last hidden layer is
_LEAK = 0.05
_WIDE = 128  # of the decoder


@dataclass(frozen=True)
class FlintLosses:
    """The weights of the losses. `fidelity` is that of the cross-entropy to the model's probabilities, `logits` of the
    squared distance to its logits, in units of their variance; `rebuilt` of the squared error of the inputs, in units
    of their variance; `entropy` and `sparse` of those that keep few attributes active; `warm` of the
    squared distance to the attributes that it begins with, which makes dictionaries of several seeds alike; where it is
    0, it begins with nothing."""

    fidelity: float = 8.0
    logits: float = 10.0
    rebuilt: float = 0.5
    entropy: float = 0.3
    sparse: float = 0.1
    warm: float = 0.5


LOSSES = FlintLosses()
"""Those of `fit`."""


class FlintNets(nn.Module):
    """Ψ, a head for each model, and the decoder d."""

    def __init__(self, encoder: JoinedArms, classes: Sequence[int], numbers: int) -> None:
        super().__init__()
        size = len(encoder.unit)
        self.encoder = encoder
        self.heads = nn.ModuleList([nn.Linear(size, count) for count in classes])
        self.decoder = nn.Sequential(nn.Linear(size, _WIDE), nn.ReLU(), nn.Linear(_WIDE, numbers))

    def forward(self, hidden: Sequence[Tensor]) -> tuple[Tensor, list[Tensor], Tensor]:
        """Attributes (B, J), the logits of each head (B, K), and what the decoder makes of the attributes (B, D)."""
        attributes: Tensor = self.encoder(*hidden)
        return attributes, [head(attributes) for head in self.heads], self.decoder(attributes)


@dataclass(eq=False)
class Lessons:
    """What an interpreter is taught for N inputs: by model what its head is to be near to, and how it is read; `target`
    (N, D) is what the decoder is to rebuild, scaled to a variance of one, and `rebuilt` names it; `warm` (N, J) are the
    attributes that it begins with."""

    goals: Mapping[str, Goal]
    outputs: Mapping[str, Tensor]
    readings: Mapping[str, OutputReading]
    target: Tensor
    rebuilt: str
    warm: Tensor


def target_of(inputs: Tensor, teacher: Tensor, learned: Tensor) -> tuple[Tensor, str]:
    """What the decoder rebuilds, (N, D) with a variance of one in all: the inputs, if they are numbers of which there
    are not very many; else the last hidden layer. Missing values count as the mean."""
    plain = inputs.as_subclass(Tensor).cpu()
    small = plain[0].numel() <= _REBUILT_AT_MOST and plain.is_floating_point()
    values = plain.flatten(1).float() if small else teacher
    known = torch.where(torch.isfinite(values), values, torch.nan)
    mean = known[learned].nanmean(dim=0).nan_to_num()
    centred = (known - mean).nan_to_num()
    spread = centred[learned].square().mean().sqrt().clamp(min=1e-12)
    return centred / spread, "the input" if small else "the last hidden layer"


def warm_codes(teacher: Tensor, learned: Tensor, size: int, seed: int, progress: FittingProgress | None) -> Tensor:
    """Nonnegative codes (N, J) of the last hidden layer (N, F), each with a mean square of one."""
    rows = parts_of(teacher, signed=bool((teacher < 0).any()))
    which = learned.nonzero()[:, 0]
    which = which[torch.randperm(len(which), generator=torch.Generator().manual_seed(seed))[:_NMF_ROWS]]
    factors = nmf(rows[which], size, seed, progress)[0].float()
    factors = factors / factors.norm(dim=1, keepdim=True).clamp(min=1e-12)
    codes = torch.cat([nonnegative_codes(some, factors) for some in torch.split(rows, 4096)])
    return codes / codes[learned].square().mean(dim=0).sqrt().clamp(min=1e-12)


def learned_post_hoc(
    hidden: HiddenOfInputs,
    lessons: Lessons,
    fitted: Tensor,
    checked: Tensor,
    size: int,
    seed: int,
    losses: FlintLosses,
    progress: FittingProgress | None,
) -> tuple[FlintNets, bool]:
    """An interpreter of frozen models, learned from the inputs `fitted` (N,) bool; the epoch that does best on those
    `checked` is kept. Also whether Ctrl-C ended it."""
    checked_rows = checked.nonzero()[:, 0][:_CHECKED_AT_MOST]
    rows = fitted.clone()
    rows[checked.nonzero()[_CHECKED_AT_MOST:, 0]] = True
    rows_of_learning = rows.nonzero()[:, 0]
    interpreter = _new(hidden, lessons, rows_of_learning, size, seed)
    order = torch.Generator().manual_seed(seed)
    best = Best(interpreter)
    try:
        if losses.warm:
            _imitate(interpreter, hidden, lessons, rows_of_learning, order, progress)
        _refit(interpreter, lessons, hidden, rows, checked_rows)
        best.see(fidelity_of(interpreter, hidden, lessons, checked_rows))
        epochs = max(_FEWEST_EPOCHS, math.ceil(_STEPS * _BATCH / len(rows_of_learning)))
        optimizer = torch.optim.Adam(interpreter.parameters(), _LEARNING_RATE)
        steps = epochs * math.ceil(len(rows_of_learning) / _BATCH)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for epoch in range(epochs):
            for number, some in enumerate(batches_in_order(rows_of_learning, order)):
                optimizer.zero_grad()
                attributes, logits, rebuilt = interpreter(hidden.rows(some))
                goals = {name: goal.rows(some) for name, goal in lessons.goals.items()}
                loss = total_loss(losses, attributes, logits, rebuilt, goals, lessons.target[some])
                loss = loss + losses.warm * (attributes - lessons.warm[some]).square().mean()
                loss.backward()
                optimizer.step()
                schedule.step()
                if progress is not None:
                    progress("flint", epoch * math.ceil(len(rows_of_learning) / _BATCH) + number + 1, steps)
            best.see(fidelity_of(interpreter, hidden, lessons, checked_rows))
    except KeyboardInterrupt:
        best.restore()
        return interpreter, True
    best.restore()
    return interpreter, False


def total_loss(
    losses: FlintLosses,
    attributes: Tensor,
    logits: Sequence[Tensor],
    rebuilt: Tensor,
    goals: Mapping[str, Goal],
    target: Tensor,
) -> Tensor:
    """The sum of the losses of a batch."""
    loss = losses.rebuilt * (rebuilt - target).square().mean()
    for guess, goal in zip(logits, goals.values(), strict=True):
        loss = loss + losses.fidelity * _of_probabilities(guess, goal)
        if goal.near is not None and losses.logits:
            loss = loss + losses.logits * (guess - goal.near).square().mean() / goal.near.var().clamp(min=1e-12)
    shares = attributes / attributes.sum(dim=1, keepdim=True).clamp(min=1e-12)
    apart = _entropy(shares).mean() - _entropy(shares.mean(dim=0))
    return loss + losses.entropy * apart + losses.sparse * attributes.mean()


def _entropy(shares: Tensor) -> Tensor:
    """The entropy of shares (…, J), with gradients that are finite at shares of 0."""
    return -(shares * (shares + 1e-8).log()).sum(dim=-1)


def _of_probabilities(guess: Tensor, goal: Goal) -> Tensor:
    if goal.soft is None:
        return guess.new_zeros(())
    if goal.independent:
        return F.binary_cross_entropy_with_logits(guess, goal.soft)
    return -(goal.soft * torch.log_softmax(guess, dim=1)).sum(dim=1).mean()


def _new(hidden: HiddenOfInputs, lessons: Lessons, rows: Tensor, size: int, seed: int) -> FlintNets:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        arms = [Arm(layer.shape, layer.pool) for layer in hidden.layers]
        classes = [outputs.shape[1] for outputs in lessons.outputs.values()]
        interpreter = FlintNets(JoinedArms(arms, size), classes, lessons.target.shape[1])
    for arm, value in zip(arms, hidden.rows(rows[:1024]), strict=True):
        arm.scale.copy_(1 / value.square().mean().sqrt().clamp(min=1e-12))
    return interpreter


def _imitate(
    interpreter: FlintNets,
    hidden: HiddenOfInputs,
    lessons: Lessons,
    rows: Tensor,
    order: torch.Generator,
    progress: FittingProgress | None,
) -> None:
    """Teaches the encoder the warm codes, and the decoder to rebuild by them."""
    optimizer = torch.optim.Adam(interpreter.parameters(), _LEARNING_RATE)
    epochs = max(1, math.ceil(_WARM_STEPS * _BATCH / len(rows)))
    steps, done = epochs * math.ceil(len(rows) / _BATCH), 0
    for _ in range(epochs):
        for some in batches_in_order(rows, order):
            optimizer.zero_grad()
            # Leaky: an attribute that is 0 for all inputs at first would get no gradient, and stay so.
            attributes = F.leaky_relu(interpreter.encoder.before(*hidden.rows(some)), _LEAK)
            rebuilt = interpreter.decoder(attributes)
            near = (attributes - lessons.warm[some]).square().mean()
            (near + (rebuilt - lessons.target[some]).square().mean()).backward()
            optimizer.step()
            done += 1
            if progress is not None:
                progress("imitating nmf", done, steps)


@torch.no_grad()
def _refit(interpreter: FlintNets, lessons: Lessons, hidden: HiddenOfInputs, rows: Tensor, checked: Tensor) -> None:
    """Sets each head to the convex optimum for the attributes as they are."""
    attributes = torch.cat(
        [interpreter.encoder(*hidden.rows(some)) for some in torch.split(torch.arange(len(hidden)), 512)]
    )
    mask = torch.zeros(len(hidden), dtype=torch.bool)
    mask[checked] = True
    for head, goal in zip(interpreter.heads, lessons.goals.values(), strict=True):
        weight, bias, _ = fit(attributes, goal, rows & ~mask, mask)
        assert isinstance(head, nn.Linear)
        head.weight.copy_(weight)
        head.bias.copy_(bias)


@torch.no_grad()
def fidelity_of(interpreter: FlintNets, hidden: HiddenOfInputs, lessons: Lessons, rows: Tensor) -> float:
    """The mean fidelity to the models on some inputs; of none, the same always."""
    if not len(rows):
        return 0.0
    parts = [interpreter(hidden.rows(some))[1] for some in torch.split(rows, 512)]
    scores = []
    for place, (name, outputs) in enumerate(lessons.outputs.items()):
        guess, reading = torch.cat([part[place] for part in parts]), lessons.readings[name]
        if lessons.goals[name].soft is None:
            scores.append(explained(guess, outputs[rows]))
        else:
            scores.append(alike(held(guess, reading.head), held(outputs[rows], reading)))
    return sum(scores) / len(scores)


def batches_in_order(rows: Tensor, order: torch.Generator) -> Iterator[Tensor]:
    yield from torch.split(rows[torch.randperm(len(rows), generator=order)], _BATCH)
