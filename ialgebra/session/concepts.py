"""The work of the session's methods for dictionaries of concepts.

In: what a caller gives, and a catalog. Out: dictionaries, the changed catalog, and the call with which a script
registers the same again. Nothing here takes locks or lists steps; `session` does.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..catalog import derived
from ..catalog.catalog import CONCEPTS, Catalog
from ..errors import BindError, IalgebraError, IalgebraWarning, ShapeError
from ..models.concepts import Dictionary, Fitted, activations_of, check, fit, registered
from ..models.concepts.dictionary import ConceptKind
from ..models.concepts.figures import with_stability
from ..models.concepts.files import digests, load_concepts, models_of, save_concepts
from ..models.concepts.measuring import figures_of
from ..models.concepts.metrics import matched_correlation
from ..models.concepts.register import GivenEncoder, GivenHead
from ..models.fitting import HeadLabels
from ..models.network import Network
from ..models.reading import Batch, collect
from ..system.checks import whole
from ..system.stages import stages
from . import registration
from .history import History
from .names import valid_name
from .steps import Concepts, PythonCall

_MOST_SEEDS = 20  # that a dictionary is compared with

Inputs = Iterable[Batch] | Tensor | NDArray[np.generic] | str


def known(catalog: Catalog, model: str, name: str, inputs: Inputs | None) -> Network:
    """A model that a dictionary of this name can be made of, after its first pass unless there are inputs that it will
    be run on; BindError if there are none, and not just one registered input to run it on."""
    derived.check_free(catalog, valid_name("dictionary of concepts", name), (model,))
    network = catalog.model(model)
    if not network.probed and (inputs is None or isinstance(inputs, str)):
        example = catalog.input(inputs or registration.example_of(catalog, network)).sources[0]
        network.probe(catalog.element_for(model, example).tensor)
    return network


def run_again(catalog: Catalog, network: Network) -> None:
    """Run a model that takes the name of another, which dictionaries read, on the row that the other was run on."""
    before = catalog.models.get(network.name)
    reading = any(network.name in each.models for each in catalog.concepts.values())
    if reading and before is not None and before.example is not None and not network.probed:
        with suppress(IalgebraError):  # what dictionaries cannot be made of any more is told then
            network.probe(before.example)


def read_inputs(catalog: Catalog, model: str, inputs: Inputs | None) -> Iterable[Batch] | Tensor | None:
    """Inputs as a model is given them: the elements of a registered collection, or what the caller gave."""
    if not isinstance(inputs, str):
        return inputs if inputs is None else as_batches(inputs)
    return _Elements(catalog, model, inputs)


def as_batches(inputs: Iterable[Batch] | Tensor | NDArray[np.generic]) -> Iterable[Batch] | Tensor:
    """Inputs as tensors; BindError for an array of what are no numbers."""
    if not isinstance(inputs, np.ndarray):
        return inputs
    if inputs.dtype.kind not in "biuf":
        raise BindError(f"inputs are an array of {inputs.dtype}; numbers are needed, such as float32")
    return torch.from_numpy(np.ascontiguousarray(inputs))


@dataclass(frozen=True, eq=False)
class _Elements:
    """The elements of a registered collection as a model is given them, each read when it is wanted."""

    catalog: Catalog
    model: str
    name: str

    def __iter__(self) -> Iterator[Tensor]:
        return (self.catalog.element_for(self.model, each).tensor for each in self.catalog.input(self.name).sources)


def given(
    catalog: Catalog,
    model: str,
    module: object,
    names: Sequence[str] | None,
    head: GivenHead | None,
    name: str,
    inputs: Inputs | None,
    labels: HeadLabels | None,
    seed: int,
    holdout: float,
) -> Dictionary:
    """See `Session.register_concepts`. Nothing is registered yet."""
    catalog = catalog.snapshot()
    if isinstance(module, Dictionary):
        if head is not None or inputs is not None:
            raise BindError("a dictionary has its heads; leave head and inputs out")
        return _made(catalog, model, module, names, name if name != CONCEPTS else module.name)
    network = known(catalog, model, name, inputs)
    read = read_inputs(catalog, model, inputs)
    made = registered(network, module, names, head, name, read, labels, seed, holdout)
    registration.meet(network)
    return made


def _made(catalog: Catalog, model: str, dictionary: Dictionary, names: Sequence[str] | None, name: str) -> Dictionary:
    """A dictionary that was made elsewhere, under its model's name here."""
    if model not in dictionary.models:
        if len(dictionary.models) > 1:
            raise BindError(f"the dictionary reads {' and '.join(dictionary.models)}, not '{model}'")
        (before,) = dictionary.models
        figures = dictionary.figures
        dictionary = replace(
            dictionary,
            layers={model: dictionary.layers[before]},
            heads={model: dictionary.heads[before]},
            figures=None if figures is None else replace(figures, fits=(replace(figures.fits[0], model=model),)),
        )
    called = dictionary.names if names is None else tuple(names)
    if len(called) != dictionary.size:
        raise ShapeError(f"the dictionary has {dictionary.size} attributes and {len(called)} names")
    figures = dictionary.figures
    if figures is not None:
        figures = replace(figures, name=name, names=called)
    dictionary = replace(dictionary, name=name, names=called, figures=figures)
    check({each: known(catalog, each, name, None) for each in dictionary.models}, dictionary)
    return dictionary


