"""What models, inputs and windows are, in words. In: one of them; out: a line, or several. It changes nothing."""

from __future__ import annotations

import math
from collections import Counter

from ..algebra.kinds import KINDS
from ..algebra.packings import packing_of
from ..algebra.packings.frames import FramePacking
from ..algebra.packings.parts import PartsPacking
from ..algebra.windows import Mask, Window
from ..catalog.catalog import Catalog
from ..catalog.inputs import Entry
from ..errors import in_lines
from ..generators.axes import Axis
from ..generators.registered import RegisteredGenerator
from ..models.concepts import DerivedNetwork, Dictionary, Surrogate
from ..models.concepts.measuring import read_from
from ..models.network import Network

_SHOWN = 12  # models, or inputs, that a session lists


def session_text(catalog: Catalog, rows: int) -> str:
    """What a session holds: a line for each model and input, the names of windows and views, and the rows kept."""
    models = [f"  model {model_line(network)}" for network in catalog.models.values()]
    inputs = [f"  input {input_line(catalog.input(name))}" for name in catalog.visible]
    named = [
        f"  {what}: {', '.join(names)}"
        for what, names in (("windows", catalog.windows), ("views", catalog.views))
        if names
    ]
    lines = [*_some(models), *_some(inputs), *named] or ["  nothing is registered yet"]
    return in_lines([f"Session, {rows:,} rows kept", *lines])


def _some(lines: list[str]) -> list[str]:
    """The lines, or the first of them and how many more there are."""
    return lines if len(lines) <= _SHOWN else [*lines[:_SHOWN], f"  … {len(lines) - _SHOWN} more"]


def window_text(window: Window) -> str:
    """A predicate as it is written, or how much a mask selects."""
    return f"{window.origin or 'a mask'}, {mask_text(window)}" if isinstance(window, Mask) else str(window)


def mask_text(mask: Mask) -> str:
    """How much a mask selects."""
    what = "pixels" if len(mask.shape) == 2 else "features"
    return f"{int(mask.array.sum()):,} of {mask.array.size:,} {what}"


def model_line(network: Network) -> str:
    """A model's name, type, and how many layers, classes and trained heads it has."""
    kind = type(network.model).__name__
    if isinstance(network, DerivedNetwork):
        kind = f"derived, {'surrogate' if isinstance(network.module, Surrogate) else 'attributes'} of {network.of.name}"
    if not network.probed:
        return f"{network.name}: {kind}, not run yet"
    heads = len(network.heads)
    counts = f"{len(network.layers)} layers, {network.class_count} classes, {heads} trained heads"
    return ", ".join([f"{network.name}: {kind}", counts, *network.behaviour.words])


def model_text(network: Network) -> str:
    """A model and its layers, one a line."""
    lines = [f"model {model_line(network)}, output {network.output}, on {network.runs_on}"]
    lines.append(f"  outputs: {outputs_text(network)}")
    lines += [f"  inputs: it {cast.words}" for cast in network.lossy_casts]
    if network.filling.least > 1:
        lines.append(f"  batches: it {network.filling.words}")
    if network.tokens is not None:
        pad = "unknown" if network.tokens.pad is None else network.tokens.pad
        lines.append(f"  reads token ids with an attention mask; the id of padding is {pad}")
    if network.unread or network.version is not None:
        lines.append(f"  sameness: {sameness_text(network)}")
    for layer in network.layers if network.probed else ():
        if layer.is_output:
            state = "the model's own output"
        elif layer.index in network.heads:
            state = f"head agrees with the model on {network.heads[layer.index].agreement:.0%} of held-out inputs"
        else:
            state = "no head yet"
        lines.append(f"  {layer.index:>3}  {layer.name}  {tuple(layer.shape)}  {state}")
    return in_lines(lines)


def concepts_line(key: str, dictionary: Dictionary) -> str:
    """The model of a dictionary's attributes, how many there are, and what they are read from."""
    return f"{key}: {dictionary.size} attributes ({dictionary.kind}), of {read_from(dictionary)}"


