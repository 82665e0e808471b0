"""Heads: what makes a model f_l of a layer. Inputs (and labels) in; one trained linear map per layer out.

f_l is f cut after layer l with a re-trained linear head on top (Eq. 4, Fig. 4). A head averages a layer's output over
space or time and maps it to logits. With labels it is a multinomial logistic regression; without, f's own outputs
teach it (distillation). All layers are read in one streamed pass over the inputs, of which only the pooled features
are kept. Knows networks and tensors: no queries, no sessions.
"""

from __future__ import annotations

import hashlib
import json
import warnings
import zlib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor
from torch.nn import functional as F

from ..errors import BindError, IalgebraWarning, ShapeError
from ..system import disk
from .reading import LARGEST, Batch, collect, pooled
from .regression import Goal, fit

if TYPE_CHECKING:
    from .network import Network

HeadLabels = Sequence[int] | Sequence[float] | Sequence[str] | Tensor

_FORMAT, _VERSION = "ialgebra heads", 2  # version 1 had no digest


@dataclass(frozen=True, eq=False)
class Head:
    """A linear map on a layer's pooled output: `weight` (K, F), `bias` (K,), `pool` the dimensions to average over.

    `agreement` is the share of held-out inputs on which argmax f_l = argmax f; where K = 1, the share on the same
    side of 0 for a head fitted to 0/1 labels, else R² against f. `accuracy` is the same against the labels. NaN:
    nothing held out.
    """

    weight: Tensor
    bias: Tensor
    pool: tuple[int, ...]
    agreement: float = float("nan")
    accuracy: float | None = None
    ridge: float = 0.0

    def __call__(self, value: Tensor) -> Tensor:
        """Logits (B, K) from a layer's output (B, …); raises ShapeError where it has other features."""
        features = pooled(value, self.pool)
        if features.shape[1] != self.weight.shape[1]:
            raise ShapeError(
                f"a head for {self.weight.shape[1]} features met {features.shape[1]} (an input of another size?); "
                "train it on inputs of this shape"
            )
        return F.linear(features.to(self.weight.dtype), self.weight, self.bias)

    def to(self, device: torch.device) -> Head:
        """The same head on `device`."""
        return replace(self, weight=self.weight.to(device), bias=self.bias.to(device))


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
        return "\n".join(lines)


@torch.inference_mode(False)  # ordinary tensors come out, whatever mode the caller is in
def fit_heads(
    network: Network,
    inputs: Iterable[Batch] | Tensor,
    labels: HeadLabels | None = None,
    layers: Sequence[int | str] | None = None,
    *,
    seed: int = 0,
    holdout: float = 0.2,
    groups: Sequence[object] | None = None,
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


# Files ----------------------------------------------------------------------------------------------------------------


def save_heads(network: Network, path: str | Path) -> Path:
    """Writes the network's heads to a safetensors file, whole or not at all, and returns its path.

    Raises BindError where there are no heads, or the file cannot be written.
    """
    path = Path(path)
    if not network.heads:
        raise BindError(
            f"model '{network.name}' has no heads to save; train them with con.fit_heads(\"{network.name}\", inputs)"
        )
    try:
        disk.write(path, file_content(network.named_heads, weights_digest(network)))
    except (OSError, ValueError) as error:
        raise BindError(f"cannot write heads to '{path}': {getattr(error, 'strerror', None) or error}") from error
    return path


def file_content(heads: Mapping[str, Head], weights: str) -> bytes:
    """The file of some heads by layer name, trained on a model of these weights (`weights_digest`)."""
    tensors: dict[str, Tensor] = {}
    entries: list[dict[str, object]] = []
    for name, head in heads.items():
        tensors[f"{name}.weight"] = head.weight.cpu().contiguous()
        tensors[f"{name}.bias"] = head.bias.cpu().contiguous()
        measured = {"agreement": head.agreement, "accuracy": head.accuracy, "ridge": head.ridge}
        entries.append({"layer": name, "pool": head.pool, **measured})
    header = {"format": f"{_FORMAT} {_VERSION}", "heads": json.dumps(entries), "weights": weights}
    header["digest"] = _digest(header, tensors)
    return serialised(tensors, header)


def load_heads(network: Network, path: str | Path) -> None:
    """Sets the network's heads to those that `save_heads` wrote; before the network is probed, they wait for that.

    Layers are matched by name. Raises BindError for a missing, damaged or foreign file and for unknown layers,
    ShapeError for heads that do not fit their layers. Warns where the model's weights are not those that the heads
    were trained on.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = file.metadata() or {}
            version = _version(path, header.get("format"))
            # A file's tensors lie anywhere in memory; copies are aligned as trained ones are, which decides last bits.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a dict
            if version > 1 and header.get("digest") != _digest(header, tensors):
                raise BindError(f"'{path}' is damaged: its heads are not those that were saved; save them again")
            heads = {}
            for entry in json.loads(header["heads"]):
                name = str(entry["layer"])
                weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
                if weight.dim() != 2 or bias.shape != weight.shape[:1]:
                    raise ShapeError(
                        f"the head for layer '{name}' in '{path}' has shapes "
                        f"{tuple(weight.shape)} and {tuple(bias.shape)}"
                    )
                accuracy = None if entry["accuracy"] is None else float(entry["accuracy"])
                pool = tuple(int(dim) for dim in entry["pool"])
                heads[name] = Head(weight, bias, pool, float(entry["agreement"]), accuracy, float(entry["ridge"]))
    except OSError as error:
        raise BindError(f"cannot read heads from '{path}': {error.strerror or error}") from error
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise BindError(f"'{path}' is no file of heads, or is damaged: {error}") from error
    if header.get("weights") != weights_digest(network):
        warnings.warn(
            f"the heads in '{path}' were trained on other weights than those of model '{network.name}' now",
            IalgebraWarning,
            stacklevel=2,
        )
    network.attach(heads)


def _version(path: str | Path, told: object) -> int:
    """The version in a file's format; BindError where it is of no heads, or newer than this reader."""
    name, _, number = str(told).rpartition(" ")
    if name != _FORMAT or not number.isdecimal():
        raise BindError(f"'{path}' is no file of heads (its format is {told!r}, not '{_FORMAT} {_VERSION}')")
    if not 1 <= int(number) <= _VERSION:
        raise BindError(
            f"'{path}' was saved by a newer ialgebra (heads of format {number}; this one reads up to {_VERSION}); "
            "upgrade: pip install -U ialgebra"
        )
    return int(number)


def _digest(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """Names the content of a file of heads."""
    digest = hashlib.sha256("\0".join(header[key] for key in ("format", "heads", "weights")).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def weights_digest(network: Network) -> str:
    """A short name for the model's weights."""
    return f"{zlib.crc32(repr(network.weights_fingerprint()).encode()):08x}"
