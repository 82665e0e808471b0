"""A dictionary of concepts: what turns hidden outputs into attributes, and the linear head that reads them.

In: an encoder, heads, names. Out: one checked value. Knows tensors and modules: nothing of how it was trained, of files
or of registered models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import BindError, ShapeError, did_you_mean
from .figures import ConceptFigures

ConceptKind = Literal["flint", "nmf", "sae", "given"]


@dataclass(frozen=True, eq=False)
class ConceptHead:
    """The interpreter g of one model: logits (B, C) = attributes (B, J) · `weight`ᵀ (C, J) + `bias` (C,)."""

    weight: Tensor
    bias: Tensor

    def __call__(self, attributes: Tensor) -> Tensor:
        """Logits (B, C) of attributes (B, J)."""
        return F.linear(attributes.to(self.weight.dtype), self.weight, self.bias)


@dataclass(frozen=True, eq=False)
class Dictionary:
    """A dictionary of J attributes.

    `layers` has, for each model that it reads, the names of the layers whose outputs the `encoder` takes; with no layer
    it takes the model's own input. The encoder is called with these outputs, one argument a layer, those of the first
    model first, and returns attributes (B, J); those of flint, nmf and sae are never negative. `heads` has one head for
    each model. `directions` (J, features) are what an attribute adds to the output of the one layer of 'nmf' and 'sae'.
    `figures` are what was measured of it on held-out inputs.
    Raises BindError or ShapeError for parts that do not fit together.
    """

    name: str
    kind: ConceptKind
    layers: Mapping[str, tuple[str, ...]]
    names: tuple[str, ...]
    encoder: nn.Module
    heads: Mapping[str, ConceptHead]
    directions: Tensor | None = None
    figures: ConceptFigures | None = None

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names)) != len(self.names):
            raise BindError(f"dictionary '{self.name}' needs a name of its own for each attribute")
        if not self.heads or set(self.heads) != set(self.layers):
            raise BindError(f"dictionary '{self.name}' needs a head for each model that it reads")
        for model, head in self.heads.items():
            if head.weight.dim() != 2 or head.weight.shape[1] != self.size or head.bias.shape != head.weight.shape[:1]:
                raise ShapeError(
                    f"the head of '{model}' on dictionary '{self.name}' has a weight {tuple(head.weight.shape)} and a "
                    f"bias {tuple(head.bias.shape)}; {self.size} attributes need (classes, {self.size}) and (classes,)"
                )

    @property
    def size(self) -> int:
        """J, the number of attributes."""
        return len(self.names)

    @property
    def models(self) -> tuple[str, ...]:
        """The models that it reads."""
        return tuple(self.layers)

    def index(self, name: str) -> int:
        """The place of an attribute; BindError that suggests the nearest name."""
        if name not in self.names:
            raise BindError(f"dictionary '{self.name}' has no attribute '{name}'{did_you_mean(name, self.names)}")
        return self.names.index(name)
