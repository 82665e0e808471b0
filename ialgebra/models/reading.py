"""Reading layers: a stream of inputs in; every wanted layer's pooled features, and the model's logits, out.

One pass serves all layers, and only features and logits are kept. Knows networks and tensors: nothing of what is
fitted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import BindError, ModelError, ResourceError, ShapeError
from ..system.shortage import is_out_of_memory
from .head import pooled
from .network import Network

LARGEST = 1e15  # numbers beyond it have squares, summed over classes and inputs, that float32 cannot hold

Batch = Tensor | tuple[Tensor, Tensor] | list[Tensor]


class HiddenOutputs(NamedTuple):
    """What a pass over N inputs leaves."""

    features: dict[int, Tensor]  # layer → (N, F)
    logits: Tensor  # (N, K)
    labels: Tensor | None  # (N,), where the inputs brought their own


def collect(
    network: Network,
    inputs: Iterable[Batch] | Tensor,
    layers: Sequence[int | str] | None,
    batch_size: int,
    progress: Callable[[int], None] | None,
) -> HiddenOutputs:
    """One pass over the inputs: pooled features of every wanted layer, and the model's logits, on the CPU.

    Raises BindError where `inputs` holds none or no tensors, ShapeError where they differ in shape, ModelError for a
    failing model, ResourceError when memory runs out at one row.
    """
    features: dict[int, list[Tensor]] = {}
    logits: list[Tensor] = []
    labels: list[Tensor] = []
    done = 0
    for batch, batch_labels in batches_of(network, inputs, batch_size):
        batch = network.whole(batch)
        if not network.probed:
            network.probe(batch[0])
        if not features:
            features = {index: [] for index in _wanted(network, layers)}
        readers = {index: _pooler(network.layers[index - 1].pool) for index in features}
        with network.running():
            for values, own in read_in_parts(network, batch, readers):
                logits.append(own)
                for index, value in values.items():
                    features[index].append(value)
        if batch_labels is not None:
            labels.append(batch_labels)
        done += len(batch)
        if progress is not None:
            progress(done)
    if not logits:
        raise BindError(f"heads of model '{network.name}' need at least 2 inputs; got 0")
    # Concatenated outside inference mode, so that ordinary tensors come out.
    together = {index: torch.cat(values) for index, values in features.items()}
    return HiddenOutputs(together, torch.cat(logits), torch.cat(labels) if labels else None)


def read_in_parts(
    network: Network, batch: Tensor, readers: Mapping[int, Callable[[Tensor], Tensor]]
) -> Iterator[tuple[dict[int, Tensor], Tensor]]:
    """What each layer's reader makes of its output, and the logits, of a batch on the CPU; in halves where memory does
    not suffice for the whole. Raises ModelError for numbers that nothing can be fitted to, ResourceError when memory
    runs out at one row."""
    try:
        values, logits = network.read(batch, readers, output=True)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if len(batch) == 1:
            raise ResourceError(f"out of memory at a batch of one row of model '{network.name}'") from error
    else:
        assert logits is not None
        found = {
            index: _fitting(network, value.cpu(), f" at {_layer(network, index)}") for index, value in values.items()
        }
        yield found, _fitting(network, logits.cpu(), "")
        return
    half = len(batch) // 2
    yield from read_in_parts(network, batch[:half], readers)
    yield from read_in_parts(network, batch[half:], readers)


def _pooler(pool: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    # A copy, since what is not averaged may be overwritten by the next operation.
    return (lambda value: pooled(value, pool)) if pool else (lambda value: pooled(value, pool).clone())


def batches_of(network: Network, inputs: Iterable[Batch] | Tensor, size: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Batches of at most `size` rows, with their labels, from batches, single inputs or (batch, labels) pairs."""
    singles: list[tuple[Tensor, Tensor | None]] = []
    items: Iterable[object] = [inputs] if isinstance(inputs, Tensor) or not isinstance(inputs, Iterable) else inputs
    for item in items:
        values, labels = item if isinstance(item, tuple | list) and len(item) == 2 else (item, None)
        if not isinstance(values, Tensor) or not isinstance(labels, Tensor | None) or values.dim() == 0:
            found = "a single number" if isinstance(values, Tensor) and values.dim() == 0 else type(item).__name__
            raise BindError(f"inputs to fit on must be tensors or (batch, labels) pairs, not {found}")
        if _is_batch(values, labels, network.row_dim, alone=inputs is item):
            for start in range(0, len(values), size):
                yield values[start : start + size], None if labels is None else labels[start : start + size]
            continue
        if singles and values.shape != singles[0][0].shape:
            raise ShapeError(
                f"inputs to fit on differ in shape: {tuple(singles[0][0].shape)} and {tuple(values.shape)}"
            )
        singles.append((values, None if labels is None else labels.reshape(-1)))
        if len(singles) == size:
            yield _stacked(singles)
            singles = []
    if singles:
        yield _stacked(singles)


def _is_batch(values: Tensor, labels: Tensor | None, row_dim: int | None, *, alone: bool) -> bool:
    """Whether a tensor is a batch, and not one input of `row_dim` dimensions, where that is known. Otherwise a tensor
    `alone`, or with a label for each of its rows, is one where it can be: images (C, H, W) have as many dimensions as
    batches of series (N, T, C)."""
    if row_dim is not None:
        return values.dim() != row_dim
    labelled = labels is not None and labels.dim() > 0 and len(labels) == len(values) > 1
    return values.dim() != 1 and (alone or labelled or values.dim() != 3)


def _stacked(singles: list[tuple[Tensor, Tensor | None]]) -> tuple[Tensor, Tensor | None]:
    labels = [label for _, label in singles if label is not None]
    return torch.stack([value for value, _ in singles]), torch.cat(labels) if labels else None


def _wanted(network: Network, layers: Sequence[int | str] | None) -> list[int]:
    if isinstance(layers, str) or not isinstance(layers, Iterable | None):
        raise BindError(f"layers must be a list of layer indices or names, not {type(layers).__name__}")
    if layers is not None:
        found = sorted({network.layer_index(layer) for layer in layers})
        return [index for index in found if index != network.depth]
    network.layer_index(1)  # a model without layers says so
    return [layer.index for layer in network.layers if not layer.is_output]


def _fitting(network: Network, value: Tensor, where: str) -> Tensor:
    """`value`, if its numbers can be fitted to; raises ModelError that says how large they are otherwise."""
    largest = float(value.abs().max())
    if math.isfinite(largest) and largest <= LARGEST:
        return value
    if not math.isfinite(largest):
        raise ModelError(f"model '{network.name}' returned NaN or infinity{where}")
    what = f"numbers up to {largest:.0e}{where}; heads can be fitted to {LARGEST:.0e} at most"
    raise ModelError(f"model '{network.name}' returned {what}")


def _layer(network: Network, index: int) -> str:
    return f"layer {index} ('{network.layers[index - 1].name}')"
