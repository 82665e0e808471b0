"""Volumes (channels, depths, rows, cols) and videos (channels, frames, rows, cols); players are blocks of them.

A batch of images has the same form, so an input is a volume or a video only where its registration says so, by its kind
or by its layout.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch

from ...system.arrays import Array, Ints
from ..players import Blocks, Labels, Pixels, Slic, Tile
from .kind import InputKind, names_of_ranges


def _accepts(shape: tuple[int, ...], dtype: torch.dtype) -> bool:
    return len(shape) == 4


def _indexed(along: str) -> Callable[[Array], dict[str, Array]]:
    """The columns of an input whose first axis after the channels is called `along`."""

    def index(value: Array) -> dict[str, Array]:
        channel, first, row, col = np.ogrid[tuple(slice(n) for n in value.shape)]
        return {along: first, "row": row, "col": col, "channel": channel, "value": value}

    return index


def _named(along: str) -> Callable[[Ints, int, Array, Sequence[str] | None], list[str]]:
    def names(players: Ints, count: int, content: Array, feature_names: Sequence[str] | None) -> list[str]:
        return names_of_ranges(players, count, (along, "rows", "cols"))

    return names


VOLUME = InputKind(
    name="volume",
    article="a volume",
    form="a volume (C, D, H, W) with kind='volume'",
    axes="(channels, depths, rows, cols)",
    dimensions=4,
    accepts=_accepts,
    common_dtype=False,
    columns=("depth", "row", "col", "channel", "value"),
    index=_indexed("depth"),
    named=None,
    vocabulary=False,
    layout="none",
    quantities=True,
    partitions=(Blocks, Pixels, Tile, Slic, Labels),
    default_partition=Blocks(4, 2, 2),
    drawing="slices",
    player_names=_named("depths"),
    layouts=("CDHW", "DHWC", "DHW"),
    by_name_only=True,
)

VIDEO = dataclasses.replace(
    VOLUME,
    name="video",
    article="a video",
    form="a video (C, T, H, W) with kind='video'",
    axes="(channels, frames, rows, cols)",
    columns=("frame", "row", "col", "channel", "value"),
    index=_indexed("frame"),
    player_names=_named("frames"),
    layouts=("CTHW", "TCHW", "THWC", "THW"),
)
