"""Edits that replace what is inside a window.

nullify(x, w)                       the baseline inside w
substitute(x, w, x')                x' inside w
"""

from __future__ import annotations

from torch import Tensor

from ...errors import ShapeError
from ..baselines import Baseline
from ..interning import node
from ..sources import Edit, Source
from ..windows import Window
from .form import InputArgument, Surroundings, WindowArgument, edit_form
from .numbers import mixed


@node
class Nullify(Edit):
    """The baseline inside the window."""

    window: Window
    baseline: Baseline


@node
class Substitute(Edit):
    """Another input inside the window."""

    window: Window
    other: Source


def _nullified(edit: Nullify, x: Tensor, surroundings: Surroundings) -> Tensor:
    return mixed(surroundings.inside(edit.window, x), surroundings.baseline(edit.baseline, x), x)


def _substituted(edit: Substitute, x: Tensor, surroundings: Surroundings) -> Tensor:
    given = surroundings.element(edit.other)
    if given.shape != x.shape or given.is_floating_point() != x.is_floating_point():
        raise ShapeError(
            f"'{edit.other}' is {given.dtype} {tuple(given.shape)} and cannot stand in an input that is {x.dtype} "
            f"{tuple(x.shape)}"
        )
    return mixed(surroundings.inside(edit.window, x), given, x)


NULLIFY = edit_form(Nullify, _nullified, lambda kind: (WindowArgument("w"),), takes_baseline=True)
SUBSTITUTE = edit_form(
    Substitute, _substituted, lambda kind: (WindowArgument("w"), InputArgument("other")), takes_baseline=False
)
