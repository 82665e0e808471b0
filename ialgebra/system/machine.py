"""The machine. In: a device. Out: its name, and the number of threads that torch uses on it. It imports torch; it may
not know models or files."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

import torch


def machine(device: torch.device) -> tuple[str, int]:
    """The device's name, and the number of threads that torch uses on it."""
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
