"""Values already paid for: rows by coalition, columns by (layer, class), one table for a model and a set of hybrids.

In: blocks of values as batches finish; out: what is known of the rows that a plan asks for. Bounded in bytes; the table
not used for longest goes first. It knows no plan and runs no model.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Values = NDArray[np.float64]
Masks = NDArray[np.bool_]


class Table:
    """The coalition values of one model over one set of hybrids: NaN where a row lacks a column."""

    def __init__(self) -> None:
        self.rows: dict[bytes, int] = {}
        self.columns: dict[Hashable, Values] = {}
        self.capacity = 0

    @property
    def nbytes(self) -> int:
        width = len(next(iter(self.rows), b"")) + 100  # a dictionary entry beside its key
        return len(self.rows) * width + sum(column.nbytes for column in self.columns.values())

    def known(self, masks: Masks, columns: Sequence[Hashable]) -> Values:
        """The values (m, len(columns)) of the coalitions `masks` (m, d), NaN where not known."""
        found = np.full((len(masks), len(columns)), np.nan)
        places = np.array([self.rows.get(row, -1) for row in _packed(masks)], dtype=np.int64)
        for k, column in enumerate(columns):
            if column in self.columns:  # rows that came later than the column's last value lie beyond its end
                here = (places >= 0) & (places < len(self.columns[column]))
                found[here, k] = self.columns[column][places[here]]
        return found

    def keep(self, masks: Masks, columns: Sequence[Hashable], values: Values) -> None:
        """Remember `values` (m, len(columns)) of the coalitions `masks` (m, d)."""
        places = np.array([self.rows.setdefault(row, len(self.rows)) for row in _packed(masks)], dtype=np.int64)
        if len(self.rows) > self.capacity:
            self.capacity = 2 * len(self.rows)
        for k, column in enumerate(columns):
            old = self.columns.get(column)
            if old is None or len(old) < self.capacity:
                grown = np.full(self.capacity, np.nan)
                if old is not None:
                    grown[: len(old)] = old
                self.columns[column] = grown
            self.columns[column][places] = values[:, k]


def _packed(masks: Masks) -> list[bytes]:
    return [row.tobytes() for row in np.packbits(masks, axis=1)]


class Store:
    """The session's tables, and the outputs of whole inputs (ends and predictions), within `limit` bytes."""

    def __init__(self, limit: int = 256 << 20) -> None:
        self.limit = limit
        self.tables: OrderedDict[Hashable, Table] = OrderedDict()
        self.outputs: OrderedDict[Hashable, Tensor] = OrderedDict()

    def table(self, model: Hashable, hybrids: str) -> Table:
        """The table of a model (by content) over a set of hybrids (by content); made if it is not there."""
        place = (model, hybrids)
        table = self.tables.setdefault(place, Table())
        self.tables.move_to_end(place)
        return table

    def output(self, model: Hashable, row: str, layer: int | None) -> Tensor | None:
        """The logits (K,) of one input at one layer, if known."""
        return self.outputs.get((model, row, layer))

    def keep_output(self, model: Hashable, row: str, layer: int | None, logits: Tensor) -> None:
        self.outputs[(model, row, layer)] = logits

    def trim(self) -> None:
        """Forget the least recently used until the bound holds."""
        size = sum(table.nbytes for table in self.tables.values())
        while size > self.limit and self.tables:
            size -= self.tables.popitem(last=False)[1].nbytes
        size = sum(logits.nbytes for logits in self.outputs.values())
        while size > self.limit // 8 and self.outputs:
            size -= self.outputs.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        self.tables.clear()
        self.outputs.clear()
