"""Series: (time, channels), or as signals (channels, time), of any real numbers; players are spans of time.

A table of numbers has the same form, so an input is a series or a signal only where its registration says so. The two
kinds differ in what the model gets: batches (B, T, C) or (B, C, T).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from ...system.arrays import Array, Ints
from ..players import Labels, Spans
from .kind import InputKind


def _accepts(shape: tuple[int, ...], dtype: torch.dtype) -> bool:
    return len(shape) == 2


def _series_index(value: Array) -> dict[str, Array]:
    time, channel = np.ogrid[tuple(slice(n) for n in value.shape)]
    return {"time": time, "channel": channel, "value": value}


def _signal_index(value: Array) -> dict[str, Array]:
    channel, time = np.ogrid[tuple(slice(n) for n in value.shape)]
    return {"time": time, "channel": channel, "value": value}


def _names_along(axis: int, players: Ints, count: int) -> list[str]:
    """The times that every player spans, and its channels if these are not all; `axis` is that of time."""
    time = np.moveaxis(players, axis, 0)
    channels = time.shape[1]
    names = []
    for player in range(count):
        when, where = (np.unique(each) for each in np.nonzero(time == player))
        if not when.size:
            names.append("no features")
            continue
        span = f"time {when[0]}" if when[0] == when[-1] else f"times {when[0]}-{when[-1]}"
        some = f", channel {where[0]}" if where[0] == where[-1] else f", channels {where[0]}-{where[-1]}"
        names.append(span + (some if where.size < channels else ""))
    return names


def _series_names(players: Ints, count: int, content: Array, feature_names: Sequence[str] | None) -> list[str]:
    return _names_along(0, players, count)


def _signal_names(players: Ints, count: int, content: Array, feature_names: Sequence[str] | None) -> list[str]:
    return _names_along(1, players, count)


SERIES = InputKind(
    name="series",
    article="a series",
    form="a series (T, C) with kind='series'",
    axes="(time, channels)",
    dimensions=2,
    accepts=_accepts,
    common_dtype=True,
    columns=("time", "channel", "value"),
    index=_series_index,
    named=None,
    vocabulary=False,
    layout="none",
    quantities=True,
    partitions=(Spans, Labels),
    default_partition=Spans(16),
    drawing="course",
    player_names=_series_names,
    layouts=("TC", "CT", "T"),
    by_name_only=True,
)

SIGNAL = dataclasses.replace(
    SERIES,
    name="signal",
    article="a signal",
    form="a signal (C, T) with kind='signal'",
    axes="(channels, time)",
    index=_signal_index,
    player_names=_signal_names,
    layouts=("CT", "TC", "T"),
)
