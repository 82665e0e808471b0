"""Models that are made of registered ones: put into the catalog, replaced and dropped with what they are made of.

In: a catalog; a dictionary of concepts, or a model that is registered again. Out: the changed catalog, and what had to
be dropped, in words. Each model f that a dictionary 'concepts' reads gets `f.concepts` (its attributes) and `f.g` (its
surrogate); another dictionary gives `f.parts` and `f.parts.g`, and `f.g` too while it is the only one of f. It runs no
query.
"""

from __future__ import annotations

from ..errors import BindError, IalgebraError
from ..models.concepts import DerivedNetwork, Dictionary, activations_of, check, head_of, surrogate_of
from ..models.network import Network
from .catalog import CONCEPTS, Catalog

_SURROGATE = "g"
_HEAD = "head"


def check_free(catalog: Catalog, dictionary: str, models: tuple[str, ...]) -> None:
    """Raise BindError where a dictionary of this name would take the name of a registered model, or cannot be told from
    another thing."""
    if dictionary == _SURROGATE or "." in dictionary:
        raise BindError(
            f"'{dictionary}' cannot name a dictionary of concepts: f.g is the surrogate, and a dot stands between a "
            "model and its dictionary; use a word such as concepts or motifs"
        )
    for model in models:
        if isinstance(catalog.model(model), DerivedNetwork):
            raise BindError(f"model '{model}' is made of concepts itself; give the model that it is made of")
        for name in (
            f"{model}.{dictionary}",
            f"{model}.{_SURROGATE}",
            f"{model}.{dictionary}.{_SURROGATE}",
            head_name(f"{model}.{dictionary}"),
        ):
            if name in catalog.models and not isinstance(catalog.models[name], DerivedNetwork):
                raise BindError(
                    f"a model called '{name}' is registered, which dictionary '{dictionary}' of '{model}' would "
                    "replace; give the dictionary another name (name='motifs'), or register that model under another"
                )


def check_own(catalog: Catalog, name: str) -> None:
    """Raise BindError where a model cannot be registered by this name, because a dictionary gives it."""
    if isinstance(catalog.models.get(name), DerivedNetwork):
        raise BindError(f"'{name}' is a model that a dictionary of concepts gives; register the model by another name")


def put(catalog: Catalog, dictionary: Dictionary) -> None:
    """Give a dictionary its name with each of its models, which have to be probed, and make the models that it gives.
    Raises BindError for a name that is taken."""
    check_free(catalog, dictionary.name, dictionary.models)
    draft = catalog.concepts | {f"{model}.{dictionary.name}": dictionary for model in dictionary.models}
    made = _derived(catalog, draft)
    catalog.concepts = draft
    _replace(catalog, made)


def registered_again(catalog: Catalog, network: Network) -> list[str]:
    """Note that a model has its name now: what dictionaries give of it is made of this one. A dictionary that does not
    fit it is dropped. Returns what to tell the user of these."""
    told: list[str] = []
    for key, dictionary in list(catalog.concepts.items()):
        if network.name not in dictionary.models:
            continue
        try:
            check({model: catalog.model(model) for model in dictionary.models}, dictionary)
        except IalgebraError as error:
            del catalog.concepts[key]
            told.append(f"'{key}' is dropped, because '{network.name}' was registered again: {error.message}")
        else:
            told.append(f"'{key}' was made for '{network.name}' as it was registered before; it is kept")
    _replace(catalog, _derived(catalog, catalog.concepts))
    told += [
        f"axis '{axis.name}' follows model '{network.name}' as it was registered before; it is kept, and create or "
        f"replace axis {axis.name} makes it anew"
        for axis in catalog.axes.values()
        if axis.model == network.name
    ]
    return told


def _derived(catalog: Catalog, dictionaries: dict[str, Dictionary]) -> dict[str, DerivedNetwork]:
    """The models that dictionaries give, by name. One that is there already and made of the same is kept."""
    found: dict[str, DerivedNetwork] = {}
    count: dict[str, int] = {}
    for key, dictionary in dictionaries.items():
        model = key.removesuffix(f".{dictionary.name}")
        count[model] = count.get(model, 0) + 1
    for key, dictionary in dictionaries.items():
        model = key.removesuffix(f".{dictionary.name}")
        networks = {each: catalog.model(each) for each in dictionary.models}
        names = [f"{key}.{_SURROGATE}"] if dictionary.name != CONCEPTS else [f"{model}.{_SURROGATE}"]
        if dictionary.name != CONCEPTS and count[model] == 1:
            names.append(f"{model}.{_SURROGATE}")
        for name in (key, *names):
            known = catalog.models.get(name)
            made_of = (dictionary, *networks.values())
            if isinstance(known, DerivedNetwork) and known.made_of == made_of:
                found[name] = known
            elif name == key:
                found[name] = activations_of(model, networks, dictionary)
            else:
                found[name] = surrogate_of(model, networks, dictionary, name)
    return found


def head_name(key: str) -> str:
    """The name of the network that games over the attributes `key`, such as 'f.concepts', are played on."""
    return f"{key}.{_HEAD}"


def _replace(catalog: Catalog, made: dict[str, DerivedNetwork]) -> None:
    own = {name: each for name, each in catalog.models.items() if not isinstance(each, DerivedNetwork)}
    catalog.models = own | dict(made)
    heads = {}
    for key, dictionary in catalog.concepts.items():
        network, name = catalog.model(key.removesuffix(f".{dictionary.name}")), head_name(key)
        known = catalog.heads.get(name)
        same = known is not None and known.made_of == (dictionary, network)
        heads[name] = known if known is not None and same else head_of(name, network, dictionary)
    catalog.heads = heads
