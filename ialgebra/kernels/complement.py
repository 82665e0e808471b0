"""The directions that are orthogonal to all columns of a matrix, as Householder reflections.

In: a matrix, then other matrices. Out: these in coordinates of the complement, and back. The reflections are held in
compact form (Schreiber & Van Loan, 1989): their product is I − V T Vᵀ, so that no square matrix is made. Knows numbers
only.
"""

from __future__ import annotations

import numpy as np

from ..system.arrays import Floats


class Complement:
    """The orthogonal complement of the columns of `features` (n, p), with an orthonormal basis N (n, n − p)."""

    def __init__(self, features: Floats) -> None:
        packed, scales = np.linalg.qr(features, mode="raw")
        self.width = len(scales)
        reflectors = np.tril(packed.T[:, : self.width], -1)
        np.fill_diagonal(reflectors, 1.0)
        turn = np.zeros((self.width, self.width))
        for k, scale in enumerate(scales):
            turn[:k, k] = -scale * (turn[:k, :k] @ (reflectors[:, :k].T @ reflectors[:, k]))
            turn[k, k] = scale
        self.reflectors, self.turned = reflectors, reflectors @ turn  # V and V T

    @property
    def nbytes(self) -> int:
        """The bytes of both arrays."""
        return self.reflectors.nbytes + self.turned.nbytes

    def within(self, symmetric: Floats) -> Floats:
        """Nᵀ A N (…, n − p, n − p) of symmetric matrices A (…, n, n)."""
        # (I − V T Vᵀ)ᵀ A (I − V T Vᵀ) = A − Y Vᵀ − V Yᵀ with Y = A V T − V (V T)ᵀ A V T / 2
        product = symmetric @ self.turned
        half = product - self.reflectors @ (self.turned.T @ product) / 2
        twice = half[..., self.width :, :] @ self.reflectors[self.width :].T
        inner: Floats = symmetric[..., self.width :, self.width :] - twice - twice.swapaxes(-1, -2)
        return inner

    def beyond(self, inner: Floats) -> Floats:
        """N X (…, n, k) of X (…, n − p, k)."""
        found: Floats = -self.turned @ (self.reflectors[self.width :].T @ inner)
        found[..., self.width :, :] += inner
        return found
