"""What one model answers for inputs, as arrays. In: finished scores. Out: the same, and parts of them. It may not know
relations, sessions or models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from ..system.arrays import Array, Floats, Ints


@dataclass(frozen=True, eq=False)
class ModelScores:
    """What one model answers for n inputs.

    `predicted` (n,) are the classes that it predicts, −1 of a regression. `top` (n, k) are its classes of highest
    score, the highest first (of a regression its first outputs), and `top_scores` (n, k) their scores in `unit`.
    `targets` are the classes that were asked for, and `target_scores` (n, t) their scores. `names` has the name of
    every class that is met here. `layer` is where the model was cut; None is the model itself. `words` say that the
    model is no function of the row, if it is none.
    """

    model: str
    layer: int | None
    output: str
    unit: str
    predicted: Ints
    top: Ints
    top_scores: Floats
    targets: tuple[int, ...]
    target_scores: Floats
    names: Mapping[int, str]
    words: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The model, and the layer that it was cut after."""
        return self.model if self.layer is None else f"{self.model} layer {self.layer}"

    @property
    def is_regression(self) -> bool:
        """Whether its outputs are values, so that it predicts no class."""
        return bool((self.predicted < 0).any())

    @cached_property
    def predicted_scores(self) -> Floats:
        """The score (n,) of the class that the model predicts; of a regression that of its first output."""
        return self.top_scores[:, 0]

    def predicted_names(self) -> list[str]:
        """The name of the class that the model predicts for each input; '' of a regression."""
        return ["" if k < 0 else self.names[k] for k in self.predicted.tolist()]

    def taken(self, rows: Ints) -> ModelScores:
        """The scores of some inputs."""
        own = (self.predicted[rows], self.top[rows], self.top_scores[rows], self.targets, self.target_scores[rows])
        return ModelScores(self.model, self.layer, self.output, self.unit, *own, self.names, self.words)

    def arrays(self) -> Iterator[Array]:
        """All numbers of this model."""
        yield from (self.predicted, self.top, self.top_scores, self.target_scores)
