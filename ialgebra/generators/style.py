"""A style generator: a small network that draws pictures from codes, trained on a collection. Knows tensors only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ..errors import BindError, ShapeError
from ..system.arguments import checked
from ..system.stages import FittingProgress, shows_progress, stages
from .linear import stacked
from .mixtures import mixture
from .similarity import structural_similarity
from .style_nets import StyleNets
from .training import trained

_LATENTS, _WIDTH = 64, 64
_STEPS = 6_500
_LEAST_SIDE, _FEWEST = 8, 8
_GROUPS, _A_GROUP = 20, 50  # of latents, at most, and latents for each at least
_AT_ONCE = 256  # pictures in a pass
_NO_SPREAD = 1e-3  # of the spread of all codes: numbers of a code that do not differ more are as they are


@dataclass(frozen=True)
class DrawingFigures:
    """How well a generator draws pictures that it never saw: `mse`, the mean squared error of a number, in the
    collection's own units; `similarity`, the mean structural similarity; `learned` and `held_out` count pictures;
    `interrupted` says that Ctrl-C ended the training before its time."""

    mse: float
    similarity: float
    learned: int
    held_out: int
    interrupted: bool = False

    def __str__(self) -> str:
        ended = "; the training was interrupted" if self.interrupted else ""
        return (
            f"trained on {self.learned:,} pictures; on {self.held_out:,} others a mean squared error of {self.mse:.3g} "
            f"and a structural similarity of {self.similarity:.3f}{ended}"
        )


class StyleGenerator(nn.Module):
    """Draws pictures of `shape` (channels, height, width) from codes (n, levels, width), of which each level is the
    style of one layer, the coarse ones first (Karras et al. 2020). `latents` (n, k) are what codes are mapped from.

    Codes of the collection have mean 0 and variance 1. `encode` gives every level the same code; levels that differ mix
    pictures.
    """

    low: Tensor
    high: Tensor
    centre: Tensor
    spread: Tensor
    shares: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, nets: StyleNets, shape: Sequence[int], groups: int = 1) -> None:
        super().__init__()
        self.nets = nets
        self.shape, self.levels = tuple(shape), nets.levels
        self.width, self.latents = nets.width, nets.latents
        self.figures: DrawingFigures | None = None
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.ones(()))
        self.register_buffer("centre", torch.zeros(self.width))
        self.register_buffer("spread", torch.ones(self.width))
        self.register_buffer("shares", torch.full((groups,), 1 / groups))
        self.register_buffer("means", torch.zeros(groups, self.latents))
        self.register_buffer("factors", torch.eye(self.latents).repeat(groups, 1, 1))

    @classmethod
    @checked
    def fit(
        cls,
        inputs: ArrayLike | Tensor | Sequence[Tensor],
        *,
        latents: int = _LATENTS,
        width: int = _WIDTH,
        steps: int = _STEPS,
        seed: int = 0,
        holdout: float = 0.1,
        progress: bool | FittingProgress | None = None,
    ) -> StyleGenerator:
        """A generator of pictures like `inputs` (n, channels, height, width), of any range, 8 × 8 or larger.

        `latents` and `width`: how many numbers a picture is told by, and how many a level has. `steps` of training, of
        up to 64 pictures each; the default takes some minutes for pictures of 28 × 28. A share `holdout` of the
        pictures is kept out for `figures`. `progress`: whether a bar is shown (None: in terminals and notebooks), or
        what is called with what is being done, how much of it is done and how much there is. Equal seeds give equal
        generators. Ctrl-C keeps the best so far. Raises ShapeError for inputs of other shapes, BindError for numbers
        that are not finite, or all the same, and for arguments out of range. It needs scikit-learn.
        """
        rows = _pictures(inputs)
        _check(latents, width, steps, seed, holdout)
        low, high = float(rows.amin()), float(rows.amax())
        if not low < high:
            raise BindError(f"a generator is fitted on pictures that differ; all numbers of these are {low:g}")

        def scaled(places: Tensor) -> Tensor:
            return (rows[places].float() - low) / (high - low)

        shape = tuple(rows.shape[1:])
        with stages(shows_progress(None if callable(progress) else progress)) as bar:
            told = progress if callable(progress) else bar
            found = trained(lambda: StyleNets(shape, latents, width), scaled, len(rows), steps, seed, holdout, told)
        learned = torch.ones(len(rows), dtype=torch.bool)
        learned[found.held_out] = False
        with torch.no_grad():
            means = _in_parts(found.nets.latents_of, scaled, learned.nonzero()[:, 0])
            groups = max(1, min(_GROUPS, len(means) // _A_GROUP))
            made = cls(found.nets, shape, groups)
            for name, value in zip(("shares", "means", "factors"), mixture(means, groups, seed), strict=True):
                made.get_buffer(name).copy_(value)
            codes = found.nets.mapping(means)
            made.centre.copy_(codes.mean(dim=0))
            made.spread.copy_(codes.std(dim=0).clamp(min=_NO_SPREAD * float(codes.std())))
            made.low.fill_(low)
            made.high.fill_(high)
            made.requires_grad_(False).eval()
            made.figures = made.figures_of(rows, found.held_out, int(learned.sum()), interrupted=found.interrupted)
        return made

    def synthesis(self, codes: Tensor) -> Tensor:
        """Pictures (n, *shape) of codes (n, levels, width), within the range of the collection."""
        styles = codes.to(self.centre.dtype) * self.spread + self.centre
        drawn: Tensor = self.nets.drawer(styles).clamp(0, 1)
        within: Tensor = self.low + drawn * (self.high - self.low)
        return within

    def encode(self, inputs: Tensor) -> Tensor:
        """Codes (n, levels, width) of pictures (n, *shape), the same at each level."""
        scaled = (inputs.to(self.low.dtype) - self.low) / (self.high - self.low)
        return self.mapped(self.nets.encoder(scaled)[0])

    def mapped(self, latents: Tensor) -> Tensor:
        """Codes (n, levels, width) of latents (n, k), the same at each level."""
        codes: Tensor = (self.nets.mapping(latents) - self.centre) / self.spread
        return codes[:, None].expand(-1, self.levels, -1)

    @checked
    def samples(self, count: int, seed: int = 0) -> Tensor:
        """Codes (count, levels, width) of new pictures, drawn from a mixture of normal distributions that fits the
        latents of the collection."""
        if count < 1:
            raise BindError(f"samples are at least 1, not {count}")
        chance = torch.Generator().manual_seed(seed)
        group = torch.multinomial(self.shares.cpu(), count, replacement=True, generator=chance)
        noise = torch.randn(count, self.latents, generator=chance)
        latents = self.means.cpu()[group] + torch.einsum("nij,nj->ni", self.factors.cpu()[group], noise)
        with torch.no_grad():
            return self.mapped(latents.to(self.means.device))

    @torch.no_grad()
    def figures_of(self, pictures: Tensor, held_out: Tensor, learned: int, *, interrupted: bool) -> DrawingFigures:
        """How well it draws those at the places `held_out` (H,) of pictures (n, *shape)."""
        lost, alike = 0.0, 0.0
        extent = float(self.high - self.low)
        for some in torch.split(held_out, _AT_ONCE):
            wanted = pictures[some].float()
            drawn = self.synthesis(self.encode(wanted))
            lost += float((drawn - wanted).square().sum())
            alike += float(structural_similarity(drawn, wanted, extent).sum())
        count = len(held_out)
        return DrawingFigures(lost / (count * pictures[0].numel()), alike / count, learned, count, interrupted)


def _in_parts(function: Callable[[Tensor], Tensor], rows: Callable[[Tensor], Tensor], places: Tensor) -> Tensor:
    return torch.cat([function(rows(some)) for some in torch.split(places, _AT_ONCE)])


def _pictures(inputs: ArrayLike | Tensor | Sequence[Tensor]) -> Tensor:
    rows = stacked(inputs)
    if rows.dim() != 4 or min(rows.shape[2:]) < _LEAST_SIDE:
        raise ShapeError(
            f"a style generator is fitted on pictures (n, channels, height, width) of {_LEAST_SIDE} × {_LEAST_SIDE} or "
            f"larger; got {tuple(rows.shape)}. LinearGenerator takes any inputs"
        )
    if len(rows) < _FEWEST:
        raise BindError(f"a style generator is fitted on {_FEWEST} pictures or more; got {len(rows)}")
    return rows


def _check(latents: int, width: int, steps: int, seed: int, holdout: float) -> None:
    for name, value in (("latents", latents), ("width", width), ("steps", steps)):
        if value < 1:
            raise BindError(f"{name} is {value}; at least 1 is needed")
    if not 0 < holdout < 1:
        raise BindError(f"holdout is {holdout:g}; a share above 0 and below 1 is needed, on which figures are measured")
    if not 0 <= seed < 1 << 63:
        raise BindError(f"seed is {seed}; an integer from 0 to 2^63 − 1 is needed")
