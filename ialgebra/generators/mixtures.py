"""A mixture of normal distributions (scikit-learn's) of rows. Tensors only."""

from __future__ import annotations

import importlib
import warnings

import torch
from torch import Tensor

from ..errors import BindError

_LEAST_VARIANCE = 1e-3
_AT_MOST = 10_000  # rows that it is fitted to


def mixture(rows: Tensor, groups: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """The shares (g,), means (g, k), and lower factors (g, k, k) of the covariances, of `groups` normal distributions
    that fit rows (n, k). BindError where scikit-learn is not installed."""
    try:
        mixtures = importlib.import_module("sklearn.mixture")
    except ImportError as error:
        raise BindError("StyleGenerator.fit needs scikit-learn: pip install scikit-learn") from error
    if len(rows) > _AT_MOST:
        rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:_AT_MOST]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a mixture that has not converged is a mixture
        found = mixtures.GaussianMixture(
            groups, max_iter=30, reg_covar=_LEAST_VARIANCE, random_state=seed % (1 << 32)
        ).fit(rows.double().numpy())
    shares, means, covariances = (torch.from_numpy(each) for each in (found.weights_, found.means_, found.covariances_))
    return shares, means, torch.linalg.cholesky(covariances)
