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
from ..system.markup import preformatted
from .goals import alike, explained, goal_of, held, most_frequent
from .head import Head
from .network import Network
from .reading import LARGEST, Batch, collect
from .regression import fit

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


@dataclass(frozen=True, repr=False)
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

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return preformatted(str(self))


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
    N class indices or names (0/1 or numbers, where K = 1), in any iterable, or of classes that hold independently
    (N, K) of 0 and 1, and of values (N, K) numbers; without them f is distilled. A share
    `holdout` of the inputs, whole `groups` where given (N keys: crops of one photo, say, share one), is kept out and
    measures agreement. `progress` is called with the number of rows done. Equal seeds give equal heads. Raises
    BindError for fewer than two inputs, unknown layers or classes and arguments of other kinds, ShapeError for labels
    that do not match, ModelError for a failing model, ResourceError when memory runs out at one row.
    """
    if not isinstance(seed, Integral) or not 0 <= seed < 1 << 63:
        raise BindError(f"seed is {seed}; an integer from 0 to 2^63 − 1 is needed")
    check_holdout(holdout)
    read = collect(network, inputs, layers, batch_size or network.batch_size or 32, progress)
    rows = len(read.logits)
    if rows < 2:
        raise BindError(f"heads of model '{network.name}' need at least 2 inputs; got {rows}")
    truth = known_truth(network, read.labels if labels is None else labels, rows)
    reading = network.outputs
    goal = goal_of(read.logits, reading, truth)
    aside, checked = split(_members(groups, rows), holdout, seed)
    own = held(read.logits[aside], reading)
    counted = goal.soft is not None  # classes are counted, numbers compared

    def measured(guess: Tensor, other: Tensor, classes: Tensor) -> float:
        return alike(held(guess, reading.head), classes) if counted else explained(guess, other)

    fits: list[LayerFit] = []
    heads: dict[int, Head] = {}
    for index, features in read.features.items():
        layer = network.layers[index - 1]
        weight, bias, ridge = fit(features, goal, ~aside & ~checked, checked)
        guess = features[aside] @ weight.T + bias
        agreement = measured(guess, read.logits[aside], own)
        accuracy = None if truth is None else measured(guess, truth[aside], truth[aside])
        head = Head(weight, bias, layer.pool, agreement, accuracy, ridge)
        heads[index] = head.to(network.runs_on)
        fits.append(LayerFit(index, layer.name, layer.features, ridge, agreement, accuracy))
    network.heads.update(heads)
    count, majority = int(aside.sum()), most_frequent(own) if counted else 0.0
    return HeadReport(network.name, rows - count, count, majority, tuple(fits))


# Fitting --------------------------------------------------------------------------------------------------------------


def known_truth(network: Network, labels: HeadLabels | None, rows: int) -> Tensor | None:
    """Labels as the class (N,) of each input; of classes that hold independently, or of values, as numbers (N, K)."""
    if labels is None:
        return None
    if not isinstance(labels, Tensor):
        given = [network.class_index(each) if isinstance(each, str) else each for each in _listed(labels, "labels")]
        try:
            labels = torch.tensor(given)
        except (TypeError, ValueError, RuntimeError) as error:
            raise BindError(f"labels must be class indices or names, not {given!r:.60}") from error
    columns, reading = network.column_count, network.outputs
    apart = columns == 1 or reading.classes == "independent" or reading.meaning == "values"
    if labels.dim() > 0 and len(labels) != rows:
        raise ShapeError(f"{len(labels)} labels were given for {rows} inputs")
    if labels.dim() != 1 and not (apart and tuple(labels.shape) == (rows, columns)):
        one = f"one class index for each of {rows} inputs is needed"
        needed = f"numbers ({rows}, {columns}) are needed" if apart and columns > 1 else one
        raise ShapeError(f"labels have shape {tuple(labels.shape)}; {needed}")
    if columns == 1 or labels.dim() == 2:
        if labels.is_complex() or not float(labels.double().abs().max()) <= LARGEST:
            raise BindError(f"labels must be finite numbers below {LARGEST:g}")
        return labels.cpu().double().reshape(rows, columns)
    if reading.meaning == "values":
        raise ShapeError(f"labels have shape {tuple(labels.shape)}; numbers ({rows}, {columns}) are needed for values")
    if labels.is_floating_point() or labels.is_complex():
        raise BindError("labels are fractions; class indices or names are needed")
    for extreme in (int(labels.min()), int(labels.max())):
        network.class_index(extreme)
    return F.one_hot(labels.cpu().long(), columns) if apart else labels.cpu().long()


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


def check_holdout(holdout: float) -> None:
    """Raise BindError for what is no share of inputs that may be held out."""
    if not isinstance(holdout, Real) or not 0 <= holdout < 1:
        raise BindError(f"holdout is {holdout}; a share from 0 to below 1 is needed")


def split(member: Tensor, holdout: float, seed: int) -> tuple[Tensor, Tensor]:
    """Masks (N,), whole groups at a time: held out for the report, and set aside to choose the ridge by."""
    check_holdout(holdout)
    count = int(member.max()) + 1
    if count < 2 and holdout > 0:
        raise BindError("all inputs are of one group, so that none can be held out; give two groups or holdout=0")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    aside = min(count - 1, max(1, round(count * holdout))) if holdout > 0 else 0
    tuning = (count - aside) // 5
    return torch.isin(member, order[:aside]), torch.isin(member, order[aside : aside + tuning])
