"""Baselines: the values that absent features take. In: a description and the input. Out: the baseline's tensor.

`baseline.text` is its text in a query, and `str(baseline)` that for people. The tensors of other inputs come from
functions that the caller passes in, because this module may not know the catalog.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, assert_never

import torch
from torch import Tensor

from ..errors import BindError, ShapeError
from .dtypes import fractional, limits
from .interning import Node, node
from .kinds import kind_named
from .middles import Middle, median, most_frequent
from .packings import agreed, carrying, packing_of, plain
from .sources import Source
from .windows import sql_name


class _Described(Node):
    """A baseline, which has a text in a query."""

    @property
    def text(self) -> str:
        """Its text in a query; BindError if it would be too long."""
        raise NotImplementedError

    def __str__(self) -> str:
        try:
            return self.text
        except BindError:
            return f"{type(self).__name__.lower()}(…)"


@node
class Constant(_Described):
    """The same value for every feature; zero is the default baseline."""

    value: float = 0.0

    @property
    def text(self) -> str:
        return _number(self.value)


@node
class AbsentToken(_Described):
    """What stands for an absent token of a text: a special `token` of its tokenizer, by its `word` ('mask', 'pad',
    'unk'); or nothing ('drop'): the attention mask hides its position, which holds the padding's token."""

    word: str
    token: int

    @property
    def drops(self) -> bool:
        return self.word == "drop"

    @property
    def text(self) -> str:
        return f"'{self.word}'"


@node
class _OfCollection(_Described):
    """A middle of each feature over a registered collection, by the name of that collection."""

    name: str
    how: ClassVar[Middle]

    @property
    def text(self) -> str:
        return f"{self.how}({sql_name(self.name)})"


@node
class Mean(_OfCollection):
    """The mean of a registered collection."""

    how = "mean"


@node
class Median(_OfCollection):
    """The median of each feature over a registered collection."""

    how = "median"


@node
class MostFrequent(_OfCollection):
    """The most frequent value of each feature in a registered collection; of equally frequent ones the first."""

    how = "mode"


@node
class Blur(_Described):
    """The input, or another one, after a Gaussian blur of `sigma` pixels (None: a twentieth of the shorter side)."""

    source: Source | None = None
    sigma: float | None = None

    @property
    def text(self) -> str:
        arguments = [] if self.source is None else [self.source.text]
        return f"blur({', '.join(arguments + ([] if self.sigma is None else [_number(self.sigma)]))})"


@node
class Given(_Described):
    """Another registered input."""

    source: Source

    @property
    def text(self) -> str:
        return self.source.text

    def __str__(self) -> str:
        hidden = "\0" in self.source.name  # the baseline that was registered with an input: people read 'x baseline'
        return (None if hidden else self.source.whole_text) or str(self.source)


@node
class Redrawn(_Described):
    """The input as a generator draws it from its code: a map against it shows what the generator cannot draw. The
    planner puts each input's own drawing in its place."""

    generator: str

    @property
    def text(self) -> str:
        return f"reconstruct(generator => {sql_name(self.generator)})" if self.generator else "reconstruct"


def _number(value: float) -> str:
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


Baseline = Constant | AbsentToken | Mean | Median | MostFrequent | Blur | Given | Redrawn


def check_baseline(baseline: Baseline, kind: str, x: Tensor, element: Callable[[Source], Tensor]) -> None:
    """Raise ShapeError if the baseline is an input whose shape is not that of `x`; BindError if the baseline has no
    meaning for `x`, an input of that kind."""
    of_kind = kind_named(kind)
    tokens = not of_kind.quantities
    packing = packing_of(x)
    other: Source | None = None
    match baseline:
        case Constant(value):
            if packing is not None and (lacking := packing.without_numbers):
                raise BindError(
                    f"{_number(value)} is no value of {lacking}; name a baseline that has one, such as a frame of the "
                    "same columns: register_input(…, baseline=frame), or baseline => its name"
                )
            if tokens and not (value == int(value) and 0 <= value <= limits(x.dtype)[1]):
                raise BindError(f"{baseline} is no token; the baseline of a token input is a whole number")
            most = torch.finfo(x.dtype if x.is_floating_point() else torch.float32).max
            if abs(value) > most:
                raise BindError(
                    f"the baseline {baseline} is beyond the input's {x.dtype}, which holds up to {most:.2g}"
                )
        case AbsentToken(word, _):
            if not tokens or packing is not None:
                raise BindError(f"'{word}' is a baseline of texts; {of_kind.article} has a number, mean(…) or an input")
        case Mean(name) | Median(name):
            if tokens and packing is None:
                raise BindError(f"{baseline} is no baseline for tokens; name one of its elements, or a constant")
            other = None if packing is None else Source(name, 0)
        case MostFrequent(name):
            other = None if packing is None else Source(name, 0)
        case Blur(source, _):
            if of_kind.layout != "plane":
                raise BindError("blur is a baseline of images (C, H, W) only")
            other = source
        case Given(source):
            other = source
        case Redrawn():
            pass
        case _:
            assert_never(baseline)
    if other is not None:
        found = element(other)
        if packing is not None and packing_of(found) is not None:
            agreed(x, found)
        if found.shape != x.shape:
            raise ShapeError(
                f"the baseline {baseline} has shape {tuple(found.shape)}, "
                f"the input {tuple(x.shape)}; they must be equal"
            )
        if tokens and found.is_floating_point():
            raise BindError(f"the baseline {baseline} holds fractions; the baseline of a token input is tokens")


