"""What an interpreter is: something that explains an input of a model, the Shapley value being one of them.

There are two kinds. A `GameInterpreter` is a function of the coalition game v(S): it says which coalitions to evaluate
and what they are worth to each player, and the engine does the rest (shared rows, the store, rounds to a bound). A
`ModelInterpreter` asks the model itself, as gradients need: it gets the explained scalar as a module. Subclass one of
them; what is left out has the default given here. Knows no plan, no query and no catalog.
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

Operation = Literal["project", "select", "join", "antijoin"]
OptionValue = bool | int | float | str | tuple[int | float, ...]
Options = Mapping[str, OptionValue]


@dataclass(frozen=True)
class Option:
    """What `name => value` may be in USING: a `whole` number or any `number`, a `word` or text, a `flag` (true or
    false), several `numbers` in parentheses (one alone counts too), or a `layer` of the model, handed on as its index.

    `legal` are the words to choose from, none for any; `least` is the least number.
    """

    kind: Literal["whole", "number", "word", "flag", "numbers", "layer"]
    required: bool = False
    least: float | None = None
    legal: tuple[str, ...] = ()


class Interpreter:
    """What both kinds tell the binder: the options of USING, and of what they cannot mean, why.

    `cannot` has a reason for each operation that is refused: 'project' (Π_w: the rest of the input stays at the
    baseline), 'select' (σ_l), 'join' (weighted sums of maps), 'antijoin' (another input is the baseline).
    """

    options: Mapping[str, Option] = MappingProxyType({})
    cannot: Mapping[Operation, str] = MappingProxyType({})


class GameInterpreter(Interpreter, ABC):
    """A function of the values v(S) that gives a player who changes nothing 0, and no other player more or less for it:
    such players are left out beforehand.

    `dual` says that it turns its sign when foreground and background change places (L13): φ(x'; x) = −φ(x; x').
    """

    dual: bool = False

    @abstractmethod
    def choose(self, players: int, budget: int | None, options: Options) -> tuple[str, int]:
        """The method, and the number of rows with ∅ and N, for `budget` rows; None leaves them to the interpreter.

        Raises BudgetError for a budget that cannot pay.
        """

    @abstractmethod
    def design(self, method: str, players: int, rows: int, seed: int) -> Design:
        """The coalitions to evaluate, ∅ and N first; a function of its arguments alone.

        Of one seed, more rows should contain fewer, so that a longer answer pays for the difference only.
        """

    @abstractmethod
    def estimate(self, design: Design, values: NDArray[np.float64]) -> Sequence[Estimate]:
        """An Estimate for each column of `values` (rows, columns), of it alone: they may be of several games."""


@dataclass(frozen=True, eq=False)
class Question:
    """What a `ModelInterpreter` is asked: to explain `scalar` at `foreground` against `baseline`.

    `scalar` maps a batch (B, *shape) to what is explained, (B,): one class of the (truncated) model, as the output kind
    says. `foreground` is x inside the window and the baseline elsewhere; `players` (int64, *shape) numbers the players,
    −1 outside the window. `layers` are the model's layers up to the cut, by index. `batch_size` is how many rows a pass
    should have at most: out of memory, the question is asked again with half of it. torch, NumPy and `random` are
    seeded with `seed` beforehand.
    """

    scalar: nn.Module
    foreground: Tensor
    baseline: Tensor
    players: NDArray[np.int64]
    options: Options
    layers: Mapping[int, nn.Module]
    batch_size: int
    seed: int


class ModelInterpreter(Interpreter, ABC):
    """Asks the model for itself, in passes that the engine counts and does not share.

    `needs_module` and `needs_gradients` keep callables and tokens from it; `sampled` says that its maps have an error
    that it cannot tell. Others have none: their standard errors are 0.
    """

    needs_module: bool = False
    needs_gradients: bool = False
    sampled: bool = False

    def rows(self, players: int, shape: Sequence[int], options: Options) -> int:
        """About how many rows it will put through the model, there and back, for EXPLAIN: one and one."""
        return 2

    @abstractmethod
    def attribute(self, question: Question) -> Tensor | NDArray[np.floating]:
        """A value for each feature, in the foreground's shape; what it gives outside the window does not count."""
