"""The best numbers of a module while it is trained. In: the module, and how well it does. Out: its best numbers, put
back. Knows tensors only.
"""

from __future__ import annotations

import copy
import math

from torch import nn


class Best:
    """The best numbers of a module so far."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.score = -math.inf
        self.state = copy.deepcopy(module.state_dict())

    def see(self, score: float) -> None:
        """Keeps the numbers that the module has, if they do better, or as well and later."""
        if score >= self.score:
            self.score, self.state = score, copy.deepcopy(self.module.state_dict())

    def restore(self) -> None:
        """Puts the best numbers back."""
        self.module.load_state_dict(self.state)
