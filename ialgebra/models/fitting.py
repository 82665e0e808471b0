"""Training heads: a network, inputs (and labels) in; one trained head per layer, and a report on them, out.

With labels a head is a multinomial logistic regression; without, f's own outputs teach it (distillation). All layers
are read in one streamed pass over the inputs, and only their pooled features are kept. Knows networks and tensors: no
queries, no sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import BindError, ShapeError, in_lines
from .head import Head
from .network import Network
from .reading import LARGEST, Batch, collect
from .regression import Goal, fit

HeadLabels = Iterable[int] | Iterable[float] | Iterable[str] | Tensor


@dataclass(frozen=True)
class LayerFit:
    """How well one layer's head does on the held-out inputs; see `Head`."""

    index: int
    name: str
    features: int
    ridge: float
    agreement: float
    accuracy: float | None


@dataclass(frozen=True)
class HeadReport:
    """What `fit_heads` did. `majority` is the agreement of always guessing the model's most frequent class: a floor."""

    model: str
    fitted: int
    held_out: int
    majority: float
    layers: tuple[LayerFit, ...]

    def __str__(self) -> str:
        lines = [
            f"heads of '{self.model}': fitted on {self.fitted} inputs, agreement with the model on {self.held_out} "
            f"held out (always its most frequent class: {self.majority:.2f})"
        ]
        for layer in self.layers:
            accuracy = "" if layer.accuracy is None else f"   accuracy {layer.accuracy:.2f}"
            place = f"{layer.index:>4}  {layer.name:<20}{layer.features:>7} features"
            lines.append(f"{place}   agreement {layer.agreement:.2f}{accuracy}")
        return in_lines(lines)


