"""Edits that replace what is inside a window.

nullify(x, w)                       the baseline inside w
substitute(x, w, x')                x' inside w
assign(x, w, v)                     the value v inside w
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import BindError, ShapeError
from ..baselines import Baseline
from ..dtypes import limits
from ..interning import node
from ..kinds import InputKind
from ..packings import packing_of, plain
from ..packings.frames import FramePacking
from ..sources import Edit, Source
from ..windows import Window
from .form import EditArgument, InputArgument, Surroundings, ValueArgument, WindowArgument, edit_form
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


@node
class Assign(Edit):
    """One value inside the window: a number, or a text of a table."""

    window: Window
    value: float | int | str


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


def _assigned(edit: Assign, x: Tensor, surroundings: Surroundings) -> Tensor:
    inside, packing = surroundings.inside(edit.window, x), packing_of(x)
    if isinstance(packing, FramePacking):
        return packing.assigned(plain(x), inside.numpy(), edit.value)
    if isinstance(edit.value, str):
        raise BindError(f"'{edit.value}' is a text, and the values of this input are numbers")
    value = float(edit.value)
    if not x.is_floating_point():
        least, most = limits(x.dtype)
        least = least if surroundings.kind.quantities else 0  # of tokens
        if value != int(value) or not least <= value <= most:
            raise BindError(f"{edit.value:g} is no value of {x.dtype}, whose numbers are whole, {least:,} to {most:,}")
    elif not abs(value) <= torch.finfo(x.dtype).max:
        raise BindError(f"{value:g} is beyond {x.dtype}, which holds up to {torch.finfo(x.dtype).max:.2g}")
    return torch.where(inside, torch.tensor(edit.value).to(x.dtype), x)


def _assign_arguments(kind: InputKind) -> tuple[EditArgument, ...] | None:
    return None if kind.parts else (WindowArgument("w"), ValueArgument("value"))


ASSIGN = edit_form(Assign, _assigned, _assign_arguments, takes_baseline=False)
NULLIFY = edit_form(Nullify, _nullified, lambda kind: (WindowArgument("w"),), takes_baseline=True)
SUBSTITUTE = edit_form(
    Substitute, _substituted, lambda kind: (WindowArgument("w"), InputArgument("other")), takes_baseline=False
)
