"""Everything that can go wrong, as one tree; every failure of a query is one of these.

    IalgebraError
    ├── ParseError         the text is not in the language
    ├── BindError          a name, class, layer or option that means nothing here
    ├── CompositionError   operators composed where the algebra leaves them undefined (L2, L5)
    ├── ShapeError         tensors whose shapes do not fit together
    ├── ModelError         the model raised, or returned what cannot be used
    ├── BudgetError        the budget of rows is too small for the query
    ├── ResourceError      out of memory, with a batch of one row or outside a batch
    └── InternalError      a plan that contradicts itself: a bug in this package, found by `Strategy(verify=True)`

    IalgebraWarning        legal, but probably not what was meant
    ├── WindowWarning      a window that selects nothing, or a region that lies outside its input
    └── BudgetWarning      a budget that cannot tell the players apart

An error's text is one sentence: what is wrong, and what would be right. If a word of a query is wrong, the line, the
column and a caret under that word follow. Names come from files and from other people, so every text that people read
passes through `visible`. This module imports nothing from the rest of the package.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple


def visible(text: str, keep: str = "") -> str:
    """The text with escapes such as \\x1b, \\n or \\u202e in place of characters that steer a terminal or cannot be
    seen: control and format characters, line separators, surrogates. Those in `keep` stay."""
    bare = text
    for each in keep:
        bare = bare.replace(each, "")
    if bare.isprintable():
        return text
    return "".join(
        each
        if each.isprintable() or each in keep or unicodedata.category(each) == "Zs"
        else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


def in_lines(lines: Iterable[str]) -> str:
    """The lines, each made `visible`, as one text."""
    return "\n".join(map(visible, lines))


class Span(NamedTuple):
    """The position of a word in a query's text: 0-based offsets, without the end."""

    start: int
    end: int


class IalgebraError(Exception):
    """Base of all errors. `message` is the sentence; `line` and `column` count from 1, and are None if the error is not
    about a query's text."""

    def __init__(self, message: str, span: Span | None = None, text: str | None = None) -> None:
        message = visible(message)
        super().__init__(message)
        self.message = message
        self.span = span
        self.text = text

    def at(self, text: str, span: Span | None = None) -> IalgebraError:
        """This error with its position in `text`. An error that already has a position keeps it."""
        if self.text is None:
            self.text = text
            self.span = self.span or span
        return self

    @property
    def line(self) -> int | None:
        if self.text is None or self.span is None:
            return None
        return self.text.count("\n", 0, self.span.start) + 1

    @property
    def column(self) -> int | None:
        if self.text is None or self.span is None:
            return None
        return self.span.start - (self.text.rfind("\n", 0, self.span.start) + 1) + 1

    def __str__(self) -> str:
        if self.text is None or self.span is None or self.line is None or self.column is None:
            return self.message
        source = self.text.split("\n")[self.line - 1]
        start = self.column - 1
        first = max(0, start - 100)  # of a long line, show only the part around the caret
        before, word, after = (
            visible(part.replace("\t", " "))
            for part in (source[first:start], source[start:][: self.span.end - self.span.start], source[start:])
        )
        before = before[-100:]
        shown = (before + after)[:200]
        caret = " " * len(before) + "^" * max(1, min(len(word), 200))
        return f"{self.message} (line {self.line}, column {self.column})\n  {shown}\n  {caret}"


class ParseError(IalgebraError):
    """The text is not in the language."""


class BindError(IalgebraError):
    """A model, input, layer, window, view, class, method or option is unknown, or a value is outside its range."""


class CompositionError(IalgebraError):
    """A composition that the algebra leaves undefined: σ_l σ_l' with l > l' (L2), or ⋈ over ⋄ or ⋄ over ⋈ (L5)."""


class ShapeError(IalgebraError):
    """The shapes of tensors do not fit together; the message states both."""


class ModelError(IalgebraError):
    """The model raised, or returned NaN, infinities, a wrong batch size or something that is not a tensor.

    `row` is the index of the wrong row in its batch; None if no single row is wrong.
    """

    row: int | None = None


class BudgetError(IalgebraError):
    """Exact values were asked for with too many players, or the budget is below two rows."""


class ResourceError(IalgebraError):
    """Out of memory with a batch of one row, or outside a batch, where smaller batches do not help."""


class InternalError(IalgebraError):
    """A plan contradicts itself: a bug in this package. `Strategy(verify=True)` checks for it."""


class IalgebraWarning(UserWarning):
    """Legal, but probably not what was meant: a join of different classes, an anti-join of equal classes, a model that
    is no function of its row."""

    def __init__(self, message: str) -> None:
        super().__init__(visible(message))


class WindowWarning(IalgebraWarning):
    """A window selects no feature of an input, or a region that it names lies outside the input, wholly or in part."""


class BudgetWarning(IalgebraWarning):
    """The budget has fewer rows than a game has players, so that their values are mostly guessed."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: `; did you mean 'x'?`, or the list of known names."""
    names = sorted(known)
    folded = {candidate.lower(): candidate for candidate in names}
    near = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{folded[near[0]]}'?"
    if not names:
        return "; none is registered"
    shown = ", ".join(f"'{candidate}'" for candidate in names[:8]) + (", …" if len(names) > 8 else "")
    return f"; known: {shown}"
