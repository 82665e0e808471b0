"""Generators of other libraries, told by what they have: StyleGAN2 and 3, and the autoencoders of diffusers.

In: a module, and the shape of the inputs that it is to draw. Out: a `Generator` around it; any other object comes back
as it is. Nothing of these libraries is imported. Weights stay in the module, which is not copied.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..errors import BindError


def adapted(name: str, module: object, shape: Sequence[int]) -> object:
    """A generator around a module that is made like StyleGAN's or diffusers', or the object itself.

    Raises BindError for an autoencoder that gives no code of an input of this shape.
    """
    if not isinstance(module, nn.Module) or isinstance(module, _Adapter):
        return module
    if is_style_network(module):
        return StyleNetwork(module)
    if _is_autoencoder(module):
        return Autoencoder(name, module, shape)
    return module


def is_style_network(module: object) -> bool:
    """Whether a module has what StyleGAN's generators have."""
    return all(hasattr(module, each) for each in ("mapping", "synthesis", "num_ws", "w_dim"))


def shape_of(generator: object) -> tuple[int, ...] | None:
    """The shape of what a generator draws, as far as it says so itself."""
    shape = getattr(generator, "shape", None)
    if shape is None and is_style_network(generator):
        size = getattr(generator, "img_resolution", None)
        shape = None if size is None else (getattr(generator, "img_channels", 3), size, size)
    try:
        return None if shape is None else tuple(int(each) for each in cast("Sequence[int]", shape))
    except (TypeError, ValueError) as error:
        raise BindError(f"a generator's shape is that of one input, such as (1, 28, 28), not {shape!r:.60}") from error


class _Adapter(nn.Module):
    """A generator around the module of another library."""

    levels: int
    width: int


class StyleNetwork(_Adapter):
    """A generator of StyleGAN2 or 3: codes are w+, one w for each of its `num_ws` style layers.

    The noise that it would draw anew for every picture is the constant one, so that equal codes draw equal pictures.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.levels, self.width = int(cast("int", module.num_ws)), int(cast("int", module.w_dim))
        self.calm = {"noise_mode": "const"} if _takes(module.synthesis, "noise_mode") else {}

    def synthesis(self, codes: Tensor) -> Tensor:
        """Pictures (n, channels, size, size) of codes (n, num_ws, w_dim)."""
        drawn = cast("nn.Module", self.module.synthesis)(codes, **self.calm)
        return cast("Tensor", drawn)

    def mapping(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """Codes (n, num_ws, w_dim) of noise (n, z_dim); `truncation` below 1 draws them towards the mean w."""
        labels = torch.zeros(len(z), int(getattr(self.module, "c_dim", 0) or 0), dtype=z.dtype, device=z.device)
        found: Tensor = cast("nn.Module", self.module.mapping)(z, labels, truncation_psi=truncation)
        return found

    @property
    def mean(self) -> Tensor | None:
        """The mean code (num_ws, w_dim), where the mapping keeps it."""
        average = getattr(self.module.mapping, "w_avg", None)
        return average.expand(self.levels, self.width) if isinstance(average, Tensor) else None


class Autoencoder(_Adapter):
    """An autoencoder of diffusers: a code is the mode of the distribution of an input's latents, scaled as diffusion
    models scale them. Each channel of the latents is a level."""

    def __init__(self, name: str, module: nn.Module, shape: Sequence[int]) -> None:
        super().__init__()
        self.module = module
        config = getattr(module, "config", None)
        self.scaling = float(getattr(config, "scaling_factor", None) or 1.0)
        self.moved = float(getattr(config, "shift_factor", None) or 0.0)
        modes = {each: each.training for each in module.modules()}
        first = next((each for each in module.parameters() if each.is_floating_point()), torch.zeros(()))
        try:
            module.eval()
            with torch.no_grad():
                latents = self._latents(torch.zeros(1, *shape, dtype=first.dtype, device=first.device))
        except Exception as error:
            raise BindError(
                f"autoencoder '{name}' does not encode an input of shape {tuple(shape)}: {type(error).__name__}: "
                f"{error}"
            ) from error
        finally:
            for each, training in modes.items():
                each.training = training
        if latents.dim() < 2:
            raise BindError(f"autoencoder '{name}' has latents {tuple(latents.shape)}; (n, channels, …) are needed")
        self.form = tuple(latents.shape[1:])
        self.levels, self.width = self.form[0], math.prod(self.form[1:])

    def encode(self, inputs: Tensor) -> Tensor:
        """Codes (n, channels, places) of inputs (n, *shape)."""
        found = (self._latents(inputs) - self.moved) * self.scaling
        return found.reshape(len(inputs), self.levels, self.width)

    def synthesis(self, codes: Tensor) -> Tensor:
        """Inputs (n, *shape) of codes (n, channels, places)."""
        latents = codes.reshape(len(codes), *self.form) / self.scaling + self.moved
        drawn = self.module.decode(latents)  # type: ignore[operator]
        return cast("Tensor", getattr(drawn, "sample", drawn))

    def _latents(self, inputs: Tensor) -> Tensor:
        found = self.module.encode(inputs)  # type: ignore[operator]
        if hasattr(found, "latent_dist"):
            return cast("Tensor", found.latent_dist.mode())
        return cast("Tensor", found.latents)


def _is_autoencoder(module: nn.Module) -> bool:
    """Whether a module has what diffusers' autoencoders have: no codes of a generator, but a decoder and its config."""
    both = callable(getattr(module, "encode", None)) and callable(getattr(module, "decode", None))
    return both and hasattr(module, "config") and not hasattr(module, "synthesis")


def _takes(called: object, argument: str) -> bool:
    """Whether a function, or a module's forward, takes an argument by this name."""
    function = cast("Callable[..., object]", getattr(called, "forward", called))
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(each.name == argument or each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters)
