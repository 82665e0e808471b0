"""The two ends of a leaf's hybrids as tensors: an input and its background, in the one form that its model is given.

In: leaves and the catalog. Out: the input and the background of each. What a query reads when it needs it is not held
here, and a game over it holds a way to read it again. It knows no players and no operators, and runs no model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from ..algebra.baselines import AbsentToken, Blur, Constant, Given, Redrawn, check_baseline, materialise
from ..algebra.dtypes import common_dtype
from ..algebra.kinds import KINDS
from ..algebra.kinds.naming import TextNames
from ..algebra.packings import agreed, packing_of
from ..algebra.sources import Source
from ..catalog.catalog import Catalog
from ..catalog.inputs import Element, constant_element, is_hidden
from ..errors import BindError
from ..system.arrays import Bools
from .games import HeldRow, Leaf, ReadAgain, RowForm, Several


class EndElements(NamedTuple):
    """An input and its background; `hidden` features belong to no player (None: there are none)."""

    x: Element
    background: Element
    hidden: Bools | None


class EndRows:
    """Looks up the ends of leaves; what many leaves share is made once."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.readers = {name: network.tokens for name, network in (catalog.models | catalog.heads).items()}
        self.backgrounds: dict[tuple[object, ...], Element] = {}

    def of(self, leaf: Leaf) -> EndElements:
        """The ends of a leaf with one baseline. Raises ShapeError where they do not fit together."""
        x = self.catalog.element_for(leaf.model, leaf.source)
        background = self.background(leaf, x)
        hidden = None  # from the model's attention, present or absent: no player
        if self.masked(leaf):
            hidden = ((x.tensor < 0) & (background.tensor < 0)).numpy()
        if (special := self.special(leaf)) is not None:
            same = special & np.asarray(x.array == background.array)
            hidden = same if hidden is None else hidden | same
        if x.tensor.dtype != background.tensor.dtype:  # a hybrid holds numbers of both, unchanged
            common = common_dtype(x.tensor.dtype, background.tensor.dtype)
            x, background = (Element(each.tensor.to(common)) for each in (x, background))
        ends = agreed(x.tensor, background.tensor)
        if ends[0] is not x.tensor:  # the model is given both in one form
            x, background = map(Element, ends)
        return EndElements(x, background, hidden)

    def held(self, leaf: Leaf, x: Element, background: Element) -> tuple[HeldRow, HeldRow]:
        """The ends of a leaf as a game holds them: tensors, or how to read again what is not held."""
        if self.are_held(leaf):
            return x.tensor, background.tensor
        return (
            self._or_read(x.tensor, self.is_read(leaf.source), lambda: self.of(leaf).x.tensor),
            self._or_read(background.tensor, self._reads_background(leaf), lambda: self.of(leaf).background.tensor),
        )

    def are_held(self, leaf: Leaf) -> bool:
        """Whether a game holds both ends of a leaf; it is so of all inputs of one collection, or of none."""
        return not self.is_read(leaf.source) and not self._reads_background(leaf)

    def _or_read(self, tensor: torch.Tensor, read: bool, again: Callable[[], torch.Tensor]) -> HeldRow:
        return ReadAgain(again, RowForm.of(tensor)) if read else tensor

    def is_read(self, source: Source) -> bool:
        """Whether an input is read when it is needed."""
        return self.catalog.input(source.name).block is not None

    def _reads_background(self, leaf: Leaf) -> bool:
        if isinstance(leaf.baseline, Given):
            return self.is_read(leaf.baseline.source) or (self.is_read(leaf.source) and self.masked(leaf))
        return self.is_read(leaf.source) and self._is_own(leaf)

    def _is_own(self, leaf: Leaf) -> bool:
        """Whether the background of a leaf depends on its input's values."""
        return (
            isinstance(leaf.baseline, Blur | AbsentToken | Redrawn)
            or self.masked(leaf)
            or self.special(leaf) is not None
        )

    def masked(self, leaf: Leaf) -> bool:
        """Whether the leaf's model is given packed tokens (`models.tokens`)."""
        kind = KINDS[self.catalog.input(leaf.source.name).kind]
        return self.readers[leaf.model] is not None and kind.vocabulary

    def special(self, leaf: Leaf) -> Bools | None:
        """The special tokens of a text, which stay as they are; None where no tokenizer told them."""
        names = self.catalog.names(leaf.source)
        return np.asarray(names.special, dtype=np.bool_) if isinstance(names, TextNames) else None

    def background(self, leaf: Leaf, x: Element) -> Element:
        """The background of a leaf's input `x`."""
        assert not isinstance(leaf.baseline, Several)
        own: object = leaf.source
        if not self._is_own(leaf):
            own = leaf.source.name, x.tensor.shape, x.tensor.dtype, packing_of(x.tensor)
        place = (own, leaf.baseline, self.readers[leaf.model])
        if (known := self.backgrounds.get(place)) is not None:
            return known
        found = self._background(leaf, x)
        if not self._reads_background(leaf):
            self.backgrounds[place] = found
        return found

    def _background(self, leaf: Leaf, x: Element) -> Element:
        assert not isinstance(leaf.baseline, Several)
        kind, reader = self.catalog.input(leaf.source.name).kind, self.readers[leaf.model]
        own_mask = False
        if isinstance(leaf.baseline, Given):
            check_baseline(leaf.baseline, kind, x.tensor, lambda source: self.catalog.element(source).tensor)
            own_mask = self._has_own_mask(leaf.baseline.source)
            element = self.catalog.element_for(leaf.model, leaf.baseline.source)
            found = element if own_mask else self.catalog.element(leaf.baseline.source)
        elif (drawing := leaf.own_drawing) is not None:
            found = self.catalog.element(drawing)
        elif isinstance(leaf.baseline, Constant):
            if packing_of(x.tensor) is not None:
                check_baseline(leaf.baseline, kind, x.tensor, lambda source: self.catalog.element(source).tensor)
            found = constant_element(leaf.baseline, kind, x.tensor.shape, x.tensor.dtype)
        else:
            found = Element(
                materialise(
                    leaf.baseline,
                    kind,
                    x.tensor,
                    lambda source: self.catalog.element(source).tensor,
                    self.catalog.tensors,
                )
            )
        if reader is not None and self.masked(leaf) and not own_mask:
            found = Element(reader.riding(found.tensor, x.tensor))
        if isinstance(leaf.baseline, AbsentToken) and leaf.baseline.drops:
            found = Element(self._dropped(leaf, x.tensor, leaf.baseline))
        if (special := self.special(leaf)) is not None and not own_mask:
            found = Element(torch.where(torch.from_numpy(special), x.tensor, found.tensor))
        return found

    def _dropped(self, leaf: Leaf, x: torch.Tensor, baseline: AbsentToken) -> torch.Tensor:
        """A text of nothing but padding, which attention does not see."""
        reader = self.readers[leaf.model]
        if reader is None:
            raise BindError(
                f"model '{leaf.model}' reads no attention mask, so that absent tokens cannot be dropped; say what "
                "stands for them: baseline => 'mask', 'pad', 'unk' or a token's number"
            )
        pad = reader.pad if reader.pad is not None else baseline.token
        return reader.packed(torch.full_like(x, pad), torch.ones_like(x, dtype=torch.bool), None)

    def _has_own_mask(self, source: Source) -> bool:
        """Whether a baseline brings its own attention mask, as another input does. Tokens that were registered as the
        baseline of an input are read under that input's mask, unless they came with one."""
        return not is_hidden(source.name) or self.catalog.input(source.name).example.attention is not None
