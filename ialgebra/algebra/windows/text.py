"""How windows and terms are written as query text. In: names, texts, parts with their strengths. Out: text.

May not know: the nodes; each of them says itself how it is written (`Written`).
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final, NamedTuple

RESERVED: Final = frozenset(
    ("and", "anti", "as", "between", "from", "in", "join", "left", "not", "on", "or", "select", "using", "where")
)
"""The words of the language that a name may be only in double quotes."""

_PLAIN_NAME = re.compile(r"[^\W\d]\w*(\.\w+)*'*", re.ASCII)


class Strength(IntEnum):
    """How tightly a text binds: a part that binds less tightly than its position asks for goes into parentheses."""

    OR = 0
    AND = 1
    NOT = 2
    COMPARED = 3
    SUM = 4
    PRODUCT = 5
    SIGN = 6
    ATOM = 7


class Written(NamedTuple):
    """A node as query text."""

    text: str
    strength: Strength = Strength.ATOM

    def inside(self, position: Strength) -> str:
        """The text in a position of another's, in parentheses where it needs them."""
        return self.text if self.strength >= position else f"({self.text})"


def sql_name(name: str) -> str:
    """A name as query text: in double quotes where the language could not read it bare."""
    if _PLAIN_NAME.fullmatch(name) and name.lower() not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def sql_text(text: str) -> str:
    """A text as query text: in single quotes, which are doubled inside."""
    return "'" + text.replace("'", "''") + "'"
