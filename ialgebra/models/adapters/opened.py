"""An opened model: what a query runs, and what the model tells of itself. Knows no family of models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..outputs import OutputMeaning

Runs = nn.Module | Callable[[Any], object]


@dataclass(frozen=True, eq=False)
class Opened:
    """`run` is called with batches. `classes` are the names of its outputs, or a mapping from index to name; `meaning`
    is what the outputs are, and why; `tokenizer` is what it brings to make tokens of texts; `preprocess` and `reduce`
    hold where the registration says nothing. None where the model does not tell."""

    run: Runs
    classes: Sequence[str] | Mapping[int, str] | None = None
    meaning: tuple[OutputMeaning, str] | None = None
    tokenizer: object = None
    preprocess: Callable[[Any], object] | None = None
    reduce: str | None = None
