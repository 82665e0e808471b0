"""Galleries of dictionaries: what each attribute is, shown by the inputs of a registered collection.

In: a catalog, the names of a model and of a collection, and what answers a query. Out: a `Gallery`, or one row of it.
It changes nothing, and lists no step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor

from ..algebra.kinds import KINDS
from ..algebra.windows import sql_name, sql_text
from ..catalog.catalog import Catalog
from ..catalog.inputs import Entry
from ..errors import BindError, did_you_mean
from ..models.concepts import Dictionary, activations_of
from ..models.concepts.maximising import maximised, typical
from ..models.concepts.measuring import figures_of
from ..models.network import Network
from ..models.reading import collect
from ..results.attribute_rows import ActiveInput, AttributeRow, ShownMaximum
from ..results.attribution import Attribution
from ..results.gallery import Gallery
from ..results.relation import Relation

Ask = Callable[[str, Catalog], Relation]
"""Answers the text of a query of a catalog."""

_MOST_INPUTS: Final = 10_000
_SHOWN_MOST, _SHOWN_LEAST, _SHOWN_WHERE, _SHOWN_CLASSES = 4, 3, 2, 3
_READ_TEXTS: Final = 8  # the most active texts, of which the words are listed
_SHOWN_WORDS, _SHOWN_FEATURES, _NEIGHBOURS = 6, 6, 3
_MATTERS: Final = 0.05  # relevance below which a class is not named
_TOP: Final = 0.05  # of the inputs, the most active, whose profile is compared with all
_FINE: Final = 14  # pixels from which a picture is divided into 7 × 7 players
_BUDGET: Final = 400  # rows of a map of where an attribute is


@dataclass(frozen=True, eq=False)
class _ReadDictionary:
    """What a gallery reads of a dictionary: the inputs, their attributes (N, J), the classes predicted (N,), and the
    relevance of attributes to classes (C, J)."""

    model: str
    dictionary: Dictionary
    entry: Entry
    tensors: list[Tensor]
    codes: Tensor
    classes: Tensor
    labels: tuple[str, ...]
    relevance: Tensor


def gallery(
    catalog: Catalog,
    ask: Ask,
    model: str,
    inputs: str | None,
    attributes: Sequence[str] | None,
    name: str,
    seed: int,
) -> Gallery:
    """See `Session.gallery`."""
    read = _read(catalog, model, inputs, name)
    dictionary = read.dictionary
    if attributes is None:
        order = sorted(range(dictionary.size), key=lambda j: -float(read.relevance[:, j].nan_to_num().abs().max()))
        active = [j for j in order if bool((read.codes[:, j] != 0).any())]
    else:
        active = [dictionary.index(each) for each in attributes]
    rows = [_row(catalog, ask, read, index, None, seed) for index in active]
    figures = "" if dictionary.figures is None else str(dictionary.figures)
    left = dictionary.size - len(active) if attributes is None else 0
    about = f"{figures}\n{left} attributes are 0 for all inputs, and not shown" if left else figures
    title = f"{model}.{name} by {len(read.tensors):,} inputs of {read.entry.name}"
    return Gallery(title, read.entry.kind, _scale(read.entry), rows, about)


def picture(
    catalog: Catalog,
    ask: Ask,
    model: str,
    attribute: str,
    cls: str | int | None,
    inputs: str | None,
    name: str,
    seed: int,
) -> Gallery:
    """See `Session.picture`."""
    read = _read(catalog, model, inputs, name)
    index = read.dictionary.index(attribute)
    network = catalog.model(model)
    row = _row(catalog, ask, read, index, None if cls is None else network.class_index(cls), seed)
    title = f"{attribute} of {model}.{name}" + (f" in {row.of}" if row.of else "")
    return Gallery(title, read.entry.kind, _scale(read.entry), [row])


def _scale(entry: Entry) -> tuple[float, float]:
    return entry.scale if KINDS[entry.kind].name == "image" else (0.0, 1.0)


def _read(catalog: Catalog, model: str, inputs: str | None, name: str) -> _ReadDictionary:
    dictionary, network = catalog.dictionary(model, name), catalog.model(model)
    entry = catalog.input(inputs) if inputs is not None else _collection(catalog, network)
    sources = entry.sources[:_MOST_INPUTS]
    tensors = [catalog.element_for(model, each).tensor for each in sources]
    # A model of its own, so that what a later query finds does not depend on whether there was a gallery.
    networks = {each: catalog.model(each) for each in dictionary.models}
    attributes = catalog.models[f"{model}.{name}"] = activations_of(model, networks, dictionary)
    attributes.probe(tensors[0])
    codes = collect(attributes, tensors, (), network.batch_size or 64, None).logits.float()
    outputs = collect(network, tensors, (), network.batch_size or 64, None).logits
    ours = replace(dictionary, layers={model: dictionary.layers[model]}, heads={model: dictionary.heads[model]})
    figures = figures_of(ours, catalog.models, codes, {model: outputs}, None, fitted=0)
    fit = figures.of(model)
    classes = network.outputs.predictions(outputs)
    return _ReadDictionary(
        model, dictionary, entry, tensors, codes, classes, fit.classes, torch.from_numpy(np.array(fit.relevance))
    )


def _collection(catalog: Catalog, network: Network) -> Entry:
    """The one registered collection that the model can be run on; BindError if there is none, or more."""
    fitting = [
        each
        for each in catalog.visible.values()
        if each.collection and (not network.probed or each.shape == network.row_shape or KINDS[each.kind].vocabulary)
    ]
    if len(fitting) != 1:
        names = [each.name for each in fitting]
        known = f": {', '.join(names)}" if names else f"{did_you_mean('', catalog.visible)}"
        raise BindError(
            f"name the collection whose inputs show the concepts of '{network.name}', as in inputs=\"xs\"{known}"
        )
    return fitting[0]


def _row(catalog: Catalog, ask: Ask, read: _ReadDictionary, index: int, cls: int | None, seed: int) -> AttributeRow:
    """The row of one attribute; with a class, of the inputs that the model predicts it for."""
    codes, relevance = read.codes[:, index], read.relevance[:, index].nan_to_num()
    order = relevance.abs().argsort(descending=True, stable=True).tolist()
    named = [(read.labels[c], float(relevance[c])) for c in order if abs(float(relevance[c])) >= _MATTERS]
    main = cls if cls is not None else max(order, key=lambda c: float(relevance[c]))
    ours = (read.classes == main).nonzero()[:, 0]
    if not len(ours):
        if cls is not None:
            raise BindError(f"no input of '{read.entry.name}' is predicted to be '{read.labels[cls]}'")
        ours = torch.arange(len(codes))
    among = ours if cls is not None else torch.arange(len(codes))
    ranked = among[codes[among].argsort(descending=True, stable=True)][: max(_SHOWN_MOST, _READ_TEXTS)].tolist()
    most = ranked[:_SHOWN_MOST]
    least = ours[codes[ours].argsort(stable=True)][:_SHOWN_LEAST].tolist()
    kind, is_text = KINDS[read.entry.kind].name, KINDS[read.entry.kind].vocabulary
    where = _where(catalog, ask, read, index, ranked[: _READ_TEXTS if is_text else _SHOWN_WHERE])
    return AttributeRow(
        read.dictionary.names[index],
        float(codes.max()),
        float((codes != 0).double().mean()),
        tuple(named[:_SHOWN_CLASSES]),
        read.labels[main],
        tuple(_shown(read, place, index) for place in most),
        tuple(_shown(read, place, index) for place in least),
        tuple(where[:_SHOWN_WHERE]),
        _maximum(catalog, read, index, ours, seed) if kind == "image" else None,
        _words(where) if is_text else (),
        _profile(read, codes) if kind == "tabular" else (),
    )


def _shown(read: _ReadDictionary, place: int, index: int) -> ActiveInput:
    content = read.entry.elements[place].array
    return ActiveInput(
        content, str(read.entry.sources[place]), read.labels[int(read.classes[place])], float(read.codes[place, index])
    )


def _where(catalog: Catalog, ask: Ask, read: _ReadDictionary, index: int, places: Sequence[int]) -> list[Attribution]:
    """Shapley maps of an attribute for some inputs."""
    players = ""
    if KINDS[read.entry.kind].name == "image" and min(read.entry.shape[-2:]) >= _FINE and read.entry.players is None:
        players = ", players => grid(7, 7)"
    said = [sql_name(each) for each in (f"{read.model}.{read.dictionary.name}", read.entry.name)]
    target = sql_text(read.dictionary.names[index])
    asked = f"select * from {said[0]}({said[1]}, target => {target}{players})"
    having = f" having index in ({', '.join(map(str, places))})" if read.entry.collection else ""
    found = list(ask(f"{asked}{having} budget {_BUDGET}", catalog))
    return sorted(found, key=lambda a: -a.full_value)


def _maximum(catalog: Catalog, read: _ReadDictionary, index: int, ours: Tensor, seed: int) -> ShownMaximum | None:
    """The typical input of a class, in which the attribute is raised; None for pictures that take no gradients, and for
    an attribute that is never active."""
    samples = torch.stack([read.tensors[int(place)] for place in ours])
    largest = float(read.codes[:, index].max())
    if not samples.is_floating_point() or largest <= 0:
        return None
    network = catalog.model(f"{read.model}.{read.dictionary.name}")
    low, high = _scale(read.entry)
    found = maximised(network, index, samples[typical(samples)], low, high, largest, seed)
    return ShownMaximum(found.before.numpy(), found.after.numpy(), found.activations)


def _words(where: Sequence[Attribution]) -> tuple[tuple[str, float, str], ...]:
    """The words of the most active texts that activate the attribute most, with their neighbours."""
    found: dict[str, tuple[float, str]] = {}
    for a in where:
        names = a.feature_names or ()
        for player in range(len(a.values)):
            positions = np.flatnonzero(np.asarray(a.players).reshape(-1) == player).tolist()
            if not positions or positions[-1] >= len(names):
                continue
            word = " ".join(names[k] for k in positions)
            near = names[max(0, positions[0] - _NEIGHBOURS) : positions[-1] + 1 + _NEIGHBOURS]
            if a.values[player] > found.get(word, (0.0, ""))[0]:
                found[word] = (float(a.values[player]), " ".join(near))
    order = sorted(found, key=lambda word: -found[word][0])[:_SHOWN_WORDS]
    return tuple((word, *found[word]) for word in order)


def _profile(read: _ReadDictionary, codes: Tensor) -> tuple[tuple[str, float], ...]:
    """The features by which the most activating rows differ most from all, in standard deviations."""
    try:
        rows = torch.from_numpy(np.stack([each.array for each in read.entry.elements[: len(codes)]]).astype(np.float64))
    except (TypeError, ValueError):  # columns that are no numbers
        return ()
    top = codes.argsort(descending=True, stable=True)[: max(1, round(_TOP * len(codes)))]
    spread = rows.std(dim=0)
    apart = (rows[top].mean(dim=0) - rows.mean(dim=0)) / torch.where(spread > 0, spread, 1.0)
    names = read.entry.feature_names or tuple(f"x{k}" for k in range(rows.shape[1]))
    order = apart.abs().argsort(descending=True, stable=True)[:_SHOWN_FEATURES].tolist()
    return tuple((names[k], float(apart[k])) for k in order)