@torch.inference_mode(False)  # ordinary tensors come out, whatever mode the caller is in
def fit_heads(
    network: Network,
    inputs: Iterable[Batch] | Tensor,
    labels: HeadLabels | None = None,
    layers: Sequence[int | str] | None = None,
    *,
    seed: int = 0,
    holdout: float = 0.2,
    groups: Iterable[object] | Tensor | None = None,
    batch_size: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> HeadReport:
    """Trains heads of `layers` (default: all but the model's own output) and sets `network.heads`.

    `inputs` is a batch (N, *shape), or an iterable of single inputs, batches, or (batch, labels) pairs. `labels` are
    N class indices or names (0/1 or numbers, where K = 1), in any iterable; without them f is distilled. A share
    `holdout` of the inputs, whole `groups` where given (N keys: crops of one photo, say, share one), is kept out and
    measures agreement. `progress` is called with the number of rows done. Equal seeds give equal heads. Raises
    BindError for fewer than two inputs, unknown layers or classes and arguments of other kinds, ShapeError for labels
    that do not match, ModelError for a failing model, ResourceError when memory runs out at one row.
    """
    if not isinstance(holdout, Real) or not 0 <= holdout < 1:
        raise BindError(f"holdout is {holdout}; a share from 0 to below 1 is needed")
    if not isinstance(seed, Integral) or not 0 <= seed < 1 << 63:
        raise BindError(f"seed is {seed}; an integer from 0 to 2^63 − 1 is needed")
    read = collect(network, inputs, layers, batch_size or network.batch_size or 32, progress)
    rows = len(read.logits)
    if rows < 2:
        raise BindError(f"heads of model '{network.name}' need at least 2 inputs; got {rows}")
    targets = _targets(network, read.labels if labels is None else labels, rows)
    goal = _goal(read.logits, targets)
    held, checked = _split(_members(groups, rows), holdout, seed)
    fits: list[LayerFit] = []
    heads: dict[int, Head] = {}
    for index, features in read.features.items():
        layer = network.layers[index - 1]
        weight, bias, ridge = fit(features, goal, ~held & ~checked, checked)
        guess = features[held] @ weight.T + bias
        binary = goal.soft is not None
        agreement = _agreement(guess, read.logits[held], binary)
        accuracy = None if targets is None else _accuracy(guess, targets[held], binary)
        head = Head(weight, bias, layer.pool, agreement, accuracy, ridge)
        heads[index] = head.to(network.runs_on)
        fits.append(LayerFit(index, layer.name, layer.features, ridge, agreement, accuracy))
    network.heads.update(heads)
    votes = torch.bincount(_sides(read.logits[held]), minlength=1)
    majority = float(votes.max()) / max(1, int(held.sum())) if goal.soft is not None else 0.0
    return HeadReport(network.name, rows - int(held.sum()), int(held.sum()), majority, tuple(fits))


# Fitting --------------------------------------------------------------------------------------------------------------


def _targets(network: Network, labels: HeadLabels | None, rows: int) -> Tensor | None:
    """Labels (N,) as class indices, or as numbers where K = 1."""
    if labels is None:
        return None
    if not isinstance(labels, Tensor):
        given = [network.class_index(each) if isinstance(each, str) else each for each in _listed(labels, "labels")]
        try:
            labels = torch.tensor(given)
        except (TypeError, ValueError, RuntimeError) as error:
            raise BindError(f"labels must be class indices or names, not {given!r:.60}") from error
    if labels.dim() > 0 and len(labels) != rows:
        raise ShapeError(f"{len(labels)} labels were given for {rows} inputs")
    if labels.dim() != 1:
        raise ShapeError(
            f"labels have shape {tuple(labels.shape)}; one class index for each of {rows} inputs is needed"
        )
    if network.class_count == 1:
        if labels.is_complex() or not float(labels.double().abs().max()) <= LARGEST:
            raise BindError(f"labels must be finite numbers below {LARGEST:g}")
        return labels.cpu().double()
    if labels.is_floating_point() or labels.is_complex():
        raise BindError("labels are fractions; class indices or names are needed")
    for extreme in (int(labels.min()), int(labels.max())):
        network.class_index(extreme)
    return labels.cpu().long()


def _goal(logits: Tensor, targets: Tensor | None) -> Goal:
    """What to fit: the labels, or f's own outputs. Rows that are probabilities already are not softmaxed again."""
    if logits.shape[1] == 1:
        if targets is None:
            return Goal(None, logits)
        column = targets.to(logits.dtype).unsqueeze(1)
        return Goal(column, None) if bool(((column == 0) | (column == 1)).all()) else Goal(None, column)
    if targets is not None:
        return Goal(F.one_hot(targets, logits.shape[1]).to(logits.dtype), None)
    if bool((logits >= 0).all()) and bool(((logits.sum(dim=1) - 1).abs() < 1e-3).all()):
        return Goal(logits, None)
    return Goal(torch.softmax(logits, dim=1), logits)


def _members(groups: Iterable[object] | Tensor | None, rows: int) -> Tensor:
    """The number of each input's group (N,); without groups each is one of its own."""
    if groups is None:
        return torch.arange(rows)
    keys = _listed(groups.tolist() if isinstance(groups, Tensor) else groups, "groups")
    if len(keys) != rows:
        raise ShapeError(f"{len(keys)} groups were given for {rows} inputs")
    odd = next((key for key in keys if not isinstance(key, Hashable)), None)
    if odd is not None:
        raise BindError(f"groups must be a list of keys such as numbers or names; {odd!r:.60} is none")
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return torch.tensor([numbers[key] for key in keys])


def _listed(values: object, what: str) -> list[object]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise BindError(f"{what} must be a list with one entry for each input, not {type(values).__name__}")
    return list(values)


def _split(member: Tensor, holdout: float, seed: int) -> tuple[Tensor, Tensor]:
    """Masks (N,), whole groups at a time: held out for the report, and set aside to choose the ridge by."""
    count = int(member.max()) + 1
    if count < 2 and holdout > 0:
        raise BindError("all inputs are of one group, so that none can be held out; give two groups or holdout=0")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    aside = min(count - 1, max(1, round(count * holdout))) if holdout > 0 else 0
    tuning = (count - aside) // 5
    return torch.isin(member, order[:aside]), torch.isin(member, order[aside : aside + tuning])


# Measuring ------------------------------------------------------------------------------------------------------------


def _sides(logits: Tensor) -> Tensor:
    """The class that each row of logits stands for; for one output, whether it is above 0."""
    return logits.argmax(dim=1) if logits.shape[1] > 1 else (logits[:, 0] > 0).long()


def _agreement(guess: Tensor, own: Tensor, classes: bool) -> float:
    if len(guess) == 0:
        return float("nan")
    if classes:
        return float((_sides(guess) == _sides(own)).double().mean())
    return _explained(guess[:, 0], own[:, 0])


def _accuracy(guess: Tensor, targets: Tensor, classes: bool) -> float:
    if len(guess) == 0:
        return float("nan")
    return float((_sides(guess) == targets).double().mean()) if classes else _explained(guess[:, 0], targets)


def _explained(guess: Tensor, truth: Tensor) -> float:
    """R²; 0 where the truth does not vary."""
    spread = float((truth - truth.mean()).square().sum())
    return 1 - float((guess - truth).square().sum()) / spread if spread > 0 else 0.0
