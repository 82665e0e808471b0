"""The plugin of hypothesis: strategies for `from_type(Window)`, `from_type(Join)` and the other operators.

hypothesis calls `register` whenever it is imported, so it may not import torch: operators are registered only if they
(and so torch) are loaded already. A test that draws operators imports them first, and calls `register` again.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from typing import TYPE_CHECKING

from ..algebra.windows import Window

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from ..algebra.operators import Operator

# hypothesis is imported inside functions. An import at the top would make hypothesis load its plugin, which is this
# module, while it is only half loaded.


def register() -> None:
    """Tell hypothesis how windows, and operators if they are loaded, are drawn."""
    from hypothesis import strategies as st

    st.register_type_strategy(Window, lambda _: _windows())  # a function, so that nothing is built before it is needed
    if "ialgebra.algebra.operators" in sys.modules:
        register_operators()


def register_operators() -> None:
    """Tell hypothesis how each of the five operators is drawn, over small plans that are defined."""
    from hypothesis import strategies as st

    from ..algebra.baselines import Constant
    from ..algebra.operators import AntiJoin, Identity, Join, Projection, Selection
    from ..algebra.players import Grid
    from ..algebra.sources import Source

    def joined(operands: list[Operator]) -> Join:
        return Join(tuple(operands), (Fraction(1, len(operands)),) * len(operands))

    def contrasted(operands: list[Operator]) -> AntiJoin:
        return AntiJoin(tuple(operands), tuple(range(len(operands))))

    identities = st.builds(
        Identity,
        model=st.sampled_from(["f", "g"]),
        inputs=st.tuples(st.builds(Source, st.sampled_from(["x", "y", "z"]), st.none())),
        baselines=st.tuples(st.builds(Constant, st.sampled_from([0.0, 1.0]))),
        players=st.builds(Grid, st.integers(1, 4), st.integers(1, 4)),
        target=st.sampled_from([None, 0, 1]),
    )
    operands: SearchStrategy[Operator] = st.one_of(
        identities,
        st.builds(Projection, _windows(), identities),
        st.builds(Selection, st.integers(1, 4), identities),
    )
    several = st.lists(operands, min_size=2, max_size=3, unique=True)
    st.register_type_strategy(Identity, identities)
    st.register_type_strategy(Projection, st.builds(Projection, _windows(), operands))
    st.register_type_strategy(Selection, st.builds(Selection, st.just(1), operands))
    st.register_type_strategy(Join, several.map(joined))
    st.register_type_strategy(AntiJoin, several.map(contrasted))


def _windows() -> SearchStrategy[Window]:
    from ..language.bind.predicates import bind_window
    from ..language.reader import parse_predicate
    from .strategies import windows

    return windows().map(lambda window: bind_window(parse_predicate(str(window)), {}, "image"))
