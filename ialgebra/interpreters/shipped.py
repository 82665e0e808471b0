"""The interpreters that every session has, by their names in queries."""

from __future__ import annotations

from .banzhaf import Banzhaf
from .captum import methods
from .linear import LinearShap
from .protocol import GameInterpreter, ModelInterpreter
from .shapley import Shapley
from .trees import TreeShap

SHAPLEY = "shapley"
TREE = "tree"
LINEAR = "linear"
SHIPPED: dict[str, GameInterpreter | ModelInterpreter] = {
    SHAPLEY: Shapley(),
    "banzhaf": Banzhaf(),
    LINEAR: LinearShap(),
    TREE: TreeShap("interventional"),
    "tree_path_dependent": TreeShap("tree_path_dependent"),
    **methods(),
}
