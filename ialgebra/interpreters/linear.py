"""Shapley values of a model that is affine in its input (L17): φ_i = w_i (x_i − x̄_i). `USING linear()`.

In: questions about one model. Out: their maps, for which no row is run. May not know: plans, queries or the catalog.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import BindError
from ..models.affine import is_affine, weights_of
from ..models.scalar import ExplainedScalar
from ..system.arrays import Floats
from .protocol import ModelInterpreter, Options, Question, Questions


@dataclass(frozen=True)
class LinearShap(ModelInterpreter):
    """The Shapley values of the game that `using exact()` enumerates, for a single linear map of a table's rows."""

    linear = True
    together = True

    def rows(self, players: int, shape: Sequence[int], options: Options) -> int:
        return 0  # the weights tell

    def attribute(self, question: Question) -> Floats:
        raise NotImplementedError("questions are asked together, of `attribute_all`")

    def attribute_all(self, questions: Questions) -> Floats:
        """Raises BindError for a model, or a kind of output, that is not known to be affine."""
        scalar = questions.scalar
        assert isinstance(scalar, ExplainedScalar)
        network, output = scalar.network, scalar.output
        if scalar.head is not None or not is_affine(network, output):
            raise BindError(
                f"model '{network.name}' is not known to be affine in its input as {output}; ask using exact() or "
                "using shapley()"
            )
        weights = weights_of(network, scalar.target, output).numpy()
        x, background = (each.detach().cpu().double().numpy() for each in (questions.foregrounds, questions.baselines))
        asks, of, against = questions.pairs.T
        if np.array_equal(asks, np.arange(questions.count)):
            found: Floats = (x[of] - background[against]) * weights
            return found
        sums = np.zeros((questions.count, *x.shape[1:]))
        np.add.at(sums, asks, (x[of] - background[against]) * weights)
        return sums / np.bincount(asks, minlength=questions.count).reshape(-1, *[1] * (x.ndim - 1))
