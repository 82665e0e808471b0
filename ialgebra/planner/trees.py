"""Which games shap's TreeExplainer answers though the query names no method (decision D2).

In: a leaf of a plan. Out: the estimation by trees, where it is exact for just what the leaf asks; and for EXPLAIN what
was chosen, or why trees were not. It runs no model and reads no tree: what trees add up to is told by the model's own
settings, and checked on rows when they are asked.
"""

from __future__ import annotations

import math
from functools import cache
from importlib.util import find_spec
from typing import Final

from ..algebra.operators import Estimation
from ..algebra.players import Features
from ..catalog.catalog import Catalog
from ..interpreters.shipped import SHAPLEY, TREE
from ..kernels.estimators.registry import choose, complete
from ..models.adapters.tree_sums import TreeSums, sums_of
from ..models.adapters.trees import tree_model
from ..models.network import Network
from .decisions import Alternative, Decision
from .games import Leaf, Several

BY_TREES: Final = "trees, by shap's TreeExplainer"  # as it was decided
_FEW_ROWS = 1024  # of exact games, which take less time than to read trees


class TreeChoices:
    """The choice between trees and coalitions, for the leaves of one query; `decisions` are those so far."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._told: dict[str, TreeSums | None] = {}
        self._decisions: dict[tuple[object, ...], Decision] = {}

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What was decided, for models of trees; each kind of leaf once."""
        return tuple(self._decisions.values())

    def estimation(self, leaf: Leaf) -> Estimation:
        """How a leaf is estimated: by trees where that is exact and saves rows, else as it says."""
        own = leaf.estimation
        if own.interpreter != SHAPLEY or own.options or own.budget is not None or leaf.layer is not None:
            return own
        told = self._trees(leaf.model)
        if told is None:
            return own
        players = math.prod(self._catalog.shape(leaf.source))
        method, coalitions = choose(players, None)
        rows = coalitions * (len(leaf.baseline.baselines) if isinstance(leaf.baseline, Several) else 1)
        if complete(method) and rows <= _FEW_ROWS:
            return own
        why = told.why or self._why_not(leaf, told)
        alternative = Alternative(method, rows) if not why else Alternative(f"tree(): {why}")
        chosen = method if why else BY_TREES
        self._decisions.setdefault(
            (leaf.model, chosen, alternative), Decision("D2", leaf.model, chosen, (alternative,))
        )
        return own if why else Estimation(TREE)

    def _trees(self, name: str) -> TreeSums | None:
        """What the trees of a model add up to; None for a model that is no ensemble of trees."""
        if name not in self._told:
            try:
                self._told[name] = sums_of(tree_model(self._catalog.model(name).module))
            except Exception:  # no trees, or a look-alike of other attributes
                self._told[name] = None
        return self._told[name]

    def _why_not(self, leaf: Leaf, told: TreeSums) -> str:
        """Why trees do not tell what a leaf asks; empty where they do."""
        network = self._catalog.model(leaf.model)
        if not isinstance(leaf.partition, Features):
            return "players join features"
        if network.preprocess is not None or network.reduce is not None:
            return "the model is registered with preprocess or reduce"
        if network.behaviour.words:
            return f"the model is {' and '.join(network.behaviour.words)}"
        if network.trees_refused:
            return network.trees_refused
        if told.sums == "margins" or (told.sums == "log_odds" and leaf.output != "log_odds"):
            ask = "; ask with output => 'log_odds'" if told.sums == "log_odds" else ""
            return f"trees add up to {told.sums.replace('_', '-')}{ask}"
        if told.sums == "numbers" and not _are_numbers(leaf, network):
            return f"trees add up to {network.outputs.unit}"
        return "" if _installed() else 'shap is not installed; pip install "ialgebra[shap]"'


def _are_numbers(leaf: Leaf, network: Network) -> bool:
    """Whether a leaf asks for what the model returns."""
    reading = network.outputs
    return (
        leaf.output == "logit"
        or (leaf.output == "probability" and reading.meaning == "probabilities")
        or (leaf.output == "log_odds" and reading.meaning == "logits" and reading.classes == "pair")
    )


@cache
def _installed() -> bool:
    return find_spec("shap") is not None
