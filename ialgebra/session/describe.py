"""What SHOW and DESCRIBE say. In: the catalog; out: text. It changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from ..algebra.windows import Mask, Window
from ..catalog.catalog import Catalog
from ..catalog.inputs import Entry
from ..errors import BindError, did_you_mean
from ..models.network import Network


def show(kind: str, catalog: Catalog) -> str:
    """One line for each registered model, input, window or view."""
    lines: dict[str, Callable[[], Iterable[str]]] = {
        "models": lambda: (_model_line(each) for each in catalog.models.values()),
        "inputs": lambda: (input_line(each) for each in catalog.visible.values()),
        "windows": lambda: (f"{name}: {_window(window)}" for name, window in catalog.windows.items()),
        "views": lambda: (f"{name}: {query}" for name, query in catalog.views.items()),
    }
    return "\n".join(lines[kind]()) or f"no {kind}"


def describe(name: str, catalog: Catalog) -> str:
    """Everything that `name` is: a model with its layers, an input, a window or a view. BindError if it is none of
    them."""
    parts = []
    if name in catalog.models:
        parts.append(_model(catalog.models[name]))
    if name in catalog.inputs:
        parts.append(_input(catalog.inputs[name]))
    if name in catalog.windows:
        parts.append(f"window {name}: {_window(catalog.windows[name])}")
    if name in catalog.views:
        parts.append(f"view {name}: {catalog.views[name]}")
    if not parts:
        known = [*catalog.models, *catalog.visible, *catalog.windows, *catalog.views]
        raise BindError(f"nothing is called '{name}'{did_you_mean(name, known)}")
    return "\n".join(parts)


def _window(window: Window) -> str:
    return f"{window.origin or 'a mask'}, {mask_text(window)}" if isinstance(window, Mask) else str(window)


def mask_text(mask: Mask) -> str:
    """How much a mask selects."""
    what = "pixels" if len(mask.shape) == 2 else "features"
    return f"{int(mask.array.sum()):,} of {mask.array.size:,} {what}"


def _model_line(network: Network) -> str:
    kind = type(network.module).__name__
    if not network.probed:
        return f"{network.name}: {kind}, not run yet"
    heads = len(network.heads)
    return f"{network.name}: {kind}, {len(network.layers)} layers, {network.class_count} classes, {heads} trained heads"


def _model(network: Network) -> str:
    lines = [f"model {_model_line(network)}, output {network.output}, on {network.runs_on}"]
    for layer in network.layers if network.probed else ():
        if layer.is_output:
            state = "the model's own output"
        elif layer.index in network.heads:
            state = f"head agrees with the model on {network.heads[layer.index].agreement:.0%} of held-out inputs"
        else:
            state = "no head yet"
        lines.append(f"  {layer.index:>3}  {layer.name}  {tuple(layer.shape)}  {state}")
    return "\n".join(lines)


def input_line(entry: Entry) -> str:
    """An input's name, kind, shape and type."""
    count = f"{len(entry.elements)} × " if entry.collection else ""
    return f"{entry.name}: {entry.kind}, {count}{entry.shape}, {entry.elements[0].tensor.dtype}"


def _input(entry: Entry) -> str:
    lines = [f"input {input_line(entry)}"]
    if entry.baselines is not None:
        shown = ", ".join(map(str, entry.baselines[:4])) + (", …" if len(entry.baselines) > 4 else "")
        lines.append(f"  baseline: {shown}")
    if entry.players is not None:
        lines.append(f"  players: {entry.players}")
    if entry.feature_names is not None:
        lines.append(
            f"  features: {', '.join(entry.feature_names[:12])}{', …' if len(entry.feature_names) > 12 else ''}"
        )
    if entry.labels is not None:
        counts = Counter(entry.labels).most_common()
        shown = ", ".join(f"{label} × {count}" for label, count in counts[:12])
        lines.append(f"  labels: {shown}{', …' if len(counts) > 12 else ''}")
    return "\n".join(lines)