def fitted(
    catalog: Catalog,
    model: str,
    inputs: Inputs,
    labels: HeadLabels | None,
    layers: Sequence[int | str] | Mapping[str, Sequence[int | str]] | None,
    size: int,
    name: str,
    kind: ConceptKind,
    also: Sequence[str],
    seed: int,
    holdout: float,
    stability: int,
    progress: bool,
) -> Dictionary:
    """See `Session.fit_concepts`. Nothing is registered yet."""
    whole("stability", stability, 0, _MOST_SEEDS)
    catalog = catalog.snapshot()
    models = tuple(dict.fromkeys((model, *also)))
    networks = {each: known(catalog, each, name, inputs) for each in models}
    if labels is None and isinstance(inputs, str):
        labels = _own_labels(catalog, networks[model], inputs)
    read = read_inputs(catalog, model, inputs)
    if isinstance(read, Iterator):
        read = list(read)
    assert read is not None
    with stages(progress) as told:
        made, found = fit(networks, read, labels, layers, size, name, kind, seed, holdout, told)
        tell_if_interrupted(found, name)
        figures = figures_of(
            *(made, networks, found.codes, found.outputs, found.labels),
            fitted=found.rows,
            reconstruction=found.reconstruction,
            seconds=found.seconds,
        )
        if stability and len(found.held_out) and not found.interrupted:
            ours, others = activations_of(model, networks, made), []
            mine = _attributes(ours, read)[found.held_out]
            for number in range(1, stability + 1):
                other, _ = fit(networks, read, None, layers, size, name, kind, seed + number, holdout, told)
                theirs = _attributes(activations_of(model, networks, other), read)[found.held_out]
                others.append(matched_correlation(mine, theirs))
            figures = with_stability(figures, others)
    for network in networks.values():
        registration.meet(network)
    return replace(made, figures=figures)


def tell_if_interrupted(found: Fitted, name: str) -> None:
    """Warn where Ctrl-C ended the learning of a dictionary before its time."""
    if found.interrupted:
        warnings.warn(
            f"learning '{name}' was interrupted: it is the best dictionary so far; learn it again to have it whole",
            IalgebraWarning,
            stacklevel=2,
        )


def _own_labels(catalog: Catalog, network: Network, inputs: str) -> HeadLabels | None:
    """The labels of a registered collection, where they are classes of the model."""
    labels = catalog.input(inputs).labels
    if labels is None:
        return None
    try:
        return [network.class_index(each) for each in labels]
    except IalgebraError:
        return None


def _attributes(network: Network, inputs: Iterable[Batch] | Tensor) -> Tensor:
    """The attributes (N, J) of inputs."""
    return collect(network, inputs, (), network.batch_size or 64, None).logits


def save(catalog: Catalog, model: str, path: str | Path, name: str) -> Path:
    """See `Session.save_concepts`."""
    dictionary = catalog.dictionary(model, name)
    return save_concepts(dictionary, catalog.models, path)


def load(catalog: Catalog, model: str, path: str | Path, name: str | None, module: object) -> Dictionary:
    """See `Session.load_concepts`. Nothing is registered yet."""
    catalog = catalog.snapshot()
    told = models_of(path)
    models = told if model in told else (model, *told[1:])
    networks = [known(catalog, each, name or CONCEPTS, None) for each in models]
    return load_concepts(networks, path, name, module)


def put(catalog: Catalog, history: History, dictionary: Dictionary) -> PythonCall:
    """Register a dictionary; the call that registers it again."""
    derived.put(catalog, dictionary)
    model = dictionary.models[0]
    brought = brought_module(dictionary)
    module = None if brought is None else history.brought(f"{model}.{dictionary.name}", brought)
    path = Concepts(dictionary, digests(dictionary, catalog.models))
    return PythonCall("load_concepts", model, {"path": path, "module": module})


def brought_module(dictionary: Dictionary) -> object:
    """The module or function that a user brought for a dictionary, which no file and no script can make; or None."""
    return dictionary.encoder.module if isinstance(dictionary.encoder, GivenEncoder) else None
