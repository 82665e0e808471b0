"""The work of the session's methods for dictionaries of concepts.

In: what a caller gives, and a catalog. Out: dictionaries, the changed catalog, and the call with which a script
registers the same again. Nothing here takes locks or lists steps; `session` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from ..catalog import derived
from ..catalog.catalog import CONCEPTS, Catalog
from ..errors import IalgebraError
from ..models.concepts import Dictionary, registered
from ..models.concepts.files import digests, load_concepts, models_of, save_concepts
from ..models.concepts.register import GivenEncoder, GivenHead
from ..models.fitting import HeadLabels
from ..models.network import Network
from ..models.reading import Batch
from . import registration
from .history import History
from .names import valid_name
from .steps import Concepts, PythonCall

Inputs = Iterable[Batch] | Tensor | str


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
        return inputs
    return [catalog.element_for(model, each).tensor for each in catalog.input(inputs).sources]


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
    network = known(catalog, model, name, inputs)
    read = read_inputs(catalog, model, inputs)
    made = registered(network, module, names, head, name, read, labels, seed, holdout)
    registration.meet(network)
    return made


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