def materialise(
    baseline: Baseline,
    kind: str,
    x: Tensor,
    element: Callable[[Source], Tensor],
    collection: Callable[[str], Sequence[Tensor]],
) -> Tensor:
    """The baseline of `x`, an input of that kind, in the shape of `x`; floating-point if it has fractions. Raises the
    errors of `check_baseline`."""
    check_baseline(baseline, kind, x, element)
    match baseline:
        case Constant(value):
            fits = x.is_floating_point() or (value == int(value) and _within(value, x.dtype))
            return torch.full(x.shape, value, dtype=x.dtype if fits else fractional(x.dtype))
        case AbsentToken(_, token):
            return torch.full(x.shape, token, dtype=x.dtype)
        case Mean(name) | Median(name) | MostFrequent(name):
            return _middle(baseline.how, collection(name))
        case Blur(source, sigma):
            sharp = _floating(x if source is None else element(source))
            wide = sharp if sharp.itemsize > 2 else sharp.float()
            return gaussian_blur(wide, sigma or max(1.0, min(wide.shape[-2:]) / 20)).to(sharp.dtype)
        case Given(source):
            return element(source)
        case Redrawn():
            raise BindError(f"{baseline} is a baseline of inputs; it is none of an edit, nor of a tensor alone")
        case _:
            assert_never(baseline)


def _middle(how: Middle, rows: Sequence[Tensor]) -> Tensor:
    """The mean, the median or the mode of each feature."""
    if not isinstance(rows, list | tuple):
        return _streamed(how, rows)
    packing = packing_of(rows[0])
    if packing is not None:
        return carrying(packing.middle(torch.stack([plain(each) for each in rows]), how), packing)
    if how == "mode":
        return most_frequent(torch.stack(list(rows)))
    floating = torch.stack([_floating(each) for each in rows])
    return floating.mean(0) if how == "mean" else median(floating)


def _streamed(how: Middle, rows: Sequence[Tensor]) -> Tensor:
    """The mean of rows that are read one after the other; BindError for what needs them all at once."""
    if how != "mean":
        raise BindError(
            f"{how}(…) needs all elements of a collection at once, and this one is read when it is needed; take "
            "mean(…), or register some of its elements as an array"
        )
    total, kind = torch.zeros(rows[0].shape, dtype=torch.float64), fractional(rows[0].dtype)
    for each in rows:
        total += each
    return (total / len(rows)).to(kind)


def _floating(x: Tensor) -> Tensor:
    return x.to(fractional(x.dtype))


def _within(value: float, dtype: torch.dtype) -> bool:
    least, most = limits(dtype)
    return least <= value <= most


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """A separable Gaussian blur of an image (C, H, W), with replicated borders; the kernel ends at 3 sigma."""
    for axis in (-2, -1):
        reach = min(int(3 * sigma + 0.5), 4 * image.shape[axis])
        offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
        kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
        kernel = (kernel / kernel.sum()).to(image.dtype)
        lines = image.movedim(axis, -1)
        padded = torch.cat(
            [lines[..., :1].expand(*lines.shape[:-1], reach), lines, lines[..., -1:].expand(*lines.shape[:-1], reach)],
            -1,
        )
        blurred = torch.nn.functional.conv1d(padded.reshape(-1, 1, padded.shape[-1]), kernel.view(1, 1, -1))
        image = blurred.reshape(*lines.shape).movedim(-1, axis)
    return image
