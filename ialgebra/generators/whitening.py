"""Codes in standard deviations: a covariance in; what leads codes to mean 0 and covariance 1, and back, out.

Tensors only.
"""

from __future__ import annotations

import torch
from torch import Tensor

_NOTHING = 1e-10  # of the largest variance: directions in which the codes do not differ


def whitening(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """What leads codes with this covariance (D, D) to standard deviations (D, r), and back (r, D), in the r directions
    in which codes differ; the direction of the largest variance is the last."""
    variances, directions = torch.linalg.eigh(covariance.double())
    kept = variances > _NOTHING * variances[-1].clamp(min=1e-300)
    scale = variances[kept].sqrt()
    return directions[:, kept] / scale, (directions[:, kept] * scale).T
