"""What a window says of the attributes of an input, and what it says of the input itself.

    concept     the name or the number of an attribute
    activation  how active the attribute is

In: windows, codes. Out: the two parts of a window, the columns of a code. A window on attributes projects the game that
is played on them; one on the input decides what the code is made of. May not know: dictionaries, models, queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from ..errors import BindError
from ..system.arrays import Array
from .interning import inner_first
from .windows import And, Columns, Mask, Window, both, reads

CONCEPT: Final = "concept"
ACTIVATION: Final = "activation"
COLUMNS: Final = (CONCEPT, ACTIVATION)
"""The columns of the attributes of an input."""


class WindowParts(NamedTuple):
    """The parts of a window that are both to hold."""

    of_input: Window
    of_attributes: Window


@lru_cache(maxsize=256)
def parts_of(window: Window) -> WindowParts:
    """`window` = of_input ∧ of_attributes. Raises BindError where one condition mixes the two."""
    of_input, of_attributes = list[Window](), list[Window]()
    for each in window.parts if isinstance(window, And) else (window,):
        read = reads(each)
        if not read & set(COLUMNS):
            of_input.append(each)
        elif read <= set(COLUMNS) and not any(isinstance(part, Mask) for part in inner_first(each)):
            of_attributes.append(each)
        else:
            raise BindError(
                "a condition on concepts and one on the input are joined by AND only: the first chooses attributes, "
                "the second what they are computed from"
            )
    return WindowParts(both(*of_input), both(*of_attributes))


def columns_of_code(code: Array, names: Sequence[str]) -> Columns:
    """The columns of a code (J,) whose attributes have these names."""
    return {
        CONCEPT: np.arange(len(code)),
        f"{CONCEPT}_name": np.array(names, dtype=np.object_),
        ACTIVATION: code,
        "value": code,
    }
