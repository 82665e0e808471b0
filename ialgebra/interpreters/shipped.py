"""The interpreters that every session knows from the start, by the names that queries use."""

from __future__ import annotations

from .banzhaf import Banzhaf
from .captum import methods
from .protocol import GameInterpreter, ModelInterpreter
from .shapley import Shapley

SHAPLEY = "shapley"
SHIPPED: dict[str, GameInterpreter | ModelInterpreter] = {SHAPLEY: Shapley(), "banzhaf": Banzhaf(), **methods()}
