"""A linear generator: the principal components of a collection (scikit-learn's PCA). Knows tensors only."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ..errors import BindError, ShapeError
from ..system.arguments import checked


class LinearGenerator(nn.Module):
    """x = mean + Σ code · component: each component is as long as the collection's standard deviation along it, so that
    codes have mean 0 and variance 1. It inverts exactly on the components' space.

    `mean` is (D,), `components` (k, D) with k = levels · width, the strongest first; `shape` is that of one input.
    """

    mean: Tensor
    components: Tensor

    def __init__(self, mean: Tensor, components: Tensor, shape: Sequence[int], levels: int = 1) -> None:
        super().__init__()
        if components.dim() != 2 or mean.shape != components.shape[1:] or math.prod(shape) != len(mean):
            raise ShapeError(
                f"a linear generator of inputs {tuple(shape)} needs a mean (D,) and components (k, D); got "
                f"{tuple(mean.shape)} and {tuple(components.shape)}"
            )
        if levels < 1 or len(components) % levels:
            raise BindError(f"{len(components)} components cannot be shared among {levels} levels")
        self.register_buffer("mean", mean.contiguous())
        self.register_buffer("components", components.contiguous())  # so that a file gives the same bits
        self.shape, self.levels, self.width = tuple(shape), levels, len(components) // levels

    @classmethod
    @checked
    def fit(cls, inputs: ArrayLike | Tensor | Sequence[Tensor], k: int, levels: int = 1) -> LinearGenerator:
        """The generator of the `k` strongest components of inputs (n, *shape), shared among `levels` of equal width.

        Raises BindError for more components than inputs or features have, ShapeError for inputs of several shapes.
        It needs scikit-learn.
        """
        rows = stacked(inputs)
        flat = rows.reshape(len(rows), -1).to(torch.float64).numpy()
        most = min(len(flat) - 1, flat.shape[1])
        if not 1 <= k <= most:
            raise BindError(f"{len(flat)} inputs of {flat.shape[1]} numbers have 1 to {most} components, not {k}")
        try:
            decomposition = importlib.import_module("sklearn.decomposition")
        except ImportError as error:
            raise BindError("LinearGenerator.fit needs scikit-learn: pip install scikit-learn") from error
        found = decomposition.PCA(n_components=k, svd_solver="full" if most <= _SMALL else "covariance_eigh").fit(flat)
        deviations = np.sqrt(found.explained_variance_)
        if deviations[-1] <= deviations[0] * _NOTHING:
            raise BindError(f"these inputs differ along fewer than {k} components; ask for fewer")
        components = torch.from_numpy(found.components_ * deviations[:, None])
        return cls(torch.from_numpy(found.mean_), components, rows.shape[1:], levels)

    def synthesis(self, codes: Tensor) -> Tensor:
        """Inputs (n, *shape) of codes (n, levels, width)."""
        flat = codes.reshape(len(codes), -1).to(self.components.dtype)
        return (self.mean + flat @ self.components).reshape(len(codes), *self.shape)

    def encode(self, inputs: Tensor) -> Tensor:
        """Codes (n, levels, width) of inputs (n, *shape): those whose drawing is nearest."""
        wide = inputs.reshape(len(inputs), -1).to(self.components.dtype) - self.mean
        codes = wide @ self.components.T / self.components.square().sum(dim=1)
        return codes.reshape(len(inputs), self.levels, self.width)


_SMALL = 256  # components up to which the decomposition of the inputs themselves is fast
_NOTHING = 1e-9  # of the strongest component's length


def stacked(inputs: ArrayLike | Tensor | Sequence[Tensor]) -> Tensor:
    """Inputs (n, *shape) on the CPU."""
    if isinstance(inputs, list | tuple) and inputs and all(isinstance(each, Tensor) for each in inputs):
        shapes = {tuple(each.shape) for each in inputs}
        if len(shapes) > 1:
            raise ShapeError(f"inputs to fit a generator on differ in shape: {', '.join(map(str, sorted(shapes)))}")
        inputs = torch.stack([each.detach().cpu() for each in inputs])
    rows = inputs.detach().cpu() if isinstance(inputs, Tensor) else torch.from_numpy(np.asarray(inputs))
    if rows.dim() < 2 or len(rows) < 2:
        raise ShapeError(f"a generator is fitted on two inputs or more, (n, *shape); got {tuple(rows.shape)}")
    if not bool(torch.isfinite(rows).all()):
        raise BindError("a generator is fitted on finite numbers; some are NaN or infinite")
    return rows
