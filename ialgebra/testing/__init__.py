"""Laws to run on your own models, and hypothesis strategies to test with; needs the extra `testing`.

    check_laws(con, "f", ["x", "y"])        every law of the algebra, on random cases: one LawResult per law
    strategies.{models, inputs, windows, players, plans, queries}

Names are imported when first used, so that hypothesis can load its plugin from here without importing torch.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..errors import IalgebraError

if TYPE_CHECKING:
    from . import report, strategies
    from .case import Counterexample
    from .check import LawResult, check_laws
    from .factories import verify

_HOMES = {
    "Counterexample": "case",
    "LawResult": "check",
    "check_laws": "check",
    "report": "report",
    "strategies": "strategies",
    "verify": "factories",
}

__all__ = ["Counterexample", "LawResult", "check_laws", "report", "strategies", "verify"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'ialgebra.testing' has no attribute {name!r}")
    if find_spec("hypothesis") is None:
        raise IalgebraError(
            'ialgebra.testing needs hypothesis, which is not installed; run: pip install "ialgebra[testing]"'
        )
    import_module("hypothesis")  # first: it loads its plugin from this package, which must not be half loaded then
    home = import_module(f".{_HOMES[name]}", __name__)
    value = getattr(home, name, home)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
