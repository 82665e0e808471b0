"""Calibration: a network and an input in; its profile, measured deliberately, and a table of it out.

Queries refine a profile by what they run anyway; `calibrate` runs passes for the measuring alone, so that the first
query is planned as well as the tenth. Knows networks and tensors: no queries, no plans.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import torch
from torch import Tensor

from ..errors import ResourceError
from ..system.machine import machine
from ..system.runtime import free_memory, peak_memory
from ..system.shortage import is_out_of_memory
from .network import Network
from .profile import SAME, Mode, Profile

_PASSES_OF_A_SIZE = 3  # passes of each batch size and mode; the first is slow, but the median is not
_MORE_SHORT_PASSES = 5  # further passes, if a pass is short
_SHORT_PASS = 0.01  # seconds
_WORTHWHILE_GAIN = 0.97  # a larger batch is a gain if it multiplies the seconds a row by this or less
_SIZES_WITHOUT_GAIN = 2  # doublings after the best size that are tried before a mode is given up
_SHARE_OF_FREE_MEMORY = 0.5  # that a batch may take


def calibrate(network: Network, example: Tensor, *, compile: bool = False, limit: float = 10.0) -> Profile:
    """Measure what passes of rows like `example` (*shape) cost, in about `limit` seconds, and keep it on disk.

    Batches double from one row while that makes rows cheaper, in every mode that the model can be run in, the modes in
    turn. With `compile` the model is then compiled for the best batch size, which takes tens of seconds more. What was
    measured before gives way. Raises what `Network.forward` raises, and ResourceError out of memory at one row.
    """
    network.probe(example)
    profile = network.profile_of(example.shape)
    profile.forget()
    with network.running():
        for mode, size in _steps(network, profile, time.perf_counter() + limit):
            _measure(network, _rows(example, size), mode, profile)
        mode, size, _ = fastest(profile)
        _measure_depths(network, _rows(example, size), mode, profile)
        if network.runs_on.type == "cuda":
            _measure_memory(network, _rows(example, size), profile)
        if compile and network.compile(_rows(example, size)):
            _measure(network, _rows(example, size), "compiled", profile)
    profile.save()
    return profile


def fastest(profile: Profile) -> tuple[Mode, int, float]:
    """The mode and batch size of least seconds a row among those measured, and these."""
    found = [
        (mode, *profile.best_batch(mode, curve))
        for mode, curve in profile.curves.items()
        if mode in SAME and profile.known(mode)
    ]
    return min(found, key=lambda each: each[2])


def table(network: Network, profile: Profile) -> str:
    """What was measured, for people."""
    name, threads = machine(network.runs_on)
    mode, size, seconds = fastest(profile)
    modes = [each for each in SAME if profile.known(each)]
    sizes = sorted({size for each in modes for size in profile.curves[each]})
    lines = [
        f"model {network.name} on {name}, {threads} thread{'s' if threads > 1 else ''}",
        f"fastest: {mode} in batches of {size:,}, {_time(seconds)} a row",
        f"memory: ~{profile.bytes_per_row / 1e6:.3g} MB a row",
        "",
        "rows a batch" + "".join(f"{each:>16}" for each in modes),
    ]
    for size in sizes:
        cells = [_time(profile.per_row(size, each)) if size in profile.curves[each] else "" for each in modes]
        lines.append(f"{size:>12,}" + "".join(f"{cell:>16}" for cell in cells))
    if profile.compile_seconds is not None:
        lines += ["", f"compiled in {profile.compile_seconds:.0f} s"]
    if profile.making:
        lines += ["", *(f"weights copied for {mode} in {_time(each)}" for mode, each in profile.making.items())]
    lines += [f"not {each}: {why}" for each, why in profile.unusable.items()]
    if profile.shares:
        lines += ["", "share of a pass until layer"]
        lines += [f"{layer.index:>12}  {profile.share(layer.index):>5.0%}  {layer.name}" for layer in network.layers]
    return "\n".join(lines)


def _steps(network: Network, profile: Profile, deadline: float) -> Iterator[tuple[Mode, int]]:
    """Modes and batch sizes to measure, one after the other. Each measurement updates the profile, which decides the
    next."""
    modes = [mode for mode in network.modes(None) if mode != "compiled"]
    best: dict[Mode, tuple[float, int]] = dict.fromkeys(modes, (math.inf, 1))  # seconds a row, by which size
    free = free_memory(network.runs_on.type)
    size = network.batch_size or 1
    while best:
        for mode in list(best):
            yield mode, size
            if not profile.known(mode) or size not in profile.curves[mode]:  # refused, or out of memory
                del best[mode]
                continue
            seconds, found = profile.per_row(size, mode), best[mode]
            if seconds <= _WORTHWHILE_GAIN * found[0]:
                best[mode] = (seconds, size)
            elif size >= found[1] << _SIZES_WITHOUT_GAIN:
                del best[mode]
        size *= 2
        coming = sum(_PASSES_OF_A_SIZE * size * seconds for seconds, _ in best.values())
        fits = free is None or size * profile.bytes_per_row <= _SHARE_OF_FREE_MEMORY * free
        if network.batch_size is not None or not fits or time.perf_counter() + coming > deadline:
            return


def _measure(network: Network, rows: Tensor, mode: Mode, profile: Profile) -> None:
    """A few passes of `rows` (B, *shape) in `mode`, which the profile sees; none where they run out of memory."""
    try:
        for repeat in range(_PASSES_OF_A_SIZE + _MORE_SHORT_PASSES):
            if repeat < _PASSES_OF_A_SIZE or profile.seconds(len(rows), len(rows), mode=mode) < _SHORT_PASS:
                network.forward(rows, [None], mode)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        profile.forget_batch(mode, len(rows))
        if not profile.known("eager"):
            rows_of = f"out of memory at a batch of {len(rows)} rows of model '{network.name}'"
            raise ResourceError(f"{rows_of}; use a smaller model, input or batch size") from error


def _measure_depths(network: Network, rows: Tensor, mode: Mode, profile: Profile) -> None:
    """The layers' shares in a few passes of `rows`, instead of those that earlier, smaller batches showed."""
    profile.forget_shares()
    for _ in range(_PASSES_OF_A_SIZE):
        network.forward(rows, [None], mode)


def _measure_memory(network: Network, rows: Tensor, profile: Profile) -> None:
    """What torch allocates for a batch beside what it held before, on the device."""
    device = str(network.runs_on)
    torch.cuda.synchronize(device)
    held = torch.cuda.memory_allocated(device)
    peak_memory(device, reset=True)
    network.forward(rows, [None])
    profile.bytes_per_row = max(1, ((peak_memory(device) or 0) - held) // len(rows))


def _rows(example: Tensor, size: int) -> Tensor:
    return example.detach().unsqueeze(0).repeat(size, *[1] * example.dim())


def _time(seconds: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"
