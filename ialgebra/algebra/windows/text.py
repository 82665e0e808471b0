"""How windows and terms are written as query text. In: names, texts, parts with their strengths. Out: text.

May not know: the nodes; each node returns its own text (`Written`), made from the texts of its operands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum
from typing import Final, NamedTuple

RESERVED: Final = frozenset(
    ("and", "anti", "as", "between", "from", "in", "join", "left", "not", "on", "or", "select", "using", "where")
)
"""The reserved words: a name that is one of them must be in double quotes."""

_PLAIN_NAME = re.compile(r"[^\W\d]\w*(\.\w+)*'*", re.ASCII)


class Strength(IntEnum):
    """How tightly a text binds: a part that binds less tightly than its position requires gets parentheses."""

    OR = 0
    AND = 1
    NOT = 2
    COMPARED = 3
    SUM = 4
    PRODUCT = 5
    SIGN = 6
    ATOM = 7


class Written(NamedTuple):
    """A node as query text; `whole` is False where "…" stands for a part that would be too long."""

    text: str
    strength: Strength = Strength.ATOM
    whole: bool = True

    def inside(self, position: Strength) -> str:
        """The text as a part of another text, in parentheses if the position requires them."""
        return self.text if self.strength >= position else f"({self.text})"


def sql_name(name: str) -> str:
    """A name as query text: in double quotes if the language cannot read it without them."""
    if _PLAIN_NAME.fullmatch(name) and name.lower() not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def sql_text(text: str) -> str:
    """A text as query text: in single quotes, which are doubled inside."""
    return "'" + text.replace("'", "''") + "'"


def shortened(written: Written, most: int) -> Written:
    """A part as it is, or "…" in its place if it has more than `most` characters."""
    return written if len(written.text) <= most else Written("…", whole=False)


def chained(word: str, parts: Iterable[Written], strength: Strength, most: int) -> Written:
    """Parts joined by AND or OR. After more than `most` characters, "…" stands for the parts that are left."""
    texts: list[str] = []
    whole, length = True, 0
    for part in parts:
        if length > most:
            texts.append("…")
            whole = False
            break
        texts.append(part.inside(Strength(strength + 1)))
        whole, length = whole and part.whole, length + len(texts[-1])
    return Written(f" {word} ".join(texts), strength, whole)
