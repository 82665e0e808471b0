"""A text at the length of another one, so that both meet position by position.

No query writes this edit: binding puts it around the shorter one of two texts, and it is not shown.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..interning import node
from ..sources import Edit
from .form import Surroundings, edit_form


@node
class Lengthened(Edit):
    """A text of so many `tokens`; what is missing at its end is token 0, which attention is not to see."""

    tokens: int

    def around(self, text: str, whole: bool = False) -> str:
        return text


def _lengthened(edit: Lengthened, x: Tensor, surroundings: Surroundings) -> Tensor:
    return torch.nn.functional.pad(x, (0, edit.tokens - len(x)))


LENGTHENED = edit_form(Lengthened, _lengthened, lambda kind: None, takes_baseline=False)
