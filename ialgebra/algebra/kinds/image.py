"""Images: (channels, rows, cols) of any real numbers; players are groups of pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ...system.arrays import Array, Ints
from ..players import Grid, Labels, Pixels, Slic, Tile
from .kind import InputKind, names_of_ranges


def _accepts(shape: tuple[int, ...], dtype: torch.dtype) -> bool:
    return len(shape) == 3


def _index(value: Array) -> dict[str, Array]:
    channel, row, col = np.ogrid[tuple(slice(n) for n in value.shape)]
    return {"row": row, "col": col, "channel": channel, "value": value}


def _player_names(players: Ints, count: int, content: Array, feature_names: Sequence[str] | None) -> list[str]:
    return names_of_ranges(players, count, ("rows", "cols"))


IMAGE = InputKind(
    name="image",
    article="an image",
    form="an image (C, H, W)",
    axes="(channels, rows, cols)",
    dimensions=3,
    accepts=_accepts,
    common_dtype=False,
    columns=("row", "col", "channel", "value"),
    index=_index,
    named=None,
    vocabulary=False,
    layout="plane",
    quantities=True,
    partitions=(Pixels, Grid, Tile, Slic, Labels),
    default_partition=Grid(4, 4),
    drawing="photo",
    player_names=_player_names,
    layouts=("CHW", "HWC", "HW"),
)
