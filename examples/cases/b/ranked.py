"""The question in SQL alone: which of these pictures look least like the class that they are taken for?

In: a session with a collection `suspects` and one of benign pictures with their labels, `known`. Out: for a layer, how
often an attacked picture stands above a benign one that is taken for the same class.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

import ialgebra

LAYERS = ("*", "1", "2", "3")
USUAL = "create or replace view usual as select * from f(known) having label = {label}"
# The join of a collection with itself is its mean: here, the mean map of the class in that layer.
QUERY = """
select {layer} from f(suspects) having prediction = '{name}'
order by distance((select {layer} from usual join usual)) desc budget {budget}
"""


def ranked(con: ialgebra.Session, classes: Mapping[int, str], benign: int, budget: int) -> dict[str, float]:
    """The AUC of each layer over the pairs of all lists, one for each of `classes` (label → name).

    The first `benign` suspects are benign.
    """
    hits, pairs = dict.fromkeys(LAYERS, 0), 0
    for label, name in classes.items():
        con.sql(USUAL.format(label=label))
        for layer in LAYERS:
            answer = con.sql(QUERY.format(layer=layer, name=name, budget=budget))
            attacked = np.array([each.scores["index"][0] >= benign for each in answer], bool)
            hits[layer] += int(np.cumsum(attacked)[~attacked].sum())
        pairs += int(attacked.sum() * (~attacked).sum())
    return {layer: above / pairs if pairs else float("nan") for layer, above in hits.items()}
