"""What heads are taught, and how well they learned it: a model's outputs, labels, a reading in; goals and shares out.

Heads always give logits, or the model's own numbers where these are values: probabilities and log-probabilities are
fitted as what a sigmoid or softmax of the head's logits should be. Knows tensors and readings: no layers, no inputs.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .outputs import OutputReading
from .regression import Goal


def goal_of(outputs: Tensor, reading: OutputReading, truth: Tensor | None) -> Goal:
    """What the logits of a head are fitted to: the labels (see `known_truth`), or the model's `outputs` (N, K)."""
    if truth is not None:
        wide = truth.to(outputs.dtype) if truth.dim() == 2 else F.one_hot(truth, outputs.shape[1]).to(outputs.dtype)
        shares = reading.meaning != "values" and _are_shares(wide, reading)
        return Goal(wide, None, truth.dim() == 2) if shares else Goal(None, wide)
    alternatives = reading.classes == "alternatives"
    match reading.meaning:
        case "values":
            return Goal(None, outputs)
        case "probabilities" | "log_probabilities":
            p = outputs if reading.meaning == "probabilities" else outputs.exp()
            return Goal(p.clamp(0, 1), _logits(p, alternatives=alternatives), not alternatives)
    if outputs.shape[1] == 1:
        return Goal(None, outputs)
    return Goal(torch.softmax(outputs, dim=1) if alternatives else torch.sigmoid(outputs), outputs, not alternatives)


def _logits(p: Tensor, *, alternatives: bool) -> Tensor:
    """Logits of probabilities, those of alternatives with a mean of 0: a sum that is the same for all classes is lost.
    Probabilities of 0 and 1 have none; they are taken to miss them by the rounding of their type."""
    least = torch.finfo(p.dtype).eps
    if alternatives:
        logs = p.clamp(min=least).log()
        return logs - logs.mean(dim=1, keepdim=True)
    return p.clamp(least, 1 - least).logit()


def _are_shares(wide: Tensor, reading: OutputReading) -> bool:
    """Whether labels say which classes hold: by 0 and 1, or by shares of them for a model of probabilities."""
    if reading.meaning in ("logits", "multilabel"):
        return bool(((wide == 0) | (wide == 1)).all())
    return bool(((wide >= 0) & (wide <= 1)).all())


def held(outputs: Tensor, reading: OutputReading) -> Tensor:
    """The class (N,) that each row stands for; for classes that hold independently, which do, (N, K) of 0 and 1."""
    if reading.classes == "alternatives":
        return outputs.argmax(dim=1)
    logits = reading.of_head or reading.meaning in ("logits", "multilabel")
    half = 0.0 if logits else 0.5 if reading.meaning == "probabilities" else -0.6931471805599453  # log ½
    return (outputs > half).long()


def alike(one: Tensor, other: Tensor) -> float:
    """The share of classes that agree; NaN of none."""
    return float((one == other).double().mean()) if len(one) else float("nan")


def explained(guess: Tensor, truth: Tensor) -> float:
    """R² of numbers (N, K), the mean over the columns; of a column that does not vary, 0. NaN of none."""
    if not len(guess):
        return float("nan")
    spread = (truth - truth.mean(dim=0)).square().sum(dim=0)
    wrong = (guess - truth).square().sum(dim=0)
    shares = [1 - float(w) / float(s) if s > 0 else 0.0 for w, s in zip(wrong, spread, strict=True)]
    return sum(shares) / len(shares)


def most_frequent(found: Tensor) -> float:
    """The agreement of always guessing what most rows stand for: the class (N,), or each class by itself (N, K)."""
    if not len(found):
        return 0.0
    if found.dim() == 1:
        return float(torch.bincount(found).max()) / len(found)
    shares = found.double().mean(dim=0)
    return float(torch.maximum(shares, 1 - shares).mean())
