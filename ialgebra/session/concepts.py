"""The work of the session's methods for dictionaries of concepts.

In: what a caller gives, and a catalog. Out: dictionaries, the changed catalog, and the call with which a script
registers the same again. Nothing here takes locks or lists steps; `session` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from torch import Tensor

from ..catalog import derived
from ..catalog.catalog import Catalog
from ..errors import IalgebraError
from ..models.concepts import Dictionary, registered
from ..models.concepts.register import GivenHead
from ..models.fitting import HeadLabels
from ..models.network import Network
from ..models.reading import Batch
from . import registration
from .names import valid_name

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
    """See `Session.register_concepts`; `catalog` is a snapshot, and nothing is registered yet."""
    network = known(catalog, model, name, inputs)
    read = read_inputs(catalog, model, inputs)
    made = registered(network, module, names, head, name, read, labels, seed, holdout)
    registration.meet(network)
    return made
