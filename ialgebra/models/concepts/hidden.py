"""Hidden outputs of models for many inputs: read once, and kept where they fit into memory.

In: networks, the layers wanted of each, inputs. Out: `HiddenOfInputs`, which gives these layers' outputs for any of the
inputs, as float32. They are kept as they are where they are few, in bfloat16 where these fit into the bound on memory,
and read again each time otherwise. Knows networks and tensors: nothing of what is learned from them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ...errors import BindError, ShapeError
from ...system.stages import FittingProgress
from ..head import pooled
from ..network import Network
from ..reading import Batch, batches_of, read_in_parts

AT_MOST = 1 << 30  # bytes of hidden outputs that are kept
_FEW = 1 << 26  # bytes up to which they are kept in float32


class LayerOfModel(NamedTuple):
    """A layer that a dictionary reads; `number` 0 is the model's own input."""

    model: str
    number: int
    name: str
    shape: tuple[int, ...]
    pool: tuple[int, ...]

    @property
    def features(self) -> int:
        """Its numbers, the mean over positions taken."""
        return math.prod(size for dim, size in enumerate(self.shape, start=1) if dim not in self.pool)


@dataclass(eq=False)
class HiddenOfInputs:
    """N `inputs` (N, *shape), the `outputs` (N, K) of each model, `labels` (N,) if the inputs brought their own, and
    the `layers` whose outputs `rows` gives. `kept` has those of each layer, or is None where they are read again.
    `teacher` (N, F) has the last hidden layer of each model, side by side, averaged over positions and each with a mean
    square of one."""

    networks: Mapping[str, Network]
    layers: tuple[LayerOfModel, ...]
    inputs: Tensor
    outputs: dict[str, Tensor]
    labels: Tensor | None
    kept: list[Tensor] | None
    teacher: Tensor | None
    batch_size: int

    def __len__(self) -> int:
        return len(self.inputs)

    def rows(self, which: Tensor) -> list[Tensor]:
        """The outputs of each layer (n, *shape) for the inputs `which` (n,), as float32."""
        if self.kept is not None:
            return [each[which].float() for each in self.kept]
        read = [
            _read(self.networks, self.layers, batch)[0] for batch in torch.split(self.inputs[which], self.batch_size)
        ]
        return [torch.cat(each).float() for each in zip(*read, strict=True)]


@torch.inference_mode(False)
def read_hidden(
    networks: Mapping[str, Network],
    inputs: Iterable[Batch] | Tensor,
    layers: Mapping[str, Sequence[int | str] | None] | None,
    kind: str,
    batch_size: int | None = None,
    at_most: int = AT_MOST,
    progress: FittingProgress | None = None,
) -> HiddenOfInputs:
    """One pass of each model over the inputs. `layers` None: those of `usual_layers`.

    Raises BindError where `inputs` holds fewer than two or no tensors and for unknown layers, ShapeError where inputs
    differ in shape, ModelError for a failing model, ResourceError when memory runs out at one row.
    """
    first = next(iter(networks.values()))
    size = batch_size or first.batch_size or 64
    given: list[Tensor] = []
    labels: list[Tensor] = []
    for batch, own in batches_of(first, inputs, size):
        given.append(first.whole(batch))
        if given[-1].shape[1:] != given[0].shape[1:]:
            raise ShapeError(
                f"inputs to fit on differ in shape: {tuple(given[0].shape[1:])} and {tuple(given[-1].shape[1:])}; give "
                "inputs of one shape (texts padded to one length)"
            )
        labels += [] if own is None else [own.detach().cpu()]
    count = sum(len(each) for each in given)
    if count < 2:
        raise BindError(f"a dictionary needs at least 2 inputs; got {count}")
    together = given[0] if len(given) == 1 else torch.cat(given)
    together = together.detach()
    for network in networks.values():
        network.probe(together[0])
    wanted = _wanted(networks, layers, kind, tuple(together.shape[1:]))
    teachers = _teachers(networks, tuple(together.shape[1:])) if kind == "flint" else ()
    held, outputs, teacher = _kept(networks, wanted, teachers, together, size, at_most, progress)
    own_labels = torch.cat(labels) if labels and sum(len(each) for each in labels) == count else None
    return HiddenOfInputs(networks, wanted, together, outputs, own_labels, held, teacher, size)


