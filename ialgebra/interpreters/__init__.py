"""Interpreters: what `USING name(option => value)` may name. `docs/interpreters.md` says how to write one.

In comes a coalition game, as a number of players and values of coalitions, or a `Question` to the model itself; out
comes a map, with errors where the interpreter knows them. Each is one frozen value (`shipped` lists those that come
with the package), and `checked` looks at what one answers before it is believed. Nothing here knows a plan, a query or
a catalog.
"""

from ..kernels.coalitions import Design
from ..kernels.estimators.estimate import Estimate
from .protocol import GameInterpreter, Interpreter, ModelInterpreter, Option, Question

__all__ = ["Design", "Estimate", "GameInterpreter", "Interpreter", "ModelInterpreter", "Option", "Question"]
