"""Edits that move an input in the space of a generator's codes, and draw it again.

reconstruct(x)                      as the generator draws it
latent(x, 'axis', t)                t standard deviations along an axis
mix(x, y, layers => (1, 2), p => 1) with these levels of y's code in place of its own, or a share p of the way there
counterfactual(x, target => 'bag', model => f, margin => 3)
                                    after a small move at which the model's logit of a class leads by a margin;
                                    nth => 2 is another one, far from the first

Edits of one generator around each other are one (L19): the input is encoded once, moves are added, and it is drawn
once. `keep => residual` adds what changed in the drawing to the input itself: x + G(w') − G(w). `within` is the largest
difference of the explained class's probability between the input and its reconstruction at which an edit is answered.
The nodes say what is wanted; the catalog draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final, NoReturn

from torch import Tensor

from ..interning import node
from ..kinds import InputKind
from ..sources import Edit, Source
from .form import (
    AxisArgument,
    ClassArgument,
    EditArgument,
    EditForm,
    InputArgument,
    NumberArgument,
    NumbersArgument,
    OptionArgument,
    Surroundings,
    WholeArgument,
    WordArgument,
)

WITHIN: Final = 0.1
"""How far the probability of the explained class may move between an input and its reconstruction."""

MARGIN: Final = 3.0
"""How far the class of a counterfactual leads; at less, other models often do not agree."""

_DRAWN = MappingProxyType({"generator": "", "keep": "", "within": WITHIN})


class LatentEdit(Edit):
    """An edit of an input's code in the space of `generator`."""

    generator: str
    keep: str
    within: float
    options: ClassVar[Mapping[str, object]] = _DRAWN
    implied: ClassVar[tuple[str, ...]] = ("generator",)


@node
class Reconstructed(LatentEdit):
    """The input as the generator draws it from its code."""

    called: ClassVar[str] = "reconstruct"

    generator: str
    keep: str
    within: float


@node
class Latent(LatentEdit):
    """The input `amount` standard deviations along an axis."""

    axis: str
    amount: float
    generator: str
    keep: str
    within: float


@node
class Mixed(LatentEdit):
    """The input with a `share` of the way to another one's code, at some levels (from 1)."""

    called: ClassVar[str] = "mix"
    options: ClassVar[Mapping[str, object]] = MappingProxyType({"layers": (), "p": 1.0, **_DRAWN})

    other: Source
    layers: tuple[int, ...]
    p: float
    generator: str
    keep: str
    within: float


@node
class Counterfactual(LatentEdit):
    """The input after a small move of its code, in standard deviations, at which the output of class `target` (its
    name or number) of a model leads all others by `margin`; the `nth` of several that lie far from each other."""

    options: ClassVar[Mapping[str, object]] = MappingProxyType(
        {"target": "", "model": "", "margin": MARGIN, "nth": 1.0, **_DRAWN}
    )

    target: str
    model: str
    margin: float
    nth: float
    generator: str
    keep: str
    within: float


ONE_DRAWING: Final = "edits of one generator are one: encoded once, moves added, drawn once (L19)"
"""The law that makes one edit of several, as EXPLAIN writes it."""


def made_one(source: Source) -> int:
    """How many edits of codes stand directly around another one of the same generator, with which they are one."""
    neighbours = zip(source.edits, source.edits[1:], strict=False)
    return sum(
        isinstance(one, LatentEdit) and isinstance(other, LatentEdit) and one.generator == other.generator
        for one, other in neighbours
    )


def _by_the_catalog(edit: Edit, x: Tensor, surroundings: Surroundings) -> NoReturn:
    raise AssertionError(f"the catalog draws {edit!r}")


def _share(p: float) -> str | None:
    return None if 0 <= p <= 1 else f"p is the share of the way to the other input, from 0 to 1, not {p:g}"


def _lead(margin: float) -> str | None:
    return None if margin >= 0 else f"the margin is how far the class leads, from 0, not {margin:g}"


def _gap(within: float) -> str | None:
    if 0 < within <= 1:
        return None
    return f"within is a difference of probabilities, above 0 and at most 1, not {within:g}"


_COMMON = (
    OptionArgument("generator", WordArgument("the name of a generator"), ""),
    OptionArgument("keep", WordArgument("residual", legal=("residual",)), ""),
    OptionArgument("within", NumberArgument("within", "within", _gap), WITHIN),
)


def _form(node: type[LatentEdit], arguments: tuple[EditArgument, ...], *options: OptionArgument) -> EditForm:
    def of(kind: InputKind) -> tuple[EditArgument, ...] | None:
        return arguments if kind.quantities else None

    return EditForm(node.word(), of, False, node, node, _by_the_catalog, options=(*options, *_COMMON))


LATENT_EDITS: Final[Mapping[str, EditForm]] = {
    form.name: form
    for form in (
        _form(Reconstructed, ()),
        _form(Latent, (AxisArgument("'axis'"), NumberArgument("t", "the move in standard deviations"))),
        _form(
            Mixed,
            (InputArgument("y"),),
            OptionArgument("layers", NumbersArgument("layers"), ()),
            OptionArgument("p", NumberArgument("p", "the share", _share), 1.0),
        ),
        _form(
            Counterfactual,
            (),
            OptionArgument("target", ClassArgument("the class to lead to"), ""),
            OptionArgument("model", WordArgument("the name of a model"), ""),
            OptionArgument("margin", NumberArgument("margin", "the margin", _lead), MARGIN),
            OptionArgument("nth", WholeArgument("nth", "nth", 1), 1.0),
        ),
    )
}
"""The edits of codes by name."""
