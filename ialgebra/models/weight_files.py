"""Files of weights: texts and named tensors in, a safetensors file out, and back again.

A file names its format, and holds a digest of its own content. It is written whole or not at all. Knows tensors and
texts: nothing of what the weights are of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor

from ..errors import BindError
from ..system import checks, disk

DTYPES = (torch.float32, torch.float64)  # of weights that are trained here


@dataclass(frozen=True)
class FileForm:
    """A form of file: what its weights are ('heads'), the newest version that is read and is written, and the texts of
    its header that the digest covers, besides the format. Versions below `digested` had no digest."""

    what: str
    version: int
    texts: tuple[str, ...]
    digested: int = 1

    @property
    def format(self) -> str:
        """The name of the format, as a file says it before its version."""
        return f"ialgebra {self.what}"


def content_of(form: FileForm, texts: Mapping[str, str], tensors: Mapping[str, Tensor]) -> bytes:
    """The content of a file."""
    header = {"format": f"{form.format} {form.version}", **texts}
    header["digest"] = _digest(form, header, tensors)
    return serialised(dict(tensors), header)


def write(form: FileForm, path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all; BindError where that is impossible."""
    try:
        disk.write(path, content)
    except (OSError, ValueError) as error:
        raise BindError(f"cannot write {form.what} to '{path}': {getattr(error, 'strerror', None) or error}") from error


def read(form: FileForm, path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The texts and tensors of a file; BindError for a missing, damaged or foreign one."""
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = file.metadata() or {}
            version = _version(form, path, header.get("format"))
            # A file's tensors may be unaligned in memory. Copies are aligned, as trained weights are: else the last
            # bits of answers could differ.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a dict
    except OSError as error:
        raise BindError(f"cannot read {form.what} from '{path}': {error.strerror or error}") from error
    except (SafetensorError, TypeError, ValueError, AttributeError) as error:
        raise BindError(f"'{path}' is no file of {form.what}, or is damaged: {error}") from error
    if version >= form.digested and header.get("digest") != _digest(form, header, tensors):
        raise BindError(f"'{path}' is damaged: its {form.what} are not those that were saved; save them again")
    return header, tensors


def entry(header: Mapping[str, str], name: str) -> str:
    """A text of the header; BindError if it is missing."""
    if name not in header:
        raise BindError(f"its header has no entry '{name}'")
    return header[name]


def finite(form: FileForm, name: str, tensors: Mapping[str, Tensor]) -> Tensor:
    """A tensor of finite float32 or float64 numbers; BindError for another, or none."""
    if name not in tensors:
        raise BindError(f"the tensor {checks.shown(name)} is missing")
    tensor = tensors[name]
    if tensor.dtype not in DTYPES:
        raise BindError(f"the tensor {checks.shown(name)} is of {tensor.dtype}; {form.what} are of float32 or float64")
    if not bool(torch.isfinite(tensor).all()):
        raise BindError(f"the tensor {checks.shown(name)} must be finite numbers; some are NaN or infinite")
    return tensor


def _version(form: FileForm, path: Path, told: object) -> int:
    """The version in a file's format; BindError where it is of another one, or newer than this reader."""
    name, _, number = str(told).rpartition(" ")
    if name != form.format or not number.isascii() or not number.isdecimal():
        raise BindError(
            f"'{path}' is no file of {form.what} (its format is {checks.shown(told)}, not "
            f"'{form.format} {form.version}')"
        )
    if not 1 <= int(number[:9]) <= form.version:
        raise BindError(
            f"'{path}' was saved by a newer ialgebra ({form.what} of format {number[:9]}; this one reads up to "
            f"{form.version}); upgrade: pip install -U ialgebra"
        )
    return int(number)


def _digest(form: FileForm, header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """Names the content of a file."""
    digest = hashlib.sha256("\0".join(header.get(key, "") for key in ("format", *form.texts)).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
