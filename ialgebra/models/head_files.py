"""Files of heads: a network's heads in, a safetensors file out, and back again.

A file names its format and the weights of the model that the heads were trained on, and holds a digest of its own
content. Knows networks and heads: nothing of how heads are trained.
"""

from __future__ import annotations

import hashlib
import json
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor

from ..errors import BindError, IalgebraWarning, ShapeError
from ..system import disk
from .head import Head
from .network import Network

_FORMAT, _VERSION = "ialgebra heads", 2  # version 1 had no digest


def save_heads(network: Network, path: str | Path) -> Path:
    """Writes the network's heads to a safetensors file, whole or not at all, and returns its path.

    Raises BindError where there are no heads, or the file cannot be written.
    """
    path = Path(path)
    if not network.heads:
        raise BindError(
            f"model '{network.name}' has no heads to save; train them with con.fit_heads(\"{network.name}\", inputs)"
        )
    try:
        disk.write(path, file_content(network.named_heads, weights_digest(network)))
    except (OSError, ValueError) as error:
        raise BindError(f"cannot write heads to '{path}': {getattr(error, 'strerror', None) or error}") from error
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
    header = {"format": f"{_FORMAT} {_VERSION}", "heads": json.dumps(entries), "weights": weights}
    header["digest"] = _digest(header, tensors)
    return serialised(tensors, header)


def load_heads(network: Network, path: str | Path) -> None:
    """Sets the network's heads to those that `save_heads` wrote. Before `probe` they are kept, and set after it.

    Layers are matched by name. Raises BindError for a missing, damaged or foreign file and for unknown layers,
    ShapeError for heads that do not fit their layers. Warns where the model's weights are not those that the heads
    were trained on.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = file.metadata() or {}
            version = _version(path, header.get("format"))
            # A file's tensors may be unaligned in memory. Copies are aligned, as trained heads are: else the last bits
            # of answers could differ.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a dict
            if version > 1 and header.get("digest") != _digest(header, tensors):
                raise BindError(f"'{path}' is damaged: its heads are not those that were saved; save them again")
            heads = {}
            for entry in json.loads(header["heads"]):
                name = str(entry["layer"])
                weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
                if weight.dim() != 2 or bias.shape != weight.shape[:1]:
                    raise ShapeError(
                        f"the head for layer '{name}' in '{path}' has shapes "
                        f"{tuple(weight.shape)} and {tuple(bias.shape)}"
                    )
                accuracy = None if entry["accuracy"] is None else float(entry["accuracy"])
                pool = tuple(int(dim) for dim in entry["pool"])
                heads[name] = Head(weight, bias, pool, float(entry["agreement"]), accuracy, float(entry["ridge"]))
    except OSError as error:
        raise BindError(f"cannot read heads from '{path}': {error.strerror or error}") from error
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise BindError(f"'{path}' is no file of heads, or is damaged: {error}") from error
    if header.get("weights") != weights_digest(network):
        warnings.warn(
            f"the heads in '{path}' were trained on other weights than those of model '{network.name}' now",
            IalgebraWarning,
            stacklevel=2,
        )
    network.attach(heads)


def _version(path: str | Path, told: object) -> int:
    """The version in a file's format; BindError where it is of no heads, or newer than this reader."""
    name, _, number = str(told).rpartition(" ")
    if name != _FORMAT or not number.isdecimal():
        raise BindError(f"'{path}' is no file of heads (its format is {told!r}, not '{_FORMAT} {_VERSION}')")
    if not 1 <= int(number) <= _VERSION:
        raise BindError(
            f"'{path}' was saved by a newer ialgebra (heads of format {number}; this one reads up to {_VERSION}); "
            "upgrade: pip install -U ialgebra"
        )
    return int(number)


def _digest(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """Names the content of a file of heads."""
    digest = hashlib.sha256("\0".join(header[key] for key in ("format", "heads", "weights")).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def weights_digest(network: Network) -> str:
    """A short name for the model's weights."""
    return f"{zlib.crc32(repr(network.weights_fingerprint()).encode()):08x}"
