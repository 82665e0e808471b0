"""The inputs of scores, for those who look at them: numbers as bytes of pictures, everything else in words.

In: arrays, as they were given to models. Out: pictures (h, w, 3) of bytes, and lines of text. What reads them comes
from a function, since most answers are never looked at. May not know: catalogs, models or torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ..algebra.kinds import kind_named
from ..algebra.kinds.naming import CONTINUES
from ..system.arrays import Array
from .pixels import PictureBytes, PixelScale, pixels, reduced

_LETTERS: Final = 160  # of the line that stands for an input that is no picture


@dataclass(frozen=True, eq=False)
class ScoredInput:
    """One input as models were given it: its numbers, and what its features are called (None: nothing)."""

    content: Array
    names: Sequence[str] | None


@dataclass(frozen=True, eq=False)
class ScoredInputs:
    """The inputs of an answer: their kind, `scale`, which says which numbers are black and white in their pictures, and
    `read`, which gives those of some rows. It raises IalgebraError where they cannot be made again as they were."""

    kind: str
    scale: Callable[[], PixelScale]
    read: Callable[[Sequence[int]], list[ScoredInput]]

    @property
    def pictured(self) -> bool:
        """Whether they are pictures, or volumes, of which the middle is shown."""
        return kind_named(self.kind).drawing in ("photo", "slices")

    def pictures(self, rows: Sequence[int], side: int) -> list[PictureBytes]:
        """The inputs of some rows as pictures (h, w, 3) whose longer side has at most `side` pixels."""
        scale = self.scale()
        return [reduced(pixels(each.content, scale), side) for each in self.read(rows)]

    def lines(self, rows: Sequence[int]) -> list[str]:
        """The inputs of some rows in words: a text, or the values of a table."""
        drawing = kind_named(self.kind).drawing
        return [_line(drawing, each) for each in self.read(rows)]


def _line(drawing: str, each: ScoredInput) -> str:
    cells = each.content.ravel()[:_LETTERS].tolist()
    if drawing == "course":
        return f"a course of {' × '.join(map(str, each.content.shape))} numbers"
    if drawing == "passage" and each.names is not None and len(each.names) == each.content.size:
        words = [name if name.startswith(CONTINUES) else f" {name}" for name in map(str, each.names[:_LETTERS])]
        said = " ".join("".join(word.removeprefix(CONTINUES) for word in words).split())
    else:
        values = [f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in cells]
        names = [*(each.names or ())]
        said = ", ".join(f"{names[k]} = {value}" if k < len(names) else value for k, value in enumerate(values))
    return said if len(said) <= _LETTERS else said[: _LETTERS - 1] + "…"
