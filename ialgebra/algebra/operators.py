"""The five operators of i-Algebra as interned trees: what a query means, before anything is decided about how to answer
it.

    φ(x; x̄, f)      Identity      Eqs. 1–2: the Shapley value of v(S) = f(x_S) over the players
    Π_w p            Projection    Eq. 3: only the features in w play
    σ_l p            Selection     Eq. 4: f_l in place of f
    p ⋈ q            Join          Eq. 5: a weighted mean
    p ⋄ q            AntiJoin      Eq. 6: each input explained against the others

Nodes hold names and numbers only; tensors stay in the catalog. They validate themselves, do not know a query's text,
and compare by identity (see `interning`). Equation numbers are those of Zhang et al., i-Algebra (AAAI 2021).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, assert_never

from ..errors import CompositionError
from .baselines import Baseline
from .interning import Node, node
from .players import Partition
from .sources import Source
from .windows import Window

OutputKind = Literal["logit", "probability", "log_odds"]
Contrast = Literal["difference", "literal"]


@node
class Estimation(Node):
    """Which interpreter explains, its options (sorted by name), and the budget: rows per game, or None."""

    interpreter: str = "shapley"
    options: tuple[tuple[str, bool | int | float | str | tuple[int | float, ...]], ...] = ()
    budget: int | None = None

    @property
    def method(self) -> str | None:
        """The estimator by name; None for the cheapest."""
        named = dict(self.options).get("method")
        return None if named is None else str(named)

    def __str__(self) -> str:
        """Its text after USING."""
        if self.interpreter == "shapley" and self.method is not None:
            return f"{self.method}()"
        options = ", ".join(f"{name} => {_said(value)}" for name, value in self.options)
        return f"{self.interpreter}({options})"


def _said(value: bool | int | float | str | tuple[int | float, ...]) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return "'" + value.replace("'", "''") + "'"
        case tuple():
            return f"({', '.join(map(repr, value))})" if len(value) > 1 else repr(value[0])
    return repr(value)


@node
class Identity(Node):
    """φ(x; x̄, f): several inputs mean the mean over them, and so do several baselines (L18).

    `target` is a class index, or None for the class that the full model predicts for the input itself. `depth` is the
    number of the layer that is the model's own output; None if no layer is.
    """

    model: str
    inputs: tuple[Source, ...]
    baselines: tuple[Baseline, ...]
    players: Partition
    target: int | None = None
    output: OutputKind = "logit"
    depth: int | None = None
    estimation: Estimation = Estimation()

    @property
    def operands(self) -> tuple[Operator, ...]:
        return ()

    def __str__(self) -> str:
        inputs = self.inputs[0] if len(self.inputs) == 1 else self.inputs[0].collection
        shapley = self.estimation.interpreter == "shapley"
        return f"{'φ' if shapley else self.estimation.interpreter} {self.model}({inputs})"


@node
class Projection(Node):
    """Π_w p: only the features of w play; the rest stays at the baseline in force (Eq. 3)."""

    window: Window
    of: Operator

    @property
    def operands(self) -> tuple[Operator, ...]:
        return (self.of,)

    def __str__(self) -> str:
        return f"Π {self.window}"


@node
class Selection(Node):
    """σ_l p: every model of p is cut after its layer l (1-based), with a linear head on top (Eq. 4)."""

    layer: int
    of: Operator

    @property
    def operands(self) -> tuple[Operator, ...]:
        return (self.of,)

    def __str__(self) -> str:
        return f"σ {self.layer}"


@node
class Join(Node):
    """⋈: Σ weight · operand, with weights that sum to one (Eq. 5). Weights are exact fractions, so that the order of
    rewriting does not change them."""

    operands: tuple[Operator, ...]
    weights: tuple[Fraction, ...]

    def __post_init__(self) -> None:
        if len(self.operands) != len(self.weights) or sum(self.weights) != 1 or min(self.weights) < 0:
            raise CompositionError(f"a join needs one weight in [0, 1] for each operand, in all 1; got {self.weights}")

    def __str__(self) -> str:
        return "⋈ " + ", ".join(f"{float(weight):g}" for weight in self.weights)


@node
class AntiJoin(Node):
    """⋄: component i explains operand i against the mean of the others (Eq. 6).

    `order[k]` is the operand of the k-th component (L12 swaps operands). `contrast` says how two models on one
    input are compared: by the difference of their contributions, or by the printed formula E[f(x_{S∪i}) − f'(x_S)].
    """

    operands: tuple[Operator, ...]
    order: tuple[int, ...]
    contrast: Contrast = "difference"

    def __post_init__(self) -> None:
        if len(self.operands) < 2 or sorted(self.order) != list(range(len(self.operands))):
            raise CompositionError("an anti-join needs two operands or more, and an order that names each once")

    def __str__(self) -> str:
        return "⋄" if self.contrast == "difference" else "⋄ literal"


Operator = Identity | Projection | Selection | Join | AntiJoin


def rebuilt(plan: Operator, operands: tuple[Operator, ...]) -> Operator:
    """`plan` over other operands; the same object if nothing changed."""
    match plan:
        case Identity():
            return plan
        case Projection(window, _):
            return Projection(window, operands[0])
        case Selection(layer, _):
            return Selection(layer, operands[0])
        case Join(_, weights):
            return Join(operands, weights)
        case AntiJoin(_, order, contrast):
            return AntiJoin(operands, order, contrast)
        case _:
            assert_never(plan)


def leaves(plan: Operator) -> tuple[Identity, ...]:
    """The identities of a plan, left to right, each once; without recursion, so a plan may be deep."""
    found: dict[Identity, None] = {}
    seen: set[Operator] = set()
    stack: list[Operator] = [plan]
    while stack:
        each = stack.pop()
        if isinstance(each, Identity):
            found[each] = None
        elif each not in seen:
            seen.add(each)
            stack.extend(reversed(each.operands))
    return tuple(found)