def concepts_text(key: str, dictionary: Dictionary) -> str:
    """A dictionary, its attributes, and what was measured of it."""
    model = key.removesuffix(f".{dictionary.name}")
    head = dictionary.heads[model]
    lines = [f"concepts {concepts_line(key, dictionary)}"]
    lines.append(f"  names: {', '.join(dictionary.names[:12])}{', …' if dictionary.size > 12 else ''}")
    lines.append(f"  head: {len(head.weight)} outputs of {model}, linear in the attributes")
    if dictionary.figures is not None:
        lines += [f"  {each}" for each in dictionary.figures.lines()]
    return in_lines(lines)


def generator_line(generator: RegisteredGenerator) -> str:
    """A generator's name, type, the form of its codes and of what it draws, and its collection."""
    words = [f"{generator.levels} levels of {generator.width}", f"draws {generator.shape}"]
    words.append(f"collection {generator.collection}" if generator.collection else "no collection")
    words += [] if generator.encodes else ["no encoder"]
    return f"{generator.name}: {type(generator.generator).__name__}, {', '.join(words)}"


def axis_line(axis: Axis) -> str:
    """An axis's name, generator, what it follows and how well codes tell that, and what it holds."""
    told = [] if math.isnan(axis.r2) else [f"held-out R² {axis.r2:.2f}"]
    held = [f"holding {', '.join(axis.held)}"] if axis.held else []
    return f"{axis.name}: {', '.join([f'{axis.of} on {axis.generator}', *told, *held])}"


def outputs_text(network: Network) -> str:
    """How a model's outputs are read, and why."""
    reading = network.outputs
    if reading.meaning in ("logits", "multilabel"):
        return f"logits, whose probabilities are the {reading.words} ({reading.why})"
    return f"{reading.words} ({reading.why})"


def sameness_text(network: Network) -> str:
    """How it is known that earlier rows still hold, of a model that could not be read whole or has a version."""
    said = f"version '{network.version}'"
    if not network.unread:
        return said
    shown = "; ".join(network.unread[:4]) + ("; …" if len(network.unread) > 4 else "")
    if network.version is not None:
        return f"{said}, which is trusted for what could not be read ({shown})"
    return f"opaque: {shown} could not be read; a few remembered rows are evaluated anew before others are used"


def input_line(entry: Entry) -> str:
    """An input's name, kind, shape and type."""
    count = f"{len(entry.elements)} × " if entry.collection else ""
    kind = KINDS[entry.kind]
    return f"{entry.name}: {kind.article if kind.parts else kind.name}, {count}{entry.shape}, {_types(entry)}"


def _types(entry: Entry) -> str:
    """The type of an input's numbers, or of each of its columns or parts."""
    tensor = entry.example.tensor
    packing = packing_of(tensor)
    if isinstance(packing, FramePacking):
        types = dict.fromkeys(each.dtype if each.categories is None else "category" for each in packing.columns)
        return f"a DataFrame of {', '.join(types)}"
    if isinstance(packing, PartsPacking):
        return ", ".join(f"'{each.name}' {'a DataFrame' if each.packing else each.dtype}" for each in packing.parts)
    return str(tensor.dtype)


def input_text(entry: Entry) -> str:
    """An input with its baseline, players, feature names and labels."""
    lines = [f"input {input_line(entry)}"]
    if entry.block is not None:
        lines.append(f"  read when it is needed, in blocks of {entry.block:,}")
    if entry.baselines is not None:
        shown = ", ".join(map(str, entry.baselines[:4])) + (", …" if len(entry.baselines) > 4 else "")
        lines.append(f"  baseline: {shown}")
    if entry.players is not None:
        lines.append(f"  players: {entry.players}")
    if entry.feature_names is not None:
        lines.append(
            f"  features: {', '.join(entry.feature_names[:12])}{', …' if len(entry.feature_names) > 12 else ''}"
        )
    masks = [each.attention for each in entry.held if each.attention is not None]
    if masks:
        hidden, count = sum(int((each == 0).sum()) for each in masks), sum(each.numel() for each in masks)
        lines.append(f"  attention mask: {hidden:,} of {count:,} positions hidden")
    if entry.labels is not None:
        if not isinstance(entry.labels, tuple):
            return in_lines([*lines, "  labels: read with the elements"])
        counts = Counter(entry.labels).most_common()
        shown = ", ".join(f"{label} × {count}" for label, count in counts[:12])
        lines.append(f"  labels: {shown}{', …' if len(counts) > 12 else ''}")
    return in_lines(lines)