def _kept(
    networks: Mapping[str, Network],
    layers: tuple[LayerOfModel, ...],
    teachers: tuple[LayerOfModel, ...],
    inputs: Tensor,
    size: int,
    at_most: int,
    progress: FittingProgress | None,
) -> tuple[list[Tensor] | None, dict[str, Tensor], Tensor | None]:
    """What is kept of each layer, or None; the outputs (N, K) of each model; and what `HiddenOfInputs.teacher` is."""
    kept: list[Tensor] | None = []
    outputs: dict[str, list[Tensor]] = {name: [] for name in networks}
    taught: list[Tensor] = []
    done = 0
    for batch in torch.split(inputs, size):
        read, logits = _read(networks, (*layers, *teachers), batch)
        hidden, last = read[: len(layers)], read[len(layers) :]
        if teachers:
            parts = [pooled(value, layer.pool).float() for value, layer in zip(last, teachers, strict=True)]
            taught.append(torch.cat(parts, dim=1))
        for name, own in logits.items():
            outputs[name].append(own)
        if done == 0:
            numbers = len(inputs) * sum(value[0].numel() for value in hidden)
            held = torch.float32 if 4 * numbers <= min(_FEW, at_most) else torch.bfloat16
            fits = held.itemsize * numbers <= at_most
            kept = [torch.empty(len(inputs), *value.shape[1:], dtype=held) for value in hidden] if fits else None
        for place, value in zip(kept or [], hidden, strict=False):
            place[done : done + len(batch)] = value
        done += len(batch)
        if progress is not None:
            progress("reading", done, len(inputs))
    return kept, {name: torch.cat(each) for name, each in outputs.items()}, _level(taught, teachers)


def _level(taught: list[Tensor], teachers: tuple[LayerOfModel, ...]) -> Tensor | None:
    """The last hidden layers (N, F), those of each model with a mean square of one."""
    if not taught:
        return None
    together, start = torch.cat(taught), 0
    for layer in teachers:
        part = together[:, start : (start := start + layer.features)]
        part /= part.square().mean().sqrt().clamp(min=1e-12)
    return together


def _read(
    networks: Mapping[str, Network], layers: tuple[LayerOfModel, ...], batch: Tensor
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """The outputs of the layers for a batch, and those of the models, on the CPU."""
    found: dict[tuple[str, int], Tensor] = {}
    outputs: dict[str, Tensor] = {}
    for name, network in networks.items():
        own = [layer.number for layer in layers if layer.model == name and layer.number > 0]
        with network.running():
            parts = list(read_in_parts(network, batch, dict.fromkeys(own, torch.clone)))
        outputs[name] = torch.cat([logits for _, logits in parts])
        for index in own:
            found[name, index] = torch.cat([values[index] for values, _ in parts])
    own_input = batch.as_subclass(Tensor).cpu()
    return [found.get((layer.model, layer.number), own_input) for layer in layers], outputs


def _wanted(
    networks: Mapping[str, Network],
    layers: Mapping[str, Sequence[int | str] | None] | None,
    kind: str,
    shape: tuple[int, ...],
) -> tuple[LayerOfModel, ...]:
    found: list[LayerOfModel] = []
    for name, network in networks.items():
        chosen = None if layers is None else layers.get(name)
        if isinstance(chosen, str) or not isinstance(chosen, Iterable | None):
            raise BindError(f"layers must be a list of layer indices or names, not {type(chosen).__name__}")
        indices = usual_layers(network, kind) if chosen is None else [network.layer_index(each) for each in chosen]
        for index in sorted(set(indices)):
            layer = network.layers[index - 1]
            found.append(LayerOfModel(name, index, layer.name, layer.shape, layer.pool))
    if not found:  # models without layers: the input itself
        found.append(_input(next(iter(networks)), shape))
    if kind in ("nmf", "sae") and len(found) != 1:
        named = ", ".join(layer.name for layer in found)
        raise BindError(f"a dictionary of kind '{kind}' has the directions of one layer of one model, not of {named}")
    return tuple(found)


def _input(name: str, shape: tuple[int, ...]) -> LayerOfModel:
    return LayerOfModel(name, 0, "", shape, tuple(range(2, len(shape) + 1)) if len(shape) > 1 else ())


def _teachers(networks: Mapping[str, Network], shape: tuple[int, ...]) -> tuple[LayerOfModel, ...]:
    """The last hidden layer of each model; of one without layers the input."""
    found: list[LayerOfModel] = []
    for name, network in networks.items():
        last = next((layer for layer in reversed(network.layers) if not layer.is_output), None)
        own = None if last is None else LayerOfModel(name, last.index, last.name, last.shape, last.pool)
        found.append(own or _input(name, shape))
    return tuple(found)


def usual_layers(network: Network, kind: str) -> list[int]:
    """The layers that a dictionary reads unless it is told: the last one before the output; for 'flint' the deepest one
    before it that has positions too, if the last one has none. None of a model without layers."""
    hidden = [layer for layer in network.layers if not layer.is_output]
    if not hidden:
        return []
    last = hidden[-1]
    if kind != "flint":
        return [last.index]
    wide = [layer for layer in hidden if layer.pool and layer.index < last.index]
    return [last.index] if last.pool or not wide else [wide[-1].index, last.index]
