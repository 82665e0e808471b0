"""Files of dictionaries: a dictionary and its networks in, a safetensors file out, and back again.

A file holds an encoder of the closed list of arms, or says that its user has to bring it; heads, names, directions and
figures; and the weights of the models that the dictionary was made for, which others are refused by. Knows networks and
dictionaries: nothing of how these are trained.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, cast, get_args

import torch
from torch import Tensor, nn

from ...errors import BindError, IalgebraError, ShapeError
from ...system import checks
from .. import weight_files
from ..adapters.opened import Runs
from ..head_files import weights_digest
from ..network import Network
from .dictionary import ConceptHead, ConceptKind, Dictionary
from .encoders import built, described
from .figure_files import figures_told, told
from .measuring import read_from
from .register import GivenEncoder, check

_FORM = weight_files.FileForm("concepts", 2, ("concepts",))
_GIVEN: Final = "given"  # the arm of an encoder that is the user's, or reads hidden outputs as they are
_MOST_ATTRIBUTES = 1 << 16
_MOST_DIMENSIONS = 64


def save_concepts(dictionary: Dictionary, networks: Mapping[str, Network], path: str | Path) -> Path:
    """Writes a dictionary to a safetensors file, whole or not at all, and returns its path.

    A module or function that its user brought is not in the file: only the numbers of the module are, and the file is
    read with it. Raises BindError where the file cannot be written, or the encoder is none that a file can hold.
    """
    path = checks.path("the path of a file of concepts", path)
    weight_files.write(_FORM, path, file_content(dictionary, digests(dictionary, networks)))
    return path


def digests(dictionary: Dictionary, networks: Mapping[str, Network]) -> dict[str, str]:
    """The weights of each model that a dictionary reads, in short."""
    return {model: weights_digest(networks[model]) for model in dictionary.models}


def file_content(dictionary: Dictionary, weights: Mapping[str, str]) -> bytes:
    """The file of a dictionary whose models have these weights (`digests`)."""
    tensors: dict[str, Tensor] = {}
    models: list[dict[str, object]] = []
    for index, model in enumerate(dictionary.models):
        head = dictionary.heads[model]
        tensors |= {f"head {index} weight": head.weight, f"head {index} bias": head.bias}
        models.append({"model": model, "layers": list(dictionary.layers[model]), "weights": weights[model]})
    if dictionary.directions is not None:
        tensors["directions"] = dictionary.directions
    tensors |= {f"encoder {name}": each for name, each in _state(dictionary.encoder).items()}
    document = {
        "name": dictionary.name,
        "kind": dictionary.kind,
        "names": list(dictionary.names),
        "models": models,
        "encoder": _described(dictionary.encoder),
        "figures": None if dictionary.figures is None else told(dictionary.figures),
    }
    held = {name: each.detach().cpu().contiguous().clone() for name, each in tensors.items()}
    return weight_files.content_of(_FORM, {"concepts": json.dumps(document)}, held)


def load_concepts(
    networks: Sequence[Network], path: str | Path, name: str | None = None, module: object = None
) -> Dictionary:
    """The dictionary that `save_concepts` wrote, for these networks in the order of its models; they have to be probed.

    `name`: another name for it. `module`: the encoder, where it was its user's own; its numbers become those of the
    file, in a copy if they are others. Raises BindError for a missing, damaged or foreign file, for models of other
    weights, and where a module is missing or none is needed; ShapeError for parts that do not fit.
    """
    path = checks.path("the path of a file of concepts", path)
    header, tensors = weight_files.read(_FORM, path)
    try:
        document = _document(header)
        given = _known_models(document, networks)
        dictionary = _dictionary(document, tensors, networks, name, module)
    except IalgebraError as error:
        raise type(error)(f"'{path}' is no file of concepts, or is damaged: {error.message}") from error
    for network, weights in zip(networks, given, strict=True):
        if weights != weights_digest(network):
            raise BindError(
                f"the concepts in '{path}' were made for other weights than those of model '{network.name}'; fit them "
                f'again with con.fit_concepts("{network.name}", inputs)'
            )
    try:
        check({network.name: network for network in networks}, dictionary)
    except IalgebraError as error:
        raise type(error)(f"the concepts in '{path}' do not fit: {error.message}") from error
    return dictionary


def models_of(path: str | Path) -> tuple[str, ...]:
    """The models that the dictionary of a file reads, by the names that they had. Raises BindError as `load_concepts`
    does."""
    path = checks.path("the path of a file of concepts", path)
    header, _ = weight_files.read(_FORM, path)
    try:
        return tuple(str(each["model"]) for each in cast("tuple[dict[str, object], ...]", _document(header)["models"]))
    except IalgebraError as error:
        raise type(error)(f"'{path}' is no file of concepts, or is damaged: {error.message}") from error


def _described(encoder: nn.Module) -> dict[str, object]:
    """What an encoder is, as JSON."""
    if isinstance(encoder, GivenEncoder):
        return {"arm": _GIVEN, "module": encoder.module is not None, "pool": list(encoder.pool)}
    return described(encoder)


def _state(encoder: nn.Module) -> dict[str, Tensor]:
    """The numbers of an encoder by name; BindError for a module that keeps others than tensors."""
    held = encoder.state_dict()
    for name, each in held.items():
        if not isinstance(each, Tensor) or each.layout != torch.strided or each.is_quantized or each.is_meta:
            raise BindError(f"the module of concepts keeps '{name}', which is no dense tensor, so that no file can")
    return held


def _models(what: str, value: object) -> tuple[dict[str, object], ...]:
    found = checks.sequence(lambda where, each: checks.fields_of(f"of {where}", each, _MODEL), what, value)
    return cast("tuple[dict[str, object], ...]", found)


def _mapping(what: str, value: object) -> Mapping[str, object]:
    return checks.instance(what, value, dict, "a mapping")


_MODEL: Final[Mapping[str, checks.Check]] = {
    "model": checks.text,
    "layers": partial(checks.sequence, checks.text),
    "weights": checks.text,
}
_DOCUMENT: Final[Mapping[str, checks.Check]] = {
    "name": checks.text,
    "kind": partial(checks.text, among=get_args(ConceptKind)),
    "names": partial(checks.sequence, checks.text),
    "models": _models,
    "encoder": _mapping,
    "figures": partial(checks.optional, _mapping),
}
_GIVEN_FORM: Final[Mapping[str, checks.Check]] = {
    "arm": checks.text,
    "module": checks.flag,
    "pool": partial(checks.sequence, partial(checks.whole, low=1, high=_MOST_DIMENSIONS)),
}


def _document(header: Mapping[str, str]) -> dict[str, object]:
    parsed = checks.parsed("its dictionary", weight_files.entry(header, "concepts"))
    if header["format"] == f"{_FORM.format} 1" and isinstance(parsed, dict):  # which had no figures
        parsed.setdefault("figures", None)
    document = checks.fields_of("of its dictionary", parsed, _DOCUMENT)
    names = cast("tuple[str, ...]", document["names"])
    models = [str(each["model"]) for each in cast("tuple[dict[str, object], ...]", document["models"])]
    if not 1 <= len(names) <= _MOST_ATTRIBUTES or any(not each.strip() or not each.isprintable() for each in names):
        raise BindError("its attributes need names, each a word")
    if not models or len(set(models)) < len(models):
        raise BindError("its models must be at least one, each by a name of its own")
    return document


def _known_models(document: Mapping[str, object], networks: Sequence[Network]) -> list[str]:
    """The weights of each model in the file, as it says them."""
    models = cast("tuple[dict[str, object], ...]", document["models"])
    if len(models) != len(networks):
        named = " and ".join(f"'{each['model']}'" for each in models)
        raise BindError(f"it is a dictionary of {len(models)} models, {named}; {len(networks)} were given")
    return [str(each["weights"]) for each in models]


def _dictionary(
    document: Mapping[str, object],
    tensors: Mapping[str, Tensor],
    networks: Sequence[Network],
    name: str | None,
    module: object,
) -> Dictionary:
    models = cast("tuple[dict[str, object], ...]", document["models"])
    names = cast("tuple[str, ...]", document["names"])
    heads: dict[str, ConceptHead] = {}
    layers: dict[str, tuple[str, ...]] = {}
    used: set[str] = set()
    for index, (entry, network) in enumerate(zip(models, networks, strict=True)):
        parts = [f"head {index} weight", f"head {index} bias"]
        used |= set(parts)
        weight, bias = (weight_files.finite(_FORM, part, tensors) for part in parts)
        if weight.dtype != bias.dtype:
            raise BindError(f"head {index} has a weight of {weight.dtype} and a bias of {bias.dtype}")
        heads[network.name] = ConceptHead(weight, bias)
        layers[network.name] = cast("tuple[str, ...]", entry["layers"])
    directions = None
    if "directions" in tensors:
        directions = weight_files.finite(_FORM, "directions", tensors)
        used.add("directions")
        if directions.dim() != 2 or len(directions) != len(names):
            raise ShapeError(f"its directions {tuple(directions.shape)} are not one row for each of {len(names)}")
    state = {each.removeprefix("encoder "): held for each, held in tensors.items() if each.startswith("encoder ")}
    if surplus := [each for each in tensors if each not in used and not each.startswith("encoder ")]:
        raise BindError(f"the tensor {checks.shown(surplus[0])} is not known")
    encoder = _encoder(cast("Mapping[str, object]", document["encoder"]), state, module)
    kind = cast(ConceptKind, document["kind"])
    made = Dictionary(name or str(document["name"]), kind, layers, names, encoder, heads, directions)
    if document["figures"] is None:
        return made
    classes = {each.name: [each.class_name(index) for index in range(each.class_count)] for each in networks}
    read = read_from(made)
    return replace(made, figures=figures_told(document["figures"], made.name, kind, read, names, classes))


def _encoder(form: Mapping[str, object], state: Mapping[str, Tensor], module: object) -> nn.Module:
    if form.get("arm") != _GIVEN:
        if module is not None:
            raise BindError("its encoder is in the file; leave module out")
        return _learned(form, state)
    said = checks.fields_of("of its encoder", form, _GIVEN_FORM)
    if said["module"] and not callable(module):
        raise BindError(
            "its attributes are those of a module that it does not hold; give it, as in load_concepts(model, path, "
            "module=module)"
        )
    if not said["module"] and module is not None:
        raise BindError("its attributes are read from the model itself; leave module out")
    encoder = GivenEncoder(cast("Runs | None", module), cast("tuple[int, ...]", said["pool"]))
    return _with(encoder, state)


def _learned(form: Mapping[str, object], state: Mapping[str, Tensor]) -> nn.Module:
    """An encoder of the closed list. It takes no memory before its form is known to be that of the numbers."""
    try:
        with torch.device("meta"):
            encoder = built(form)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, RuntimeError) as error:
        raise BindError(f"its encoder is described as none that there is ({error})") from error
    _check_state(encoder.state_dict(), state, types=False)
    if len({each.dtype for each in state.values()}) > 1:
        raise BindError("the tensors of its encoder are of several types")
    encoder.load_state_dict(dict(state), assign=True)
    return encoder.eval().requires_grad_(False)


def _with(encoder: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """The encoder with the numbers of a file, which have to be of its own shapes and types; the encoder itself, where
    it has these."""
    own = _state(encoder)
    _check_state(own, state)
    if all(torch.equal(each.cpu(), state[name]) for name, each in own.items()):
        return encoder
    encoder = copy.deepcopy(encoder)
    encoder.load_state_dict(dict(state))
    return encoder


def _check_state(own: Mapping[str, Tensor], state: Mapping[str, Tensor], *, types: bool = True) -> None:
    """Raise BindError or ShapeError where a file's numbers are not of the names, shapes and `types` of an encoder."""
    if set(own) != set(state):
        name = min(set(own) ^ set(state))
        raise BindError(f"its encoder {'lacks' if name in own else 'has'} the tensor {checks.shown(name)}")
    for name, each in own.items():
        held = state[name]
        if held.shape != each.shape or (types and held.dtype != each.dtype):
            raise ShapeError(
                f"the tensor {checks.shown(name)} of its encoder is {held.dtype} {tuple(held.shape)}; the module has "
                f"{each.dtype} {tuple(each.shape)}"
            )
        if held.is_floating_point() or not types:
            weight_files.finite(_FORM, name, state)
