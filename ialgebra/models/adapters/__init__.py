"""Models as people have them: any object in; what a query runs, and what the object tells of itself, out.

Each family of models has one file here and one line in `FAMILIES`. `results` makes (B, K) of what models return. No
library is imported: an object is known by its class and its methods. Nothing here knows a query, a layer or a plan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from torch import nn

from ...errors import BindError
from . import boosters, estimators, hugging_face, strings
from .opened import Opened

FAMILIES: Final[tuple[Callable[[object], Opened | None], ...]] = (
    hugging_face.opened,
    boosters.opened,
    strings.opened,
    estimators.opened,
)
"""The first that knows a model opens it. Raises BindError that says what is wrong with it."""

__all__ = ["FAMILIES", "Opened", "opened"]


def opened(name: str, model: object) -> Opened:
    """What a query runs for `model`, which is registered as `name`. Raises BindError for what is no model."""
    if isinstance(model, type):
        raise BindError(f"model '{name}' is the class {model.__name__}; register an instance of it")
    for family in FAMILIES:
        try:
            found = family(model)
        except BindError as error:
            raise BindError(f"model '{name}' {error.message}") from error.__cause__
        if found is not None:
            return found
    if isinstance(model, nn.Module) or callable(model):
        return Opened(model)
    raise BindError(
        f"model '{name}' is a {type(model).__name__}; a torch.nn.Module, a callable from a batch to outputs, or an "
        "estimator with predict_proba, decision_function or predict is needed"
    )
