"""Calls of interpreters, with validation of what they return.

In: an interpreter, its name and its arguments. Out: its answer, or an IalgebraError that names the interpreter and says
what it raised or what is wrong with its answer. IalgebraErrors of an interpreter pass unchanged, and so do
out-of-memory errors. May not know: plans, queries or the catalog.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import BindError, ModelError, ShapeError
from ..kernels.coalitions import Design
from ..kernels.estimators.estimate import Estimate
from ..system.shortage import blamed
from .protocol import GameInterpreter, ModelInterpreter, Options, Question, Questions


def known_interpreter(name: str, interpreter: object) -> GameInterpreter | ModelInterpreter:
    """`interpreter`, if it is one; BindError otherwise."""
    if isinstance(interpreter, GameInterpreter | ModelInterpreter):
        return interpreter
    what = f"the class {interpreter.__name__}" if isinstance(interpreter, type) else f"a {type(interpreter).__name__}"
    raise BindError(f"interpreter '{name}' is {what}; an instance of a GameInterpreter or a ModelInterpreter is needed")


def chosen(
    name: str, interpreter: GameInterpreter, players: int, budget: int | None, options: Options
) -> tuple[str, int]:
    """The method and the number of rows that the interpreter chooses for a game."""
    with _blamed(name):
        found = interpreter.choose(players, budget, options)
    match found:
        case (str() as method, int() as rows) if rows >= 2:
            return method, rows
    raise ModelError(f"interpreter '{name}' chose {found!r:.80}; a method and a number of rows from 2 on are needed")


def designed(name: str, interpreter: GameInterpreter, method: str, players: int, rows: int, seed: int) -> Design:
    """The design of a game; without players it has one row."""
    with _blamed(name):
        found = interpreter.design(method, players, rows, seed)
    if not isinstance(found, Design):
        raise ModelError(f"interpreter '{name}' returned a {type(found).__name__} for a design; a Design is needed")
    masks = found.coalitions
    if not isinstance(masks, np.ndarray) or masks.dtype != np.bool_ or masks.ndim != 2 or masks.shape[1] != players:
        form = f"{getattr(masks, 'dtype', type(masks).__name__)} {getattr(masks, 'shape', '')}"
        raise ShapeError(f"interpreter '{name}' drew coalitions {form}; bool (rows, {players}) is needed")
    if len(masks) < min(2, 1 << players) or masks[0].any() or not masks[:2][-1].all():
        raise ModelError(f"interpreter '{name}' drew coalitions that do not begin with ∅ and N")
    match found.key:
        case (str(), int() | np.integer(), int() | np.integer(), int() | np.integer()):
            return found
    raise ModelError(
        f"interpreter '{name}' drew a design of key {found.key!r:.80}; (method, players, rows, seed) is needed"
    )


def estimated(name: str, interpreter: GameInterpreter, design: Design, values: NDArray[np.float64]) -> list[Estimate]:
    """An estimate for each column of values."""
    with _blamed(name):
        found = list(interpreter.estimate(design, values))
    if len(found) != values.shape[1] or not all(isinstance(each, Estimate) for each in found):
        raise ModelError(f"interpreter '{name}' gave no Estimate for each of {values.shape[1]} columns")
    wanted, unusable = (design.players,), False
    before: NDArray[np.float64] | None = None  # checked influences, which many estimates share
    for each in found:
        # influences that a regression of this package has not computed yet are checked by what they amount to
        influence = each.influence if each.in_few is None else each.in_few.stderr[None]
        values = each.values
        plain = isinstance(values, np.ndarray) and values.dtype == np.float64 and values.shape == wanted
        if plain and influence is before:
            continue
        for what, numbers in (("values", values), ("influences", influence)):
            if not isinstance(numbers, np.ndarray) or numbers.dtype.kind not in "fiu":
                form = f"{numbers.dtype}" if isinstance(numbers, np.ndarray) else f"a {type(numbers).__name__} of"
                raise ModelError(f"interpreter '{name}' gave {form} {what}; arrays of real numbers are needed")
        if each.values.shape != wanted or influence.ndim != 2 or influence.shape[1:] != wanted:
            raise ShapeError(
                f"interpreter '{name}' gave values {each.values.shape} with influences {influence.shape}; "
                f"{wanted} and (units, {design.players}) are needed"
            )
        unusable = unusable or (influence.size > 0 and bool(np.isnan(influence).any()))
        before = influence
    if unusable or not np.isfinite([each.values for each in found]).all():
        raise ModelError(f"interpreter '{name}' gave values that are NaN or infinite; finite numbers are needed")
    return found


def attributed(name: str, interpreter: ModelInterpreter, question: Question) -> NDArray[np.float64]:
    """The map of a question, in the foreground's shape; 0 outside the window."""
    with _blamed(name):
        found = interpreter.attribute(question)
    return known_map(name, found, question.players)


def attributed_all(name: str, interpreter: ModelInterpreter, questions: Questions) -> NDArray[np.float64]:
    """The maps of questions that are asked together, (questions, *shape), as the interpreter gives them."""
    with _blamed(name):
        found = interpreter.attribute_all(questions)
    wanted = (questions.count, *questions.foregrounds.shape[1:])
    if not isinstance(found, np.ndarray) or found.shape != wanted:
        shape = found.shape if isinstance(found, np.ndarray) else f"a {type(found).__name__}"
        raise ShapeError(f"interpreter '{name}' returned maps {shape}; an array {wanted} is needed")
    return found


def known_map(name: str, found: object, players: NDArray[np.int64]) -> NDArray[np.float64]:
    """The map that an interpreter returned, checked; 0 outside the window of `players`."""
    if isinstance(found, Tensor):
        found = found.detach().to("cpu", torch.float64).numpy()
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu":
        raise ModelError(f"interpreter '{name}' returned a {type(found).__name__}; a tensor of real numbers is needed")
    if found.shape != players.shape:
        raise ShapeError(
            f"interpreter '{name}' returned a map of shape {found.shape} for an input of shape {players.shape}"
        )
    inside = np.where(players >= 0, found, 0.0).astype(np.float64)
    if not np.isfinite(inside).all():
        raise ModelError(f"interpreter '{name}' returned a map with NaN or infinity; finite numbers are needed")
    return inside


def _blamed(name: str) -> AbstractContextManager[None]:
    def told(error: Exception) -> ModelError:
        said = " ".join(str(error).split())
        return ModelError(f"interpreter '{name}' raised {type(error).__name__}: {said:.300}")

    return blamed(told)
