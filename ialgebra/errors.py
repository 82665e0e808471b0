"""Everything that can go wrong, as one tree; every failure of a query is one of these.

    IalgebraError
    ├── ParseError         the text is not in the language
    ├── BindError          a name, class, layer or option that means nothing here
    ├── CompositionError   operators composed where the algebra leaves them undefined (L2, L5)
    ├── ShapeError         tensors that do not fit together
    ├── ModelError         the model raised, or returned what cannot be used
    ├── BudgetError        rows that cannot pay for what was asked
    ├── ResourceError      out of memory: at a batch of one row, or outside a batch
    └── InternalError      a plan that contradicts itself: a fault of this package, found by `Strategy(verify=True)`

An error's text is one sentence that names the culprit and what would be right. Where the culprit stands in a query, the
line, the column and a caret under the very word follow. This module knows nothing of the rest of the package.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """Where a word stands in a query's text: 0-based offsets, half-open."""

    start: int
    end: int


class IalgebraError(Exception):
    """Base of all errors; `message` is the sentence, `line` and `column` are 1-based, or None where no text is at
    fault."""

    def __init__(self, message: str, span: Span | None = None, text: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.span = span
        self.text = text

    def at(self, text: str, span: Span | None = None) -> IalgebraError:
        """This error, placed in `text`; a place that is already known is kept."""
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
        width = max(1, min(self.span.end - self.span.start, len(source) - self.column + 1))
        first = max(0, self.column - 1 - 100)  # a window of a long line, so that the caret stays in sight
        shown = source[first : first + 200].replace("\t", " ")
        caret = " " * (self.column - 1 - first) + "^" * min(width, 200)
        return f"{self.message} (line {self.line}, column {self.column})\n  {shown}\n  {caret}"


class ParseError(IalgebraError):
    """The text is not in the language."""


class BindError(IalgebraError):
    """An unknown model, input, layer, window, view, class, method or option, or a value outside its range."""


class CompositionError(IalgebraError):
    """A composition that the algebra leaves undefined: σ_l σ_l' with l > l' (L2), or ⋈ over ⋄ or ⋄ over ⋈ (L5)."""


class ShapeError(IalgebraError):
    """Tensors that do not fit together; the message states both shapes."""


class ModelError(IalgebraError):
    """The model raised, or returned NaN, infinities, a wrong batch size or something that is not a tensor.

    `row` is the row at fault within its batch, where one is.
    """

    row: int | None = None


class BudgetError(IalgebraError):
    """The exact value asked for too many players, or a budget below two rows."""


class ResourceError(IalgebraError):
    """Out of memory at a batch of one row, or outside a batch, where no smaller batch helps."""


class InternalError(IalgebraError):
    """A plan that contradicts itself: a fault of this package, which `Strategy(verify=True)` looks for."""


class IalgebraWarning(UserWarning):
    """Legal, but probably not what was meant: a join of different classes, an anti-join of equal classes."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The tail of a sentence about an unknown name: `; did you mean 'x'?`, or what is known, or nothing."""
    names = sorted(known)
    folded = {candidate.lower(): candidate for candidate in names}
    near = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{folded[near[0]]}'?"
    if not names:
        return "; none is registered"
    shown = ", ".join(f"'{candidate}'" for candidate in names[:8]) + (", …" if len(names) > 8 else "")
    return f"; known: {shown}"
