"""An `EditForm`: everything that the engine needs to know of one edit, as one value.

In: nothing. Out: the types of forms and of their arguments, and of what an edit may read. May not know: any edit in
particular, syntax trees, the catalog (other inputs come from functions), models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ...system.tensors import array_of
from ..baselines import Baseline, materialise
from ..kinds import KINDS, InputKind, columns_of
from ..kinds.naming import TextNames
from ..sources import Edit, Source
from ..windows import Window, evaluate

_E = TypeVar("_E", bound=Edit)


@dataclass(frozen=True)
class Surroundings:
    """What an edit may read besides its input. Other inputs are computed only when an edit asks for them."""

    kind: InputKind
    feature_names: Sequence[str] | TextNames | None
    element: Callable[[Source], Tensor]
    collection: Callable[[str], Sequence[Tensor]]
    scale: Callable[[], tuple[float, float]]  # black and white of a picture as it was registered

    def inside(self, window: Window, x: Tensor) -> Tensor:
        """Which features of `x` a window selects, as booleans of the shape of `x`."""
        selected = evaluate(window, columns_of(self.kind.name, array_of(x), self.feature_names))
        return torch.from_numpy(
            np.array(selected, order="C")
        )  # a copy, because strides may change the last bits of a model's output

    def baseline(self, baseline: Baseline, x: Tensor) -> Tensor:
        """The baseline of `x`, in its shape."""
        return materialise(baseline, self.kind.name, x, self.element, self.collection)


@dataclass(frozen=True)
class EditArgument:
    """One argument of an edit; `name` is what it is called where the form of the edit is shown."""

    name: str


@dataclass(frozen=True)
class WindowArgument(EditArgument):
    """A predicate or the name of a window."""


@dataclass(frozen=True)
class InputArgument(EditArgument):
    """Another input, edited or not."""


@dataclass(frozen=True)
class NumberArgument(EditArgument):
    """A number. `what` is its name in an error; `refuses` says what is wrong with a value, or None."""

    what: str
    refuses: Callable[[float], str | None] = lambda value: None


@dataclass(frozen=True)
class ValueArgument(EditArgument):
    """A value of the input's features: a number, or a text where values may be texts."""


@dataclass(frozen=True)
class WholeArgument(EditArgument):
    """A whole number of at least `least`; `what` is its name in an error."""

    what: str
    least: int


@dataclass(frozen=True)
class AxisArgument(EditArgument):
    """The name of an axis of a generator."""


@dataclass(frozen=True)
class WordArgument(EditArgument):
    """A name, or one of the `legal` words."""

    legal: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassArgument(EditArgument):
    """The name or the number of a class."""


@dataclass(frozen=True)
class NumbersArgument(EditArgument):
    """A whole number from 1, or several in parentheses."""


@dataclass(frozen=True)
class OptionArgument:
    """What `name => value` may be in an edit, and what holds without it."""

    name: str
    argument: EditArgument
    default: object


@dataclass(frozen=True)
class EditForm:
    """One edit: how a query writes it, what it reads, and what it makes of a tensor.

    `arguments(kind)` are those after the input, in order, or None where the edit means nothing for inputs of this kind.
    `make(*values)` builds the edit's node, with the baseline last if the edit `takes_baseline`, that is, if it
    makes features absent; BindError where the values do not fit together. `apply(edit, x, surroundings)` is the
    edited tensor, in the shape of `x`, which itself stays as it is; raises ShapeError where another input does not
    fit, BindError where values leave the range of the input's numbers. `tried` says whether the binder computes the
    edited input at once, so that an error has its position in the query; False for an edit that is expensive.
    `options` are what it is given by name; `make` gets their values after those of the arguments.
    """

    name: str
    arguments: Callable[[InputKind], tuple[EditArgument, ...] | None]
    takes_baseline: bool
    node: type[Edit]
    make: Callable[..., Edit]
    apply: Callable[[Edit, Tensor, Surroundings], Tensor]
    tried: bool = True
    options: tuple[OptionArgument, ...] = ()

    @property
    def replaces(self) -> bool:
        """Whether it puts values of other inputs into a window, and calculates with none."""
        return any(isinstance(each, WindowArgument) for kind in KINDS.values() for each in self.arguments(kind) or ())

    def written(self, kind: InputKind | None = None) -> str:
        """How a query writes this edit of an input of some kind, or of the first kind for which it means something."""
        kinds = KINDS.values() if kind is None else (kind,)
        arguments = next(filter(None, map(self.arguments, kinds)), ())
        return f"{self.name}({', '.join(['x', *(each.name for each in arguments)])})"


def edit_form(
    node: type[_E],
    apply: Callable[[_E, Tensor, Surroundings], Tensor],
    arguments: Callable[[InputKind], tuple[EditArgument, ...] | None],
    *,
    takes_baseline: bool,
    make: Callable[..., _E] | None = None,
    tried: bool = True,
) -> EditForm:
    """The form of the edit whose nodes are `node`, which has its name in a query."""

    def checked(edit: Edit, x: Tensor, surroundings: Surroundings) -> Tensor:
        assert isinstance(edit, node)
        return apply(edit, x, surroundings)

    return EditForm(node.word(), arguments, takes_baseline, node, make or node, checked, tried)
