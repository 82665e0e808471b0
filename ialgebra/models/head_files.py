"""Files of heads: a network's heads in, a safetensors file out, and back again.

A file names the weights of the model that the heads were trained on. Knows networks and heads: nothing of how heads are
trained.
"""

from __future__ import annotations

import json
import math
import warnings
import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from ..errors import BindError, IalgebraError, IalgebraWarning, ShapeError
from ..kernels.forward import uncompiled
from ..system import checks
from . import weight_files
from .checksums import checksum
from .head import Head
from .network import Network

_FORM = weight_files.FileForm("heads", 2, ("heads", "weights"), digested=2)
_MOST_DIMENSIONS = 64  # that a layer's output may have


def save_heads(network: Network, path: str | Path) -> Path:
    """Writes the network's heads to a safetensors file, whole or not at all, and returns its path.

    Raises BindError where there are no heads, or the file cannot be written.
    """
    path = checks.path("the path of a file of heads", path)
    if not network.heads:
        raise BindError(
            f"model '{network.name}' has no heads to save; train them with con.fit_heads(\"{network.name}\", inputs)"
        )
    weight_files.write(_FORM, path, file_content(network.named_heads, weights_digest(network)))
    return path


def file_content(heads: Mapping[str, Head], weights: str) -> bytes:
    """The file of some heads by layer name, trained on a model of these weights (`weights_digest`)."""
    tensors: dict[str, Tensor] = {}
    entries: list[dict[str, object]] = []
    for name, head in heads.items():
        tensors[f"{name}.weight"] = head.weight.cpu().contiguous()
        tensors[f"{name}.bias"] = head.bias.cpu().contiguous()
        measured = {"agreement": head.agreement, "accuracy": head.accuracy, "ridge": head.ridge}
        entries.append({"layer": name, "pool": head.pool, **measured})
    return weight_files.content_of(_FORM, {"heads": json.dumps(entries), "weights": weights}, tensors)


def load_heads(network: Network, path: str | Path) -> None:
    """Sets the network's heads to those that `save_heads` wrote. Before `probe` they are kept, and set after it.

    Layers are matched by name. Raises BindError for a missing, damaged or foreign file and for unknown layers,
    ShapeError for heads that do not fit their layers: then the network keeps the heads that it has. Warns where the
    model's weights are not those that the heads were trained on.
    """
    path = checks.path("the path of a file of heads", path)
    header, tensors = weight_files.read(_FORM, path)
    try:
        heads, weights = _heads(header, tensors), weight_files.entry(header, "weights")
    except IalgebraError as error:
        raise type(error)(f"'{path}' is no file of heads, or is damaged: {error.message}") from error
    if weights != weights_digest(network):
        warnings.warn(
            f"the heads in '{path}' were trained on other weights than those of model '{network.name}' now",
            IalgebraWarning,
            stacklevel=2,
        )
    try:
        network.attach(heads)
    except IalgebraError as error:
        raise type(error)(f"the heads in '{path}' do not fit: {error.message}") from error


def _heads(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> dict[str, Head]:
    """The heads of a file by layer name; BindError or ShapeError that names the entry at fault."""
    told = checks.parsed("its list of heads", weight_files.entry(header, "heads"))
    if not isinstance(told, list) or not told:
        raise BindError(f"its list of heads must be a list, not {checks.shown(told)}")
    entries = [checks.fields_of(f"of head {index}", each, _ENTRY) for index, each in enumerate(told)]
    heads: dict[str, Head] = {}
    for entry in entries:
        name = str(entry.pop("layer"))
        if name in heads:
            raise BindError(f"it has two heads of layer {checks.shown(name)}")
        weight, bias = (weight_files.finite(_FORM, f"{name}.{part}", tensors) for part in ("weight", "bias"))
        if weight.dim() != 2 or not weight.numel() or bias.shape != weight.shape[:1] or bias.dtype != weight.dtype:
            raise ShapeError(
                f"the head of layer {checks.shown(name)} has a weight {tuple(weight.shape)} of {weight.dtype} and a "
                f"bias {tuple(bias.shape)} of {bias.dtype}; they are (K, F) and (K,), of one type"
            )
        heads[name] = Head(weight, bias, **entry)
    if len(tensors) > 2 * len(heads):
        raise BindError(f"it has {len(tensors)} tensors; {len(heads)} heads have {2 * len(heads)}")
    if len(counts := {len(head.bias) for head in heads.values()}) > 1:
        raise ShapeError(f"its heads have {' and '.join(map(str, sorted(counts)))} classes; all heads have one number")
    return heads


def _share(what: str, value: object) -> float:
    """At most 1, negative for a head that is worse than none (R²), NaN where nothing was held out."""
    unknown = isinstance(value, float) and math.isnan(value)
    return math.nan if unknown else checks.number(what, value, high=1)


def _pool(what: str, value: object) -> tuple[int, ...]:
    found = checks.sequence(partial(checks.whole, low=1, high=_MOST_DIMENSIONS), what, value)
    if len(set(found)) < len(found):
        raise BindError(f"{what} must be different dimensions")
    return cast("tuple[int, ...]", found)


_ENTRY: Mapping[str, checks.Check] = {
    "layer": checks.text,
    "pool": _pool,
    "agreement": _share,
    "accuracy": partial(checks.optional, _share),
    "ridge": partial(checks.number, low=0),
}


def weights_digest(network: Network) -> str:
    """A short name for the model's weights."""
    module = uncompiled(network.module)
    held = [*module.named_parameters(), *module.named_buffers()] if isinstance(module, nn.Module) else []
    told = tuple((name, tuple(each.shape), _checksum(each)) for name, each in held)
    return f"{zlib.crc32(repr(told).encode()):08x}"


def _checksum(tensor: Tensor) -> int:
    """The checksum that files of heads have had from the first."""
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        return checksum(tensor) & 0xFFFFFFFF
    content = tensor.detach().resolve_conj().resolve_neg().reshape(-1).contiguous().cpu()
    return zlib.crc32(content.view(torch.uint8).numpy().data) if content.numel() else 0
