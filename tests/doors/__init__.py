"""Pairs of a model and an input as people have them, each with its right answer by enumeration: the table of
`tests/test_doors.py`.

A door is registered by `@door("name", *packages)` above a function that makes it. Its `outputs` are the model's own
outputs (K,) where the players of a coalition are present, asked as its users ask it: without this package.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Outputs = Callable[[frozenset[int]], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Door:
    """`model` and `value` are registered with `model_options` and `input_options`, and asked with the query's
    `options`. `prediction` is the class of the whole input as its users name it; None for the first of no class."""

    model: object
    value: object
    players: int
    outputs: Outputs
    prediction: str | None = None
    model_options: Mapping[str, object] = field(default_factory=dict)
    input_options: Mapping[str, object] = field(default_factory=dict)
    options: str = ""
    names: list[str] | None = None  # of the players
    tolerance: float = 1e-5


DOORS: dict[str, tuple[tuple[str, ...], Callable[[], Door]]] = {}


def door(name: str, *packages: str) -> Callable[[Callable[[], Door]], Callable[[], Door]]:
    """List a door, which needs some packages."""

    def listed(make: Callable[[], Door]) -> Callable[[], Door]:
        assert name not in DOORS
        DOORS[name] = packages, make
        return make

    return listed


def remembered(outputs: Outputs) -> Outputs:
    """The outputs, asked once for each coalition."""
    return functools.cache(outputs)
