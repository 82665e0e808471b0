"""Dictionaries of people's own: a module that gives concepts, or a place in the model itself, in; a `Dictionary` out.

The concepts may be the outputs of a module of the input (a concept bottleneck, say), or those of a layer or submodule
of the model. The head is given, found in the model, or fitted on inputs. Knows networks and tensors: no registered
input and no query.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ...errors import BindError, IalgebraError, ModelError, ShapeError
from ...kernels.forward import first_tensor, uncompiled
from ..adapters.opened import Runs
from ..fitting import HeadLabels, known_truth, split
from ..goals import goal_of
from ..network import Network
from ..reading import Batch, HiddenOutputs, collect
from ..regression import fit
from .composed import activations_of, surrogate_of, tap_of
from .dictionary import ConceptHead, Dictionary
from .measuring import figures_of

GivenHead = nn.Linear | tuple[ArrayLike | Tensor, ArrayLike | Tensor] | Sequence[ArrayLike | Tensor]

_BATCH = 32  # rows a batch, where the model says nothing
_EXACT = 1e-4  # of the outputs' size: how near a head that is found in a model comes to its outputs


class GivenEncoder(nn.Module):
    """Attributes (B, J) as a module gives them, or as they are among the model's hidden outputs (B, J, *places), of
    which the mean is taken over the dimensions `pool`."""

    def __init__(self, module: Runs | None, pool: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.module = module
        self.pool = pool

    def forward(self, *given: object, **named: object) -> Tensor:
        """The attributes of hidden outputs, or of what the model is called with."""
        found = given[0] if self.module is None else self.module(*given, **named)
        tensor = first_tensor(found)
        if tensor is None:
            raise ModelError(f"the module of concepts returned {type(found).__name__}, not a tensor (B, J)")
        pool = self.pool or tuple(range(2, tensor.dim()))
        pooled = tensor.mean(dim=pool) if pool else tensor
        return pooled.reshape(len(pooled), -1)


def registered(
    network: Network,
    module: object,
    names: Sequence[str] | None,
    head: GivenHead | None,
    name: str,
    inputs: Iterable[Batch] | Tensor | None = None,
    labels: HeadLabels | None = None,
    seed: int = 0,
    holdout: float = 0.2,
) -> Dictionary:
    """A dictionary of concepts that somebody brings; without inputs, the network has to be probed.

    `module` is a module or function from a batch (B, *shape) to concepts (B, J), or (B, J, *places), of which the mean
    is taken; or a layer of the network, by index or name, or a submodule of it; or a dictionary of one model that was
    learned elsewhere, which is taken as it is. `head`: the map from concepts to the
    logits of the model, a `nn.Linear` or its (weight (C, J), bias (C,)). None: fitted on `inputs` (to `labels`, or to
    the model's own outputs); without inputs, the linear map inside the model that turns these concepts into its
    outputs. Raises BindError or ShapeError for what does not fit, ModelError for a failing module.
    """
    if isinstance(module, Dictionary):
        return _adopted(network, module, names, name)
    if isinstance(inputs, Iterator):
        inputs = list(inputs)
    read = None if inputs is None else collect(network, inputs, (), network.batch_size or _BATCH, None)
    layers, encoder = _place(network, module)
    columns = network.column_count

    def named(called: tuple[str, ...], head: ConceptHead | None = None) -> Dictionary:
        head = head or ConceptHead(torch.zeros(columns, len(called)), torch.zeros(columns))
        return Dictionary(name, "given", {network.name: layers}, called, encoder, {network.name: head})

    codes = _codes(network, named(("a0",)))
    size = codes.shape[1]
    called = _names(names, size, name)
    if head is not None:
        found = given_head(network, head, size)
    elif inputs is not None and read is not None:
        attributes = activations_of(network.name, {network.name: network}, named(called))
        attributes.probe(_example(network))
        all_codes = collect(attributes, inputs, (), network.batch_size or _BATCH, None).logits
        return _fitted(network, named(called), all_codes, read, labels, seed, holdout)
    else:
        found = _found_inside(network, codes)
    return named(called, found)


def check(networks: Mapping[str, Network], dictionary: Dictionary) -> None:
    """Raise BindError, ShapeError or ModelError where a dictionary does not fit its networks, which are run on one
    row, unless all of them are."""
    for model, head in dictionary.heads.items():
        columns = networks[model].column_count
        if len(head.weight) != columns:
            raise ShapeError(
                f"the head of '{model}' on dictionary '{dictionary.name}' has {len(head.weight)} outputs; the model "
                f"has {columns}"
            )
    first = next(iter(networks))
    for made in (activations_of(first, networks, dictionary), surrogate_of(first, networks, dictionary)):
        made.probe(_example(networks[first]))
        wanted = dictionary.size if made.classes == list(dictionary.names) else len(dictionary.heads[first].weight)
        if made.column_count != wanted:
            raise ShapeError(
                f"dictionary '{dictionary.name}' gives {made.column_count} attributes of an input of '{first}'; it has "
                f"{dictionary.size} names"
            )


def _adopted(network: Network, made: Dictionary, names: Sequence[str] | None, name: str) -> Dictionary:
    """A dictionary that was learned of this network outside of the session, under the names that it has here."""
    if len(made.models) != 1:
        raise BindError(f"a dictionary of the models {', '.join(made.models)} is not that of '{network.name}' alone")
    (model,) = made.models
    for layer in made.layers[model]:
        tap_of(network, layer)
    head = made.heads[model]
    if len(head.weight) != network.column_count:
        raise ShapeError(
            f"the dictionary gives {len(head.weight)} outputs, and model '{network.name}' has {network.column_count}"
        )
    called = made.names if names is None else _names(names, made.size, name)
    layers = {network.name: made.layers[model]}
    return replace(made, name=name, layers=layers, heads={network.name: head}, names=called)


def _place(network: Network, module: object) -> tuple[tuple[str, ...], GivenEncoder]:
    """Where concepts are read, and the encoder that reads them."""
    if isinstance(module, str | int) and not isinstance(module, bool):
        if isinstance(module, int) or module in (layer.name for layer in network.layers):
            layer = network.layers[network.layer_index(module) - 1]
            return (layer.name,), GivenEncoder(None, layer.pool)
        return (module,), GivenEncoder(None)
    if isinstance(module, nn.Module):
        own = uncompiled(network.module)
        inside = dict(own.named_modules()) if isinstance(own, nn.Module) else {}
        path = next((path for path, each in inside.items() if each is module), None)
        if path == "":
            raise BindError(
                f"concepts of model '{network.name}' cannot be the model itself; give a module, or a layer of it"
            )
        if path is not None:
            layer_of = next((layer for layer in network.layers if layer.tap == (module, 0)), None)
            return (path,) if layer_of is None else (layer_of.name,), GivenEncoder(
                None, layer_of.pool if layer_of else ()
            )
    if not callable(module):
        raise BindError(
            f"concepts of model '{network.name}' must be a module, a function of batches, or a layer of the model, not "
            f"a {type(module).__name__}"
        )
    return (), GivenEncoder(cast(Runs, module))


def _example(network: Network) -> Tensor:
    if network.example is None:
        raise BindError(f"model '{network.name}' was not run yet; query it once, or register an input for it")
    return network.example


def _codes(network: Network, dictionary: Dictionary) -> Tensor:
    """The attributes (1, J) of the row that the network was probed with."""
    example = _example(network)
    made = activations_of(network.name, {network.name: network}, dictionary)
    made.classes = None
    try:
        return made.forward(example.unsqueeze(0), [None])[None].cpu()
    except IalgebraError as error:
        raise type(error)(f"the concepts of '{network.name}' cannot be read: {error.message}") from error


def _names(names: Sequence[str] | None, size: int, dictionary: str) -> tuple[str, ...]:
    if names is None:
        return tuple(f"a{index}" for index in range(size))
    if isinstance(names, str) or not all(isinstance(each, str) and each.strip() for each in names):
        raise BindError(f"names of dictionary '{dictionary}' must be a list of words, one an attribute")
    if len(names) != size:
        raise ShapeError(f"dictionary '{dictionary}' has {size} attributes and {len(names)} names")
    return tuple(names)


def given_head(network: Network, head: object, size: int) -> ConceptHead:
    """A head that somebody gives as a `nn.Linear` or as (weight, bias); BindError or ShapeError for others."""
    wanted = f"a head of model '{network.name}' is a nn.Linear, or its (weight (C, {size}), bias (C,))"
    if isinstance(head, nn.Linear):
        weight: Tensor = head.weight
        bias: Tensor = torch.zeros(len(head.weight)) if head.bias is None else head.bias
    elif isinstance(head, Sequence) and not isinstance(head, str) and len(head) == 2:
        try:
            weight, bias = (torch.as_tensor(each) for each in head)
        except (TypeError, ValueError, RuntimeError) as error:
            raise BindError(f"{wanted}; {error}") from error
    else:
        raise BindError(f"{wanted}, not a {type(head).__name__}")
    columns = network.column_count
    if tuple(weight.shape) != (columns, size) or tuple(bias.shape) != (columns,):
        raise ShapeError(
            f"{wanted}; its weight {tuple(weight.shape)} and bias {tuple(bias.shape)} do not fit {size} attributes and "
            f"{columns} outputs"
        )
    dtype = weight.dtype if weight.dtype == torch.float64 else torch.float32
    parts = [each.detach().to(device="cpu", dtype=dtype, copy=True).contiguous() for each in (weight, bias)]
    if not all(bool(torch.isfinite(each).all()) for each in parts):
        raise BindError(f"a head of model '{network.name}' must be finite numbers; some are NaN or infinite")
    return ConceptHead(*parts)


def _found_inside(network: Network, codes: Tensor) -> ConceptHead:
    """The linear map inside the model that gives its outputs of these concepts; BindError if there is none."""
    example = _example(network)
    outputs = network.forward(example.unsqueeze(0), [None])[None].cpu()
    own = uncompiled(network.module)
    for each in own.modules() if isinstance(own, nn.Module) else ():
        if isinstance(each, nn.Linear) and tuple(each.weight.shape) == (network.column_count, codes.shape[1]):
            head = given_head(network, each, codes.shape[1])
            if float((head(codes) - outputs).abs().max()) <= _EXACT * max(1.0, float(outputs.abs().max())):
                return head
    raise BindError(
        f"model '{network.name}' has no linear map from these {codes.shape[1]} concepts to its outputs; give it, as in "
        "head=model.classifier, or give inputs=… that a head is fitted on"
    )


def _fitted(
    network: Network,
    dictionary: Dictionary,
    codes: Tensor,
    read: HiddenOutputs,
    labels: HeadLabels | None,
    seed: int,
    holdout: float,
) -> Dictionary:
    """The dictionary with the head that fits the concepts (N, J) of inputs to labels, or to the model's own outputs, as
    measured on the inputs held out."""
    rows = len(read.logits)
    if rows < 2:
        raise BindError(f"a head on the concepts of '{network.name}' needs at least 2 inputs; got {rows}")
    truth = known_truth(network, read.labels if labels is None else labels, rows)
    aside, checked = split(torch.arange(rows), holdout, seed)
    goal = goal_of(read.logits, network.outputs, truth)
    weight, bias, _ = fit(codes.to(read.logits.dtype), goal, ~aside & ~checked, checked)
    head = ConceptHead(weight, bias)
    made = replace(dictionary, heads={network.name: head})
    own = None if truth is None else truth[aside]
    outputs = {network.name: read.logits[aside]}
    figures = figures_of(made, {network.name: network}, codes[aside], outputs, own, fitted=rows - int(aside.sum()))
    return replace(made, figures=figures)
