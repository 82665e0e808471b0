"""Interpreters: what `USING name(option => value)` may name. `docs/interpreters.md` says how to write one."""

from ..kernels.coalitions import Design
from ..kernels.estimators.estimate import Estimate
from .protocol import GameInterpreter, Interpreter, ModelInterpreter, Option, Question

__all__ = ["Design", "Estimate", "GameInterpreter", "Interpreter", "ModelInterpreter", "Option", "Question"]
