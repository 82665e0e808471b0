"""i-Algebra: a database for explanations of neural networks. The public names, nothing else."""

from .errors import (
    BindError,
    BudgetError,
    CompositionError,
    IalgebraError,
    IalgebraWarning,
    ModelError,
    ParseError,
    ResourceError,
    ShapeError,
)
from .files import load
from .planner.strategy import Strategy
from .results import Attribution, Relation
from .runtime import tune_process
from .session import Session, connect
from .version import __version__

__all__ = [
    "Attribution",
    "BindError",
    "BudgetError",
    "CompositionError",
    "IalgebraError",
    "IalgebraWarning",
    "ModelError",
    "ParseError",
    "Relation",
    "ResourceError",
    "Session",
    "ShapeError",
    "Strategy",
    "__version__",
    "connect",
    "load",
    "tune_process",
]
