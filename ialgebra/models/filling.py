"""Batches for models that do not take every number of rows: some take one number only, some no single row.

In: batches of rows. Out: batches that the model takes, filled up with copies of their last row, and how many of their
rows count. Knows tensors: no models, no layers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Filling:
    """How many rows a model's batches have: `least` at least and, if `fixed`, no more."""

    least: int = 1
    fixed: bool = False

    def batches(self, batch: Tensor) -> Iterator[tuple[int, Tensor, int]]:
        """Batches that the model takes instead of `batch` (B, *shape): the place of the first row of each, the rows,
        and how many of them are no copies."""
        size = self.least if self.fixed else max(1, len(batch))
        for first in range(0, max(1, len(batch)), size):
            rows = batch[first : first + size]
            yield first, self.filled(rows), len(rows)

    def filled(self, rows: Tensor) -> Tensor:
        """The rows (B, *shape), and copies of the last one if they are too few."""
        missing = self.least - len(rows)
        return rows if missing <= 0 else torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])])

    @property
    def words(self) -> str:
        """What a model with this filling does, for people."""
        more = "" if self.fixed else " at least"
        return f"takes no batch of one row; it gets {self.least} rows{more}, filled up with copies that are not counted"


NO_FILLING = Filling()

ONE_SIZE = "a model that takes batches of one size only is registered with it: register_model(…, batch_size=…)"
"""What is added to an error that may be about the number of rows."""

_OF_SIZES = re.compile(r"\b(batch\w*|shapes?|sizes?|rows?|more than 1 value)\b")


def may_be_of_sizes(error: Exception) -> bool:
    """Whether a model's error may be about the number of rows, and not about the form of one."""
    said = str(error)
    return (
        isinstance(error, RuntimeError | ValueError | AssertionError)
        and bool(_OF_SIZES.search(said))
        and ("channels" not in said)
    )
