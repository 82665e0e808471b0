"""Models built from a model, for which an axiom says what the answer must be. In: f and a game. Out: a module.

Deaf        f(z with one player at the baseline)        this player is null
Symmetric   (f(z) + f(z with i and j exchanged)) / 2    i and j are symmetric players
Bent        a bounded function of f's other outputs     a second model, for the linearity axiom
Sum         a·f + b·g                                   φ is the same sum
Linear      Σ w_i z_i, or Σ w_i(z_i) of tokens          φ_i is what player i's features add
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..models.adapters.results import logits
from ..system.arrays import Bools

Function = Callable[[Tensor], object]


class _Calling(nn.Module):
    """A module that calls functions, which may or may not be modules."""

    def __init__(self, *functions: Function) -> None:
        super().__init__()
        self.functions = functions
        self.modules_among = nn.ModuleList(each for each in functions if isinstance(each, nn.Module))

    def of(self, batch: Tensor, which: int = 0) -> Tensor:
        return logits(self.functions[which](batch), len(batch))


class Deaf(_Calling):
    """f with the features of one player always at the baseline."""

    def __init__(self, f: Function, player: Bools, baseline: Tensor) -> None:
        super().__init__(f)
        self.player, self.baseline = torch.from_numpy(player), baseline

    def forward(self, batch: Tensor) -> Tensor:
        return self.of(torch.where(self.player.to(batch.device), self.baseline.to(batch), batch))


class Symmetric(_Calling):
    """The mean of f and of f with players i and j exchanged: j is present where i was, and i where j was.

    Whether a player is present is computed from its features: 0 at the baseline, 1 at x, and shares in between.
    """

    def __init__(self, f: Function, i: Bools, j: Bools, x: Tensor, baseline: Tensor) -> None:
        super().__init__(f)
        self.i, self.j = torch.from_numpy(i), torch.from_numpy(j)
        self.x, self.baseline = x, baseline

    def forward(self, batch: Tensor) -> Tensor:
        x, baseline = self.x.to(batch), self.baseline.to(batch)
        i, j = self.i.to(batch.device), self.j.to(batch.device)
        exchanged = batch
        for mine, others in ((i, j), (j, i)):
            share = self._share(batch, others, x, baseline).reshape(-1, *(1 for _ in x.shape))
            placed = baseline + share * (x - baseline)
            if not batch.is_floating_point():  # tokens have no values in between
                placed = torch.where(share > 0.5, x, baseline)
            exchanged = torch.where(mine, torch.where(share == 1, x, placed), exchanged)
        return (self.of(batch) + self.of(exchanged)) / 2

    @staticmethod
    def _share(batch: Tensor, player: Tensor, x: Tensor, baseline: Tensor) -> Tensor:
        changing = player & (x != baseline)
        return ((batch - baseline)[:, changing] / (x - baseline)[changing]).mean(dim=1)


class Bent(_Calling):
    """tanh of f's outputs, rotated by one output, scaled to about their size."""

    def __init__(self, f: Function, size: float) -> None:
        super().__init__(f)
        self.size = size

    def forward(self, batch: Tensor) -> Tensor:
        return self.size * torch.tanh(self.of(batch).roll(1, 1) * 2 / self.size)


class Sum(_Calling):
    """a·f + b·g."""

    def __init__(self, f: Function, g: Function, a: float, b: float) -> None:
        super().__init__(f, g)
        self.a, self.b = a, b

    def forward(self, batch: Tensor) -> Tensor:
        return self.a * self.of(batch) + self.b * self.of(batch, 1)


class Linear(nn.Module):
    """A linear function of the features, for tokens of a number for each word at each position; two outputs, + and
    −."""

    def __init__(self, x: Tensor, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randn((2, *x.shape), generator=generator, dtype=torch.float64)
        self.weight: Tensor = drawn[0]
        self.turn: Tensor = drawn[1]

    def terms(self, x: Tensor) -> Tensor:
        """What each feature adds to output 0."""
        weight, turn = self.weight.to(x.device), self.turn.to(x.device)
        if not x.is_floating_point():
            return torch.sin(weight * x.double() + turn)
        return weight.to(x.dtype) * x

    def forward(self, batch: Tensor) -> Tensor:
        total = self.terms(batch).flatten(1).sum(1, dtype=torch.float64)
        return torch.stack([total, -total], dim=1)
