"""The maps of an answer one by one, as views of its columns.

In: columns. Out: a sequence of Attributions, each made when it is asked for. May not know: relations, plans or files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import overload
from weakref import WeakValueDictionary

from .attribution import HELD, Attribution
from .columns import MapColumns


class AttributionViews(Sequence[Attribution]):
    """The maps of these columns. While somebody holds a view, its place gives the same view again; a slice shares the
    arrays and the views."""

    def __init__(
        self,
        columns: MapColumns,
        numbers: range | None = None,
        views: WeakValueDictionary[int, Attribution] | None = None,
    ) -> None:
        self._all = columns
        self._numbers = range(len(columns)) if numbers is None else numbers  # the rows of `columns` that are these maps
        self._views = WeakValueDictionary[int, Attribution]() if views is None else views

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Attribution: ...
    @overload
    def __getitem__(self, index: slice) -> AttributionViews: ...
    def __getitem__(self, index: int | slice) -> Attribution | AttributionViews:
        if isinstance(index, slice):
            return AttributionViews(self._all, self._numbers[index], self._views)
        number = self._numbers[index]
        view = self._views.get(number)
        return self._views.setdefault(number, _view(self._all, number)) if view is None else view

    @cached_property
    def columns(self) -> MapColumns:
        """The arrays of just these maps."""
        whole = self._numbers == range(len(self._all))
        return self._all if whole else self._all.taken(self._numbers)

    def __reduce__(self) -> tuple[type[AttributionViews], tuple[MapColumns]]:
        return AttributionViews, (self.columns.compact,)


def _view(columns: MapColumns, row: int) -> Attribution:
    made = object.__new__(Attribution)  # its fields were checked as columns
    vars(made)[HELD] = (columns, row)
    vars(made).update({name: columns.entry(name, row) for name in _DEFAULTS})
    return made


_DEFAULTS = tuple(each.name for each in dataclasses.fields(Attribution) if hasattr(Attribution, each.name))
"""The fields that a class finds without asking its view."""
