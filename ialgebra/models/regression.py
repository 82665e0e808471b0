"""Linear maps from features to logits, by ridge-penalised L-BFGS. Tensors only: no networks, no layers.

Comes in: features (N, F) of one layer, and a goal for the logits. Goes out: the weight and bias of a head, and the
ridge that did best on the rows set aside for choosing it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

_RIDGES = (0.1, 0.01, 1e-3, 1e-4, 1e-5)  # tried from strong to weak, on standardised features
_DEFAULT_RIDGE = 0.01  # used if there are too few inputs to choose a ridge
_ITERATIONS = 50  # iterations of L-BFGS for each ridge
# The weight of the logits in distillation, beside the soft targets. Soft targets alone teach nothing about classes that
# no input shows. Measured with the last layer of EfficientNet-Lite0, on photos unlike those it was fitted to: without
# the logits it agreed with f on no photo, with them on half. Logits alone are worse at early layers.
_LOGIT_WEIGHT = 10.0

_LinearMap = tuple[Tensor, Tensor]  # weight (K, F), bias (K,)


class Goal(NamedTuple):
    """What logits are fitted to: probabilities (N, K) by cross-entropy, logits (N, K) by squares, or both. Columns are
    alternatives, or `independent`."""

    soft: Tensor | None
    near: Tensor | None
    independent: bool = False

    def rows(self, mask: Tensor) -> Goal:
        soft, near = (None if part is None else part[mask] for part in (self.soft, self.near))
        return Goal(soft, near, self.independent)

    def misfit(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The loss that is fitted, its gradient (N, K) by the logits, and the loss that ridges are chosen by."""
        rows, classes = logits.shape
        loss = choice = logits.new_zeros(())
        gradient = torch.zeros_like(logits)
        if self.soft is not None and not self.independent:
            log_p = torch.log_softmax(logits, dim=1)
            loss = -(self.soft * log_p).sum() / rows
            gradient = (log_p.exp() - self.soft) / rows
            # What can be gained: soft targets have an entropy that no fit removes.
            choice = loss - torch.special.entr(self.soft).sum() / rows
        elif self.soft is not None:
            loss = F.binary_cross_entropy_with_logits(logits, self.soft)
            choice = loss - (torch.special.entr(self.soft) + torch.special.entr(1 - self.soft)).mean()
            gradient = (torch.sigmoid(logits) - self.soft) / (rows * classes)
        if self.near is not None:
            apart = logits - self.near
            loss = loss + _LOGIT_WEIGHT / 2 * apart.square().mean()
            gradient = gradient + _LOGIT_WEIGHT / (rows * classes) * apart
        return loss, gradient, choice if self.soft is not None else loss


def fit(features: Tensor, goal: Goal, fitted: Tensor, checked: Tensor) -> tuple[Tensor, Tensor, float]:
    """Weight (K, F), bias (K,) and the ridge that did best on the `checked` rows; these fit the result too."""
    asked = goal.near if goal.soft is None else goal.soft
    if asked is not None:  # features of a model of doubles may be kept in single precision
        features = features.to(torch.promote_types(features.dtype, asked.dtype))
    used = fitted | checked
    spread, centre = torch.std_mean(features[used], dim=0, correction=0)
    spread = torch.where(spread > 1e-6 * spread.max(), spread, torch.ones_like(spread))
    scaled = (features - centre) / spread
    span = None
    if features.shape[1] > int(used.sum()):  # the solution lies in the span of the rows: fit there, in fewer dimensions
        span = torch.linalg.qr(scaled[used].T).Q
        scaled = scaled @ span
    ridge, start = _choose(scaled, goal, fitted, checked) if bool(checked.any()) else (_DEFAULT_RIDGE, None)
    weight, bias = _descend(scaled[used], goal.rows(used), ridge, start)
    weight = (weight if span is None else weight @ span.T) / spread
    return weight, bias - weight @ centre, ridge


def _choose(scaled: Tensor, goal: Goal, fitted: Tensor, checked: Tensor) -> tuple[float, _LinearMap]:
    """The chosen ridge and its map. Ridges are tried from strong to weak; the first is chosen after which the loss on
    the checked rows falls by less than half a percent."""
    best, chosen = float("inf"), _RIDGES[0]
    start = found = None
    for ridge in _RIDGES:
        start = weight, bias = _descend(scaled[fitted], goal.rows(fitted), ridge, start)
        loss = float(goal.rows(checked).misfit(scaled[checked] @ weight.T + bias)[2])
        if found is not None and not loss < 0.995 * best:
            break
        best, chosen, found = loss, ridge, start
    assert found is not None
    return chosen, found


def _descend(features: Tensor, goal: Goal, ridge: float, start: _LinearMap | None) -> _LinearMap:
    """Minimises misfit + ridge/2 · ‖W‖² by L-BFGS from `start`, or from the mean of what is asked for."""
    if start is None:
        example = goal.near if goal.near is not None else goal.soft
        assert example is not None
        weight = features.new_zeros(example.shape[1], features.shape[1])
        bias = example.mean(dim=0) if goal.near is not None else torch.log(example.mean(dim=0) + 1 / len(example))
    else:
        weight, bias = start[0].clone(), start[1].clone()
    solver = torch.optim.LBFGS([weight, bias], max_iter=_ITERATIONS, history_size=10, line_search_fn="strong_wolfe")

    def loss() -> float:
        value, gradient, _ = goal.misfit(torch.addmm(bias, features, weight.T))
        weight.grad = gradient.T @ features + ridge * weight
        bias.grad = gradient.sum(dim=0)
        return float(value + ridge / 2 * weight.square().sum())

    solver.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()
