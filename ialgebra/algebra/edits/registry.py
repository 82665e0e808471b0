"""The edits by name, and functions over all of them. A new edit is added here.

In: an edit, a tensor, functions of the caller that return other inputs. Out: the edited tensor; the names that edits
read. May not know: the catalog, syntax trees, models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor

from ..baselines import AbsentToken, Baseline, Blur, Constant, Given, Mean, Median, MostFrequent
from ..interning import values_of
from ..kinds import InputKind, kind_named
from ..kinds.naming import TextNames
from ..packings import carrying, packing_of, plain
from ..sources import Edit, Source
from .form import EditForm, Surroundings
from .latent import LATENT_EDITS
from .lengths import LENGTHENED
from .moves import ROTATE, SCALE, SHIFT
from .pictures import BLUR, BRIGHTNESS, CONTRAST, picture_scale
from .replacements import ASSIGN, NULLIFY, SUBSTITUTE
from .values import CLIP, NOISE

EDITS: Final[Mapping[str, EditForm]] = {
    each.name: each
    for each in (
        NULLIFY,
        SUBSTITUTE,
        ASSIGN,
        SCALE,
        ROTATE,
        SHIFT,
        CLIP,
        NOISE,
        BRIGHTNESS,
        CONTRAST,
        BLUR,
    )
}
_FORMS: Final[Mapping[type[Edit], EditForm]] = {
    form.node: form for form in (*EDITS.values(), *LATENT_EDITS.values(), LENGTHENED)
}


def form_of(edit: Edit) -> EditForm:
    """The `EditForm` of an edit."""
    return _FORMS[type(edit)]


def meaningful(kind: InputKind) -> tuple[str, ...]:
    """The names of the edits that inputs of this kind can have."""
    return tuple(name for name, form in EDITS.items() if form.arguments(kind) is not None)


def edited(
    x: Tensor,
    edit: Edit,
    kind: str,
    feature_names: Sequence[str] | TextNames | None,
    element: Callable[[Source], Tensor],
    collection: Callable[[str], Sequence[Tensor]],
    scale: Callable[[], tuple[float, float]] | None = None,
) -> Tensor:
    """`x` after one edit, in its shape; `x` itself stays as it is. `scale` gives black and white of the picture as it
    was registered (None: those of `x`).

    Raises ShapeError where another input, a baseline or a mask does not fit, BindError where values leave the range of
    the input's numbers.
    """
    form, scale = form_of(edit), scale or (lambda: picture_scale([x]))
    surroundings = Surroundings(kind_named(kind), feature_names, element, collection, scale)
    packing = packing_of(x)
    if packing is None or form.replaces:
        return form.apply(edit, x, surroundings)
    amounts = packing.amounts(plain(x))  # texts and missing values stay as they are
    changed = form.apply(edit, torch.where(amounts, plain(x), torch.zeros_like(plain(x))), surroundings)
    return carrying(torch.where(amounts, changed, plain(x)), packing)


def registered(parts: Iterable[Source | Baseline]) -> Iterator[str]:
    """The names of all registered inputs that sources and baselines read, edits included."""
    pending, seen = list(reversed(tuple(parts))), set[Source | Baseline]()
    while pending:
        part = pending.pop()
        if part in seen:
            continue
        seen.add(part)
        match part:
            case Source(name, _, edits):
                yield name
                values = [value for edit in edits for value in values_of(edit)]
                pending.extend(value for value in reversed(values) if isinstance(value, _READ))
            case Given(source) | Blur(source, _) if source is not None:
                pending.append(source)
            case Mean(name) | Median(name) | MostFrequent(name):
                yield name


_READ = (Source, Constant, AbsentToken, Mean, Median, MostFrequent, Blur, Given)
