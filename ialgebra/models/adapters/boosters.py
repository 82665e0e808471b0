"""Boosters: the native models of xgboost and LightGBM, which have an objective instead of classes.

In: a Booster. Out: a callable from batches (B, D), tensors or DataFrames, to probabilities, logits or values (B, K).
The libraries are loaded already where a Booster exists; nothing is imported before.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor

from ...system.tensors import array_of
from ..outputs import OutputMeaning
from .estimators import frame
from .opened import Opened

_MEANINGS: dict[str, OutputMeaning] = {
    "binary:logistic": "probabilities",
    "multi:softprob": "probabilities",
    "multi:softmax": "logits",  # asked for margins, since it returns labels
    "binary:logitraw": "logits",
    "reg:logistic": "probabilities",
    "binary": "probabilities",
    "cross_entropy": "probabilities",
    "multiclass": "probabilities",
    "multiclassova": "probabilities",
}
"""What a Booster with this objective returns; with any other, values."""

_OF_TWO_CLASSES = ("binary:logistic", "binary:logitraw", "binary")  # which share one column


@dataclass(frozen=True, eq=False)
class XgboostCall:
    """A Booster of xgboost. One that returns labels is asked for `margins` instead."""

    booster: Any
    margins: bool

    def __call__(self, batch: object) -> object:
        return self.booster.predict(self.matrix(batch), output_margin=self.margins)

    def matrix(self, batch: object) -> object:
        """A batch (B, D) as the Booster is given it."""
        import xgboost

        names = self.booster.feature_names
        rows = array_of(batch.detach().cpu()) if isinstance(batch, Tensor) else batch
        named = isinstance(batch, Tensor) and names is not None and len(names) == batch.shape[1]
        return xgboost.DMatrix(frame(cast("Any", rows), names) if named else rows, enable_categorical=True)


@dataclass(frozen=True, eq=False)
class LightgbmCall:
    """A Booster of LightGBM."""

    booster: Any

    def __call__(self, batch: object) -> object:
        rows = array_of(batch.detach().cpu()) if isinstance(batch, Tensor) else batch
        return self.booster.predict(rows)


def opened(model: object) -> Opened | None:
    """A Booster as a callable; None for anything else."""
    home = f"{type(model).__module__}.{type(model).__name__}"
    if home == "xgboost.core.Booster":
        objective = json.loads(cast("Any", model).save_config())["learner"]["objective"]["name"]
        return _opened(XgboostCall(model, objective == "multi:softmax"), objective)
    if home == "lightgbm.basic.Booster":
        return _opened(LightgbmCall(model), _lightgbm_objective(model))
    return None


def _lightgbm_objective(booster: object) -> str:
    """The name of an objective, which the model's text has in its head."""
    text: str = cast("Any", booster).model_to_string(num_iteration=1)
    line = next((line for line in text.splitlines() if line.startswith("objective=")), "objective=")
    return line.removeprefix("objective=").split(" ")[0]


def _opened(call: XgboostCall | LightgbmCall, objective: str) -> Opened:
    classes = ("0", "1") if objective in _OF_TWO_CLASSES else None
    return Opened(call, classes, (_MEANINGS.get(objective, "values"), f"its objective is {objective or 'its own'}"))
