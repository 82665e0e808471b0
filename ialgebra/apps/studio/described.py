"""The catalog as JSON: models with their layers and classes, inputs, windows, views and panels, bounded in size.

In: a catalog. Out: plain values. Of 1,000 classes some are told, and the others are found by a search. It runs no model
and waits for nothing. May not know: sessions, sockets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from ...catalog.catalog import Catalog
from ...catalog.inputs import Entry
from ...models.network import Network
from ...session.descriptions import window_text
from .contents import shown_kind
from .messages import Said

_T = TypeVar("_T")

SOME_CLASSES = 60  # class names of a model that the catalog tells
_MOST_NAMES = 256  # inputs, labels, feature names, windows or views that are told
_LETTERS = 400  # of a window's or a view's text


def described(catalog: Catalog, panels: Sequence[Said]) -> dict[str, object]:
    """The message `catalog`."""
    inputs = catalog.visible
    return {
        "type": "catalog",
        "models": [_model(each) for each in list(catalog.models.values())[:_MOST_NAMES]],
        "inputs": [_input(each) for each in list(inputs.values())[:_MOST_NAMES]],
        "input_count": len(inputs),
        "windows": [{"name": name, "text": _cut(window_text(each))} for name, each in _some(catalog.windows)],
        "views": [{"name": name, "text": _cut(text)} for name, text in _some(catalog.views)],
        "panels": list(panels),
    }


def mark(catalog: Catalog) -> tuple[object, ...]:
    """A value that is another one when something that `described` tells has changed."""
    models = tuple(
        (name, id(each), each.probed, len(each.heads), each.probed and each.outputs.meaning)
        for name, each in catalog.models.items()
    )
    return (
        models,
        tuple((name, id(each)) for name, each in catalog.visible.items()),
        tuple((name, id(each)) for name, each in catalog.windows.items()),
        tuple(catalog.views.items()),
        tuple((name, id(each)) for name, each in (*catalog.generators.items(), *catalog.axes.items())),
    )


def classes(catalog: Catalog, model: str, find: str, most: int) -> dict[str, object]:
    """The classes of a model whose names hold `find`: those that begin with it first. BindError for unknown models."""
    network = catalog.model(model)
    names = class_names(network)
    wanted = find.lower()
    holding = [name for name in names if wanted in name.lower()]
    beginning = [name for name in holding if name.lower().startswith(wanted)]
    rest = [name for name in holding if not name.lower().startswith(wanted)]
    return {"type": "classes", "model": model, "names": [*beginning, *rest][:most], "total": len(holding)}


def class_names(network: Network) -> list[str]:
    """The names of all classes that are known now."""
    if network.probed:
        return [network.class_name(index) for index in range(network.class_count)]
    return list(network.classes or ())


def _model(network: Network) -> Said:
    names = class_names(network)
    layers = [
        {"index": layer.index, "name": layer.name, "ready": not network.needs_head(layer.index)}
        for layer in (network.layers if network.probed else ())
    ]
    return {
        "name": network.name,
        "kind": type(network.model).__name__,
        "layers": layers,
        "classes": len(names),
        "some": names[:SOME_CLASSES],
        "output": network.output,
        "outputs": network.outputs.meaning if network.probed else None,
        "probed": network.probed,
    }


def _input(entry: Entry) -> Said:
    labels = None if entry.labels is None else [str(each) for each in dict.fromkeys(entry.labels)][:_MOST_NAMES]
    names = entry.feature_names
    return {
        "name": entry.name,
        "kind": shown_kind(entry.kind),
        "read_as": entry.kind if len(entry.kind) < 40 else "composite",
        "count": len(entry.elements),
        "collection": entry.collection,
        "shape": list(entry.shape),
        "labels": labels,
        "feature_names": None if names is None else list(names[:_MOST_NAMES]),
    }


def _some(named: Mapping[str, _T]) -> list[tuple[str, _T]]:
    return list(named.items())[:_MOST_NAMES]


def _cut(text: str) -> str:
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"
