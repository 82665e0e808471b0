"""Interpreters: what `USING name(option => value)` may name. `docs/interpreters.md` says how to write one.

In: a coalition game (a number of players and values of coalitions), or a `Question` about a model. Out: a map, with
errors if the interpreter knows them. Each interpreter is one frozen value (`shipped` lists those of this package);
`checked` validates what an interpreter returns. This room may not know plans, queries or the catalog.
"""

from ..kernels.coalitions import Design
from ..kernels.estimators.estimate import Estimate
from .protocol import GameInterpreter, Interpreter, ModelInterpreter, Option, Question

__all__ = ["Design", "Estimate", "GameInterpreter", "Interpreter", "ModelInterpreter", "Option", "Question"]
