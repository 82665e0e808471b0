"""What an interpreter is: it explains an input of a model. The Shapley value is one interpreter.

There are two kinds. A `GameInterpreter` is a function of the coalition game v(S): it chooses the coalitions to
evaluate, and computes each player's value from their values; the engine does the rest (shared rows, the store, rounds
to a bound). A `ModelInterpreter` calls the model itself, for example for gradients: it gets the explained scalar as a
module. Subclass one of them; attributes and methods that are not abstract have defaults. May not know: plans, queries
or the catalog.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ..kernels.coalitions import Design
from ..kernels.estimators.estimate import Estimate
from ..system.arguments import checked_fields

Operation = Literal["project", "select", "join", "antijoin"]
OptionValue = bool | int | float | str | tuple[int | float, ...]
Options = Mapping[str, OptionValue]


@checked_fields
@dataclass(frozen=True)
class Option:
    """What `name => value` may be in USING: a `whole` number or any `number`, a `word` or text, a `flag` (true or
    false), several `numbers` in parentheses (or a single one), or a `layer` of the model, passed on as its index.

    `legal` are the allowed words (empty: any word); `least` is the least allowed number.
    """

    kind: Literal["whole", "number", "word", "flag", "numbers", "layer"]
    required: bool = False
    least: float | None = None
    legal: tuple[str, ...] = ()


class Interpreter:
    """What both kinds tell the binder: their options in USING, and which operations they refuse.

    `cannot` has the reason for each refused operation: 'project' (Π_w: the rest of the input stays at the
    baseline), 'select' (σ_l), 'join' (weighted sums of maps), 'antijoin' (another input is the baseline). `linear` says
    that the values of a sum of games are the sums of their values, so that a mean over backgrounds is one game, whose
    v(S) is the mean (L18).
    """

    options: Mapping[str, Option] = MappingProxyType({})
    cannot: Mapping[Operation, str] = MappingProxyType({})
    linear: bool = False


class GameInterpreter(Interpreter, ABC):
    """A function of the values v(S). A player who never changes v must get 0 and must not change the values of others,
    because the engine removes such players before it calls the interpreter.

    `dual` says that the sign of all values changes if foreground and background are exchanged (L13):
    φ(x'; x) = −φ(x; x').
    """

    dual: bool = False

    @abstractmethod
    def choose(self, players: int, budget: int | None, options: Options) -> tuple[str, int]:
        """The method, and the number of rows (with ∅ and N), for a `budget` of rows; None: the interpreter chooses.

        Raises BudgetError for a budget that is too small.
        """

    @abstractmethod
    def design(self, method: str, players: int, rows: int, seed: int) -> Design:
        """The coalitions to evaluate, ∅ and N first; a function of its arguments alone.

        With equal seeds, a larger design should contain the smaller one, so that only its new rows are evaluated.
        """

    @abstractmethod
    def estimate(self, design: Design, values: NDArray[np.float64]) -> Sequence[Estimate]:
        """An Estimate for each column of `values` (rows, columns). Columns are independent: they may be different
        games."""


@checked_fields
@dataclass(frozen=True, eq=False)
class Question:
    """What a `ModelInterpreter` is asked: to explain `scalar` at `foreground` against `baseline`.

    `scalar` maps a batch (B, *shape) to what is explained, (B,): one class of the (truncated) model, as the output kind
    says. `foreground` is x inside the window and the baseline elsewhere; `players` (int64, *shape) numbers the players,
    −1 outside the window. `layers` are the model's layers up to the cut, by index. `batch_size` is the most rows that
    a pass should have; after an out-of-memory error, the engine asks again with half of it. Before each call, torch,
    NumPy and `random` are seeded with `seed`.
    """

    scalar: nn.Module
    foreground: Tensor
    baseline: Tensor
    players: NDArray[np.int64]
    options: Options
    layers: Mapping[int, nn.Module]
    batch_size: int
    seed: int


@dataclass(frozen=True, eq=False)
class Questions:
    """Questions about one `scalar`, as `Question` has one, of which there are `count`: each row (k, i, j) of `pairs`
    (int64, (pairs, 3)) says that question k asks for `foregrounds[i]` against `baselines[j]`, rows (n, *shape) as they
    are registered; a question of several pairs asks for their mean.

    A foreground is already the baseline outside its window. `players` are the partitions (int64, *shape) that occur.
    """

    count: int

    scalar: nn.Module
    foregrounds: Tensor
    baselines: Tensor
    pairs: NDArray[np.int64]
    players: Sequence[NDArray[np.int64]]
    options: Options
    batch_size: int
    seed: int


class ModelInterpreter(Interpreter, ABC):
    """An interpreter that calls the model itself; the engine counts these passes, and does not share them.

    With `needs_module`, it is refused for models that are plain callables; with `needs_gradients`, for tokens.
    `sampled` says that its maps have unknown errors (standard errors inf); otherwise they count as exact (0). With
    `together`, all questions of a query about one scalar are asked at once, by `attribute_all`; with `linear` it has to
    be.
    """

    needs_module: bool = False
    needs_gradients: bool = False
    sampled: bool = False
    together: bool = False

    def rows(self, players: int, shape: Sequence[int], options: Options) -> int:
        """About how many rows it will run, forward and backward, for EXPLAIN. The default is one forward and one
        backward."""
        return 2

    @abstractmethod
    def attribute(self, question: Question) -> Tensor | NDArray[np.floating]:
        """A value for each feature, in the foreground's shape; values outside the window are ignored."""

    def attribute_all(self, questions: Questions) -> NDArray[np.float64]:
        """A value for each feature of each question, (questions, *shape); values outside the windows are ignored."""
        raise NotImplementedError("an interpreter that answers questions together says how")
