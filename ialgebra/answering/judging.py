"""Whether other models agree with counterfactuals: a model that was led to a class may be the only one that sees it.

In: inputs whose last edit of codes is a counterfactual, and the catalog. Out: for each other registered model of the
same classes whether it predicts that class, and a sentence about counterfactuals that were not found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ..algebra.edits import Counterfactual, LatentEdit
from ..algebra.rankings import ModelScore
from ..algebra.sources import Source
from ..catalog.catalog import Catalog
from ..catalog.drawing import class_of
from ..errors import IalgebraError
from ..models.concepts import DerivedNetwork
from ..models.network import Network
from ..planner.strategy import Strategy
from ..system.arrays import Bools
from .running import Running
from .scoring import scores_of

_ROUNDING = 1e-4  # of a lead


def agreeing(sources: Sequence[Source], strategy: Strategy, seed: int, running: Running) -> Mapping[str, Bools]:
    """For each other model of the same classes whether it predicts the class that each input was led to, (n,); none
    where inputs are no counterfactuals."""
    edits = [_counterfactual(source) for source in sources]
    if not edits or not all(edits):
        return {}
    found = {}
    catalog = running.catalog
    first = next(each for each in edits if each is not None)
    led = catalog.model(first.model)
    targets = np.array([class_of(led, each.target) for each in edits if each is not None])
    for name in _judges(led, sources[0], catalog):
        said = scores_of([ModelScore(name, None, None, "logit")], sources, strategy, seed, running)
        found[name] = np.array(said) == targets
    return found


def missed(sources: Sequence[Source], strategy: Strategy, seed: int, running: Running) -> Iterator[str]:
    """A sentence that tells how many of the inputs were not led to their class with the margin; nothing where all
    were, and where other edits followed."""
    edits = [each for source in sources if (each := _counterfactual(source)) is not None and source.edits[-1] is each]
    if not edits or len(edits) < len(sources):
        return
    catalog = running.catalog
    if edits[0].keep:  # the model is given another input than that of the code
        network = catalog.model(edits[0].model)
        asked = [ModelScore(network.name, None, k, "logit") for k in range(network.column_count)]
        said = np.array(scores_of(asked, sources, strategy, seed, running)).reshape(len(asked), len(sources)).T
        targets = [class_of(network, each.target) for each in edits]
        leads = [float(row[k] - np.delete(row, k).max()) for row, k in zip(said, targets, strict=True)]
    else:
        leads = [catalog.drawings.lead(source) for source in sources]
    missing = sum(lead < each.margin - _ROUNDING for lead, each in zip(leads, edits, strict=True))
    if missing:
        yield (
            f"{missing} of {len(sources)} counterfactuals were not found: their rows are what came nearest to a lead "
            "of the margin"
        )


def _counterfactual(source: Source) -> Counterfactual | None:
    """The last edit of codes, if it is a counterfactual."""
    last = next((edit for edit in reversed(source.edits) if isinstance(edit, LatentEdit)), None)
    return last if isinstance(last, Counterfactual) else None


def _judges(led: Network, example: Source, catalog: Catalog) -> Iterator[str]:
    """The other models of the same classes, by name or by number, that such an input can be given to."""
    for name, network in catalog.models.items():
        if name == led.name or isinstance(network, DerivedNetwork) or network.classes != led.classes:
            continue
        try:
            if not network.probed:
                network.meet(catalog.element_for(name, example).tensor)
        except IalgebraError:  # it takes other inputs
            continue
        same = network.class_count == led.class_count and network.outputs.meaning != "values"
        if same and network.row_shape == led.row_shape:
            yield name
