"""`ialgebra.learn`: a module, inputs and labels in; the module, trained further to be interpretable, and its
dictionary, out. It belongs to no session: what it returns is registered like any other model and dictionary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import BindError
from ..models import Network
from ..models.concepts import Dictionary
from ..models.concepts.by_design import learn_by_design
from ..models.concepts.measuring import figures_of
from ..models.fitting import HeadLabels
from ..models.reading import Batch
from ..results.concept_report import ConceptReport
from ..system.arguments import checked
from ..system.stages import shows_progress, stages
from .concepts import as_batches, tell_if_interrupted


@dataclass(frozen=True, eq=False, repr=False)
class LearnedByDesign:
    """A module that was trained by `learn`, its dictionary, and a report on both."""

    model: nn.Module
    dictionary: Dictionary
    report: ConceptReport

    def __repr__(self) -> str:
        return str(self.report)


@checked
def learn(
    model: nn.Module,
    inputs: Iterable[Batch] | Tensor | NDArray[np.generic],
    labels: HeadLabels | None = None,
    *,
    classes: Sequence[str] | None = None,
    layers: Sequence[int | str] | None = None,
    size: int = 25,
    name: str = "concepts",
    seed: int = 0,
    holdout: float = 0.2,
    epochs: int = 2,
    progress: bool | None = None,
) -> LearnedByDesign:
    """Train a module to be interpretable by design (FLINT, Parekh et al., 2021): **its weights are changed**, in place.

    A dictionary of `size` attributes is learned post-hoc, as `Session.fit_concepts` learns one; then module, encoder
    and head are trained together for some `epochs`, by the `labels` and by how near the head is to the module. The
    epoch stays that does best by the head's fidelity and the module's accuracy together, if it loses no more than .3 %
    of the labels that the module predicted before. `inputs`: a batch, or (batch, labels) pairs; the module has to be
    trained already. `layers`: that the encoder reads. A share `holdout` of the inputs is kept out for the report.
    `progress` shows how it stands (None: in terminals and notebooks). Ctrl-C keeps the best so far, of the module too,
    and warns of it.

    Register what comes out: `con.register_model("f", learned.model)`, then `con.register_concepts("f",
    learned.dictionary)`. Raises BindError or ShapeError for what does not fit, ModelError for a failing module.
    """
    if isinstance(inputs, str):
        raise BindError(f"inputs are a text, '{inputs:.40}'; learn is outside of any session, so give tensors")
    network = Network("f", model, classes=classes)
    with stages(shows_progress(progress)) as told:
        made, seen = learn_by_design(
            network, as_batches(inputs), labels, layers, size, name, seed, holdout, epochs, told
        )
    tell_if_interrupted(seen, name)
    figures = figures_of(
        *(made, {"f": network}, seen.codes, seen.outputs, seen.labels),
        fitted=seen.rows,
        reconstruction=seen.reconstruction,
        seconds=seen.seconds,
    )
    return LearnedByDesign(model, replace(made, figures=figures), ConceptReport(figures))
