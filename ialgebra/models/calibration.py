"""Calibration: a network and an input in; its profile, measured deliberately and thoroughly, and a table of it out.

Queries refine a profile by what they run anyway; `calibrate` runs passes for the measuring alone, so that the first
query is planned as well as the tenth. What a profile belongs to is named here too. Knows networks and tensors: no
queries, no plans.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import nn

from ..kernels.forward import uncompiled
from ..runtime import keeps_memory
from .layers import Call, Layer


def structure(module: object, calls: Call, layers: Sequence[Layer]) -> str:
    """Names what decides a pass's cost: the modules that ran with the shapes of their outputs, and the parameters."""
    model = uncompiled(module)
    held = model.parameters() if isinstance(model, nn.Module) else ()
    ran = [(call.name, type(call.module).__qualname__, call.shape) for call in calls.all()]
    return _digest(ran, [(each.dtype, each.shape, _strides(each)) for each in held], [layer.name for layer in layers])


def profile_key(structure: str, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> str:
    """Names a profile: a model's structure, one input's form, and the machine as this process uses it."""
    return _digest(structure, tuple(shape), dtype, *machine(device), torch.__version__, keeps_memory())


def machine(device: torch.device) -> tuple[str, int]:
    """The device's name, and the threads that torch uses on it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device), 1
    return (_processor() if device.type == "cpu" else str(device)), torch.get_num_threads()


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _strides(tensor: torch.Tensor) -> tuple[int, ...]:
    return tensor.stride() if tensor.layout == torch.strided else ()


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(errors="surrogatepass"), digest_size=12).hexdigest()
