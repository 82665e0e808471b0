"""How alike pictures are: structural similarity (Wang et al. 2004), as scikit-image measures it. Knows tensors only."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

_SIDE = 7  # of the squares that are compared
_OF_MEANS, _OF_VARIANCES = 0.01**2, 0.03**2


def structural_similarity(one: Tensor, other: Tensor, extent: float = 1.0) -> Tensor:
    """The mean similarity (n,) of all squares of 7 × 7 of pictures (n, channels, height, width), from −1 to 1.

    `extent` is the distance of the least and largest value that a picture can have.
    """
    sample = _SIDE**2 / (_SIDE**2 - 1)  # of the covariance of a sample
    mean, other_mean = _squares(one), _squares(other)
    variance = sample * (_squares(one * one) - mean * mean)
    other_variance = sample * (_squares(other * other) - other_mean * other_mean)
    covariance = sample * (_squares(one * other) - mean * other_mean)
    of_means, of_variances = _OF_MEANS * extent**2, _OF_VARIANCES * extent**2
    alike = (2 * mean * other_mean + of_means) * (2 * covariance + of_variances)
    most = (mean.square() + other_mean.square() + of_means) * (variance + other_variance + of_variances)
    return (alike / most).mean(dim=(1, 2, 3))


def _squares(pictures: Tensor) -> Tensor:
    """The mean of each square."""
    return F.avg_pool2d(pictures, _SIDE, stride=1)
