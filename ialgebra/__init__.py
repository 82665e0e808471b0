"""i-Algebra: a database for explanations of neural networks. The public names, nothing else.

They are imported when first used, so that `ialgebra --version` is quick and the command line can prepare the process
before torch starts its threads.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .errors import (
        BindError,
        BudgetError,
        BudgetWarning,
        CompositionError,
        IalgebraError,
        IalgebraWarning,
        ModelError,
        ParseError,
        ResourceError,
        ShapeError,
        WindowWarning,
    )
    from .planner.strategy import Strategy
    from .planner.tempo import Tempo
    from .results.attribution import Attribution
    from .results.relation import Relation, load
    from .results.scores import Scores
    from .session.learning import learn
    from .session.session import Session, connect
    from .session.submitted import Submitted
    from .system.runtime import tune_process
    from .version import __version__

_HOMES = {
    "Attribution": "results.attribution",
    "BindError": "errors",
    "BudgetError": "errors",
    "BudgetWarning": "errors",
    "CompositionError": "errors",
    "IalgebraError": "errors",
    "IalgebraWarning": "errors",
    "ModelError": "errors",
    "ParseError": "errors",
    "Relation": "results.relation",
    "ResourceError": "errors",
    "Scores": "results.scores",
    "Session": "session.session",
    "ShapeError": "errors",
    "Strategy": "planner.strategy",
    "Submitted": "session.submitted",
    "Tempo": "planner.tempo",
    "WindowWarning": "errors",
    "__version__": "version",
    "connect": "session.session",
    "learn": "session.learning",
    "load": "results.relation",
    "load_ipython_extension": "apps.magics",  # what `%load_ext ialgebra` looks for
    "tune_process": "system.runtime",
}

__all__ = [
    "Attribution",
    "BindError",
    "BudgetError",
    "BudgetWarning",
    "CompositionError",
    "IalgebraError",
    "IalgebraWarning",
    "ModelError",
    "ParseError",
    "Relation",
    "ResourceError",
    "Scores",
    "Session",
    "ShapeError",
    "Strategy",
    "Submitted",
    "Tempo",
    "WindowWarning",
    "__version__",
    "connect",
    "learn",
    "load",
    "tune_process",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'ialgebra' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
